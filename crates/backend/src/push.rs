//! Push streams: what is offered reaches a device without its asking.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use model::DeviceId;
use protocol::device::PushEvent;
use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep},
};

/// How many events wait for a device before its stream is dropped: it asks again, and is told then.
const WAITING_MOST: usize = 16;

/// The open push streams, one per device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Push(Arc<Streams>);

#[derive(Debug, Default)]
struct Streams {
    next: AtomicU64,
    open: Mutex<HashMap<DeviceId, Sender>>,
}

#[derive(Debug)]
struct Sender {
    stream: u64,
    events: mpsc::Sender<Bytes>,
}

/// A device's end of its stream. The newest stream of a device takes the place of an older one.
struct Stream {
    streams: Arc<Streams>,
    device: DeviceId,
    number: u64,
    events: mpsc::Receiver<Bytes>,
    every: Duration,
    ping: Pin<Box<Sleep>>,
}

impl Push {
    /// Opens a device's stream, beginning with `first`.
    pub(crate) fn open(&self, device: DeviceId, first: &[PushEvent], ping: Duration) -> Body {
        let (sender, events) = mpsc::channel(WAITING_MOST + first.len());
        for event in first {
            // There is room for all of them.
            let _ = sender.try_send(line(event));
        }
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.lock().insert(device, Sender { stream: number, events: sender });
        let stream = Stream {
            streams: Arc::clone(&self.0),
            device,
            number,
            events,
            every: ping,
            ping: Box::pin(sleep(ping)),
        };
        Body::new(StreamBody::new(stream))
    }

    /// Sends an event, if the device's stream is open; whether it was. A stream that is not read is
    /// dropped.
    pub(crate) fn send(&self, device: DeviceId, event: &PushEvent) -> bool {
        let mut open = self.0.lock();
        let Some(sender) = open.get(&device) else {
            return false;
        };
        let sent = sender.events.try_send(line(event)).is_ok();
        if !sent {
            tracing::warn!(device_id = %device, "dropped a push stream that is not read");
            open.remove(&device);
        }
        sent
    }

    /// Sends an event to everybody.
    pub(crate) fn send_to_all(&self, event: &PushEvent) {
        let line = line(event);
        self.0.lock().retain(|_, sender| sender.events.try_send(line.clone()).is_ok());
    }

    /// Ends a device's stream.
    pub(crate) fn close(&self, device: DeviceId) {
        self.0.lock().remove(&device);
    }

    /// Ends every stream.
    pub(crate) fn close_all(&self) {
        self.0.lock().clear();
    }

    /// Whether the device's stream is open.
    pub(crate) fn is_open(&self, device: DeviceId) -> bool {
        self.0.lock().contains_key(&device)
    }

    /// How many streams are open.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl Streams {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<DeviceId, Sender>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl futures_util::Stream for Stream {
    type Item = Result<Frame<Bytes>, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let every = self.every;
        if let Poll::Ready(event) = self.events.poll_recv(cx) {
            self.ping.as_mut().reset(Instant::now() + every);
            return Poll::Ready(event.map(|line| Ok(Frame::data(line))));
        }
        if self.ping.as_mut().poll(cx).is_ready() {
            self.ping.as_mut().reset(Instant::now() + every);
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(PING)))));
        }
        Poll::Pending
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        if open.get(&self.device).is_some_and(|sender| sender.stream == self.number) {
            open.remove(&self.device);
        }
    }
}

const PING: &[u8] = b"{\"event\":\"ping\"}\n";

/// One JSON object on a line of its own.
pub(crate) fn line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).expect("wire types have string keys and finite numbers");
    line.push(b'\n');
    Bytes::from(line)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use http_body_util::BodyExt;

    use super::*;

    const DEVICE: DeviceId = DeviceId::new([1; 16]);

    async fn next(body: &mut Body) -> Option<String> {
        let frame = body.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_newest_stream_of_a_device_ends_the_older_one() {
        let push = Push::default();
        let mut old = push.open(DEVICE, &[], Duration::from_secs(25));
        let mut new = push.open(DEVICE, &[], Duration::from_secs(25));
        assert!(next(&mut old).await.is_none());
        drop(old);
        assert!(push.send(DEVICE, &PushEvent::Metadata));
        assert_eq!(next(&mut new).await.unwrap(), "{\"event\":\"metadata\"}\n");
        drop(new);
        assert!(!push.is_open(DEVICE));
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_is_dropped_and_holds_nobody_up() {
        let push = Push::default();
        let stalled = push.open(DEVICE, &[], Duration::from_secs(25));
        let sent = (0..100).take_while(|_| push.send(DEVICE, &PushEvent::Metadata)).count();
        assert_eq!(sent, WAITING_MOST);
        assert!(!push.is_open(DEVICE));
        let left = stalled.into_data_stream().count().await;
        assert_eq!(left, WAITING_MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_stream_shows_that_it_is_alive() {
        let push = Push::default();
        let mut body = push.open(DEVICE, &[PushEvent::Metadata], Duration::from_secs(25));
        let began = Instant::now();
        assert!(next(&mut body).await.unwrap().contains("metadata"));
        assert_eq!(next(&mut body).await.unwrap().as_bytes(), PING);
        assert_eq!(began.elapsed().as_secs(), 25);
        push.close(DEVICE);
        assert!(next(&mut body).await.is_none());
    }
}
