//! A backend that was restored from a backup: how it is noticed, locked and recovered.
//!
//! What it forgot, vaults remember: the newest head of its log that they cosigned shows that it was set
//! back, and what they signed is handed in again. Until then it serves nothing.

use envelope::{
    Recovery, RevocationList, Verified,
    tuf::{Root, Signed, Targets},
};
use model::{SpkiDigest, UnixTime};
use protocol::{
    ErrorCode,
    operator::{AlarmKind, LogSize, Recover, Recovered, RecoveryState},
};
use serde::{Deserialize, Serialize};
use store::{DeviceState, Document, LinkChoice, PageRequest, Store, TokenChoice, TokenState};

use crate::{
    Error,
    metadata::{Publication, TUF_PREFIX},
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

/// Where it stands that the backend is locked.
const RESTORED: &str = "private/restored";
/// Where signed statements stand that it was restored.
const RECOVERIES: &str = "private/recoveries/";
/// Where the newest revocation list stands among the files of the metadata: it is served as they are.
pub(crate) const REVOKED: &str = "revoked.cbor";
const REASON: &str = "the backend was restored from a backup";

/// That the backend is locked, and by which head.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Mark {
    lost: Option<LogSize>,
}

/// What a locked backend answers.
pub(crate) fn restored() -> Refusal {
    Refusal::new(ErrorCode::BackendRestored, "This backend was restored from a backup and serves nothing.")
        .hint("An admin recovers it: see the runbook `docs/runbooks/restored-backend.md`.")
}

/// The head that a vault showed and this log does not lead to.
pub(crate) async fn load(store: &dyn Store) -> Result<Option<LogSize>, Error> {
    let Some(document) = store.document(RESTORED.to_owned()).await? else { return Ok(None) };
    let mark: Mark = serde_json::from_slice(&document.bytes).map_err(|error| {
        Error::founding(format!("the mark of a restored backend cannot be read: {error}"))
    })?;
    Ok(mark.lost)
}

impl Server {
    /// Serves nothing from now on, also after a restart.
    pub(crate) async fn lock(&self, lost: LogSize) -> Answer<()> {
        let locked = self.lost();
        if locked.is_some() && matches!(load(&*self.store).await, Ok(Some(_))) {
            return Ok(());
        }
        let lost = locked.unwrap_or(lost);
        tracing::error!(lost = lost.size, "the log is not the one that a vault cosigned: nothing is served");
        // First of all, for writing it down may fail; then the next one to ask tries again.
        self.set_lost(Some(lost));
        self.push.close_all();
        self.downloads.end_all();
        self.store
            .append_audit(vec![Record::own("backend_restored", &lost.size, REASON).at(self.now())])
            .await?;
        self.mark(Some(lost), Vec::new()).await?;
        let detail =
            format!("A vault cosigned {} entries of the log, which this backend no longer has.", lost.size);
        self.alarm(AlarmKind::BackendRestored, None, detail).await
    }

    /// What it has, before it is recovered.
    pub(crate) async fn recovery_state(&self) -> Answer<RecoveryState> {
        let kept = self.store.audit_head().await?;
        let links = self.store.link_counts(None).await?;
        let trust = self.trust();
        Ok(RecoveryState {
            lost: self.lost(),
            kept: LogSize { size: kept.size, root: kept.root },
            links: links.issued + links.active,
            tokens: self.open_tokens().await?,
            root_version: trust.state.root().signed().version,
            targets_version: trust.targets.targets_version(),
            revocation_list: self.revocation_number().await?,
        })
    }

    /// Takes back what vaults kept, drops what may have been used since the backup, and serves again.
    /// Each step may be repeated; the last one unlocks.
    pub(crate) async fn recover(&self, by: SpkiDigest, request: Recover) -> Answer<Recovered> {
        if self.lost().is_none() {
            return Err(Refusal::new(ErrorCode::Conflict, "There is nothing to recover from."));
        }
        let entry = Record::of(by, Operation::RecoverBackend, &self.fleet().id).because(REASON);
        self.recorded(entry, self.take_back(request)).await
    }

    /// Signed statements that this backend was restored, oldest first; who signed is checked when they come
    /// in.
    pub(crate) async fn statements(&self) -> Answer<Vec<Vec<u8>>> {
        let mut statements = Vec::new();
        for info in self.store.documents(RECOVERIES.to_owned()).await? {
            statements.extend(self.store.document(info.name).await?.map(|document| document.bytes));
        }
        Ok(statements)
    }

    /// The same, read; those whose signer is no longer trusted excuse nothing.
    pub(crate) async fn recoveries(&self) -> Answer<Vec<Verified<Recovery>>> {
        let (fleet, trust, now) = (self.fleet().id, self.trust(), self.now());
        let statements = self.statements().await?;
        let verified = statements.iter().map(|bytes| Recovery::verify(bytes, fleet, &trust.keys, now));
        Ok(verified.filter_map(Result::ok).collect())
    }

    async fn take_back(&self, request: Recover) -> Answer<Recovered> {
        let now = self.now();
        let mine = self.trust();
        let newer = |raw: &[u8]| -> Answer<bool> {
            Ok(Signed::<Targets>::parse(raw)?.signed().version > mine.targets.targets_version())
        };
        let targets = request.targets.map(|targets| targets.0);
        let targets = match targets {
            Some(raw) if newer(&raw)? => Some(raw),
            Some(_) | None => None,
        };
        let mut roots = Vec::new();
        for raw in request.roots {
            if Signed::<Root>::parse(&raw)?.signed().version > mine.state.root().signed().version {
                roots.push(raw.0);
            }
        }
        let trust_keys = request.trust_keys.map(|keys| keys.0).filter(|_| targets.is_some());
        self.publish(Publication { roots, targets, trust_keys, confirm_jump: true }).await?;

        let fleet = self.fleet().id;
        let statement = Recovery::verify(&request.statement, fleet, &self.trust().keys, now)?;
        let head = self.store.audit_head().await?;
        let kept = statement.kept.0 <= head.size
            && self.store.audit_head_at(statement.kept.0).await?.root == statement.kept.1;
        let lost = self.lost().map(|lost| (lost.size, lost.root));
        if !kept || lost != Some(statement.lost) {
            return Err(Refusal::new(
                ErrorCode::InvalidObject,
                "The statement is about another restored state of this backend.",
            ));
        }
        let (devices, people) = match &request.revocation_list {
            Some(list) => self.revoke_again(list, now).await?,
            None => (0, 0),
        };
        let links = self.store.revoke_links(LinkChoice::All, now).await?;
        for link in &links {
            self.downloads.end(link.deployment);
        }
        let tokens = self.store.cancel_tokens(TokenChoice::All).await?;

        let name = format!("{RECOVERIES}{:020}", statement.issued_at.as_secs());
        let document = Document { name, version: 1, bytes: request.statement.0, at: now };
        self.mark(None, vec![document]).await?;
        self.wake.notify_one();
        tracing::warn!(devices, people, tokens, "recovered from a restored backup");
        Ok(Recovered { at: now, links: links.len() as u64, tokens, devices, people })
    }

    /// Puts the list into force, and ends the access of all that it names.
    async fn revoke_again(&self, bytes: &[u8], now: UnixTime) -> Answer<(u64, u64)> {
        let last = self.revocation_number().await?;
        let list = RevocationList::verify(bytes, self.fleet().id, last, &self.trust().keys, now)?;
        let (mut devices, mut people) = (Vec::new(), 0);
        for key in &list.keys {
            if let Some(identity) = self.store.identity(*key).await?
                && identity.spki == *key
                && identity.state != DeviceState::Revoked
            {
                devices.push(identity.device);
            }
            if self.store.person(*key).await?.is_some_and(|person| person.revoked_at.is_none()) {
                self.store.revoke_person(*key, now).await?;
                people += 1;
            }
        }
        for some in devices.chunks(PageRequest::MOST as usize) {
            self.store.withdraw_devices(some.to_vec(), DeviceState::Revoked, REASON.to_owned(), now).await?;
        }
        let name = format!("{TUF_PREFIX}{REVOKED}");
        let document = Document { name, version: list.number, bytes: bytes.to_vec(), at: now };
        self.store.put_documents(vec![document]).await?;
        Ok((devices.len() as u64, people))
    }

    async fn revocation_number(&self) -> Answer<u64> {
        let document = self.store.document(format!("{TUF_PREFIX}{REVOKED}")).await?;
        Ok(document.map_or(0, |document| document.version))
    }

    async fn open_tokens(&self) -> Answer<u64> {
        let mut page = PageRequest::first(PageRequest::MOST);
        let mut count = 0;
        loop {
            let tokens = self.store.tokens(Some(TokenState::Open), page).await?;
            count += tokens.rows.len() as u64;
            match tokens.next {
                Some(next) => page = PageRequest::after(next, PageRequest::MOST),
                None => return Ok(count),
            }
        }
    }

    async fn mark(&self, lost: Option<LogSize>, mut beside: Vec<Document>) -> Answer<()> {
        let last = self.store.document(RESTORED.to_owned()).await?.map_or(0, |document| document.version);
        let bytes = serde_json::to_vec(&Mark { lost }).map_err(|error| Refusal::internal(&error))?;
        beside.push(Document { name: RESTORED.to_owned(), version: last + 1, bytes, at: self.now() });
        self.store.put_documents(beside).await?;
        self.set_lost(lost);
        Ok(())
    }
}
