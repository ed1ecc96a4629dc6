//! Kernel/user ABI of mtls-filter.
#![no_std]
