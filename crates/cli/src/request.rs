use std::path::PathBuf;

use app::{
    Error,
    command::{
        RequestAddSignature, RequestClose, RequestExport, RequestList, RequestPublish, RequestRead,
        RequestRenew, RequestShow, RequestSign, RequestSignFile,
    },
    dto::{
        AddSignatureFile, ChangeKind, ExportRequest, Nothing, RequestFileName, RequestName, SignRequest,
        SignRequestFile, SignatureRequest, Statement,
    },
    model::{ReleaseId, RequestId},
    protocol::operator::{Purpose, RequestState},
};
use clap::Subcommand;

use crate::{Session, output::table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List requests for signatures
    List,
    /// Exactly what a signature would say, and who is awaited
    Show {
        /// Its id
        request: RequestId,
        /// Show the digest as a QR code too
        #[arg(long)]
        qr: bool,
    },
    /// Sign what is shown, with your own key
    Sign {
        /// Its id
        request: RequestId,
    },
    /// Write a request into a file, for a key holder without a network
    Export {
        /// Its id
        request: RequestId,
        /// Where to
        #[arg(long)]
        out: PathBuf,
    },
    /// Sign a request that came as a file; no network is needed
    SignFile(SignFile),
    /// Bring back a signature that was made elsewhere
    AddSignature(AddSignature),
    /// Put into force what enough have signed, where the last signature could not
    Publish {
        /// Its id
        request: RequestId,
    },
    /// Take a request back: nobody can sign it any more
    Close {
        /// Its id
        request: RequestId,
    },
    /// Ask for the targets metadata to be signed anew as it is, before it lapses
    Renew,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SignFile {
    /// The request
    pub(crate) request: PathBuf,
    /// Where the signature is written
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Show the signature as a QR code too
    #[arg(long)]
    pub(crate) qr: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddSignature {
    /// The file with the signature
    #[arg(required_unless_present = "text", conflicts_with = "text")]
    file: Option<PathBuf>,
    /// What the signature's QR code says
    #[arg(long)]
    text: Option<String>,
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::List => {
            let page = app.run::<RequestList>(Nothing {}).await?;
            output.result(&page, || {
                let heading = ["for", "state", "signatures", "author", "until", "request"];
                let mut rows = vec![heading.map(str::to_owned).to_vec()];
                rows.extend(page.rows.iter().map(|row| {
                    vec![
                        purpose(row.purpose),
                        state(row.state).to_owned(),
                        format!("{}/{}", row.signatures, row.threshold),
                        row.author.to_string(),
                        row.expires_at.to_string(),
                        row.id.to_string(),
                    ]
                }));
                table(&rows)
            });
        }
        Verb::Show { request, qr } => {
            let statement = app.run::<RequestShow>(RequestName { request }).await?;
            output.result(&statement, || describe(&statement, qr));
        }
        Verb::Sign { request } => sign(session, request, None).await?,
        Verb::Export { request, out } => export(session, request, out).await?,
        Verb::SignFile(file) => sign_file(session, file).await?,
        Verb::AddSignature(signature) => add_signature(session, signature).await?,
        Verb::Publish { request } => {
            let request = app.run::<RequestPublish>(RequestName { request }).await?;
            output.result(&request, || standing(&request));
        }
        Verb::Close { request } => {
            let request = app.run::<RequestClose>(RequestName { request }).await?;
            output.result(&request, || format!("{} is {}", request.id, state(request.state)));
        }
        Verb::Renew => {
            let request = app.run::<RequestRenew>(Nothing {}).await?;
            output.result(&request, || standing(&request));
        }
    }
    Ok(())
}

/// Shows what would be signed, unlocks, and signs exactly that; for a release, nothing but that release.
pub(crate) async fn sign(
    session: &Session<'_>,
    request: RequestId,
    release: Option<ReleaseId>,
) -> Result<(), Error> {
    let statement = session.app.run::<RequestShow>(RequestName { request }).await?;
    session.output.note(&describe(&statement, false));
    session.unlock().await?;
    let request = SignRequest { request, digest: statement.digest, release };
    let request = session.app.run::<RequestSign>(request).await?;
    session.output.result(&request, || standing(&request));
    Ok(())
}

pub(crate) async fn export(session: &Session<'_>, request: RequestId, out: PathBuf) -> Result<(), Error> {
    let request = ExportRequest { request, file: out.display().to_string() };
    let statement = session.app.run::<RequestExport>(request).await?;
    session.output.result(&statement, || describe(&statement, true));
    Ok(())
}

pub(crate) async fn sign_file(session: &Session<'_>, asked: SignFile) -> Result<(), Error> {
    let file = asked.request.display().to_string();
    let statement = session.app.run::<RequestRead>(RequestFileName { file: file.clone() }).await?;
    session.output.note(&describe(&statement, false));
    session.unlock().await?;
    let out = asked.out.display().to_string();
    let request = SignRequestFile { file, digest: statement.digest, out };
    let signature = session.app.run::<RequestSignFile>(request).await?;
    session.output.result(&signature, || {
        let mut text = format!("the signature is in `{}`\n{}\n", signature.file, signature.text);
        if asked.qr {
            text.push_str(&signature.qr_text);
        }
        text
    });
    Ok(())
}

pub(crate) async fn add_signature(session: &Session<'_>, signature: AddSignature) -> Result<(), Error> {
    let file = signature.file.map(|file| file.display().to_string());
    let signature = AddSignatureFile { file, text: signature.text };
    let request = session.app.run::<RequestAddSignature>(signature).await?;
    session.output.result(&request, || standing(&request));
    Ok(())
}

pub(crate) fn standing(request: &SignatureRequest) -> String {
    format!(
        "{}: {} of {} signatures, {}",
        request.id,
        request.signatures,
        request.threshold,
        state(request.state)
    )
}

/// Everything that a key holder should see before the vault is unlocked.
fn describe(statement: &Statement, qr: bool) -> String {
    let mut text = format!(
        "{}\n{} metadata version {}, {} bytes, asked for by {}\n",
        statement.request, statement.role, statement.version, statement.length_bytes, statement.author
    );
    if !statement.reason.is_empty() {
        text.push_str(&format!("  why: {}\n", statement.reason));
    }
    for change in &statement.changes {
        let sign = match change.kind {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
        };
        text.push_str(&format!("  {sign} {}\n", change.what));
        if let Some(digest) = change.digest {
            text.push_str(&format!("    sha256 {digest}\n"));
        }
    }
    text.push_str(&format!("  nothing else changes\ndigest {}\n", statement.digest));
    for row in statement.words.chunks(4).enumerate() {
        let (at, words) = row;
        let numbered = words.iter().enumerate().map(|(i, word)| format!("{} {word:<10}", at * 4 + i + 1));
        text.push_str(&format!("  {}\n", numbered.collect::<String>().trim_end()));
    }
    text.push_str(&format!(
        "{} of {} signatures; to be signed until {}\n",
        statement.signatures, statement.threshold, statement.expires_at
    ));
    for holder in &statement.key_holders {
        let name = holder.name.as_ref().map_or("nobody named", |name| name.as_str());
        let signed = if holder.signed { "signed" } else { "waiting" };
        let mine = if holder.mine { ", your key" } else { "" };
        text.push_str(&format!("  {signed:<8} {name}{mine}\n"));
    }
    if statement.no_separation_of_duties {
        text.push_str("one person alone decides: no separation of duties\n");
    }
    if qr {
        text.push_str(&statement.qr_text);
        text.push('\n');
    }
    text
}

fn purpose(purpose: Purpose) -> String {
    match purpose {
        Purpose::Release { release } => format!("release {release}"),
        Purpose::Withdrawal { release } => format!("withdrawal of {release}"),
        Purpose::Trust => "trusted keys".to_owned(),
        Purpose::Root => "root".to_owned(),
    }
}

const fn state(state: RequestState) -> &'static str {
    match state {
        RequestState::Open => "open",
        RequestState::Complete => "complete",
        RequestState::Published => "published",
        RequestState::Closed => "closed",
    }
}
