//! Proposing a release: its files are hashed, looked into and checked, and become the next targets
//! metadata.

use std::path::Path;

use backend::{target_custom, target_file};
use envelope::{SystemRandom, tuf::Signed};
use model::{Component, ReleaseId, TargetName};
use protocol::{
    Base64, ErrorCode,
    operator::{
        DeviceModel, DeviceRow, Page, ProposeRelease as Proposal, ReleaseArtifact, ReleaseDetail, path,
    },
};

use crate::{
    App, Error,
    check::{Inspected, Known, check, failure},
    command::{Handle, ModelList, ModelPut, ReleaseCheck, ReleasePropose, ReleaseRepropose},
    device::Query,
    dto::{Check, Checks, ListDevices, Nothing, ProposeArtifact, ProposeRelease, ReleaseName},
    release::current,
    trust::untrusted,
    vaults::blocking,
};

impl Handle<ModelList> for App {
    async fn handle(&self, _: Nothing) -> Result<Page<DeviceModel>, Error> {
        Ok(Page { rows: self.session().await?.client.get(path::MODELS).await?, next: None })
    }
}

impl Handle<ModelPut> for App {
    async fn handle(&self, model: DeviceModel) -> Result<DeviceModel, Error> {
        self.session().await?.client.put(path::MODELS, &model).await
    }
}

impl Handle<ReleaseCheck> for App {
    async fn handle(&self, request: ProposeRelease) -> Result<Checks, Error> {
        let (artifacts, files) = read(&request).await?;
        let checks = self.checks(ReleaseId::random(&mut SystemRandom), &artifacts, &files).await?;
        Ok(Checks { artifacts, checks })
    }
}

impl Handle<ReleasePropose> for App {
    async fn handle(&self, request: ProposeRelease) -> Result<ReleaseDetail, Error> {
        let id = ReleaseId::random(&mut SystemRandom);
        let (artifacts, files) = read(&request).await?;
        failure(&self.checks(id, &artifacts, &files).await?)?;
        let ProposeRelease { version, notes, draft, sign_within, .. } = request;
        let expires_at = sign_within.map(|wait| self.now() + wait);
        self.propose(Proposal {
            id,
            version,
            notes,
            artifacts,
            targets: Base64(Vec::new()),
            expires_at,
            draft,
        })
        .await
    }
}

impl Handle<ReleaseRepropose> for App {
    async fn handle(&self, request: ReleaseName) -> Result<ReleaseDetail, Error> {
        let release: ReleaseDetail =
            self.session().await?.client.get(&path::release(request.release)).await?;
        let trust = self.trust().await?;
        for artifact in &release.artifacts {
            crate::check::rises(
                current(&trust)?,
                &artifact.target,
                &target_custom(artifact, release.row.id),
            )?;
        }
        self.propose(Proposal {
            id: release.row.id,
            version: release.row.version,
            notes: release.notes,
            artifacts: release.artifacts,
            targets: Base64(Vec::new()),
            expires_at: None,
            draft: false,
        })
        .await
    }
}

impl App {
    /// Hands in a proposal on top of the targets in force.
    async fn propose(&self, mut proposal: Proposal) -> Result<ReleaseDetail, Error> {
        let session = self.session().await?;
        let trust = self.trust().await?;
        let mut targets = current(&trust)?.next(self.now());
        for artifact in &proposal.artifacts {
            targets.targets.insert(artifact.target.clone(), target_file(artifact, proposal.id));
        }
        let signed = Signed::new(targets).map_err(untrusted)?;
        proposal.targets = Base64(signed.signing_bytes().to_vec());
        session.client.post(path::RELEASES, &proposal).await
    }

    async fn checks(
        &self,
        release: ReleaseId,
        artifacts: &[ReleaseArtifact],
        files: &[Inspected],
    ) -> Result<Vec<Check>, Error> {
        let session = self.session().await?;
        let trust = self.trust().await?;
        let models: Vec<DeviceModel> = session.client.get(path::MODELS).await?;
        let mut checks = Vec::new();
        for (artifact, file) in artifacts.iter().zip(files) {
            let mut one = ListDevices::default();
            one.filter.model = Some(artifact.model.clone());
            one.page.limit = Some(1);
            let found: Page<DeviceRow> = session.client.query(path::DEVICES, &Query::from(one)).await?;
            let known = Known {
                targets: current(&trust)?,
                declared: models.iter().find(|model| model.model == artifact.model),
                enrolled: !found.rows.is_empty(),
            };
            let custom = target_custom(artifact, release);
            checks.extend(check(artifact, &custom, file, &known));
        }
        Ok(checks)
    }
}

/// Reads the files of a proposal, and names their targets.
async fn read(request: &ProposeRelease) -> Result<(Vec<ReleaseArtifact>, Vec<Inspected>), Error> {
    if request.artifacts.is_empty() {
        return Err(Error::new(ErrorCode::InvalidRequest, "a release holds at least one artifact"));
    }
    let (mut artifacts, mut files) = (Vec::<ReleaseArtifact>::new(), Vec::new());
    for asked in &request.artifacts {
        if asked.hardware_revisions.is_empty() {
            return Err(Error::new(
                ErrorCode::InvalidRequest,
                "an artifact is for at least one hardware revision",
            ));
        }
        let path = asked.file.clone();
        let file = blocking(move || Inspected::read(Path::new(&path))).await?;
        let meets = |other: &&ReleaseArtifact| same_place(other, asked);
        if let Some(other) = artifacts.iter().find(meets) {
            return Err(Error::new(ErrorCode::InvalidRequest, "two artifacts are for the same hardware")
                .detail(format!("{} and `{}`", other.target, asked.file)));
        }
        let taken = |name: &TargetName| artifacts.iter().any(|other| other.target == *name);
        let mut target = target_name(asked, &asked.component, "")?;
        if taken(&target) {
            let revisions: Vec<_> = asked.hardware_revisions.iter().map(ToString::to_string).collect();
            target = target_name(asked, &asked.component, &format!("/{}", revisions.join("+")))?;
        }
        artifacts.push(ReleaseArtifact {
            target,
            digest: file.digest,
            length: file.length,
            model: asked.model.clone(),
            hardware_revisions: asked.hardware_revisions.clone(),
            component: asked.component.clone(),
            version: asked.version.clone(),
            security_counter: asked.security_counter,
            installer: asked.installer.clone(),
            requires: asked.requires.iter().cloned().collect(),
            must_pass: asked.must_pass,
        });
        files.push(file);
    }
    Ok((artifacts, files))
}

fn same_place(other: &ReleaseArtifact, asked: &ProposeArtifact) -> bool {
    other.model == asked.model
        && other.component == asked.component
        && asked.hardware_revisions.iter().any(|revision| other.hardware_revisions.contains(revision))
}

fn target_name(asked: &ProposeArtifact, component: &Component, rest: &str) -> Result<TargetName, Error> {
    format!("{}/{component}/{}{rest}", asked.model, asked.version)
        .parse()
        .map_err(|source| Error::because(ErrorCode::InvalidRequest, "the target cannot be named", source))
}
