use std::{collections::BTreeSet, sync::Arc};

use model::{PersonName, Role, SpkiDigest, StationName, UnixTime};

use crate::Answer;

/// Somebody, or a station, who may use the operator API. Roles hang on the key, never on what a
/// certificate says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// The key of their TLS certificate.
    pub spki: SpkiDigest,
    /// Their name.
    pub name: PersonName,
    /// What they may ask for.
    pub roles: BTreeSet<Role>,
    /// The station that this is, if it is one.
    pub station: Option<StationName>,
    /// Their certificate, DER.
    pub certificate: Vec<u8>,
    /// Since when they are known.
    pub added_at: UnixTime,
    /// Since when they are refused.
    pub revoked_at: Option<UnixTime>,
}

/// Who may use the operator API. Few, and held in memory: asking costs no disk access.
pub trait People {
    /// Adds a person, or replaces the one with the same key. A revocation stays.
    fn put_person(&self, person: Person) -> Answer<'_, ()>;

    /// The person with this key, revoked or not.
    fn person(&self, spki: SpkiDigest) -> Answer<'_, Option<Arc<Person>>>;

    /// Everybody, revoked or not, by name.
    fn people(&self) -> Answer<'_, Vec<Arc<Person>>>;

    /// Refuses this person from now on. Repeating keeps the first time.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn revoke_person(&self, spki: SpkiDigest, at: UnixTime) -> Answer<'_, ()>;

    /// Forgets this person; whether there was one.
    fn remove_person(&self, spki: SpkiDigest) -> Answer<'_, bool>;
}
