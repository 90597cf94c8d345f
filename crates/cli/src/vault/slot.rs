//! `vault slot`: the ways into the vault.

use app::{
    Error,
    command::{VaultAddPassphrase, VaultRemoveSlot, VaultRemoveSlotPreview, VaultSlots},
    dto::{AddPassphrase, Commit, Nothing, SlotName, VaultSlot},
};
use clap::Subcommand;

use crate::{Session, output::table, passphrase::ask_new};

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

pub(crate) fn describe(slots: &[VaultSlot]) -> String {
    let mut rows = vec![["slot", "kind", "label", "counts", "detail"].map(str::to_owned).to_vec()];
    rows.extend(slots.iter().map(|slot| {
        let counts = if slot.counts { "yes" } else { "no" };
        vec![slot.id.clone(), slot.kind.clone(), slot.label.clone(), counts.to_owned(), slot.detail.clone()]
    }));
    table(&rows)
}
