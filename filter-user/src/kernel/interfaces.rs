//! The interfaces that the program is attached to: the edge's, and those towards origins.

use std::{collections::BTreeMap, ops::ControlFlow};

use aya::programs::{
    SchedClassifier, TcAttachType, Xdp, XdpMode,
    tc::{self, SchedClassifierLinkId},
    xdp::XdpLinkId,
};
use filter_common::maps::{PROGRAM_EDGE, PROGRAM_REPLAY};

use super::{AttachedMode, KernelError, Mode, Program, error::with_causes, object};

/// Where the program is attached, and where it could not be.
#[derive(Debug)]
pub(super) struct Interfaces {
    mode: AttachedMode,
    attached: BTreeMap<u32, Attached>,
    refused: BTreeMap<u32, String>,
}

/// The program's links to an interface. They are cut when the program is dropped.
#[derive(Debug)]
struct Attached {
    _xdp: Option<XdpLinkId>,
    replay: Option<SchedClassifierLinkId>,
}

impl Interfaces {
    /// Attaches the program to the edge's interface, in the first mode that works. Returns as well what was tried before.
    pub(super) fn attach(
        program: &mut Program,
        name: &str,
        mode: Mode,
    ) -> Result<(Self, Vec<(AttachedMode, String)>), KernelError> {
        let no_interface = |_| KernelError::NoInterface { interface: name.to_owned() };
        let index = nix::net::if_::if_nametoindex(name).map_err(no_interface)?;
        let xdp = object::program::<Xdp>(&mut program.ebpf, PROGRAM_EDGE)?;
        let attempt = |mut failed: Vec<_>, &mode: &AttachedMode| match xdp.attach_to_if_index(index, flags(mode)) {
            Ok(link) => ControlFlow::Break((mode, link, failed)),
            Err(error) => {
                failed.push((mode, with_causes(&error)));
                ControlFlow::Continue(failed)
            }
        };
        match mode.attempts().iter().try_fold(Vec::new(), attempt) {
            ControlFlow::Break((mode, link, failed)) => {
                let attached = BTreeMap::from([(index, Attached { _xdp: Some(link), replay: None })]);
                Ok((Self { mode, attached, refused: BTreeMap::new() }, failed))
            }
            ControlFlow::Continue(tried) => Err(KernelError::Attach { interface: name.to_owned(), tried }),
        }
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
        if self.attached.get(&index).is_some_and(|attached| attached.replay.is_some()) {
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
            let xdp = object::program::<Xdp>(&mut program.ebpf, PROGRAM_EDGE).map_err(|error| with_causes(&error))?;
            let link = xdp.attach_to_if_index(index, flags(self.mode)).map_err(|error| with_causes(&error))?;
            self.attached.insert(index, Attached { _xdp: Some(link), replay: None });
        }
        // Before 6.6 the program is a filter of this queueing discipline, which may be there already.
        let _ = tc::qdisc_add_clsact(&name);
        let replay = object::program::<SchedClassifier>(&mut program.ebpf, PROGRAM_REPLAY);
        let replay = replay.map_err(|error| with_causes(&error))?;
        let link = replay.attach(&name, TcAttachType::Ingress).map_err(|error| with_causes(&error))?;
        if let Some(attached) = self.attached.get_mut(&index) {
            attached.replay = Some(link);
        }
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
