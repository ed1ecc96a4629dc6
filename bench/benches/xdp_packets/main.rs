//! What each kind of packet costs in the XDP program, in the kernel (`BPF_PROG_TEST_RUN`), without a network card.
//!
//! The program rewrites packets, so each run begins by putting the packet back (`filter-ebpf/src/bin/again.rs`); what that costs is
//! measured with the same packet, and taken away. Kinds take turns, so that whatever else the machine does falls on all of them.
//! The figures are differences of the rounds' medians and of their least: on a machine that others use too, the medians tell of them as
//! well, the least only of the program.
#![forbid(unsafe_code)]
#![expect(clippy::indexing_slicing, reason = "packets of the bench's own making")]

mod frames;
mod kernel;
mod scene;

use std::thread;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, unshare};
use nix::unistd::Pid;

use kernel::Bench;
use scene::{Case, Scene};

const ROUNDS: usize = 21;
/// Runs in a row: enough that a processor which was idle is awake for nearly all of them.
const REPEAT: u32 = 50_000;

fn main() -> Result<()> {
    // In a network namespace of the thread's own, on one CPU: the program's memory is of each CPU.
    let bench = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).context("a network namespace needs root")?;
        let mut cpu = CpuSet::new();
        cpu.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &cpu)?;
        measure()
    });
    bench.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn measure() -> Result<()> {
    let mut scene = Scene::new()?;
    let mut bench = Bench::load(&mut scene.program)?;
    // `cargo bench` says `--bench`; what else it is given is a part of the names that are wanted.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let cases_of = |scene: &mut Scene| -> Result<Vec<Case>> {
        Ok(scene.cases()?.into_iter().filter(|case| case.name.contains(&wanted)).collect())
    };
    let mut cases = cases_of(&mut scene)?;
    let mut figures = vec![Figures::default(); cases.len()];
    for _ in 0..ROUNDS {
        for (case, figures) in cases.iter().zip(&mut figures) {
            figures.add(bench.measure(&case.packet, REPEAT, case.action)?);
        }
        // With cookies of now.
        cases = cases_of(&mut scene)?;
    }
    println!("{:<44}{:>10}{:>10}{:>10}", "", "median ns", "least", "goal");
    for (Case { name, goal, .. }, figures) in cases.iter().zip(&mut figures) {
        let goal = goal.map_or_else(String::new, |goal| format!("<= {goal}"));
        println!("{name:<44}{:>10.0}{:>10.0}{goal:>10}", figures.difference(ROUNDS / 2), figures.difference(0));
    }
    Ok(())
}

/// What was measured of one kind of packet.
#[derive(Clone, Default)]
struct Figures {
    whole: Vec<f64>,
    nothing: Vec<f64>,
}

impl Figures {
    fn add(&mut self, (whole, nothing): (f64, f64)) {
        self.whole.push(whole);
        self.nothing.push(nothing);
    }

    /// What the program adds, by the rounds of this rank.
    fn difference(&mut self, rank: usize) -> f64 {
        let [whole, nothing] = [&mut self.whole, &mut self.nothing].map(|figures| {
            figures.sort_by(f64::total_cmp);
            figures[rank]
        });
        whole - nothing
    }
}
