use model::Random;

use super::{Error, Layout};

/// The first 32 bytes of a sealed payload, bound into every chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    salt: [u8; 16],
    layout: Layout,
}

/// Magic, version 1, algorithm 1 (AES-256-GCM), chunks of 2^16 bytes, segments of 2^4 chunks.
const FIXED: [u8; 8] = *b"OTAP\x01\x01\x10\x04";

impl Header {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// The header of a new payload, with a fresh salt.
    ///
    /// # Errors
    /// `plaintext_len`, in bytes, is more than 2^32 chunks hold.
    pub fn new(plaintext_len: u64, random: &mut dyn Random) -> Result<Self, Error> {
        let layout = Layout::new(plaintext_len)?;
        let mut salt = [0; 16];
        random.fill(&mut salt);
        Ok(Self { salt, layout })
    }

    /// Reads a header; there is one version and one set of parameters.
    ///
    /// # Errors
    /// It is of another version, algorithm or size, or the length is more than 2^32 chunks hold.
    pub fn parse(bytes: &[u8; Self::LEN]) -> Result<Self, Error> {
        let wrong = |what| Err(Error::Header { what });
        let (fixed, tail) = bytes.split_at(FIXED.len());
        match fixed {
            fixed if fixed == FIXED => {}
            [b'O', b'T', b'A', b'P', 1, 1, ..] => return wrong("chunk or segment size"),
            [b'O', b'T', b'A', b'P', 1, ..] => return wrong("algorithm"),
            [b'O', b'T', b'A', b'P', ..] => return wrong("version"),
            _ => return wrong("magic"),
        }
        let (salt, len) = tail.split_at(16);
        let len = u64::from_be_bytes(len.try_into().expect("8 bytes remain"));
        let layout = Layout::new(len).map_err(|_| Error::Header { what: "length" })?;
        Ok(Self { salt: salt.try_into().expect("split at 16"), layout })
    }

    /// The header as it stands in the file and in the ticket.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&FIXED);
        bytes[8..24].copy_from_slice(&self.salt);
        bytes[24..].copy_from_slice(&self.layout.plaintext_len().to_be_bytes());
        bytes
    }

    /// What gives this payload a key of its own, were a content key used twice.
    pub const fn salt(&self) -> &[u8; 16] {
        &self.salt
    }

    /// Where everything is.
    pub const fn layout(&self) -> Layout {
        self.layout
    }
}
