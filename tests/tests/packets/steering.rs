//! New connections and the workers they are given to.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
};

use filter_user::kernel::{Group, KernelError, Steering};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use socket2::{Domain, Socket, Type};

use crate::loader::{in_namespace, ip};

pub(crate) fn listeners(address: SocketAddr, count: usize) -> Vec<TcpListener> {
    let mut address = address;
    let mut listeners = Vec::new();
    for _ in 0..count {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(128).unwrap();
        address = socket.local_addr().unwrap().as_socket().unwrap();
        listeners.push(TcpListener::from(socket));
    }
    listeners
}

pub(crate) fn group<'a>(listeners: &'a [TcpListener], cpus: &[u32]) -> Group<'a> {
    let workers = cpus.iter().copied().zip(listeners.iter().map(|listener| listener.as_fd())).collect();
    Group { listen: listeners[0].local_addr().unwrap(), workers }
}

fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32)
}

/// Connects from `cpu`: on the loopback interface the packet is handled by the CPU that sent it.
fn connect_from(cpu: u32, address: SocketAddr) -> TcpStream {
    let mut set = CpuSet::new();
    set.set(cpu as usize).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
    TcpStream::connect(address).unwrap()
}

fn accepted(listeners: &[TcpListener]) -> Vec<usize> {
    listeners.iter().map(|listener| std::iter::from_fn(|| listener.accept().ok()).count()).collect()
}

#[test]
fn connections_go_to_the_worker_of_the_cpu_on_every_address() {
    in_namespace(|| {
        ip("link set lo up");
        let cpus = cpus();
        let all: Vec<u32> = (0..cpus).collect();
        let groups = ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0", "0.0.0.0:0"]
            .map(|address| listeners(address.parse().unwrap(), cpus as usize));
        let _steering =
            Steering::attach(&groups.iter().map(|group_of| group(group_of, &all)).collect::<Vec<_>>()).unwrap();
        for listeners in &groups {
            let mut address = listeners[0].local_addr().unwrap();
            if address.ip().is_unspecified() {
                address.set_ip([127, 0, 0, 1].into());
            }
            for cpu in 0..cpus {
                let _streams: Vec<_> = (0..40).map(|_| connect_from(cpu, address)).collect();
                let expected: Vec<usize> = (0..cpus).map(|worker| if worker == cpu { 40 } else { 0 }).collect();
                assert_eq!(accepted(listeners), expected, "{address} from CPU {cpu}");
            }
        }
    });
}

#[test]
fn a_cpu_without_worker_leaves_the_choice_to_the_kernel() {
    in_namespace(|| {
        ip("link set lo up");
        // Two workers for a CPU that does not exist here: nothing can be selected.
        let listeners = listeners("127.0.0.1:0".parse().unwrap(), 2);
        let _steering = Steering::attach(&[group(&listeners, &[254, 255])]).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let _streams: Vec<_> = (0..200).map(|_| connect_from(0, address)).collect();
        let accepted = accepted(&listeners);
        assert_eq!(accepted.iter().sum::<usize>(), 200);
        assert!(accepted.iter().all(|&count| count > 0), "by hash, both get some: {accepted:?}");
    });
}

#[test]
fn cpus_up_to_the_limit_can_be_steered_to() {
    in_namespace(|| {
        ip("link set lo up");
        let listeners = listeners("127.0.0.1:0".parse().unwrap(), 1);
        assert!(Steering::attach(&[group(&listeners, &[255])]).is_ok());
        let error = Steering::attach(&[group(&listeners, &[256])]).unwrap_err();
        assert!(matches!(error, KernelError::Cpu { cpu: 256, max: 256 }), "{error}");
    });
}
