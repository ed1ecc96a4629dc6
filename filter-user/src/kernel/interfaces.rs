//! The interfaces that the program is attached to: the edge's, and those towards origins.

use std::collections::BTreeMap;

use aya::programs::{SchedClassifier, TcAttachType, Xdp, XdpMode, tc};
use filter_common::maps::{PROGRAM_EDGE, PROGRAM_REPLAY};

use super::{
    AttachedMode, KernelError, Mode, Program,
    error::with_causes,
    object,
    pins::{Pins, detach_replay},
};

/// Where the program is attached, and where it could not be.
#[derive(Debug)]
pub(super) struct Interfaces {
    mode: AttachedMode,
    /// Present if links are to outlive the process.
    pins: Option<Pins>,
    attached: BTreeMap<u32, Attached>,
    refused: BTreeMap<u32, String>,
}

/// What is attached to an interface beside the program itself. Links that are not pinned are cut when the program is dropped.
#[derive(Debug)]
struct Attached {
    replays: bool,
}

impl Interfaces {
    /// Attaches the program to the edge's interface, in the first mode that works. Returns as well what was tried before. With
    /// pins, it takes the place of the program that a process which is gone has left there.
    pub(super) fn attach(
        program: &mut Program,
        name: &str,
        mode: Mode,
        pins: Option<Pins>,
    ) -> Result<(Self, Vec<(AttachedMode, String)>), KernelError> {
        let no_interface = |_| KernelError::NoInterface { interface: name.to_owned() };
        let index = nix::net::if_::if_nametoindex(name).map_err(no_interface)?;
        let left = pins.as_ref().map_or_else(Vec::new, |pins| pins.swap(&mut program.ebpf, mode.attempts()));
        let attached = left.iter().map(|&(index, _, replays)| (index, Attached { replays })).collect();
        let mut interfaces = Self { mode: AttachedMode::Native, pins, attached, refused: BTreeMap::new() };
        if let Some((_, mode, _)) = left.iter().find(|(left, ..)| *left == index) {
            interfaces.mode = *mode;
            return Ok((interfaces, Vec::new()));
        }
        let mut failed = Vec::new();
        for &mode in mode.attempts() {
            interfaces.mode = mode;
            match interfaces.attach_xdp(program, index) {
                Ok(()) => return Ok((interfaces, failed)),
                Err(why) => failed.push((mode, why)),
            }
        }
        Err(KernelError::Attach { interface: name.to_owned(), tried: failed })
    }

    /// How the program is attached.
    pub(super) fn mode(&self) -> AttachedMode {
        self.mode
    }

    /// Interfaces towards origins that the program could not be attached to, and why; what goes that way, workers relay.
    pub(super) fn refused(&self) -> impl Iterator<Item = (String, &str)> {
        self.refused.iter().map(|(index, why)| (name(*index).unwrap_or_else(|_| index.to_string()), why.as_str()))
    }

    /// Attaches what is needed to splice by an interface, in the same mode as at the edge; whether all is there.
    pub(super) fn ensure(&mut self, program: &mut Program, index: u32) -> bool {
        if self.attached.get(&index).is_some_and(|attached| attached.replays) {
            return true;
        }
        if self.refused.contains_key(&index) {
            return false;
        }
        match self.try_ensure(program, index) {
            Ok(()) => true,
            Err(why) => {
                let interface = name(index).unwrap_or_else(|_| index.to_string());
                tracing::warn!(interface, why, "nothing can be spliced to origins behind this interface");
                self.refused.insert(index, why);
                false
            }
        }
    }

    fn try_ensure(&mut self, program: &mut Program, index: u32) -> Result<(), String> {
        let name = name(index).map_err(|error| error.to_string())?;
        if !self.attached.contains_key(&index) {
            self.attach_xdp(program, index)?;
        }
        // Before 6.6 the program is a filter of this queueing discipline, which may be there already, with the filter of a
        // process that is gone.
        let _ = tc::qdisc_add_clsact(&name);
        detach_replay(index);
        let replay = object::program::<SchedClassifier>(&mut program.ebpf, PROGRAM_REPLAY);
        let replay = replay.map_err(|error| with_causes(&error))?;
        let link = replay.attach(&name, TcAttachType::Ingress).map_err(|error| with_causes(&error))?;
        if let Some(pins) = &self.pins {
            let link = replay.take_link(link).map_err(|error| with_causes(&error))?;
            pins.keep_replay(index, link)?;
        }
        self.attached.insert(index, Attached { replays: true });
        Ok(())
    }

    fn attach_xdp(&mut self, program: &mut Program, index: u32) -> Result<(), String> {
        let xdp = object::program::<Xdp>(&mut program.ebpf, PROGRAM_EDGE).map_err(|error| with_causes(&error))?;
        let link = xdp.attach_to_if_index(index, flags(self.mode)).map_err(|error| with_causes(&error))?;
        if let Some(pins) = &self.pins {
            let link = xdp.take_link(link).map_err(|error| with_causes(&error))?;
            pins.keep_xdp(self.mode, index, link)?;
        }
        self.attached.insert(index, Attached { replays: false });
        Ok(())
    }
}

fn flags(mode: AttachedMode) -> XdpMode {
    match mode {
        AttachedMode::Native => XdpMode::Driver,
        AttachedMode::Generic => XdpMode::Skb,
    }
}

fn name(index: u32) -> nix::Result<String> {
    nix::net::if_::if_indextoname(index).map(|name| name.to_string_lossy().into_owned())
}
