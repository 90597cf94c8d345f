use std::path::PathBuf;

use app::{
    Error,
    command::{VaultBackup, VaultCard, VaultCreate, VaultShow, VaultTestRestore},
    dto::{BackupVault, CreateVault, Nothing, TestRestore, VaultStatus},
    model::PersonName,
};
use clap::Subcommand;

use crate::{
    Session,
    output::table,
    passphrase::{ask, ask_new},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make your vault, with all the keys of a key holder, in this workspace
    Create {
        /// Your name, as others will see it
        #[arg(long)]
        name: PersonName,
        /// Spend 64 MiB on the passphrase instead of what suits this computer (training only)
        #[arg(long)]
        light: bool,
    },
    /// Show the vault: its keys' public halves, whether a backup was proven
    Show,
    /// Write your card: the public halves that others need to make you a member
    Card {
        /// Where to [default: stdout]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Copy the sealed vault to a file
    Backup {
        /// Where to; it must not exist
        file: PathBuf,
    },
    /// Open a backup as a rehearsal. Devices can enrol only after that
    TestRestore {
        /// The backup
        file: PathBuf,
    },
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, passphrase_fd, .. } = session;
    match verb {
        Verb::Create { name, light } => {
            let passphrase = ask_new(*passphrase_fd)?;
            let status = app.run::<VaultCreate>(CreateVault { holder: name, passphrase, light }).await?;
            output.result(&status, || describe(&status));
            output.note("next: make a backup with `fleetseal vault backup FILE`, then `fleetseal vault test-restore FILE`");
        }
        Verb::Show => {
            let status = app.run::<VaultShow>(Nothing {}).await?;
            output.result(&status, || describe(&status));
        }
        Verb::Card { out } => {
            let card = app.run::<VaultCard>(Nothing {}).await?;
            match out {
                Some(file) => app::write_json(&file, &card)?,
                None => output.result(&card, || serde_json::to_string_pretty(&card).unwrap_or_default()),
            }
        }
        Verb::Backup { file } => {
            let status = app.run::<VaultBackup>(BackupVault { file: file.display().to_string() }).await?;
            output.result(&status, || format!("backup written to {}", file.display()));
            output.note("next: prove it with `fleetseal vault test-restore`");
        }
        Verb::TestRestore { file } => {
            let passphrase = ask("Passphrase of the backup", *passphrase_fd)?;
            session
                .app
                .run::<app::command::VaultUnlock>(app::dto::Passphrase { passphrase: passphrase.clone() })
                .await?;
            let request = TestRestore { file: file.display().to_string(), passphrase };
            let status = app.run::<VaultTestRestore>(request).await?;
            output.result(&status, || "the backup opens and holds every key".to_owned());
        }
    }
    Ok(())
}

fn describe(status: &VaultStatus) -> String {
    let mut rows = vec![vec!["role".to_owned(), "algorithm".to_owned(), "public key".to_owned()]];
    rows.extend(
        status.keys.iter().map(|key| vec![key.role.clone(), key.algorithm.clone(), key.public.clone()]),
    );
    let backup =
        status.backup_proven_at.map_or_else(|| "never proven".to_owned(), |at| format!("proven {at}"));
    format!(
        "vault of {}, generation {}, backup {backup}\n\n{}",
        status.holder,
        status.generation,
        table(&rows)
    )
}
