use std::{
    io::{self, Read as _, Write as _},
    time::{Duration, Instant},
};

use serialport::SerialPortType;

use crate::{
    place::{Locator, Place, Sighting},
    port::Port,
    tcp::TcpPort,
};

/// A serial port of this computer, USB CDC-ACM included. Blocking: a visit has a thread of its own.
pub struct SerialPort {
    inner: Box<dyn serialport::SerialPort>,
    baud: u32,
    start: Instant,
}

/// What the name of a line over TCP begins with.
const TCP: &str = "tcp:";

/// The serial ports of this computer, and those that it is told of.
#[derive(Clone, Debug)]
pub struct SerialLocator {
    baud: u32,
    also: Vec<String>,
    start: Instant,
}

/// How long a line may take no byte before it counts as gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);

impl SerialPort {
    /// Opens the port of this name, 8N1, without flow control, for nobody else.
    ///
    /// # Errors
    /// There is none, somebody else has it open, or it may not be opened.
    pub fn open(name: &str, baud: u32) -> io::Result<Self> {
        let inner = serialport::new(name, baud).timeout(WRITE_PATIENCE).open()?;
        Ok(Self { inner, baud, start: Instant::now() })
    }
}

impl std::fmt::Debug for SerialPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SerialPort({:?}, {} baud)", self.inner.name(), self.baud)
    }
}

impl Port for SerialPort {
    fn read(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
        self.inner.set_timeout(patience.max(Duration::from_millis(1)))?;
        match self.inner.read(buffer) {
            // A port that is gone reads as empty on some systems.
            Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            Ok(read) => Ok(read),
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.set_timeout(WRITE_PATIENCE)?;
        self.inner.write_all(bytes)
    }

    fn discard_input(&mut self) -> io::Result<()> {
        Ok(self.inner.clear(serialport::ClearBuffer::Input)?)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn baud(&self) -> Option<u32> {
        Some(self.baud)
    }
}

impl SerialLocator {
    /// The USB ports that the system lists, opened with this baud rate.
    pub fn new(baud: u32) -> Self {
        Self { baud, also: Vec::new(), start: Instant::now() }
    }

    /// And the port of this name, whatever it is, or the line to `tcp:host:port`: its name is its place,
    /// and it has no serial number.
    #[must_use]
    pub fn with(mut self, name: &str) -> Self {
        self.also.push(name.to_owned());
        self
    }
}

impl Locator for SerialLocator {
    fn devices(&mut self) -> io::Result<Vec<Sighting>> {
        let mut found: Vec<Sighting> = self
            .also
            .iter()
            .filter(|name| name.starts_with(TCP) || std::path::Path::new(name).exists())
            .map(|name| Sighting {
                place: Place::new(name.clone()),
                serial: None,
                usb: None,
                port: name.clone(),
            })
            .collect();
        for port in serialport::available_ports()? {
            let SerialPortType::UsbPort(usb) = port.port_type else { continue };
            // Without its place, a device is known by nothing that another could not have, too.
            let Some(location) = usb.location else { continue };
            // One that was named is known by its place all the same.
            found.retain(|named: &Sighting| named.port != port.port_name);
            found.push(Sighting {
                place: Place::new(format!("usb-{location}")),
                serial: usb.serial_number,
                usb: Some((usb.vid, usb.pid)),
                port: port.port_name,
            });
        }
        Ok(found)
    }

    fn open(&mut self, sighting: &Sighting) -> io::Result<Box<dyn Port>> {
        Ok(match sighting.port.strip_prefix(TCP) {
            Some(address) => Box::new(TcpPort::open(address)?),
            None => Box::new(SerialPort::open(&sighting.port, self.baud)?),
        })
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}
