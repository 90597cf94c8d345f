//! Artifacts as files that are named by their SHA-256 and never change.

mod files;
mod map;
#[cfg(test)]
mod tests;

use std::{ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use model::{Digest, JobId, UnixTime};

use self::files::Files;
use crate::{Error, Result};

/// A folder of immutable files, each at `<first two digits>/<the other 62>` of its SHA-256, and of
/// uploads that are under way.
#[derive(Clone, Debug)]
pub struct Blobs(Arc<Files>);

/// One immutable file. Clones and slices share its memory.
#[derive(Clone, Debug)]
pub struct Blob(Bytes);

impl Blobs {
    /// Opens the folder, or makes it. Together the files and uploads take at most `quota_bytes`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(root: impl Into<PathBuf>, quota_bytes: Option<u64>) -> Result<Self> {
        Files::open(root.into(), quota_bytes).map(Arc::new).map(Self)
    }

    /// How many bytes files and uploads take.
    pub fn used_bytes(&self) -> u64 {
        self.0.used_bytes()
    }

    /// Stores these bytes durably; their digest. The same bytes again are stored once.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`].
    pub async fn put(&self, bytes: Bytes) -> Result<Digest> {
        self.run(move |files| files.put(&bytes)).await
    }

    /// The file with this digest.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn get(&self, digest: Digest) -> Result<Option<Blob>> {
        if let Some(open) = self.0.open_map(&digest) {
            return Ok(Some(open));
        }
        self.run(move |files| files.get(&digest)).await
    }

    /// Removes the file with this digest; whether there was one. Whoever holds it keeps it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn remove(&self, digest: Digest) -> Result<bool> {
        self.run(move |files| files.remove(&digest)).await
    }

    /// How far an upload has come: where it goes on, also after a restart.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn upload_offset(&self, upload: JobId) -> Result<u64> {
        self.run(move |files| files.upload_offset(upload)).await
    }

    /// Adds bytes at the end of an upload, which must be at `offset`; where it goes on. The first bytes
    /// begin it.
    ///
    /// # Errors
    /// [`Error::WrongOffset`], [`Error::Full`], [`Error::Io`]: nothing was added. [`Error::Busy`]:
    /// somebody else adds to it.
    pub async fn append(&self, upload: JobId, offset: u64, bytes: Bytes) -> Result<u64> {
        self.run(move |files| files.append(upload, offset, &bytes)).await
    }

    /// Ends an upload: its bytes become the file with this digest, durably; its length.
    ///
    /// # Errors
    /// [`Error::WrongDigest`]: the upload is dropped. [`Error::NotFound`], [`Error::Busy`], [`Error::Full`],
    /// [`Error::Io`].
    pub async fn finish(&self, upload: JobId, digest: Digest) -> Result<u64> {
        self.run(move |files| files.finish(upload, &digest)).await
    }

    /// Drops an upload, if it is there.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Io`].
    pub async fn abandon(&self, upload: JobId) -> Result<()> {
        self.run(move |files| files.abandon(upload)).await
    }

    /// Drops uploads that got nothing since `before`; how many.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn abandon_before(&self, before: UnixTime) -> Result<usize> {
        self.run(move |files| files.abandon_before(before)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let files = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&files)).await.map_err(|_| Error::Closed)?
    }
}

impl Blob {
    /// The most that [`chunks`](Self::chunks) gives at once: what rustls takes into one write.
    pub const CHUNK_BYTES: u64 = 65_536;

    /// How long it is.
    pub fn length_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    /// The bytes of this range, without copying; none if it reaches beyond the end.
    pub fn slice(&self, range: Range<u64>) -> Option<Bytes> {
        let from = usize::try_from(range.start).ok()?;
        let to = usize::try_from(range.end).ok()?;
        (from <= to && to <= self.0.len()).then(|| self.0.slice(from..to))
    }

    /// The bytes of this range in pieces of at most [`Self::CHUNK_BYTES`], without copying; what reaches
    /// beyond the end is left out.
    pub fn chunks(&self, range: Range<u64>) -> impl Iterator<Item = Bytes> + Send + use<> {
        let blob = self.clone();
        let end = range.end.min(blob.length_bytes());
        let mut at = range.start;
        std::iter::from_fn(move || {
            let to = end.min(at.saturating_add(Self::CHUNK_BYTES));
            let piece = (at < to).then(|| blob.slice(at..to)).flatten();
            at = to.max(at);
            piece
        })
    }
}

impl From<Blob> for Bytes {
    fn from(blob: Blob) -> Self {
        blob.0
    }
}
