//! What is to be signed: the next root or targets metadata, and how far its thresholds are met.

use model::UnixTime;

use super::{CLOCK_SKEW, Error, Given};
use crate::tuf::{self, Key, KeyId, Metadata, Role, Root, Signed, Targets};

/// Metadata to be signed, in the one form that is signed.
#[derive(Clone, Debug)]
pub enum Proposed {
    /// The next root.
    Root(Signed<Root>),
    /// The next targets.
    Targets(Signed<Targets>),
}

/// How far one threshold is met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quorum {
    /// Different people who have signed.
    pub have: u32,
    /// How many must.
    pub need: u32,
}

impl Proposed {
    /// Reads the canonical `signed` part of root or targets metadata.
    ///
    /// # Errors
    /// It is neither, or another form of it.
    pub fn parse(role: Role, signed: &[u8]) -> Result<Self, Error> {
        let file = [&b"{\"signatures\":[],\"signed\":"[..], signed, b"}"].concat();
        let proposed = match role {
            Role::Root => Self::Root(Signed::parse(&file)?),
            Role::Targets => Self::Targets(Signed::parse(&file)?),
            Role::Snapshot | Role::Timestamp => return Err(Error::NotCanonical),
        };
        if proposed.signing_bytes() == signed { Ok(proposed) } else { Err(Error::NotCanonical) }
    }

    /// Whose metadata it is.
    pub const fn role(&self) -> Role {
        match self {
            Self::Root(_) => Role::Root,
            Self::Targets(_) => Role::Targets,
        }
    }

    /// The version that it would become.
    pub fn version(&self) -> u64 {
        match self {
            Self::Root(file) => file.signed().version(),
            Self::Targets(file) => file.signed().version(),
        }
    }

    /// When it lapses.
    pub fn expires(&self) -> UnixTime {
        match self {
            Self::Root(file) => file.signed().expires(),
            Self::Targets(file) => file.signed().expires(),
        }
    }

    /// The bytes that a signature covers.
    pub fn signing_bytes(&self) -> &[u8] {
        match self {
            Self::Root(file) => file.signing_bytes(),
            Self::Targets(file) => file.signing_bytes(),
        }
    }

    /// The metadata file, with the signatures added so far.
    pub fn raw(&self) -> &[u8] {
        match self {
            Self::Root(file) => file.raw(),
            Self::Targets(file) => file.raw(),
        }
    }

    /// Whether this is the next version of what is in force, and lives as long as metadata of its role
    /// may.
    ///
    /// # Errors
    /// It is not.
    pub fn follows(&self, root: &Root, targets: &Targets, now: UnixTime) -> Result<(), Error> {
        let in_force = match self {
            Self::Root(_) => root.version,
            Self::Targets(_) => targets.version,
        };
        if self.version() != in_force.saturating_add(1) {
            return Err(Error::Stale { offered: self.version(), in_force });
        }
        let in_time = match self {
            Self::Root(file) => {
                if !file.signed().is_complete() {
                    return Err(Error::Incomplete);
                }
                file.signed().expires <= now + Role::Root.life() + CLOCK_SKEW
            }
            Self::Targets(file) => {
                let (issued, expires) = (file.signed().issued_at, file.signed().expires);
                issued.is_some_and(|at| at <= now + CLOCK_SKEW && expires == at + Role::Targets.life())
            }
        };
        if in_time && self.expires() > now { Ok(()) } else { Err(Error::Times) }
    }

    /// Adds a signature that counts towards a threshold under `root`.
    ///
    /// # Errors
    /// The key may not sign this, the signature does not verify, or its person has signed before.
    pub fn add(&mut self, root: &Root, given: &Given) -> Result<(), Error> {
        let role = self.role();
        let unlisted = || Error::KeyNotListed { key: given.key.clone(), role };
        let of = |root: &Root| {
            let key = root.keys.get(&given.key).filter(|_| root.role(role).keyids.contains(&given.key));
            key.and_then(Key::bytes)
        };
        let public = of(root).or_else(|| self.next_root().and_then(of)).ok_or_else(unlisted)?;
        crate::PublicKey::Ed25519(public)
            .verify(self.signing_bytes(), &given.signature)
            .map_err(|_| Error::Signature)?;
        let before = self.voices(root);
        let mut with = self.clone();
        match &mut with {
            Self::Root(file) => file.attach(&public, &given.signature),
            Self::Targets(file) => file.attach(&public, &given.signature),
        }
        if with.voices(root) == before {
            let holder = root.holder(&given.key).map_or_else(|| given.key.to_string(), ToString::to_string);
            return Err(Error::Spoken { by: holder });
        }
        *self = with;
        Ok(())
    }

    /// How far each threshold is met that it takes: its role's, and for a root those of both roots.
    pub fn quorums(&self, root: &Root) -> Vec<Quorum> {
        let quorum = |standing: tuf::Standing| Quorum { have: standing.have, need: standing.need };
        match self {
            Self::Root(file) => {
                vec![quorum(root.standing(file)), quorum(file.signed().standing(file))]
            }
            Self::Targets(file) => vec![quorum(root.standing(file))],
        }
    }

    /// How far the threshold is met that is furthest from being met.
    pub fn quorum(&self, root: &Root) -> Quorum {
        let missing = |quorum: &Quorum| quorum.need.saturating_sub(quorum.have);
        self.quorums(root).into_iter().max_by_key(missing).unwrap_or(Quorum { have: 0, need: 1 })
    }

    /// Whether one person alone can meet every threshold.
    pub fn no_separation_of_duties(&self, root: &Root) -> bool {
        self.quorums(root).iter().all(|quorum| quorum.need == 1)
    }

    /// Whether every threshold is met.
    pub fn is_complete(&self, root: &Root) -> bool {
        self.quorums(root).iter().all(|quorum| quorum.have >= quorum.need)
    }

    /// The keys whose signatures count.
    pub fn signers(&self, root: &Root) -> Vec<KeyId> {
        let mut signers = match self {
            Self::Root(file) => [root.standing(file).signers, file.signed().standing(file).signers].concat(),
            Self::Targets(file) => root.standing(file).signers,
        };
        signers.sort_unstable();
        signers.dedup();
        signers
    }

    /// The keys that may sign it.
    pub fn key_holders(&self, root: &Root) -> Vec<KeyId> {
        let mut keys = root.role(self.role()).keyids.clone();
        keys.extend(self.next_root().into_iter().flat_map(|next| next.role(Role::Root).keyids.clone()));
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn voices(&self, root: &Root) -> u32 {
        self.quorums(root).iter().map(|quorum| quorum.have).sum()
    }

    fn next_root(&self) -> Option<&Root> {
        match self {
            Self::Root(file) => Some(file.signed()),
            Self::Targets(_) => None,
        }
    }
}
