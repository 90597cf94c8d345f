//! Releases: proposed as the whole next targets metadata, checked and signed by key holders, sealed
//! once, published, withdrawn.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _},
    path::Path,
};

use bytes::Bytes;
use envelope::{
    ContentKey, SealedArtifact, Sha256, SystemRandom,
    request::{Checked, Proposed},
    sha256,
    tuf::{Hashes, Signed, TargetCustom, TargetFile, Targets},
};
use model::{ArtifactId, Digest, ReleaseId, TargetName};
use protocol::{
    Base64, ErrorCode,
    operator::{
        ArtifactUpload, Page, PageRequest, PostReview, ProposeRelease, Purpose, ReleaseArtifact,
        ReleaseDetail, ReleaseRow, UploadSealed, Verdict, WithdrawRelease, path,
    },
};
use vault::KeyRole;

use crate::{
    App, Error,
    command::{
        Handle, ReleaseList, ReleasePropose, ReleasePublish, ReleasePublishPreview, ReleaseReview,
        ReleaseSeal, ReleaseShow, ReleaseWithdraw, ReleaseWithdrawPreview,
    },
    desk::Session,
    dto::{Commit, Effect, Preview, ProposeArtifact, ReleaseName, ReviewRelease, SealRelease},
    sealing::{SealedFile, seal_file},
    trust::{Trust, untrusted},
    vaults::blocking,
};

/// How much of a ciphertext one request carries.
const UPLOAD_BYTES: usize = 4 << 20;
impl Handle<ReleaseList> for App {
    async fn handle(&self, request: PageRequest) -> Result<Page<ReleaseRow>, Error> {
        self.session().await?.client.query(path::RELEASES, &request).await
    }
}

impl Handle<ReleaseShow> for App {
    async fn handle(&self, request: ReleaseName) -> Result<ReleaseDetail, Error> {
        self.session().await?.client.get(&path::release(request.release)).await
    }
}

impl Handle<ReleasePropose> for App {
    async fn handle(&self, request: ProposeArtifact) -> Result<ReleaseDetail, Error> {
        let session = self.session().await?;
        let trust = self.trust().await?;
        let file = request.file.clone();
        let (digest, length) = blocking(move || inspect(Path::new(&file))).await?;
        let id = ReleaseId::random(&mut SystemRandom);
        let target = target_name(&request)?;
        let artifact = ReleaseArtifact {
            target: target.clone(),
            digest,
            length,
            model: request.model,
            hardware_revisions: request.hardware_revisions,
            component: request.component,
            version: request.version.clone(),
            security_counter: request.security_counter,
            installer: request.installer,
        };
        let requires = request.requires.into_iter().collect();
        let mut targets = current(&trust)?.next(self.now());
        let file = target_file(&artifact, id, requires);
        check_rises(&targets, &target, file.custom.as_ref().expect("an artifact says what it is for"))?;
        targets.targets.insert(target, file);
        let signed = Signed::new(targets).map_err(untrusted)?;
        let proposal = ProposeRelease {
            id,
            version: request.version,
            notes: request.notes,
            artifacts: vec![artifact],
            targets: Base64(signed.signing_bytes().to_vec()),
            expires_at: None,
            draft: false,
        };
        session.client.post(path::RELEASES, &proposal).await
    }
}

impl Handle<ReleaseReview> for App {
    async fn handle(&self, request: ReviewRelease) -> Result<ReleaseDetail, Error> {
        if request.verdict == Verdict::RequestChanges && request.comment.trim().is_empty() {
            return Err(Error::new(ErrorCode::InvalidRequest, "say what has to change, in the comment"));
        }
        let client = &self.session().await?.client;
        let release: ReleaseDetail = client.get(&path::release(request.release)).await?;
        let review = PostReview {
            digest: request.digest.unwrap_or_else(|| sha256(&release.targets)),
            verdict: request.verdict,
            comment: request.comment,
        };
        client.post(&path::reviews(request.release), &review).await
    }
}

impl Handle<ReleaseSeal> for App {
    async fn handle(&self, request: SealRelease) -> Result<ReleaseDetail, Error> {
        let session = self.session().await?;
        let vault = self.unlocked()?;
        let trust = self.trust().await?;
        let release: ReleaseDetail = session.client.get(&path::release(request.release)).await?;
        let [artifact] = release.artifacts.as_slice() else {
            return Err(Error::new(
                ErrorCode::InvalidRequest,
                "the release does not consist of one artifact",
            ));
        };
        let key = ContentKey::generate(&mut SystemRandom);
        let dir = self.workspace().dir().to_owned();
        let file = request.file.clone();
        let (key, sealed, ciphertext, digest) = blocking(move || {
            let mut ciphertext = tempfile_in(&dir)?;
            let sealed = seal_file(Path::new(&file), &ciphertext, &key, &mut SystemRandom)?;
            let digest = hash_file(&mut ciphertext)?;
            Ok((key, sealed, ciphertext, digest))
        })
        .await?;
        let SealedFile { plaintext, header, segments } = sealed;
        if plaintext != artifact.digest {
            return Err(Error::new(
                ErrorCode::InvalidArtifact,
                format!("`{}` is not what was proposed", request.file),
            )
            .detail(format!("its SHA-256 is {plaintext}, the release's is {}", artifact.digest)));
        }
        let now = self.now();
        let record =
            SealedArtifact::new(plaintext, header.encode(), segments.digest(), &key, &trust.keys, now)?;
        let intent = vault.intent("release.seal", &request.release.to_string(), &plaintext.to_string(), now);
        let record = record.sign(&vault.signer(vault.key(KeyRole::Seal)?.id, intent)?)?;
        upload(&session, ciphertext, header.layout().ciphertext_len(), digest).await?;
        let upload = UploadSealed {
            id: ArtifactId::random(&mut SystemRandom),
            record: Base64(record),
            ciphertext: digest,
            segments: Base64(segments.encode()),
        };
        session.client.post(&path::sealed(request.release), &upload).await
    }
}

impl Handle<ReleasePublishPreview> for App {
    async fn handle(&self, request: ReleaseName) -> Result<Preview, Error> {
        let release: ReleaseDetail =
            self.session().await?.client.get(&path::release(request.release)).await?;
        let devices = self.summary().await?.devices.active;
        Ok(preview(
            format!("publish {} as targets version {}", release.row.version, release.targets_version),
            vec![
                effect("devices see it, and none installs it until a rollout starts", devices.into()),
                effect("artifacts become installable", release.artifacts.len() as u64),
            ],
            &(release.row.state, release.targets_version, release.row.signatures),
        ))
    }
}

impl Handle<ReleasePublish> for App {
    async fn handle(&self, request: Commit<ReleaseName>) -> Result<ReleaseDetail, Error> {
        let now = Handle::<ReleasePublishPreview>::handle(self, request.request).await?;
        expect_same(&now, &request.token)?;
        self.session().await?.client.post(&path::publish(request.request.release), &()).await
    }
}

impl Handle<ReleaseWithdrawPreview> for App {
    async fn handle(&self, request: ReleaseName) -> Result<Preview, Error> {
        let release: ReleaseDetail =
            self.session().await?.client.get(&path::release(request.release)).await?;
        Ok(preview(
            format!(
                "withdraw {}: nothing offers it any more, and no device begins to install it",
                release.row.version
            ),
            vec![effect("artifacts are taken out of the metadata", release.artifacts.len() as u64)],
            &(release.row.state, release.targets_version),
        ))
    }
}

impl Handle<ReleaseWithdraw> for App {
    async fn handle(&self, request: Commit<ReleaseName>) -> Result<ReleaseDetail, Error> {
        let now = Handle::<ReleaseWithdrawPreview>::handle(self, request.request).await?;
        expect_same(&now, &request.token)?;
        let id = request.request.release;
        let session = self.session().await?;
        let trust = self.trust().await?;
        let release: ReleaseDetail = session.client.get(&path::release(id)).await?;
        let mut targets = current(&trust)?.next(self.now());
        for artifact in &release.artifacts {
            targets.targets.remove(&artifact.target);
        }
        let signed = Signed::new(targets).map_err(untrusted)?;
        let withdrawal =
            WithdrawRelease { targets: Base64(signed.signing_bytes().to_vec()), reason: String::new() };
        let withdrawn: ReleaseDetail = session.client.post(&path::withdraw(id), &withdrawal).await?;
        Ok(withdrawn)
    }
}

/// The targets metadata in force.
pub(crate) fn current(trust: &Trust) -> Result<&Targets, Error> {
    let targets = trust.state.targets();
    targets
        .map(Signed::signed)
        .ok_or_else(|| Error::new(ErrorCode::PreconditionFailed, "the fleet has no targets metadata yet"))
}

/// A request says what it is for: a release adds its own artifacts, which rise above what is out, and a
/// withdrawal takes its own away. Whatever else a backend slipped in is refused here.
pub(crate) fn check_purpose(purpose: Purpose, checked: &Checked) -> Result<(), Error> {
    let refused = |why: &str| {
        Error::new(ErrorCode::InvalidMetadata, "the request is not what it says it is").detail(why.to_owned())
    };
    let (release, adds) = match purpose {
        Purpose::Release { release } => (release, true),
        Purpose::Withdrawal { release } => (release, false),
        Purpose::Trust => {
            let targets = matches!(checked.proposed, Proposed::Targets(_));
            return if targets { Ok(()) } else { Err(refused("it would change the root")) };
        }
        Purpose::Root => {
            let root = matches!(checked.proposed, Proposed::Root(_));
            return if root { Ok(()) } else { Err(refused("it would change no root")) };
        }
    };
    let Proposed::Targets(next) = &checked.proposed else {
        return Err(refused("it would change the root"));
    };
    let (now, next) = (checked.targets.signed(), next.signed());
    let (more, fewer) = if adds { (next, now) } else { (now, next) };
    if fewer.targets.iter().any(|(name, file)| more.targets.get(name) != Some(file)) {
        return Err(refused("it changes targets that are not part of this release"));
    }
    for (name, file) in more.targets.iter().filter(|(name, _)| !fewer.targets.contains_key(*name)) {
        let Some(custom) = file.custom.as_ref().filter(|custom| custom.release == release) else {
            return Err(refused("it changes targets that are not part of this release"));
        };
        if adds {
            check_rises(now, name, custom)?;
        }
    }
    Ok(())
}

/// Version and security counter must not fall behind what is already out for this model and component.
fn check_rises(targets: &Targets, name: &TargetName, custom: &TargetCustom) -> Result<(), Error> {
    let others = targets.targets.iter().filter(|(other, _)| *other != name).filter_map(|(_, file)| {
        file.custom
            .as_ref()
            .filter(|other| other.model == custom.model && other.component == custom.component)
    });
    for other in others {
        if other.version >= custom.version {
            return Err(Error::new(ErrorCode::InvalidArtifact, "the version does not rise")
                .detail(format!("{} {} is out already", other.component, other.version))
                .hint("devices never go back: to undo a release, release its predecessor under a higher version"));
        }
        if other.security_counter > custom.security_counter {
            return Err(Error::new(ErrorCode::InvalidArtifact, "the security counter falls")
                .detail(format!("{} has counter {}", other.version, other.security_counter)));
        }
    }
    Ok(())
}

fn target_file(
    artifact: &ReleaseArtifact,
    release: ReleaseId,
    requires: BTreeMap<model::Component, model::Version>,
) -> TargetFile {
    TargetFile {
        length: artifact.length,
        hashes: Hashes { sha256: artifact.digest },
        custom: Some(TargetCustom {
            model: artifact.model.clone(),
            hardware_revisions: artifact.hardware_revisions.clone(),
            component: artifact.component.clone(),
            version: artifact.version.clone(),
            security_counter: artifact.security_counter,
            installer: artifact.installer.clone(),
            release,
            requires,
        }),
    }
}

fn target_name(request: &ProposeArtifact) -> Result<TargetName, Error> {
    format!("{}/{}/{}", request.model, request.component, request.version)
        .parse()
        .map_err(|source| Error::because(ErrorCode::InvalidRequest, "the target cannot be named", source))
}

/// Digest and length of a file to be released, after a look at what it is.
fn inspect(path: &Path) -> Result<(Digest, u64), Error> {
    let failed = |source: std::io::Error| Error::file("read", path, &source);
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length == 0 {
        return Err(Error::new(ErrorCode::InvalidArtifact, format!("`{}` is empty", path.display())));
    }
    Ok((hash_file(&mut file).map_err(|error| error.detail(path.display().to_string()))?, length))
}

fn hash_file(file: &mut File) -> Result<Digest, Error> {
    let failed = |source: std::io::Error| Error::internal("a file could not be read", source);
    file.rewind().map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    file.rewind().map_err(failed)?;
    Ok(hash.finish())
}

/// A file without a name: it is gone when it is closed, also after a crash.
fn tempfile_in(dir: &Path) -> Result<File, Error> {
    tempfile::tempfile_in(dir).map_err(|source| Error::file("write in", dir, &source))
}

/// Sends what the backend does not have yet.
async fn upload(session: &Session, file: File, length: u64, digest: Digest) -> Result<(), Error> {
    let path = path::blob(digest);
    let mut state: ArtifactUpload = session.client.put_range(&path, Bytes::new(), 0, length).await?;
    let file = std::sync::Arc::new(file);
    while !state.complete {
        let offset = state.stored_bytes;
        let part = std::sync::Arc::clone(&file);
        let bytes = blocking(move || {
            use std::os::unix::fs::FileExt as _;
            let rest = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; rest.min(UPLOAD_BYTES)];
            part.read_exact_at(&mut bytes, offset)
                .map_err(|source| Error::internal("the ciphertext could not be read back", source))?;
            Ok(Bytes::from(bytes))
        })
        .await?;
        let next: ArtifactUpload = session.client.put_range(&path, bytes, offset, length).await?;
        if !next.complete && next.stored_bytes <= offset {
            return Err(Error::new(ErrorCode::Untrusted, "the backend does not keep what it is sent"));
        }
        state = next;
    }
    Ok(())
}

/// A preview whose token is the digest of what it depends on.
pub(crate) fn preview(summary: String, effects: Vec<Effect>, world: &impl serde::Serialize) -> Preview {
    let world = serde_json::to_vec(&(&summary, &effects, world)).unwrap_or_default();
    Preview { summary, effects, token: sha256(&world).to_string() }
}

pub(crate) fn effect(effect: &str, count: u64) -> Effect {
    Effect { effect: effect.to_owned(), count }
}

pub(crate) fn expect_same(now: &Preview, token: &str) -> Result<(), Error> {
    if now.token == token {
        return Ok(());
    }
    Err(Error::new(ErrorCode::PreviewStale, "things have changed since the preview")
        .detail(now.summary.clone())
        .hint("look at the new preview, then decide again"))
}
