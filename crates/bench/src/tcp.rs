use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::port::Port;

/// A line over TCP: a simulated board, or a serial port behind a terminal server.
#[derive(Debug)]
pub struct TcpPort {
    stream: TcpStream,
    start: Instant,
}

/// How long the other side may take to accept, or take no byte.
const PATIENCE: Duration = Duration::from_secs(5);

impl TcpPort {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, start: Instant::now() })
    }
}

impl Port for TcpPort {
    fn read(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        match self.stream.read(buffer) {
            Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            Ok(read) => Ok(read),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn discard_input(&mut self) -> io::Result<()> {
        let mut buffer = [0; 1024];
        self.stream.set_nonblocking(true)?;
        let emptied = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.stream.set_nonblocking(false)?;
        emptied
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn baud(&self) -> Option<u32> {
        None
    }
}
