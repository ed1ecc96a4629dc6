//! Gets the best packet plane that this machine can do, and says what it does without.

use std::path::Path;

use thiserror::Error;

use super::pins::{self, PinDirectory, PinError};
use crate::config::{self, Edge};
use crate::kernel::{Kernel, KernelConfig, KernelError, KernelPlan, Mode, with_causes};

/// Why there is no data path as it was asked for.
#[derive(Debug, Error)]
pub enum DatapathError {
    /// XDP cannot be had.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The directory for what is to outlive this process is another's.
    #[error(transparent)]
    Pins(#[from] PinError),
}

/// What there is.
#[derive(Default)]
pub(super) struct Loaded {
    /// Absent without XDP.
    pub(super) kernel: Option<Kernel>,
    /// Where it is pinned, if it is.
    pub(super) pins: Option<PinDirectory>,
}

/// Loads the packet plane that `edge` asks for. Pinned if connections may be spliced: they are to outlive this process.
pub(super) fn load(
    edge: &Edge,
    packet_log: u32,
    plan: &KernelPlan,
    may_splice: bool,
    notes: &mut Vec<String>,
) -> Result<Loaded, DatapathError> {
    let mode = match edge.datapath {
        config::Datapath::Auto => Mode::Auto,
        config::Datapath::Native => Mode::Native,
        config::Datapath::Generic => Mode::Generic,
        config::Datapath::Socket => return without_xdp(&edge.pin, notes),
    };
    let mut without = Vec::new();
    let pins = if may_splice {
        pins(&edge.pin, &mut without)?
    } else {
        detach_left(&edge.pin, notes)?;
        None
    };
    // The configuration has an interface unless the data path is `socket`.
    let interface = edge.interface.clone().unwrap_or_default();
    let (listen, log_sample, syn_cookies) = (edge.listen.clone(), packet_log, edge.syn_cookies);
    match attempt(KernelConfig { interface, listen, mode, log_sample, syn_cookies }, plan, pins, &mut without) {
        Ok(loaded) => {
            notes.append(&mut without);
            Ok(loaded)
        }
        Err(error) if edge.datapath == config::Datapath::Auto => {
            notes.push(format!("XDP cannot be used: {}", with_causes(&error)));
            without_xdp(&edge.pin, notes)
        }
        Err(error) => Err(error.into()),
    }
}

/// Loads it, if need be without what is dispensable.
fn attempt(
    mut config: KernelConfig,
    plan: &KernelPlan,
    mut pins: Option<PinDirectory>,
    without: &mut Vec<String>,
) -> Result<Loaded, KernelError> {
    loop {
        let loaded = match &pins {
            Some(pins) => Kernel::load_pinned(&config, plan, pins.path()),
            None => Kernel::load(&config, plan),
        };
        match (loaded, pins.take()) {
            (Ok(kernel), pins) => {
                without.extend(
                    kernel.failed().iter().map(|(mode, why)| format!("XDP in {mode} mode cannot be used: {why}")),
                );
                return Ok(Loaded { kernel: Some(kernel), pins });
            }
            // As in a container with /proc/sys read-only: XDP without cookies is better than none, and as safe.
            (Err(error @ KernelError::Setting { .. }), same) if config.syn_cookies => {
                without.push(format!("SYNs are not answered with cookies: {}", with_causes(&error)));
                config.syn_cookies = false;
                pins = same;
            }
            (Err(error @ KernelError::Pin { .. }), Some(pins)) => {
                without.push(unpinned(&error));
                pins.detach();
            }
            (Err(error), _) => return Err(error),
        }
    }
}

/// The directory for pins. Where there can be none, XDP does without; only another process's is not to be touched.
fn pins(path: &Path, without: &mut Vec<String>) -> Result<Option<PinDirectory>, PinError> {
    match PinDirectory::take(path) {
        Ok(pins) => Ok(Some(pins)),
        Err(error @ PinError::InUse(_)) => Err(error),
        Err(error) => {
            without.push(unpinned(&error));
            Ok(None)
        }
    }
}

fn unpinned(error: &dyn std::error::Error) -> String {
    format!("connections that are spliced will end with this process: {}", with_causes(error))
}

fn without_xdp(pin: &Path, notes: &mut Vec<String>) -> Result<Loaded, DatapathError> {
    detach_left(pin, notes)?;
    Ok(Loaded::default())
}

/// Takes away the program of a process that is gone: it would go on splicing by the rules of then.
fn detach_left(pin: &Path, notes: &mut Vec<String>) -> Result<(), PinError> {
    match pins::detach(pin) {
        Ok(true) => tracing::info!(pin = %pin.display(), "detached the XDP program that an earlier process had left"),
        Ok(false) | Err(PinError::NoBpf(_)) => {}
        Err(error @ PinError::InUse(_)) => return Err(error),
        Err(error) => {
            notes.push(format!("an XDP program may have been left by an earlier process: {}", with_causes(&error)));
        }
    }
    Ok(())
}
