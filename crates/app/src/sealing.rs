//! Sealing an artifact: read, hash, encrypt, hash, write, on as many cores as there is work for.
//!
//! The plaintext is one long chain of hashing, which one thread at a time carries on; segments are
//! sealed, hashed and written by whichever thread is free. All threads are alike: each takes the chain
//! if it lies idle, or else a segment that is ready. A segment is read to where its ciphertext will
//! stand, and no byte is moved after that.

use std::{
    collections::VecDeque,
    fs::File,
    io::Read as _,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use envelope::{
    ContentKey, Sha256,
    otap::{Header, Layout, Sealer, SegmentList, TAG_LEN},
};
use model::{Digest, Random};
use protocol::ErrorCode;

use crate::Error;

/// An artifact as it was sealed.
#[derive(Debug)]
pub struct SealedFile {
    /// SHA-256 of the plaintext.
    pub plaintext: Digest,
    /// The payload's header.
    pub header: Header,
    /// The SHA-256 of each segment.
    pub segments: SegmentList,
}

/// How many segments may be ready before whoever reads seals one, too.
const WAITING: usize = 4;
/// With one thread for the chain, two keep up with it: more would have nothing to do.
const MOST_THREADS: usize = 3;

/// Seals `from` under `key` into `to`, and leaves it to the caller to sync.
///
/// # Errors
/// A file cannot be read or written, or the plaintext changed its length meanwhile.
pub fn seal_file(
    from: &Path,
    to: &File,
    key: &ContentKey,
    random: &mut dyn Random,
) -> Result<SealedFile, Error> {
    let unreadable = |source: std::io::Error| Error::file("read", from, &source);
    let file = File::open(from).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let header = Header::new(length, random).map_err(|source| {
        Error::because(ErrorCode::TooLarge, format!("`{}` is too large to be sealed", from.display()), source)
    })?;
    let layout = header.layout();
    let line = Line {
        sealer: Sealer::new(key, header).map_err(wrong)?,
        from,
        to,
        state: Mutex::new(State {
            chain: Some(Chain { file, hash: Sha256::new(), next: 0 }),
            ready: VecDeque::new(),
            spare: Vec::new(),
            plaintext: None,
            digests: vec![Digest::new([0; 32]); layout.segments() as usize],
            failed: None,
        }),
        changed: Condvar::new(),
    };
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| line.work());
        }
        line.work();
    });
    let State { plaintext, digests, failed, .. } =
        line.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match (failed, plaintext) {
        (None, Some(plaintext)) => {
            let segments = SegmentList::new(layout, digests).map_err(wrong)?;
            Ok(SealedFile { plaintext, header, segments })
        }
        (Some(error), _) => Err(error),
        (None, None) => Err(Error::new(ErrorCode::Internal, "a piece of work stopped unexpectedly")),
    }
}

/// What the threads share.
struct Line<'a> {
    sealer: Sealer,
    from: &'a Path,
    to: &'a File,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Nothing while a thread carries it on, and after its end.
    chain: Option<Chain>,
    /// Read and not yet sealed.
    ready: VecDeque<Segment>,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
    /// Known at the chain's end.
    plaintext: Option<Digest>,
    digests: Vec<Digest>,
    /// The first thing that went wrong; it ends the work of all.
    failed: Option<Error>,
}

/// Reading and hashing the plaintext, in order.
struct Chain {
    file: File,
    hash: Sha256,
    next: u32,
}

/// A segment in a buffer of its sealed length.
struct Segment {
    index: u32,
    buffer: Vec<u8>,
}

impl Line<'_> {
    /// Takes whatever there is to do until all is done.
    fn work(&self) {
        let mut state = self.lock();
        while state.failed.is_none() {
            if state.ready.len() < WAITING
                && let Some(chain) = state.chain.take()
            {
                let buffer = state.spare.pop().unwrap_or_default();
                drop(state);
                let read = self.read(chain, buffer);
                state = self.lock();
                match read {
                    Ok((segment, chain)) if chain.next == self.layout().segments() => {
                        state.ready.push_back(segment);
                        state.plaintext = Some(chain.hash.finish());
                    }
                    Ok((segment, chain)) => {
                        state.ready.push_back(segment);
                        state.chain = Some(chain);
                    }
                    Err(error) => state.failed = Some(error),
                }
                self.changed.notify_all();
            } else if let Some(mut segment) = state.ready.pop_front() {
                drop(state);
                let sealed = self.seal(&mut segment);
                state = self.lock();
                match sealed {
                    Ok(digest) => state.digests[segment.index as usize] = digest,
                    Err(error) => state.failed = Some(error),
                }
                state.spare.push(segment.buffer);
            } else if state.plaintext.is_some() {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.changed.notify_all();
    }

    /// Reads the next segment to where it will be sealed, hashing each chunk while it is in the cache.
    fn read(&self, mut chain: Chain, mut buffer: Vec<u8>) -> Result<(Segment, Chain), Error> {
        let index = chain.next;
        let range = self.layout().segment_range(index).map_err(wrong)?;
        buffer.resize(usize::try_from(range.end - range.start).unwrap_or(usize::MAX), 0);
        for (_, place) in self.layout().places(index, &mut buffer).map_err(wrong)?.1 {
            let length = place.len() - TAG_LEN;
            let plaintext = &mut place[..length];
            chain.file.read_exact(plaintext).map_err(|source| Error::file("read", self.from, &source))?;
            chain.hash.update(plaintext);
        }
        chain.next += 1;
        Ok((Segment { index, buffer }, chain))
    }

    fn seal(&self, Segment { index, buffer }: &mut Segment) -> Result<Digest, Error> {
        let digest = self.sealer.seal_segment(*index, buffer).map_err(wrong)?;
        let at = self.layout().segment_range(*index).map_err(wrong)?.start;
        self.to
            .write_all_at(buffer, at)
            .map_err(|source| Error::file("write the ciphertext of", self.from, &source))?;
        Ok(digest)
    }

    fn layout(&self) -> Layout {
        self.sealer.header().layout()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wrong(source: envelope::otap::Error) -> Error {
    Error::internal("the artifact could not be sealed", source)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use envelope::{
        SystemRandom,
        otap::{Opener, Opening, SEGMENT_LEN},
    };

    use super::*;

    #[test]
    fn what_was_sealed_opens_to_the_same_bytes() {
        for length in [0, 1, SEGMENT_LEN - 1, SEGMENT_LEN, 3 * SEGMENT_LEN + 12_345] {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
            let mut plain = tempfile::NamedTempFile::new().unwrap();
            plain.write_all(&bytes).unwrap();
            let sealed_file = tempfile::tempfile().unwrap();
            let key = ContentKey::generate(&mut SystemRandom);
            let sealed = seal_file(plain.path(), &sealed_file, &key, &mut SystemRandom).unwrap();
            assert_eq!(sealed.plaintext, envelope::sha256(&bytes));

            let opener = Opener::new(&key, sealed.header).unwrap();
            let mut opening = Opening::new(&opener, &sealed.segments);
            let layout = sealed.header.layout();
            let mut opened = Vec::new();
            for index in 0..layout.segments() {
                let range = layout.segment_range(index).unwrap();
                let mut segment = vec![0; (range.end - range.start) as usize];
                sealed_file.read_exact_at(&mut segment, range.start).unwrap();
                opening
                    .segment(&mut segment, |chunk| {
                        opened.extend_from_slice(chunk);
                        Ok::<_, envelope::otap::Error>(())
                    })
                    .unwrap();
            }
            opening.finish(&sealed.plaintext).unwrap();
            assert!(opened == bytes, "{length} bytes");
        }
    }
}
