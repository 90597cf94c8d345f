use proptest::prelude::*;

use super::*;
use crate::{
    Ed25519Key, KeyRole, P256Key, SignError, SystemRandom,
    cbor::value::Value,
    fixture::{END, Fleet, LATER, NOW, content_key, forged, installation, model, said},
    trust::Models,
};

impl Fleet {
    fn open(&self, sealed: &[u8]) -> Result<Verified<Ticket>, Error> {
        Ticket::open(sealed, &self.device_kem, &self.me, &self.trust, NOW)
    }

    fn verify(&self, signed: &[u8]) -> Result<Verified<Ticket>, Error> {
        Ticket::verify(signed, &self.me, &self.trust, NOW)
    }

    fn issue(&self, ticket: &Ticket) -> Issued {
        ticket.issue(&self.ticket_key, &self.device_kem.public()).unwrap()
    }

    fn hold(&self) -> Ticket {
        Ticket::new(Statement { action: Action::Hold, ..self.statement() }, None).unwrap()
    }

    /// A bench that opens tickets for the device.
    fn bench(&self) -> Addressee {
        Addressee { deputy: Some(self.bench_kem.public().id()), ..self.me.clone() }
    }

    fn deputy_ticket(&self, identity: Option<Identity>) -> Ticket {
        let work = installation(Some(self.bench_kem.public().id()));
        let statement = Statement { identity, action: Action::Install(Box::new(work)), ..self.statement() };
        Ticket::new(statement, Some(content_key())).unwrap()
    }
}

#[test]
fn a_ticket_comes_back_whole_at_its_device() {
    let fleet = Fleet::new();
    let reinstall =
        Statement { action: Action::Reinstall(Box::new(installation(None))), ..fleet.statement() };
    let reinstall = Ticket::new(reinstall, Some(content_key())).unwrap();
    for ticket in [fleet.ticket(), fleet.hold(), reinstall] {
        let issued = fleet.issue(&ticket);
        let opened = fleet.open(&issued.sealed).unwrap();
        assert_eq!(*opened, ticket);
        assert_eq!(opened.content_key().is_some(), opened.action.installation().is_some());
        assert_eq!(issued.digest, sha256(&issued.sealed));
    }
}

#[test]
fn a_label_says_what_its_ticket_says_but_for_the_key() {
    let fleet = Fleet::new();
    for ticket in [fleet.ticket(), fleet.hold()] {
        let issued = fleet.issue(&ticket);
        let label = Label::verify(&issued.label, &fleet.me.model, &fleet.trust, NOW).unwrap();
        assert_eq!(**label, *ticket);
        assert_eq!(label.ticket(), issued.digest);
        assert!(label.fits(&issued.sealed) && !label.fits(&fleet.issue(&ticket).sealed));
        assert!(!issued.label.windows(32).any(|window| window == [0xce; 32]), "the key is in the label");
        assert!(fleet.verify(&issued.label).is_err(), "a label is no ticket");
    }
    let signed = fleet.ticket().sign(&fleet.ticket_key).unwrap();
    let found = Label::verify(&signed, &fleet.me.model, &fleet.trust, NOW);
    assert_eq!(said(found), "not a `fleetseal-label/1`");
    let label = Label { statement: fleet.statement(), ticket: Digest::new([0; 32]) };
    let with_key = forged(&label, &fleet.ticket_key, |fields| {
        fields.push((16, Value::bytes(&[0xce; 32])));
        fields.sort_by_key(|(key, _)| *key);
    });
    let found = Label::verify(&with_key, &fleet.me.model, &fleet.trust, NOW);
    assert_eq!(said(found), "field 16 is unknown");
}

#[test]
fn another_device_opens_nothing_and_believes_nothing() {
    let fleet = Fleet::new();
    let stranger = Fleet::new();
    let issued = fleet.issue(&fleet.ticket());
    let refused = "cannot be opened with this key for this recipient";
    assert_eq!(
        said(Ticket::open(&issued.sealed, &stranger.device_kem, &fleet.me, &fleet.trust, NOW)),
        refused
    );
    let elsewhere = Addressee { device: DeviceId::new([0xd2; 16]), ..fleet.me.clone() };
    assert_eq!(said(Ticket::open(&issued.sealed, &fleet.device_kem, &elsewhere, &fleet.trust, NOW)), refused);
    let signed = fleet.ticket().sign(&fleet.ticket_key).unwrap();
    let identity = fleet.me.identity.unwrap();
    let another_spki = Identity { spki: SpkiDigest::new([0; 32]), ..identity };
    let another_kem = Identity { kem: KemKeyId::new([0; 8]), ..identity };
    for (me, field) in [
        (Addressee { fleet: FleetId::new([0; 16]), ..fleet.me.clone() }, "fleet"),
        (elsewhere, "device_id"),
        (Addressee { identity: Some(another_spki), ..fleet.me.clone() }, "spki"),
        (Addressee { identity: Some(another_kem), ..fleet.me.clone() }, "kem"),
        (Addressee { identity: None, ..fleet.me.clone() }, "spki"),
        (fleet.bench(), "deputy"),
    ] {
        let found = Ticket::verify(&signed, &me, &fleet.trust, NOW);
        assert_eq!(said(found), format!("`{field}` is another than expected"));
    }
}

#[test]
fn only_a_ticket_key_in_its_scope_and_time_makes_a_ticket() {
    let fleet = Fleet::new();
    let ticket = fleet.ticket();
    assert!(fleet.verify(&ticket.sign(&fleet.ticket_key).unwrap()).is_ok());
    for key in [&fleet.seal_key, &fleet.grant_key, &fleet.link_key] {
        let found = fleet.verify(&ticket.sign(key).unwrap());
        assert!(matches!(found, Err(Error::Role { expected: KeyRole::Ticket, .. })), "{found:?}");
    }
    let stranger = Ed25519Key::generate(&mut SystemRandom);
    let found = fleet.verify(&ticket.sign(&stranger).unwrap());
    assert!(matches!(found, Err(Error::UnknownKey { .. })), "{found:?}");
    let signed = ticket.sign(&fleet.ticket_key).unwrap();
    let valves = fleet.trust_with(|key| key.scope.models = Models::Only([model("valve")].into()));
    let found = Ticket::verify(&signed, &fleet.me, &valves, NOW);
    assert!(matches!(found, Err(Error::Scope { .. })), "{found:?}");
    let found = Ticket::verify(&signed, &fleet.me, &fleet.trust, END + Seconds(1));
    assert!(matches!(found, Err(Error::KeyLapsed { .. })), "{found:?}");
    let mut work = installation(None);
    work.target.model = model("valve");
    let statement = Statement { action: Action::Install(Box::new(work)), ..fleet.statement() };
    let foreign = Ticket::new(statement, Some(content_key())).unwrap();
    let found = fleet.verify(&foreign.sign(&fleet.ticket_key).unwrap());
    assert!(matches!(found, Err(Error::Scope { .. })), "a target out of scope: {found:?}");
    assert!(ticket.sign(&P256Key::generate().unwrap()).is_err());
}

#[test]
fn a_hold_carries_nothing_to_install() {
    let fleet = Fleet::new();
    let hold = fleet.hold();
    let install = fleet.ticket();
    let from_install = |key: i64| {
        let fields = Value::decode(&cose::encode(&install).unwrap()).into_fields();
        fields.into_iter().find(|(found, _)| *found == key).unwrap()
    };
    for key in 13..=16 {
        let signed = forged(&hold, &fleet.ticket_key, |fields| fields.push(from_install(key)));
        assert_eq!(said(fleet.verify(&signed)), format!("field {key} is unknown"));
    }
    let bench = (17, Value::bytes(&[0; 8]));
    let signed = forged(&hold, &fleet.ticket_key, |fields| fields.push(bench));
    assert_eq!(said(fleet.verify(&signed)), "field 17 is unknown");
    let rule = "a content key goes with an installation, and only with one";
    assert_eq!(said(Ticket::new(hold.statement, Some(content_key()))), rule);
    assert_eq!(said(Ticket::new(fleet.statement(), None)), rule);
}

#[test]
fn every_field_is_needed_and_no_other_is_taken() {
    let fleet = Fleet::new();
    let ticket = fleet.ticket();
    let count = Value::decode(&cose::encode(&ticket).unwrap()).into_fields().len();
    assert_eq!(count, 16, "all but the deputy");
    for at in 1..count {
        let signed = forged(&ticket, &fleet.ticket_key, |fields| drop(fields.remove(at)));
        let found = said(fleet.verify(&signed));
        assert!(found.ends_with("is missing") || found.contains("is unknown"), "without {at}: {found}");
    }
    for (outer, inner) in [(13, 9), (13, 63), (15, 4), (15, -1)] {
        let signed = forged(&ticket, &fleet.ticket_key, |fields| {
            let (_, value) = fields.iter_mut().find(|(key, _)| *key == outer).unwrap();
            let mut inside = value.clone().into_fields();
            inside.push((inner, Value::Int(0)));
            *value = Value::Map(inside);
        });
        assert_eq!(said(fleet.verify(&signed)), format!("field {inner} is unknown"), "in {outer}");
    }
    let signed = forged(&ticket, &fleet.ticket_key, |fields| fields.push((64, Value::text("later"))));
    assert!(fleet.verify(&signed).is_ok());
    for action in [0, 4, 255] {
        let signed = forged(&ticket, &fleet.ticket_key, |fields| fields[11].1 = Value::Int(action));
        assert_eq!(said(fleet.verify(&signed)), "`action` has a wrong type, size or form");
    }
    let signed = forged(&ticket, &fleet.ticket_key, |fields| fields[6].1 = Value::text("../etc"));
    assert_eq!(said(fleet.verify(&signed)), "`component` has a wrong type, size or form");
}

#[test]
fn a_deputys_ticket_is_for_its_bench_alone() {
    let fleet = Fleet::new();
    let bench = fleet.bench();
    for identity in [None, fleet.me.identity] {
        let ticket = fleet.deputy_ticket(identity);
        let issued = ticket.issue(&fleet.ticket_key, &fleet.bench_kem.public()).unwrap();
        let opened = Ticket::open(&issued.sealed, &fleet.bench_kem, &bench, &fleet.trust, NOW).unwrap();
        assert_eq!(*opened, ticket);
        assert!(fleet.open(&issued.sealed).is_err());
        let signed = ticket.sign(&fleet.ticket_key).unwrap();
        assert_eq!(said(fleet.verify(&signed)), "`deputy` is another than expected");
        let other = Addressee { deputy: Some(KemKeyId::new([0; 8])), ..bench.clone() };
        let found = Ticket::verify(&signed, &other, &fleet.trust, NOW);
        assert_eq!(said(found), "`deputy` is another than expected");
        let to_device = ticket.issue(&fleet.ticket_key, &fleet.device_kem.public());
        assert_eq!(said(to_device), "`kem` is another than expected");
    }
    let signed = fleet.deputy_ticket(fleet.me.identity).sign(&fleet.ticket_key).unwrap();
    let bare = Addressee { identity: None, ..bench };
    assert_eq!(said(Ticket::verify(&signed, &bare, &fleet.trust, NOW)), "`spki` is another than expected");
}

#[test]
fn without_a_deputy_both_keys_are_named() {
    let fleet = Fleet::new();
    let rule = "only a deputy's ticket may leave out the device's keys";
    let nobody = Statement { identity: None, ..fleet.statement() };
    assert_eq!(said(Ticket::new(nobody, Some(content_key()))), rule);
    let without = |dropped: &'static [i64]| {
        let signed = forged(&fleet.ticket(), &fleet.ticket_key, |fields| {
            fields.retain(|(key, _)| !dropped.contains(key));
        });
        said(fleet.verify(&signed))
    };
    assert_eq!(without(&[4, 5]), rule);
    assert_eq!(without(&[4]), "`spki` is missing");
    assert_eq!(without(&[5]), "`kem` is missing");
}

#[test]
fn a_ticket_counts_from_its_first_instant_to_its_last() {
    let statement = Fleet::new().statement();
    let before = NOW - Seconds(1);
    assert!(
        matches!(statement.in_time(before, LIFE), Err(Error::NotYet { not_before }) if not_before == NOW)
    );
    assert!(statement.in_time(NOW, LIFE).is_ok());
    assert!(statement.in_time(LATER, LIFE).is_ok());
    let after = LATER + Seconds(1);
    assert!(matches!(statement.in_time(after, LIFE), Err(Error::Lapsed { not_after }) if not_after == LATER));
}

#[test]
fn a_ticket_that_lives_too_long_is_neither_made_nor_taken() {
    let fleet = Fleet::new();
    let living = |life: Seconds| Statement { not_after: NOW + life, ..fleet.statement() };
    assert!(living(LIFE).in_time(NOW, LIFE).is_ok());
    assert!(living(Seconds(LIFE.0 + 1)).in_time(NOW, LIFE).is_err());
    assert!(living(LIFE_IN_BUNDLE).in_time(NOW, LIFE_IN_BUNDLE).is_ok());
    assert_eq!(said(living(Seconds(LIFE_IN_BUNDLE.0 + 1)).check()), "a ticket lives too long");
    let signed = forged(&fleet.ticket(), &fleet.ticket_key, |fields| {
        fields[10].1 = Value::Int((NOW.as_secs() + LIFE_IN_BUNDLE.0) as i64 + 1);
    });
    assert_eq!(said(fleet.verify(&signed)), "a ticket lives too long");
    let turned = Statement { not_after: NOW - Seconds(1), ..fleet.statement() };
    assert_eq!(said(turned.check()), "a ticket lapses before it counts");
}

#[test]
fn many_are_issued_at_once_each_to_its_own_device() {
    let fleet = Fleet::new();
    let tickets: Vec<Ticket> = (0..20)
        .map(|seq| {
            let statement = Statement { seq, ..fleet.statement() };
            Ticket::new(statement, Some(content_key())).unwrap()
        })
        .collect();
    let mut recipients = vec![fleet.device_kem.public(); tickets.len()];
    let issued = issue_many(&tickets, &fleet.ticket_key, &recipients).unwrap();
    for (ticket, issued) in tickets.iter().zip(&issued) {
        assert_eq!(*fleet.open(&issued.sealed).unwrap(), *ticket);
    }
    let rule = "as many recipients as tickets";
    assert_eq!(said(issue_many(&tickets, &fleet.ticket_key, &recipients[1..])), rule);
    recipients[13] = fleet.member_kem.public();
    let found = issue_many(&tickets, &fleet.ticket_key, &recipients);
    assert_eq!(said(found), "`kem` is another than expected");
    assert!(issue_many(&[], &fleet.ticket_key, &[]).unwrap().is_empty());
}

#[test]
fn a_signature_that_went_wrong_never_leaves() {
    struct Faulty(Ed25519Key);
    impl Signer for Faulty {
        fn public_key(&self) -> PublicKey {
            self.0.public_key()
        }

        fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
            let mut signature = self.0.sign(message)?;
            signature[7] ^= 1;
            Ok(signature)
        }
    }
    struct Locked(PublicKey);
    impl Signer for Locked {
        fn public_key(&self) -> PublicKey {
            self.0
        }

        fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
            Err(SignError::Locked)
        }
    }
    let fleet = Fleet::new();
    let to = fleet.device_kem.public();
    let faulty = Faulty(Ed25519Key::from_seed(&fleet.ticket_key.seed()));
    assert_eq!(said(fleet.ticket().issue(&faulty, &to)), "the signature does not verify");
    let locked = Locked(fleet.ticket_key.public_key());
    assert!(matches!(fleet.ticket().issue(&locked, &to), Err(Error::Sign { source: SignError::Locked })));
    assert_eq!(said(fleet.ticket().issue(&fleet.device_key, &to)), "not a usable Ed25519 key");
}

#[test]
fn a_ticket_shows_no_key_when_it_is_printed() {
    let ticket = Fleet::new().ticket();
    let shown = format!("{ticket:?} {:?}", ticket.content_key());
    assert!(!shown.contains("ce") && !shown.contains("206"), "{shown}");
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let fleet = Fleet::new();
        prop_assert!(fleet.verify(&bytes).is_err());
        prop_assert!(fleet.open(&bytes).is_err());
        prop_assert!(Label::verify(&bytes, &fleet.me.model, &fleet.trust, NOW).is_err());
        prop_assert!(TrustKeys::parse(&bytes).is_err() || bytes == [0x80]);
    }
}
