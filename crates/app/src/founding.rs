//! Founding a fleet: the first root and targets, the first trusted keys, the first certificates.
//!
//! The founder's vault makes the CAs; the founding file then goes from key holder to key holder, each
//! of whom checks that it says what they expect and signs, until a backend can adopt it.

use std::{collections::BTreeSet, fs, path::Path};

use envelope::{
    KemPublicKey, PublicKey, SystemRandom, TrustKeys,
    trust::{KeyMaterial, Models, Scope, TrustedKey},
    tuf::{Role as TufRole, Root, Signed, TargetFile, Targets},
};
use model::{Digest, FleetId, PersonName, Role, Seconds, StationName, UnixTime};
use pki::{
    Ca, CaCertificate, CaKind, CaProfile, FleetDomain, IdentityCsr, P256PublicKey, PersonProfile,
    ServerProfile,
};
use protocol::{
    Base64, ErrorCode,
    operator::{Adopt, BackendIdentity, PutPerson},
};
use serde::{Deserialize, Serialize};
use vault::{KeyRole, Vault};

use crate::{
    App, Error,
    command::{FleetFound, FleetSign, Handle},
    dto::{FoundFleet, FoundingFile, FoundingStatus, MemberCard},
    trust::untrusted,
    vaults::{blocking, unhex},
    workspace::{Membership, read_as, read_json, write_json},
};

/// How long the certificates of people and servers live.
const CERTIFICATE_LIFE: Seconds = Seconds::days(2 * 365);
/// What a key holder may do.
const HOLDER_ROLES: [Role; 3] = [Role::Admin, Role::ReleaseManager, Role::Operator];
/// The CAs that the founder's vault makes.
const CA_KEYS: [KeyRole; 4] = [KeyRole::CaRoot, KeyRole::CaDevices, KeyRole::CaPeople, KeyRole::CaServers];

/// A founding on its way from key holder to key holder. Nothing in it is secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Founding {
    format: u32,
    fleet: FleetId,
    station: StationName,
    threshold: u32,
    backend: BackendIdentity,
    members: Vec<Member>,
    /// TUF metadata with the signatures made so far.
    root: Base64,
    /// See [`root`](Self::root).
    targets: Base64,
    trust_keys: Base64,
    pub(crate) ca_root: Base64,
    pub(crate) issuing_cas: Vec<Base64>,
    pub(crate) server_certificate: Base64,
}

/// A founding that may have made its CAs and has not come to its end.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    fleet: FleetId,
    vault: [u8; 16],
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Member {
    card: MemberCard,
    certificate: Base64,
    roles: Vec<Role>,
}

impl Founding {
    /// What a backend needs to adopt the fleet.
    ///
    /// # Errors
    /// Too few have signed.
    pub fn adopt(self) -> Result<Adopt, Error> {
        let status = self.status()?;
        if !status.complete {
            let have = status.signed_by.len();
            return Err(Error::new(
                ErrorCode::ThresholdNotMet,
                format!("{have} of {} have signed", self.threshold),
            )
            .hint("the other key holders sign with `fleetseal fleet sign FILE`"));
        }
        let person = |member: Member| PutPerson {
            certificate: member.certificate,
            name: member.card.holder,
            roles: member.roles,
        };
        Ok(Adopt {
            fleet: self.fleet,
            root: self.root,
            targets: self.targets,
            trust_keys: self.trust_keys,
            ca_root: self.ca_root,
            issuing_cas: self.issuing_cas,
            server_certificate: self.server_certificate,
            people: self.members.into_iter().map(person).collect(),
        })
    }

    fn metadata(&self) -> Result<(Signed<Root>, Signed<Targets>), Error> {
        Ok((Signed::parse(&self.root).map_err(untrusted)?, Signed::parse(&self.targets).map_err(untrusted)?))
    }

    /// Everything that people agree on: whoever signs after another changes none of it.
    fn digest(&self, root: &Signed<Root>, targets: &Signed<Targets>) -> Digest {
        let bare = Self {
            root: Base64(root.signing_bytes().to_vec()),
            targets: Base64(targets.signing_bytes().to_vec()),
            ..self.clone()
        };
        envelope::sha256(&serde_json::to_vec(&bare).expect("a structure of texts and numbers"))
    }

    /// Checks that it says of itself what its metadata says.
    fn check(&self, root: &Root) -> Result<(), Error> {
        if [&root.roles.root, &root.roles.targets].iter().any(|role| role.threshold != self.threshold) {
            return Err(refused("its root asks for another threshold than it says"));
        }
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for Member { card, .. } in &self.members {
            if !names.insert(&card.holder) || !keys.insert(&card.root) {
                return Err(refused("somebody stands in it twice"));
            }
            let key = envelope::tuf::KeyId::of(&unhex(&card.root, "root")?);
            if root.holder(&key).is_some_and(|holder| *holder != card.holder) {
                return Err(refused("its root names another holder of a key"));
            }
        }
        Ok(())
    }

    pub(crate) fn status(&self) -> Result<FoundingStatus, Error> {
        let (root, targets) = self.metadata()?;
        self.check(root.signed())?;
        let (of_root, of_targets) = (root.signed().standing(&root), root.signed().standing(&targets));
        let signed = |member: &&Member| {
            let key = unhex(&member.card.root, "root").map(|key| envelope::tuf::KeyId::of(&key));
            key.is_ok_and(|key| of_root.signers.contains(&key))
        };
        Ok(FoundingStatus {
            fleet: self.fleet,
            signed_by: self.members.iter().filter(signed).map(|member| member.card.holder.clone()).collect(),
            threshold: self.threshold,
            complete: of_root.have >= of_root.need && of_targets.have >= of_targets.need,
            no_separation_of_duties: self.threshold == 1,
            digest: self.digest(&root, &targets),
        })
    }

    /// Adds this vault's signatures to root and targets.
    fn sign(&mut self, vault: &Vault, now: UnixTime) -> Result<(), Error> {
        let (mut root, mut targets) = self.metadata()?;
        let intent = |what: &str| vault.intent("fleet.sign", &self.fleet.to_string(), what, now);
        let root_key = vault.signer(vault.key(KeyRole::Root)?.id, intent("the first root"))?;
        let targets_key = vault.signer(vault.key(KeyRole::Targets)?.id, intent("the first targets"))?;
        root.sign(&root_key)?;
        targets.sign(&targets_key)?;
        self.root = Base64(root.raw().to_vec());
        self.targets = Base64(targets.raw().to_vec());
        Ok(())
    }

    /// What this member keeps of it, after checking that it really is their fleet.
    pub(crate) fn membership(&self, mine: &MemberCard) -> Result<Membership, Error> {
        let member = self
            .members
            .iter()
            .find(|member| same_keys(&member.card, mine))
            .ok_or_else(|| refused("your card is not in it"))?;
        let (root, targets) = self.metadata()?;
        self.check(root.signed())?;
        let root_key = envelope::tuf::KeyId::of(&unhex(&mine.root, "root")?);
        let targets_key = envelope::tuf::KeyId::of(&unhex(&mine.targets, "targets")?);
        let roles = &root.signed().roles;
        if !roles.root.keyids.contains(&root_key) || !roles.targets.keyids.contains(&targets_key) {
            return Err(refused("its root does not name your keys"));
        }
        let name = TrustKeys::TARGET.parse().expect("a constant target name parses");
        let listed = targets.signed().targets.get(&name).map(|file| file.hashes.sha256);
        if listed != Some(envelope::sha256(&self.trust_keys)) {
            return Err(refused("its trusted keys are not the ones that its targets list"));
        }
        let keys = TrustKeys::parse(&self.trust_keys)?;
        let ticket = PublicKey::Ed25519(unhex(&mine.ticket, "ticket")?).id();
        let kem = KemPublicKey(unhex(&mine.kem, "KEM")?);
        if !keys.entries().iter().any(|key| key.id() == ticket)
            || !keys.entries().iter().any(|key| key.material == KeyMaterial::Recipient(kem))
        {
            return Err(refused("its trusted keys do not hold yours"));
        }
        let der = |bytes: &Base64| pki::CertificateDer::from(bytes.0.clone());
        let cas: Vec<_> = self.issuing_cas.iter().map(der).collect();
        let root_ca = [der(&self.ca_root)];
        pki::verify_chain(&member.certificate, &cas, &root_ca, None, pki::Usage::Person)?;
        let certificate = pki::PersonCertificate::parse(&member.certificate)?;
        if certificate.certificate().spki_digest() != IdentityCsr::parse(&mine.identity)?.spki_digest() {
            return Err(refused("the certificate in it is over another key than your identity's"));
        }
        Ok(Membership {
            format: 1,
            fleet: self.fleet,
            holder: member.card.holder.clone(),
            station: self.station.clone(),
            origin: self.backend.origin.clone(),
            ca_root: self.ca_root.clone(),
            issuing_cas: self.issuing_cas.clone(),
            certificate: member.certificate.clone(),
            root: self.root.clone(),
        })
    }
}

impl Handle<FleetFound> for App {
    async fn handle(&self, request: FoundFleet) -> Result<FoundingStatus, Error> {
        let vault = self.unlocked()?;
        if self.workspace().membership().is_ok() {
            return Err(Error::new(ErrorCode::Conflict, "this workspace belongs to a fleet already")
                .hint("take another workspace for another fleet"));
        }
        let mine = self.card()?;
        let now = self.now();
        let out = request.file.clone();
        let begun = self.workspace().file("founding-begun.json");
        let fleet = begin(&begun, &vault)?;
        let founding = blocking(move || {
            let mut founding = found(&request, fleet, mine, &vault, now)?;
            founding.sign(&vault, now)?;
            Ok(founding)
        })
        .await?;
        let membership = founding.membership(&self.card()?)?;
        write_json(Path::new(&out), &founding)?;
        self.workspace().join(&membership)?;
        // Of no more use in a workspace that belongs to its fleet.
        fs::remove_file(begun).ok();
        self.reconnect().await;
        founding.status()
    }
}

impl Handle<FleetSign> for App {
    async fn handle(&self, request: FoundingFile) -> Result<FoundingStatus, Error> {
        let vault = self.unlocked()?;
        let path = Path::new(&request.file);
        let mut founding: Founding = read_as(path, FOUNDING_FILE)?;
        let membership = founding.membership(&self.card()?)?;
        let now = self.now();
        let founding = blocking(move || {
            founding.sign(&vault, now)?;
            Ok(founding)
        })
        .await?;
        write_json(path, &founding)?;
        self.workspace().join(&membership)?;
        self.reconnect().await;
        founding.status()
    }
}

/// What a founding file is, for whoever names another one.
pub(crate) const FOUNDING_FILE: &str = "a founding file, as `fleetseal fleet found` writes it";

fn refused(why: &str) -> Error {
    Error::new(ErrorCode::Untrusted, "this founding file is not what it should be").detail(why.to_owned())
}

/// The id of the fleet that this vault founds: the same until it is founded, so that the CAs which an
/// attempt that failed left in the vault serve the next one. CAs of another fleet serve none.
fn begin(file: &Path, vault: &Vault) -> Result<FleetId, Error> {
    if file.exists() {
        let begun: Begun = read_json(file)?;
        if begun.vault == *vault.id().as_bytes() {
            return Ok(begun.fleet);
        }
    }
    if CA_KEYS.iter().any(|role| vault.key(*role).is_ok()) {
        return Err(Error::new(ErrorCode::Conflict, "this vault holds the CAs of another fleet")
            .hint("found a fleet with a vault of its own"));
    }
    let begun = Begun { fleet: FleetId::random(&mut SystemRandom), vault: *vault.id().as_bytes() };
    write_json(file, &begun)?;
    Ok(begun.fleet)
}

fn found(
    request: &FoundFleet,
    fleet: FleetId,
    mine: MemberCard,
    vault: &Vault,
    now: UnixTime,
) -> Result<Founding, Error> {
    let backend: BackendIdentity =
        read_as(Path::new(&request.backend), "what `fleetseal serve --init` writes")?;
    let mut cards = vec![mine];
    for file in &request.cards {
        cards.push(read_as(Path::new(file), "a card of a member, as `fleetseal vault card` writes it")?);
    }
    check_threshold(request.threshold, &cards)?;

    let random = &mut SystemRandom;
    let why = |what: &str| vault.intent("fleet.found", &fleet.to_string(), what, now);
    if vault.key(KeyRole::CaRoot).is_err() {
        vault.generate(&CA_KEYS, &why("the fleet's CAs"))?;
    }
    let signer =
        |role: KeyRole| Ok::<_, Error>(vault.ca_signer(vault.key(role)?.id, why("the first certificates"))?);
    let organization: pki::Organization = request.organization.parse()?;
    let domain: FleetDomain = format!("{}.fleetseal.internal", &fleet.to_string()[4..20])
        .parse()
        .map_err(|source| Error::internal("the fleet's domain could not be made", source))?;

    let root_key = signer(KeyRole::CaRoot)?;
    let ca_root = pki::RootProfile { organization }.issue(&root_key, random, now)?;
    let root_certificate = CaCertificate::parse(&ca_root)?;
    let root_ca = Ca::new(&root_certificate, &root_key)?;
    let mut issuing = |kind: CaKind, role: KeyRole| {
        let key = signer(role)?;
        let point = pki::P256Signer::public_key_sec1(&key);
        let profile = CaProfile { kind, domain: domain.clone(), not_after: UnixTime::MAX };
        let der = profile.issue(&P256PublicKey::from_sec1(point)?, &root_ca, random, now)?;
        Ok::<_, Error>((CaCertificate::parse(&der)?, der, key))
    };
    let (_, devices_der, _) = issuing(CaKind::Devices(request.station.clone()), KeyRole::CaDevices)?;
    let (people, people_der, people_key) = issuing(CaKind::People, KeyRole::CaPeople)?;
    let (servers, servers_der, servers_key) = issuing(CaKind::Servers, KeyRole::CaServers)?;

    let random = &mut SystemRandom;
    let people_ca = Ca::new(&people, &people_key)?;
    let mut members = Vec::new();
    for card in &cards {
        let csr = IdentityCsr::parse(&card.identity)?;
        let profile = PersonProfile { person: card.holder.clone(), not_after: now + CERTIFICATE_LIFE };
        let certificate = Base64(profile.issue(&csr, &people_ca, random, now)?.to_vec());
        members.push(Member { card: card.clone(), certificate, roles: HOLDER_ROLES.to_vec() });
    }
    let servers_ca = Ca::new(&servers, &servers_key)?;
    let server_certificate = server_profile(&backend.origin, now)?.issue(
        &IdentityCsr::parse(&backend.csr)?,
        &servers_ca,
        random,
        now,
    )?;

    let trust_keys = trust_keys(&cards, &backend, &root_certificate, &ca_root)?.encode();
    let root = first_root(&cards, &backend, request.threshold, now)?;
    let mut targets = Targets::new(now);
    let name = TrustKeys::TARGET.parse().expect("a constant target name parses");
    targets.targets.insert(name, TargetFile::of(&trust_keys, None));
    let unsigned = Signed::new(targets).map_err(untrusted)?;
    Ok(Founding {
        format: 1,
        fleet,
        station: request.station.clone(),
        threshold: request.threshold,
        backend,
        members,
        root: Base64(root.raw().to_vec()),
        targets: Base64(unsigned.raw().to_vec()),
        trust_keys: Base64(trust_keys),
        ca_root: Base64(ca_root.to_vec()),
        issuing_cas: [devices_der, people_der, servers_der].map(|der| Base64(der.to_vec())).to_vec(),
        server_certificate: Base64(server_certificate.to_vec()),
    })
}

fn check_threshold(threshold: u32, cards: &[MemberCard]) -> Result<(), Error> {
    let people = cards.len();
    let distinct = |key: fn(&MemberCard) -> &str| {
        let mut keys: Vec<_> = cards.iter().map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.len() == people
    };
    let invalid = |message: String| Err(Error::new(ErrorCode::InvalidRequest, message));
    if !distinct(|card| &card.root)
        || !distinct(|card| &card.targets)
        || !distinct(|card| card.holder.as_str())
    {
        return invalid("a card stands there twice: one person is one voice".into());
    }
    match threshold as usize {
        0 => invalid("somebody must sign: the threshold is at least one".into()),
        1 if people > 1 => {
            invalid(format!("with {people} key holders at least two must sign: use --threshold 2"))
        }
        need if need > people => {
            invalid(format!("{need} signatures are more than {people} key holders can make"))
        }
        _ => Ok(()),
    }
}

fn first_root(
    cards: &[MemberCard],
    backend: &BackendIdentity,
    threshold: u32,
    now: UnixTime,
) -> Result<Signed<Root>, Error> {
    let mut root = Root::new(now + TufRole::Root.life());
    for card in cards {
        root.add_key(TufRole::Root, &unhex(&card.root, "root")?);
        root.add_key(TufRole::Targets, &unhex(&card.targets, "targets")?);
        root.set_holder(&unhex(&card.root, "root")?, &card.holder);
        root.set_holder(&unhex(&card.targets, "targets")?, &card.holder);
    }
    root.set_threshold(TufRole::Root, threshold);
    root.set_threshold(TufRole::Targets, threshold);
    root.add_key(TufRole::Snapshot, &online(&backend.snapshot)?);
    root.add_key(TufRole::Timestamp, &online(&backend.timestamp)?);
    Signed::new(root).map_err(untrusted)
}

fn trust_keys(
    cards: &[MemberCard],
    backend: &BackendIdentity,
    root: &CaCertificate,
    ca_root: &[u8],
) -> Result<TrustKeys, Error> {
    use envelope::KeyRole as Role;
    let scope = Scope { models: Models::All, not_after: UnixTime::MAX };
    let entry = |role, material, holder: &PersonName| TrustedKey {
        role,
        material,
        scope: scope.clone(),
        holder: holder.clone(),
    };
    let signer = |key: [u8; 32]| KeyMaterial::Signer(PublicKey::Ed25519(key));
    let mut keys = Vec::new();
    for card in cards {
        let holder = &card.holder;
        keys.push(entry(Role::Ticket, signer(unhex(&card.ticket, "ticket")?), holder));
        keys.push(entry(Role::Seal, signer(unhex(&card.seal, "seal")?), holder));
        keys.push(entry(Role::Grant, signer(unhex(&card.grant, "grant")?), holder));
        keys.push(entry(Role::Audit, signer(unhex(&card.audit, "audit")?), holder));
        keys.push(entry(
            Role::Member,
            KeyMaterial::Recipient(KemPublicKey(unhex(&card.kem, "KEM")?)),
            holder,
        ));
    }
    let nobody: PersonName = "backend".parse().expect("a constant name parses");
    keys.push(entry(Role::Link, signer(online(&backend.link)?), &nobody));
    keys.push(entry(Role::Audit, signer(online(&backend.audit)?), &nobody));
    let fleet: PersonName = "fleet".parse().expect("a constant name parses");
    let point = PublicKey::P256(*root.certificate().key().sec1());
    keys.push(entry(Role::Root, KeyMaterial::Root { key: point, certificate: ca_root.to_vec() }, &fleet));
    Ok(TrustKeys::new(keys)?)
}

/// The certificate that a backend at this address needs.
pub(crate) fn server_profile(origin: &str, now: UnixTime) -> Result<ServerProfile, Error> {
    let wrong = || {
        Error::new(ErrorCode::InvalidRequest, format!("`{origin}` is no backend address"))
            .hint("it looks like https://updates.example.com:8443")
    };
    let url = reqwest::Url::parse(origin).map_err(|_| wrong())?;
    if url.scheme() != "https" {
        return Err(wrong());
    }
    let host = url.host_str().ok_or_else(wrong)?.trim_matches(['[', ']']);
    let (dns_names, addresses) = match host.parse() {
        Ok(address) => (Vec::new(), vec![address]),
        Err(_) => (vec![host.to_ascii_lowercase()], Vec::new()),
    };
    Ok(ServerProfile { dns_names, addresses, not_after: now + CERTIFICATE_LIFE })
}

fn online(key: &Base64) -> Result<[u8; 32], Error> {
    key.0
        .as_slice()
        .try_into()
        .map_err(|_| Error::new(ErrorCode::InvalidRequest, "the backend's keys cannot be read"))
}

fn same_keys(a: &MemberCard, b: &MemberCard) -> bool {
    let keys = |card: &MemberCard| {
        [&card.root, &card.targets, &card.ticket, &card.seal, &card.grant, &card.audit, &card.kem]
            .map(Clone::clone)
    };
    let spki = |card: &MemberCard| IdentityCsr::parse(&card.identity).map(|csr| csr.spki_digest()).ok();
    a.holder == b.holder && keys(a) == keys(b) && spki(a).is_some() && spki(a) == spki(b)
}
