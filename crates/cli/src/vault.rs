mod shares;
mod slot;
mod token;

use std::path::PathBuf;

use app::{
    Error,
    command::{
        VaultBackup, VaultCard, VaultChangePassphrase, VaultCreate, VaultMeasure, VaultRestore, VaultShow,
        VaultTestRestore,
    },
    dto::{
        BackupVault, ChangePassphrase, CreateVault, MeasurePassphrase, Nothing, Passphrase, RestoreVault,
        TestRestore, VaultStatus,
    },
    model::PersonName,
};
use clap::Subcommand;

use crate::{
    Session,
    output::table,
    passphrase::{ask, ask_new, confirm, has_terminal},
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
    /// Bring a vault back from a backup or a kept generation
    Restore {
        /// The backup, or `vault/keys.cbor.GENERATION` of the workspace
        file: PathBuf,
        /// Put it in the place of a vault that is there and works, without asking
        #[arg(long)]
        replace: bool,
    },
    /// Put a new passphrase in the place of the old one
    Passphrase {
        /// Read the new passphrase from this file descriptor instead of asking
        #[arg(long, value_name = "N")]
        new_passphrase_fd: Option<i32>,
        /// Spend 64 MiB on the passphrase instead of what suits this computer (training only)
        #[arg(long)]
        light: bool,
    },
    /// Measure how hard a passphrase is to guess, without keeping it
    Strength {
        /// Whose it shall be
        #[arg(long)]
        name: Option<PersonName>,
    },
    /// What opens the vault: passphrases, keyring, tokens, recovery shares
    #[command(subcommand)]
    Slot(slot::Verb),
    /// Recovery shares: any k of n open the vault when the passphrase is lost
    #[command(subcommand)]
    Shares(shares::Verb),
    /// PKCS#11 tokens: keys that are made in a token sign there and never leave it
    #[command(subcommand)]
    Token(token::Verb),
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
            let opening = session.opening("Passphrase of the backup").await?;
            app.run::<app::command::VaultUnlock>(opening.clone()).await?;
            let Passphrase { passphrase, with } = opening;
            let request = TestRestore { file: file.display().to_string(), passphrase, with };
            let status = app.run::<VaultTestRestore>(request).await?;
            output.result(&status, || "the backup opens and holds every key".to_owned());
        }
        Verb::Restore { file, replace } => {
            let replace = replace || may_replace(session).await?;
            let Passphrase { passphrase, with } = session.opening("Passphrase of the backup").await?;
            let request = RestoreVault { file: file.display().to_string(), passphrase, with, replace };
            let status = app.run::<VaultRestore>(request).await?;
            output.result(&status, || describe(&status));
            output.note(
                "keys made after the backup are not in it; what stood in the vault before is kept beside it",
            );
        }
        Verb::Passphrase { new_passphrase_fd, light } => {
            let opening = session.opening("Passphrase").await?;
            app.run::<app::command::VaultUnlock>(opening.clone()).await?;
            let Passphrase { passphrase: old, with } = opening;
            let new = ask_new(new_passphrase_fd)?;
            let request = ChangePassphrase { old, with, new, light };
            let status = app.run::<VaultChangePassphrase>(request).await?;
            output.result(&status, || {
                "the passphrase is changed. Copies and backups made before still open with the old one: make a new \
                 backup, test it, and destroy the old ones"
                    .to_owned()
            });
        }
        Verb::Strength { name } => {
            let passphrase = ask("Passphrase to measure", *passphrase_fd)?;
            let strength = app.run::<VaultMeasure>(MeasurePassphrase { passphrase, holder: name }).await?;
            output.result(&strength, || {
                let verdict = if strength.enough { "strong enough" } else { "too weak" };
                format!(
                    "{verdict}: {} of 4, some 10^{:.0} guesses. {}",
                    strength.score, strength.guesses_log10, strength.advice
                )
            });
        }
        Verb::Slot(verb) => return slot::run(session, verb).await,
        Verb::Shares(verb) => return shares::run(session, verb).await,
        Verb::Token(verb) => return token::run(session, verb).await,
    }
    Ok(())
}

/// Whether a person at a terminal agrees that the vault which is there goes.
async fn may_replace(session: &Session<'_>) -> Result<bool, Error> {
    if !has_terminal() {
        return Ok(false);
    }
    let Ok(status) = session.app.run::<VaultShow>(Nothing {}).await else { return Ok(false) };
    session.output.note(&describe(&status));
    session.output.note("this vault is there and works; what was changed since the backup would be gone");
    if confirm("Put the backup in its place?") {
        return Ok(true);
    }
    Err(Error::new(app::ErrorCode::Canceled, "nothing was done"))
}

fn describe(status: &VaultStatus) -> String {
    let mut rows = vec![["role", "algorithm", "in token", "public key"].map(str::to_owned).to_vec()];
    rows.extend(status.keys.iter().map(|key| {
        let token = key.token.clone().unwrap_or_default();
        vec![key.role.clone(), key.algorithm.clone(), token, key.public.clone()]
    }));
    let backup = match (status.backup_tested_at, status.backup_lacks.as_slice()) {
        (None, _) => "never tested".to_owned(),
        (Some(at), []) => format!("tested {at}"),
        (Some(at), lacks) => {
            format!("tested {at}, but made since and in no tested backup: {}", lacks.join(", "))
        }
    };
    format!(
        "vault of {}, generation {}, backup {backup}\n\n{}",
        status.holder,
        status.generation,
        table(&rows)
    )
}
