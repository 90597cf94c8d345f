//! The asking side of SMP: the running application and MCUboot's serial recovery, over one line.
//!
//! [`Exchange`] and [`Upload`] are sans-IO; [`Client`] drives them over a [`crate::Port`].

mod client;
mod error;
mod exchange;
mod groups;
mod provisioning;
mod timeout;
mod upload;

pub use client::{Cancel, Client, Progress};
pub use error::Error;
pub use exchange::{Event, Exchange, Patience, Request};
pub use groups::{BootMode, Bootloader, FileHash, Parameters, Selection, SlotState};
pub use provisioning::{CertificateKind, Lifecycle, ProvisioningInfo};
pub use timeout::Timeout;
pub use upload::{Destination, Upload};
