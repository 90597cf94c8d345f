use model::{DeviceId, HardwareRevision, ModelName, Serial, SpkiDigest, TokenId, UnixTime};

use crate::{Answer, Page, PageRequest};

/// A one-time enrolment token as the backend knows it: without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its public name.
    pub id: TokenId,
    /// The serial that the device must show.
    pub serial: Serial,
    /// The model that it must be.
    pub model: ModelName,
    /// The hardware revision that it must be.
    pub hardware_revision: HardwareRevision,
    /// When it can no longer be bound.
    pub expires_at: UnixTime,
    /// The issuing vault's own note, opaque here.
    pub note: Vec<u8>,
    /// Whose vault issued it.
    pub issued_by: SpkiDigest,
    /// When.
    pub issued_at: UnixTime,
}

/// Where a token stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TokenState {
    /// Nobody used it.
    Open,
    /// A device used it: it is bound to that device's key.
    Bound,
    /// A person took it back.
    Canceled,
}

/// A token and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRecord {
    /// The token.
    pub token: Token,
    /// Where it stands. An open token may have lapsed.
    pub state: TokenState,
    /// The first key that used it, and since then the only one.
    pub bound_spki: Option<SpkiDigest>,
}

/// Which tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenChoice {
    /// These.
    These(Vec<TokenId>),
    /// Every open one, as after a restored backup.
    All,
}

/// A device's request to be enrolled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnrolmentRequest {
    /// The token that it shows.
    pub token: TokenId,
    /// The key that it connected with.
    pub spki: SpkiDigest,
    /// Its CSR, DER.
    pub csr: Vec<u8>,
    /// HMAC over the CSR, which the issuing vault checks.
    pub mac: Vec<u8>,
    /// When it came in.
    pub at: UnixTime,
}

/// Where an enrolment stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EnrolmentState {
    /// A vault has yet to decide.
    Pending,
    /// A certificate was issued and waits for the device.
    Issued,
    /// The device signed the challenge with its new identity.
    Proven,
    /// A vault verified that signature.
    Confirmed,
    /// A vault refused it.
    Refused,
}

/// An enrolment: one per token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Enrolment {
    /// The token that it goes by.
    pub token: Token,
    /// The device's key.
    pub spki: SpkiDigest,
    /// The newest CSR while it is pending; then the one that was decided upon. DER.
    pub csr: Vec<u8>,
    /// HMAC over that CSR.
    pub mac: Vec<u8>,
    /// When the first request came in.
    pub received_at: UnixTime,
    /// Where it stands.
    pub state: EnrolmentState,
    /// When it came to stand there.
    pub changed_at: UnixTime,
    /// Why it was refused.
    pub refusal: Option<String>,
    /// The device that it became.
    pub device: Option<DeviceId>,
    /// The certificate and challenge, sealed to the device's KEM key.
    pub sealed_certificate: Option<Vec<u8>>,
    /// The device's signature over the challenge.
    pub proof: Option<Vec<u8>>,
}

/// What became of a request to be enrolled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Requested {
    /// It is on record, for the first time or again: this is where it stands.
    Taken(Box<Enrolment>),
    /// The token is bound to another key. An alarm was raised.
    OtherKey,
    /// There is no such token, it has lapsed or was taken back.
    NoToken,
}

/// Tokens and the enrolments that go by them.
pub trait Enrolments {
    /// Adds tokens, all or none. The same token again changes nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict): an id is taken by a different token.
    fn put_tokens(&self, tokens: Vec<Token>) -> Answer<'_, ()>;

    /// One token.
    fn token(&self, id: TokenId) -> Answer<'_, Option<TokenRecord>>;

    /// Tokens, newest first.
    fn tokens(&self, state: Option<TokenState>, page: PageRequest) -> Answer<'_, Page<TokenRecord>>;

    /// Takes open tokens back; how many that were.
    fn cancel_tokens(&self, which: TokenChoice) -> Answer<'_, u64>;

    /// Takes a device's request on record. The first request binds the token to its key; a repeat with
    /// the same key gives where the enrolment stands, and while it is pending replaces the CSR.
    fn request_enrolment(&self, request: EnrolmentRequest) -> Answer<'_, Requested>;

    /// The enrolment that goes by this token.
    fn enrolment(&self, token: TokenId) -> Answer<'_, Option<Enrolment>>;

    /// Enrolments, oldest first.
    fn enrolments(&self, state: Option<EnrolmentState>, page: PageRequest) -> Answer<'_, Page<Enrolment>>;

    /// Records the certificate that was issued. The same again changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Illegal`](crate::Error::Illegal): it was
    /// decided otherwise.
    fn issue_enrolment(
        &self,
        token: TokenId,
        device: DeviceId,
        sealed_certificate: Vec<u8>,
        at: UnixTime,
    ) -> Answer<'_, ()>;

    /// Records that a vault refused.
    ///
    /// # Errors
    /// As [`issue_enrolment`](Self::issue_enrolment).
    fn refuse_enrolment(&self, token: TokenId, reason: String, at: UnixTime) -> Answer<'_, ()>;

    /// Records the device's signature over the challenge. The first one stays.
    ///
    /// # Errors
    /// As [`issue_enrolment`](Self::issue_enrolment).
    fn prove_enrolment(&self, token: TokenId, proof: Vec<u8>, at: UnixTime) -> Answer<'_, ()>;

    /// Records that a vault verified the device's signature over the challenge.
    ///
    /// # Errors
    /// As [`issue_enrolment`](Self::issue_enrolment).
    fn confirm_enrolment(&self, token: TokenId, at: UnixTime) -> Answer<'_, ()>;

    /// The enrolment, or renewal, by which this device last got a certificate: the newest that it proved
    /// its keys in, if there is one.
    fn enrolment_of(&self, device: DeviceId) -> Answer<'_, Option<Enrolment>>;
}

impl TokenState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Open, Self::Bound, Self::Canceled];

    /// The state as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Bound => "bound",
            Self::Canceled => "canceled",
        }
    }
}

impl EnrolmentState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Issued, Self::Proven, Self::Confirmed, Self::Refused];

    /// The state as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Issued => "issued",
            Self::Proven => "proven",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
        }
    }
}
