use std::path::PathBuf;

use app::{
    Error, ErrorCode,
    command::{
        ReleaseCheck, ReleaseList, ReleasePropose, ReleasePublish, ReleasePublishPreview, ReleaseRepropose,
        ReleaseReview, ReleaseSeal, ReleaseShow, ReleaseWithdraw, ReleaseWithdrawPreview,
    },
    dto::{
        Check, Commit, Outcome, PageRequest, ProposeArtifact, ProposeRelease, ReleaseDetail, ReleaseName,
        ReviewRelease, SealRelease, WithdrawRelease,
    },
    model::{
        Component, HardwareRevision, InstallerName, ModelName, ReleaseId, RequestId, Seconds,
        SecurityCounter, Version,
    },
    protocol::operator::{Purpose, Verdict},
    read_as,
};
use clap::Subcommand;

use crate::{
    Session,
    output::{of, table},
    request,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Propose a release: one file, or with --from several as a JSON file lists them
    #[command(group = clap::ArgGroup::new("files").required(true))]
    Propose {
        /// The file
        #[arg(group = "files", requires = "model")]
        file: Option<PathBuf>,
        /// A JSON file: `{"version", "notes", "artifacts": [{"file", "model", "hardware_revisions",
        /// "component", "version", "security_counter", "installer", "requires", "must_pass"}]}`
        #[arg(long, group = "files", conflicts_with_all = ["model", "release-version"], value_name = "FILE")]
        from: Option<PathBuf>,
        /// For which model
        #[arg(long)]
        model: Option<ModelName>,
        /// For which revisions of its hardware; once for each
        #[arg(long = "hardware-revision", default_value = "1")]
        hardware_revisions: Vec<HardwareRevision>,
        /// What it updates
        #[arg(long, default_value = "main")]
        component: Component,
        /// Its version (SemVer)
        #[arg(
            id = "release-version",
            long = "release-version",
            value_name = "VERSION",
            required_unless_present = "from"
        )]
        version: Option<Version>,
        /// Its security counter: devices never go below it again
        #[arg(long, default_value = "0")]
        security_counter: u32,
        /// Who writes it on the device: slots, rauc, swupdate, command or mcuboot
        #[arg(long, default_value = "slots")]
        installer: InstallerName,
        /// What another component must run at least: COMPONENT=VERSION
        #[arg(long = "requires", value_parser = requirement)]
        requires: Vec<(Component, Version)>,
        /// No device may jump over this release
        #[arg(long)]
        must_pass: bool,
        /// What changed
        #[arg(long, default_value = "")]
        notes: String,
        /// Put it down as a draft: nobody is asked to sign it yet
        #[arg(long)]
        draft: bool,
        /// How many days it may wait for signatures, up to 60 [default: 14]
        #[arg(long, value_name = "DAYS")]
        sign_within: Option<u32>,
        /// Only check it, and propose nothing
        #[arg(long)]
        check: bool,
    },
    /// Propose a release anew, on top of what is in force by now: a draft, or one that was overtaken
    Repropose {
        /// Its id
        release: ReleaseId,
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
        /// Though it is sealed: under a fresh content key, because devices with the key of before were stolen
        #[arg(long)]
        again: bool,
    },
    /// Publish a signed release. Nothing installs it before a rollout starts
    Publish {
        /// Its id
        release: ReleaseId,
    },
    /// Take a release back: no device installs it any more. Key holders then sign the withdrawal
    Withdraw {
        /// Its id
        release: ReleaseId,
        /// Why, for those who sign the withdrawal and for the audit trail
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::Propose {
            file,
            from,
            model,
            hardware_revisions,
            component,
            version,
            security_counter,
            installer,
            requires,
            must_pass,
            notes,
            draft,
            sign_within,
            check,
        } => {
            let mut request = match (from, file, model, version) {
                (Some(from), ..) => read_as::<ProposeRelease>(
                    &from,
                    "a list of a release's files (`release propose --help`)",
                )?,
                (None, Some(file), Some(model), Some(version)) => {
                    let artifact = ProposeArtifact {
                        file: file.display().to_string(),
                        model,
                        hardware_revisions,
                        component,
                        version: version.clone(),
                        security_counter: SecurityCounter(security_counter),
                        installer,
                        requires,
                        must_pass,
                    };
                    ProposeRelease {
                        version,
                        artifacts: vec![artifact],
                        notes,
                        draft: false,
                        sign_within: None,
                    }
                }
                _ => {
                    return Err(Error::new(
                        ErrorCode::InvalidRequest,
                        "say what is proposed: a file, its --model and its --release-version",
                    ));
                }
            };
            request.draft |= draft;
            if let Some(days) = sign_within {
                request.sign_within = Some(Seconds::days(days.into()));
            }
            if check {
                let checks = app.run::<ReleaseCheck>(request).await?;
                output.result(&checks, || describe_checks(&checks.checks));
                return Ok(());
            }
            if !output.is_json() {
                let checks = app.run::<ReleaseCheck>(request.clone()).await?;
                output.note(&describe_checks(&checks.checks));
            }
            let release = app.run::<ReleasePropose>(request).await?;
            output.result(&release, || describe(&release));
        }
        Verb::Repropose { release } => {
            let release = app.run::<ReleaseRepropose>(ReleaseName { release }).await?;
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
            request::sign(session, asked_for(session, release).await?, Some(release)).await?;
        }
        Verb::Sign { request, out, qr, .. } => {
            let (request, out) = (request.unwrap_or_default(), out.unwrap_or_default());
            request::sign_file(session, request::SignFile { request, out, qr }).await?;
        }
        Verb::Request { release, out } => {
            request::export(session, asked_for(session, release).await?, out).await?;
        }
        Verb::AddSignature(signature) => request::add_signature(session, signature).await?,
        Verb::Seal { release, file, again } => {
            session.unlock().await?;
            let before = app.run::<ReleaseShow>(ReleaseName { release }).await?.sealed.len();
            let request = SealRelease { release, file: file.display().to_string(), again };
            let release = app.run::<ReleaseSeal>(request).await?;
            output.result(&release, || describe(&release));
            if release.sealed.len() == before {
                output.note(
                    "it was sealed already, to the members of today: nothing was uploaded. Where a device with \
                     its key was stolen, repeat it with --again",
                );
            }
        }
        Verb::Publish { release } => {
            let request = ReleaseName { release };
            let preview = app.run::<ReleasePublishPreview>(request).await?;
            session.confirm(&preview)?;
            let release = app.run::<ReleasePublish>(Commit { request, token: preview.token }).await?;
            output.result(&release, || format!("{} is published", release.row.version));
        }
        Verb::Withdraw { release, reason } => {
            let preview = app.run::<ReleaseWithdrawPreview>(ReleaseName { release }).await?;
            session.confirm(&preview)?;
            let request = WithdrawRelease { release, reason };
            let release = app.run::<ReleaseWithdraw>(Commit { request, token: preview.token }).await?;
            output.result(&release, || format!("{} is {}", release.row.version, release.row.state.as_str()));
            match &release.request {
                Some(request)
                    if matches!(request.purpose, Purpose::Withdrawal { .. })
                        && release.row.signatures < release.row.threshold =>
                {
                    output.note(&format!(
                        "no rollout offers it any more; devices learn of it once {} sign: \
                     `fleetseal release sign {}`, or `fleetseal request list` ({})",
                        of(release.row.threshold, "key holder"),
                        release.row.id,
                        request.id,
                    ));
                }
                _ => {}
            }
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
        let verdict = match review.verdict {
            Verdict::Approve => "approved",
            Verdict::RequestChanges => "changes asked for",
        };
        text.push_str(&format!("  {verdict} by {}: {}\n", review.by, review.comment));
    }
    for sealed in &release.sealed {
        text.push_str(&format!("  sealed as {}, {} bytes\n", sealed.id, sealed.ciphertext_bytes));
    }
    text
}

fn describe_checks(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let sign = match check.outcome {
            Outcome::Passed => "ok",
            Outcome::Warned => "look",
            Outcome::Failed => "no",
        };
        text.push_str(&format!("  {sign:<5}{}: {}", check.target, check.message));
        if !check.detail.is_empty() {
            text.push_str(&format!(" ({})", check.detail));
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

fn requirement(text: &str) -> Result<(Component, Version), String> {
    let (component, version) = text.split_once('=').ok_or("expected COMPONENT=VERSION")?;
    Ok((
        component.parse().map_err(|error| format!("{error}"))?,
        version.parse().map_err(|error| format!("{error}"))?,
    ))
}
