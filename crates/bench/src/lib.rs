//! The service bench: devices on the table, over USB and serial, with the same proofs as over the air.
//!
//! A [`Visit`] brings one device to run one [`Image`], confirmed. A [`Locator`] finds it, by its place
//! on the bus and its serial number, a [`Port`] is the line to it, and a [`Driver`] speaks its protocol.

pub mod doctor;
mod driver;
mod image;
mod place;
mod port;
mod serial;
pub mod smp;
mod tcp;
pub mod visit;

pub use driver::{Driver, Inventory, Mode, SmpDriver};
pub use image::{Image, ImageError};
pub use place::{Locator, Place, Sighting};
pub use port::Port;
pub use serial::{SerialLocator, SerialPort};
pub use tcp::TcpPort;
pub use visit::Visit;
