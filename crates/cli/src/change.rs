use std::path::PathBuf;

use app::{
    Error,
    command::FleetDraftChange,
    dto::{DraftChange, DraftedChange, Edit, SignedBy},
    model::{ModelName, PersonName, UnixTime},
    protocol::{Base64, operator::BackendIdentity},
};
use clap::{Subcommand, ValueEnum};

use crate::{Session, request::standing};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Put the keys of a person's new card in the place of the listed ones
    RotateKeys {
        /// The new card
        #[arg(long, value_name = "FILE")]
        card: PathBuf,
    },
    /// Take one key off the list
    Unlist {
        /// Its id, as `fleet keys` shows it
        key: String,
    },
    /// Trust a listed key for other models, or until another day
    Scope {
        /// Its id, as `fleet keys` shows it
        key: String,
        /// A model that it is trusted for; once for each [default: all]
        #[arg(long = "model")]
        models: Vec<ModelName>,
        /// Until when [default: for good]
        #[arg(long)]
        until: Option<UnixTime>,
    },
    /// Let a member sign for root and targets
    AddKeyHolder {
        /// Their card
        #[arg(long, value_name = "FILE")]
        card: PathBuf,
    },
    /// Take one key away from root or targets
    RemoveKey {
        /// Its id, as `fleet keys` shows it
        key: String,
    },
    /// Take all keys of a person away: those that are listed, and those of root and targets
    RemoveKeys {
        /// Whose
        holder: PersonName,
    },
    /// Ask for another number of signatures
    Threshold {
        /// For what
        role: Role,
        /// How many
        number: u32,
    },
    /// Name the backend's new keys, as `serve --renew-keys` wrote them
    OnlineKeys {
        /// The file
        #[arg(long, value_name = "FILE")]
        backend: PathBuf,
    },
    /// List another X.509 root beside those in force
    ListRoot {
        /// The certificate, DER
        certificate: PathBuf,
    },
    /// Sign the root metadata anew, so that it lives for another year
    RenewRoot,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    Root,
    Targets,
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb, reason: Option<String>) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    let (edit, usual) = edit(verb)?;
    let reason = reason.unwrap_or_else(|| usual.to_owned());
    let drafted = app.run::<FleetDraftChange>(DraftChange { edits: vec![edit], reason }).await?;
    output.result(&drafted, || describe(&drafted));
    Ok(())
}

/// What has to be signed, and what comes after that.
pub(crate) fn describe(drafted: &DraftedChange) -> String {
    let mut lines: Vec<_> = drafted.requests.iter().map(standing).collect();
    if drafted.root_follows {
        lines.push("the root follows: once this is in force, give the same command again".to_owned());
    }
    lines.join("\n")
}

fn edit(verb: Verb) -> Result<(Edit, &'static str), Error> {
    Ok(match verb {
        Verb::RotateKeys { card } => (
            Edit::Rotate {
                card: app::read_as(&card, "a card of a member, as `fleetseal vault card` writes it")?,
            },
            "a member has new keys",
        ),
        Verb::Unlist { key } => (Edit::Unlist { key }, "a key is trusted no more"),
        Verb::Scope { key, models, until } => {
            (Edit::Scope { key, models, not_after: until }, "a key has another scope")
        }
        Verb::AddKeyHolder { card } => (
            Edit::AddKeyHolder {
                card: app::read_as(&card, "a card of a member, as `fleetseal vault card` writes it")?,
            },
            "a member becomes a key holder",
        ),
        Verb::RemoveKey { key } => (Edit::RemoveKey { key }, "a key signs no more"),
        Verb::RemoveKeys { holder } => (Edit::RemovePerson { holder }, "a person's keys are trusted no more"),
        Verb::Threshold { role, number } => {
            let role = match role {
                Role::Root => SignedBy::Root,
                Role::Targets => SignedBy::Targets,
            };
            (Edit::Threshold { role, threshold: number }, "another threshold")
        }
        Verb::OnlineKeys { backend } => {
            let BackendIdentity { snapshot, timestamp, link, .. } =
                app::read_as(&backend, "what `fleetseal serve --renew-keys` writes")?;
            (Edit::Online { snapshot, timestamp, link }, "the backend has new keys")
        }
        Verb::ListRoot { certificate } => {
            let der = app::read_bytes(&certificate)?;
            (Edit::ListRoot { certificate: Base64(der) }, "another X.509 root")
        }
        Verb::RenewRoot => (Edit::Renew { role: SignedBy::Root }, "the root metadata lives on"),
    })
}
