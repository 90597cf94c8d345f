use model::{DeviceId, FleetId, KemKeyId, ModelName, SpkiDigest};
use serde::{Deserialize, Serialize};

use crate::{Error, Recipient};

/// A device's two keys, as signed objects name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The SHA-256 of its identity key's SubjectPublicKeyInfo.
    pub spki: SpkiDigest,
    /// Its KEM key.
    pub kem: KemKeyId,
}

/// Whom an object must be for: the device that reads it, or the bench that reads it in its stead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Addressee {
    /// The fleet it belongs to.
    pub fleet: FleetId,
    /// The device.
    pub device: DeviceId,
    /// Its product type.
    pub model: ModelName,
    /// Its keys; none for a part that has none (a boot ROM) behind a bench.
    pub identity: Option<Identity>,
    /// The bench's KEM key where the bench acts as deputy; none on the device itself.
    pub deputy: Option<KemKeyId>,
}

impl Addressee {
    /// Whom a ticket names as its recipient: the device, or the bench's key.
    pub(crate) const fn recipient(&self) -> Recipient {
        match self.deputy {
            Some(bench) => Recipient::Key(bench),
            None => Recipient::Device(self.device),
        }
    }
}

/// Refuses what is not `expected`, by the name of its field.
pub(crate) fn same<T: PartialEq>(field: &'static str, found: &T, expected: &T) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Foreign { field }) }
}
