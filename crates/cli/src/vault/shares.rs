//! `vault shares`: recovery shares, any k of n of which open the vault.

use std::path::PathBuf;

use app::{
    Error, ErrorCode,
    command::{VaultMakeShares, VaultRestoreShares, VaultTestShares},
    dto::{MakeShares, RestoreShares, Secret, TestShares},
};
use clap::{Args, Subcommand};

use super::slot::describe;
use crate::{
    Session,
    passphrase::{ask_new, read_fd},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a set of shares and write each to a file, or to the terminal to copy it by hand
    Make {
        /// How many shares open the vault
        #[arg(long, value_name = "K")]
        threshold: u8,
        /// A new file for one share, readable by you alone; repeat it for each share
        #[arg(long, value_name = "FILE", required_unless_present = "terminal")]
        out: Vec<PathBuf>,
        /// Show this many shares on the terminal instead, for people to copy by hand
        #[arg(long, value_name = "N", conflicts_with = "out")]
        terminal: Option<u8>,
        /// What to call the set
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Open the vault with shares as a rehearsal. The set counts only after that
    Test(Shares),
    /// Open the vault, or a backup of it, with shares, and give it a new passphrase
    Restore {
        #[command(flatten)]
        shares: Shares,
        /// A backup to bring back; without it, the vault in the workspace
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Put that backup in the place of a vault that is there and works, without asking
        #[arg(long, requires = "from")]
        replace: bool,
        /// Read the new passphrase from this file descriptor instead of asking
        #[arg(long, value_name = "N")]
        new_passphrase_fd: Option<i32>,
        /// Spend 64 MiB on the passphrase instead of what suits this computer (training only)
        #[arg(long)]
        light: bool,
    },
}

/// Where shares are read from: never an argument.
#[derive(Debug, Args)]
pub(crate) struct Shares {
    /// A file with the words of one share; repeat it
    #[arg(long, value_name = "FILE")]
    share: Vec<PathBuf>,
    /// A file descriptor to read the words of one share from; repeat it
    #[arg(long, value_name = "N")]
    share_fd: Vec<i32>,
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::Make { threshold, out, terminal, label } => {
            session.unlock().await?;
            let files = match terminal {
                Some(count) => vec!["/dev/tty".to_owned(); count.into()],
                None => out.iter().map(|file| file.display().to_string()).collect(),
            };
            let slot = app.run::<VaultMakeShares>(MakeShares { label, threshold, files }).await?;
            output.result(&slot, || describe(std::slice::from_ref(&slot)));
            output.note("next: enter as many as it takes with `fleetseal vault shares test`; the set counts only then");
        }
        Verb::Test(shares) => {
            session.unlock().await?;
            let slot = app.run::<VaultTestShares>(TestShares { shares: shares.read()? }).await?;
            output.result(&slot, || describe(std::slice::from_ref(&slot)));
        }
        Verb::Restore { shares, from, replace, new_passphrase_fd, light } => {
            let shares = shares.read()?;
            let new = ask_new(new_passphrase_fd)?;
            let file = from.map(|file| file.display().to_string());
            let replace = replace || (file.is_some() && super::may_replace(session).await?);
            let request = RestoreShares { shares, new, file, replace, light };
            let status = app.run::<VaultRestoreShares>(request).await?;
            output.result(&status, || super::describe(&status));
            output.note("old copies and backups still open with the old passphrase: destroy them, or have their keys replaced");
        }
    }
    Ok(())
}

impl Shares {
    fn read(&self) -> Result<Vec<Secret>, Error> {
        let mut shares = Vec::new();
        for file in &self.share {
            shares.push(Secret::from(app::read_text(file)?));
        }
        for fd in &self.share_fd {
            shares.push(read_fd(*fd)?);
        }
        if shares.is_empty() {
            return Err(Error::new(ErrorCode::InvalidRequest, "no share was given")
                .hint("name each with --share FILE or --share-fd N"));
        }
        Ok(shares)
    }
}
