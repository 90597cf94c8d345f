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
    cut: Arc<AtomicBool>,
    gate: Gate,
}

/// Holds back what a device writes, except on connections that stood before it was closed and only
/// listen.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
}

impl Line {
    pub(crate) fn new(fault: Fault, gate: Gate) -> Self {
        Self { fault, cut: Arc::new(AtomicBool::new(false)), gate }
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
                    Box::new(CutOff { stream, left: after_bytes, cut: Arc::clone(&self.cut) })
                }
                Fault::Garbled { after_bytes } => {
                    Box::new(Garbled { stream, left: after_bytes, done: Arc::clone(&self.cut) })
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

/// Breaks once, after so many bytes came in.
struct CutOff {
    stream: Box<dyn Stream>,
    left: u64,
    cut: Arc<AtomicBool>,
}

/// Alters one byte once, after so many came in.
struct Garbled {
    stream: Box<dyn Stream>,
    left: u64,
    done: Arc<AtomicBool>,
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
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let came = (buf.filled().len() - before) as u64;
        if came > self.left && !self.cut.swap(true, Ordering::Relaxed) {
            buf.set_filled(before);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.left = self.left.saturating_sub(came);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Garbled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let came = &mut buf.filled_mut()[before..];
        let count = came.len() as u64;
        if count > self.left && !self.done.swap(true, Ordering::Relaxed) {
            let middle = came.len() / 2;
            came[middle] ^= 1;
        }
        self.left = self.left.saturating_sub(count);
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
