use std::{io, time::Duration};

/// A line to a device: a serial port, a TCP connection, or one that is simulated.
///
/// It brings its own clock, so that a simulated line runs in simulated time.
pub trait Port: Send {
    /// Reads what is there, or waits for at most `patience` until something comes.
    ///
    /// Returns how many bytes were read; none if nothing came in time.
    ///
    /// # Errors
    /// The line is gone. An end of file is an error, too.
    fn read(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<usize>;

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The line is gone, or takes no more.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Drops what has arrived and was not read.
    ///
    /// # Errors
    /// The line is gone.
    fn discard_input(&mut self) -> io::Result<()>;

    /// The time on this line's clock, which never goes back.
    fn now(&self) -> Duration;

    /// How many bits a second the line carries, ten to a byte; nothing where it has no such limit.
    fn baud(&self) -> Option<u32>;
}

impl<P: Port + ?Sized> Port for Box<P> {
    fn read(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
        (**self).read(buffer, patience)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).write_all(bytes)
    }

    fn discard_input(&mut self) -> io::Result<()> {
        (**self).discard_input()
    }

    fn now(&self) -> Duration {
        (**self).now()
    }

    fn baud(&self) -> Option<u32> {
        (**self).baud()
    }
}
