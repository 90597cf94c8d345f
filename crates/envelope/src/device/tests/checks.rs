//! One test for each thing that a device must refuse.

use model::{DeviceId, Digest, FleetId, KemKeyId, Seconds, SecurityCounter, SpkiDigest};
use proptest::prelude::*;

use super::scene::{
    ARTIFACT, ORIGIN, Scene, after, again, component, in_force, name, other, same_kem, stranger,
};
use crate::{
    Action, Ed25519Key, Identity, Link, Recipient, TargetBytes, Ticket, Verified,
    cbor::value::Value,
    cose::Object,
    device::{Basis, Clock, OfferedLink, Order, Refusal, State},
    fixture::{NOW, forged},
    seal,
    trust::Models,
    tuf::TargetFile,
};

/// A test for each row: what is spoiled, and the code that it is refused with.
macro_rules! refused {
    ($($name:ident: $code:literal, |$scene:ident| $spoil:expr;)*) => {$(
        #[test]
        fn $name() {
            let mut $scene = Scene::new();
            assert_eq!($scene.refused(), "accepted");
            $spoil;
            assert_eq!($scene.refused(), $code);
        }
    )*};
}

refused! {
    r13_metadata_that_lapsed_is_refused: "metadata_expired",
        |s| s.clock.hint = Some(NOW + Seconds::hours(24));
    r9_a_ticket_sealed_to_another_key_is_refused: "ticket_undecipherable",
        |s| s.sealed_to = stranger();
    r10_a_ticket_by_a_stranger_is_refused: "ticket_key_unknown",
        |s| s.signer = Ed25519Key::from_seed(&[7; 32]);
    r10_a_ticket_by_a_key_for_something_else_is_refused: "ticket_key_out_of_scope",
        |s| s.signer = again(&s.fleet.link_key);
    r10_a_ticket_by_a_key_for_other_models_is_refused: "ticket_key_out_of_scope",
        |s| s.fleet.trust = s.fleet.trust_with(|key| {
            key.scope.models = Models::Only(["valve".parse().unwrap()].into());
        });
    r10_a_ticket_by_a_key_that_lapsed_is_refused: "ticket_key_lapsed",
        |s| s.fleet.trust = s.fleet.trust_with(|key| key.scope.not_after = NOW - Seconds(1));
    r10_a_ticket_signed_after_its_key_lapsed_is_refused: "ticket_key_lapsed",
        |s| { s.fleet.trust = s.fleet.trust_with(|key| key.scope.not_after = after(100));
              s.statement.issued_at = after(101); };
    r12_a_ticket_whose_signature_was_changed_is_refused: "ticket_signature_invalid",
        |s| s.spoil_signature = true;
    r11_a_ticket_for_another_fleet_is_refused: "wrong_fleet",
        |s| s.statement.fleet = FleetId::new([9; 16]);
    r11_a_ticket_for_another_device_is_refused: "wrong_device",
        |s| s.statement.device = DeviceId::new([9; 16]);
    r11_a_ticket_for_another_kem_key_is_refused: "wrong_kem_key",
        |s| s.statement.identity = s.statement.identity.map(|identity| {
            Identity { kem: KemKeyId::new([9; 8]), ..identity }
        });
    r11_a_ticket_for_another_identity_is_refused: "wrong_identity",
        |s| s.statement.identity = Some(other(s.statement.identity));
    r11_a_ticket_for_a_bench_is_refused_by_the_device: "ticket_undecipherable",
        |s| { let kem = s.fleet.device_kem.public().id(); s.installation(|i| i.deputy = Some(kem)) };
    r11_a_ticket_for_the_device_is_refused_by_a_bench: "ticket_undecipherable",
        |s| s.deputy = true;
    a_ticket_that_lives_over_fourteen_days_is_refused: "life_too_long",
        |s| s.statement.not_after = NOW + Seconds::days(14) + Seconds(1);
    a_ticket_whose_phase_has_not_begun_is_refused: "not_yet",
        |s| s.statement.not_before = after(1);
    r13_a_ticket_that_lapsed_is_refused: "expired",
        |s| { s.statement.not_after = after(10); s.clock.hint = Some(after(11)) };
    a_ticket_dated_after_the_targets_lapse_is_refused: "dated_ahead",
        |s| { let lapse = s.targets.expires; s.statement.issued_at = lapse;
              s.statement.not_before = lapse; s.statement.not_after = lapse; };
    a_seq_from_a_clock_gone_wrong_is_refused: "dated_ahead",
        |s| s.statement.seq = u64::MAX;
    r13_a_replayed_ticket_is_refused: "seq_replayed",
        |s| s.component(|c| c.seq = u64::MAX);
    r13_another_ticket_of_the_same_seq_is_refused: "seq_replayed",
        |s| { let seq = s.statement.seq; s.component(|c| { c.seq = seq; c.ticket = Some(Digest::new([1; 32])) }) };
    r13_targets_older_than_the_ticket_asks_for_are_refused: "targets_too_old",
        |s| s.installation(|i| i.min_targets_version = 4);
    r10_a_target_that_was_never_signed_is_refused: "target_unknown",
        |s| s.installation(|i| i.target.name = name("pump/other.bin"));
    r10_a_withdrawn_target_is_refused: "target_unknown",
        |s| { s.targets.targets.remove(&name(ARTIFACT)); };
    r12_a_target_of_another_length_is_refused: "target_mismatch",
        |s| s.targets.targets.get_mut(&name(ARTIFACT)).unwrap().length += 1;
    r12_a_target_of_another_digest_is_refused: "target_mismatch",
        |s| s.installation(|i| i.target.sha256 = Digest::new([1; 32]));
    r13_a_target_of_another_version_than_was_signed_is_refused: "target_mismatch",
        |s| s.installation(|i| i.target.version = "9.0.0".parse().unwrap());
    r13_a_target_of_another_counter_than_was_signed_is_refused: "target_mismatch",
        |s| s.installation(|i| i.target.security_counter = SecurityCounter(9));
    a_target_for_another_installer_is_refused: "target_mismatch",
        |s| s.installation(|i| i.target.installer = "rauc".parse().unwrap());
    a_target_that_is_no_artifact_is_refused: "target_mismatch",
        |s| s.targets.targets.get_mut(&name(ARTIFACT)).unwrap().custom = None;
    r11_a_target_for_another_model_is_refused: "wrong_model",
        |s| s.custom().model = "valve".parse().unwrap();
    r11_a_ticket_for_another_hardware_revision_is_refused: "wrong_hardware",
        |s| s.installation(|i| i.target.hardware_revision = "b1".parse().unwrap());
    r11_a_target_not_for_this_hardware_revision_is_refused: "wrong_hardware",
        |s| s.custom().hardware_revisions.clear();
    r11_a_ticket_for_another_component_than_the_targets_is_refused: "wrong_component",
        |s| s.statement.component = component("boot");
    r11_a_ticket_for_a_component_that_the_device_has_not_is_refused: "wrong_component",
        |s| { s.statement.component = component("modem"); s.custom().component = component("modem") };
    a_payload_that_cannot_hold_the_target_is_refused: "payload_mismatch",
        |s| s.installation(|i| i.payload.length += 1);
    a_payload_of_an_unknown_kind_is_refused: "payload_mismatch",
        |s| s.installation(|i| i.payload.header[4] = 2);
    r13_a_lower_version_is_refused: "not_newer",
        |s| s.component(|c| c.confirmed = Some("1.5.0".parse().unwrap()));
    r13_the_same_version_is_refused_without_reinstall: "not_newer",
        |s| s.component(|c| c.confirmed = Some("1.4.0+12".parse().unwrap()));
    a_mixed_set_of_components_is_refused: "requires_unmet",
        |s| s.edit_component("boot", |c| c.confirmed = Some("1.9.9".parse().unwrap()));
    a_required_component_of_unknown_version_is_refused: "requires_unmet",
        |s| s.edit_component("boot", |c| c.confirmed = None);
    a_release_that_must_be_passed_is_not_jumped_over: "must_pass",
        |s| s.must_pass("1.3.9");
    r13_a_lower_security_counter_is_refused: "security_counter_lower",
        |s| s.component(|c| c.security_counter = SecurityCounter(8));
    a_payload_that_does_not_fit_is_refused: "no_space",
        |s| s.free_bytes -= 1;
    r9_a_link_sealed_to_another_key_is_refused: "link_undecipherable",
        |s| s.link_sealed_to = stranger();
    r4_a_link_by_a_stranger_is_refused: "link_key_unknown",
        |s| s.link_signer = Ed25519Key::from_seed(&[7; 32]);
    r4_a_link_by_a_ticket_key_is_refused: "link_key_unknown",
        |s| s.link_signer = again(&s.fleet.ticket_key);
    r4_a_link_for_another_device_is_refused: "link_wrong_device",
        |s| s.link.device = DeviceId::new([9; 16]);
    r4_a_link_for_another_identity_is_refused: "link_wrong_identity",
        |s| s.link.spki = SpkiDigest::new([9; 32]);
    a_link_to_another_server_is_refused: "link_wrong_origin",
        |s| s.link.origin = "https://elsewhere.example".into();
    r12_a_link_to_another_payload_is_refused: "link_wrong_payload",
        |s| s.link.segment_list = Digest::new([9; 32]);
    r5_a_link_that_lapsed_is_refused: "link_expired",
        |s| s.clock.hint = Some(NOW + Seconds::hours(2) + Seconds(1));
}

#[test]
fn the_checks_come_in_the_order_of_the_formats() {
    type Spoil = fn(&mut Scene);
    let checks: &[(&str, Spoil)] = &[
        ("metadata_expired", |s| s.clock.hint = Some(NOW + Seconds::days(2))),
        ("ticket_undecipherable", |s| s.sealed_to = stranger()),
        ("ticket_key_unknown", |s| s.signer = Ed25519Key::from_seed(&[7; 32])),
        ("ticket_key_out_of_scope", |s| {
            let none = Models::Only(["valve".parse().unwrap()].into());
            s.fleet.trust = s.fleet.trust_with(|key| key.scope.models = none.clone());
        }),
        ("ticket_signature_invalid", |s| s.spoil_signature = true),
        ("wrong_fleet", |s| s.statement.fleet = FleetId::new([9; 16])),
        ("wrong_device", |s| s.statement.device = DeviceId::new([9; 16])),
        ("wrong_kem_key", |s| {
            let identity = s.statement.identity.unwrap();
            s.statement.identity = Some(Identity { kem: KemKeyId::new([9; 8]), ..identity });
        }),
        ("wrong_identity", |s| s.statement.identity = Some(other(s.statement.identity))),
        ("life_too_long", |s| s.statement.not_after = NOW + Seconds::days(20)),
        ("not_yet", |s| s.statement.not_before = after(1)),
        ("seq_replayed", |s| s.component(|c| c.seq = u64::MAX)),
        ("targets_too_old", |s| s.installation(|i| i.min_targets_version = 4)),
        ("target_mismatch", |s| s.installation(|i| i.target.sha256 = Digest::new([1; 32]))),
        ("wrong_model", |s| s.custom().model = "valve".parse().unwrap()),
        ("wrong_hardware", |s| s.custom().hardware_revisions.clear()),
        ("wrong_component", |s| s.custom().component = component("boot")),
        ("payload_mismatch", |s| s.installation(|i| i.payload.length += 1)),
        ("not_newer", |s| s.component(|c| c.confirmed = Some("1.5.0".parse().unwrap()))),
        ("requires_unmet", |s| s.edit_component("boot", |c| c.confirmed = None)),
        ("must_pass", |s| s.must_pass("1.3.9")),
        ("security_counter_lower", |s| s.component(|c| c.security_counter = SecurityCounter(8))),
        ("no_space", |s| s.free_bytes = 0),
        ("link_expired", |s| s.clock.hint = Some(NOW + Seconds::hours(3))),
    ];
    let mut scene = Scene::new();
    for (code, spoil) in checks.iter().rev() {
        spoil(&mut scene);
        assert_eq!(scene.refused(), *code);
    }
}

#[test]
fn trust_keys_that_the_targets_do_not_vouch_for_are_refused() {
    let scene = Scene::new();
    let keys = scene.fleet.trust.encode();
    let bytes = |target: &str, bytes: &[u8]| Verified::new(TargetBytes::new(name(target), bytes.to_vec()));
    let with = |content: &[u8], at: &str| {
        let mut targets = scene.targets.clone();
        targets.targets.insert(name(at), TargetFile::of(content, None));
        in_force(&targets, false)
    };
    let good = bytes("trust/keys.cbor", &keys);
    assert!(Basis::new(with(&keys, "trust/keys.cbor"), &good).is_ok());
    let refused = Basis::new(with(b"newer", "trust/keys.cbor"), &good).unwrap_err();
    assert_eq!(refused, Refusal::TrustKeysMismatch);
    let refused = Basis::new(in_force(&scene.targets, false), &good).unwrap_err();
    assert_eq!(refused, Refusal::TrustKeysMismatch);
    let refused = Basis::new(with(&keys, "other"), &bytes("other", &keys)).unwrap_err();
    assert_eq!(refused, Refusal::TrustKeysMismatch);
    let refused = Basis::new(with(b"x", "trust/keys.cbor"), &bytes("trust/keys.cbor", b"x")).unwrap_err();
    assert_eq!(refused, Refusal::TrustKeysMalformed);
}

#[test]
fn the_backends_hint_makes_things_lapse_and_nothing_begin() {
    let mut scene = Scene::new();
    scene.statement.not_before = after(600);
    for (own, hint, code) in [
        (None, Some(after(700)), "not_yet"),
        (Some(after(599)), Some(after(700)), "not_yet"),
        (Some(after(600)), None, "accepted"),
        // A clock that was set back never undercuts the floor.
        (Some(after(600) - Seconds::days(900)), None, "not_yet"),
    ] {
        scene.clock = Clock { floor: NOW, own, hint };
        assert_eq!(scene.refused(), code, "{own:?} {hint:?}");
    }
    scene.clock = Clock { floor: after(600), own: None, hint: None };
    assert_eq!(scene.refused(), "accepted");
}

#[test]
fn without_a_clock_a_ticket_counts_from_when_it_was_signed() {
    let mut scene = Scene::new();
    scene.statement.issued_at = after(600);
    scene.statement.not_before = after(600);
    assert_eq!(scene.refused(), "accepted");
    scene.statement.not_before = after(601);
    assert_eq!(scene.refused(), "not_yet");
}

#[test]
fn the_targets_issue_is_a_floor_even_where_the_clock_was_not_told() {
    let mut scene = Scene::new();
    scene.clock = Clock { floor: NOW - Seconds::days(900), own: None, hint: None };
    assert_eq!(scene.refused(), "accepted");
    scene.statement.not_before = NOW - Seconds::days(7);
    scene.statement.not_after = NOW - Seconds(1);
    scene.statement.issued_at = NOW - Seconds::days(7);
    assert_eq!(scene.refused(), "expired");
}

#[test]
fn a_bundles_ticket_lives_up_to_thirty_days_and_needs_no_link() {
    let mut scene = Scene::new();
    scene.statement.not_after = NOW + Seconds::days(30);
    assert_eq!(scene.refused(), "life_too_long");
    scene.offline = true;
    assert_eq!(scene.refused(), "accepted");
    scene.clock.own = Some(NOW + Seconds::days(30));
    assert_eq!(scene.refused(), "metadata_expired");
}

#[test]
fn reinstalling_takes_the_same_version_but_no_lower_one() {
    let mut scene = Scene::new();
    let installation = scene.statement.action.installation().cloned().unwrap();
    scene.statement.action = Action::Reinstall(Box::new(installation));
    scene.component(|c| c.confirmed = Some("1.4.0+12".parse().unwrap()));
    assert_eq!(scene.refused(), "accepted");
    scene.component(|c| c.confirmed = Some("1.4.0+13".parse().unwrap()));
    assert_eq!(scene.refused(), "not_newer");
}

#[test]
fn a_hold_needs_signature_ids_and_seq_alone() {
    let mut scene = Scene::new();
    scene.statement.action = Action::Hold;
    scene.free_bytes = 0;
    scene.targets.targets.clear();
    scene.statement.not_before = after(1000);
    scene.clock.hint = Some(NOW + Seconds::days(40));
    assert!(matches!(scene.offer(), Ok(Order::Hold(_))));
    for (code, spoil) in [
        ("seq_replayed", (|s| s.component(|c| c.seq = u64::MAX)) as fn(&mut Scene)),
        ("wrong_component", |s| s.statement.component = component("modem")),
    ] {
        spoil(&mut scene);
        assert_eq!(scene.refused(), code);
    }
    // One that does not verify is refused for the first reason, like any ticket.
    scene.statement.device = DeviceId::new([9; 16]);
    assert_eq!(scene.refused(), "metadata_expired");
    scene.clock.hint = None;
    assert_eq!(scene.refused(), "wrong_device");
    scene.spoil_signature = true;
    assert_eq!(scene.refused(), "ticket_signature_invalid");
}

#[test]
fn a_bench_decides_for_a_part_without_keys() {
    let mut scene = Scene::new();
    let bench = scene.fleet.bench_kem.public().id();
    scene.fleet.me.identity = None;
    scene.statement.identity = None;
    scene.component(|_| ());
    scene.installation(|i| i.deputy = Some(bench));
    scene.sealed_to = same_kem(&scene.fleet.bench_kem);
    scene.kem = same_kem(&scene.fleet.bench_kem);
    scene.offline = true;
    scene.deputy = true;
    assert_eq!(scene.refused(), "accepted");
    scene.deputy = false;
    assert_eq!(scene.refused(), "ticket_undecipherable");
}

#[test]
fn what_is_sealed_but_no_ticket_is_refused() {
    let scene = Scene::new();
    let link = scene.sealed_link();
    assert_eq!(scene.offer_ticket(&link).unwrap_err(), Refusal::TicketUndecipherable);
    assert_eq!(scene.offer_ticket(b"").unwrap_err(), Refusal::TicketUndecipherable);
    let ticket = scene.ticket();
    let link = OfferedLink { sealed: &ticket, origin: ORIGIN };
    assert_eq!(scene.offer_bytes(&ticket, Some(link)).unwrap_err(), Refusal::LinkUndecipherable);
}

/// What a hostile signer does to a ticket's fields.
type Change<'a> = &'a dyn Fn(&mut Vec<(i64, Value)>);

#[test]
fn what_is_signed_but_no_sound_ticket_or_link_is_refused() {
    let scene = Scene::new();
    let seal = |typ, signed: &[u8]| {
        let recipient = Recipient::Device(scene.fleet.me.device);
        seal::seal(typ, &scene.kem.public(), recipient, signed).unwrap()
    };
    let ticket = |change: Change<'_>| {
        let signed = forged(&scene.fleet.ticket(), &scene.signer, change);
        scene.offer_ticket(&seal(Ticket::TYP, &signed)).unwrap_err()
    };
    let deputy = scene.kem.public().id();
    let named = ticket(&|fields| fields.push((17, Value::bytes(deputy.as_bytes()))));
    assert_eq!(named, Refusal::WrongDeputy);
    assert_eq!(ticket(&|fields| fields.push((63, Value::Int(1)))), Refusal::TicketMalformed);
    assert_eq!(ticket(&|fields| fields[0].1 = Value::text("fleetseal-ticket/2")), Refusal::TicketMalformed);
    let forever = Value::Int(NOW.as_secs() as i64 + 31 * 86_400);
    assert_eq!(ticket(&|fields| fields[10].1 = forever.clone()), Refusal::TicketMalformed);

    let link = |signed: &[u8]| {
        let sealed = seal(Link::TYP, signed);
        let link = OfferedLink { sealed: &sealed, origin: ORIGIN };
        scene.offer_bytes(&scene.ticket(), Some(link)).unwrap_err()
    };
    let mut signed = scene.link.sign(&scene.link_signer).unwrap();
    let last = signed.len() - 1;
    signed[last] ^= 1;
    assert_eq!(link(&signed), Refusal::LinkSignatureInvalid);
    let signed = forged(&scene.link, &scene.link_signer, |fields| fields[3].1 = Value::text("no path"));
    assert_eq!(link(&signed), Refusal::LinkMalformed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn arbitrary_bytes_never_panic_the_device(bytes in prop::collection::vec(any::<u8>(), 0..300), at: usize) {
        let scene = Scene::new();
        prop_assert!(scene.offer_ticket(&bytes).is_err());
        let mut ticket = scene.ticket();
        let link = OfferedLink { sealed: &bytes, origin: ORIGIN };
        prop_assert!(scene.offer_bytes(&ticket, Some(link)).is_err());
        let at = at % ticket.len();
        ticket[at] ^= 1;
        prop_assert!(scene.offer_ticket(&ticket).is_err());
        prop_assert!(State::choose(Some(&bytes), None).is_err());
    }
}
