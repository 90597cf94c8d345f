//! Names, keys, counters and lists of devices.

use std::collections::BTreeSet;

use model::{DeploymentState, SecurityCounter, SpkiDigest};

use super::{
    Subject,
    fixture::{
        Fleet, START, at, certificate, component, device, link, model_name, reservation, serial, spki,
        station, ticket,
    },
};
use crate::{
    Basis, Certificate, CheckIn, CheckedIn, DeviceFilter, DeviceKey, DeviceOrder, DeviceState, Error,
    PageRequest, Reservation, Reserved, Timeline, VersionReport,
};

pub async fn what_must_be_unique_is_reserved_before_it_is_signed(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let reserve = async |new: Reservation| store.reserve(vec![new]).await.map(|mut all| all.remove(0));
    assert_eq!(reserve(reservation(1)).await.unwrap(), Reserved::Granted);
    // Before the certificate is stored a repeat gets what was reserved, whatever it asks for now.
    let known = |certificate| Reserved::Known {
        device: device(1),
        certificate_serial: reservation(1).certificate_serial,
        certificate,
    };
    let again = Reservation { device: device(7), certificate_serial: [7; 16], at: at(5), ..reservation(1) };
    assert_eq!(reserve(again.clone()).await.unwrap(), known(None));
    assert_eq!(store.identity(spki(1)).await.unwrap(), None, "no certificate, no identity");
    store.certify(vec![certificate(1)]).await.unwrap();
    assert_eq!(reserve(again).await.unwrap(), known(Some(certificate(1).der)));

    let two = reservation(2);
    let needs_replace = Reserved::NeedsReplace { device: device(1) };
    let key_seen = Reserved::KeySeen { device: device(1) };
    let table = [
        (
            "new keys for a known serial",
            Reservation { serial: serial(1), ..two.clone() },
            needs_replace.clone(),
        ),
        (
            "the old identity key with a new KEM key",
            Reservation { kem: two.kem, ..reservation(1) },
            needs_replace,
        ),
        ("the identity key of another", Reservation { spki: spki(1), ..two.clone() }, key_seen.clone()),
        ("the KEM key of another", Reservation { kem: reservation(1).kem, ..two.clone() }, key_seen),
    ];
    for (what, wrong, expected) in table {
        assert_eq!(reserve(wrong).await.unwrap(), expected, "{what}");
    }
    let alarms = store.alarms(true, PageRequest::first(9)).await.unwrap().rows;
    assert_eq!(alarms.len(), 1);
    assert_eq!((alarms[0].kind.as_str(), alarms[0].count), (crate::Alarm::KEY_SEEN, 2));

    for taken in [
        Reservation { device: device(1), ..two.clone() },
        Reservation { certificate_serial: reservation(1).certificate_serial, ..two.clone() },
    ] {
        let both = store.reserve(vec![reservation(3), taken]).await;
        assert!(matches!(both, Err(Error::Conflict { .. })), "{both:?}");
    }
    assert_eq!(
        reserve(reservation(3)).await.unwrap(),
        Reserved::Granted,
        "nothing of a failed batch is kept"
    );
    assert!(matches!(store.certify(vec![certificate(2)]).await, Err(Error::NotFound { .. })));
    let other = Certificate { der: vec![9], ..certificate(1) };
    assert!(matches!(store.certify(vec![other]).await, Err(Error::Conflict { .. })));
    let foreign = Certificate { device: device(3), ..certificate(1) };
    assert!(matches!(store.certify(vec![foreign]).await, Err(Error::NotFound { .. })));
    store.certify(vec![certificate(1)]).await.unwrap();
}

pub async fn new_keys_take_a_rekey_or_a_replace(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    fleet.enrol_all(1..=2).await;
    let reserve = async |new: Reservation| store.reserve(vec![new]).await.unwrap().remove(0);
    let rekey = Reservation { basis: Basis::Rekey, device: device(1), serial: serial(1), ..reservation(10) };
    assert_eq!(reserve(Reservation { serial: serial(2), ..rekey.clone() }).await, Reserved::NotActive);
    assert_eq!(reserve(Reservation { device: device(9), ..rekey.clone() }).await, Reserved::NotActive);
    let stolen = Reservation { spki: spki(2), ..rekey.clone() };
    assert_eq!(reserve(stolen).await, Reserved::KeySeen { device: device(2) });
    let half_old = Reservation { kem: reservation(1).kem, ..rekey.clone() };
    assert_eq!(reserve(half_old).await, Reserved::KeySeen { device: device(1) });
    assert_eq!(reserve(rekey.clone()).await, Reserved::Granted);
    assert!(matches!(reserve(rekey).await, Reserved::Known { certificate: None, .. }));
    // A key once reserved never moves.
    let later = Reservation { serial: serial(3), ..reservation(10) };
    assert_eq!(reserve(later).await, Reserved::KeySeen { device: device(1) });
}

pub async fn a_rekey_moves_the_identity_and_drops_what_was_sealed_to_the_old_keys(
    make: impl Fn() -> Subject,
) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[2]).await;
    let deployment = fleet.deploy_new(rollout, 1, 0).await;
    assert!(fleet.offer(deployment, link(1, 600), START).await);
    assert_eq!(store.link(link(1, 600), at(1)).await.unwrap().unwrap().spki, spki(1));

    let rekey = Reservation { basis: Basis::Rekey, device: device(1), serial: serial(1), ..reservation(10) };
    store.reserve(vec![rekey]).await.unwrap();
    assert_eq!(store.identity(spki(1)).await.unwrap().unwrap().device, device(1), "until it is signed");
    let signed = Certificate { device: device(1), ..certificate(10) };
    store.certify(vec![signed.clone()]).await.unwrap();

    assert_eq!(store.identity(spki(1)).await.unwrap(), None);
    assert_eq!(store.identity_by_certificate(certificate(1).sha256).await.unwrap(), None);
    let identity = store.identity_by_certificate(signed.sha256).await.unwrap().unwrap();
    assert_eq!((identity.device, identity.spki), (device(1), spki(10)));
    assert!(!fleet.opens(link(1, 600), at(1)).await);
    let delivery = store.open_deliveries(device(1), at(1)).await.unwrap().remove(0);
    assert_eq!((delivery.ticket, delivery.link, delivery.spki), (None, None, spki(10)));
    assert_eq!(store.certificates(vec![device(1)]).await.unwrap(), [(device(1), signed.der)]);
}

pub async fn a_replace_refuses_the_old_record_at_once(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[2]).await;
    let deployment = fleet.deploy_new(rollout, 1, 0).await;
    assert!(fleet.offer(deployment, link(1, 600), START).await);
    let replace =
        Reservation { basis: Basis::Replace { old: device(1) }, serial: serial(1), ..reservation(2) };
    let other_unit = Reservation { serial: serial(5), ..replace.clone() };
    assert_eq!(store.reserve(vec![other_unit]).await.unwrap(), [Reserved::NotActive]);
    let same_key = Reservation { spki: spki(1), ..replace.clone() };
    assert_eq!(store.reserve(vec![same_key]).await.unwrap(), [Reserved::KeySeen { device: device(1) }]);
    assert_eq!(store.reserve(vec![replace.clone()]).await.unwrap(), [Reserved::Granted]);

    assert_eq!(store.identity(spki(1)).await.unwrap().unwrap().state, DeviceState::Replaced);
    assert!(!fleet.opens(link(1, 600), at(1)).await);
    assert_eq!(fleet.state(deployment).await, DeploymentState::Canceled);
    assert!(matches!(store.reserve(vec![replace]).await.unwrap()[..], [Reserved::Known { .. }]));
    store.certify(vec![certificate(2)]).await.unwrap();
    let unit = store.device_by_serial(serial(1)).await.unwrap().unwrap();
    assert_eq!((unit.id, unit.state), (device(2), DeviceState::Active));
    // The old keys are used up.
    assert_eq!(store.reserve(vec![reservation(1)]).await.unwrap(), [Reserved::KeySeen { device: device(1) }]);
}

pub async fn a_renewal_keeps_the_keys(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    fleet.enrol_all(1..=2).await;
    let renew = Reservation { basis: Basis::Renew, certificate_serial: [0xcc; 16], ..reservation(1) };
    let others = Reservation { spki: spki(2), kem: reservation(2).kem, ..renew.clone() };
    assert_eq!(store.reserve(vec![others]).await.unwrap(), [Reserved::KeySeen { device: device(2) }]);
    assert_eq!(store.reserve(vec![renew.clone()]).await.unwrap(), [Reserved::Granted]);
    let repeat = Reservation { certificate_serial: [0xdd; 16], ..renew };
    let known = store.reserve(vec![repeat]).await.unwrap().remove(0);
    assert!(matches!(known, Reserved::Known { certificate_serial: [0xcc, ..], certificate: None, .. }));
    let signed = Certificate { serial: [0xcc; 16], ..certificate(9) };
    let signed = Certificate { device: device(1), ..signed };
    store.certify(vec![signed.clone()]).await.unwrap();
    let identity = store.identity(spki(1)).await.unwrap().unwrap();
    assert_eq!(identity.certificate, signed.sha256);
    assert_eq!(store.certificates_of(device(1)).await.unwrap(), [certificate(1).der, signed.der]);
    assert_eq!(store.certificates_of(device(2)).await.unwrap().len(), 1);
    let kinds: Vec<_> = store
        .events(Timeline::Device(device(1)), PageRequest::first(9))
        .await
        .unwrap()
        .rows
        .into_iter()
        .map(|event| event.kind)
        .collect();
    assert_eq!(kinds, ["renewed", "enrolled"]);
}

pub async fn a_revoked_device_loses_its_links_and_deployments(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[2]).await;
    let one = fleet.deploy_new(rollout, 1, 0).await;
    let two = fleet.deploy_new(rollout, 2, 0).await;
    assert!(fleet.offer(one, link(1, 600), START).await);
    assert!(fleet.offer(two, link(2, 600), START).await);
    fleet.report(2, DeploymentState::Installing, at(1)).await;

    let both = vec![device(1), device(2), device(3)];
    let withdrawn =
        store.withdraw_devices(both.clone(), DeviceState::Revoked, "stolen".into(), at(2)).await.unwrap();
    assert_eq!(withdrawn.devices, [device(1), device(2)]);
    assert_eq!((withdrawn.links.len(), withdrawn.canceled), (1, 1));
    assert!(!fleet.opens(link(1, 600), at(2)).await);
    assert_eq!(fleet.state(two).await, DeploymentState::Installing, "past recall");
    for n in [1, 2] {
        let identity = store.identity(spki(n)).await.unwrap().unwrap();
        assert_eq!(identity.state, DeviceState::Revoked);
    }
    let again = store.withdraw_devices(both, DeviceState::Retired, "old".into(), at(3)).await.unwrap();
    assert_eq!(again, crate::Withdrawn::default(), "nothing brings a revoked device back");
    let back = store.withdraw_devices(vec![device(1)], DeviceState::Active, String::new(), at(3)).await;
    assert!(matches!(back, Err(Error::Invalid { .. })));
    assert_eq!(store.reserve(vec![reservation(1)]).await.unwrap(), [Reserved::NotActive]);
    let put = store.put_tickets(vec![(one, ticket(9))], at(3)).await.unwrap();
    assert_eq!(put, [crate::TicketTaken::Closed]);
    assert_eq!(store.check_in(vec![check_in(1, 1, 1)]).await.unwrap(), [CheckedIn::NotActive]);
}

fn check_in(n: u64, counter: u64, nonce: u8) -> CheckIn {
    CheckIn { device: device(n), counter, nonce: [nonce; 16], at: at(counter) }
}

pub async fn a_counter_that_falls_or_forks_flags_the_device(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    fleet.enrol_all(1..=2).await;
    let story = vec![check_in(1, 5, 1), check_in(1, 5, 1), check_in(1, 9, 2), check_in(2, 0, 1)];
    assert_eq!(
        store.check_in(story).await.unwrap(),
        [CheckedIn::Taken, CheckedIn::Repeated, CheckedIn::Taken, CheckedIn::Taken]
    );
    // The same counter with another nonce is a fork; a lower one has fallen.
    assert_eq!(store.check_in(vec![check_in(1, 9, 3)]).await.unwrap(), [CheckedIn::Forked { counter: 9 }]);
    assert!(store.identity(spki(1)).await.unwrap().unwrap().cloned);
    assert_eq!(store.check_in(vec![check_in(1, 10, 4)]).await.unwrap(), [CheckedIn::Forked { counter: 9 }]);
    let alarms = store.alarms(true, PageRequest::first(9)).await.unwrap().rows;
    assert_eq!((alarms.len(), alarms[0].device), (1, Some(device(1))));
    store.clear_cloned(device(1), at(20)).await.unwrap();
    assert_eq!(store.check_in(vec![check_in(1, 8, 5)]).await.unwrap(), [CheckedIn::Forked { counter: 9 }]);
    store.clear_cloned(device(1), at(21)).await.unwrap();
    assert_eq!(store.check_in(vec![check_in(1, 10, 6)]).await.unwrap(), [CheckedIn::Taken]);
    assert!(!store.identity(spki(1)).await.unwrap().unwrap().cloned);
    let seen = store.device(device(1)).await.unwrap().unwrap();
    assert_eq!((seen.counter, seen.last_seen_at), (10, Some(at(10))));
}

pub async fn versions_and_counters_of_versions_never_fall(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    fleet.enrol(1).await;
    let report = |version: &str, confirmed: Option<u32>, secs| VersionReport {
        device: device(1),
        component: component(),
        version: version.parse().unwrap(),
        confirmed: confirmed.map(SecurityCounter),
        at: at(secs),
    };
    let told = vec![report("1.0.0", Some(3), 1), report("2.0.0", None, 2)];
    store.record_versions(told).await.unwrap();
    let versions = store.device(device(1)).await.unwrap().unwrap().versions;
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0].reported.to_string(), "2.0.0");
    assert_eq!(versions[0].confirmed.as_ref().map(ToString::to_string).as_deref(), Some("1.0.0"));
    store.record_versions(vec![report("2.0.0", Some(2), 3)]).await.unwrap();
    let device = store.device(device(1)).await.unwrap().unwrap();
    assert_eq!(device.versions[0].security_counter, SecurityCounter(3));
    let counts = store.device_counts().await.unwrap();
    assert_eq!(counts.by_version, [(component(), "2.0.0".parse().unwrap(), 1)]);
}

pub async fn device_lists_hold_each_device_once_whatever_the_filter(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let mut reservations: Vec<Reservation> = (1..=60).map(reservation).collect();
    for odd in reservations.iter_mut().step_by(2) {
        odd.model = "EDGE-1".parse().unwrap();
    }
    store.reserve(reservations).await.unwrap();
    store.certify((1..=60).map(certificate).collect()).await.unwrap();
    let gone = (1..=10).map(device).collect();
    store.withdraw_devices(gone, DeviceState::Retired, "old".into(), at(1)).await.unwrap();
    store.change_cohort("canary".into(), (1..=20).map(device).collect(), vec![]).await.unwrap();
    store.change_cohort("canary".into(), vec![], vec![device(20)]).await.unwrap();
    let told = (1..=30).map(|n| VersionReport {
        device: device(n),
        component: component(),
        version: "1.0.0".parse().unwrap(),
        confirmed: Some(SecurityCounter(0)),
        at: START,
    });
    store.record_versions(told.collect()).await.unwrap();

    let models = [None, Some(model_name())];
    let cohorts = [None, Some("canary".to_owned()), Some("nobody".to_owned())];
    let states = [None, Some(DeviceState::Active), Some(DeviceState::Retired)];
    let prefixes = [None, Some("S000001".to_owned())];
    let versions = [None, Some((component(), "1.0.0".parse().unwrap()))];
    let all = list(&fleet, &DeviceFilter::default()).await;
    assert_eq!(all.len(), 60);
    for model in &models {
        for cohort in &cohorts {
            for state in &states {
                for serial_prefix in &prefixes {
                    for version in &versions {
                        let filter = DeviceFilter {
                            model: model.clone(),
                            cohort: cohort.clone(),
                            state: *state,
                            serial_prefix: serial_prefix.clone(),
                            version: version.clone(),
                            ..DeviceFilter::default()
                        };
                        let found = list(&fleet, &filter).await;
                        let unique: BTreeSet<SpkiDigest> = found.iter().map(|one| one.spki).collect();
                        let expected: BTreeSet<SpkiDigest> =
                            all.iter().filter(|one| meets(one, &filter)).map(|one| one.spki).collect();
                        assert_eq!(unique, expected, "{filter:?}");
                        assert_eq!(found.len(), expected.len(), "{filter:?}");
                    }
                }
            }
        }
    }
    let counts = store.device_counts().await.unwrap();
    assert_eq!(counts.by_state, [(DeviceState::Active, 50), (DeviceState::Retired, 10)]);
    assert_eq!(counts.by_cohort, [("canary".to_owned(), 19)]);
    assert_eq!(counts.by_station, [(station(), 60)]);
    let wrong = PageRequest::after(crate::Cursor::from_text("'; DROP TABLE device"), 5);
    assert!(matches!(store.devices(DeviceFilter::default(), wrong).await, Err(Error::Invalid { .. })));
}

pub async fn device_lists_are_sorted_as_asked(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[9]).await;
    for n in 1..=20 {
        fleet.deploy_new(rollout, n, 0).await;
    }
    let mut rest: Vec<Reservation> = (21..=40).map(reservation).collect();
    for odd in rest.iter_mut().step_by(2) {
        odd.model = "EDGE-1".parse().unwrap();
    }
    store.reserve(rest).await.unwrap();
    store.certify((21..=40).map(certificate).collect()).await.unwrap();

    for by in [DeviceKey::Enrolled, DeviceKey::Serial, DeviceKey::Model] {
        for engaged in [false, true] {
            let of = |descending| DeviceFilter {
                order: Some(DeviceOrder { by, descending }),
                engaged,
                ..DeviceFilter::default()
            };
            let up = list(&fleet, &of(false)).await;
            let mut down = list(&fleet, &of(true)).await;
            down.reverse();
            assert_eq!(up, down, "{by:?}");
            assert_eq!(up.len(), if engaged { 20 } else { 40 });
            assert!(up.iter().all(|one| !engaged || one.deployment == Some(DeploymentState::Queued)));
            let sorted = match by {
                DeviceKey::Enrolled => true,
                DeviceKey::Serial => up.is_sorted_by_key(|one| one.serial.clone()),
                DeviceKey::Model => up.is_sorted_by_key(|one| one.model.clone()),
            };
            assert!(sorted, "{by:?}");
        }
    }
    let order = Some(DeviceOrder { by: DeviceKey::Model, descending: false });
    let serial_prefix = Some("S".to_owned());
    let both = DeviceFilter { order, serial_prefix, ..DeviceFilter::default() };
    assert!(matches!(store.devices(both, PageRequest::first(1)).await, Err(Error::Invalid { .. })));
}

fn meets(device: &crate::Device, filter: &DeviceFilter) -> bool {
    filter.model.as_ref().is_none_or(|model| device.model == *model)
        && filter.state.is_none_or(|state| device.state == state)
        && filter.cohort.as_ref().is_none_or(|cohort| device.cohorts.contains(cohort))
        && filter
            .serial_prefix
            .as_ref()
            .is_none_or(|prefix| device.serial.as_str().starts_with(prefix.as_str()))
        && filter.version.as_ref().is_none_or(|(component, version)| {
            device
                .versions
                .iter()
                .any(|one| one.component == *component && one.confirmed.as_ref() == Some(version))
        })
}

/// All pages of a list.
async fn list(fleet: &Fleet, filter: &DeviceFilter) -> Vec<crate::Device> {
    let mut all = Vec::new();
    let mut page = PageRequest::first(7);
    loop {
        let found = fleet.store.devices(filter.clone(), page).await.unwrap();
        all.extend(found.rows);
        match found.next {
            Some(next) => page = PageRequest::after(next, 7),
            None => return all,
        }
    }
}
