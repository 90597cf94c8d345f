//! Writes one of each signed and sealed object, with fresh keys, for programs that nobody here wrote to
//! judge (`tests/judges/cose_judge.py`).
//!
//! `cargo run -p fleetseal-envelope --example emit_cose -- DIR`

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use envelope::{
    Action, CheckIn, ContentKey, Ed25519Key, Identity, Installation, KemSecret, KeyRole, Link, LostStation,
    P256Key, Proof, PublicKey, Recipient, Replace, Report, RevocationList, SealedCertificate, SealedPayload,
    Signer, Statement, StationGrant, SystemRandom, Target, Ticket, TrustKeys, sha256,
    trust::{KeyMaterial, Models, Scope, TrustedKey},
};
use model::{
    DeploymentId, DeploymentState, DeviceId, Digest, FleetId, LinkId, RolloutId, SecurityCounter, SpkiDigest,
    UnixTime,
};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Objects on their way to the judge.
struct Emitter {
    dir: PathBuf,
    objects: Vec<Value>,
}

impl Emitter {
    fn sign1(&mut self, name: &str, typ: &str, key: &PublicKey, bytes: &[u8]) -> Outcome<()> {
        let file = format!("{name}.sign1");
        fs::write(self.dir.join(&file), bytes)?;
        self.objects.push(json!({"file": file, "typ": typ, "key": key.id().to_string()}));
        Ok(())
    }

    /// `inside` is the file with the plaintext, if it was written too.
    fn encrypt0(
        &mut self,
        name: &str,
        typ: &str,
        key: &KemSecret,
        recipient: &[u8],
        bytes: &[u8],
        inside: Option<&str>,
    ) -> Outcome<()> {
        let file = format!("{name}.encrypt0");
        fs::write(self.dir.join(&file), bytes)?;
        self.objects.push(json!({
            "file": file,
            "typ": typ,
            "key": key.public().id().to_string(),
            "recipient": hex(recipient),
            "inside": inside,
        }));
        Ok(())
    }
}

fn main() -> Outcome<()> {
    let dir = std::env::args().nth(1).ok_or("usage: emit_cose DIR")?;
    let dir = Path::new(&dir);
    fs::create_dir_all(dir)?;
    let mut emitter = Emitter { dir: dir.to_owned(), objects: Vec::new() };

    let random = &mut SystemRandom;
    let ticket_key = Ed25519Key::generate(random);
    let link_key = Ed25519Key::generate(random);
    let grant_key = Ed25519Key::generate(random);
    let device_key = P256Key::generate()?;
    let device_kem = KemSecret::generate(random)?;
    let member_kem = KemSecret::generate(random)?;

    let fleet = FleetId::random(random);
    let device = DeviceId::random(random);
    let identity = Identity { spki: device_key.public_key().spki_digest(), kem: device_kem.public().id() };
    let now = UnixTime::from_secs(1_800_000_000);
    let later = UnixTime::from_secs(1_800_604_800);
    let digest = |text: &str| sha256(text.as_bytes());

    let statement = Statement {
        fleet,
        device,
        identity: Some(identity),
        rollout: RolloutId::random(random),
        component: "main".parse()?,
        seq: 1_800_000_000_000,
        issued_at: now,
        not_before: now,
        not_after: later,
        action: Action::Install(Box::new(Installation {
            target: Target {
                name: "pump/firmware-1.4.0.bin".parse()?,
                version: "1.4.0+12".parse()?,
                security_counter: SecurityCounter(7),
                length: 4_000_000,
                sha256: digest("artifact"),
                model: "pump".parse()?,
                hardware_revision: "b2".parse()?,
                installer: "slots".parse()?,
            },
            min_targets_version: 3,
            payload: SealedPayload {
                header: *digest("header").as_bytes(),
                length: 4_001_024,
                segment_list: digest("segments"),
            },
            deputy: None,
        })),
    };
    let ticket = Ticket::new(statement.clone(), Some(Arc::new(ContentKey::generate(random))))?;
    let issued = ticket.issue(&ticket_key, &device_kem.public())?;
    let signer = ticket_key.public_key();
    emitter.sign1("ticket", "fleetseal-ticket/1", &signer, &ticket.sign(&ticket_key)?)?;
    emitter.sign1("label", "fleetseal-label/1", &signer, &issued.label)?;
    emitter.encrypt0(
        "ticket",
        "fleetseal-ticket/1",
        &device_kem,
        device.as_bytes(),
        &issued.sealed,
        Some("ticket.sign1"),
    )?;
    let hold = Ticket::new(Statement { action: Action::Hold, ..statement }, None)?;
    emitter.sign1("hold", "fleetseal-ticket/1", &signer, &hold.sign(&ticket_key)?)?;

    let link = Link {
        id: LinkId::random(later, random),
        origin: "https://updates.example:8443".into(),
        path: "/v1/payload".into(),
        device,
        spki: identity.spki,
        segment_list: digest("segments"),
        not_before: now,
        not_after: later,
    };
    let signer = link_key.public_key();
    emitter.sign1("link", "fleetseal-link/1", &signer, &link.sign(&link_key)?)?;
    let sealed = link.issue(&link_key, &device_kem.public())?;
    emitter.encrypt0(
        "link",
        "fleetseal-link/1",
        &device_kem,
        device.as_bytes(),
        &sealed,
        Some("link.sign1"),
    )?;
    let checkin = CheckIn { device, nonce: [5; 16], at: now };
    emitter.sign1("checkin", "fleetseal-checkin/1", &signer, &checkin.sign(&link_key)?)?;

    let report = Report {
        device,
        deployment: Some(DeploymentId::random(random)),
        state: DeploymentState::Rejected,
        counter: 41,
        ticket: Some(issued.digest),
        code: Some("seq_too_low".into()),
        detail: Some("a newer ticket was accepted: größer".into()),
        before: Some("1.3.0".parse()?),
        after: Some("1.3.0".parse()?),
        bytes: 0,
        stored_seq: Some(1_800_000_000_001),
        at: now,
    };
    let signer = device_key.public_key();
    emitter.sign1("report", "fleetseal-report/1", &signer, &report.sign(&device_key)?)?;
    let proof = Proof { device, certificate: digest("certificate"), challenge: [9; 32] };
    emitter.sign1("proof", "fleetseal-proof/1", &signer, &proof.sign(&device_key)?)?;

    let chain = vec![vec![1; 600], vec![2; 500]];
    let sealed = SealedCertificate { device, chain, challenge: [9; 32] }.seal(&device_kem.public())?;
    let recipient = device_kem.public().id();
    emitter.encrypt0(
        "certificate",
        "fleetseal-certificate/1",
        &device_kem,
        recipient.as_bytes(),
        &sealed,
        None,
    )?;
    let member = member_kem.public();
    let typ = "fleetseal-content-key/1";
    let sealed = envelope::seal(typ, &member, Recipient::Key(member.id()), &[7; 32])?;
    emitter.encrypt0("content-key", typ, &member_kem, member.id().as_bytes(), &sealed, None)?;

    let signer = grant_key.public_key();
    let revoked = RevocationList {
        fleet,
        number: 4,
        issued_at: now,
        not_after: later,
        keys: BTreeSet::from([SpkiDigest::new([1; 32]), SpkiDigest::new([2; 32])]),
        stations: vec![LostStation {
            station: "line-2".parse()?,
            ca: SpkiDigest::new([3; 32]),
            entries: 17,
            head: Digest::new([4; 32]),
        }],
    };
    emitter.sign1("revoked", "fleetseal-revoked/1", &signer, &revoked.sign(&grant_key)?)?;
    let grant = StationGrant {
        fleet,
        station: "line-1".parse()?,
        ca: SpkiDigest::new([5; 32]),
        models: BTreeSet::from(["pump".parse()?, "valve".parse()?]),
        certificates: 20_000,
        issued_at: now,
        not_before: now,
        not_after: later,
    };
    emitter.sign1("grant", "fleetseal-grant/1", &signer, &grant.sign(&grant_key)?)?;
    let replace = Replace {
        fleet,
        device,
        model: "pump".parse()?,
        old: SpkiDigest::new([6; 32]),
        new: identity,
        issued_at: now,
    };
    emitter.sign1("replace", "fleetseal-replace/1", &signer, &replace.sign(&grant_key)?)?;

    let trusted = |role, material| -> Outcome<TrustedKey> {
        let scope = Scope { models: Models::Only(BTreeSet::from(["pump".parse()?])), not_after: later };
        Ok(TrustedKey { role, material, scope, holder: "Ada Example".parse()? })
    };
    let root = device_key.public_key();
    let keys = TrustKeys::new(vec![
        trusted(KeyRole::Ticket, KeyMaterial::Signer(ticket_key.public_key()))?,
        trusted(KeyRole::Link, KeyMaterial::Signer(link_key.public_key()))?,
        trusted(KeyRole::Grant, KeyMaterial::Signer(grant_key.public_key()))?,
        trusted(KeyRole::Member, KeyMaterial::Recipient(member))?,
        trusted(KeyRole::Root, KeyMaterial::Root { key: root, certificate: root.spki() })?,
    ])?;
    fs::write(dir.join("trust.keyset"), keys.encode())?;

    let signers = [ticket_key.public_key(), link_key.public_key(), grant_key.public_key(), root]
        .map(|key| json!({"kid": key.id().to_string(), "public": hex(key.as_bytes())}));
    let recipients = [&device_kem, &member_kem].map(|key| {
        let public = key.public();
        json!({"kid": public.id().to_string(), "public": hex(&public.0), "secret": hex(&*key.to_bytes())})
    });
    let keys = json!({"signers": signers, "recipients": recipients, "objects": emitter.objects});
    fs::write(dir.join("keys.json"), serde_json::to_vec_pretty(&keys)?)?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
