//! Why a packet was passed, dropped or answered.

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// On to the kernel.
    Pass,
    /// Gone.
    Drop,
    /// Answered: what leaves by the interface it came from is what the packet was rewritten to.
    Transmit,
    /// Rewritten, and sent by the interface that its flow leaves by.
    Redirect,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal, $action:ident;)+) => {
        /// The one reason under which a packet is counted.
        ///
        /// "Passed" always means that userspace decides; only what userspace would refuse as well is dropped or reset.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant = $number,)+
        }

        impl Reason {
            /// Every reason, in the order of their numbers.
            pub const ALL: [Self; REASONS as usize] = [$(Self::$variant),+];

            /// What becomes of a packet counted under this reason.
            #[inline(always)]
            #[must_use]
            pub const fn action(self) -> Action {
                match self {
                    $(Self::$variant => Action::$action,)+
                }
            }

            /// Its name in metrics, logs and events.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The reason with this number.
            #[must_use]
            pub const fn from_u32(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        /// How many reasons there are: the size of the counters' map.
        pub const REASONS: u32 = [$($number),+].len() as u32;
    };
}

reasons! {
    /// Neither IPv4 nor IPv6, or below more than two VLAN tags.
    NotIp = 0, "not_ip", Pass;
    /// A header is cut short or contradicts itself.
    Malformed = 1, "malformed", Pass;
    /// IPv6 with more extension headers than are followed, or one that is not known.
    ExtensionHeaders = 2, "extension_headers", Pass;
    /// A fragment of an IP packet; the kernel puts them together.
    Fragment = 3, "fragment", Pass;
    /// Neither TCP nor UDP.
    OtherProtocol = 4, "other_protocol", Pass;
    /// To an address or port the filter does not listen on.
    OtherAddress = 5, "other_address", Pass;
    /// UDP to a listen address: QUIC would be a second door.
    Udp = 6, "udp", Drop;
    /// TCP without data: handshake, acknowledgement, end.
    Control = 7, "control", Pass;
    /// TCP data that does not begin with a ClientHello.
    Data = 8, "data", Pass;
    /// The ClientHello goes on in a later packet and its name is not in this one.
    HelloIncomplete = 9, "hello_incomplete", Pass;
    /// A ClientHello whose lengths contradict each other, or with a server_name of an unexpected form.
    HelloMalformed = 10, "hello_malformed", Pass;
    /// A whole ClientHello without server_name.
    HelloNoName = 11, "hello_no_name", Pass;
    /// More extensions than are looked at, none of them server_name.
    HelloTooManyExtensions = 12, "hello_too_many_extensions", Pass;
    /// A name longer than is looked up.
    HelloNameTooLong = 13, "hello_name_too_long", Pass;
    /// A name that could be an address or ends with a dot: not found, but userspace may read it otherwise.
    HelloNameUnusual = 14, "hello_name_unusual", Pass;
    /// A configured host whose connections a worker terminates.
    HostTerminate = 15, "host_terminate", Pass;
    /// A host that is not configured: reset.
    HostUnknown = 16, "host_unknown", Transmit;
    /// A defect of the program: a helper refused what cannot be refused.
    Internal = 17, "internal", Pass;
    /// A SYN, answered with a cookie; nothing is kept of it.
    SynAnswered = 18, "syn_answered", Transmit;
    /// The ACK that ends a handshake; the cookie comes again with the first data.
    HandshakeAck = 19, "handshake_ack", Drop;
    /// Of a connection that lives in the kernel.
    Established = 20, "established", Pass;
    /// Neither a valid cookie nor a connection of the kernel.
    CookieInvalid = 21, "cookie_invalid", Drop;
    /// The client ends a connection on which it has said nothing: reset, as there is nothing to end.
    ClosedEarly = 22, "closed_early", Transmit;
    /// A SYN from a network that the rules block whatever the request.
    Denied = 23, "denied", Drop;
    /// A SYN from an address that is punished for what it did before.
    Punished = 24, "punished", Drop;
    /// A ClientHello for a spliced host, turned into a SYN to its origin.
    SpliceOpened = 25, "splice_opened", Redirect;
    /// The same ClientHello again, as the origin has not answered yet: another SYN.
    SpliceRetried = 26, "splice_retried", Redirect;
    /// From a client whose origin has not answered yet: kept, or left for the client to repeat.
    SpliceHeld = 27, "splice_held", Drop;
    /// An origin's answer, which the traffic-control program turns into what the client said.
    SpliceAnswered = 28, "splice_answered", Pass;
    /// Of a spliced connection, from the client.
    SpliceFromClient = 29, "splice_from_client", Redirect;
    /// Of a spliced connection, from the origin.
    SpliceFromOrigin = 30, "splice_from_origin", Redirect;
    /// A router's message that a packet of a spliced connection is too big.
    SpliceTooBig = 31, "splice_too_big", Redirect;
    /// An origin refused a connection: what the client repeats is a worker's.
    SpliceRefused = 32, "splice_refused", Drop;
    /// A spliced host has no origin that can be spliced to, or it does not answer: a worker's.
    SpliceNoOrigin = 33, "splice_no_origin", Pass;
    /// No room for another spliced connection, or no port: a worker's.
    SpliceNoRoom = 34, "splice_no_room", Pass;
    /// The client can what its origin cannot: a worker's.
    SpliceUnfit = 35, "splice_unfit", Pass;
    /// Of a connection that nothing knows of: reset.
    FlowUnknown = 36, "flow_unknown", Transmit;
    /// Of a spliced connection, but at the end of its time to live.
    SpliceExpired = 37, "splice_expired", Drop;
    /// A host that is not configured, but there were too many resets to unverified addresses in this second: a worker's.
    ResetLimited = 38, "reset_limited", Pass;
}

impl From<Reason> for u32 {
    fn from(reason: Reason) -> Self {
        reason as Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_go_both_ways() {
        for (number, reason) in (0..).zip(Reason::ALL) {
            assert_eq!(u32::from(reason), number);
            assert_eq!(Reason::from_u32(number), Some(reason));
        }
        assert_eq!(Reason::from_u32(REASONS), None);
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
