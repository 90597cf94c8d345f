//! Simulated boards for the service bench: MCUboot's slots and an application that speaks SMP, on
//! flash that can lose its power at any operation.
//!
//! [`Board`] is sans-IO and has no clock: bytes and time come in, bytes come out. [`attach_pty`] and
//! [`attach_tcp`] are its shells.

mod attach;
mod firmware;
mod flash;
mod identity;
mod machine;
mod profile;
mod server;
mod slots;
mod trouble;

pub use attach::{Attached, Wire, attach_pty, attach_tcp};
pub use firmware::Firmware;
pub use flash::FlashTiming;
pub use machine::{Board, Running};
pub use profile::{Buffers, Profile};
pub use trouble::Trouble;

#[cfg(test)]
mod tests;
