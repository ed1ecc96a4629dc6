//! How much work each program of the eBPF object is for this kernel's verifier: one line a program, with its name, its instructions, and
//! those that the verifier walked through to accept it.
#![forbid(unsafe_code)]

use std::env;

use anyhow::{Context, Result};
use aya::{Ebpf, programs::Program};

fn main() -> Result<()> {
    let object = env::var_os("MTLS_FILTER_LAB_OBJECT").context("MTLS_FILTER_LAB_OBJECT names no object")?;
    let mut ebpf = Ebpf::load_file(object)?;
    for (name, program) in ebpf.programs_mut() {
        let info = match program {
            Program::Xdp(program) => program.load().and_then(|()| program.info()),
            Program::SkReuseport(program) => program.load().and_then(|()| program.info()),
            Program::SchedClassifier(program) => program.load().and_then(|()| program.info()),
            other => anyhow::bail!("{name} is of a type that this does not know: {:?}", other.prog_type()),
        };
        let info = info.with_context(|| format!("the kernel refuses {name}"))?;
        let translated = info.size_translated().context("the kernel does not tell a program's size")?;
        let verified = info.verified_instruction_count().context("the kernel does not tell what it verified")?;
        // An instruction has eight bytes.
        println!("verifier {name} {} {verified}", translated / 8);
    }
    Ok(())
}
