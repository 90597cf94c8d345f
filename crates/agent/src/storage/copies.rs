use std::io;

use envelope::sha256;

use crate::{Blob, Storage, storage::Copy};

/// Eight bytes that begin each copy: what it is and the version of its form.
const MAGIC: [u8; 8] = *b"FSCOPY/1";
/// Magic, generation (u64, big-endian), SHA-256 of what follows the digest and of the generation.
const HEADER: usize = 8 + 8 + 32;

/// Something that is stored twice, so that one damaged copy loses nothing. The newest valid one wins.
///
/// Each change writes both, one after the other: whatever moment the power fails at, at least one
/// holds either what was or what is.
#[derive(Clone, Copy, Debug)]
pub struct Copies {
    blob: fn(Copy) -> Blob,
    generation: u64,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loaded {
    /// Neither copy was ever written.
    Absent,
    /// The newest valid content.
    Content(Vec<u8>),
    /// There was something, and none of it is valid any more.
    Lost,
}

impl Copies {
    /// Reads what `blob` names in two copies, and mends the one that is missing, damaged or behind.
    ///
    /// # Errors
    /// The medium cannot be read.
    pub fn load(blob: fn(Copy) -> Blob, storage: &mut dyn Storage) -> io::Result<(Self, Loaded)> {
        let first = storage.read(blob(Copy::First))?;
        let second = storage.read(blob(Copy::Second))?;
        let absent = first.is_none() && second.is_none();
        let equal = first == second;
        let Some((generation, content)) = newest(first, second) else {
            let loaded = if absent { Loaded::Absent } else { Loaded::Lost };
            return Ok((Self { blob, generation: 0 }, loaded));
        };
        let mut copies = Self { blob, generation };
        if !equal {
            tracing::warn!(blob = blob(Copy::First).name(), "mending one of two copies");
            // Best effort: one valid copy is enough to go on with.
            copies.store(storage, &content).ok();
        }
        Ok((copies, Loaded::Content(content)))
    }

    /// Replaces the content, durably once this returns.
    ///
    /// # Errors
    /// The medium failed or is full. What is found later may be the old content or the new one.
    pub fn store(&mut self, storage: &mut dyn Storage, content: &[u8]) -> io::Result<()> {
        let generation = self.generation + 1;
        let mut copy = Vec::with_capacity(HEADER + content.len());
        copy.extend_from_slice(&MAGIC);
        copy.extend_from_slice(&generation.to_be_bytes());
        copy.extend_from_slice(&digest(generation, content));
        copy.extend_from_slice(content);
        storage.write((self.blob)(Copy::First), &copy)?;
        self.generation = generation;
        // The change is durable by now: that its second copy could not be written must not undo it.
        if let Err(error) = storage.write((self.blob)(Copy::Second), &copy) {
            tracing::warn!(blob = (self.blob)(Copy::Second).name(), %error, "only one copy could be stored");
        }
        Ok(())
    }
}

/// The newest valid one of two copies as they were read: its generation and content.
pub(crate) fn newest(first: Option<Vec<u8>>, second: Option<Vec<u8>>) -> Option<(u64, Vec<u8>)> {
    [first, second].into_iter().flatten().filter_map(open).max_by_key(|(generation, _)| *generation)
}

fn open(mut copy: Vec<u8>) -> Option<(u64, Vec<u8>)> {
    let rest = copy.strip_prefix(&MAGIC)?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let (expected, content) = rest.split_first_chunk::<32>()?;
    let generation = u64::from_be_bytes(*generation);
    if digest(generation, content) != *expected {
        return None;
    }
    copy.drain(..HEADER);
    Some((generation, copy))
}

fn digest(generation: u64, content: &[u8]) -> [u8; 32] {
    let inner = sha256(content);
    *sha256(&[&generation.to_be_bytes()[..], inner.as_bytes()].concat()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStorage;

    fn load(storage: &MemoryStorage) -> (Copies, Loaded) {
        Copies::load(Blob::State, &mut storage.clone()).unwrap()
    }

    fn stored(contents: &[&[u8]]) -> MemoryStorage {
        let mut storage = MemoryStorage::new();
        let (mut copies, loaded) = load(&storage);
        assert_eq!(loaded, Loaded::Absent);
        for content in contents {
            copies.store(&mut storage, content).unwrap();
        }
        storage
    }

    #[test]
    fn either_copy_alone_is_enough() {
        for copy in [Copy::First, Copy::Second] {
            let mut storage = stored(&[b"old", b"new"]);
            storage.damage(Blob::State(copy));
            assert_eq!(load(&storage).1, Loaded::Content(b"new".to_vec()));
            storage.remove(Blob::State(copy)).unwrap();
            let (mut copies, loaded) = load(&storage);
            assert_eq!(loaded, Loaded::Content(b"new".to_vec()));
            let both = [Copy::First, Copy::Second].map(|copy| storage.read(Blob::State(copy)).unwrap());
            assert_eq!(both[0], both[1]);
            copies.store(&mut storage, b"newer").unwrap();
            assert_eq!(load(&storage).1, Loaded::Content(b"newer".to_vec()));
        }
    }

    #[test]
    fn with_both_copies_damaged_the_content_is_lost_and_not_absent() {
        let mut storage = stored(&[b"content"]);
        storage.damage(Blob::State(Copy::First));
        storage.damage(Blob::State(Copy::Second));
        assert_eq!(load(&storage).1, Loaded::Lost);
        storage.remove(Blob::State(Copy::First)).unwrap();
        assert_eq!(load(&storage).1, Loaded::Lost);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_noticed() {
        let storage = stored(&[b"content"]);
        let whole = storage.read(Blob::State(Copy::First)).unwrap().unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert_eq!(open(flipped), None, "byte {at}");
            assert_eq!(open(whole[..at].to_vec()), None, "cut to {at}");
        }
        assert!(open(whole).is_some());
    }

    #[test]
    fn the_newer_copy_wins_wherever_it_stands() {
        let older = stored(&[b"old"]);
        let newer = stored(&[b"old", b"new"]);
        for (first, second) in [(&older, &newer), (&newer, &older)] {
            let mut storage = MemoryStorage::new();
            for (copy, source) in [(Copy::First, first), (Copy::Second, second)] {
                let content = source.read(Blob::State(copy)).unwrap().unwrap();
                storage.write(Blob::State(copy), &content).unwrap();
            }
            assert_eq!(load(&storage).1, Loaded::Content(b"new".to_vec()));
        }
    }
}
