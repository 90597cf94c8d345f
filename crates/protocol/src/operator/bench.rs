use model::DeviceId;
use serde::{Deserialize, Serialize};

use crate::Base64;

/// Hands in what was done to a device on the service bench. It may be handed in again: it counts once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandInReceipt {
    /// `fleetseal-receipt/1`, signed by whoever hands it in.
    pub receipt: Base64,
}

/// Lays a bundle out for the devices that it is for, so that a bench on the network finds it there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayOutBundle {
    /// All of it but its payloads, which the backend has.
    pub bundle: Base64,
    /// For whom it is.
    pub devices: Vec<DeviceId>,
}

/// The bundle that was laid out last for a device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaidOutBundle {
    /// All of it but its payloads, which are read as ciphertexts.
    pub bundle: Base64,
}

/// A part of a ciphertext.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BlobPart {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes at the most; no more than [`Self::MOST`].
    pub length: u64,
}

impl BlobPart {
    /// The most that one answer holds, in bytes.
    pub const MOST: u64 = 4 * 1024 * 1024;
}
