//! Releases: proposed as the whole next targets metadata, checked and signed by key holders, sealed
//! once, published, withdrawn.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read as _, Seek as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use envelope::{
    ContentKey, KemPublicKey, SealedArtifact, Sha256, SystemRandom, sha256,
    tuf::{Signed, Targets},
};
use model::{ArtifactId, Digest, ModelName};
use protocol::{
    Base64, ErrorCode,
    operator::{
        self, ArtifactUpload, DeviceRow, DeviceState, Page, PageRequest, PostReview, ReleaseDetail,
        ReleaseRow, RolloutRow, UploadSealed, Verdict, path,
    },
};
use vault::KeyRole;

use crate::{
    App, Error,
    command::{
        Handle, ReleaseList, ReleasePublish, ReleasePublishPreview, ReleaseReview, ReleaseSeal, ReleaseShow,
        ReleaseWithdraw, ReleaseWithdrawPreview,
    },
    desk::Session,
    device::Query,
    dto::{Commit, Effect, ListDevices, Preview, ReleaseName, ReviewRelease, SealRelease, WithdrawRelease},
    pages::Cursor,
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
        if !request.again && !release.sealed.is_empty() {
            let path = PathBuf::from(&request.file);
            let digest = blocking(move || {
                let failed = |source: std::io::Error| Error::file("read", &path, &source);
                hash_file(&mut File::open(&path).map_err(failed)?)
            });
            if self.is_sealed(&release, digest.await?, &trust) {
                return Ok(release);
            }
        }
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
        if !release.artifacts.iter().any(|artifact| artifact.digest == plaintext) {
            let proposed: Vec<_> =
                release.artifacts.iter().map(|artifact| artifact.digest.to_string()).collect();
            return Err(Error::new(
                ErrorCode::InvalidArtifact,
                format!("`{}` is not what was proposed", request.file),
            )
            .detail(format!("its SHA-256 is {plaintext}, and {} was proposed", proposed.join(" or ")))
            .hint("name the file that was proposed, or propose this one with `fleetseal release propose`"));
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
        let mut effects = Vec::new();
        let models: BTreeSet<_> = release.artifacts.iter().map(|artifact| &artifact.model).collect();
        for model in models {
            let devices = self.devices_of(model).await?;
            effects.push(effect(
                &format!("devices of {model} see it; none installs it until a rollout starts"),
                devices,
            ));
        }
        effects.push(effect("artifacts become installable", release.artifacts.len() as u64));
        effects.push(effect("the version that the targets metadata becomes", release.targets_version));
        effects.push(effect("of the signatures that it takes are there", release.row.signatures.into()));
        let world = (release.row.state, release.targets_version, release.row.signatures);
        Ok(Preview {
            type_to_confirm: Some(release.row.version.to_string()),
            ..preview(
                format!("publish {}, with a new snapshot and timestamp", release.row.version),
                effects,
                &world,
            )
        })
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
        let session = self.session().await?;
        let release: ReleaseDetail = session.client.get(&path::release(request.release)).await?;
        let rollouts: Vec<RolloutRow> = self.all_pages(path::ROLLOUTS).await?;
        let open = rollouts.iter().filter(|row| row.release == request.release && !row.state.ended());
        let threshold = u64::from(release.row.threshold);
        let effects = vec![
            effect("artifacts are taken out of the metadata", release.artifacts.len() as u64),
            effect("rollouts stop offering it at once", open.count() as u64),
            effect("key holders must sign before devices learn of it", threshold),
        ];
        Ok(Preview {
            type_to_confirm: Some(release.row.version.to_string()),
            ..preview(
                format!("withdraw {}: no device begins to install it any more", release.row.version),
                effects,
                &(release.row.state, release.targets_version),
            )
        })
    }
}

impl Handle<ReleaseWithdraw> for App {
    async fn handle(&self, request: Commit<WithdrawRelease>) -> Result<ReleaseDetail, Error> {
        let WithdrawRelease { release: id, reason } = request.request;
        if reason.trim().is_empty() {
            return Err(Error::new(ErrorCode::InvalidRequest, "say why the release is taken back")
                .hint("those who sign the withdrawal read it, and it stays in the audit trail"));
        }
        let now = Handle::<ReleaseWithdrawPreview>::handle(self, ReleaseName { release: id }).await?;
        expect_same(&now, &request.token)?;
        let session = self.session().await?;
        let trust = self.trust().await?;
        let release: ReleaseDetail = session.client.get(&path::release(id)).await?;
        let mut targets = current(&trust)?.next(self.now());
        for artifact in &release.artifacts {
            targets.targets.remove(&artifact.target);
        }
        let signed = Signed::new(targets).map_err(untrusted)?;
        let withdrawal =
            operator::WithdrawRelease { targets: Base64(signed.signing_bytes().to_vec()), reason };
        session.client.post(&path::withdraw(id), &withdrawal).await
    }
}

impl App {
    /// Whether this artifact is sealed to exactly the members of today, by a key that is trusted.
    fn is_sealed(&self, release: &ReleaseDetail, artifact: Digest, trust: &Trust) -> bool {
        let (now, keys) = (self.now(), &trust.keys);
        let Some(proposed) = release.artifacts.iter().find(|proposed| proposed.digest == artifact) else {
            return false;
        };
        let members: BTreeSet<_> = keys.members(now).map(KemPublicKey::id).collect();
        release.sealed.iter().any(|sealed| {
            SealedArtifact::verify(&sealed.record, &proposed.model, keys, now).is_ok_and(|record| {
                record.artifact == artifact && record.recipients().collect::<BTreeSet<_>>() == members
            })
        })
    }

    /// How many devices of this model are active, as the backend reports.
    async fn devices_of(&self, model: &ModelName) -> Result<u64, Error> {
        let session = self.session().await?;
        let mut list = ListDevices::default();
        list.filter.model = Some(model.clone());
        list.page.limit = Some(500);
        let mut count = 0;
        let mut cursor = Cursor::default();
        loop {
            list.page.after = cursor.after();
            let page: Page<DeviceRow> =
                session.client.query(path::DEVICES, &Query::from(list.clone())).await?;
            count += page.rows.iter().filter(|row| row.state == DeviceState::Active).count() as u64;
            if !cursor.advance(page.next)? {
                return Ok(count);
            }
        }
    }
}

/// The targets metadata in force.
pub(crate) fn current(trust: &Trust) -> Result<&Targets, Error> {
    let targets = trust.state.targets();
    targets
        .map(Signed::signed)
        .ok_or_else(|| Error::new(ErrorCode::PreconditionFailed, "the fleet has no targets metadata yet"))
}

/// The SHA-256 of all of a file, which is at its start again afterwards.
pub(crate) fn hash_file(file: &mut File) -> Result<Digest, Error> {
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
        if !next.complete && !(offset + 1..=length).contains(&next.stored_bytes) {
            return Err(Error::new(ErrorCode::Untrusted, "the backend does not keep what it is sent"));
        }
        state = next;
    }
    Ok(())
}

/// A preview whose token is the digest of what it depends on.
pub(crate) fn preview(summary: String, effects: Vec<Effect>, world: &impl serde::Serialize) -> Preview {
    let world = serde_json::to_vec(&(&summary, &effects, world)).unwrap_or_default();
    Preview { summary, effects, type_to_confirm: None, token: sha256(&world).to_string() }
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
