//! When a vault locks by itself, by clocks that a test moves.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use model::Seconds;

use super::{NOON, PASSPHRASE, Place};
use crate::{Lifetime, Vault, clock::Clock};

/// Clocks that a test moves: awake, and since boot, in seconds.
#[derive(Default)]
struct Clocks(Mutex<(u64, u64)>);

impl Clock for Clocks {
    fn awake(&self) -> Duration {
        Duration::from_secs(self.0.lock().unwrap().0)
    }

    fn since_boot(&self) -> Duration {
        Duration::from_secs(self.0.lock().unwrap().1)
    }
}

/// A vault that was unlocked under clocks of the test's own.
fn clocked(place: &Place) -> (Vault, Arc<Clocks>) {
    let vault = place.create();
    let clocks = Arc::new(Clocks::default());
    vault.lock();
    vault.inner().clock = Arc::clone(&clocks) as Arc<dyn Clock>;
    vault.unlock(PASSPHRASE, NOON).unwrap();
    (vault, clocks)
}

#[test]
fn it_locks_when_the_machine_was_suspended_however_short() {
    let place = Place::new();
    let (vault, clocks) = clocked(&place);
    *clocks.0.lock().unwrap() = (60, 60);
    assert!(vault.tick(NOON + Seconds(60)), "awake all the while");
    *clocks.0.lock().unwrap() = (61, 66);
    assert!(!vault.is_unlocked(), "asleep for five seconds");
    vault.unlock(PASSPHRASE, NOON + Seconds(66)).unwrap();
    assert!(vault.is_unlocked(), "what is over is over");
}

#[test]
fn a_clock_set_back_keeps_no_vault_unlocked() {
    let place = Place::new();
    let (vault, clocks) = clocked(&place);
    vault.set_lifetime(Lifetime { idle: Seconds(100), absolute: Seconds(250) });
    *clocks.0.lock().unwrap() = (99, 99);
    assert!(vault.tick(NOON - Seconds::days(30)));
    *clocks.0.lock().unwrap() = (100, 100);
    assert!(!vault.tick(NOON - Seconds::days(30)), "the machine's own clock says idle");
}
