//! The line between a simulated device and its backend, below TLS.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use agent::{Dial, Pending, Stream, TcpDial};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};

use crate::Fault;

/// A line with a fault.
#[derive(Debug)]
pub(crate) struct Line {
    fault: Fault,
    trap: Trap,
    gate: Gate,
}

/// A fault that strikes once, in the middle of a download.
#[derive(Clone, Default, Debug)]
pub(crate) struct Trap(Arc<Spring>);

#[derive(Default, Debug)]
struct Spring {
    set: AtomicBool,
    sprung: AtomicBool,
}

/// Holds back what a device writes, except on connections that stood before it was closed and only
/// listen.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
}

impl Line {
    pub(crate) fn new(fault: Fault, trap: Trap, gate: Gate) -> Self {
        Self { fault, trap, gate }
    }
}

impl Trap {
    /// A download begins: what comes in counts from now on.
    pub(crate) fn set(&self) {
        self.0.set.store(true, Ordering::Relaxed);
    }

    /// Whether it has struck.
    pub(crate) fn sprung(&self) -> bool {
        self.0.sprung.load(Ordering::Relaxed)
    }

    /// Whether it strikes now that so many bytes came, of which so many are `left` to let through.
    fn strikes(&self, came: u64, left: &mut u64) -> bool {
        if came == 0 || !self.0.set.load(Ordering::Relaxed) {
            return false;
        }
        if came > *left {
            return !self.0.sprung.swap(true, Ordering::Relaxed);
        }
        *left -= came;
        false
    }
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { open: watch::Sender::new(true) }
    }

    pub(crate) fn close(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Dial for Line {
    fn dial<'a>(&'a self, address: &'a str) -> Pending<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = TcpDial.dial(address).await?;
            Ok(match self.fault {
                Fault::None
                | Fault::TrialFails
                | Fault::StagedBitFlips
                | Fault::ForeignCertificate
                | Fault::Replay => stream,
                Fault::Slow { bytes_per_second } => Box::new(Slow {
                    stream,
                    bytes_per_second: bytes_per_second.max(1),
                    pause: Box::pin(sleep_until(Instant::now())),
                }),
                Fault::CutOff { after_bytes } => {
                    Box::new(CutOff { stream, left: after_bytes, trap: self.trap.clone() })
                }
                Fault::Garbled { after_bytes } => {
                    Box::new(Garbled { stream, left: after_bytes, trap: self.trap.clone() })
                }
                Fault::LinkLapses { .. } => {
                    Box::new(Gated { stream, wait: None, open: self.gate.open.subscribe() })
                }
            })
        })
    }
}

/// Reads no faster than it may.
struct Slow {
    stream: Box<dyn Stream>,
    bytes_per_second: u32,
    pause: Pin<Box<Sleep>>,
}

/// Breaks once, after so many bytes of a download came in.
struct CutOff {
    stream: Box<dyn Stream>,
    left: u64,
    trap: Trap,
}

/// Alters one byte once, after so many of a download came in.
struct Garbled {
    stream: Box<dyn Stream>,
    left: u64,
    trap: Trap,
}

/// Writes only while its gate is open.
struct Gated {
    stream: Box<dyn Stream>,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    open: watch::Receiver<bool>,
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.pause.as_mut().poll(cx));
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let came = buf.filled().len() - before;
        let rest = Duration::from_secs_f64(came as f64 / f64::from(self.bytes_per_second));
        self.pause.as_mut().reset(Instant::now() + rest);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for CutOff {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if this.trap.strikes((buf.filled().len() - before) as u64, &mut this.left) {
            buf.set_filled(before);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Garbled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let came = &mut buf.filled_mut()[before..];
        if this.trap.strikes(came.len() as u64, &mut this.left) {
            let middle = came.len() / 2;
            came[middle] ^= 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            if *self.open.borrow() {
                self.wait = None;
                return Pin::new(&mut self.stream).poll_write(cx, bytes);
            }
            let mut open = self.open.clone();
            let wait = self.wait.get_or_insert_with(|| {
                Box::pin(async move {
                    // Whoever holds the gate is gone: nothing holds back any more.
                    drop(open.wait_for(|open| *open).await);
                })
            });
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
            if !*self.open.borrow() && self.open.has_changed().is_err() {
                return Pin::new(&mut self.stream).poll_write(cx, bytes);
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

macro_rules! writes_through {
    ($($name:ident)*) => {$(
        impl AsyncWrite for $name {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.stream).poll_write(cx, bytes)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_flush(cx)
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_shutdown(cx)
            }
        }
    )*};
}

writes_through!(Slow CutOff Garbled);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_strikes_once_after_its_bytes_of_a_download() {
        let (trap, mut left) = (Trap::default(), 10);
        assert!(!trap.strikes(1_000, &mut left), "no download has begun");
        trap.set();
        assert!(!trap.strikes(10, &mut left) && !trap.strikes(0, &mut left) && !trap.sprung());
        assert!(trap.strikes(1, &mut left) && trap.sprung());
        assert!(!trap.strikes(1, &mut left), "once is enough");
    }
}
