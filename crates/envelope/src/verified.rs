use std::{fmt, ops::Deref};

use model::TargetName;

/// A value whose origin this crate checked: signature, role, scope and addressee.
///
/// Only this crate makes one, so whoever holds it needs no second check, and code on the device acts
/// on nothing less. It can be read and taken apart, never changed in place.
///
/// ```compile_fail
/// let forged = envelope::Verified("never checked");
/// ```
/// ```compile_fail
/// let forged = envelope::Verified::new("never checked");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verified<T>(T);

/// The content of a TUF target, matched with the length and SHA-256 that a threshold signed.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetBytes {
    name: TargetName,
    bytes: Vec<u8>,
}

impl<T> Verified<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value alone; what it was checked for is forgotten.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl TargetBytes {
    pub(crate) const fn new(name: TargetName, bytes: Vec<u8>) -> Self {
        Self { name, bytes }
    }

    /// The target's path.
    pub const fn name(&self) -> &TargetName {
        &self.name
    }

    /// Its content.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verified").field(&self.0).finish()
    }
}

impl fmt::Debug for TargetBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.bytes.len())
    }
}
