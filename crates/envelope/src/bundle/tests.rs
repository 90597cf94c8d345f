use model::Seconds;

use super::*;
use crate::{
    Action, Ed25519Key, PublicKey, Ticket,
    fixture::{Fleet, NOW, content_key, installation},
    tuf::{Role, Root, Signed, TargetFile, Targets},
};

/// A bundle that a bench takes, every part of which a test may spoil.
struct Scene {
    fleet: Fleet,
    /// Keys of root and targets.
    keys: [Ed25519Key; 2],
    targets: Targets,
    trust: Vec<u8>,
    revoked: Option<Vec<u8>>,
    signer: Ed25519Key,
    issued_at: UnixTime,
    expires: UnixTime,
    of: FleetId,
    state: TrustedState,
    spoil: fn(&mut Vec<(PartKind, Vec<u8>)>),
    spoil_after: fn(&mut Vec<Vec<u8>>),
}

fn root(keys: &[Ed25519Key; 2]) -> Vec<u8> {
    let mut root = Root::new(NOW + Role::Root.life());
    for (role, key) in [(Role::Root, 0), (Role::Targets, 1), (Role::Snapshot, 0), (Role::Timestamp, 0)] {
        if let PublicKey::Ed25519(public) = keys[key].public_key() {
            root.add_key(role, &public);
        }
    }
    let mut root = Signed::new(root).unwrap();
    root.sign(&keys[0]).unwrap();
    root.raw().to_vec()
}

impl Scene {
    fn new() -> Self {
        let fleet = Fleet::new();
        let keys = [1, 2].map(|seed| Ed25519Key::from_seed(&[seed; 32]));
        let mut targets = Targets::new(NOW);
        targets.version = 3;
        Self {
            trust: fleet.trust.encode(),
            state: TrustedState::bootstrap(&root(&keys)).unwrap(),
            signer: Ed25519Key::from_seed(&fleet.ticket_key.seed()),
            of: fleet.me.fleet,
            revoked: None,
            issued_at: NOW,
            expires: NOW + Seconds::days(10),
            spoil: |_| (),
            spoil_after: |_| (),
            targets,
            keys,
            fleet,
        }
    }

    fn revoked(&self, number: u64) -> Vec<u8> {
        let list = RevocationList {
            fleet: self.fleet.me.fleet,
            number,
            issued_at: NOW,
            not_after: NOW + Seconds::days(90),
            keys: [self.fleet.me.identity.unwrap().spki].into(),
            stations: Vec::new(),
        };
        list.sign(&self.fleet.grant_key).unwrap()
    }

    /// The small parts, and the index over them and one payload.
    fn made(&self) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut targets = self.targets.clone();
        let file = TargetFile::of(&self.fleet.trust.encode(), None);
        targets.targets.insert(TrustKeys::TARGET.parse().unwrap(), file);
        let mut targets = Signed::new(targets).unwrap();
        targets.sign(&self.keys[1]).unwrap();
        let bench = self.fleet.bench_kem.public();
        let mut statement = self.fleet.statement();
        statement.action = Action::Install(Box::new(installation(Some(bench.id()))));
        let ticket = Ticket::new(statement, Some(content_key())).unwrap();
        let issued = ticket.issue(&self.fleet.ticket_key, &bench).unwrap();
        let mut parts = vec![
            (PartKind::Root, root(&self.keys)),
            (PartKind::Targets, targets.raw().to_vec()),
            (PartKind::TrustKeys, self.trust.clone()),
        ];
        parts.extend(self.revoked.clone().map(|list| (PartKind::Revoked, list)));
        parts.extend([
            (PartKind::Certificate, b"certificate".to_vec()),
            (PartKind::Label, issued.label),
            (PartKind::Ticket, issued.sealed),
            (PartKind::SegmentList, vec![7; 32]),
        ]);
        (self.spoil)(&mut parts);
        let mut named: Vec<Part> = parts.iter().map(|(kind, bytes)| Part::of(*kind, bytes)).collect();
        named.push(Part::of(PartKind::Payload, b"ciphertext"));
        let index = Bundle { fleet: self.of, issued_at: self.issued_at, expires: self.expires, parts: named };
        let file = index.sign(&self.signer).unwrap();
        let head: &[u8; Bundle::HEAD] = file.first_chunk().unwrap();
        assert_eq!(Bundle::index_length(head).unwrap(), file.len() - Bundle::HEAD);
        let mut small: Vec<Vec<u8>> = parts.into_iter().map(|(_, bytes)| bytes).collect();
        (self.spoil_after)(&mut small);
        (file[Bundle::HEAD..].to_vec(), small)
    }

    fn open(&self, least_revoked: u64, now: UnixTime) -> Result<(Opened, TrustedState), Error> {
        let (index, small) = self.made();
        let mut state = self.state.clone();
        let opened = Bundle::open(&index, &small, self.fleet.me.fleet, &mut state, least_revoked, now);
        // What is refused leaves nothing behind.
        assert!(opened.is_ok() || state.generation() == self.state.generation());
        opened.map(|opened| (opened, state))
    }

    fn refused(&self) -> String {
        let error = self.open(0, NOW).map(drop).unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = cause.to_string();
            source = cause.source();
        }
        text
    }
}

#[test]
fn a_whole_bundle_opens_and_advances_what_is_trusted() {
    let mut scene = Scene::new();
    scene.revoked = Some(scene.revoked(5));
    let (opened, state) = scene.open(5, NOW + Seconds::days(3)).unwrap();
    assert_eq!(opened.devices.len(), 1);
    assert_eq!(opened.devices[0].label.device, scene.fleet.me.device);
    assert!(opened.basis.targets().is_offline());
    assert!(opened.revoked.unwrap().revokes(&scene.fleet.me.identity.unwrap().spki));
    assert_eq!(opened.segment_lists, [vec![7; 32]]);
    assert_eq!(opened.index.payloads().count(), 1);
    assert_eq!(state.targets().unwrap().signed().version, 3);
}

#[test]
fn r12_a_part_with_other_bytes_or_of_another_place_is_refused() {
    for part in 0..7 {
        let scene = Scene::new();
        let (index, mut small) = scene.made();
        small[part][3] ^= 1;
        let mut state = scene.state.clone();
        let opened = Bundle::open(&index, &small, scene.fleet.me.fleet, &mut state, 0, NOW);
        assert!(matches!(opened, Err(Error::Damaged { part: found }) if found == part), "{part}");
    }
    let mut scene = Scene::new();
    scene.spoil_after = |small| drop(small.pop());
    assert_eq!(scene.refused(), "the parts are not those of a bundle in their order");
    let mut scene = Scene::new();
    scene.spoil = |parts| parts.swap(1, 2);
    assert_eq!(scene.refused(), "the parts are not those of a bundle in their order");
}

#[test]
fn a_change_at_any_byte_of_the_index_is_refused() {
    let scene = Scene::new();
    let (index, small) = scene.made();
    for at in 0..index.len() {
        let mut spoilt = index.clone();
        spoilt[at] ^= 1;
        let mut state = scene.state.clone();
        let opened = Bundle::open(&spoilt, &small, scene.fleet.me.fleet, &mut state, 0, NOW);
        assert!(opened.is_err(), "byte {at}");
    }
}

#[test]
fn r10_only_a_ticket_key_of_the_fleet_makes_a_bundle() {
    let mut scene = Scene::new();
    scene.signer = Ed25519Key::from_seed(&scene.fleet.seal_key.seed());
    assert!(scene.refused().ends_with("is no ticket key"), "{}", scene.refused());
    scene.signer = Ed25519Key::from_seed(&[0x66; 32]);
    assert!(scene.refused().ends_with("is not among the trusted keys"), "{}", scene.refused());
}

#[test]
fn r10_metadata_that_no_threshold_signed_and_keys_that_it_does_not_name_are_refused() {
    let mut scene = Scene::new();
    scene.keys[1] = Ed25519Key::from_seed(&[0x66; 32]);
    // The bench knows the true root: the one in the bundle is of the same version and passed over.
    assert!(scene.open(0, NOW).is_err());
    let mut scene = Scene::new();
    scene.trust = TrustKeys::new(scene.fleet.trust.entries()[1..].to_vec()).unwrap().encode();
    assert!(matches!(scene.open(0, NOW).map(drop), Err(Error::Metadata(_))));
}

#[test]
fn r11_a_bundle_of_another_fleet_and_a_ticket_under_another_label_are_refused() {
    let mut scene = Scene::new();
    scene.of = FleetId::new([0; 16]);
    assert_eq!(scene.refused(), "`fleet` is another than expected");
    let mut scene = Scene::new();
    scene.spoil = |parts| parts[5].1[20] ^= 1;
    assert_eq!(scene.refused(), "a label goes with another ticket than the one that follows it");
}

#[test]
fn r13_a_bundle_that_lapsed_lives_too_long_or_goes_back_is_refused() {
    let scene = Scene::new();
    assert!(scene.open(0, scene.expires).is_ok());
    let late = scene.open(0, scene.expires + Seconds(1)).map(drop).unwrap_err();
    assert!(matches!(late, Error::Object(ObjectError::Lapsed { .. })), "{late}");
    let parts = Bundle::peek(&scene.made().0).unwrap().parts;
    let long = Bundle::new(scene.of, NOW, NOW + Seconds::days(31), parts);
    assert!(matches!(long, Err(Error::Object(ObjectError::Inconsistent { .. }))));

    let (_, newer) = scene.open(0, NOW).unwrap();
    let mut scene = Scene::new();
    scene.targets.version = 2;
    scene.state = newer;
    assert!(scene.refused().contains('2'), "{}", scene.refused());
    let mut scene = Scene::new();
    (scene.issued_at, scene.expires) = (NOW + Seconds::days(91), NOW + Seconds::days(100));
    assert!(matches!(scene.open(0, NOW).map(drop), Err(Error::Metadata(tuf::Error::Expired { .. }))));
}

#[test]
fn r3_an_older_revocation_list_and_one_that_was_left_out_are_refused() {
    let mut scene = Scene::new();
    assert!(scene.open(5, NOW).is_err());
    scene.revoked = Some(scene.revoked(4));
    assert!(scene.open(5, NOW).is_err());
    assert!(scene.open(4, NOW).is_ok());
}
