//! Running a guest.

use std::{
    fmt, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{console::Ending, kernel::Kernel};
use crate::{run::say, setup::guests::QEMU};

const MEMORY: &str = "2048";
const CPUS: &str = "2";
/// The end of a panic is the end of the guest. Emulated CPUs may share one real one with much else: what takes a real CPU 20 s is no lockup.
const COMMAND_LINE: &str = "console=ttyS0 loglevel=5 panic=-1 watchdog_thresh=60";
/// How many times slower than a real CPU an emulated one is, with which the lab's patience grows. It is 10 to 20 times slower; but what a
/// test waits for takes a small part of the time that it waits for it at most.
const SLOWNESS: &str = "MTLS_FILTER_LAB_SLOWNESS=5";
/// A kernel patches its own code behind a breakpoint. QEMU's translator now and then lets one CPU run into a breakpoint that another has just
/// taken away, and the kernel, which knows of none there any more, ends with this before it has started PID 1.
const TRANSLATORS_FAULT: &str = "Oops: int3";
/// How often a guest is booted that ends so.
const BOOTS: u32 = 3;
/// How long a guest may take to boot where the CPU runs it itself.
const PROBE: Duration = Duration::from_secs(15);

/// What runs a guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// The CPU.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

impl Accelerator {
    /// KVM if a guest really boots with it, which the existence of its device does not tell.
    pub(crate) fn choose(kernel: &Kernel, initramfs: &Path, scratch: &Path) -> Self {
        if fs::File::options().read(true).write(true).open("/dev/kvm").is_err() {
            return Self::Tcg;
        }
        let guest = Guest { accelerator: Self::Kvm, kernel, initramfs, fault: Some("none"), silence: PROBE };
        match guest.run(scratch, |_| {}) {
            Ok(Ending::Done) => Self::Kvm,
            _ => Self::Tcg,
        }
    }
}

/// A virtual machine to run once.
pub(crate) struct Guest<'a> {
    /// What runs it.
    pub(crate) accelerator: Accelerator,
    /// Its kernel.
    pub(crate) kernel: &'a Kernel,
    /// Its file system.
    pub(crate) initramfs: &'a Path,
    /// How it is to fail, if it is to.
    pub(crate) fault: Option<&'a str>,
    /// How long it may be silent.
    pub(crate) silence: Duration,
}

impl Guest<'_> {
    /// Runs it to its end, which may be one that it did not choose, and gives each line of its report to `line`. The kernel's console is
    /// kept in the file `console`.
    pub(crate) fn run(&self, console: &Path, mut line: impl FnMut(&str)) -> Result<Ending> {
        let mut boots = 1;
        loop {
            let (last, text, stalled) = self.boot(console, &mut line)?;
            if !(self.accelerator == Accelerator::Tcg && is_translators_fault(&last, &text) && boots < BOOTS) {
                return Ok(Ending::judge(&last, &text, stalled));
            }
            say("QEMU's translator let the guest's kernel run into a breakpoint of its own; booting again");
            boots += 1;
        }
    }

    /// Runs it once. Returns the last line of its report, what its kernel said, and after how many seconds of silence it was ended.
    fn boot(&self, console: &Path, line: &mut impl FnMut(&str)) -> Result<(String, String, Option<u64>)> {
        let mut child = Ended(self.command(console).spawn().with_context(|| format!("cannot start {QEMU}"))?);
        let report = child.0.stdout.take().context("QEMU's output is a pipe")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(report).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let (mut last, mut stalled) = (String::new(), None);
        loop {
            match lines.recv_timeout(self.silence) {
                Ok(text) => {
                    line(&text);
                    last = text;
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    stalled = Some(self.silence.as_secs());
                    break;
                }
            }
        }
        drop(child);
        let console = fs::read(console).with_context(|| format!("cannot read {}", console.display()))?;
        Ok((last, String::from_utf8_lossy(&console).into_owned(), stalled))
    }

    fn command(&self, console: &Path) -> Command {
        let mut qemu = Command::new(QEMU);
        // With all the features there are: a guest has no entropy but what the CPU's own generator gives it.
        qemu.args(["-accel", &self.accelerator.to_string(), "-cpu", "max", "-smp", CPUS, "-m", MEMORY]);
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        qemu.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(self.initramfs);
        // What the kernel does not know becomes PID 1's: what has a value, its environment, and what stands behind `--`, its arguments.
        let slowness = if self.accelerator == Accelerator::Tcg { format!(" {SLOWNESS}") } else { String::new() };
        let fault = self.fault.map(|fault| format!(" -- {fault}")).unwrap_or_default();
        qemu.arg("-append").arg(format!("{COMMAND_LINE}{slowness}{fault}"));
        qemu.arg("-serial").arg(format!("file:{}", console.display()));
        qemu.args(["-chardev", "stdio,id=report,signal=off", "-serial", "chardev:report"]);
        qemu.stdin(Stdio::null()).stdout(Stdio::piped());
        if self.fault.is_some() {
            // It is expected to end badly.
            qemu.stderr(Stdio::null());
        }
        qemu
    }
}

/// Whether a guest that ended so never came to run anything of ours.
fn is_translators_fault(last_line: &str, console: &str) -> bool {
    last_line.is_empty() && console.contains(TRANSLATORS_FAULT)
}

/// A process that does not outlive this value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Gone already, where it ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guest_that_never_spoke_is_booted_again() {
        let console = "[    2.926720] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI\n[    2.930942] Kernel panic - not syncing: Fatal exception in interrupt";
        assert!(is_translators_fault("", console));
        assert!(!is_translators_fault("guest: up 6.12.117", console));
        assert!(!is_translators_fault("", "[    2.1] Kernel panic - not syncing: sysrq triggered crash"));
        assert!(!is_translators_fault("", ""));
    }
}
