//! What every request asks for, kept in memory: people, device identities, links in use.
//!
//! The writer applies a group's effects after its commit and before its answers, so that nobody who was
//! told of a revocation is still served.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, PoisonError, RwLock},
};

use hashbrown::HashTable;
use model::{DeviceId, Digest, LinkId, SpkiDigest};

use crate::{Identity, Link, Person};

/// Links held at most; the memory is emptied when it is full.
const LINKS_MOST: usize = 65_536;

/// What a committed operation changes in memory.
pub(super) enum Effect {
    Person(Arc<Person>),
    PersonGone(SpkiDigest),
    Identity(Identity),
    LinkMade(Arc<Link>),
    LinksGone(Vec<LinkId>),
}

#[derive(Default)]
pub(super) struct Memory {
    people: RwLock<HashMap<SpkiDigest, Arc<Person>>>,
    identities: RwLock<Identities>,
    links: RwLock<OpenLinks>,
}

#[derive(Default)]
struct OpenLinks {
    by_id: HashMap<LinkId, Arc<Link>>,
    /// Rises when links go: a link read before must not be remembered after.
    removals: u64,
}

/// Identities by device, by identity key and by certificate. The tables hold places in the list, which
/// keeps a million devices near 100 MB.
#[derive(Default)]
struct Identities {
    all: Vec<Identity>,
    hasher: RandomState,
    by_device: HashTable<u32>,
    by_spki: HashTable<u32>,
    by_certificate: HashTable<u32>,
}

impl Memory {
    pub(super) fn apply(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Person(person) => {
                    write(&self.people).insert(person.spki, person);
                }
                Effect::PersonGone(spki) => {
                    write(&self.people).remove(&spki);
                }
                Effect::Identity(identity) => write(&self.identities).put(identity),
                Effect::LinkMade(link) => write(&self.links).put(link),
                Effect::LinksGone(gone) => {
                    let mut links = write(&self.links);
                    links.removals += 1;
                    gone.iter().for_each(|link| drop(links.by_id.remove(link)));
                }
            }
        }
    }

    pub(super) fn person(&self, spki: &SpkiDigest) -> Option<Arc<Person>> {
        read(&self.people).get(spki).cloned()
    }

    pub(super) fn people(&self) -> Vec<Arc<Person>> {
        read(&self.people).values().cloned().collect()
    }

    pub(super) fn identity(&self, spki: &SpkiDigest) -> Option<Identity> {
        let identities = read(&self.identities);
        let hash = identities.hasher.hash_one(spki);
        let place = identities.by_spki.find(hash, |at| identities.at(*at).spki == *spki)?;
        Some(*identities.at(*place))
    }

    pub(super) fn identity_by_certificate(&self, sha256: &Digest) -> Option<Identity> {
        let identities = read(&self.identities);
        let hash = identities.hasher.hash_one(sha256);
        let place = identities.by_certificate.find(hash, |at| identities.at(*at).certificate == *sha256)?;
        Some(*identities.at(*place))
    }

    pub(super) fn identity_of(&self, device: &DeviceId) -> Option<Identity> {
        let identities = read(&self.identities);
        let hash = identities.hasher.hash_one(device);
        let place = identities.by_device.find(hash, |at| identities.at(*at).device == *device)?;
        Some(*identities.at(*place))
    }

    /// Makes room for so many identities at once.
    pub(super) fn reserve_identities(&self, count: usize) {
        let mut identities = write(&self.identities);
        let Identities { all, hasher, by_device, by_spki, by_certificate } = &mut *identities;
        all.reserve_exact(count);
        by_device.reserve(count, |at| hasher.hash_one(all[*at as usize].device));
        by_spki.reserve(count, |at| hasher.hash_one(all[*at as usize].spki));
        by_certificate.reserve(count, |at| hasher.hash_one(all[*at as usize].certificate));
    }

    /// A remembered link, or a stamp with which one read from now on may be remembered.
    pub(super) fn link(&self, id: &LinkId) -> Result<Arc<Link>, u64> {
        let links = read(&self.links);
        links.by_id.get(id).cloned().ok_or(links.removals)
    }

    /// Remembers a link that was read after `stamp` was given, unless links have gone since.
    pub(super) fn remember_link(&self, link: &Arc<Link>, stamp: u64) {
        let mut links = write(&self.links);
        if links.removals == stamp {
            links.put(Arc::clone(link));
        }
    }
}

impl OpenLinks {
    fn put(&mut self, link: Arc<Link>) {
        if self.by_id.len() >= LINKS_MOST {
            self.by_id.clear();
        }
        self.by_id.insert(link.id, link);
    }
}

impl Identities {
    fn at(&self, place: u32) -> &Identity {
        &self.all[place as usize]
    }

    fn put(&mut self, new: Identity) {
        let Self { all, hasher, by_device, by_spki, by_certificate } = self;
        let by = hasher.hash_one(new.device);
        let known = by_device.find(by, |at| all[*at as usize].device == new.device).copied();
        let place = if let Some(place) = known {
            let old = std::mem::replace(&mut all[place as usize], new);
            forget(by_spki, hasher.hash_one(old.spki), place);
            forget(by_certificate, hasher.hash_one(old.certificate), place);
            place
        } else {
            let place = u32::try_from(all.len()).expect("a store has fewer than four billion devices");
            all.push(new);
            by_device.insert_unique(by, place, |at| hasher.hash_one(all[*at as usize].device));
            place
        };
        by_spki.insert_unique(hasher.hash_one(new.spki), place, |at| hasher.hash_one(all[*at as usize].spki));
        by_certificate.insert_unique(hasher.hash_one(new.certificate), place, |at| {
            hasher.hash_one(all[*at as usize].certificate)
        });
    }
}

fn forget(table: &mut HashTable<u32>, hash: u64, place: u32) {
    if let Ok(entry) = table.find_entry(hash, |at| *at == place) {
        entry.remove();
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use model::{ArtifactId, DeploymentId, RolloutId, UnixTime};

    use super::*;
    use crate::DeviceState;

    fn link() -> Arc<Link> {
        Arc::new(Link {
            id: LinkId::new([1; 24]),
            device: DeviceId::new([1; 16]),
            spki: SpkiDigest::new([1; 32]),
            deployment: DeploymentId::new([1; 16]),
            rollout: RolloutId::new([1; 16]),
            artifact: ArtifactId::new([1; 16]),
            ciphertext: Digest::new([1; 32]),
            length_bytes: 1,
            segment_list: Digest::new([1; 32]),
            segments: 1,
            not_before: UnixTime::EPOCH,
        })
    }

    #[test]
    fn a_link_that_was_read_before_it_was_removed_is_not_remembered_after() {
        let memory = Memory::default();
        let stamp = memory.link(&link().id).expect_err("nothing is remembered yet");
        memory.apply(vec![Effect::LinksGone(vec![link().id])]);
        memory.remember_link(&link(), stamp);
        let stamp = memory.link(&link().id).expect_err("it was removed meanwhile");
        memory.remember_link(&link(), stamp);
        assert!(memory.link(&link().id).is_ok());
    }

    #[test]
    fn an_identity_is_found_by_what_it_has_now_and_by_nothing_it_had() {
        let memory = Memory::default();
        let identity = |device: u8, n: u8| Identity {
            device: DeviceId::new([device; 16]),
            spki: SpkiDigest::new([n; 32]),
            certificate: Digest::new([n; 32]),
            state: DeviceState::Active,
            cloned: false,
        };
        memory.apply((0..200).map(|n| Effect::Identity(identity(n, n))).collect());
        memory.apply(vec![Effect::Identity(identity(7, 207))]);
        assert_eq!(memory.identity(&SpkiDigest::new([7; 32])), None);
        assert_eq!(memory.identity_by_certificate(&Digest::new([7; 32])), None);
        assert_eq!(memory.identity(&SpkiDigest::new([207; 32])), Some(identity(7, 207)));
        assert_eq!(memory.identity_of(&DeviceId::new([7; 16])), Some(identity(7, 207)));
        assert_eq!(memory.identity(&SpkiDigest::new([8; 32])), Some(identity(8, 8)));
    }
}
