//! Attaching to an interface of a network namespace of the test's own.

use std::{fs, net::SocketAddr, os::fd::AsFd as _, process::Command, thread};

use filter_user::kernel::{AttachedMode, Kernel, KernelConfig, KernelError, KernelPlan, Mode, Program};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::frame::{ACK, EDGE_V4, Frame, shapes};

/// Runs `test` on a thread in a new network namespace, which goes when the thread does.
pub(crate) fn in_namespace<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace needs root");
        test()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn config(interface: &str, mode: Mode) -> KernelConfig {
    KernelConfig {
        interface: interface.to_owned(),
        listen: vec![EDGE_V4.parse().unwrap()],
        mode,
        log_sample: 0,
        syn_cookies: false,
    }
}

#[test]
fn auto_is_native_where_the_driver_can_and_dropping_detaches() {
    in_namespace(|| {
        ip("link add edge type veth peer name client");
        let kernel = Kernel::load(&config("edge", Mode::Auto), &KernelPlan::default()).unwrap();
        assert_eq!((kernel.mode(), kernel.failed().len()), (AttachedMode::Native, 0));
        assert!(ip("link show edge").contains(" xdp "), "{}", ip("link show edge"));
        drop(kernel);
        assert!(!ip("link show edge").contains("xdp"));
    });
}

#[test]
fn auto_is_generic_where_the_driver_cannot_and_says_why() {
    in_namespace(|| {
        ip("link add edge type bridge");
        let kernel = Kernel::load(&config("edge", Mode::Auto), &KernelPlan::default()).unwrap();
        assert_eq!(kernel.mode(), AttachedMode::Generic);
        assert!(
            matches!(kernel.failed(), [(AttachedMode::Native, why)] if why.contains("not supported")),
            "{kernel:?}"
        );
        assert!(ip("link show edge").contains("xdpgeneric"));
    });
}

#[test]
fn native_alone_fails_where_the_driver_cannot() {
    in_namespace(|| {
        ip("link add edge type bridge");
        let error = Kernel::load(&config("edge", Mode::Native), &KernelPlan::default()).unwrap_err();
        assert!(matches!(&error, KernelError::Attach { tried, .. } if tried.len() == 1), "{error}");
        assert!(!ip("link show edge").contains("xdp"));
    });
}

#[test]
fn packets_are_logged_only_when_a_sample_is_asked_for() {
    let mut program = Program::load(&[EDGE_V4.parse().unwrap()], 0).unwrap();
    let mut log = program.take_log().unwrap();
    assert!(program.take_log().is_none(), "it can be taken once");
    let packet = Frame::tcp(ACK, []).build(shapes().next().unwrap());
    let mut has_lines_after_a_run = |program: &mut Program| {
        program.run(&packet, 1).unwrap();
        let mut fds = [PollFd::new(log.as_fd(), PollFlags::POLLIN)];
        let lines = poll(&mut fds, PollTimeout::ZERO).unwrap() > 0;
        log.flush();
        lines
    };
    assert!(!has_lines_after_a_run(&mut program));
    program.set_log_sample(1).unwrap();
    assert!(has_lines_after_a_run(&mut program));
    program.set_log_sample(0).unwrap();
    assert!(!has_lines_after_a_run(&mut program));
}

#[test]
fn settings_for_syn_cookies_are_made_shown_and_restored() {
    in_namespace(|| {
        ip("link add edge type veth peer name client");
        let value = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap().trim().to_owned();
        fs::write("/proc/sys/net/ipv4/tcp_syncookies", "1").unwrap();
        fs::write("/proc/sys/net/ipv4/tcp_timestamps", "1").unwrap();
        let config = KernelConfig { syn_cookies: true, ..config("edge", Mode::Auto) };
        let kernel = Kernel::load(&config, &KernelPlan::default()).unwrap();
        let shown: Vec<_> = kernel.settings().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["net.ipv4.tcp_syncookies = 2 (was 1)", "net.ipv4.tcp_timestamps = 2 (was 1)"]);
        assert_eq!((value("tcp_syncookies"), value("tcp_timestamps")), ("2".to_owned(), "2".to_owned()));
        // Somebody's own change in the meantime stays.
        fs::write("/proc/sys/net/ipv4/tcp_timestamps", "0").unwrap();
        drop(kernel);
        assert_eq!((value("tcp_syncookies"), value("tcp_timestamps")), ("1".to_owned(), "0".to_owned()));
    });
}

#[test]
fn a_missing_interface_is_named() {
    in_namespace(|| {
        let error = Kernel::load(&config("nowhere0", Mode::Auto), &KernelPlan::default()).unwrap_err();
        assert!(matches!(&error, KernelError::NoInterface { interface } if interface == "nowhere0"), "{error}");
    });
}

#[test]
fn a_plan_that_cannot_be_applied_attaches_nothing() {
    in_namespace(|| {
        ip("link add edge type veth peer name client");
        let error = Kernel::load(&config("edge", Mode::Auto), &KernelPlan::terminating(["*"])).unwrap_err();
        assert!(matches!(error, KernelError::HostName { .. }), "{error}");
        assert!(!ip("link show edge").contains("xdp"));
    });
}

#[test]
fn as_many_addresses_as_the_limit_can_be_listened_on() {
    let addresses = |count: u16| (1..=count).map(|port| SocketAddr::from(([192, 0, 2, 1], port))).collect::<Vec<_>>();
    Program::load(&addresses(64), 0).unwrap();
    let error = Program::load(&addresses(65), 0).unwrap_err();
    assert!(matches!(error, KernelError::TooManyAddresses { count: 65, max: 64 }), "{error}");
}
