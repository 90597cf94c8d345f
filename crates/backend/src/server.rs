use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use envelope::{Ed25519Key, tuf::TrustedState};
use model::{DeploymentId, DeviceId, RolloutId, Seconds, SpkiDigest, TokenId, UnixTime};
use protocol::{
    device::PushEvent,
    operator::{Hint, LogSize},
};
use store::{Blobs, Document, NewAuditEntry, SqliteStore, Store};
use tls::{Clock, Identity, ServerTls};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error,
    fleet::{FLEET, Fleet},
    keys::Keys,
    metadata::{self, Publication, TRUSTED, TUF_PREFIX},
    push::Push,
    recovery,
    refusal::Answer,
    roles::Operation,
    serving::Downloads,
    throughput::Throughput,
    trust::Trust,
};

/// What all parts of a running backend share.
pub(crate) struct Server {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Blobs,
    pub(crate) keys: Keys,
    pub(crate) tls: Arc<ServerTls>,
    pub(crate) push: Push,
    pub(crate) downloads: Downloads,
    /// How much was served lately.
    pub(crate) served: Throughput,
    /// Something changed that operators see.
    pub(crate) hints: broadcast::Sender<Hint>,
    /// A vault decided about a token.
    pub(crate) decided: broadcast::Sender<TokenId>,
    /// Something changed that rollouts depend on.
    pub(crate) wake: Notify,
    /// The backend shuts down: streams end.
    pub(crate) closing: CancellationToken,
    memory: Mutex<Memory>,
    fleet: RwLock<Arc<Fleet>>,
    trust: RwLock<Arc<Trust>>,
    publishing: tokio::sync::Mutex<()>,
    lost: RwLock<Option<LogSize>>,
}

/// How long the word of a person for the clock holds.
const CLOCK_CONFIRMED: Seconds = Seconds::days(7);

/// What is remembered between requests and may be forgotten.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// How long links of a rollout live: its policy never changes.
    pub(crate) link_life: HashMap<RolloutId, Seconds>,
    /// Deployments whose last byte was served, and when: their devices are checking it.
    pub(crate) consumed: HashMap<DeploymentId, UnixTime>,
    /// When a device last raised an alarm by what it asked for.
    pub(crate) alarmed: HashMap<DeviceId, UnixTime>,
    /// When a person last said that this backend's clock is right.
    pub(crate) clock_confirmed: Option<UnixTime>,
}

impl Server {
    pub(crate) async fn open(config: Config) -> Result<Self, Error> {
        // Keys that others can read end it before anything is opened with them.
        let keys = Keys::load(&config.data_dir)?;
        let (store, blobs) = open_store(&config)?;
        let fleet = load_fleet(&*store).await?.ok_or(Error::NotAdopted)?;
        let trust = load_trust(&*store).await?.ok_or(Error::NotAdopted)?;
        let keys = keys.settle(&config.data_dir, &trust)?;
        let lost = recovery::load(&*store).await?;
        let now = config.clock.now();
        let identity = server_identity(&fleet, &keys, now)?;
        let tls = Arc::new(ServerTls::new(&identity, &trust.roots(now), Arc::clone(&config.clock))?);
        Ok(Self {
            store,
            blobs,
            keys,
            tls,
            push: Push::default(),
            downloads: Downloads::default(),
            served: Throughput::default(),
            hints: broadcast::channel(16_384).0,
            decided: broadcast::channel(1_024).0,
            wake: Notify::new(),
            closing: CancellationToken::new(),
            memory: Mutex::default(),
            fleet: RwLock::new(Arc::new(fleet)),
            trust: RwLock::new(Arc::new(trust)),
            publishing: tokio::sync::Mutex::default(),
            lost: RwLock::new(lost),
            config,
        })
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.config.clock.now()
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.config.clock)
    }

    pub(crate) fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.fleet.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What links and check-ins are signed with: a key that the fleet's trust keys name.
    pub(crate) fn link_key(&self) -> &Ed25519Key {
        let trust = self.trust();
        self.keys.link.chosen(|key| trust.lists_link(key))
    }

    /// The head of the log that the backend had before it was restored from a backup: while there is one,
    /// it serves nothing.
    pub(crate) fn lost(&self) -> Option<LogSize> {
        *self.lost.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_lost(&self, lost: Option<LogSize>) {
        *self.lost.write().unwrap_or_else(PoisonError::into_inner) = lost;
    }

    pub(crate) fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells operators' screens.
    pub(crate) fn hint(&self, hint: Hint) {
        // Nobody may be listening.
        let _ = self.hints.send(hint);
    }

    /// Publishes metadata: tries it, stores it, and tells everybody.
    pub(crate) async fn publish(&self, mut new: Publication) -> Answer<()> {
        let _one_at_a_time = self.publishing.lock().await;
        let now = self.now();
        let confirmed = self.memory().clock_confirmed;
        new.confirm_jump |= confirmed.is_some_and(|at| at <= now && now.since(at) <= CLOCK_CONFIRMED);
        let trust = self.trust();
        let trust_keys = self.trust_keys_bytes(&trust).await?;
        let renews_only = new.targets.is_none() && new.roots.is_empty();
        let published = metadata::publish(&trust.state, &trust_keys, new, &self.keys, now)?;
        self.store.put_documents(published.documents).await?;
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(published.trust);
        if !renews_only {
            self.reload_tls(now)?;
            self.push.send_to_all(&PushEvent::Metadata);
        }
        tracing::info!(targets_version = self.trust().targets.targets_version(), "published metadata");
        Ok(())
    }

    /// Takes the word of a person for the clock: for a week, what is published may jump ahead.
    pub(crate) async fn confirm_clock(&self) -> Answer<()> {
        let (now, trust) = (self.now(), self.trust());
        self.memory().clock_confirmed = Some(now);
        let lapsed = trust.state.root().signed().expires <= now || trust.targets.targets_expire() <= now;
        match self.publish(Publication::default()).await {
            // Nothing fresh can be made over what has lapsed: key holders sign that next.
            Err(_) if lapsed => Ok(()),
            published => published,
        }
    }

    /// Changes the fleet's certificates on record.
    pub(crate) async fn put_fleet(&self, fleet: Fleet) -> Answer<()> {
        let _one_at_a_time = self.publishing.lock().await;
        let now = self.now();
        fleet.server_chain(now)?;
        self.store.put_documents(vec![fleet_document(&*self.store, &fleet, now).await?]).await?;
        *self.fleet.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fleet);
        self.reload_tls(now)
    }

    fn reload_tls(&self, now: UnixTime) -> Answer<()> {
        let reload = || {
            let identity = server_identity(&self.fleet(), &self.keys, now)?;
            Ok::<_, Error>(self.tls.reload(&identity, &self.trust().roots(now))?)
        };
        reload().map_err(|error| crate::refusal::Refusal::internal(&error))
    }

    async fn trust_keys_bytes(&self, trust: &Trust) -> Answer<Vec<u8>> {
        let path = trust.keys_path().unwrap_or_default();
        let document = self.store.document(format!("{TUF_PREFIX}{path}")).await?;
        Ok(document.map(|document| document.bytes).unwrap_or_default())
    }

    /// Writes down who is about to do what, does it, and writes down if that failed. Nothing is done
    /// that is not on record first.
    pub(crate) async fn audited<T>(
        &self,
        entry: Record<'_>,
        act: impl Future<Output = store::Result<T>>,
    ) -> Answer<T> {
        self.recorded(entry, async { Ok(act.await?) }).await
    }

    /// The same for what takes more than the store.
    pub(crate) async fn recorded<T>(
        &self,
        entry: Record<'_>,
        act: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        let entry = entry.at(self.now());
        self.store.append_audit(vec![entry.clone()]).await?;
        let done = act.await;
        if let Err(refusal) = &done {
            let detail = refusal.0.message.clone();
            let failed = NewAuditEntry { action: format!("{}_failed", entry.action), detail, ..entry };
            self.store.append_audit(vec![failed]).await?;
        }
        done
    }
}

/// An entry of the audit trail in the making.
#[derive(Clone, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) actor: Option<SpkiDigest>,
    pub(crate) action: &'a str,
    pub(crate) subject: String,
    pub(crate) reason: &'a str,
}

impl<'a> Record<'a> {
    /// Somebody does something, without being asked why.
    pub(crate) fn of(actor: SpkiDigest, operation: Operation, subject: &(impl ToString + ?Sized)) -> Self {
        Self { actor: Some(actor), action: operation.as_str(), subject: subject.to_string(), reason: "" }
    }

    /// The backend itself does something.
    pub(crate) fn own(action: &'a str, subject: &(impl ToString + ?Sized), reason: &'a str) -> Self {
        Self { actor: None, action, subject: subject.to_string(), reason }
    }

    pub(crate) fn because(self, reason: &'a str) -> Self {
        Self { reason, ..self }
    }

    pub(crate) fn at(self, at: UnixTime) -> NewAuditEntry {
        NewAuditEntry {
            at,
            actor: self.actor,
            action: self.action.to_owned(),
            subject: self.subject,
            reason: self.reason.to_owned(),
            detail: String::new(),
        }
    }
}

pub(crate) fn open_store(config: &Config) -> Result<(Arc<dyn Store>, Blobs), Error> {
    let store = SqliteStore::open(config.data_dir.join("store.sqlite"))?;
    Ok((Arc::new(store), Blobs::open(config.data_dir.join("blobs"), config.limits.ciphertext_bytes)?))
}

pub(crate) async fn load_fleet(store: &dyn Store) -> Result<Option<Fleet>, Error> {
    let document = store.document(FLEET.to_owned()).await?;
    document
        .map(|document| serde_json::from_slice(&document.bytes))
        .transpose()
        .map_err(|error| Error::founding(format!("the fleet's record cannot be read: {error}")))
}

pub(crate) async fn fleet_document(
    store: &dyn Store,
    fleet: &Fleet,
    at: UnixTime,
) -> store::Result<Document> {
    let last = store.document(FLEET.to_owned()).await?.map_or(0, |document| document.version);
    let bytes = serde_json::to_vec(fleet).expect("a structure of ids and bytes");
    Ok(Document { name: FLEET.to_owned(), version: last + 1, bytes, at })
}

async fn load_trust(store: &dyn Store) -> Result<Option<Trust>, Error> {
    let Some(document) = store.document(TRUSTED.to_owned()).await? else {
        return Ok(None);
    };
    let lost = |_| Error::founding("the trusted metadata cannot be read");
    let state = TrustedState::choose(Some(&document.bytes), None).map_err(lost)?;
    let infos = store.documents(format!("{TUF_PREFIX}trust/")).await?;
    for info in infos.into_iter().rev() {
        if let Some(document) = store.document(info.name).await?
            && let Ok(trust) = Trust::new(state.clone(), document.bytes)
        {
            return Ok(Some(trust));
        }
    }
    Err(Error::founding("the trust keys that the targets name are missing"))
}

fn server_identity(fleet: &Fleet, keys: &Keys, now: UnixTime) -> Result<Identity, Error> {
    Ok(Identity::from_pkcs8(fleet.server_chain(now)?, &keys.tls.to_pkcs8()?)?)
}
