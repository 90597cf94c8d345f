use std::{fmt, io, time::Duration};

use serde::{Deserialize, Serialize};

use crate::port::Port;

/// Where on the bus a device is plugged in: the chain of ports from the computer to it. It stays the
/// same when the system gives the port another name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(String);

/// A device that is plugged in, as far as the bus tells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sighting {
    /// Where.
    pub place: Place,
    /// The serial number that it tells the bus. Two devices may tell the same.
    pub serial: Option<String>,
    /// USB vendor and product.
    pub usb: Option<(u16, u16)>,
    /// What the system calls its port at the moment.
    pub port: String,
}

/// Finds devices and opens lines to them. It brings a clock, as [`Port`] does.
pub trait Locator: Send {
    /// What is plugged in now, in any order.
    ///
    /// # Errors
    /// The system does not say.
    fn devices(&mut self) -> io::Result<Vec<Sighting>>;

    /// Opens the line to a device.
    ///
    /// # Errors
    /// It is gone, or somebody else has it open, or it may not be opened.
    fn open(&mut self, sighting: &Sighting) -> io::Result<Box<dyn Port>>;

    /// Lets time pass.
    fn wait(&mut self, time: Duration);

    /// The time on the clock, which never goes back.
    fn now(&self) -> Duration;
}

impl Place {
    /// A place with this name, which says where it is.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
