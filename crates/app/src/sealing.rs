//! Sealing an artifact: read, hash, encrypt, hash, write, on as many cores as there is work for.
//!
//! One thread reads and hashes the plaintext, which can only be done in order; two take segments as they
//! come, seal and hash them, and write each where it belongs.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Mutex, mpsc},
    thread,
};

use envelope::{
    ContentKey, Sha256,
    otap::{Header, SEGMENT_LEN, Sealer, SegmentList},
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

/// A segment on its way from the reader to a sealer.
struct Piece {
    index: u32,
    plaintext: Vec<u8>,
}

/// How many segments may wait between the threads.
const WAITING: usize = 4;
/// How many threads seal.
const SEALERS: usize = 2;

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
    let mut file = File::open(from).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let header = Header::new(length, random).map_err(|source| {
        Error::because(ErrorCode::TooLarge, format!("`{}` is too large to be sealed", from.display()), source)
    })?;
    let sealer = Sealer::new(key, header).map_err(wrong)?;
    let layout = header.layout();

    let digests = Mutex::new(vec![Digest::new([0; 32]); layout.segments() as usize]);
    let (pieces, waiting) = mpsc::sync_channel::<Piece>(WAITING);
    // A sealer that fails takes the receiving end away, so that the reader does not wait for it.
    let waiting = Mutex::new(Some(waiting));
    let (spent, buffers) = mpsc::channel::<Vec<u8>>();
    let seal = |Piece { index, plaintext }: Piece, out: &mut Vec<u8>| {
        let range = layout.segment_range(index).map_err(wrong)?;
        out.resize(usize::try_from(range.end - range.start).unwrap_or(usize::MAX), 0);
        let digest = sealer.seal_segment(index, &plaintext, out).map_err(wrong)?;
        to.write_all_at(out, range.start)
            .map_err(|source| Error::file("write the ciphertext of", from, &source))?;
        lock(&digests)[index as usize] = digest;
        Ok::<_, Error>(plaintext)
    };
    let work = |spent: mpsc::Sender<Vec<u8>>| {
        let mut out = Vec::new();
        loop {
            let next = lock(&waiting).as_ref().and_then(|pieces| pieces.recv().ok());
            let Some(piece) = next else { return Ok(()) };
            match seal(piece, &mut out) {
                // The reader may be done with its work already.
                Ok(plaintext) => drop(spent.send(plaintext)),
                Err(error) => {
                    *lock(&waiting) = None;
                    return Err(error);
                }
            }
        }
    };
    let plaintext = thread::scope(|scope| {
        let work = &work;
        let sealers: Vec<_> = (0..SEALERS)
            .map(|_| {
                let spent = spent.clone();
                scope.spawn(move || work(spent))
            })
            .collect();
        let mut hash = Sha256::new();
        let mut read = || {
            for index in 0..layout.segments() {
                let range = layout.segment_plaintext(index).map_err(wrong)?;
                let mut plaintext = buffers.try_recv().unwrap_or_else(|_| Vec::with_capacity(SEGMENT_LEN));
                plaintext.resize(usize::try_from(range.end - range.start).unwrap_or(SEGMENT_LEN), 0);
                file.read_exact(&mut plaintext).map_err(unreadable)?;
                hash.update(&plaintext);
                if pieces.send(Piece { index, plaintext }).is_err() {
                    // A sealer failed; its error is the one to tell.
                    break;
                }
            }
            Ok(())
        };
        let outcome: Result<(), Error> = read();
        drop(pieces);
        for sealer in sealers {
            sealer.join().unwrap_or_else(|_| {
                Err(Error::new(ErrorCode::Internal, "a piece of work stopped unexpectedly"))
            })?;
        }
        outcome.map(|()| hash.finish())
    })?;
    let digests = digests.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(SealedFile { plaintext, header, segments: SegmentList::new(layout, digests).map_err(wrong)? })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn wrong(source: envelope::otap::Error) -> Error {
    Error::internal("the artifact could not be sealed", source)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use envelope::{
        SystemRandom,
        otap::{Opener, Opening},
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
