//! What deriving a key from a passphrase costs.

use std::time::{Duration, Instant};

use argon2::{Argon2, Block};
use zeroize::Zeroizing;

use crate::{Error, sealed::Secret};

/// What Argon2id (RFC 9106, version 0x13) shall cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Params {
    /// 256 MiB, three passes, four lanes.
    pub const DEFAULT: Self = Self { memory_kib: 256 * 1024, passes: 3, lanes: 4 };

    /// The cheapest that is taken: 64 MiB, one pass, one lane. For tests, and for machines that
    /// cannot do better.
    pub const fn floor() -> Self {
        Self { memory_kib: 64 * 1024, passes: 1, lanes: 1 }
    }

    /// Parameters from [`Self::floor`] up to 1 GiB, 16 passes and 16 lanes.
    ///
    /// # Errors
    /// One of them is outside: an edited file may ask for neither a weak nor an endless derivation.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, Error> {
        let floor = Self::floor();
        if !(floor.memory_kib..=1024 * 1024).contains(&memory_kib) {
            return Err(Error::Params { reason: "memory must be 64 MiB to 1 GiB" });
        }
        if !(floor.passes..=16).contains(&passes) {
            return Err(Error::Params { reason: "passes must be 1 to 16" });
        }
        if !(floor.lanes..=16).contains(&lanes) {
            return Err(Error::Params { reason: "lanes must be 1 to 16" });
        }
        Ok(Self { memory_kib, passes, lanes })
    }

    /// The dearest parameters near [`Self::DEFAULT`] that take 0.5 to 1 s on this machine, by
    /// measuring. Takes a few seconds itself.
    ///
    /// # Errors
    /// There is not even memory for [`Self::floor`].
    pub fn calibrate() -> Result<Self, Error> {
        calibrate(|params| {
            let start = Instant::now();
            params.derive(b"calibration", &[0; 16])?;
            Ok(start.elapsed())
        })
    }

    /// KiB, passes, lanes.
    pub const fn parts(self) -> (u32, u32, u32) {
        (self.memory_kib, self.passes, self.lanes)
    }

    /// The key that `passphrase` and `salt` give. Its memory is wiped.
    pub(crate) fn derive(self, passphrase: &[u8], salt: &[u8; 16]) -> Result<Secret, Error> {
        let params = argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|_| Error::Derivation)?;
        let mut blocks = Zeroizing::new(Vec::<Block>::new());
        blocks.try_reserve_exact(params.block_count()).map_err(|_| Error::Derivation)?;
        blocks.resize(params.block_count(), Block::default());
        let mut key = Secret::default();
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let derived =
            argon2.hash_password_into_with_memory(passphrase, salt, &mut key[..], blocks.as_mut_slice());
        derived.map_err(|_| Error::Derivation)?;
        Ok(key)
    }
}

fn calibrate(mut cost: impl FnMut(Params) -> Result<Duration, Error>) -> Result<Params, Error> {
    let (least, most) = (Duration::from_millis(500), Duration::from_secs(1));
    let mut params = Params::DEFAULT;
    let mut took = cost(params);
    while !took.as_ref().is_ok_and(|took| *took <= most) && params.memory_kib > Params::floor().memory_kib {
        params.memory_kib /= 2;
        took = cost(params);
    }
    let mut took = took?;
    while took > most && params.passes > 1 {
        params.passes -= 1;
        took = cost(params)?;
    }
    while took < least && params.passes < 16 {
        // One pass more costs `took / passes`; never beyond a second.
        let more = Params { passes: params.passes + 1, ..params };
        took = cost(more)?;
        if took > most {
            break;
        }
        params = more;
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_endless_parameters_are_refused() {
        let floor = Params::floor();
        assert_eq!(Params::new(64 * 1024, 1, 1).unwrap(), floor);
        assert!(Params::new(1024 * 1024, 16, 16).is_ok());
        for (memory, passes, lanes) in [
            (64 * 1024 - 1, 3, 4),
            (0, 3, 4),
            (1024 * 1024 + 1, 3, 4),
            (u32::MAX, 3, 4),
            (256 * 1024, 0, 4),
            (256 * 1024, 17, 4),
            (256 * 1024, 3, 0),
            (256 * 1024, 3, 17),
        ] {
            assert!(matches!(Params::new(memory, passes, lanes), Err(Error::Params { .. })));
        }
    }

    #[test]
    fn calibration_stays_between_half_a_second_and_one() {
        // Nanoseconds per KiB and pass: from a fast machine to one that is hopeless.
        for speed in [50, 200, 600, 1_000, 2_000, 6_000] {
            let cost = |params: Params| -> Result<Duration, Error> {
                Ok(Duration::from_nanos(u64::from(params.memory_kib) * u64::from(params.passes) * speed))
            };
            let params = calibrate(cost).unwrap();
            let took = cost(params).unwrap();
            assert!(took <= Duration::from_secs(1), "{speed}: {took:?}");
            assert!(took >= Duration::from_millis(350) || params.passes == 16 || params.passes == 1);
            assert!(Params::new(params.memory_kib, params.passes, params.lanes).is_ok());
        }
    }

    #[test]
    fn calibration_comes_down_where_memory_is_short() {
        let params = calibrate(|params| {
            if params.memory_kib > 100_000 { Err(Error::Derivation) } else { Ok(Duration::from_millis(600)) }
        });
        assert_eq!(params.unwrap().memory_kib, 64 * 1024);
    }
}
