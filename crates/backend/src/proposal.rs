//! The next targets metadata before it is signed: what a release, or its withdrawal, proposes.

use std::collections::BTreeMap;

use envelope::tuf::{Hashes, KeyId, Role, Root, Signed, TargetCustom, TargetFile, Targets};
use model::{ReleaseId, TargetName};
use protocol::{ErrorCode, operator::ReleaseArtifact};

use crate::refusal::{Answer, Refusal};

/// Proposed metadata, in the one form that key holders sign.
#[derive(Clone, Debug)]
pub(crate) struct Proposal(Signed<Targets>);

impl Proposal {
    /// Reads the canonical `signed` part.
    pub(crate) fn parse(signed: &[u8]) -> Answer<Self> {
        let file = [&b"{\"signatures\":[],\"signed\":"[..], signed, b"}"].concat();
        let parsed = Signed::<Targets>::parse(&file)?;
        if parsed.signing_bytes() == signed {
            Ok(Self(parsed))
        } else {
            Err(refused("The proposed metadata is not in its canonical form."))
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.0.signed().version
    }

    /// Whether this adds exactly these artifacts to what is in force.
    pub(crate) fn adds(
        &self,
        present: &Targets,
        release: ReleaseId,
        artifacts: &[ReleaseArtifact],
    ) -> Answer<()> {
        self.follows(present)?;
        let mut expected = present.targets.clone();
        for artifact in artifacts {
            let requires = self.requires(&artifact.target);
            if expected.insert(artifact.target.clone(), file(artifact, release, requires)).is_some() {
                return Err(refused("A target of this name is in force already.").with(&artifact.target));
            }
        }
        self.holds(&expected)
    }

    /// Whether this takes exactly these artifacts out of what is in force.
    pub(crate) fn removes(&self, present: &Targets, artifacts: &[ReleaseArtifact]) -> Answer<()> {
        self.follows(present)?;
        let mut expected = present.targets.clone();
        for artifact in artifacts {
            expected.remove(&artifact.target);
        }
        self.holds(&expected)
    }

    /// Whether `signature` over this is that of the release key `key_id`.
    pub(crate) fn verifies(&self, root: &Root, key_id: &str, signature: &[u8]) -> Answer<()> {
        let mut alone = self.0.clone();
        attach(&mut alone, root, key_id, signature)?;
        let standing = root.standing(&alone);
        if standing.signers.iter().any(|signer| signer.as_str() == key_id) {
            Ok(())
        } else {
            Err(Refusal::new(ErrorCode::InvalidObject, "The signature does not verify."))
        }
    }

    /// The file with these signatures, those that count: how many of how many that makes.
    pub(crate) fn signed_by<'a>(
        &self,
        root: &Root,
        signatures: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Signatures {
        let mut file = self.0.clone();
        for (key_id, signature) in signatures {
            // A key that a newer root no longer lists counts no more.
            let _ = attach(&mut file, root, key_id, signature);
        }
        let standing = root.standing(&file);
        Signatures { raw: file.raw().to_vec(), have: standing.have, need: standing.need }
    }

    fn requires(&self, target: &TargetName) -> BTreeMap<model::Component, model::Version> {
        let custom = self.0.signed().targets.get(target).and_then(|file| file.custom.as_ref());
        custom.map(|custom| custom.requires.clone()).unwrap_or_default()
    }

    fn follows(&self, present: &Targets) -> Answer<()> {
        let targets = self.0.signed();
        if targets.version != present.version + 1 {
            let late = Refusal::new(ErrorCode::Conflict, "Other metadata was published meanwhile.");
            return Err(late.with(&format!("version {} is in force", present.version)));
        }
        if targets.issued_at.is_none_or(|at| targets.expires != at + Role::Targets.life()) {
            return Err(refused("The proposed metadata lives longer or shorter than it may."));
        }
        Ok(())
    }

    fn holds(&self, expected: &BTreeMap<TargetName, TargetFile>) -> Answer<()> {
        if self.0.signed().targets == *expected {
            Ok(())
        } else {
            Err(refused("The proposed metadata changes something else than it says."))
        }
    }
}

/// A proposal with signatures that verified.
#[derive(Clone, Debug)]
pub(crate) struct Signatures {
    pub(crate) raw: Vec<u8>,
    pub(crate) have: u32,
    pub(crate) need: u32,
}

impl Signatures {
    pub(crate) const fn suffice(&self) -> bool {
        self.have >= self.need
    }
}

fn attach(file: &mut Signed<Targets>, root: &Root, key_id: &str, signature: &[u8]) -> Answer<()> {
    let unknown =
        || Refusal::new(ErrorCode::InvalidObject, "The fleet's root lists no release key of this id.");
    let listed = |id: &&KeyId| id.as_str() == key_id;
    let id = root.role(Role::Targets).keyids.iter().find(listed).ok_or_else(unknown)?;
    let public = root.keys.get(id).and_then(envelope::tuf::Key::public_key).ok_or_else(unknown)?;
    let envelope::PublicKey::Ed25519(public) = public else { return Err(unknown()) };
    let signature = signature
        .try_into()
        .map_err(|_| Refusal::new(ErrorCode::InvalidObject, "An Ed25519 signature has 64 bytes."))?;
    file.attach(&public, signature);
    Ok(())
}

fn file(
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

fn refused(why: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidMetadata, why)
}
