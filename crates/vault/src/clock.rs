//! The machine's own clocks, which nobody can set back.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long the machine has run, with and without the time that it was suspended.
pub(crate) trait Clock: Send + Sync {
    /// Without: CLOCK_MONOTONIC.
    fn awake(&self) -> Duration;
    /// With: CLOCK_BOOTTIME.
    fn since_boot(&self) -> Duration;
}

/// The computer's clocks.
pub(crate) struct Machine;

impl Clock for Machine {
    fn awake(&self) -> Duration {
        read(ClockId::Monotonic)
    }

    fn since_boot(&self) -> Duration {
        #[cfg(target_os = "linux")]
        return read(ClockId::Boottime);
        // Elsewhere a suspended machine is noticed by the caller's clock alone.
        #[cfg(not(target_os = "linux"))]
        read(ClockId::Monotonic)
    }
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}
