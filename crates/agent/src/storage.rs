//! What survives a power cut: small blobs that are replaced as a whole, and one staging file.

mod copies;
mod dir;
mod memory;

use std::io;

pub(crate) use copies::newest;
pub use copies::{Copies, Loaded};
pub use dir::DirStorage;
pub use memory::MemoryStorage;

/// A small thing that is kept durably. Each is replaced as a whole or not at all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Blob {
    /// The P-256 identity key, PKCS#8 DER. Secret.
    IdentityKey,
    /// The X25519 KEM key, 32 bytes. Secret.
    KemKey,
    /// An enrolment under way: the token, and the request that is repeated. Secret.
    Enrolment,
    /// Who this device is: certificate chain, fleet, address of the backend.
    Identity,
    /// What the device accepted, runs and has yet to report. Two copies.
    State(Copy),
    /// The trusted metadata. Two copies.
    Trust(Copy),
    /// The check-in counter. Two copies.
    Counter(Copy),
}

/// Which of two copies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Copy {
    /// One.
    First,
    /// The other.
    Second,
}

impl Blob {
    /// What the blob is called on a disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IdentityKey => "identity.key",
            Self::KemKey => "kem.key",
            Self::Enrolment => "enrolment",
            Self::Identity => "identity.json",
            Self::State(Copy::First) => "state.a",
            Self::State(Copy::Second) => "state.b",
            Self::Trust(Copy::First) => "trust.a",
            Self::Trust(Copy::Second) => "trust.b",
            Self::Counter(Copy::First) => "counter.a",
            Self::Counter(Copy::Second) => "counter.b",
        }
    }
}

/// Where a device keeps what must survive a power cut.
///
/// The calls are short and block: blobs are small, and the staging file is written a segment at a
/// time. Any of them may fail, and the device may lose power within any of them: a blob is then as it
/// was before or as it was meant to be, and the staging file ends anywhere behind the last sync.
pub trait Storage: Send {
    /// The blob's content; nothing where there is none.
    ///
    /// # Errors
    /// The medium failed. That the blob is not there is no error.
    fn read(&self, blob: Blob) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the blob by `content`, durably once this returns.
    ///
    /// # Errors
    /// The medium failed or is full ([`io::ErrorKind::StorageFull`]); the blob is then as it was.
    fn write(&mut self, blob: Blob, content: &[u8]) -> io::Result<()>;

    /// Forgets the blob, durably once this returns.
    ///
    /// # Errors
    /// The medium failed.
    fn remove(&mut self, blob: Blob) -> io::Result<()>;

    /// How many bytes are staged.
    ///
    /// # Errors
    /// The medium failed.
    fn staged_bytes(&self) -> io::Result<u64>;

    /// Fills the whole of `buffer` from the staging file at `offset`.
    ///
    /// # Errors
    /// The medium failed, or fewer bytes are staged ([`io::ErrorKind::UnexpectedEof`]).
    fn read_staged(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Adds `bytes` at the end of the staging file; durable after [`Self::sync_staged`].
    ///
    /// # Errors
    /// The medium failed or is full; some of `bytes` may then be staged.
    fn stage(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything staged durable.
    ///
    /// # Errors
    /// The medium failed.
    fn sync_staged(&mut self) -> io::Result<()>;

    /// Cuts the staging file to `length` bytes, which it has at least; zero gives its space back.
    ///
    /// # Errors
    /// The medium failed.
    fn cut_staged(&mut self, length: u64) -> io::Result<()>;

    /// How many bytes may still be staged.
    ///
    /// # Errors
    /// The medium failed.
    fn free_bytes(&self) -> io::Result<u64>;
}

impl<S: Storage + ?Sized> Storage for Box<S> {
    fn read(&self, blob: Blob) -> io::Result<Option<Vec<u8>>> {
        (**self).read(blob)
    }

    fn write(&mut self, blob: Blob, content: &[u8]) -> io::Result<()> {
        (**self).write(blob, content)
    }

    fn remove(&mut self, blob: Blob) -> io::Result<()> {
        (**self).remove(blob)
    }

    fn staged_bytes(&self) -> io::Result<u64> {
        (**self).staged_bytes()
    }

    fn read_staged(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_staged(offset, buffer)
    }

    fn stage(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).stage(bytes)
    }

    fn sync_staged(&mut self) -> io::Result<()> {
        (**self).sync_staged()
    }

    fn cut_staged(&mut self, length: u64) -> io::Result<()> {
        (**self).cut_staged(length)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        (**self).free_bytes()
    }
}
