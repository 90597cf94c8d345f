//! Making snapshot and timestamp metadata, and publishing what key holders signed.
//!
//! What is to be published is first tried on a client like every device's, in memory: it is published
//! only if that client takes all of it.

use std::collections::BTreeMap;

use envelope::{
    KeyRole, PublicKey, SignError, Signer,
    trust::KeyMaterial,
    tuf::{
        Client, Fetched, Metadata, Need, Role, Signed, Snapshot, Targets, Timestamp, TrustedState,
        VersionJump, next_online_version,
    },
};
use model::UnixTime;
use store::Document;

use crate::{keys::Keys, trust::Trust};

/// Where signed metadata and targets stand among the store's documents.
pub(crate) const TUF_PREFIX: &str = "tuf/";
/// Where the trusted state stands.
pub(crate) const TRUSTED: &str = "private/trusted";

/// What is new.
#[derive(Debug, Default)]
pub(crate) struct Publication {
    /// The next roots, in order.
    pub(crate) roots: Vec<Vec<u8>>,
    /// The next targets metadata.
    pub(crate) targets: Option<Vec<u8>>,
    /// The content of `trust/keys.cbor`, if it is another.
    pub(crate) trust_keys: Option<Vec<u8>>,
    /// A person looked at a version that jumps ahead.
    pub(crate) confirm_jump: bool,
}

/// What was tried and held.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) trust: Trust,
    pub(crate) documents: Vec<Document>,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unpublished {
    #[error(transparent)]
    Metadata(#[from] envelope::tuf::Error),
    #[error(transparent)]
    Jump(#[from] VersionJump),
    #[error(transparent)]
    TrustKeys(#[from] envelope::Error),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error("{0}")]
    Unfit(&'static str),
}

/// Makes snapshot and timestamp for what is new on top of `state`, and tries all of it.
///
/// `trust_keys` is the content of `trust/keys.cbor` that is in force.
pub(crate) fn publish(
    state: &TrustedState,
    trust_keys: &[u8],
    new: Publication,
    keys: &Keys,
    now: UnixTime,
) -> Result<Published, Unpublished> {
    let first = state.root().signed().version;
    let offered = new.roots.len() as u64;
    let mut files: BTreeMap<_, _> =
        (first.saturating_add(1)..).map(|version| Role::Root.path(version)).zip(new.roots).collect();
    // A root that gives snapshot or timestamp other keys makes their versions begin anew, whatever a
    // thief of the old ones published.
    let before = state;
    let state = take_roots(before.clone(), &files, now)?;
    let root = state.root().signed();
    if root.version != first + offered {
        return Err(Unpublished::Unfit("a root does not follow on the one before"));
    }
    // A new root enters also where the targets have lapsed: people sign those next.
    let lapsed_before = |error: &envelope::tuf::Error| {
        let targets = matches!(error, envelope::tuf::Error::Expired { role: Role::Targets, .. });
        targets && offered > 0 && new.targets.is_none()
    };
    let targets = match &new.targets {
        Some(raw) => Signed::<Targets>::parse(raw)?,
        None => state.targets().cloned().ok_or(Unpublished::Unfit("there are no targets yet"))?,
    };
    let next = |last: Option<u64>| match next_online_version(last.unwrap_or(0), now) {
        Err(jump) if new.confirm_jump => Ok(jump.next),
        other => other,
    };
    let honest = |version: &u64| *version <= (now + Role::Timestamp.life()).as_secs();
    let version = |state: &TrustedState| state.snapshot().map(|snapshot| snapshot.signed().version);
    let last = version(&state).or(version(before).filter(honest));
    let mut snapshot = Signed::new(Snapshot::new(next(last)?, now, &targets))?;
    snapshot.sign(keys.snapshot.listed(root, Role::Snapshot))?;
    let version = |state: &TrustedState| state.timestamp().map(|timestamp| timestamp.signed().version);
    let last = version(&state).or(version(before).filter(honest));
    let mut timestamp = Signed::new(Timestamp::new(next(last)?, now, &snapshot))?;
    timestamp.sign(keys.timestamp.listed(root, Role::Timestamp))?;

    files.extend([
        (targets_path(&targets), targets.raw().to_vec()),
        (Role::Snapshot.path(snapshot.signed().version), snapshot.raw().to_vec()),
        (Role::Timestamp.path(0), timestamp.raw().to_vec()),
    ]);
    let (state, outcome) = try_out(state, &files, now);
    match outcome {
        Err(error) if !lapsed_before(&error) => return Err(error.into()),
        Err(_) | Ok(()) => {}
    }

    let trust_keys = new.trust_keys.unwrap_or_else(|| trust_keys.to_vec());
    let trust = Trust::new(state, trust_keys.clone())?;
    check_own_keys(&trust, keys, now)?;
    files.insert(
        trust.keys_path().ok_or(Unpublished::Unfit("the targets do not name the trust keys"))?,
        trust_keys,
    );

    // The generation rises with every publication, as the metadata's own versions need not.
    let generation = trust.state.generation();
    let mut documents: Vec<_> = files
        .into_iter()
        .map(|(path, bytes)| {
            let version = if path == Role::Timestamp.path(0) { generation } else { 1 };
            Document { name: format!("{TUF_PREFIX}{path}"), version, bytes, at: now }
        })
        .collect();
    let bytes = trust.state.to_bytes();
    documents.push(Document { name: TRUSTED.to_owned(), version: generation, bytes, at: now });
    Ok(Published { trust, documents })
}

fn targets_path(targets: &Signed<Targets>) -> String {
    Role::Targets.path(targets.signed().version)
}

/// Takes the next roots alone, as every device does.
fn take_roots(
    state: TrustedState,
    files: &BTreeMap<String, Vec<u8>>,
    now: UnixTime,
) -> Result<TrustedState, envelope::tuf::Error> {
    let mut client = Client::new(state, now);
    while let Need::Fetch { path, .. } = client.next() {
        let Some(root) = files.get(&path) else { break };
        client.feed(Fetched::Bytes(root))?;
    }
    Ok(client.into_state())
}

/// Does what every device does; how far it came, and its outcome.
fn try_out(
    state: TrustedState,
    files: &BTreeMap<String, Vec<u8>>,
    now: UnixTime,
) -> (TrustedState, Result<(), envelope::tuf::Error>) {
    let mut client = Client::new(state, now);
    let mut outcome = Ok(());
    while let (Ok(()), Need::Fetch { path, .. }) = (&outcome, client.next()) {
        outcome = client.feed(files.get(&path).map_or(Fetched::NotFound, |bytes| Fetched::Bytes(bytes)));
    }
    let outcome = outcome.and_then(|()| client.targets().map(drop));
    (client.into_state(), outcome)
}

/// A backend whose keys devices do not trust serves nobody.
fn check_own_keys(trust: &Trust, keys: &Keys, now: UnixTime) -> Result<(), Unpublished> {
    let trusted = |role: KeyRole, key: PublicKey| {
        trust.keys.entries().iter().any(|entry| {
            entry.role == role && entry.material == KeyMaterial::Signer(key) && entry.scope.not_after > now
        })
    };
    if !keys.link.all().any(|key| trusted(KeyRole::Link, key.public_key())) {
        return Err(Unpublished::Unfit("the trust keys do not name this backend's link key"));
    }
    if !trusted(KeyRole::Audit, keys.audit.public_key()) {
        return Err(Unpublished::Unfit("the trust keys do not name this backend's audit key"));
    }
    if trust.roots(now).is_empty() {
        return Err(Unpublished::Unfit("the trust keys name no X.509 root in force"));
    }
    Ok(())
}

/// Which metadata must be looked after at `now`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// Nothing.
    Nothing,
    /// Snapshot and timestamp are to be made anew.
    Renew,
}

/// Whether snapshot or timestamp has used up half of its life.
pub(crate) fn due(state: &TrustedState, now: UnixTime) -> Due {
    let half = |role: Role, expires: UnixTime| expires.since(now).0 * 2 <= role.life().0;
    let timestamp = state.timestamp().is_none_or(|file| half(Role::Timestamp, file.signed().expires()));
    let snapshot = state.snapshot().is_none_or(|file| half(Role::Snapshot, file.signed().expires()));
    if timestamp || snapshot { Due::Renew } else { Due::Nothing }
}
