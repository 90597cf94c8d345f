use envelope::{
    Ed25519Key, KemSecret, KeyRole, P256Key, PublicKey, Signer, SystemRandom, TrustKeys,
    trust::{KeyMaterial, Models, Scope, TrustedKey},
    tuf::{Role as TufRole, Root, Signed, TRUST_KEYS_TARGET, TargetFile, Targets},
};
use model::{FleetId, PersonName, Role, Seconds, SpkiDigest, StationName, UnixTime};
use pki::{
    Ca, CaCertificate, CaKind, CaProfile, CertificateDer, FleetDomain, IdentityCsr, P256PublicKey,
    PersonProfile, RootProfile, ServerProfile,
};
use protocol::{
    Base64,
    operator::{Adopt, BackendIdentity, PutPerson},
};

/// Everything that a fleet's people hold in their vaults, in memory.
#[derive(Debug)]
pub struct Fleet {
    /// Its id.
    pub id: FleetId,
    /// The station that provisions its devices.
    pub station: StationName,
    /// When it was founded.
    pub founded_at: UnixTime,
    /// Signs TUF root metadata.
    pub root_key: Ed25519Key,
    /// Sign TUF targets metadata.
    pub targets_keys: Vec<Ed25519Key>,
    /// Who holds each of them.
    pub holders: Vec<PersonName>,
    /// Signs tickets.
    pub ticket_key: Ed25519Key,
    /// Signs sealed-artifact records.
    pub seal_key: Ed25519Key,
    /// Signs grants, replacements and revocation lists.
    pub grant_key: Ed25519Key,
    /// Signs the heads of a vault's log.
    pub audit_key: Ed25519Key,
    /// Receives content keys.
    pub member_kem: KemSecret,
    /// How many targets keys must sign.
    pub threshold: u32,
    root: Authority,
    devices: Authority,
    people: Authority,
    servers: Authority,
}

/// Somebody with a certificate of the fleet.
#[derive(Clone, Debug)]
pub struct Member {
    /// Their key.
    pub spki: SpkiDigest,
    /// The key itself.
    pub key: std::sync::Arc<P256Key>,
    /// What they show in a handshake.
    pub identity: tls::Identity,
    /// As an admin hands them in.
    pub put: PutPerson,
}

#[derive(Debug)]
struct Authority {
    key: P256Key,
    certificate: CaCertificate,
}

/// A P-256 key as certificates are signed with it.
pub(crate) struct Ecdsa<'a>(pub(crate) &'a P256Key);

impl pki::P256Signer for Ecdsa<'_> {
    fn public_key_sec1(&self) -> [u8; 65] {
        self.0.public_key().as_bytes().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], pki::SignError> {
        Ok(self.0.sign(message).unwrap())
    }
}

impl Fleet {
    /// A fleet whose releases take one signature.
    pub fn of_one(now: UnixTime) -> Self {
        Self::found(1, 1, now)
    }

    /// A fleet with so many targets keys, of which `threshold` must sign.
    pub fn found(keys: usize, threshold: u32, now: UnixTime) -> Self {
        let random = &mut SystemRandom;
        let key = || Ed25519Key::generate(&mut SystemRandom);
        let root_key = P256Key::generate().unwrap();
        let profile = RootProfile { organization: "Testers".parse().unwrap() };
        let certificate = profile.issue(&Ecdsa(&root_key), random, now).unwrap();
        let root = Authority { certificate: CaCertificate::parse(&certificate).unwrap(), key: root_key };
        let station: StationName = "line-1".parse().unwrap();
        let issuing = |kind, not_after| root.certify(kind, not_after, now);
        Self {
            id: FleetId::random(random),
            founded_at: now,
            root_key: key(),
            targets_keys: (0..keys).map(|_| key()).collect(),
            holders: (0..keys).map(|n| format!("holder {n}").parse().unwrap()).collect(),
            ticket_key: key(),
            seal_key: key(),
            grant_key: key(),
            audit_key: key(),
            member_kem: KemSecret::generate(random).unwrap(),
            threshold,
            devices: issuing(CaKind::Devices(station.clone()), UnixTime::MAX),
            people: issuing(CaKind::People, now + Seconds::days(3_650)),
            servers: issuing(CaKind::Servers, now + Seconds::days(3_650)),
            station,
            root,
        }
    }

    /// The X.509 root.
    pub fn ca_root(&self) -> CertificateDer<'static> {
        self.root.der()
    }

    /// The CA of the station.
    pub fn devices_ca(&self) -> CertificateDer<'static> {
        self.devices.der()
    }

    /// A second station's CA, and its key.
    pub fn other_station(&self, name: &str) -> (CaCertificate, P256Key) {
        let station = CaKind::Devices(name.parse().unwrap());
        let authority = self.root.certify(station, UnixTime::MAX, self.founded_at);
        (authority.certificate, authority.key)
    }

    /// Somebody with these roles, whose certificate holds for ten years.
    pub fn member(&self, name: &str, roles: &[Role]) -> Member {
        let key = P256Key::generate().unwrap();
        let csr = IdentityCsr::parse(&pki::request::build_identity(&Ecdsa(&key)).unwrap()).unwrap();
        let name: PersonName = name.parse().unwrap();
        let profile =
            PersonProfile { person: name.clone(), not_after: self.founded_at + Seconds::days(3_600) };
        let certificate =
            self.people.with(|ca| profile.issue(&csr, ca, &mut SystemRandom, self.founded_at).unwrap());
        let chain = vec![certificate.clone(), self.people.der()];
        Member {
            spki: csr.spki_digest(),
            identity: tls::Identity::from_pkcs8(chain, &key.to_pkcs8().unwrap()).unwrap(),
            put: PutPerson { certificate: Base64(certificate.to_vec()), name, roles: roles.to_vec() },
            key: key.into(),
        }
    }

    /// What founding hands to the backend that made `identity`, for these people.
    pub fn adoption(&self, identity: &BackendIdentity, people: &[&Member]) -> Adopt {
        let trust_keys = self.trust_keys(identity).encode();
        let root = self.tuf_root(identity);
        let mut targets = Targets::new(self.founded_at);
        let name = TRUST_KEYS_TARGET.parse().unwrap();
        targets.targets.insert(name, TargetFile::of(&trust_keys, None));
        Adopt {
            fleet: self.id,
            root: Base64(root.raw().to_vec()),
            targets: Base64(self.sign_targets(targets)),
            trust_keys: Base64(trust_keys),
            ca_root: Base64(self.ca_root().to_vec()),
            issuing_cas: [&self.devices, &self.people, &self.servers]
                .map(|ca| Base64(ca.der().to_vec()))
                .to_vec(),
            server_certificate: Base64(self.server_certificate(&identity.csr)),
            people: people.iter().map(|member| member.put.clone()).collect(),
        }
    }

    /// The first root: its own key, the targets keys, and the backend's two.
    pub fn tuf_root(&self, identity: &BackendIdentity) -> Signed<Root> {
        let mut root = Root::new(self.founded_at + TufRole::Root.life());
        root.add_key(TufRole::Root, &ed25519(&self.root_key));
        for (key, holder) in self.targets_keys.iter().zip(&self.holders) {
            root.add_key(TufRole::Targets, &ed25519(key));
            root.set_holder(&ed25519(key), holder);
        }
        root.set_threshold(TufRole::Targets, self.threshold);
        root.add_key(TufRole::Snapshot, identity.snapshot.as_ref().try_into().unwrap());
        root.add_key(TufRole::Timestamp, identity.timestamp.as_ref().try_into().unwrap());
        let mut root = Signed::new(root).unwrap();
        root.sign(&self.root_key).unwrap();
        root
    }

    /// Targets metadata with as many signatures as it takes.
    pub fn sign_targets(&self, targets: Targets) -> Vec<u8> {
        let mut targets = Signed::new(targets).unwrap();
        for key in self.targets_keys.iter().take(self.threshold as usize) {
            targets.sign(key).unwrap();
        }
        targets.raw().to_vec()
    }

    /// A certificate for `localhost` over the key of a request.
    pub fn server_certificate(&self, csr: &[u8]) -> Vec<u8> {
        let profile = ServerProfile {
            dns_names: vec!["localhost".to_owned()],
            addresses: vec!["127.0.0.1".parse().unwrap()],
            not_after: self.founded_at + Seconds::days(3_600),
        };
        let csr = IdentityCsr::parse(csr).unwrap();
        let issue = |ca: &Ca<'_>| profile.issue(&csr, ca, &mut SystemRandom, self.founded_at).unwrap();
        self.servers.with(issue).to_vec()
    }

    /// Runs `issue` with the station's CA.
    pub fn as_station<T>(&self, issue: impl FnOnce(&Ca<'_>) -> T) -> T {
        self.devices.with(issue)
    }

    /// The keys that the fleet trusts.
    pub fn trust_keys(&self, identity: &BackendIdentity) -> TrustKeys {
        let scope = Scope { models: Models::All, not_after: UnixTime::MAX };
        let holder: PersonName = "somebody".parse().unwrap();
        let entry =
            |role, material| TrustedKey { role, material, scope: scope.clone(), holder: holder.clone() };
        let signer = |role, key: &Ed25519Key| entry(role, KeyMaterial::Signer(key.public_key()));
        let online = |role, key: &Base64| {
            entry(role, KeyMaterial::Signer(PublicKey::Ed25519(key.as_ref().try_into().unwrap())))
        };
        let key = PublicKey::P256(self.root.key.public_key().as_bytes().try_into().unwrap());
        TrustKeys::new(vec![
            signer(KeyRole::Ticket, &self.ticket_key),
            signer(KeyRole::Seal, &self.seal_key),
            signer(KeyRole::Grant, &self.grant_key),
            signer(KeyRole::Audit, &self.audit_key),
            online(KeyRole::Link, &identity.link),
            online(KeyRole::Audit, &identity.audit),
            entry(KeyRole::Member, KeyMaterial::Recipient(self.member_kem.public())),
            entry(KeyRole::Root, KeyMaterial::Root { key, certificate: self.ca_root().to_vec() }),
        ])
        .unwrap()
    }
}

impl Authority {
    fn certify(&self, kind: CaKind, not_after: UnixTime, now: UnixTime) -> Self {
        let key = P256Key::generate().unwrap();
        let public = P256PublicKey::from_sec1(key.public_key().as_bytes().try_into().unwrap()).unwrap();
        let domain: FleetDomain = "testers.example".parse().unwrap();
        let profile = CaProfile { kind, domain, not_after };
        let certificate = self.with(|root| profile.issue(&public, root, &mut SystemRandom, now).unwrap());
        Self { certificate: CaCertificate::parse(&certificate).unwrap(), key }
    }

    fn with<T>(&self, issue: impl FnOnce(&Ca<'_>) -> T) -> T {
        issue(&Ca::new(&self.certificate, &Ecdsa(&self.key)).unwrap())
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.certificate().der().clone()
    }
}

pub(crate) fn ed25519(key: &Ed25519Key) -> [u8; 32] {
    key.public_key().as_bytes().try_into().unwrap()
}
