use model::Seconds;

use super::*;
use crate::{
    Ed25519Key, Signer, SystemRandom,
    tuf::{Metadata, TRUST_KEYS_TARGET, TargetFile},
};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

struct Scene {
    keys: Vec<Ed25519Key>,
    root: Signed<Root>,
    targets: Signed<Targets>,
    request: Request,
}

impl Scene {
    /// Four keys, of which the last two are one person's; two people must sign.
    fn new() -> Self {
        let keys: Vec<_> = (0..4).map(|_| Ed25519Key::generate(&mut SystemRandom)).collect();
        let mut root = Root::new(NOW + Role::Root.life());
        for (key, holder) in keys.iter().zip(["alice", "bob", "carol", "carol"]) {
            for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
                root.add_key(role, &public(key));
            }
            root.set_holder(&public(key), &holder.parse().unwrap());
        }
        root.set_threshold(Role::Root, 2);
        root.set_threshold(Role::Targets, 2);
        let root = signed(root, &keys[..2]);
        let mut targets = Targets::new(NOW);
        targets.targets.insert(TRUST_KEYS_TARGET.parse().unwrap(), TargetFile::of(b"keys", None));
        let targets = signed(targets, &keys[..2]);
        let mut next = targets.signed().next(NOW);
        next.targets.insert("gw/main/2".parse().unwrap(), TargetFile::of(b"firmware", None));
        let request = Request {
            fleet: FleetId::new([1; 16]),
            id: RequestId::new([2; 16]),
            role: Role::Targets,
            payload: Signed::new(next).unwrap().signing_bytes().to_vec(),
            roots: vec![root.raw().to_vec()],
            targets: targets.raw().to_vec(),
            trust_keys: None,
            trust_keys_in_force: None,
            author: "alice".parse().unwrap(),
            made_at: NOW,
            expires_at: NOW + Seconds::days(14),
            reason: "faster".to_owned(),
            signatures: Vec::new(),
        };
        Self { keys, root, targets, request }
    }

    fn check(&self, now: UnixTime) -> Result<Checked, Error> {
        self.request.check(FleetId::new([1; 16]), &self.root, now)
    }

    fn given(&self, key: usize) -> Given {
        given(&self.keys[key], &self.request.payload)
    }

    /// The next targets, changed, as the payload.
    fn propose(&mut self, change: impl FnOnce(&mut Targets)) {
        let mut next = self.targets.signed().next(NOW);
        change(&mut next);
        self.request.payload = Signed::new(next).unwrap().signing_bytes().to_vec();
    }
}

fn public(key: &Ed25519Key) -> [u8; 32] {
    key.public_key().as_bytes().try_into().unwrap()
}

fn signed<T: Metadata>(content: T, keys: &[Ed25519Key]) -> Signed<T> {
    let mut file = Signed::new(content).unwrap();
    keys.iter().for_each(|key| file.sign(key).unwrap());
    file
}

fn given(key: &Ed25519Key, message: &[u8]) -> Given {
    Given { key: KeyId::of(&public(key)), signature: key.sign(message).unwrap() }
}

#[test]
fn a_request_comes_back_whole_and_its_signatures_count_by_person() {
    let mut scene = Scene::new();
    scene.request.signatures = vec![scene.given(0), scene.given(2)];
    let file = scene.request.encode().unwrap();
    assert_eq!(Request::parse(&file).unwrap(), scene.request);
    let checked = scene.check(NOW).unwrap();
    assert_eq!(checked.proposed.quorums(checked.root.signed()), [Quorum { have: 2, need: 2 }]);
    assert!(checked.proposed.is_complete(checked.root.signed()));
    checked.root.signed().verify(&Signed::<Targets>::parse(checked.proposed.raw()).unwrap()).unwrap();

    let answer = RequestSignature {
        fleet: scene.request.fleet,
        request: scene.request.id,
        digest: scene.request.digest(),
        given: scene.given(1),
    };
    assert_eq!(RequestSignature::parse(&answer.encode()).unwrap(), answer);
    assert!(answer.encode().len() < 220, "it fits a QR code");
}

#[test]
fn two_keys_of_one_person_are_one_voice_on_devices_too() {
    let scene = Scene::new();
    let root = scene.root.signed();
    let mut proposed = Proposed::parse(Role::Targets, &scene.request.payload).unwrap();
    proposed.add(root, &scene.given(2)).unwrap();
    let again = proposed.add(root, &scene.given(2)).unwrap_err();
    assert!(matches!(again, Error::Spoken { by } if by == "carol"), "the same key");
    let other = proposed.add(root, &scene.given(3)).unwrap_err();
    assert!(matches!(other, Error::Spoken { by } if by == "carol"), "another key of hers");
    assert!(!proposed.is_complete(root));
    let mut both = Signed::<Targets>::parse(proposed.raw()).unwrap();
    both.sign(&scene.keys[3]).unwrap();
    assert!(root.verify(&both).is_err(), "nor does any device take it");
    both.sign(&scene.keys[0]).unwrap();
    root.verify(&both).unwrap();
}

#[test]
fn a_signature_over_another_artifact_or_by_another_key_does_not_count() {
    let scene = Scene::new();
    let root = scene.root.signed();
    let mut other = scene.targets.signed().next(NOW);
    other.targets.insert("gw/main/2".parse().unwrap(), TargetFile::of(b"malware", None));
    let other = Signed::new(other).unwrap();
    let mut proposed = Proposed::parse(Role::Targets, &scene.request.payload).unwrap();
    let replayed = proposed.add(root, &given(&scene.keys[0], other.signing_bytes()));
    assert!(matches!(replayed, Err(Error::Signature)));
    let stranger = Ed25519Key::generate(&mut SystemRandom);
    let unlisted = proposed.add(root, &given(&stranger, &scene.request.payload));
    assert!(matches!(unlisted, Err(Error::KeyNotListed { .. })));
    assert_eq!(proposed.quorums(root)[0].have, 0);
}

/// What is said, how the request is spoiled, and when it is looked at.
type Case = (&'static str, fn(&mut Scene), UnixTime);

fn other_trust_keys(targets: &mut Targets) {
    targets.targets.insert(TRUST_KEYS_TARGET.parse().unwrap(), TargetFile::of(b"mine", None));
}

#[test]
fn what_is_not_the_next_version_in_time_is_refused_before_anybody_signs() {
    let cases: [Case; 11] = [
        ("it lapsed at", |_| (), NOW + Seconds::days(14) + Seconds(1)),
        ("for longer than a request may wait", |s| s.request.expires_at = NOW + Seconds::days(61), NOW),
        ("for longer than a request may wait", |s| s.request.made_at = NOW + Seconds::hours(1), NOW),
        ("another fleet", |s| s.request.fleet = FleetId::new([9; 16]), NOW),
        ("it would become version 3", |s| s.propose(|t| t.version = 3), NOW),
        ("it would become version 1", |s| s.propose(|t| t.version = 1), NOW),
        ("longer or shorter", |s| s.propose(|t| t.expires = t.expires + Seconds::days(1)), NOW),
        ("longer or shorter", |s| s.propose(|t| t.issued_at = None), NOW),
        (
            "made in the future",
            |s| s.propose(|t| *t = Targets { version: 2, ..Targets::new(NOW + Seconds::days(9)) }),
            NOW,
        ),
        ("canonical", |s| s.request.payload.push(b' '), NOW),
        ("trust keys", |s| s.propose(other_trust_keys), NOW),
    ];
    for (why, spoil, now) in cases {
        let mut scene = Scene::new();
        spoil(&mut scene);
        let said = scene.check(now).unwrap_err().to_string();
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[test]
fn a_chain_of_roots_starts_at_the_one_that_is_trusted() {
    let mut scene = Scene::new();
    let mut next = scene.root.signed().next(NOW + Role::Root.life());
    next.remove_key(Role::Targets, &KeyId::of(&public(&scene.keys[1])));
    let forged = signed(next.clone(), &scene.keys[..1]);
    scene.request.roots.push(forged.raw().to_vec());
    assert!(matches!(scene.check(NOW), Err(Error::Metadata(_))), "one of two signed the next root");
    scene.request.roots.pop();
    let next = signed(next, &scene.keys[..2]);
    scene.request.roots.push(next.raw().to_vec());
    assert!(matches!(scene.check(NOW), Err(Error::Metadata(_))), "the targets are Bob's and Alice's");
    let mut again = signed(scene.targets.signed().clone(), &scene.keys[..1]);
    again.sign(&scene.keys[2]).unwrap();
    scene.request.targets = again.raw().to_vec();
    let mut checked = scene.check(NOW).unwrap();
    assert_eq!(checked.root.signed().version, 2);
    let revoked = checked.proposed.add(next.signed(), &scene.given(1));
    assert!(matches!(revoked, Err(Error::KeyNotListed { .. })), "a revoked key");
}

#[test]
fn a_next_root_needs_the_thresholds_of_both() {
    let scene = Scene::new();
    let newcomer = Ed25519Key::generate(&mut SystemRandom);
    let mut next = scene.root.signed().next(NOW + Role::Root.life());
    for key in 1..4 {
        next.remove_key(Role::Root, &KeyId::of(&public(&scene.keys[key])));
    }
    next.add_key(Role::Root, &public(&newcomer));
    next.set_holder(&public(&newcomer), &"dave".parse().unwrap());
    let payload = Signed::new(next.clone()).unwrap().signing_bytes().to_vec();
    let request = Request { role: Role::Root, payload: payload.clone(), ..scene.request };
    let mut checked = request.check(FleetId::new([1; 16]), &scene.root, NOW).unwrap();
    let root = scene.root.signed();
    for (key, quorums) in [
        (&newcomer, [(0, 2), (1, 2)]),
        (&scene.keys[1], [(1, 2), (1, 2)]),
        (&scene.keys[0], [(2, 2), (2, 2)]),
    ] {
        assert!(!checked.proposed.is_complete(root));
        checked.proposed.add(root, &given(key, &payload)).unwrap();
        let found: Vec<_> = checked.proposed.quorums(root).iter().map(|q| (q.have, q.need)).collect();
        assert_eq!(found, quorums);
    }
    assert!(checked.proposed.is_complete(root));
    next.set_threshold(Role::Root, 3);
    let payload = Signed::new(next).unwrap().signing_bytes().to_vec();
    let stuck = Request { payload, ..request }.check(FleetId::new([1; 16]), &scene.root, NOW);
    assert!(matches!(stuck, Err(Error::Incomplete)), "nobody could ever sign what follows");
}

#[test]
fn only_the_one_encoding_of_a_request_is_read() {
    let file = Scene::new().request.encode().unwrap();
    for cut in 0..file.len() {
        assert!(Request::parse(&file[..cut]).is_err());
    }
    assert!(Request::parse(&[&file[..], b"\0"].concat()).is_err());
    let mut other_type = file.clone();
    let at = file.windows(9).position(|window| window == b"request/1").unwrap();
    other_type[at + 8] = b'2';
    assert!(matches!(Request::parse(&other_type), Err(crate::Error::Type { .. })));
}
