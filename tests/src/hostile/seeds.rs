use std::sync::Arc;

use envelope::{
    Action, Ed25519Key, Installation, Link, P256Key, PublicKey, SealedPayload, Signer as _, Statement,
    SystemRandom, Target, Ticket,
    bundle::{Bundle, Part, PartKind},
    otap::{Header, Sealing},
    request::{Given, Request, RequestSignature},
    sha256,
    tuf::{KeyId, Role, Root, Signed, Snapshot, Targets, Timestamp},
};
use model::{LinkId, RequestId, RolloutId, SecurityCounter};

use super::fleet::{Fleet, LATER, NOW, ORIGIN, SEGMENTS};

/// One input that each path of each target accepts: target, name, content. Keys are the same each time,
/// sealings and ECDSA signatures are not. The vault's is a vault that its own program made.
///
/// # Panics
/// Something cannot be made with keys that are there.
pub fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let fleet = Fleet::get();
    let statement = Statement {
        fleet: fleet.me.fleet,
        device: fleet.me.device,
        identity: fleet.me.identity,
        rollout: RolloutId::new([0x20; 16]),
        component: "main".parse().expect("a component"),
        seq: 1_800_000_000_000,
        issued_at: NOW,
        not_before: NOW,
        not_after: LATER,
        action: Action::Install(Box::new(Installation {
            target: Target {
                name: "pump/firmware-1.4.0.bin".parse().expect("a target's name"),
                version: "1.4.0+12".parse().expect("a version"),
                security_counter: SecurityCounter(7),
                length: 4_000_000,
                sha256: sha256(b"artifact"),
                model: fleet.me.model.clone(),
                hardware_revision: "b2".parse().expect("a revision"),
                installer: "slots".parse().expect("an installer"),
            },
            min_targets_version: 3,
            payload: SealedPayload { header: [3; 32], length: 4_001_024, segment_list: SEGMENTS },
            deputy: None,
        })),
    };
    let content_key = Arc::new(envelope::ContentKey::from_bytes(fleet.content_key.as_bytes()));
    let hold = Ticket::new(Statement { action: Action::Hold, ..statement.clone() }, None).expect("a hold");
    let ticket = Ticket::new(statement, Some(content_key)).expect("a ticket");
    let signed = ticket.sign(&fleet.ticket_key).expect("a key in memory signs").to_vec();
    let held = hold.sign(&fleet.ticket_key).expect("a key in memory signs").to_vec();
    let sealed = ticket.issue(&fleet.ticket_key, &fleet.kem.public()).expect("a sound key").sealed;

    let mut id = [0x1d; 24];
    id[..8].copy_from_slice(&LATER.as_secs().to_be_bytes());
    let link = Link {
        id: LinkId::new(id),
        origin: ORIGIN.into(),
        path: "/v1/payload".into(),
        device: fleet.me.device,
        spki: fleet.me.identity.expect("it has one").spki,
        segment_list: SEGMENTS,
        not_before: NOW,
        not_after: LATER,
    };
    let link_signed = link.sign(&fleet.link_key).expect("a key in memory signs");
    let link_sealed = link.issue(&fleet.link_key, &fleet.kem.public()).expect("a sound key");

    let plaintext = b"what a device runs";
    let header = Header::new(plaintext.len() as u64, &mut SystemRandom).expect("it is short");
    let mut ciphertext = vec![0; header.layout().ciphertext_len() as usize];
    let mut sealing = Sealing::new(&fleet.content_key, header).expect("a new header has keys");
    sealing.segment(plaintext, &mut ciphertext).expect("the buffers fit");
    let list = sealing.finish().expect("it was one segment").segments.encode();

    let [root, targets] = &fleet.files;
    let parsed: Signed<Targets> = Signed::parse(targets).expect("signed targets");
    let snapshot = Signed::new(Snapshot::new(1_800_000_000, NOW, &parsed)).expect("a snapshot");
    let timestamp = Signed::new(Timestamp::new(1_800_000_000, NOW, &snapshot)).expect("a timestamp");
    let next = Signed::<Root>::parse(root).expect("a root").signed().next(LATER);
    let next = Signed::new(next).expect("a root");
    let requests = [
        request(fleet, Role::Root, next.signing_bytes()),
        request(
            fleet,
            Role::Targets,
            Signed::new(parsed.signed().next(NOW)).expect("targets").signing_bytes(),
        ),
    ];
    let answer = RequestSignature {
        fleet: fleet.me.fleet,
        request: requests[0].id,
        digest: requests[0].digest(),
        given: given(fleet, &requests[0].payload),
    };
    let [root_request, targets_request] = requests.map(|request| request.encode().expect("it is short"));
    let next = file(next, &fleet.root_key);

    let kinds = [
        PartKind::Root,
        PartKind::Targets,
        PartKind::TrustKeys,
        PartKind::Certificate,
        PartKind::Label,
        PartKind::Ticket,
        PartKind::SegmentList,
        PartKind::Payload,
    ];
    let parts = kinds.iter().map(|kind| Part::of(*kind, b"part")).collect();
    let bundle = Bundle::new(fleet.me.fleet, NOW, LATER, parts).expect("the parts of a bundle");
    let bundle = bundle.sign(&fleet.ticket_key).expect("a key in memory signs");

    let identity = Identity(P256Key::generate().expect("the provider makes keys"));
    let serial = "P-0001".parse().expect("a serial number");
    let device = pki::request::build(&identity, &fleet.kem.public().0, Some(&serial)).expect("it signs");
    let person = pki::request::build_identity(&identity).expect("it signs");
    vec![
        ("bundle", "map", payload(&bundle[Bundle::HEAD..])),
        ("bundle", "signed", bundle[Bundle::HEAD..].to_vec()),
        ("bundle", "file", bundle),
        ("cbor", "signed-ticket", signed.clone()),
        ("cbor", "map", payload(&signed)),
        ("csr", "device", device),
        ("csr", "person", person),
        ("link", "map", payload(&link_signed)),
        ("link", "signed", link_signed),
        ("link", "sealed", link_sealed),
        ("otap", "ciphertext", ciphertext),
        ("otap", "list", [&header.encode()[..], &list].concat()),
        ("request", "root", root_request),
        ("request", "targets", targets_request),
        ("request", "answer", answer.encode()),
        ("ticket", "hold", payload(&held)),
        ("ticket", "map", payload(&signed)),
        ("ticket", "signed", signed),
        ("ticket", "sealed", sealed),
        ("tuf", "root", root.clone()),
        ("tuf", "next-root", next),
        ("tuf", "targets", targets.clone()),
        ("tuf", "snapshot", file(snapshot, &fleet.root_key)),
        ("tuf", "timestamp", file(timestamp, &fleet.root_key)),
    ]
}

fn file<T: envelope::tuf::Metadata>(mut signed: Signed<T>, key: &Ed25519Key) -> Vec<u8> {
    signed.sign(key).expect("an Ed25519 key signs");
    signed.raw().to_vec()
}

/// A request that its one key holder has answered.
fn request(fleet: &Fleet, role: Role, payload: &[u8]) -> Request {
    Request {
        fleet: fleet.me.fleet,
        id: RequestId::new([0x4e; 16]),
        role,
        payload: payload.to_vec(),
        roots: vec![fleet.files[0].clone()],
        targets: fleet.files[1].clone(),
        trust_keys: None,
        trust_keys_in_force: None,
        author: "Ada Example".parse().expect("a name"),
        made_at: NOW,
        expires_at: LATER,
        reason: "the next one".into(),
        signatures: vec![given(fleet, payload)],
    }
}

fn given(fleet: &Fleet, payload: &[u8]) -> Given {
    let PublicKey::Ed25519(public) = fleet.root_key.public_key() else { unreachable!("it is one") };
    let signature = fleet.root_key.sign(payload).expect("a key in memory signs");
    Given { key: KeyId::of(&public), signature: signature.as_slice().try_into().expect("64 bytes") }
}

/// The payload of a COSE_Sign1.
fn payload(signed: &[u8]) -> Vec<u8> {
    let mut decoder = minicbor::Decoder::new(signed);
    let mut read = || -> Result<Vec<u8>, minicbor::decode::Error> {
        decoder.tag()?;
        decoder.array()?;
        decoder.bytes()?;
        decoder.skip()?;
        Ok(decoder.bytes()?.to_vec())
    };
    read().expect("it was just signed")
}

/// A P-256 key that signs requests.
struct Identity(P256Key);

impl pki::P256Signer for Identity {
    fn public_key_sec1(&self) -> [u8; 65] {
        match self.0.public_key() {
            PublicKey::P256(point) => point,
            PublicKey::Ed25519(_) => unreachable!("it is a P-256 key"),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], pki::SignError> {
        let failed = |source: envelope::SignError| pki::SignError::Failed { reason: source.to_string() };
        self.0.sign(message).map_err(failed)
    }
}
