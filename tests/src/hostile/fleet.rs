//! A fleet whose keys everybody knows, so that a corpus stays good.

use std::sync::OnceLock;

use envelope::{
    Addressee, ContentKey, Ed25519Key, Identity, KemSecret, KeyRole, PublicKey, Signer as _, TrustKeys,
    Verified,
    trust::{KeyMaterial, Models, Scope, TrustedKey},
    tuf::{Bundled, Role, Root, Signed, TargetFile, Targets, TrustedState},
};
use model::{DeviceId, Digest, FleetId, SpkiDigest, UnixTime};

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub(crate) const LATER: UnixTime = UnixTime::from_secs(1_800_604_800);
pub(crate) const ORIGIN: &str = "https://updates.example:8443";
pub(crate) const SEGMENTS: Digest = Digest::new([0x5e; 32]);

pub(crate) struct Fleet {
    /// Signs for every role of the metadata.
    pub(crate) root_key: Ed25519Key,
    pub(crate) ticket_key: Ed25519Key,
    pub(crate) link_key: Ed25519Key,
    pub(crate) kem: KemSecret,
    pub(crate) content_key: ContentKey,
    pub(crate) me: Addressee,
    pub(crate) trust: Verified<TrustKeys>,
    /// Knows the root and nothing else.
    pub(crate) state: TrustedState,
    /// The root's file, and that of targets that name the trust keys.
    pub(crate) files: [Vec<u8>; 2],
}

impl Fleet {
    /// The one that there is.
    pub(crate) fn get() -> &'static Self {
        static FLEET: OnceLock<Fleet> = OnceLock::new();
        FLEET.get_or_init(Self::new)
    }

    fn new() -> Self {
        let [root_key, ticket_key, link_key] = [1, 2, 3].map(|seed| Ed25519Key::from_seed(&[seed; 32]));
        let kem = KemSecret::from_bytes(&[4; 32]).expect("any 32 bytes are an X25519 key");
        let listed = |role, key: &Ed25519Key| TrustedKey {
            role,
            material: KeyMaterial::Signer(key.public_key()),
            scope: Scope { models: Models::All, not_after: LATER },
            holder: "Ada Example".parse().expect("a name"),
        };
        let keys = [(KeyRole::Ticket, &ticket_key), (KeyRole::Link, &link_key)];
        let keys = TrustKeys::new(keys.map(|(role, key)| listed(role, key)).to_vec()).expect("two keys");

        let PublicKey::Ed25519(public) = root_key.public_key() else { unreachable!("it is one") };
        let mut root = Root::new(LATER);
        for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
            root.add_key(role, &public);
        }
        let mut root = Signed::new(root).expect("a root");
        root.sign(&root_key).expect("an Ed25519 key signs");
        let mut targets = Targets::new(NOW);
        let name = TrustKeys::TARGET.parse().expect("a target's name");
        targets.targets.insert(name, TargetFile::of(&keys.encode(), None));
        let mut targets = Signed::new(targets).expect("targets");
        targets.sign(&root_key).expect("an Ed25519 key signs");

        let state = TrustedState::bootstrap(root.raw()).expect("a root signed by its own key");
        let bundle = Bundled { issued_at: NOW, expires: LATER };
        let view = state.clone().accept_bundle(&[], targets.raw(), bundle).expect("signed targets");
        let target = view.target(&TrustKeys::TARGET.parse().expect("a target's name"));
        let trust = target.expect("it was put in").verify(keys.encode()).expect("the bytes named there");
        Self {
            trust: TrustKeys::from_target(&trust).expect("two keys"),
            me: Addressee {
                fleet: FleetId::new([0xf1; 16]),
                device: DeviceId::new([0xd1; 16]),
                model: "pump".parse().expect("a model"),
                identity: Some(Identity { spki: SpkiDigest::new([0x1d; 32]), kem: kem.public().id() }),
                deputy: None,
            },
            content_key: ContentKey::from_bytes(&[5; 32]),
            files: [root.raw().to_vec(), targets.raw().to_vec()],
            root_key,
            ticket_key,
            link_key,
            kem,
            state,
        }
    }
}

/// A COSE_Sign1 over any payload, written by hand: whoever holds a key can sign what no honest program
/// would.
pub(crate) fn sign1(key: &Ed25519Key, payload: &[u8]) -> Vec<u8> {
    let mut protected = vec![0xa2, 0x01, 0x32, 0x04];
    bytes(&mut protected, key.public_key().id().as_bytes());
    let mut message = vec![0x84, 0x6a];
    message.extend_from_slice(b"Signature1");
    bytes(&mut message, &protected);
    bytes(&mut message, &[]);
    bytes(&mut message, payload);
    let signature = key.sign(&message).expect("a key in memory signs");
    let mut signed = vec![0xd2, 0x84];
    bytes(&mut signed, &protected);
    signed.push(0xa0);
    bytes(&mut signed, payload);
    bytes(&mut signed, &signature);
    signed
}

/// A byte string with its length in the shortest form.
fn bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ ..24 => to.push(0x40 | length as u8),
        length @ 24..0x100 => to.extend_from_slice(&[0x58, length as u8]),
        length @ 0x100..0x1_0000 => {
            to.push(0x59);
            to.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            to.push(0x5a);
            to.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    to.extend_from_slice(bytes);
}
