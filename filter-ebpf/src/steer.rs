//! Choosing the worker of a new connection.

use aya_ebpf::{
    EbpfContext as _, bindings::bpf_sock, helpers::generated::bpf_get_smp_processor_id, programs::SkReuseportContext,
};
use filter_common::{
    layout::{Address, ListenKey},
    maps::CPUS_MAX,
};

use crate::maps;

const AF_INET: u32 = 2;

/// Selects the listener of the worker that is pinned to this CPU. `None` if the group is not known or this CPU has no worker.
#[inline(always)]
pub(crate) fn to_this_cpu(ctx: &SkReuseportContext) -> Option<()> {
    let group = maps::GROUPS.get_ptr(bound_to(ctx))?;
    // SAFETY: the entry was just found; groups are written before the program is attached and stay.
    let first_socket = unsafe { (*group).first_socket };
    // SAFETY: the helper takes nothing and touches nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    if cpu >= CPUS_MAX {
        return None;
    }
    maps::SOCKETS.select_reuseport(ctx, first_socket + cpu).ok()
}

/// The address that the group's listeners are bound to.
#[inline(always)]
fn bound_to(ctx: &SkReuseportContext) -> ListenKey {
    let listener: *const bpf_sock = ctx.sk().as_ptr().cast_const().cast();
    // SAFETY: the kernel gives a listener of the group with the context. The verifier allows whole fields at their offsets, so
    // the reads are volatile: LLVM may neither split them nor take the address of one.
    let field = |field: *const u32| unsafe { field.read_volatile() };
    // SAFETY: only places are computed here.
    let (family, port, v4, v6) = unsafe {
        (
            &raw const (*listener).family,
            &raw const (*listener).src_port,
            &raw const (*listener).src_ip4,
            &raw const (*listener).src_ip6,
        )
    };
    // Addresses are in network order, the port is not. All are read before any is chosen: or LLVM makes one read of two, at an
    // offset that depends on the family.
    let v4 = Address::from_v4(field(v4));
    let word = |index: usize| field(v6.cast::<u32>().wrapping_add(index));
    let v6 = Address([word(0), word(1), word(2), word(3)]);
    let address = if field(family) == AF_INET { v4 } else { v6 };
    ListenKey { address, port: (field(port) as u16).to_be(), padding: 0 }
}
