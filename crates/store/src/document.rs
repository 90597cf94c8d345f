use model::UnixTime;

use crate::Answer;

/// A signed file that is served as it is: TUF metadata, `trust/keys.cbor`, the revocation list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// Its name, such as `3.root.json` or `timestamp.json`.
    pub name: String,
    /// Its version, which never falls.
    pub version: u64,
    /// What it says.
    pub bytes: Vec<u8>,
    /// When it was put.
    pub at: UnixTime,
}

/// A document without its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DocumentInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// How long it is.
    pub length_bytes: u64,
    /// When it was put.
    pub at: UnixTime,
}

/// Signed files by name. The newest version of each is kept.
pub trait Documents {
    /// Puts documents, all or none: a reader sees all of the old ones or all of the new ones. The same
    /// document again changes nothing.
    ///
    /// # Errors
    /// [`Error::Stale`](crate::Error::Stale): one has a newer version, or the same with other bytes.
    fn put_documents(&self, documents: Vec<Document>) -> Answer<'_, ()>;

    /// One document.
    fn document(&self, name: String) -> Answer<'_, Option<Document>>;

    /// The documents whose names begin with `prefix`, by name.
    fn documents(&self, prefix: String) -> Answer<'_, Vec<DocumentInfo>>;
}
