use model::UnixTime;

use crate::tuf::TrustedState;

/// What a device knows of the time.
///
/// Nothing that keeps it from going backwards rests on time: versions, counters and `seq` do that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// The newest of the device's build time and the `issued_at` of the targets that it accepted:
    /// time is never before it.
    pub floor: UnixTime,
    /// The device's own clock, if it has one to rely on.
    pub own: Option<UnixTime>,
    /// What the backend said at the last check-in, carried on by the monotonic clock. A hint: it can
    /// make things lapse, and never makes anything begin.
    pub hint: Option<UnixTime>,
}

impl Clock {
    /// The clock of a device of this build time that trusts `state`, without clock of its own or
    /// hint yet.
    pub fn new(built_at: UnixTime, state: &TrustedState) -> Self {
        Self { floor: built_at.max(state.time_floor()), own: None, hint: None }
    }

    /// The latest that it may be: by this, things lapse.
    pub fn latest(&self) -> UnixTime {
        self.certain().max(self.hint.unwrap_or_default())
    }

    /// The earliest that it may be: by this, things begin.
    pub fn certain(&self) -> UnixTime {
        self.floor.max(self.own.unwrap_or_default())
    }

    /// The clock once something is known to have been issued at `instant`.
    #[must_use]
    pub fn after(self, instant: UnixTime) -> Self {
        Self { floor: self.floor.max(instant), ..self }
    }
}
