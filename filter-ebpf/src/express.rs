//! The express lane: packets as nearly all of them are, in as few instructions as can be.
//!
//! Those of spliced connections are sent on: no VLAN tags, neither on the way in nor on the way out; no IP options, extension headers or
//! fragments; ACK and neither SYN, FIN nor RST; no TCP options but timestamps where everybody writes them; a connection whose ends have
//! nothing to say of its beginning or its end. Of other segments with such headers, what [`Segment`](crate::parse::Segment) holds is read
//! here, from where it always is. Everything else takes the road of [`verdict`](crate::verdict), which does the same with all of these: nothing here may
//! do anything that [`Segment::read`](crate::parse::Segment::read) and [`flow::forward`] would not.

use aya_ebpf::{helpers::generated::bpf_redirect, programs::XdpContext};
use filter_common::{
    Reason,
    layout::{Address, ConnectionKey},
    splice::{FLOW_FROM_CLIENT, FLOW_HEADER_PENDING, FLOW_OPENING, FLOW_PEER_FIN, Flow},
};

use crate::{
    flags, flow, maps,
    options::Timestamps,
    packet::{Packet, Wire},
    parse::{ETHERNET_SIZE, EtherType, IpProtocol, Ipv4Header, Ipv6Header, TcpHeader, is_mapped},
};

/// The packet is another lane's.
pub(crate) const OTHER: u32 = u32::MAX;
/// The packet is a segment, which is in the work area now; no spliced connection has it, or it is a SYN.
pub(crate) const READ: u32 = u32::MAX - 1;

/// The first four bits of the byte are the header's length in words.
const WITHOUT_OPTIONS: u8 = 0x50;
const WITH_TIMESTAMPS: u8 = 0x80;

/// The headers of a packet, where they are in it.
struct Headers<I: 'static> {
    internet: &'static mut I,
    tcp: &'static mut TcpHeader,
}

impl<I: Internet> Headers<I> {
    const TCP_AT: u32 = ETHERNET_SIZE + size_of::<I>() as u32;
    const OPTIONS_AT: u32 = Self::TCP_AT + TcpHeader::SIZE;

    /// Of a frame without tags.
    #[inline(always)]
    fn of(packet: &Packet) -> Option<Self> {
        Some(Self { internet: packet.view(ETHERNET_SIZE)?, tcp: packet.view(Self::TCP_AT)? })
    }
}

/// What differs between the two versions of IP.
trait Internet: Wire + 'static {
    const IS_V4: bool;

    /// Length of the packet, if it is TCP and there is nothing unusual about the header.
    fn usual_length(&self) -> Option<u32>;

    fn source(&self) -> Address;

    fn destination(&self) -> Address;

    /// Replaces what differs; `None`, and nothing is changed, if the packet has been on the way for too long.
    fn forward(&mut self, flow: &Flow) -> Option<()>;
}

impl Internet for Ipv4Header {
    const IS_V4: bool = true;

    #[inline(always)]
    fn usual_length(&self) -> Option<u32> {
        let is_usual = self.version_and_length == 0x45
            && self.protocol == IpProtocol::TCP.number()
            && self.fragment & Self::FRAGMENT == 0;
        if is_usual { Some(u16::from_be(self.total_length).into()) } else { None }
    }

    #[inline(always)]
    fn source(&self) -> Address {
        Address::from_v4(self.source)
    }

    #[inline(always)]
    fn destination(&self) -> Address {
        Address::from_v4(self.destination)
    }

    #[inline(always)]
    fn forward(&mut self, flow: &Flow) -> Option<()> {
        flow::forward_v4(self, flow)
    }
}

impl Internet for Ipv6Header {
    const IS_V4: bool = false;

    #[inline(always)]
    fn usual_length(&self) -> Option<u32> {
        let is_usual = self.version >> 4 == 6
            && self.next_header == IpProtocol::TCP.number()
            && !is_mapped(self.source)
            && !is_mapped(self.destination);
        if is_usual { Some(size_of::<Self>() as u32 + u32::from(u16::from_be(self.payload_length))) } else { None }
    }

    #[inline(always)]
    fn source(&self) -> Address {
        self.source
    }

    #[inline(always)]
    fn destination(&self) -> Address {
        self.destination
    }

    #[inline(always)]
    fn forward(&mut self, flow: &Flow) -> Option<()> {
        flow::forward_v6(self, flow)
    }
}

/// Sends a packet on, if it is one for this lane. Returns the reason's number; else [`OTHER`] or [`READ`]. In a frame of its own: the stack
/// is small, and the other road is long.
#[inline(never)]
pub(crate) fn forward(ctx: &XdpContext) -> u32 {
    let packet = Packet::of_argument(ctx);
    match EtherType::of(&packet) {
        Some(EtherType::IPV4) => forward_by::<Ipv4Header>(&packet),
        Some(EtherType::IPV6) => forward_by::<Ipv6Header>(&packet),
        Some(_) | None => OTHER,
    }
}

#[inline(always)]
fn forward_by<I: Internet>(packet: &Packet) -> u32 {
    let Some(Headers { internet, tcp }) = Headers::<I>::of(packet) else { return OTHER };
    let Some(length) = internet.usual_length() else { return OTHER };
    let header_size = u32::from(tcp.data_offset >> 4) * 4;
    if header_size < TcpHeader::SIZE
        || length < size_of::<I>() as u32 + header_size
        || length + ETHERNET_SIZE > packet.length()
    {
        return OTHER;
    }
    let connection = ConnectionKey {
        client: internet.source(),
        edge: internet.destination(),
        client_port: tcp.source_port,
        edge_port: tcp.destination_port,
    };
    let hash = maps::hash(&connection);
    let kind = tcp.flags & (TcpHeader::SYN | TcpHeader::ACK | TcpHeader::FIN | TcpHeader::RST);
    if kind != TcpHeader::SYN
        && let Some(place) = flow::find(&connection, hash)
    {
        let sent = if kind == TcpHeader::ACK { send(packet, Headers { internet, tcp }, place) } else { None };
        return sent.map_or(OTHER, u32::from);
    }
    let Some(scratch) = maps::scratch() else { return OTHER };
    scratch.segment.fill(&connection, hash, tcp, I::IS_V4, Headers::<I>::TCP_AT, ETHERNET_SIZE + length);
    READ
}

/// Sends a packet of this flow on; `None`, and neither is anything written down nor a header changed, if it is not one for this lane.
#[inline(always)]
fn send<I: Internet>(packet: &Packet, Headers { internet, tcp }: Headers<I>, place: *mut Flow) -> Option<Reason> {
    let state = flags::read(place);
    // SAFETY: an entry of the map, which stays readable while this program runs. What is read by way of this does not change once the
    // origin has answered.
    let flow = unsafe { &*place };
    if state & (FLOW_OPENING | FLOW_HEADER_PENDING | FLOW_PEER_FIN) != 0 || flow.link.tag_count != 0 {
        return None;
    }
    let timestamps = match tcp.data_offset & 0xf0 {
        WITHOUT_OPTIONS => None,
        WITH_TIMESTAMPS => Some(Timestamps::usual(packet, Headers::<I>::OPTIONS_AT)?),
        _ => return None,
    };
    // In front of what may still end this: whatever becomes of the packet on the other road, these are replaced or dropped with it.
    packet.write(0, flow.link.macs)?;
    internet.forward(flow)?;
    flow::heard(packet.length(), tcp.acknowledgement, place);
    let sum = flow::translate_header(tcp, true, flow);
    tcp.checksum = timestamps.map_or(sum, |timestamps| timestamps.translate(flow, sum)).checksum();
    // SAFETY: the helper only notes where the packet goes.
    unsafe { bpf_redirect(flow.link.interface, 0) };
    Some(if state & FLOW_FROM_CLIENT != 0 { Reason::SpliceFromClient } else { Reason::SpliceFromOrigin })
}
