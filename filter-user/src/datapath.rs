//! How packets reach the workers.

use std::fmt;
use std::io;
use std::net::TcpListener;

use crate::config::{self, Edge};

/// The data path in use.
#[derive(Debug)]
pub struct Datapath {
    mode: Mode,
    notes: Vec<String>,
}

/// What the data path is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The kernel's sockets alone.
    Socket,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socket => "socket",
        })
    }
}

impl Datapath {
    /// Chooses the data path.
    pub fn prepare(edge: &Edge, _listeners: &[Vec<TcpListener>]) -> io::Result<Self> {
        let _ = (edge, config::Datapath::Socket);
        Ok(Self { mode: Mode::Socket, notes: Vec::new() })
    }

    /// Attaches.
    pub fn attach<'h>(&mut self, _hosts: impl Iterator<Item = &'h str>) -> io::Result<()> {
        Ok(())
    }

    /// Mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Notes.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Packets.
    pub fn packets(&self) -> io::Result<Vec<(&'static str, u64, u64)>> {
        Ok(Vec::new())
    }
}
