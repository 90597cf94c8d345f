//! From a link to staged ciphertext, each segment verified before it is kept.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use envelope::{
    Link, Sha256,
    otap::{Header, Layout, SegmentList},
};
use http::{StatusCode, header};
use model::{Component, Digest};

use crate::{
    Device, Error, Event, Storage, disk,
    http::{Body, get},
};

/// How many segments one request asks for.
const SEGMENTS_PER_REQUEST: u32 = 16;
/// What is read and hashed at a time when staged bytes are verified.
const PIECE: usize = 64 * 1024;

/// A download under way: everything before `next` is staged and verified.
#[derive(Debug)]
pub(crate) struct Download {
    ticket: Digest,
    layout: Layout,
    segments: SegmentList,
    next: u32,
}

/// Why fetching stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something was offered meanwhile, and goes first.
    Interrupted,
    /// The link is unknown, used or lapsed: another one has to come.
    LinkGone,
    /// What came is not what the ticket names; it was not kept.
    Corrupt,
    /// There is no room for it.
    Full,
    /// The network or the medium failed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let gone = matches!(error, Error::Backend { status: 403 | 404 | 410, .. });
        if gone { Self::LinkGone } else { Self::Failed(error) }
    }
}

impl Device {
    /// Fetches what is missing of the payload that the order in hand names, until `interrupt` is set.
    pub(crate) async fn fetch(&mut self, component: &Component, interrupt: &AtomicBool) -> Result<(), Stop> {
        let Some((link, ticket, header, list)) = self.order.as_ref().and_then(|order| {
            let payload = &order.installation().payload;
            let link: &Link = order.link()?;
            Some((link.path.clone(), order.digest(), payload.header, payload.segment_list))
        }) else {
            return Err(Stop::LinkGone);
        };
        let layout = Header::parse(&header).map_err(|_| Stop::Corrupt)?.layout();
        let mut download = match self.download.take().filter(|download| download.ticket == ticket) {
            Some(download) => download,
            None => self.resume(&link, ticket, layout, &list).await?,
        };
        self.check_space(&download)?;
        let fetched = self.fetch_rest(&link, component, &mut download, interrupt).await;
        self.parts.storage.sync_staged().map_err(medium)?;
        // After a failed write the staging file may end in the middle of a segment: look anew then.
        if !matches!(fetched, Err(Stop::Full | Stop::Failed(Error::Storage { .. }))) {
            self.download = Some(download);
        }
        fetched
    }

    /// Fetches the segment list, and verifies what is staged already against it.
    async fn resume(
        &mut self,
        link: &str,
        ticket: Digest,
        layout: Layout,
        list: &Digest,
    ) -> Result<Download, Stop> {
        let max = layout.segments() as usize * 32;
        let bytes = self.http.file(&format!("{link}/segments"), max).await?.ok_or(Stop::LinkGone)?;
        let segments = SegmentList::parse(&bytes, layout, list).map_err(|_| Stop::Corrupt)?;
        drop(bytes);
        let storage = &mut *self.parts.storage;
        let whole = layout.whole_segments(storage.staged_bytes().map_err(medium)?);
        let mut next = 0;
        while next < whole && staged_segment(storage, layout, &segments, next)? {
            next += 1;
            tokio::task::yield_now().await;
        }
        storage.cut_staged(start(layout, next)).map_err(medium)?;
        tracing::debug!(segments = layout.segments(), staged = next, "download begins or resumes");
        Ok(Download { ticket, layout, segments, next })
    }

    fn check_space(&self, download: &Download) -> Result<(), Stop> {
        let missing = download.layout.ciphertext_len() - start(download.layout, download.next);
        let free = self.parts.storage.free_bytes().map_err(medium)?;
        if free < missing { Err(Stop::Full) } else { Ok(()) }
    }

    async fn fetch_rest(
        &mut self,
        link: &str,
        component: &Component,
        download: &mut Download,
        interrupt: &AtomicBool,
    ) -> Result<(), Stop> {
        let layout = download.layout;
        let mut segment = Vec::new();
        while download.next < layout.segments() {
            let first = start(layout, download.next);
            let until = download.next.saturating_add(SEGMENTS_PER_REQUEST).min(layout.segments());
            let last = start(layout, until) - 1;
            let answer = self.http.send(get(link, Some((first, last)))?, Duration::ZERO).await?;
            let begins = answer.headers().get(header::CONTENT_RANGE).is_some_and(|range| {
                range.to_str().is_ok_and(|range| range.starts_with(&format!("bytes {first}-")))
            });
            let (status, mut body) = self.http.success(answer).await?;
            let whole = status == StatusCode::OK && first == 0;
            if !(whole || status == StatusCode::PARTIAL_CONTENT && begins) {
                self.http.close();
                return Err(Stop::Failed(Error::answer("the backend sent another range than was asked for")));
            }
            let taken =
                self.take_segments(component, download, until, &mut body, &mut segment, interrupt).await;
            if taken.is_err() {
                self.http.close();
            }
            taken?;
            self.parts.storage.sync_staged().map_err(medium)?;
        }
        Ok(())
    }

    async fn take_segments(
        &mut self,
        component: &Component,
        download: &mut Download,
        until: u32,
        body: &mut Body,
        segment: &mut Vec<u8>,
        interrupt: &AtomicBool,
    ) -> Result<(), Stop> {
        let layout = download.layout;
        segment.clear();
        while download.next < until {
            let length = length(layout, download.next);
            segment.reserve_exact(length.saturating_sub(segment.len()));
            let mut piece =
                body.piece().await?.ok_or(Error::answer("the backend sent less than was asked for"))?;
            while !piece.is_empty() && download.next < until {
                let length = self::length(layout, download.next);
                let part = piece.split_to(piece.len().min(length - segment.len()));
                segment.extend_from_slice(&part);
                if segment.len() == length {
                    download.segments.verify_segment(download.next, segment).map_err(|_| Stop::Corrupt)?;
                    self.parts.storage.stage(segment).map_err(medium)?;
                    segment.clear();
                    download.next += 1;
                    self.staged(component, download);
                    if interrupt.load(Ordering::Relaxed) && download.next < layout.segments() {
                        return Err(Stop::Interrupted);
                    }
                }
            }
        }
        // The end of the answer, so that the connection is free for the next request.
        match body.piece().await? {
            None => Ok(()),
            Some(_) => Err(Stop::Failed(Error::answer("the backend sent more than was asked for"))),
        }
    }

    fn staged(&mut self, component: &Component, download: &Download) {
        let Some(progress) = self.record.underway.get(component) else { return };
        let event = Event::Staged {
            deployment: progress.deployment,
            bytes: start(download.layout, download.next),
            total_bytes: download.layout.ciphertext_len(),
        };
        (self.parts.observer)(&event);
    }
}

/// Whether the staged segment is the one that the list names.
fn staged_segment(
    storage: &dyn Storage,
    layout: Layout,
    segments: &SegmentList,
    index: u32,
) -> Result<bool, Stop> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let (mut at, end) = (start(layout, index), start(layout, index + 1));
    while at < end {
        let piece = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
        storage.read_staged(at, &mut buffer[..piece]).map_err(medium)?;
        hash.update(&buffer[..piece]);
        at += piece as u64;
    }
    Ok(segments.segments().get(index as usize) == Some(&hash.finish()))
}

/// Where a segment begins in the ciphertext; the end of the last for the one behind it.
fn start(layout: Layout, segment: u32) -> u64 {
    layout.segment_range(segment).map_or(layout.ciphertext_len(), |range| range.start)
}

fn length(layout: Layout, segment: u32) -> usize {
    usize::try_from(start(layout, segment + 1) - start(layout, segment)).expect("a segment is 1 MiB")
}

fn medium(source: io::Error) -> Stop {
    if disk::is_full(&source) {
        return Stop::Full;
    }
    Stop::Failed(Error::Storage { action: "stage the download", source })
}
