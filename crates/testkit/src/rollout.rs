use std::sync::Arc;

use backend::target_file;
use bytes::Bytes;
use envelope::{
    Action, ContentKey, Installation, SealedArtifact, SealedPayload, Signer, Statement, SystemRandom, Target,
    Ticket,
    otap::{Header, Sealed, Sealing},
    sha256,
    tuf::{KeyId, Signed, Targets},
};
use hyper::Method;
use model::{
    ArtifactId, Component, DeploymentId, FailureThreshold, Gate, Percent, Phase, Policy, ReleaseId,
    RolloutId, Seconds, SecurityCounter, Version,
};
use protocol::{
    Base64,
    device::path::TUF,
    operator::{
        AddDeployments, AddSignature, AddedDeployments, ArtifactUpload, NewDeployment, NewRollout,
        ProposeRelease, ReleaseArtifact, ReleaseDetail, RolloutDetail, RolloutStep, SignatureRequest,
        UploadSealed, path,
    },
};

use crate::{Client, Device, Running, fleet::ed25519};

/// An artifact and how it was sealed.
#[derive(Debug)]
pub struct Payload {
    /// What devices install.
    pub plaintext: Vec<u8>,
    /// What they download.
    pub ciphertext: Bytes,
    /// Header, digests and segments.
    pub sealed: Sealed,
    key: Arc<ContentKey>,
}

/// A release that is published and sealed.
#[derive(Debug)]
pub struct Released {
    /// The release.
    pub id: ReleaseId,
    /// Its artifact.
    pub artifact: ReleaseArtifact,
    /// How that was sealed.
    pub sealed: ArtifactId,
    /// Its content.
    pub payload: Payload,
}

impl Payload {
    /// Seals so many bytes.
    pub fn of(length: usize) -> Self {
        let plaintext: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
        let key = ContentKey::generate(&mut SystemRandom);
        let header = Header::new(length as u64, &mut SystemRandom).unwrap();
        let layout = header.layout();
        let mut sealing = Sealing::new(&key, header).unwrap();
        let mut ciphertext = Vec::new();
        for segment in 0..layout.segments() {
            let range = layout.segment_range(segment).unwrap();
            let plain = layout.segment_plaintext(segment).unwrap();
            let mut out = vec![0; (range.end - range.start) as usize];
            sealing.segment(&plaintext[plain.start as usize..plain.end as usize], &mut out).unwrap();
            ciphertext.extend(out);
        }
        let sealed = sealing.finish().unwrap();
        Self { plaintext, ciphertext: ciphertext.into(), sealed, key: Arc::new(key) }
    }

    /// As tickets name it.
    pub fn named(&self) -> SealedPayload {
        SealedPayload {
            header: self.sealed.header.encode(),
            length: self.ciphertext.len() as u64,
            segment_list: self.sealed.segments.digest(),
        }
    }
}

impl Running {
    /// The targets metadata in force.
    pub async fn targets(&self, client: &mut Client) -> Targets {
        let mut newest = 1;
        loop {
            let path = format!("{TUF}{}.targets.json", newest + 1);
            if !client.get(&path).await.status.is_success() {
                break;
            }
            newest += 1;
        }
        let raw = client.get(&format!("{TUF}{newest}.targets.json")).await;
        Signed::<Targets>::parse(&raw.body).unwrap().signed().clone()
    }

    /// A proposal of this version with an artifact of this content.
    pub async fn proposal(&self, client: &mut Client, version: &str, payload: &Payload) -> ProposeRelease {
        let id = ReleaseId::random(&mut SystemRandom);
        let version: Version = version.parse().unwrap();
        let artifact = ReleaseArtifact {
            target: format!("gw-200/main/{version}.bin").parse().unwrap(),
            digest: sha256(&payload.plaintext),
            length: payload.plaintext.len() as u64,
            model: "GW-200".parse().unwrap(),
            hardware_revisions: vec!["b".parse().unwrap()],
            component: "main".parse().unwrap(),
            version: version.clone(),
            security_counter: SecurityCounter(1),
            installer: "slots".parse().unwrap(),
            requires: std::collections::BTreeMap::new(),
            must_pass: false,
        };
        let mut targets = self.targets(client).await.next(self.now());
        targets.targets.insert(artifact.target.clone(), target_file(&artifact, id));
        ProposeRelease {
            id,
            version,
            notes: "Fixes what was wrong.".to_owned(),
            artifacts: vec![artifact],
            targets: Base64(Signed::new(targets).unwrap().signing_bytes().to_vec()),
            expires_at: None,
            draft: false,
        }
    }

    /// The signature of the fleet's targets key number `key` over what is proposed.
    pub fn signature(&self, key: usize, signed: &[u8]) -> AddSignature {
        let key = &self.fleet.targets_keys[key];
        AddSignature {
            digest: sha256(signed),
            key_id: KeyId::of(&ed25519(key)).as_str().to_owned(),
            signature: Base64(key.sign(signed).unwrap().to_vec()),
        }
    }

    /// Publishes a release with one artifact of so many bytes, and uploads how it was sealed.
    pub async fn release(&self, version: &str, length: usize) -> Released {
        let mut admin = self.admin().await;
        let payload = Payload::of(length);
        let proposal = self.proposal(&mut admin, version, &payload).await;
        let id = proposal.id;
        let detail: ReleaseDetail = admin.post(path::RELEASES, &proposal).await.ok();
        let request = detail.request.unwrap().id;
        for key in 0..self.fleet.threshold as usize {
            let signature = self.signature(key, &proposal.targets);
            let _: SignatureRequest = admin.post(&path::signatures(request), &signature).await.ok();
        }
        let _: ReleaseDetail = admin.post(&path::publish(id), &()).await.ok();
        let sealed = self.upload(&mut admin, id, &payload).await;
        Released { id, artifact: proposal.artifacts[0].clone(), sealed, payload }
    }

    /// Uploads how an artifact was sealed.
    pub async fn upload(&self, client: &mut Client, release: ReleaseId, payload: &Payload) -> ArtifactId {
        let ciphertext = sha256(&payload.ciphertext);
        let last = payload.ciphertext.len() - 1;
        let range = format!("bytes 0-{last}/{}", payload.ciphertext.len());
        let (path, body) = (path::blob(ciphertext), payload.ciphertext.clone());
        let put = client.request(Method::PUT, &path, &[("content-range", &range)], body).await;
        let upload: ArtifactUpload = put.unwrap().ok();
        assert!(upload.complete);
        let record = SealedArtifact::new(
            sha256(&payload.plaintext),
            payload.sealed.header.encode(),
            payload.sealed.segments.digest(),
            &payload.key,
            &self.trust(),
            self.now(),
        );
        let upload = UploadSealed {
            id: ArtifactId::random(&mut SystemRandom),
            record: Base64(record.unwrap().sign(&self.fleet.seal_key).unwrap()),
            ciphertext,
            segments: Base64(payload.sealed.segments.encode()),
        };
        let detail: ReleaseDetail = client.post(&path::sealed(release), &upload).await.ok();
        assert!(detail.sealed.iter().any(|sealed| sealed.id == upload.id));
        upload.id
    }

    /// A policy with phases of these sizes that follow one another at once, and links of 10 minutes.
    pub fn policy(&self, phases: &[u32]) -> Policy {
        let phase =
            |devices| Phase { devices, success: Percent::ALL, soak: Seconds(0), gate: Gate::Continue };
        Policy {
            phases: phases.iter().copied().map(phase).collect(),
            failure: FailureThreshold { share: Percent::new(10).unwrap(), minimum_sample: 1 },
            device_timeout: Seconds::hours(24),
            retries: 0,
            rate: None,
            window: None,
            link_life: Seconds::minutes(10),
        }
    }

    /// Plans a rollout of a release; nothing is offered yet.
    pub async fn plan(&self, client: &mut Client, released: &Released, policy: Policy) -> RolloutId {
        let id = RolloutId::random(&mut SystemRandom);
        let rollout = NewRollout {
            id,
            release: released.id,
            target: released.artifact.target.clone(),
            artifact: released.sealed,
            component: released.artifact.component.clone(),
            not_before: policy.earliest(self.now()),
            policy,
        };
        let _: RolloutDetail = client.post(path::ROLLOUTS, &rollout).await.ok();
        id
    }

    /// A ticket for a device, signed and sealed.
    pub fn ticket(
        &self,
        released: &Released,
        rollout: RolloutId,
        device: &Device,
        phase: u32,
    ) -> NewDeployment {
        let artifact = &released.artifact;
        let target = Target {
            name: artifact.target.clone(),
            version: artifact.version.clone(),
            security_counter: artifact.security_counter,
            length: artifact.length,
            sha256: artifact.digest,
            model: artifact.model.clone(),
            hardware_revision: device.hardware_revision.clone(),
            installer: artifact.installer.clone(),
        };
        let installation =
            Installation { target, min_targets_version: 1, payload: released.payload.named(), deputy: None };
        let key = Arc::clone(&released.payload.key);
        self.seal_ticket(
            Action::Install(Box::new(installation)),
            Some(key),
            rollout,
            &artifact.component,
            device,
            phase,
        )
    }

    /// A ticket that tells a device to stop.
    pub fn hold(&self, released: &Released, rollout: RolloutId, device: &Device) -> NewDeployment {
        self.seal_ticket(Action::Hold, None, rollout, &released.artifact.component, device, 0)
    }

    fn seal_ticket(
        &self,
        action: Action,
        key: Option<Arc<ContentKey>>,
        rollout: RolloutId,
        component: &Component,
        device: &Device,
        phase: u32,
    ) -> NewDeployment {
        let (now, hold) = (self.now(), key.is_none());
        let statement = Statement {
            fleet: self.fleet.id,
            device: device.id,
            identity: Some(device.keys()),
            rollout,
            component: component.clone(),
            seq: now.as_secs() * 1_000 + u64::from(hold),
            issued_at: now,
            not_before: now,
            not_after: now + Seconds::days(14),
            action,
        };
        let issued =
            Ticket::new(statement, key).unwrap().issue(&self.fleet.ticket_key, &device.kem.public()).unwrap();
        NewDeployment {
            id: DeploymentId::random(&mut SystemRandom),
            device: device.id,
            phase,
            label: Base64(issued.label),
            sealed_ticket: Base64(issued.sealed),
        }
    }

    /// Plans a rollout for these devices in phases of these sizes, and starts it.
    pub async fn roll_out(&self, released: &Released, devices: &[&Device], policy: Policy) -> RolloutId {
        let mut admin = self.admin().await;
        let sizes: Vec<_> = policy.phases.iter().map(|phase| phase.devices as usize).collect();
        let rollout = self.plan(&mut admin, released, policy).await;
        let mut deployments = Vec::new();
        let mut rest = devices;
        for (phase, size) in (0..).zip(sizes) {
            let (members, others) = rest.split_at(size.min(rest.len()));
            rest = others;
            deployments.extend(members.iter().map(|device| self.ticket(released, rollout, device, phase)));
        }
        let added: AddedDeployments =
            admin.post(&path::deployments(rollout), &AddDeployments { deployments }).await.ok();
        assert_eq!(added.excluded, Vec::new());
        let _: RolloutDetail = admin.post(&path::step(rollout), &RolloutStep::Start).await.ok();
        rollout
    }

    /// A rollout as it stands.
    pub async fn rollout(&self, client: &mut Client, id: RolloutId) -> RolloutDetail {
        client.get(&path::rollout(id)).await.ok()
    }
}
