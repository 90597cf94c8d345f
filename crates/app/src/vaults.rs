//! The vault's commands.

use std::path::Path;

use model::UnixTime;
use protocol::{Base64, ErrorCode};
use vault::{KeyRole, Vault};

use crate::{
    App, Error,
    command::{
        Handle, VaultBackup, VaultCard, VaultCreate, VaultLock, VaultShow, VaultTestRestore, VaultUnlock,
    },
    dto::{BackupVault, CreateVault, MemberCard, Nothing, Passphrase, TestRestore, VaultKey, VaultStatus},
    signer::Ecdsa,
    slots::{no_backup, params, row},
    tokens::Key,
};

/// The keys of a key holder. CA keys come with the founding, in the founder's vault alone.
const HOLDER_KEYS: [KeyRole; 9] = [
    KeyRole::Root,
    KeyRole::Targets,
    KeyRole::Ticket,
    KeyRole::Seal,
    KeyRole::Grant,
    KeyRole::Kem,
    KeyRole::Audit,
    KeyRole::Token,
    KeyRole::Memory,
];

impl Handle<VaultCreate> for App {
    async fn handle(&self, request: CreateVault) -> Result<VaultStatus, Error> {
        self.workspace().prepare()?;
        let dir = self.workspace().vault_dir();
        let now = self.now();
        let vault = blocking(move || {
            let params = params(request.light)?;
            let vault = Vault::create(&dir, request.holder, request.passphrase.expose(), params, now)?;
            vault
                .generate(&HOLDER_KEYS, &vault.intent("vault.create", "vault", "a key holder's keys", now))?;
            Ok(vault)
        })
        .await?;
        self.keep_vault(vault.clone());
        self.workspace().identity_or_new()?;
        Ok(status(&vault))
    }
}

impl Handle<VaultShow> for App {
    async fn handle(&self, _: Nothing) -> Result<VaultStatus, Error> {
        Ok(status(&self.vault()?))
    }
}

impl Handle<VaultUnlock> for App {
    async fn handle(&self, request: Passphrase) -> Result<VaultStatus, Error> {
        let vault = self.vault()?;
        let (workspace, now) = (self.workspace().clone(), self.now());
        blocking(move || {
            let key = Key::new(&workspace, request.passphrase, request.with, &vault.slots())?;
            key.lend(&vault);
            vault.unlock_with(&key.opener(), now)?;
            Ok(status(&vault))
        })
        .await
    }
}

impl Handle<VaultLock> for App {
    async fn handle(&self, _: Nothing) -> Result<VaultStatus, Error> {
        let vault = self.vault()?;
        vault.lock();
        Ok(status(&vault))
    }
}

impl Handle<VaultBackup> for App {
    async fn handle(&self, request: BackupVault) -> Result<VaultStatus, Error> {
        let vault = self.vault()?;
        let now = self.now();
        blocking(move || {
            vault.backup(Path::new(&request.file), now)?;
            Ok(status(&vault))
        })
        .await
    }
}

impl Handle<VaultTestRestore> for App {
    async fn handle(&self, request: TestRestore) -> Result<VaultStatus, Error> {
        let vault = self.vault()?;
        let (workspace, now) = (self.workspace().clone(), self.now());
        blocking(move || {
            let key = Key::new(&workspace, request.passphrase, request.with, &vault.slots())?;
            let file = Path::new(&request.file);
            vault.test_restore(file, &key.opener(), now).map_err(|error| no_backup(file, error))?;
            Ok(status(&vault))
        })
        .await
    }
}

impl Handle<VaultCard> for App {
    async fn handle(&self, _: Nothing) -> Result<MemberCard, Error> {
        self.card()
    }
}

impl App {
    /// The public halves of the vault's keys, and a request for the identity's certificate.
    pub(crate) fn card(&self) -> Result<MemberCard, Error> {
        let vault = self.vault()?;
        let public = |role| Ok::<_, Error>(hex(&vault.key(role)?.public));
        let identity = self.workspace().identity_or_new()?;
        let request = pki::request::build_identity(&Ecdsa(&identity))
            .map_err(|source| Error::internal("the certificate request could not be signed", source))?;
        Ok(MemberCard {
            holder: vault.holder(),
            root: public(KeyRole::Root)?,
            targets: public(KeyRole::Targets)?,
            ticket: public(KeyRole::Ticket)?,
            seal: public(KeyRole::Seal)?,
            grant: public(KeyRole::Grant)?,
            audit: public(KeyRole::Audit)?,
            kem: public(KeyRole::Kem)?,
            identity: Base64(request),
        })
    }

    /// No device enrols before a backup of the root keys was restored once as a test.
    pub(crate) fn require_proven_backup(&self) -> Result<UnixTime, Error> {
        let vault = self.vault()?;
        vault.backup_proven_at().ok_or_else(|| {
            let error = match vault.backup_tested_at() {
                None => Error::new(
                    ErrorCode::PreconditionFailed,
                    "no backup of this vault was ever restored as a test",
                ),
                Some(at) => Error::new(
                    ErrorCode::PreconditionFailed,
                    "the backup that was restored as a test is not up to date",
                )
                .detail(format!(
                    "it was tested {at}; made since, and in no tested backup: {}",
                    lacks(&vault).join(", ")
                )),
            };
            error.hint("run `fleetseal vault backup FILE`, then `fleetseal vault test-restore FILE`")
        })
    }
}

/// Runs something that computes or waits for the disk, off the event loop.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|source| Err(Error::internal("a piece of work stopped unexpectedly", source)))
}

/// 32 bytes from lower-case hexadecimal.
pub(crate) fn unhex(text: &str, what: &str) -> Result<[u8; 32], Error> {
    text.parse::<model::Digest>()
        .map(|digest| *digest.as_bytes())
        .map_err(|_| Error::new(ErrorCode::InvalidRequest, format!("the card's {what} key cannot be read")))
}

/// An algorithm as screens say it.
pub(crate) fn algorithm(algorithm: vault::Algorithm) -> String {
    format!("{algorithm:?}").to_lowercase()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The roles of the keys that no tested backup holds.
fn lacks(vault: &Vault) -> Vec<String> {
    vault.backup_lacks().iter().map(|key| key.role.as_str().to_owned()).collect()
}

pub(crate) fn status(vault: &Vault) -> VaultStatus {
    let key = |key: vault::KeyInfo| VaultKey {
        role: key.role.as_str().to_owned(),
        algorithm: algorithm(key.role.algorithm()),
        token: key.token.as_ref().map(|serial| serial.as_str().to_owned()),
        public: if key.verifying_key().is_some() || key.kem_key().is_some() {
            hex(&key.public)
        } else {
            String::new()
        },
    };
    VaultStatus {
        holder: vault.holder(),
        unlocked: vault.is_unlocked(),
        generation: vault.generation(),
        backup_proven_at: vault.backup_proven_at(),
        backup_tested_at: vault.backup_tested_at(),
        backup_lacks: lacks(vault),
        slots: vault.slots().iter().map(row).collect(),
        keys: vault.keys().into_iter().map(key).collect(),
    }
}
