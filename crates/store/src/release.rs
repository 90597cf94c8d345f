use model::{ArtifactId, Digest, ReleaseId, ReleaseState, SpkiDigest, UnixTime};

use crate::{Answer, Page, PageRequest};

/// A release on its way from proposal to publication.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// The release.
    pub id: ReleaseId,
    /// Its name.
    pub name: String,
    /// What it changes, for people.
    pub notes: String,
    /// Where it stands.
    pub state: ReleaseState,
    /// Who proposed it.
    pub author: SpkiDigest,
    /// The targets metadata to sign, without signatures; may be empty in a draft.
    pub targets: Vec<u8>,
    /// The SHA-256 of each of its artifacts.
    pub artifacts: Vec<Digest>,
    /// More, as JSON, opaque here.
    pub detail: String,
    /// What reviewers said, in order.
    pub comments: Vec<Comment>,
    /// When it was begun.
    pub created_at: UnixTime,
    /// When it or its comments last changed.
    pub changed_at: UnixTime,
}

/// What of a release a draft may change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseContent {
    /// Its name.
    pub name: String,
    /// What it changes.
    pub notes: String,
    /// The targets metadata to sign.
    pub targets: Vec<u8>,
    /// The SHA-256 of each of its artifacts.
    pub artifacts: Vec<Digest>,
    /// More, as JSON.
    pub detail: String,
}

/// What a reviewer said. Advice: only signatures authorise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comment {
    /// Who.
    pub by: SpkiDigest,
    /// When.
    pub at: UnixTime,
    /// `Some(true)` finds it good, `Some(false)` asks for changes.
    pub verdict: Option<bool>,
    /// In words.
    pub text: String,
}

/// An artifact as sealed once: what links lead to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedArtifact {
    /// This sealing.
    pub id: ArtifactId,
    /// SHA-256 of the plaintext.
    pub artifact: Digest,
    /// The signed `fleetseal-sealed/1` record.
    pub record: Vec<u8>,
    /// SHA-256 of the ciphertext, its name among the blobs.
    pub ciphertext: Digest,
    /// Length of the ciphertext.
    pub length_bytes: u64,
    /// SHA-256 of the segment list, its name among the blobs.
    pub segment_list: Digest,
    /// How many segments.
    pub segments: u32,
    /// When it was put.
    pub at: UnixTime,
}

/// Releases and the sealed artifacts that they name.
pub trait Releases {
    /// Begins a release: a draft, without comments. The same again changes nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict): the id is taken.
    fn create_release(
        &self,
        id: ReleaseId,
        author: SpkiDigest,
        content: ReleaseContent,
        at: UnixTime,
    ) -> Answer<'_, ()>;

    /// Changes a draft.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Illegal`](crate::Error::Illegal): no longer a draft.
    fn amend_release(&self, id: ReleaseId, content: ReleaseContent, at: UnixTime) -> Answer<'_, ()>;

    /// Takes a release to another state, as [`ReleaseState::step`] allows.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Illegal`](crate::Error::Illegal).
    fn step_release(&self, id: ReleaseId, to: ReleaseState, at: UnixTime) -> Answer<'_, ()>;

    /// Adds a comment.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn comment_release(&self, id: ReleaseId, comment: Comment) -> Answer<'_, ()>;

    /// One release.
    fn release(&self, id: ReleaseId) -> Answer<'_, Option<Release>>;

    /// Releases, newest first.
    fn releases(&self, state: Option<ReleaseState>, page: PageRequest) -> Answer<'_, Page<Release>>;

    /// Puts a sealed artifact. The same again changes nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict): the id is taken.
    fn put_sealed(&self, sealed: SealedArtifact) -> Answer<'_, ()>;

    /// One sealed artifact.
    fn sealed(&self, id: ArtifactId) -> Answer<'_, Option<SealedArtifact>>;

    /// Every sealing of the artifact with this SHA-256, newest first.
    fn sealed_of(&self, artifact: Digest) -> Answer<'_, Vec<SealedArtifact>>;
}
