//! The lab cleans up after itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use filter_tests::lab::{Datapath, Network, Setup, patience};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn exists(lab: &str) -> Result<bool> {
    let listed = Command::new("ip").args(["netns", "list"]).output()?;
    let in_list = String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.starts_with(lab));
    let pins = Path::new("/sys/fs/bpf/mtls-filter").join(lab);
    Ok(in_list || std::env::temp_dir().join(lab).exists() || pins.exists())
}

#[test]
fn nothing_is_left_of_a_lab_that_was_dropped() -> Result<()> {
    let lab = Setup::new(Datapath::Socket).start()?;
    let name = lab.name().to_owned();
    assert!(exists(&name)?);
    drop(lab);
    assert!(!exists(&name)?);
    Ok(())
}

#[test]
fn nothing_is_left_of_a_lab_whose_test_panicked() -> Result<()> {
    let mut name = String::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let lab = Setup::new(Datapath::Socket).start().expect("a lab");
        lab.name().clone_into(&mut name);
        panic!("on purpose");
    }));
    assert!(result.is_err() && !name.is_empty());
    assert!(!exists(&name)?);
    Ok(())
}

#[test]
fn nothing_is_left_of_a_lab_that_did_not_start() -> Result<()> {
    let name = &format!("mtls-lab-{}-half", std::process::id());
    // The second network cannot be made, because the first has its names.
    let first = Network::create(name)?;
    assert!(Network::create(name).is_err());
    drop(first);
    assert!(!exists(name)?);
    Ok(())
}

#[test]
#[ignore = "the other half of the tests that send signals, which run it in a process of its own"]
fn a_victim_waits_for_its_signal() -> Result<()> {
    let lab = Setup::new(Datapath::Socket).start()?;
    println!("lab {}", lab.name());
    std::thread::sleep(Duration::from_secs(60));
    Ok(())
}

/// Starts a lab in another process, ends that process with `signal`, and returns the lab's name.
fn signalled(signal: Signal) -> Result<String> {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "lab::a_victim_waits_for_its_signal", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().context("its output")?);
    let mut lines = output.lines().map_while(Result::ok);
    let name = lines.find_map(|line| line.split_once("lab mtls-lab").map(|(_, rest)| format!("mtls-lab{rest}")));
    kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
    child.wait()?;
    name.context("the victim did not start its lab")
}

#[test]
fn nothing_is_left_of_a_lab_that_was_interrupted() -> Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let name = signalled(signal)?;
        assert!(!exists(&name)?, "after {signal}");
    }
    Ok(())
}

#[test]
fn what_a_killed_process_left_is_removed_by_the_next() -> Result<()> {
    let name = signalled(Signal::SIGKILL)?;
    assert!(exists(&name)?, "a killed process cannot clean up");
    // Any lab of any new process will do.
    signalled(Signal::SIGINT)?;
    let deadline = Instant::now() + patience(Duration::from_secs(10));
    while exists(&name)? {
        assert!(Instant::now() < deadline, "{name} is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
