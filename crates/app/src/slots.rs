//! Ways into the vault: passphrases and recovery shares.

use std::{fs, io::Write as _, os::unix::fs::FileTypeExt as _, path::Path};

use model::UnixTime;
use protocol::ErrorCode;
use vault::{Opener, Params, Share, SlotId, SlotInfo, SlotKind, Vault};
use zeroize::Zeroizing;

use crate::{
    App, Error,
    command::{
        Handle, VaultAddKeyring, VaultAddPassphrase, VaultAddTokenSlot, VaultChangePassphrase,
        VaultMakeShares, VaultMeasure, VaultRemoveSlot, VaultRemoveSlotPreview, VaultRestore,
        VaultRestoreShares, VaultSlots, VaultTestShares,
    },
    dto::{
        AddKeyring, AddPassphrase, AddTokenSlot, ChangePassphrase, Commit, MakeShares, MeasurePassphrase,
        Nothing, PassphraseStrength, Preview, RestoreShares, RestoreVault, Secret, SlotName, TestShares,
        VaultSlot, VaultSlotList, VaultStatus,
    },
    release::{effect, expect_same, preview},
    tokens::{Key, unhex},
    vaults::{blocking, hex, status},
    workspace::write_secret,
};

impl Handle<VaultMeasure> for App {
    async fn handle(&self, request: MeasurePassphrase) -> Result<PassphraseStrength, Error> {
        let holder = request.holder.as_ref().map_or("", |holder| holder.as_str());
        let vault::Strength { score, guesses_log10, enough, advice } =
            vault::strength(request.passphrase.expose(), holder);
        Ok(PassphraseStrength { score, guesses_log10, enough, advice })
    }
}

impl Handle<VaultSlots> for App {
    async fn handle(&self, _: Nothing) -> Result<VaultSlotList, Error> {
        Ok(VaultSlotList { slots: self.vault()?.slots().iter().map(row).collect() })
    }
}

impl Handle<VaultChangePassphrase> for App {
    async fn handle(&self, request: ChangePassphrase) -> Result<VaultStatus, Error> {
        let vault = self.unlocked()?;
        let (workspace, now) = (self.workspace().clone(), self.now());
        blocking(move || {
            let old = Key::new(&workspace, request.old, request.with, &vault.slots())?;
            vault.change_passphrase(&old.opener(), request.new.expose(), params(request.light)?, now)?;
            Ok(status(&vault))
        })
        .await
    }
}

impl Handle<VaultAddPassphrase> for App {
    async fn handle(&self, request: AddPassphrase) -> Result<VaultSlot, Error> {
        let vault = self.unlocked()?;
        let now = self.now();
        blocking(move || {
            let params = params(request.light)?;
            Ok(row(&vault.add_passphrase(&request.label, request.passphrase.expose(), params, now)?))
        })
        .await
    }
}

impl Handle<VaultAddKeyring> for App {
    async fn handle(&self, request: AddKeyring) -> Result<VaultSlot, Error> {
        let vault = self.unlocked()?;
        let now = self.now();
        blocking(move || {
            let AddKeyring { label, passphrase, replaces, light } = request;
            let (params, replaces) = (params(light)?, replaces.as_deref().map(slot_id).transpose()?);
            Ok(row(&vault.add_keyring(&label, passphrase.expose(), params, replaces, now)?))
        })
        .await
    }
}

impl Handle<VaultAddTokenSlot> for App {
    async fn handle(&self, request: AddTokenSlot) -> Result<VaultSlot, Error> {
        let vault = self.unlocked()?;
        let now = self.now();
        blocking(move || {
            let AddTokenSlot { label, token, key, replaces } = request;
            let key = key.as_deref().map(unhex).transpose()?;
            let replaces = replaces.as_deref().map(slot_id).transpose()?;
            Ok(row(&vault.add_token(&label, &token.parse()?, key.as_deref(), replaces, now)?))
        })
        .await
    }
}

impl Handle<VaultRemoveSlotPreview> for App {
    async fn handle(&self, request: SlotName) -> Result<Preview, Error> {
        let slots = self.vault()?.slots();
        let id = slot_id(&request.slot)?;
        let gone = slots.iter().find(|slot| slot.id == id).ok_or(vault::Error::UnknownSlot { id })?;
        let left = slots.iter().filter(|slot| slot.id != id);
        let counting = left.clone().filter(|slot| slot.kind.counts()).count();
        Ok(preview(
            format!(
                "remove the {} slot {id}: no vault file saved from now on opens with it. Old copies and backups \
                 still do: destroy them, or have the keys in them replaced",
                gone.kind.as_str()
            ),
            vec![
                effect("slots stay and get a new master key", left.count() as u64),
                effect("of them can be relied upon", counting as u64),
            ],
            &slots.iter().map(|slot| slot.id.to_string()).collect::<Vec<_>>(),
        ))
    }
}

impl Handle<VaultRemoveSlot> for App {
    async fn handle(&self, request: Commit<SlotName>) -> Result<VaultStatus, Error> {
        let vault = self.unlocked()?;
        let now = Handle::<VaultRemoveSlotPreview>::handle(self, request.request.clone()).await?;
        expect_same(&now, &request.token)?;
        let id = slot_id(&request.request.slot)?;
        let now = self.now();
        blocking(move || {
            vault.remove_slot(id, now)?;
            Ok(status(&vault))
        })
        .await
    }
}

impl Handle<VaultRestore> for App {
    async fn handle(&self, request: RestoreVault) -> Result<VaultStatus, Error> {
        let key = Key::new(self.workspace(), request.passphrase, request.with, &[])?;
        let restored = self.restore(&request.file, request.replace, move |dir, file, now| {
            let vault = Vault::restore(dir, file, &key.opener(), now)?;
            key.lend(&vault);
            Ok(vault)
        });
        Ok(status(&restored.await?))
    }
}

impl Handle<VaultMakeShares> for App {
    async fn handle(&self, request: MakeShares) -> Result<VaultSlot, Error> {
        let vault = self.unlocked()?;
        let now = self.now();
        blocking(move || {
            let count = u8::try_from(request.files.len()).unwrap_or(u8::MAX);
            for file in &request.files {
                if Path::new(file).try_exists().unwrap_or(true) && !is_terminal(file) {
                    return Err(vault::Error::Exists { path: file.into() }.into());
                }
            }
            let (slot, shares) = vault.make_shares(&request.label, request.threshold, count, now)?;
            for (share, file) in shares.iter().zip(&request.files) {
                write_share(file, &printed(share, &vault, count, now)).inspect_err(|_| {
                    // A set of which a share is missing is worse than none.
                    if let Err(error) = vault.remove_slot(slot.id, now) {
                        tracing::warn!(%error, "failed to remove a set of shares that was not written");
                    }
                })?;
            }
            Ok(row(&slot))
        })
        .await
    }
}

impl Handle<VaultTestShares> for App {
    async fn handle(&self, request: TestShares) -> Result<VaultSlot, Error> {
        let vault = self.unlocked()?;
        let now = self.now();
        blocking(move || Ok(row(&vault.test_shares(&parse(&request.shares)?, now)?))).await
    }
}

impl Handle<VaultRestoreShares> for App {
    async fn handle(&self, request: RestoreShares) -> Result<VaultStatus, Error> {
        let RestoreShares { shares, new, file, replace, light } = request;
        let shares = parse(&shares)?;
        let rescue = move |vault: &Vault, shares: &[Share], now| {
            vault.change_passphrase(&Opener::Shares(shares), new.expose(), params(light)?, now)?;
            Ok::<_, Error>(status(vault))
        };
        let now = self.now();
        match file {
            Some(file) => {
                let shares = std::sync::Arc::new(shares);
                let brought = std::sync::Arc::clone(&shares);
                let vault = self
                    .restore(&file, replace, move |dir, file, now| {
                        Vault::restore(dir, file, &Opener::Shares(&brought), now)
                    })
                    .await?;
                blocking(move || rescue(&vault, &shares, now)).await
            }
            None => {
                let vault = self.vault()?;
                blocking(move || {
                    vault.unlock_with(&Opener::Shares(&shares), now)?;
                    rescue(&vault, &shares, now)
                })
                .await
            }
        }
    }
}

impl App {
    /// Closes the vault that is open and puts a restored one in its place; one that works, only where that is
    /// meant.
    async fn restore(
        &self,
        file: &str,
        replace: bool,
        bring: impl FnOnce(&Path, &Path, UnixTime) -> Result<Vault, vault::Error> + Send + 'static,
    ) -> Result<Vault, Error> {
        self.workspace().prepare()?;
        if !replace && let Ok(vault) = self.vault() {
            let status = status(&vault);
            let at_stake = match status.backup_lacks.as_slice() {
                [] => String::new(),
                lacks => format!("; in no tested backup are its keys for {}", lacks.join(", ")),
            };
            return Err(Error::new(ErrorCode::Conflict, "there is a vault already, and it works")
                .detail(format!(
                    "{} holds it, in generation {}: what was changed since the backup would be gone{at_stake}",
                    status.holder, status.generation
                ))
                .hint("where that is meant, repeat it with --replace: the vault of now is kept beside the other"));
        }
        self.close_vault();
        let (dir, file, now) = (self.workspace().vault_dir(), file.to_owned(), self.now());
        let vault = blocking(move || {
            let from = Path::new(&file);
            bring(&dir, from, now).map_err(|error| no_backup(from, error))
        })
        .await?;
        self.keep_vault(vault.clone());
        Ok(vault)
    }
}

/// A backup that somebody named and that is none is no damage of the vault.
#[expect(clippy::wildcard_enum_match_arm, reason = "only what is said of the backup is said otherwise")]
pub(crate) fn no_backup(file: &Path, error: vault::Error) -> Error {
    match error {
        vault::Error::Damaged { path, reason } if path == file => Error::new(
            ErrorCode::InvalidRequest,
            format!("`{}` is no whole backup of a vault", file.display()),
        )
        .detail(reason)
        .hint("name what `fleetseal vault backup` wrote, or another copy of it"),
        other => other.into(),
    }
}

/// What deriving a key shall cost on this computer.
pub(crate) fn params(light: bool) -> Result<Params, Error> {
    Ok(if light { Params::floor() } else { Params::calibrate()? })
}

pub(crate) fn row(slot: &SlotInfo) -> VaultSlot {
    let detail = match &slot.kind {
        SlotKind::Passphrase(derivation) => {
            let (memory, passes, lanes) = derivation.params.parts();
            format!("Argon2id, {} MiB, {passes} passes, {lanes} lanes", memory / 1024)
        }
        SlotKind::Keyring(part) => {
            let (memory, ..) = part.derivation.params.parts();
            format!(
                "Argon2id, {} MiB, together with the keyring of the computer it was made on",
                memory / 1024
            )
        }
        SlotKind::Token(agreement) => {
            format!("token {} and its PIN, by key {}", agreement.serial(), hex(agreement.public()))
        }
        SlotKind::Shares { set, threshold, count, proven_at } => {
            let proven = proven_at
                .map_or_else(|| "not tested: does not count".to_owned(), |at| format!("tested {at}"));
            format!("any {threshold} of {count} shares of set {set}, {proven}")
        }
    };
    let token = match &slot.kind {
        SlotKind::Token(agreement) => Some(agreement.serial().to_string()),
        SlotKind::Passphrase(_) | SlotKind::Keyring(_) | SlotKind::Shares { .. } => None,
    };
    VaultSlot {
        token,
        id: slot.id.to_string(),
        kind: slot.kind.as_str().to_owned(),
        label: slot.label.clone(),
        detail,
        created_at: slot.created_at,
        counts: slot.kind.counts(),
    }
}

fn slot_id(text: &str) -> Result<SlotId, Error> {
    text.parse().map_err(|_| {
        Error::new(ErrorCode::InvalidRequest, format!("`{text}` names no slot"))
            .hint("`fleetseal vault slot list` shows their ids, of 16 hexadecimal digits")
    })
}

fn parse(shares: &[Secret]) -> Result<Vec<Share>, Error> {
    let read = |(at, share): (usize, &Secret)| {
        Share::parse(share.expose())
            .map_err(|error| Error::from(error).detail(format!("share number {} of those entered", at + 1)))
    };
    shares.iter().enumerate().map(read).collect()
}

/// A share as it goes on paper: what it is in lines that begin with `#`, then its words, numbered.
fn printed(share: &Share, vault: &Vault, count: u8, now: UnixTime) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str(&format!(
        "# Fleetseal recovery share {} of {count}: any {} of them open the vault\n# of {}, {}\n# set {}, made {now}\n\
         # Keep it apart from the others, and away from the computer.\n",
        share.index(),
        share.threshold(),
        vault.holder(),
        vault.id(),
        share.set(),
    ));
    for (at, word) in share.words().split(' ').enumerate() {
        text.push_str(&format!("{:>2} {word:<10}{}", at + 1, if at % 4 == 3 { "\n" } else { "" }));
    }
    text
}

fn is_terminal(file: &str) -> bool {
    fs::metadata(file).is_ok_and(|found| found.file_type().is_char_device())
}

fn write_share(file: &str, text: &str) -> Result<(), Error> {
    if !is_terminal(file) {
        return write_secret(Path::new(file), text);
    }
    let failed = |source: std::io::Error| Error::file("write", Path::new(file), &source);
    let mut terminal = fs::OpenOptions::new().write(true).open(file).map_err(failed)?;
    terminal.write_all(text.as_bytes()).and_then(|()| terminal.write_all(b"\n")).map_err(failed)
}
