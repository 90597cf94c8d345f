//! What this desktop itself has verified of the fleet's metadata, whatever the backend says.

use std::fs;

use envelope::{
    RevocationList, TrustKeys, Verified,
    tuf::{
        Bundled, Client as Refresh, Error as Untrusted, Fetched, Need, Role, Root, Signed, Targets,
        TargetsView, TrustedState,
    },
};
use model::{Digest, UnixTime};
use protocol::{ErrorCode, device, operator};

use crate::{App, Error, workspace::replace};

/// Metadata in force and the keys that it trusts.
pub(crate) struct Trust {
    pub(crate) targets: Verified<TargetsView>,
    pub(crate) keys: Verified<TrustKeys>,
    pub(crate) state: TrustedState,
}

/// What a refresh came to.
type Refreshed = Result<Verified<TargetsView>, Untrusted>;

impl App {
    /// Refreshes the metadata as any device does (TUF 1.0, section 5) and reads the trusted keys.
    pub(crate) async fn trust(&self) -> Result<Trust, Error> {
        let (state, outcome) = self.refresh().await?;
        let targets = outcome.map_err(untrusted)?;
        self.with_keys(state, targets).await
    }

    /// What key holders sign the next of: the metadata in force or, where that has lapsed or this desktop
    /// believed whoever stole the online keys, the newest that the threshold signed. Otherwise nobody could
    /// put an end to either. Releases and rollouts rest on [`Self::trust`] alone.
    pub(crate) async fn newest_signed(&self) -> Result<Trust, Error> {
        let (mut state, outcome) = self.refresh().await?;
        let targets = match outcome {
            Err(
                Untrusted::Expired { .. }
                | Untrusted::Rollback { role: Role::Timestamp | Role::Snapshot, .. },
            ) => {
                let version = self.summary().await?.targets_version;
                let path = format!("{}{}", device::path::TUF, Role::Targets.path(version));
                let raw = self.session().await?.client.file(&path, 1 << 24).await?.unwrap_or_default();
                let issued_at = Signed::<Targets>::parse(&raw).map_err(untrusted)?.signed().issued_at;
                let issued_at = issued_at.unwrap_or(UnixTime::EPOCH);
                let as_signed = Bundled { issued_at, expires: UnixTime::MAX };
                state.accept_bundle(&[], &raw, as_signed).map_err(untrusted)?
            }
            outcome => outcome.map_err(untrusted)?,
        };
        self.with_keys(state, targets).await
    }

    /// How far a refresh came, which is kept, and its outcome.
    async fn refresh(&self) -> Result<(TrustedState, Refreshed), Error> {
        let session = self.session().await?;
        let _one_at_a_time = self.refreshing.lock().await;
        let state = match self.trusted_state()? {
            Some(state) => state,
            None => TrustedState::bootstrap(&self.initial_root_file().await?).map_err(untrusted)?,
        };
        let mut refresh = Refresh::new(state, self.now());
        let outcome = loop {
            let Need::Fetch { path, max_bytes } = refresh.next() else { break Ok(()) };
            let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX).saturating_add(1);
            let file = session.client.file(&format!("{}{path}", device::path::TUF), limit).await?;
            let fetched = file.as_deref().map_or(Fetched::NotFound, Fetched::Bytes);
            if let Err(error) = refresh.feed(fetched) {
                break Err(error);
            }
            if let Some(root) = file.filter(|_| path.ends_with(".root.json")) {
                self.keep_signed(&path, &root)?;
            }
        };
        self.keep_state(refresh.state())?;
        let targets = outcome.and_then(|()| refresh.targets());
        Ok((refresh.into_state(), targets))
    }

    async fn with_keys(&self, state: TrustedState, targets: Verified<TargetsView>) -> Result<Trust, Error> {
        let name = TrustKeys::TARGET.parse().expect("a constant target name parses");
        let target = targets
            .target(&name)
            .ok_or_else(|| Error::new(ErrorCode::Untrusted, "the fleet's metadata names no trusted keys"))?;
        let path = format!("{}targets/{}", device::path::TUF, target.path());
        let bytes = self.session().await?.client.file(&path, 1 << 20).await?.unwrap_or_default();
        let keys = TrustKeys::from_target(&target.verify(bytes.clone()).map_err(untrusted)?)?;
        self.keep_trust_keys(&bytes)?;
        Ok(Trust { targets, keys, state })
    }

    /// The newest signed list of revoked keys that this desktop has seen, if there is any. A backend may
    /// keep a newer one back; it cannot take an older one's entries away again.
    pub(crate) async fn revoked(&self, trust: &Trust) -> Result<Option<Verified<RevocationList>>, Error> {
        let session = self.session().await?;
        let fleet = session.membership.fleet;
        let _one_at_a_time = self.refreshing.lock().await;
        let path = self.workspace().file("revoked.cbor");
        let verify = |bytes: &[u8]| RevocationList::verify(bytes, fleet, 0, &trust.keys, self.now()).ok();
        let mine = fs::read(&path).ok().and_then(|bytes| verify(&bytes));
        let bytes = session.client.file(operator::path::REVOKED, 1 << 24).await?;
        let theirs = bytes.as_deref().and_then(verify);
        match (mine, theirs) {
            (Some(mine), Some(theirs)) if mine.number >= theirs.number => Ok(Some(mine)),
            (mine, None) => Ok(mine),
            (_, Some(theirs)) => {
                replace(&path, &bytes.unwrap_or_default())?;
                Ok(Some(theirs))
            }
        }
    }

    /// The SHA-256 of the root metadata that new devices start from.
    pub(crate) async fn initial_root(&self) -> Result<Digest, Error> {
        Ok(envelope::sha256(&self.initial_root_file().await?))
    }

    /// The root metadata that trust began with, as the backend serves it: it must say what this workspace's
    /// own copy says; signatures may have been added since.
    pub(crate) async fn initial_root_file(&self) -> Result<Vec<u8>, Error> {
        let session = self.session().await?;
        let mine: Signed<Root> = Signed::parse(&session.membership.root).map_err(untrusted)?;
        let path = format!("{}{}", device::path::TUF, Role::Root.path(mine.signed().version));
        let bytes = session.client.file(&path, 1 << 20).await?.unwrap_or_default();
        let theirs: Signed<Root> = Signed::parse(&bytes).map_err(untrusted)?;
        if theirs.signing_bytes() != mine.signing_bytes() {
            return Err(Error::new(
                ErrorCode::Untrusted,
                "the backend serves another root than the one you joined by",
            ));
        }
        mine.signed().verify(&theirs).map_err(untrusted)?;
        Ok(bytes)
    }

    pub(crate) fn trusted_state(&self) -> Result<Option<TrustedState>, Error> {
        let [a, b] = ["metadata.a", "metadata.b"].map(|name| fs::read(self.workspace().file(name)).ok());
        if a.is_none() && b.is_none() {
            return Ok(None);
        }
        TrustedState::choose(a.as_deref(), b.as_deref()).map(Some).map_err(|source| {
            Error::because(ErrorCode::Untrusted, "both copies of the fleet's metadata are damaged", source)
                .hint("join the fleet again by its founding file")
        })
    }

    /// Two copies in turn, so that one is always whole.
    pub(crate) fn keep_state(&self, state: &TrustedState) -> Result<(), Error> {
        let name = if state.generation().is_multiple_of(2) { "metadata.a" } else { "metadata.b" };
        replace(&self.workspace().file(name), &state.to_bytes())
    }
}

pub(crate) fn untrusted(source: Untrusted) -> Error {
    let expired = matches!(source, Untrusted::Expired { .. });
    let error = Error::because(ErrorCode::Untrusted, "the fleet's metadata does not verify", source);
    if expired {
        error.hint(
            "compare this computer's clock first; if it is right, key holders must sign the metadata anew",
        )
    } else {
        error.hint("nothing was changed; ask another key holder whether they see the same")
    }
}
