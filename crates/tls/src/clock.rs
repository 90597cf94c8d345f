use std::{fmt::Debug, time::SystemTime};

use model::UnixTime;

/// Where the time comes from, so that tests can move it.
pub trait Clock: Send + Sync + Debug {
    /// The present instant.
    fn now(&self) -> UnixTime;
}

/// The computer's own clock.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixTime::from_secs(since.as_secs())
    }
}

/// A clock as rustls reads it.
#[derive(Debug)]
pub(crate) struct RustlsTime(pub(crate) std::sync::Arc<dyn Clock>);

impl rustls::time_provider::TimeProvider for RustlsTime {
    fn current_time(&self) -> Option<pki_types::UnixTime> {
        Some(to_pki(self.0.now()))
    }
}

pub(crate) fn to_pki(instant: UnixTime) -> pki_types::UnixTime {
    pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(instant.as_secs()))
}
