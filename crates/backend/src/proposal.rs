//! What a release, or its withdrawal, may change of the targets in force: its own artifacts and nothing
//! else.

use std::collections::BTreeMap;

use envelope::{
    request::Proposed,
    tuf::{Hashes, Role, TargetCustom, TargetFile, Targets},
};
use model::{ReleaseId, TargetName};
use protocol::{ErrorCode, operator::ReleaseArtifact};

use crate::refusal::{Answer, Refusal};

/// Whether `payload` adds exactly these artifacts to what is in force.
pub(crate) fn adds(
    payload: &[u8],
    present: &Targets,
    release: ReleaseId,
    artifacts: &[ReleaseArtifact],
) -> Answer<()> {
    let mut expected = present.targets.clone();
    for artifact in artifacts {
        if expected.insert(artifact.target.clone(), target_file(artifact, release)).is_some() {
            return Err(refused("A target of this name is in force already.").with(&artifact.target));
        }
    }
    holds(&parse(payload)?, &expected)
}

/// Whether `payload` takes exactly these artifacts out of what is in force.
pub(crate) fn removes(payload: &[u8], present: &Targets, artifacts: &[ReleaseArtifact]) -> Answer<()> {
    let mut expected = present.targets.clone();
    for artifact in artifacts {
        expected.remove(&artifact.target);
    }
    holds(&parse(payload)?, &expected)
}

fn parse(payload: &[u8]) -> Answer<BTreeMap<TargetName, TargetFile>> {
    match Proposed::parse(Role::Targets, payload)? {
        Proposed::Targets(file) => Ok(file.signed().targets.clone()),
        Proposed::Root(_) => Err(refused("A root is no release.")),
    }
}

fn holds(
    proposed: &BTreeMap<TargetName, TargetFile>,
    expected: &BTreeMap<TargetName, TargetFile>,
) -> Answer<()> {
    if proposed == expected {
        Ok(())
    } else {
        Err(refused("The proposed metadata changes something else than it says."))
    }
}

/// An artifact's entry in the targets metadata, as a release that is proposed must have it.
pub fn target_file(artifact: &ReleaseArtifact, release: ReleaseId) -> TargetFile {
    TargetFile {
        length: artifact.length,
        hashes: Hashes { sha256: artifact.digest },
        custom: Some(target_custom(artifact, release)),
    }
}

/// What is signed of an artifact beside its length and digest.
pub fn target_custom(artifact: &ReleaseArtifact, release: ReleaseId) -> TargetCustom {
    TargetCustom {
        model: artifact.model.clone(),
        hardware_revisions: artifact.hardware_revisions.clone(),
        component: artifact.component.clone(),
        version: artifact.version.clone(),
        security_counter: artifact.security_counter,
        installer: artifact.installer.clone(),
        release,
        requires: artifact.requires.clone(),
        must_pass: artifact.must_pass,
    }
}

fn refused(why: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidMetadata, why)
}
