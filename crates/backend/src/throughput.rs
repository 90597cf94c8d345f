//! How much ciphertext was served lately, minute by minute.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use model::UnixTime;
use protocol::operator::ServedMinute;

/// So many minutes are remembered.
const MINUTES: u64 = 60;

/// Bytes by minute, those with any, oldest first. It begins anew with the backend: it is there to be looked
/// at, and nothing is decided by it.
#[derive(Debug, Default)]
pub(crate) struct Throughput(Mutex<VecDeque<ServedMinute>>);

impl Throughput {
    pub(crate) fn add(&self, now: UnixTime, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let at = UnixTime::from_secs(now.as_secs() / 60 * 60);
        let mut minutes = self.lock();
        match minutes.back_mut().filter(|last| last.at >= at) {
            Some(last) => last.bytes = last.bytes.saturating_add(bytes),
            None => minutes.push_back(ServedMinute { at, bytes }),
        }
        while minutes.len() as u64 > MINUTES {
            minutes.pop_front();
        }
    }

    /// Those of the last hour.
    pub(crate) fn minutes(&self, now: UnixTime) -> Vec<ServedMinute> {
        let since = now.as_secs().saturating_sub(MINUTES * 60);
        self.lock().iter().filter(|minute| minute.at.as_secs() > since).copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ServedMinute>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_served_is_summed_by_the_minute_for_an_hour() {
        let served = Throughput::default();
        let at = UnixTime::from_secs;
        for (secs, bytes) in [(60, 5), (119, 7), (120, 1), (180, 0), (60 * 60, 9)] {
            served.add(at(secs), bytes);
        }
        let told = |now| served.minutes(at(now)).into_iter().map(|one| (one.at.as_secs(), one.bytes));
        assert_eq!(told(3_600).collect::<Vec<_>>(), [(60, 12), (120, 1), (3_600, 9)]);
        assert_eq!(told(3_661).collect::<Vec<_>>(), [(120, 1), (3_600, 9)]);
        // A clock that was set back adds to the last minute and loses nothing.
        served.add(at(3_599), 1);
        assert_eq!(told(3_661).next_back(), Some((3_600, 10)));
    }
}
