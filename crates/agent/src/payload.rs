//! The staged payload, opened: once to see that it is the artifact, then once more for the installer.

use std::io;

use envelope::{
    ContentKey, Sha256, Verified,
    device::Install,
    otap::{Header, Opener, SEALED_CHUNK_LEN},
    tuf::TargetsView,
};

use crate::{Content, Storage};

/// How many chunks pass one opens before it lets others have their turn.
const TURN: u32 = 16;

/// The plaintext of the staged payload, a chunk at a time.
pub(crate) struct Plaintext<'a> {
    storage: &'a mut dyn Storage,
    opener: Opener,
    next: u32,
    buffer: Vec<u8>,
}

impl<'a> Plaintext<'a> {
    /// From the beginning of what `install` names; nothing if its header or key cannot be used.
    pub(crate) fn new(storage: &'a mut dyn Storage, install: &Install) -> Option<Self> {
        let header = Header::parse(&install.installation().payload.header).ok()?;
        let key: &ContentKey = install.ticket().content_key()?;
        let opener = Opener::new(key, header).ok()?;
        Some(Self { storage, opener, next: 0, buffer: vec![0; SEALED_CHUNK_LEN] })
    }

    /// Pass one: whether everything staged opens and is the artifact that ticket and targets name.
    pub(crate) async fn matches_artifact(
        mut self,
        install: &Install,
        targets: &Verified<TargetsView>,
    ) -> io::Result<bool> {
        let target = &install.installation().target;
        let length = self.storage.staged_bytes()?;
        let Some(signed) = targets.target(&target.name) else { return Ok(false) };
        if length != install.installation().payload.length {
            return Ok(false);
        }
        let mut hash = signed.hash();
        let mut own = Sha256::new();
        loop {
            match self.next() {
                Ok(Some(piece)) => {
                    own.update(piece);
                    if hash.update(piece).is_err() {
                        return Ok(false);
                    }
                }
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(false),
                Err(error) => return Err(error),
            }
            if self.next.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
        }
        Ok(hash.finish().is_ok() && own.finish() == target.sha256)
    }
}

impl Content for Plaintext<'_> {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let layout = self.opener.header().layout();
        let Ok(range) = layout.ciphertext_range(self.next) else { return Ok(None) };
        let length = usize::try_from(range.end - range.start).unwrap_or(SEALED_CHUNK_LEN);
        let sealed = &mut self.buffer[..length];
        self.storage.read_staged(range.start, sealed)?;
        let index = self.next;
        self.next += 1;
        let opened = self.opener.open_chunk(index, sealed);
        opened.map(|piece| Some(&*piece)).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
