//! The backend: it knows every device, passes on what others signed and sealed, makes download links
//! that only one device can use and only for a while, and drives rollouts.
//!
//! It holds no key of a release, a ticket or a certificate, and opens no artifact: taken over
//! completely, it can delay an update and nothing worse.

mod api;
mod backend;
mod config;
mod error;
mod executor;
mod extract;
mod fleet;
mod founding;
mod http;
mod io;
mod keys;
mod links;
mod log;
mod metadata;
mod proposal;
mod push;
mod recovery;
mod refusal;
mod requests;
pub mod roles;
mod server;
mod serving;
mod throughput;
mod trust;
mod upkeep;

pub use backend::Backend;
pub use config::{Config, Limits};
pub use error::Error;
pub use proposal::{target_custom, target_file};
pub use tls::{Clock, SystemClock};
