//! The device side for Linux: verify, download, install, confirm or roll back.
//!
//! [`Device`] is the engine. It is made of [`Parts`], small traits that a simulation or a test puts its
//! faults into: [`Storage`], [`Installer`], [`Dial`], a clock and randomness. There is no state outside
//! of it, one task runs it, and a thousand of them run in one process. The binary `fleetseal-agent` is
//! one of them over a folder, real installers and TCP.
//!
//! ```text
//! enrol(token, ...)            once: keys, certificate, what it starts from
//! Device::open(settings, parts)    after each start: goes on where it was cut off
//! device.run(cancel)           check in, listen, fetch, install, confirm, report
//! ```

pub mod config;
mod deployment;
mod device;
mod disk;
mod download;
mod enrolment;
mod error;
mod event;
mod http;
mod identity;
pub mod installer;
mod metadata;
mod offer;
mod pace;
mod payload;
mod push;
mod record;
mod run;
mod storage;
#[cfg(test)]
mod tests;
mod transport;

pub use device::{ComponentNow, Device, Fitting, Parts, Settings, Status, report_loss};
pub use enrolment::{enrol, renew};
pub use envelope::{EnrolmentToken, SystemRandom};
pub use error::Error;
pub use event::Event;
pub use installer::{Artifact, Boot, Content, InstallError, Installer, Pending, Trial};
pub use pace::Pace;
pub use run::Exit;
pub use storage::{Blob, Copies, Copy, DirStorage, Loaded, MemoryStorage, Storage};
pub use tls::{Clock, SystemClock};
pub use transport::{Dial, Stream, TcpDial};
