use std::sync::Arc;

use envelope::{
    Action, CheckIn, ContentKey, Ed25519Key, EnrolmentToken, Identity, Installation, KemPublicKey, Link,
    P256Key, SealedPayload, Signer, Statement, SystemRandom, Target, Ticket, TokenSecret, TrustKeys,
    otap::{Header, SEGMENT_LEN, Sealing},
    sha256,
    trust::{KeyMaterial, KeyRole, Models, Scope, TrustedKey},
    tuf::{Metadata, Role, Root, Signed, Snapshot, TargetCustom, TargetFile, Targets, Timestamp},
};
use model::{
    DeploymentId, DeviceId, FleetId, LinkId, Random as _, RolloutId, Seconds, SecurityCounter, TokenId,
    UnixTime,
};
use pki::{
    Ca, CaCertificate, CaKind, CaProfile, CertificateDer, IdentityCsr, P256Signer, RootProfile, ServerProfile,
};
use protocol::device::{Offer, link_path};

pub(super) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub(super) const ADDRESS: &str = "updates.example:8443";
pub(super) const DOMAIN: &str = "fleet.example";

/// A fleet's keys, all of them in one hand.
pub(super) struct Fleet {
    pub(super) id: FleetId,
    /// When everything is made.
    pub(super) now: UnixTime,
    /// Host and port of its backend.
    pub(super) address: String,
    pub(super) ca: Authority,
    pub(super) devices: Authority,
    pub(super) server: tls::Identity,
    pub(super) tuf: Ed25519Key,
    pub(super) ticket: Ed25519Key,
    pub(super) link: Ed25519Key,
}

/// A CA.
pub(super) struct Authority {
    pub(super) key: P256Key,
    pub(super) certificate: CertificateDer<'static>,
}

/// The metadata that a repository serves, file by file.
#[derive(Clone)]
pub(super) struct Repository {
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) targets: Targets,
}

/// An artifact, as released and as sealed.
#[derive(Clone)]
pub(super) struct Release {
    pub(super) plaintext: Vec<u8>,
    pub(super) custom: TargetCustom,
    pub(super) key: Arc<ContentKey>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) segments: Vec<u8>,
    pub(super) payload: SealedPayload,
}

/// Whom an offer is for.
#[derive(Clone, Copy)]
pub(super) struct Recipient {
    pub(super) device: DeviceId,
    pub(super) identity: Identity,
    pub(super) kem: KemPublicKey,
}

struct Pki<'a>(&'a P256Key);

impl P256Signer for Pki<'_> {
    fn public_key_sec1(&self) -> [u8; 65] {
        self.0.public_key().as_bytes().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], pki::SignError> {
        Ok(self.0.sign(message).unwrap())
    }
}

impl Authority {
    pub(super) fn with<T>(&self, act: impl FnOnce(&Ca<'_>) -> T) -> T {
        let certificate = CaCertificate::parse(&self.certificate).unwrap();
        let signer = Pki(&self.key);
        act(&Ca::new(&certificate, &signer).unwrap())
    }
}

impl Fleet {
    pub(super) fn new() -> Self {
        Self::at(NOW, ADDRESS)
    }

    pub(super) fn at(now: UnixTime, address: &str) -> Self {
        let random = &mut SystemRandom;
        let key = P256Key::generate().unwrap();
        let profile = RootProfile { organization: "Example".parse().unwrap() };
        let ca = Authority { certificate: profile.issue(&Pki(&key), random, now).unwrap(), key };
        let devices = issuing(&ca, CaKind::Devices("station-1".parse().unwrap()), now);
        let servers = issuing(&ca, CaKind::Servers, now);
        let key = P256Key::generate().unwrap();
        let csr = pki::request::build_identity(&Pki(&key)).unwrap();
        let host = address.split(':').next().unwrap();
        let profile =
            ServerProfile { dns_names: vec![host.into()], addresses: vec![], not_after: UnixTime::MAX };
        let csr = IdentityCsr::parse(&csr).unwrap();
        let certificate = servers.with(|servers| profile.issue(&csr, servers, random, now).unwrap());
        let chain = vec![certificate, servers.certificate, ca.certificate.clone()];
        let server = tls::Identity::from_pkcs8(chain, &key.to_pkcs8().unwrap()).unwrap();
        let [tuf, ticket, link] = [(); 3].map(|()| Ed25519Key::generate(random));
        Self {
            id: FleetId::random(random),
            now,
            address: address.into(),
            ca,
            devices,
            server,
            tuf,
            ticket,
            link,
        }
    }

    pub(super) fn token(&self, repository: &Repository) -> EnrolmentToken {
        let random = &mut SystemRandom;
        EnrolmentToken {
            id: TokenId::random(random),
            fleet: self.id,
            ca_root: sha256(&self.ca.certificate),
            tuf_root: sha256(repository.file("1.root.json").unwrap()),
            address: self.address.clone(),
            secret: TokenSecret::generate(random),
        }
    }

    /// The first metadata, with the trusted keys and these releases.
    pub(super) fn repository(&self, releases: &[&Release]) -> Repository {
        let mut root = Root::new(self.now + Seconds::days(365));
        for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
            root.add_key(role, self.tuf.public_key().as_bytes().try_into().unwrap());
        }
        let keys = self.trust_keys().encode();
        let name = TrustKeys::TARGET.parse().unwrap();
        let mut targets = Targets::new(self.now);
        targets.targets.insert(name, TargetFile::of(&keys, None));
        for release in releases {
            let file = TargetFile::of(&release.plaintext, Some(release.custom.clone()));
            targets.targets.insert(release.name(), file);
        }
        let files = vec![
            ("1.root.json".to_owned(), self.signed(root)),
            (format!("trust/{}.keys.cbor", sha256(&keys)), keys),
        ];
        let mut repository = Repository { files, targets: targets.clone() };
        repository.publish(self, targets, self.now);
        repository
    }

    pub(super) fn trust_keys(&self) -> TrustKeys {
        let entry = |role, material| TrustedKey {
            role,
            material,
            scope: Scope { models: Models::All, not_after: self.now + Seconds::days(3650) },
            holder: "Ada Example".parse().unwrap(),
        };
        let root =
            KeyMaterial::Root { key: self.ca.key.public_key(), certificate: self.ca.certificate.to_vec() };
        TrustKeys::new(vec![
            entry(KeyRole::Ticket, KeyMaterial::Signer(self.ticket.public_key())),
            entry(KeyRole::Link, KeyMaterial::Signer(self.link.public_key())),
            entry(KeyRole::Root, root),
        ])
        .unwrap()
    }

    /// A ticket and a link for `release`.
    pub(super) fn offer(&self, release: &Release, to: Recipient, seq: u64) -> (Offer, LinkId) {
        let installation = Installation {
            target: release.target(),
            min_targets_version: 1,
            payload: release.payload,
            deputy: None,
        };
        let action = Action::Install(Box::new(installation));
        let mut offer = self.ticket(action, to, seq, Some(release.key.clone()));
        let (link, sealed) = self.link(release, to);
        offer.sealed_link = Some(sealed.into());
        (offer, link)
    }

    pub(super) fn hold(&self, to: Recipient, seq: u64) -> Offer {
        self.ticket(Action::Hold, to, seq, None)
    }

    fn ticket(&self, action: Action, to: Recipient, seq: u64, key: Option<Arc<ContentKey>>) -> Offer {
        let statement = Statement {
            fleet: self.id,
            device: to.device,
            identity: Some(to.identity),
            rollout: RolloutId::random(&mut SystemRandom),
            component: "app".parse().unwrap(),
            seq,
            issued_at: self.now,
            not_before: self.now,
            not_after: self.now + Seconds::days(14),
            action,
        };
        let issued = Ticket::new(statement, key).unwrap().issue(&self.ticket, &to.kem).unwrap();
        Offer {
            deployment: DeploymentId::random(&mut SystemRandom),
            sealed_ticket: issued.sealed.into(),
            label: issued.label.into(),
            sealed_link: None,
        }
    }

    pub(super) fn link(&self, release: &Release, to: Recipient) -> (LinkId, Vec<u8>) {
        let not_after = self.now + Seconds::hours(2);
        let id = LinkId::random(not_after, &mut SystemRandom);
        let link = Link {
            id,
            origin: format!("https://{}", self.address),
            path: link_path(id),
            device: to.device,
            spki: to.identity.spki,
            segment_list: release.payload.segment_list,
            not_before: self.now,
            not_after,
        };
        (id, link.issue(&self.link, &to.kem).unwrap())
    }

    pub(super) fn check_in(&self, device: DeviceId, nonce: &[u8]) -> Vec<u8> {
        let nonce = nonce.try_into().unwrap();
        CheckIn { device, nonce, at: self.now }.sign(&self.link).unwrap()
    }

    fn signed<T: Metadata>(&self, metadata: T) -> Vec<u8> {
        let mut file = Signed::new(metadata).unwrap();
        file.sign(&self.tuf).unwrap();
        file.raw().to_vec()
    }
}

impl Repository {
    pub(super) fn file(&self, name: &str) -> Option<&Vec<u8>> {
        self.files.iter().rev().find(|(known, _)| known == name).map(|(_, file)| file)
    }

    /// Makes `targets` current.
    pub(super) fn publish(&mut self, fleet: &Fleet, targets: Targets, at: UnixTime) {
        let sign = |file: &mut Vec<(String, Vec<u8>)>, name: String, raw: Vec<u8>| file.push((name, raw));
        let raw = fleet.signed(targets.clone());
        let signed = Signed::<Targets>::parse(&raw).unwrap();
        let version = at.as_secs() + targets.version;
        let snapshot = fleet.signed(Snapshot::new(version, at, &signed));
        let snapshot_file = Signed::<Snapshot>::parse(&snapshot).unwrap();
        let timestamp = fleet.signed(Timestamp::new(version, at, &snapshot_file));
        sign(&mut self.files, format!("{}.targets.json", targets.version), raw);
        sign(&mut self.files, format!("{version}.snapshot.json"), snapshot);
        sign(&mut self.files, "timestamp.json".to_owned(), timestamp);
        self.targets = targets;
    }

    /// Takes a release back.
    pub(super) fn withdraw(&mut self, fleet: &Fleet, release: &Release) {
        let mut targets = self.targets.next(fleet.now);
        targets.targets.remove(&release.name());
        self.publish(fleet, targets, fleet.now);
    }
}

impl Release {
    /// A release of `length` bytes for the component `app`.
    pub(super) fn new(version: &str, counter: u32, length: usize) -> Self {
        let random = &mut SystemRandom;
        let mut plaintext = vec![0; length];
        random.fill(&mut plaintext);
        let key = Arc::new(ContentKey::generate(random));
        let header = Header::new(length as u64, random).unwrap();
        let mut sealing = Sealing::new(&key, header).unwrap();
        let mut ciphertext = Vec::new();
        for index in 0..header.layout().segments() {
            let range = header.layout().segment_range(index).unwrap();
            let mut out = vec![0; (range.end - range.start) as usize];
            let from = index as usize * SEGMENT_LEN;
            sealing.segment(&plaintext[from..length.min(from + SEGMENT_LEN)], &mut out).unwrap();
            ciphertext.extend(out);
        }
        let sealed = sealing.finish().unwrap();
        let payload = SealedPayload {
            header: header.encode(),
            length: ciphertext.len() as u64,
            segment_list: sealed.segments.digest(),
        };
        let custom = TargetCustom {
            model: "press-4".parse().unwrap(),
            hardware_revisions: vec!["b".parse().unwrap()],
            component: "app".parse().unwrap(),
            version: version.parse().unwrap(),
            security_counter: SecurityCounter(counter),
            installer: "board".parse().unwrap(),
            release: model::ReleaseId::random(random),
            requires: [].into(),
            must_pass: false,
        };
        Self { plaintext, custom, key, ciphertext, segments: sealed.segments.encode(), payload }
    }

    pub(super) fn name(&self) -> model::TargetName {
        format!("app/app-{}.bin", self.custom.version).parse().unwrap()
    }

    fn target(&self) -> Target {
        Target {
            name: self.name(),
            version: self.custom.version.clone(),
            security_counter: self.custom.security_counter,
            length: self.plaintext.len() as u64,
            sha256: sha256(&self.plaintext),
            model: self.custom.model.clone(),
            hardware_revision: "b".parse().unwrap(),
            installer: self.custom.installer.clone(),
        }
    }
}

fn issuing(root: &Authority, kind: CaKind, now: UnixTime) -> Authority {
    let key = P256Key::generate().unwrap();
    let public = pki::P256PublicKey::from_sec1(Pki(&key).public_key_sec1()).unwrap();
    let profile = CaProfile { kind, domain: DOMAIN.parse().unwrap(), not_after: UnixTime::MAX };
    let certificate = root.with(|root| profile.issue(&public, root, &mut SystemRandom, now).unwrap());
    Authority { key, certificate }
}
