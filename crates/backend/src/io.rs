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

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// A connection that gives up on an end that takes no bytes, and remembers that it failed.
pub(crate) struct Guarded<IO> {
    io: IO,
    stall: Duration,
    /// Runs only while bytes wait to be taken.
    deadline: Option<Pin<Box<Sleep>>>,
    failed: Arc<Failed>,
}

/// Whether a connection broke with bytes still unsent.
#[derive(Debug, Default)]
pub(crate) struct Failed(AtomicBool);

impl Failed {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Marks the connection as broken when the guard is dropped. Held beside a connection and dropped
    /// before it, so that what is left in the connection's buffers does not count as sent.
    pub(crate) fn on_drop(self: &Arc<Self>) -> impl Drop + use<> {
        FailOnDrop(Arc::clone(self))
    }
}

struct FailOnDrop(Arc<Failed>);

impl Drop for FailOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl<IO> Guarded<IO> {
    pub(crate) fn new(io: IO, stall: Duration, failed: Arc<Failed>) -> Self {
        Self { io, stall, deadline: None, failed }
    }

    /// What a write or flush came to, or that it waited too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Ok(written)) => {
                self.deadline = None;
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => {
                self.failed.set();
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                let stall = self.stall;
                let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(stall)));
                ready!(deadline.as_mut().poll(cx));
                deadline.as_mut().reset(Instant::now() + stall);
                self.failed.set();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guarded<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guarded<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(cx, closed)
    }
}
