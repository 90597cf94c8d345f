//! The backend: it knows every device, passes on what others signed and sealed, makes download links
//! that only one device can use and only for a while, and drives rollouts.
//!
//! It holds no key of a release, a ticket or a certificate, and opens no artifact: taken over
//! completely, it can delay an update and nothing worse.

mod backend;
mod config;
mod error;
mod keys;

pub use backend::Backend;
pub use config::{Config, Limits};
pub use error::Error;
pub use tls::{Clock, SystemClock};
