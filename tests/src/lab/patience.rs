//! How long the lab waits for what should have come long ago.

use std::env;
use std::sync::LazyLock;
use std::time::Duration;

/// Environment variable that says how many times slower this machine is than those that the lab's times are for. `cargo xtask vm` sets it
/// in guests whose CPUs are emulated.
pub const SLOWNESS_VARIABLE: &str = "MTLS_FILTER_LAB_SLOWNESS";

static SLOWNESS: LazyLock<u32> = LazyLock::new(|| {
    let Some(value) = env::var_os(SLOWNESS_VARIABLE) else { return 1 };
    let number = value.to_str().and_then(|value| value.parse().ok()).filter(|number| *number > 0);
    number.unwrap_or_else(|| panic!("{SLOWNESS_VARIABLE} is {value:?}, not a number of times"))
});

/// A time that is there to notice that something hangs, or in which a program must have come so far, on the machine that this is.
///
/// Never a time that the filter keeps: that is the same on every machine.
#[must_use]
pub fn patience(usual: Duration) -> Duration {
    usual * *SLOWNESS
}
