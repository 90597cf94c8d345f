//! What is remembered while the vault is locked: wrong tries, and the newest generation seen.
//!
//! Whoever can edit this file could as well copy the key file and guess elsewhere, where only the
//! passphrase and Argon2id hold; the delay is against guesses at the keyboard.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use minicbor::{Decoder, Encoder};
use model::{Seconds, UnixTime};

use crate::{
    Error, Opener, SlotId, TokenSerial,
    file::{KeyFile, Malformed, Written, array, field, instant, list},
    save::{Files, Trust, replace},
    sealed::Secret,
};

const TYP: &str = "fleetseal-vault-state/1";
const LONGEST: u64 = 3_600;
/// How many wrong PINs in a row are taken for a token. Tokens block at three and more.
const MOST_PINS: u32 = 2;
/// For how many tokens wrong PINs are remembered.
const MOST_TOKENS: usize = 64;

/// The state in its file.
pub(crate) struct Tries {
    files: Arc<dyn Files>,
    path: PathBuf,
    state: Mutex<State>,
}

/// `{1: typ, 2: last seen generation, 3: wrong tries in a row, 4: not_before, 5: [[serial, wrong PINs]]}`
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct State {
    pub(crate) last_seen: u64,
    tries: u32,
    not_before: UnixTime,
    pins: Vec<(String, u32)>,
}

impl Tries {
    /// Reads the state of the vault in `folder`. One that is missing or damaged counts as fresh: the
    /// audit log knows the newest generation too.
    pub(crate) fn load(files: Arc<dyn Files>, folder: &Path) -> Result<Self, Error> {
        let path = folder.join("state.cbor");
        let state = match files.read(&path, Trust::Private) {
            Ok(bytes) => State::decode(&bytes).unwrap_or_else(|Malformed(reason)| {
                tracing::warn!(reason, "state of the vault is damaged, starting afresh");
                State::default()
            }),
            Err(error) if error.is_not_found() => State::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { files, path, state: Mutex::new(state) })
    }

    /// The newest generation seen.
    pub(crate) fn last_seen(&self) -> u64 {
        self.state().last_seen
    }

    /// How long the next try is refused.
    pub(crate) fn wait(&self, now: UnixTime) -> Seconds {
        self.state().wait(now)
    }

    /// Notes that a generation was saved.
    pub(crate) fn saw(&self, generation: u64) -> Result<(), Error> {
        let mut state = self.state();
        state.last_seen = state.last_seen.max(generation);
        self.write(&state)
    }

    /// Tries `opener` on the slots of `file` and gives the master key and the slot that opened. The try
    /// counts as wrong on the disk until it proved right.
    pub(crate) fn open(
        &self,
        file: &KeyFile,
        opener: &Opener<'_>,
        now: UnixTime,
    ) -> Result<(Secret, SlotId), Error> {
        opener.check(file)?;
        let (before, begun) = {
            let mut state = self.state();
            let before = state.clone();
            let wait = state.wait(now);
            if wait > Seconds(0) {
                if *state != before {
                    self.write(&state)?;
                }
                return Err(Error::TooEarly { wait });
            }
            state.begin(now);
            self.write(&state)?;
            (before, state.clone())
        };
        for slot in file.slots.iter().filter(|slot| opener.fits(&slot.info.kind)) {
            let key = || opener.key(&slot.info.kind);
            let key = opener.token().map_or_else(key, |serial| self.pin(serial, key));
            let key = key.inspect_err(|error| {
                if !matches!(error, Error::WrongPin { .. }) {
                    self.put_back(&before, &begun);
                }
            })?;
            if let Some(master) = slot.open(&file.id, &key) {
                let mut state = self.state();
                state.succeed();
                if let Err(error) = self.write(&state) {
                    tracing::warn!(%error, "failed to forget wrong tries");
                }
                return Ok((master, slot.info.id));
            }
        }
        Err(opener.refused(self.state().wait(now)))
    }

    /// Tries a PIN by `enter`, unless too many in a row were wrong. It counts as wrong on the disk until it
    /// proved right.
    pub(crate) fn pin<T>(
        &self,
        serial: &TokenSerial,
        enter: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = self.state();
        let wrong = state.wrong_pins(serial.as_str());
        if wrong >= MOST_PINS {
            return Err(Error::PinCapped { serial: serial.clone() });
        }
        let before = state.clone();
        state.set_wrong_pins(serial.as_str(), wrong + 1);
        self.write(&state)?;
        match enter() {
            Err(Error::WrongPin { serial, .. }) => {
                Err(Error::WrongPin { serial, left: MOST_PINS.saturating_sub(wrong + 1) })
            }
            entered => {
                // Right, or never asked: neither counts.
                *state = before;
                if entered.is_ok() {
                    state.set_wrong_pins(serial.as_str(), 0);
                }
                self.write(&state)?;
                entered
            }
        }
    }

    /// Enters a token with a PIN that proved right before, by `enter`. Should the token refuse it now, it counts
    /// as wrong, on the disk, before anybody hears of it.
    pub(crate) fn kept_pin<T>(
        &self,
        serial: &TokenSerial,
        enter: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.state().wrong_pins(serial.as_str()) >= MOST_PINS {
            return Err(Error::PinCapped { serial: serial.clone() });
        }
        match enter() {
            Err(Error::WrongPin { serial, .. }) => {
                let mut state = self.state();
                let wrong = state.wrong_pins(serial.as_str()) + 1;
                state.set_wrong_pins(serial.as_str(), wrong);
                self.write(&state)?;
                Err(Error::WrongPin { serial, left: MOST_PINS.saturating_sub(wrong) })
            }
            entered => entered,
        }
    }

    /// Takes PINs for a token again.
    pub(crate) fn forget_pins(&self, serial: &TokenSerial) -> Result<(), Error> {
        let mut state = self.state();
        state.set_wrong_pins(serial.as_str(), 0);
        self.write(&state)
    }

    /// Takes a try back that came to no guess: the token was not there, or memory was short.
    fn put_back(&self, before: &State, begun: &State) {
        let mut state = self.state();
        if (state.tries, state.not_before) == (begun.tries, begun.not_before) {
            (state.tries, state.not_before) = (before.tries, before.not_before);
            if let Err(error) = self.write(&state) {
                tracing::warn!(%error, "failed to take back a try that was none");
            }
        }
    }

    fn write(&self, state: &State) -> Result<(), Error> {
        replace(&*self.files, &self.path, &state.encode(), None, |_| Ok(())).map_err(|failure| failure.error)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long the next try is refused. A clock that was set back waits the full delay of the last
    /// wrong try, no more and no less.
    pub(crate) fn wait(&mut self, now: UnixTime) -> Seconds {
        let delay = self.delay();
        if self.not_before.since(now) > delay {
            self.not_before = now + delay;
        }
        self.not_before.since(now)
    }

    /// Counts a try as wrong, before it is known whether it is: a crash half way is no free try.
    pub(crate) fn begin(&mut self, now: UnixTime) {
        self.tries = self.tries.saturating_add(1);
        self.not_before = self.not_before.max(now) + self.delay();
    }

    /// The try was right.
    pub(crate) fn succeed(&mut self) {
        self.tries = 0;
        self.not_before = UnixTime::EPOCH;
    }

    fn wrong_pins(&self, serial: &str) -> u32 {
        self.pins.iter().find(|(of, _)| of == serial).map_or(0, |(_, wrong)| *wrong)
    }

    fn set_wrong_pins(&mut self, serial: &str, wrong: u32) {
        self.pins.retain(|(of, _)| of != serial);
        if wrong > 0 {
            self.pins.push((serial.to_owned(), wrong));
            let most = self.pins.len().saturating_sub(MOST_TOKENS);
            self.pins.drain(..most);
        }
    }

    /// 1, 2, 4 ... seconds, up to an hour.
    fn delay(&self) -> Seconds {
        Seconds(match self.tries {
            0 => 0,
            tries => 1u64.checked_shl(tries - 1).map_or(LONGEST, |secs| secs.min(LONGEST)),
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new(Vec::with_capacity(64));
        let written = (|| -> Written {
            e.map(5)?.u8(1)?.str(TYP)?.u8(2)?.u64(self.last_seen)?;
            e.u8(3)?.u32(self.tries)?.u8(4)?.u64(self.not_before.as_secs())?;
            e.u8(5)?.array(self.pins.len() as u64)?;
            for (serial, wrong) in &self.pins {
                e.array(2)?.str(serial)?.u32(*wrong)?;
            }
            Ok(())
        })();
        written.expect("a vector takes every byte");
        e.into_writer()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut d = Decoder::new(bytes);
        d.map()?;
        field(&mut d, 1)?;
        if d.str()? != TYP {
            return Err(Malformed("another format or version"));
        }
        field(&mut d, 2)?;
        let last_seen = d.u64()?;
        field(&mut d, 3)?;
        let tries = d.u32()?;
        field(&mut d, 4)?;
        let not_before = instant(&mut d)?;
        field(&mut d, 5)?;
        let pin = |d: &mut Decoder<'_>| {
            array(d, 2)?;
            Ok((d.str()?.to_owned(), d.u32()?))
        };
        let pins = list(&mut d, MOST_TOKENS, pin)?;
        let state = Self { last_seen, tries, not_before, pins };
        if state.encode() != bytes { Err(Malformed("not deterministic CBOR")) } else { Ok(state) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixTime = UnixTime::from_secs(1_790_000_000);

    #[test]
    fn each_wrong_try_doubles_the_wait_up_to_an_hour() {
        let mut state = State::default();
        assert_eq!(state.wait(NOON), Seconds(0));
        let mut now = NOON;
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600] {
            state.begin(now);
            assert_eq!(state.wait(now), Seconds(expected));
            now = now + Seconds(expected);
            assert_eq!(state.wait(now), Seconds(0));
        }
        state.succeed();
        state.begin(now);
        assert_eq!(state.wait(now), Seconds(1));
    }

    #[test]
    fn a_clock_set_back_neither_skips_the_wait_nor_makes_it_endless() {
        let mut state = State::default();
        for _ in 0..7 {
            state.begin(NOON);
        }
        let early = NOON - Seconds::days(365);
        assert_eq!(state.wait(early), Seconds(64));
        assert_eq!(state.wait(early + Seconds(63)), Seconds(1));
        state.begin(early + Seconds(64));
        assert_eq!(state.wait(early + Seconds(64)), Seconds(128));
    }

    #[test]
    fn the_state_reads_back_and_nothing_else_is_read() {
        let mut state = State { last_seen: 300, ..State::default() };
        state.begin(NOON);
        state.set_wrong_pins("0a1b", 2);
        let bytes = state.encode();
        assert_eq!(State::decode(&bytes), Ok(state));
        for at in 0..bytes.len() {
            assert!(State::decode(&bytes[..at]).is_err());
        }
        assert!(State::decode(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn tries_beyond_all_counting_still_wait_an_hour() {
        let mut state = State { tries: u32::MAX, ..State::default() };
        state.begin(NOON);
        assert_eq!(state.wait(NOON), Seconds(3600));
    }
}
