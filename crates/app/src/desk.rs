use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use model::{RolloutId, UnixTime};
use protocol::{
    ErrorCode,
    operator::{FleetSummary, Hint, path},
};
use tls::{ClientTls, Clock, SystemClock, Time};
use vault::Vault;

use crate::{
    Error,
    client::Client,
    command::Access,
    library::Library,
    pages::Hints,
    visits::Lines,
    workspace::{Membership, Workspace},
};

/// A person at work in a workspace.
#[derive(Debug)]
pub struct App {
    workspace: Workspace,
    clock: Arc<dyn Clock>,
    vault: Mutex<Option<Vault>>,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
    /// Held while heads of logs are compared: a head that was fetched before another one was cosigned would
    /// look like a log that was cut.
    pub(crate) heads: tokio::sync::Mutex<()>,
    /// Held while trusted metadata are refreshed and kept: two at once would write one file over the other.
    pub(crate) refreshing: tokio::sync::Mutex<()>,
    /// Lines to devices on the bench that are in use.
    pub(crate) lines: Arc<Lines>,
    /// What was read of the bundles that are kept.
    pub(crate) library: Library,
}

/// The fleet that the workspace belongs to, and the way to its backend.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) membership: Membership,
    pub(crate) client: Client,
}

impl App {
    /// Opens a workspace. An empty or missing folder is one too: it has no vault and no fleet yet.
    ///
    /// # Errors
    /// None yet.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::with_clock(dir, Arc::new(SystemClock))
    }

    /// As [`Self::open`], with another clock.
    ///
    /// # Errors
    /// None yet.
    pub fn with_clock(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self {
            workspace: Workspace::new(dir),
            clock,
            vault: Mutex::new(None),
            session: tokio::sync::Mutex::new(None),
            heads: tokio::sync::Mutex::new(()),
            refreshing: tokio::sync::Mutex::new(()),
            lines: Arc::default(),
            library: Library::default(),
        })
    }

    /// Returns once something happened to an enrolment, or after a while.
    ///
    /// # Errors
    /// The backend cannot be reached.
    pub async fn wait_for_enrolments(&self) -> Result<(), Error> {
        self.wait_for(Duration::from_secs(5), |hint| matches!(hint, Hint::Enrolment)).await
    }

    /// Returns once something happened to a rollout, or after `at_most`.
    ///
    /// # Errors
    /// The backend cannot be reached.
    pub async fn wait_for_rollout(&self, rollout: RolloutId, at_most: Duration) -> Result<(), Error> {
        self.wait_for(at_most, |hint| matches!(hint, Hint::Rollout { rollout: which } if *which == rollout))
            .await
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The vault, opened but perhaps locked.
    pub(crate) fn vault(&self) -> Result<Vault, Error> {
        let mut slot = self.vault_slot();
        if let Some(vault) = &*slot {
            vault.tick(self.now());
            return Ok(vault.clone());
        }
        let vault = Vault::open(&self.workspace.vault_dir())?;
        *slot = Some(vault.clone());
        Ok(vault)
    }

    /// Locks the vault, if it was opened.
    pub(crate) fn lock_vault(&self) {
        if let Some(vault) = &*self.vault_slot() {
            vault.lock();
        }
    }

    /// The vault, if it was opened before; it stays closed otherwise, and free for other programs.
    pub(crate) fn vault_at_hand(&self) -> Option<Vault> {
        self.vault_slot().clone()
    }

    pub(crate) fn keep_vault(&self, vault: Vault) {
        *self.vault_slot() = Some(vault);
    }

    /// Lets go of the vault, so that another can be put in its place.
    pub(crate) fn close_vault(&self) {
        *self.vault_slot() = None;
    }

    /// The vault, unlocked.
    pub(crate) fn unlocked(&self) -> Result<Vault, Error> {
        let vault = self.vault()?;
        if vault.touch(self.now()) {
            return Ok(vault);
        }
        Err(Error::new(ErrorCode::VaultLocked, "the vault is locked").hint("unlock it first"))
    }

    pub(crate) async fn session(&self) -> Result<Arc<Session>, Error> {
        let mut slot = self.session.lock().await;
        if let Some(session) = &*slot {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(self.connect()?);
        *slot = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Forgets the connection, after the membership changed.
    pub(crate) async fn reconnect(&self) {
        *self.session.lock().await = None;
    }

    pub(crate) async fn summary(&self) -> Result<FleetSummary, Error> {
        self.session().await?.client.get(path::FLEET).await
    }

    pub(crate) async fn check_access(&self, command: &str, access: Access) -> Result<(), Error> {
        if access == Access::Local {
            return Ok(());
        }
        let roles = self.summary().await?.roles;
        if access.allows(&roles) {
            return Ok(());
        }
        let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
        Err(Error::new(ErrorCode::Forbidden, format!("your role does not allow `{command}`"))
            .detail(format!("you are {}", names.join(", ")))
            .hint("an admin can give you another role with `fleetseal fleet add-person`"))
    }

    fn vault_slot(&self) -> MutexGuard<'_, Option<Vault>> {
        self.vault.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn connect(&self) -> Result<Session, Error> {
        let membership = self.workspace.membership()?;
        let key = self.workspace.identity()?.to_pkcs8()?;
        let chain = vec![tls::CertificateDer::from(membership.certificate.0.clone())];
        let chain = chain.into_iter().chain(issuer_of_people(&membership)?).collect();
        let wrong =
            |source| Error::because(ErrorCode::PreconditionFailed, "your identity cannot be used", source);
        let identity = tls::Identity::from_pkcs8(chain, &key).map_err(wrong)?;
        let roots = [tls::CertificateDer::from(membership.ca_root.0.clone())];
        let tls = ClientTls::fleet(&identity, &roots, Time::Clock(Arc::clone(&self.clock))).map_err(wrong)?;
        let client = Client::new(&membership.origin, tls.config().as_ref().clone())?;
        Ok(Session { membership, client })
    }

    async fn wait_for(&self, at_most: Duration, wanted: impl Fn(&Hint) -> bool) -> Result<(), Error> {
        let watch = async {
            let mut hints = self.hints().await?;
            while let Ok(Some(hint)) = hints.next().await {
                if wanted(&hint) {
                    break;
                }
            }
            Ok(())
        };
        tokio::time::timeout(at_most, watch).await.unwrap_or(Ok(()))
    }

    /// What the backend says as it happens.
    pub(crate) async fn hints(&self) -> Result<Hints, Error> {
        let session = self.session().await?;
        Ok(Hints::new(session.client.stream(path::EVENTS).await?))
    }

    /// Whether the workspace belongs to a fleet.
    pub(crate) fn is_member(&self) -> bool {
        self.workspace.membership().is_ok()
    }
}

/// Keeps secrets out of core dumps and swap, as far as the system lets us. To be called first.
pub fn harden() {
    vault::harden();
}

/// The certificate of the CA that issues people's certificates.
fn issuer_of_people(membership: &Membership) -> Result<Vec<tls::CertificateDer<'static>>, Error> {
    let mut found = Vec::new();
    for der in &membership.issuing_cas {
        if matches!(pki::CaCertificate::parse(der)?.role(), pki::CaRole::People { .. }) {
            found.push(tls::CertificateDer::from(der.0.clone()));
        }
    }
    Ok(found)
}
