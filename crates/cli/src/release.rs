use std::path::PathBuf;

use app::{
    Error,
    command::{
        ReleaseList, ReleasePropose, ReleasePublish, ReleasePublishPreview, ReleaseReview, ReleaseSeal,
        ReleaseShow, ReleaseSign, ReleaseWithdraw, ReleaseWithdrawPreview,
    },
    dto::{Commit, PageRequest, ProposeArtifact, ReleaseDetail, ReleaseName, ReviewRelease, SealRelease},
    model::{Component, HardwareRevision, InstallerName, ModelName, ReleaseId, SecurityCounter, Version},
    protocol::operator::Verdict,
};
use clap::Subcommand;

use crate::{Session, output::table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Propose a release that consists of one file
    Propose {
        /// The file
        file: PathBuf,
        /// For which model
        #[arg(long)]
        model: ModelName,
        /// For which revisions of its hardware; once for each
        #[arg(long = "hardware-revision", default_value = "1")]
        hardware_revisions: Vec<HardwareRevision>,
        /// What it updates
        #[arg(long, default_value = "main")]
        component: Component,
        /// Its version (SemVer)
        #[arg(id = "release-version", long = "release-version", value_name = "VERSION")]
        version: Version,
        /// Its security counter: devices never go below it again
        #[arg(long, default_value = "0")]
        security_counter: u32,
        /// Who writes it on the device: slots, rauc, swupdate, command or mcuboot
        #[arg(long, default_value = "slots")]
        installer: InstallerName,
        /// What another component must run at least: COMPONENT=VERSION
        #[arg(long = "requires", value_parser = requirement)]
        requires: Vec<(Component, Version)>,
        /// What changed
        #[arg(long, default_value = "")]
        notes: String,
    },
    /// List releases
    List,
    /// One release: what it holds, who signed, what is missing
    Show {
        /// Its id
        release: ReleaseId,
    },
    /// Approve a release, or ask for changes. Advice: only signatures authorise
    Review {
        /// Its id
        release: ReleaseId,
        /// Ask for changes, with a comment
        #[arg(long, requires = "comment")]
        request_changes: bool,
        /// What you found
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Sign a release with your targets key
    Sign {
        /// Its id
        release: ReleaseId,
    },
    /// Encrypt a release's file once, and upload the ciphertext
    Seal {
        /// Its id
        release: ReleaseId,
        /// The file that was proposed
        file: PathBuf,
    },
    /// Publish a signed release. Nothing installs it before a rollout starts
    Publish {
        /// Its id
        release: ReleaseId,
    },
    /// Take a release back: no device installs it any more
    Withdraw {
        /// Its id
        release: ReleaseId,
    },
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::Propose {
            file,
            model,
            hardware_revisions,
            component,
            version,
            security_counter,
            installer,
            requires,
            notes,
        } => {
            let request = ProposeArtifact {
                file: file.display().to_string(),
                model,
                hardware_revisions,
                component,
                version,
                security_counter: SecurityCounter(security_counter),
                installer,
                requires,
                notes,
            };
            let release = app.run::<ReleasePropose>(request).await?;
            output.result(&release, || describe(&release));
        }
        Verb::List => {
            let page = app.run::<ReleaseList>(PageRequest::default()).await?;
            output.result(&page, || {
                let mut rows = vec![
                    ["version", "state", "signatures", "author", "changed", "release"]
                        .map(str::to_owned)
                        .to_vec(),
                ];
                rows.extend(page.rows.iter().map(|row| {
                    vec![
                        row.version.to_string(),
                        row.state.as_str().to_owned(),
                        format!("{}/{}", row.signatures, row.threshold),
                        row.author.to_string(),
                        row.changed_at.to_string(),
                        row.id.to_string(),
                    ]
                }));
                table(&rows)
            });
        }
        Verb::Show { release } => {
            let release = app.run::<ReleaseShow>(ReleaseName { release }).await?;
            output.result(&release, || describe(&release));
        }
        Verb::Review { release, request_changes, comment } => {
            let verdict = if request_changes { Verdict::RequestChanges } else { Verdict::Approve };
            let release = app.run::<ReleaseReview>(ReviewRelease { release, verdict, comment }).await?;
            output.result(&release, || describe(&release));
        }
        Verb::Sign { release } => {
            let before = app.run::<ReleaseShow>(ReleaseName { release }).await?;
            output.note(&describe(&before));
            session.unlock().await?;
            let release = app.run::<ReleaseSign>(ReleaseName { release }).await?;
            output.result(&release, || {
                format!("signed: {} of {} signatures", release.row.signatures, release.row.threshold)
            });
        }
        Verb::Seal { release, file } => {
            session.unlock().await?;
            let request = SealRelease { release, file: file.display().to_string() };
            let release = app.run::<ReleaseSeal>(request).await?;
            output.result(&release, || describe(&release));
        }
        Verb::Publish { release } => {
            let request = ReleaseName { release };
            let preview = app.run::<ReleasePublishPreview>(request).await?;
            session.confirm(&preview)?;
            let release = app.run::<ReleasePublish>(Commit { request, token: preview.token }).await?;
            output.result(&release, || format!("{} is published", release.row.version));
        }
        Verb::Withdraw { release } => {
            session.unlock().await?;
            let request = ReleaseName { release };
            let preview = app.run::<ReleaseWithdrawPreview>(request).await?;
            session.confirm(&preview)?;
            let release = app.run::<ReleaseWithdraw>(Commit { request, token: preview.token }).await?;
            output.result(&release, || format!("{} is {}", release.row.version, release.row.state.as_str()));
        }
    }
    Ok(())
}

fn describe(release: &ReleaseDetail) -> String {
    let row = &release.row;
    let mut text = format!(
        "{}\nversion {}, {}, by {}, signatures {}/{}\n",
        row.id,
        row.version,
        row.state.as_str(),
        row.author,
        row.signatures,
        row.threshold,
    );
    for artifact in &release.artifacts {
        text.push_str(&format!(
            "  {} for {} ({}), counter {}, {} bytes\n  sha256 {}\n",
            artifact.target,
            artifact.model,
            artifact.component,
            artifact.security_counter,
            artifact.length,
            artifact.digest,
        ));
    }
    for signature in &release.signed_by {
        text.push_str(&format!("  signed by {} at {}\n", signature.by, signature.at));
    }
    for review in &release.reviews {
        text.push_str(&format!("  {:?} by {}: {}\n", review.verdict, review.by, review.comment));
    }
    for sealed in &release.sealed {
        text.push_str(&format!("  sealed as {}, {} bytes\n", sealed.id, sealed.ciphertext_bytes));
    }
    text
}

fn requirement(text: &str) -> Result<(Component, Version), String> {
    let (component, version) = text.split_once('=').ok_or("expected COMPONENT=VERSION")?;
    Ok((
        component.parse().map_err(|error| format!("{error}"))?,
        version.parse().map_err(|error| format!("{error}"))?,
    ))
}
