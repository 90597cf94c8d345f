//! The numbers of groups, commands and results that the bench speaks.

/// Operating system: echo, reset, parameters, bootloader.
pub const OS: u16 = 0;
/// Images in their slots.
pub const IMAGE: u16 = 1;
/// Settings.
pub const SETTINGS: u16 = 3;
/// Files.
pub const FS: u16 = 8;
/// Which groups there are.
pub const ENUMERATION: u16 = 10;
/// Fleetseal's own: the device makes its keys, asks for a certificate and proves that it has them.
/// In the range for vendors, clear of those in use by others.
pub const PROVISIONING: u16 = 0x0100;

/// Commands of [`OS`].
pub mod os {
    /// Says back what it was told.
    pub const ECHO: u8 = 0;
    /// Boots anew.
    pub const RESET: u8 = 5;
    /// How large and how many the receive buffers are.
    pub const PARAMETERS: u8 = 6;
    /// Name and version of the application.
    pub const INFO: u8 = 7;
    /// Which bootloader, and its mode.
    pub const BOOTLOADER: u8 = 8;
}

/// Commands of [`IMAGE`].
pub mod image {
    /// What is in the slots; with a write, which of it boots.
    pub const STATE: u8 = 0;
    /// Writes into a slot.
    pub const UPLOAD: u8 = 1;
    /// Empties a slot.
    pub const ERASE: u8 = 5;
    /// How large the slots are.
    pub const SLOTS: u8 = 6;
}

/// Commands of [`SETTINGS`].
pub mod settings {
    /// Reads or writes one.
    pub const VALUE: u8 = 0;
    /// Deletes one.
    pub const DELETE: u8 = 1;
    /// Makes what was written take effect.
    pub const COMMIT: u8 = 2;
    /// Loads from, or with a write saves to, the device's storage.
    pub const STORAGE: u8 = 3;
}

/// Commands of [`FS`].
pub mod fs {
    /// Reads or writes a file.
    pub const FILE: u8 = 0;
    /// How long a file is.
    pub const STATUS: u8 = 1;
    /// Its hash.
    pub const HASH: u8 = 2;
}

/// Commands of [`ENUMERATION`].
pub mod enumeration {
    /// How many groups there are.
    pub const COUNT: u8 = 0;
    /// Which.
    pub const LIST: u8 = 1;
}

/// Commands of [`PROVISIONING`].
pub mod provisioning {
    /// Who the device is, and how far it has come.
    pub const INFO: u8 = 0;
    /// Makes the keys, once.
    pub const KEYGEN: u8 = 1;
    /// The certificate signing request, in pieces.
    pub const CSR: u8 = 2;
    /// Takes a certificate, in pieces.
    pub const CERTIFICATE: u8 = 3;
    /// Signs a challenge.
    pub const PROVE: u8 = 4;
    /// Closes what only the station needs.
    pub const LOCK: u8 = 5;
}

/// Results of version 1, which version 2 keeps for `rc`.
pub mod result {
    /// Done.
    pub const OK: u64 = 0;
    /// Unknown error.
    pub const UNKNOWN: u64 = 1;
    /// Not enough memory.
    pub const NO_MEMORY: u64 = 2;
    /// An argument that is none.
    pub const INVALID: u64 = 3;
    /// It took too long.
    pub const TIMEOUT: u64 = 4;
    /// No such entry.
    pub const NO_ENTRY: u64 = 5;
    /// Not in this state.
    pub const BAD_STATE: u64 = 6;
    /// The answer would be too long.
    pub const TOO_LONG: u64 = 7;
    /// No such command.
    pub const UNSUPPORTED: u64 = 8;
    /// What came is damaged.
    pub const CORRUPT: u64 = 9;
    /// Something else is under way.
    pub const BUSY: u64 = 10;
    /// Not allowed.
    pub const DENIED: u64 = 11;
}
