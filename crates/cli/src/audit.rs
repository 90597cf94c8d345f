use std::path::PathBuf;

use app::{
    Error,
    command::{AuditCosign, AuditExport, AuditList, AuditVerify},
    dto::{AuditFile, Nothing, PageRequest, VerifiedAudit},
};
use clap::Subcommand;

use crate::{Session, output::table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Who did what, to what, when and why, as the backend's log has it
    List {
        /// Go on after a page
        #[arg(long)]
        after: Option<String>,
    },
    /// Compare and cosign the heads of the backend's log and your vault's; other commands do it by themselves
    Cosign,
    /// Write both logs with their signed heads into a file
    Export {
        /// Where to
        file: PathBuf,
    },
    /// Check an export from end to end, without a network and without your vault
    Verify {
        /// The export
        file: PathBuf,
    },
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::List { after } => {
            let page = app.run::<AuditList>(PageRequest { after, limit: None }).await?;
            output.result(&page, || {
                let rows = page.rows.iter().map(|row| {
                    vec![
                        row.number.to_string(),
                        row.at.to_string(),
                        row.actor.clone(),
                        row.action.clone(),
                        row.subject.clone(),
                        row.reason.clone(),
                    ]
                });
                let more =
                    page.next.as_ref().map_or_else(String::new, |next| format!("more: --after {next}\n"));
                table(&rows.collect::<Vec<_>>()) + &more
            });
        }
        Verb::Cosign => {
            session.unlock().await?;
            let heads = app.run::<AuditCosign>(Nothing {}).await?;
            output.result(&heads, || {
                format!(
                    "{} entries of the backend's log cosigned; it cosigned {} of your vault's",
                    heads.backend, heads.vault
                )
            });
        }
        Verb::Export { file } => {
            session.unlock().await?;
            let done = app.run::<AuditExport>(AuditFile { file: file.display().to_string() }).await?;
            output.result(&done, || {
                format!(
                    "{}: {} entries of the backend, {} of your vault",
                    done.file, done.backend, done.vault
                )
            });
        }
        Verb::Verify { file } => {
            let verified = app.run::<AuditVerify>(AuditFile { file: file.display().to_string() }).await?;
            output.result(&verified, || describe(&verified));
        }
    }
    Ok(())
}

fn describe(verified: &VerifiedAudit) -> String {
    let mut text = String::new();
    for log in &verified.logs {
        let cosigned = log.cosigned.map_or_else(
            || "never cosigned".to_owned(),
            |(size, at)| format!("cosigned up to {size} at {at}"),
        );
        let key = if log.key_trusted { "" } else { " (its key is not one that this workspace knows)" };
        text.push_str(&format!(
            "{}: {} entries, whole, signed up to {}, {cosigned}{key}\n  root {}\n",
            log.name, log.size, log.signed, log.root
        ));
    }
    for proof in &verified.proofs {
        text.push_str(&format!(
            "{} {} {} at {}: entry {} of {} in {}\n  leaf {}\n",
            proof.kind, proof.action, proof.subject, proof.at, proof.entry, proof.size, proof.log, proof.leaf
        ));
        for hash in &proof.path {
            text.push_str(&format!("    with {hash}\n"));
        }
    }
    text
}
