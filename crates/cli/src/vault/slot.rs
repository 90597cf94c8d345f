//! `vault slot`: the ways into the vault.

use app::{
    Error,
    command::{
        VaultAddKeyring, VaultAddPassphrase, VaultAddTokenSlot, VaultRemoveSlot, VaultRemoveSlotPreview,
        VaultSlots,
    },
    dto::{AddKeyring, AddPassphrase, AddTokenSlot, Commit, Nothing, SlotName, VaultSlot},
};
use clap::Subcommand;

use crate::{
    Session,
    output::{Output, table},
    passphrase::ask_new,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show what opens the vault
    List,
    /// Add a passphrase beside what opens the vault now
    Add {
        /// What to call it
        #[arg(long, default_value = "")]
        label: String,
        /// Read the new passphrase from this file descriptor instead of asking
        #[arg(long, value_name = "N")]
        new_passphrase_fd: Option<i32>,
        /// Spend 64 MiB on the passphrase instead of what suits this computer (training only)
        #[arg(long)]
        light: bool,
    },
    /// Add a passphrase that opens the vault only together with the keyring of this computer
    AddKeyring {
        /// What to call it
        #[arg(long, default_value = "")]
        label: String,
        /// A slot that goes in its favour, by its id
        #[arg(long, value_name = "SLOT")]
        replaces: Option<String>,
        /// Read the new passphrase from this file descriptor instead of asking
        #[arg(long, value_name = "N")]
        new_passphrase_fd: Option<i32>,
        /// Spend 64 MiB on the passphrase instead of what suits this computer (training only)
        #[arg(long)]
        light: bool,
    },
    /// Add a PKCS#11 token: a key in it opens the vault, with the token's PIN
    AddToken {
        /// The token's serial number
        #[arg(long, value_name = "SERIAL")]
        token: String,
        /// A P-256 key that is in the token already, by its id [default: a fresh one]
        #[arg(long, value_name = "ID")]
        key: Option<String>,
        /// What to call it
        #[arg(long, default_value = "")]
        label: String,
        /// A slot that goes in its favour, by its id
        #[arg(long, value_name = "SLOT")]
        replaces: Option<String>,
    },
    /// Remove a way in. Old copies and backups still open with it
    Remove {
        /// Its id, as `slot list` shows it
        slot: String,
    },
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::List => {
            let slots = app.run::<VaultSlots>(Nothing {}).await?;
            output.result(&slots, || describe(&slots.slots));
        }
        Verb::Add { label, new_passphrase_fd, light } => {
            session.unlock().await?;
            let passphrase = ask_new(new_passphrase_fd)?;
            let slot = app.run::<VaultAddPassphrase>(AddPassphrase { label, passphrase, light }).await?;
            output.result(&slot, || describe(std::slice::from_ref(&slot)));
        }
        Verb::AddKeyring { label, replaces, new_passphrase_fd, light } => {
            session.unlock().await?;
            let passphrase = ask_new(new_passphrase_fd)?;
            let request = AddKeyring { label, passphrase, replaces: replaces.clone(), light };
            let slot = app.run::<VaultAddKeyring>(request).await?;
            output.result(&slot, || describe(std::slice::from_ref(&slot)));
            output.note("it opens on this computer alone: keep another way in for the day that it is gone");
            warn(output, replaces.as_ref());
        }
        Verb::AddToken { token, key, label, replaces } => {
            super::token::unlock(session, &token).await?;
            let request = AddTokenSlot { label, token, key, replaces: replaces.clone() };
            let slot = app.run::<VaultAddTokenSlot>(request).await?;
            output.result(&slot, || describe(std::slice::from_ref(&slot)));
            output.note("no backup replaces the token: keep another way in for the day that it is lost");
            warn(output, replaces.as_ref());
        }
        Verb::Remove { slot } => {
            session.unlock().await?;
            let request = SlotName { slot };
            let preview = app.run::<VaultRemoveSlotPreview>(request.clone()).await?;
            session.confirm(&preview)?;
            let status = app.run::<VaultRemoveSlot>(Commit { request, token: preview.token }).await?;
            output.result(&status, || {
                format!(
                    "{}\nremoved. Copies and backups made before still open with it: destroy them",
                    describe(&status.slots)
                )
            });
        }
    }
    Ok(())
}

/// What taking a slot away cannot undo.
fn warn(output: &Output, replaced: Option<&String>) {
    if let Some(slot) = replaced {
        output.note(&format!(
            "slot {slot} is gone. Copies and backups made before still open with it: destroy them"
        ));
    }
}

pub(crate) fn describe(slots: &[VaultSlot]) -> String {
    let mut rows = vec![["slot", "kind", "label", "counts", "detail"].map(str::to_owned).to_vec()];
    rows.extend(slots.iter().map(|slot| {
        let counts = if slot.counts { "yes" } else { "no" };
        vec![slot.id.clone(), slot.kind.clone(), slot.label.clone(), counts.to_owned(), slot.detail.clone()]
    }));
    table(&rows)
}
