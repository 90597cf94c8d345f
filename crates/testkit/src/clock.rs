use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use model::{Seconds, UnixTime};
use tls::Clock;

/// A clock that stands still until it is moved. Clones move together.
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<AtomicU64>);

impl FakeClock {
    /// 2026-11-22T14:13:20Z.
    pub const START: UnixTime = UnixTime::from_secs(1_795_356_800);

    /// Lets time pass.
    pub fn advance(&self, by: Seconds) {
        self.0.fetch_add(by.0, Ordering::SeqCst);
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(Self::START.as_secs())))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.load(Ordering::SeqCst))
    }
}
