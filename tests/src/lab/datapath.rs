//! How packets reach the workers.

use std::fmt;

/// The daemon's `datapath` setting, as the lab asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Datapath {
    /// The best that loads: native, else generic, else socket.
    Auto,
    /// XDP in the driver.
    Native,
    /// XDP behind the driver, on socket buffers.
    Generic,
    /// No XDP at all: kernel sockets only.
    Socket,
}

impl Datapath {
    /// Whether an XDP program is attached to the edge's interface in this mode.
    #[must_use]
    pub fn has_xdp(self) -> bool {
        matches!(self, Self::Native | Self::Generic)
    }
}

impl fmt::Display for Datapath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Socket => "socket",
        })
    }
}
