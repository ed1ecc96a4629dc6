//! Running the program on one packet again and again.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp};
use filter_common::bench::{MEASURED, PROGRAM_AGAIN, PROGRAM_NOTHING, TEMPLATE, TEMPLATE_BYTES, Template};
use filter_user::kernel::Program;

/// The program that puts the packet back, with the one that it goes on to.
pub(crate) struct Bench {
    ebpf: Ebpf,
    template: Array<MapData, Template>,
    measured: ProgramArray<MapData>,
    edge: ProgramFd,
    nothing: ProgramFd,
}

impl Bench {
    pub(crate) fn load(program: &mut Program) -> Result<Self> {
        let object = std::env::var_os("MTLS_FILTER_BPF_OBJECT").context("`cargo xtask bench` names the eBPF object")?;
        let object = PathBuf::from(object).with_file_name(PROGRAM_AGAIN);
        let mut ebpf = Ebpf::load_file(&object).with_context(|| format!("cannot load {}", object.display()))?;
        let mut take = |name| ebpf.take_map(name).with_context(|| format!("no map {name}"));
        let (template, measured) = (take(TEMPLATE)?.try_into()?, take(MEASURED)?.try_into()?);
        let mut load = |name| -> Result<ProgramFd> {
            let xdp: &mut Xdp = ebpf.program_mut(name).context("no program")?.try_into()?;
            xdp.load()?;
            Ok(xdp.fd()?.try_clone()?)
        };
        load(PROGRAM_AGAIN)?;
        let nothing = load(PROGRAM_NOTHING)?;
        Ok(Self { ebpf, template, measured, edge: program.edge_program()?, nothing })
    }

    /// Nanoseconds that one packet takes with the program, and without it; fails if it does not end in this action.
    pub(crate) fn measure(&mut self, packet: &[u8], repeat: u32, action: u32) -> Result<(f64, f64)> {
        let mut template = Template { length: packet.len() as u32, bytes: [0; TEMPLATE_BYTES] };
        template.bytes[..packet.len()].copy_from_slice(packet);
        self.template.set(0, template, 0)?;
        self.measured.set(0, &self.nothing, 0)?;
        let (nothing, _) = self.run(packet, repeat)?;
        self.measured.set(0, &self.edge, 0)?;
        let (whole, found) = self.run(packet, repeat)?;
        ensure!(found == action, "action {found}, and {action} was expected");
        Ok((whole, nothing))
    }

    fn run(&mut self, packet: &[u8], repeat: u32) -> Result<(f64, u32)> {
        let xdp: &mut Xdp = self.ebpf.program_mut(PROGRAM_AGAIN).context("no program")?.try_into()?;
        let result = xdp.test_run(TestRunOptions { data_in: Some(packet), repeat, ..TestRunOptions::default() })?;
        Ok((result.duration.as_nanos() as f64, result.return_value))
    }
}
