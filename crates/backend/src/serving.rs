//! Serving ciphertext over a link, and counting what was really sent.
//!
//! A body hands hyper slices of the mapped file, 64 KiB each, so that no byte is copied before it is
//! encrypted. A slice counts as served when hyper lets go of it after it was written to the
//! connection; what a broken connection left in the buffers does not count.

use std::{
    collections::HashMap,
    ops::Range,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use model::{DeploymentId, UnixTime};
use store::{Link, Served, ServedRange};
use tls::Clock;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::io::Failed;

/// What reaches the connection at once: rustls' buffer, four records.
const SLICE: u64 = 64 * 1024;
/// After so many bytes progress is noted, so that screens show it.
const NOTE_EVERY: u64 = 1024 * 1024;

/// The downloads under way, by deployment: one link is open for each.
#[derive(Debug)]
pub(crate) struct Downloads {
    open: Mutex<HashMap<DeploymentId, Arc<Download>>>,
    notes: mpsc::UnboundedSender<Note>,
    waiting: AsyncMutex<mpsc::UnboundedReceiver<Note>>,
}

/// A download over one link, however many requests it takes.
#[derive(Debug)]
pub(crate) struct Download {
    link: Arc<Link>,
    /// The link is gone: every answer over it stops.
    gone: AtomicBool,
    /// Different bytes that are on record.
    counted: AtomicU64,
    /// Bytes sent that are not on record yet.
    pending: AtomicU64,
}

/// Something for the one who keeps the record.
#[derive(Debug)]
pub(crate) enum Note {
    /// Bytes were sent.
    Sent(Arc<Download>, Range<u64>),
    /// Somebody waits until all notes before this one are on record.
    Barrier(oneshot::Sender<()>),
}

/// The answer to one request.
pub(crate) struct LinkBody {
    bytes: Bytes,
    /// Where `bytes` begin in the ciphertext.
    at: u64,
    clock: Arc<dyn Clock>,
    progress: Arc<Progress>,
}

/// How far one answer got.
struct Progress {
    download: Arc<Download>,
    notes: mpsc::UnboundedSender<Note>,
    failed: Arc<Failed>,
    sent: Mutex<Sent>,
}

struct Sent {
    noted: u64,
    to: u64,
}

/// A slice on its way through hyper's buffers.
struct Slice {
    bytes: Bytes,
    progress: Arc<Progress>,
}

/// Why an answer stopped in the middle.
#[derive(Debug, thiserror::Error)]
#[error("the link lapsed or was taken back")]
pub(crate) struct Stopped;

impl Default for Downloads {
    fn default() -> Self {
        let (notes, waiting) = mpsc::unbounded_channel();
        Self { open: Mutex::default(), notes, waiting: AsyncMutex::new(waiting) }
    }
}

impl Downloads {
    /// The download that this link belongs to.
    pub(crate) fn of(&self, link: &Arc<Link>) -> Arc<Download> {
        let mut open = self.lock();
        if let Some(download) = open.get(&link.deployment).filter(|download| download.link.id == link.id) {
            return Arc::clone(download);
        }
        let download = Arc::new(Download {
            link: Arc::clone(link),
            gone: AtomicBool::new(false),
            // Not known yet what earlier links served: it may be all but what comes now.
            counted: AtomicU64::new(link.length_bytes),
            pending: AtomicU64::new(0),
        });
        if let Some(older) = open.insert(link.deployment, Arc::clone(&download)) {
            older.end();
        }
        download
    }

    /// Stops every answer for this deployment: its link is gone.
    pub(crate) fn end(&self, deployment: DeploymentId) {
        if let Some(download) = self.lock().remove(&deployment) {
            download.end();
        }
    }

    /// Ends every download.
    pub(crate) fn end_all(&self) {
        std::mem::take(&mut *self.lock()).into_values().for_each(|download| download.end());
    }

    /// Forgets downloads whose link has lapsed.
    pub(crate) fn forget_lapsed(&self, now: UnixTime) {
        self.lock().retain(|_, download| download.link.id.expires_at() > now);
    }

    /// Waits until what was sent over `download` is on record, if that may have been the last of it;
    /// whether it waited. A link that is used up must not be served again because the record lags.
    pub(crate) async fn settle(&self, download: &Download) -> bool {
        let pending = download.pending.load(Ordering::Acquire);
        let counted = download.counted.load(Ordering::Acquire);
        if pending == 0 || pending + counted < download.link.length_bytes {
            return false;
        }
        let (barrier, passed) = oneshot::channel();
        if self.notes.send(Note::Barrier(barrier)).is_ok() {
            // It fails only when nobody keeps the record any more: the backend is shutting down.
            let _ = passed.await;
        }
        true
    }

    /// The same for what is under way for this deployment.
    pub(crate) async fn settle_of(&self, deployment: DeploymentId) -> bool {
        let download = self.lock().get(&deployment).cloned();
        match download {
            Some(download) => self.settle(&download).await,
            None => false,
        }
    }

    /// The answer that sends `bytes`, which begin at `at`.
    pub(crate) fn body(
        &self,
        download: Arc<Download>,
        bytes: Bytes,
        at: u64,
        clock: Arc<dyn Clock>,
        failed: Arc<Failed>,
    ) -> LinkBody {
        let sent = Mutex::new(Sent { noted: at, to: at });
        let progress = Arc::new(Progress { download, notes: self.notes.clone(), failed, sent });
        LinkBody { bytes, at, clock, progress }
    }

    /// Waits until everything that was sent is on record.
    pub(crate) async fn close(&self) {
        let (barrier, passed) = oneshot::channel();
        if self.notes.send(Note::Barrier(barrier)).is_ok() {
            // It fails only without a keeper, who then has nothing left.
            let _ = passed.await;
        }
    }

    /// The next notes, at least one. Only one may ask at a time.
    pub(crate) async fn notes(&self, most: usize) -> Vec<Note> {
        let mut notes = Vec::new();
        self.waiting.lock().await.recv_many(&mut notes, most).await;
        notes
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<DeploymentId, Arc<Download>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Download {
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// How these bytes stand on record.
    pub(crate) fn range(&self, sent: &Range<u64>) -> ServedRange {
        ServedRange { link: self.link.id, from: sent.start, to: sent.end }
    }

    /// Takes note of what became of them.
    pub(crate) fn noted(&self, sent: &Range<u64>, served: Option<Served>) {
        match served {
            Some(Served::Counted { bytes }) => self.counted.store(bytes, Ordering::Release),
            Some(Served::Consumed | Served::Gone) => self.end(),
            None => {}
        }
        self.pending.fetch_sub(sent.end - sent.start, Ordering::AcqRel);
    }

    fn end(&self) {
        self.gone.store(true, Ordering::Release);
    }
}

impl LinkBody {
    fn stopped(&self) -> bool {
        let download = &self.progress.download;
        download.gone.load(Ordering::Acquire) || download.link.id.expires_at() <= self.clock.now()
    }
}

impl Body for LinkBody {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if self.stopped() {
            return Poll::Ready(Some(Err(Stopped)));
        }
        // Up to the next multiple, so that later slices begin on page boundaries.
        let most = usize::try_from(SLICE - self.at % SLICE).expect("at most 64 KiB");
        let take = most.min(self.bytes.len());
        let bytes = self.bytes.split_to(take);
        self.at += take as u64;
        let slice = Slice { bytes, progress: Arc::clone(&self.progress) };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(slice)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        if !self.progress.failed.get() {
            self.progress.advance(self.bytes.len() as u64);
        }
    }
}

impl Progress {
    fn advance(&self, bytes: u64) {
        self.download.pending.fetch_add(bytes, Ordering::AcqRel);
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.to += bytes;
        if sent.to - sent.noted >= NOTE_EVERY {
            self.note(&mut sent);
        }
    }

    fn note(&self, sent: &mut Sent) {
        if sent.noted < sent.to {
            let range = sent.noted..sent.to;
            sent.noted = sent.to;
            // Without a keeper the backend is shutting down; what is not on record is sent again.
            let _ = self.notes.send(Note::Sent(Arc::clone(&self.download), range));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        self.note(&mut sent);
    }
}
