//! Hiding a value from the optimiser.

/// Returns `value`, about which the compiler then knows nothing.
///
/// LLVM removes a mask or a bounds check when it can prove it needless, from facts that the kernel's verifier does not see;
/// the verifier then refuses the access. A mask applied after this function survives. In userspace it does nothing.
#[inline(always)]
#[must_use]
pub fn opaque(value: u32) -> u32 {
    opaque_address(value as usize) as u32
}

/// The same for an address: the verifier sees a copied pointer, the compiler sees any number.
#[inline(always)]
#[must_use]
pub fn opaque_address(value: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value as u64;
        // SAFETY: the instruction copies a register to itself and touches neither memory nor the stack. It is not `pure`,
        // because LLVM would then be free to merge two of them.
        unsafe { core::arch::asm!("{0} = {0}", inout(reg) value, options(nomem, nostack)) };
        value as usize
    }
    #[cfg(not(target_arch = "bpf"))]
    value
}

/// The same for a reference: what was written by way of it before is read again from memory. The verifier then takes it for any
/// value, though it saw it written.
#[inline(always)]
#[must_use]
pub fn opaque_mut<T>(value: &mut T) -> &mut T {
    let address = opaque_address(core::ptr::from_mut(value).expose_provenance());
    // SAFETY: the address of a reference that nobody else uses as long as this one lives.
    unsafe { &mut *core::ptr::with_exposed_provenance_mut(address) }
}
