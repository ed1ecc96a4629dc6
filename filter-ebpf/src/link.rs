//! Frames that leave by another interface than an answer would.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_redirect, bpf_xdp_adjust_head},
    programs::XdpContext,
};
use filter_common::{Reason, splice::Link};

use crate::{packet::Packet, parse::ETHERNET_SIZE};

const TAG_SIZE: u32 = 4;

/// Puts the Ethernet header and the tags of a link in front of the IP header, and sends the frame there. The EtherType is just
/// in front of the IP header already, however many tags there are.
#[inline(always)]
pub(crate) fn leave(ctx: &XdpContext, ip_at: u32, link: &Link) -> Result<(), Reason> {
    let size = ETHERNET_SIZE + TAG_SIZE * link.tag_count;
    if ip_at != size {
        // SAFETY: `ctx` is the program's own context. Pointers into the packet are made anew after this.
        if unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast(), ip_at as i32 - size as i32) } != 0 {
            return Err(Reason::Internal);
        }
    }
    let packet = Packet::new(ctx);
    packet.write(0, link.macs).ok_or(Reason::Internal)?;
    let [outer, inner] = link.tags;
    if link.tag_count > 0 {
        packet.write(12, [outer]).ok_or(Reason::Internal)?;
    }
    if link.tag_count > 1 {
        packet.write(16, [inner]).ok_or(Reason::Internal)?;
    }
    // SAFETY: the helper only notes where the packet goes.
    unsafe { bpf_redirect(link.interface, 0) };
    Ok(())
}

/// The link that the frame came by, as its answers leave.
#[inline(always)]
pub(crate) fn back(ctx: &XdpContext, ip_at: u32) -> Option<Link> {
    let packet = Packet::new(ctx);
    let [r0, r1, r2, s0, s1, s2]: [u16; 6] = packet.read(0)?;
    let pair = |a: u16, b: u16| {
        u32::from_ne_bytes([a.to_ne_bytes()[0], a.to_ne_bytes()[1], b.to_ne_bytes()[0], b.to_ne_bytes()[1]])
    };
    let tag_count = (ip_at - ETHERNET_SIZE) / TAG_SIZE;
    let [outer] = if tag_count > 0 { packet.read(12)? } else { [0_u32] };
    let [inner] = if tag_count > 1 { packet.read(16)? } else { [0_u32] };
    Some(Link {
        interface: ctx.ingress_ifindex() as u32,
        macs: [pair(s0, s1), pair(s2, r0), pair(r1, r2)],
        tags: [outer, inner],
        tag_count,
    })
}
