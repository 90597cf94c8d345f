use std::path::PathBuf;

use app::{
    Error, ErrorCode,
    command::{
        ReleaseList, ReleasePropose, ReleasePublish, ReleasePublishPreview, ReleaseReview, ReleaseSeal,
        ReleaseShow, ReleaseWithdraw, ReleaseWithdrawPreview,
    },
    dto::{Commit, PageRequest, ProposeArtifact, ReleaseDetail, ReleaseName, ReviewRelease, SealRelease},
    model::{
        Component, HardwareRevision, InstallerName, ModelName, ReleaseId, RequestId, SecurityCounter, Version,
    },
    protocol::operator::Verdict,
};
use clap::Subcommand;

use crate::{Session, output::table, request};

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
    /// Sign a release with your targets key; with --request a file, without a network
    #[command(group = clap::ArgGroup::new("what").required(true))]
    Sign {
        /// Its id
        #[arg(group = "what")]
        release: Option<ReleaseId>,
        /// The request as a file
        #[arg(long, group = "what", requires = "out", value_name = "FILE")]
        request: Option<PathBuf>,
        /// Where the signature is written
        #[arg(long, requires = "request", value_name = "SIGNATURE")]
        out: Option<PathBuf>,
        /// Show the signature as a QR code too
        #[arg(long, requires = "request")]
        qr: bool,
    },
    /// Write the request for a release's signatures into a file
    Request {
        /// Its id
        release: ReleaseId,
        /// Where to
        #[arg(long)]
        out: PathBuf,
    },
    /// Bring back a signature that was made elsewhere
    AddSignature(request::AddSignature),
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
            let release =
                app.run::<ReleaseReview>(ReviewRelease { release, digest: None, verdict, comment }).await?;
            output.result(&release, || describe(&release));
        }
        Verb::Sign { release: Some(release), .. } => {
            request::sign(session, asked_for(session, release).await?).await?;
        }
        Verb::Sign { request, out, qr, .. } => {
            let (request, out) = (request.unwrap_or_default(), out.unwrap_or_default());
            request::sign_file(session, request::SignFile { request, out, qr }).await?;
        }
        Verb::Request { release, out } => {
            request::export(session, asked_for(session, release).await?, out).await?;
        }
        Verb::AddSignature(signature) => request::add_signature(session, signature).await?,
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

/// The request that is open for a release.
async fn asked_for(session: &Session<'_>, release: ReleaseId) -> Result<RequestId, Error> {
    let release = session.app.run::<ReleaseShow>(ReleaseName { release }).await?;
    release.request.map(|request| request.id).ok_or_else(|| {
        Error::new(ErrorCode::PreconditionFailed, "nobody is asked to sign this release")
            .hint("its author proposes it first")
    })
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
    if row.no_separation_of_duties {
        text.push_str("one person alone decides: no separation of duties\n");
    }
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
