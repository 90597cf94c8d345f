use std::time::Duration;

use model::{Seconds, UnixTime};

use super::{
    board::{Power, Rig, settings},
    fleet::NOW,
};
use crate::{Blob, Copy, Device, Error, Storage as _, enrol, renew, report_loss};

#[tokio::test(start_paused = true)]
async fn a_device_enrols_with_a_token_and_proves_its_keys() {
    let rig = Rig::blank(false, &[]);
    assert!(matches!(rig.open(&Power::steady()), Err(Error::NotEnrolled)));
    rig.backend.world().undecided = 3;
    let mut parts = rig.parts(&Power::steady());
    let device = enrol(Some(rig.token()), &settings(), &mut parts).await.unwrap();
    assert!(rig.backend.world().proven);
    assert_eq!(rig.requested("/v1/enrol/proof"), 1);
    assert_eq!(rig.disk.read(Blob::Enrolment).unwrap(), None);
    let mut opened = rig.open(&Power::steady()).unwrap();
    assert_eq!(opened.id(), device);
    opened.check_in().await.unwrap();
    assert_eq!(rig.confirmed(), ("1.0.0".to_owned(), 1));
}

#[tokio::test(start_paused = true)]
async fn an_enrolment_cut_off_anywhere_goes_on_with_the_same_keys_and_request() {
    for done in [false, true] {
        let mut operations = 0;
        loop {
            let rig = Rig::blank(false, &[]);
            let power = Power::fails_after(operations, done);
            let token = rig.token();
            let text = token.to_text().unwrap();
            let cut = enrol(Some(token), &settings(), &mut rig.parts(&power)).await;
            let keys = [Blob::IdentityKey, Blob::KemKey].map(|key| rig.disk.read(key).unwrap());
            let again = Some(text.parse().unwrap());
            let first = rig.backend.world().issued.clone();
            let enrolled = enrol(again, &settings(), &mut rig.parts(&Power::steady())).await.unwrap();
            for (before, blob) in keys.into_iter().zip([Blob::IdentityKey, Blob::KemKey]) {
                let now = rig.disk.read(blob).unwrap();
                assert!(before.is_none() || before == now, "{blob:?} changed");
            }
            let issued = rig.backend.world().issued.clone().unwrap();
            assert_eq!(issued.1.device, enrolled);
            if let Some(first) = first {
                assert_eq!((first.1.device, first.2.spki_digest()), (enrolled, issued.2.spki_digest()));
                // Until the device is done with it, it repeats its request to the letter.
                assert!(first.0 == issued.0 || rig.disk.read(Blob::Identity).unwrap().is_some());
            }
            rig.open(&Power::steady()).unwrap().check_in().await.unwrap();
            if cut.is_ok() && !power.failed() {
                break;
            }
            operations += 1;
        }
        assert!(operations > 8, "{operations} operations were cut");
    }
}

#[tokio::test(start_paused = true)]
async fn an_enrolment_goes_on_without_the_token_being_given_again() {
    let rig = Rig::blank(false, &[]);
    let mut parts = rig.parts(&Power::steady());
    assert!(matches!(enrol(None, &settings(), &mut parts).await, Err(Error::NoToken)));
    rig.backend.world().undecided = u32::MAX;
    let token = rig.token();
    assert!(waits(enrol(Some(token), &settings(), &mut parts)).await);
    rig.backend.world().undecided = 0;
    enrol(None, &settings(), &mut parts).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_backend_under_another_root_or_with_other_metadata_gets_nothing() {
    let rig = Rig::blank(false, &[]);
    let mut parts = rig.parts(&Power::steady());
    let mut token = rig.token();
    token.ca_root = envelope::sha256(b"another");
    assert!(waits(enrol(Some(token), &settings(), &mut parts)).await);
    assert_eq!(rig.requested("/"), 0, "nothing is said before the server is known");

    let mut token = rig.token();
    token.tuf_root = envelope::sha256(b"another");
    let refused = enrol(Some(token), &settings(), &mut parts).await;
    assert!(matches!(refused, Err(Error::Keys { .. })), "{refused:?}");
    assert_eq!(rig.requested("/v1/enrol/proof"), 0);
    assert!(matches!(rig.open(&Power::steady()), Err(Error::NotEnrolled)));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_token_is_refused_for_good() {
    let rig = Rig::blank(false, &[]);
    let mut token = rig.token();
    token.secret = envelope::TokenSecret::from_bytes(&[0; 32]);
    let refused = enrol(Some(token), &settings(), &mut rig.parts(&Power::steady())).await;
    let Err(error @ Error::Refused(_)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code(), protocol::ErrorCode::TokenRefused);
}

#[tokio::test(start_paused = true)]
async fn a_lost_state_fails_closed_is_reported_and_mended_by_a_token() {
    let rig = Rig::new(false, &[]).await;
    rig.disk.damage(Blob::State(Copy::First));
    rig.open(&Power::steady()).unwrap();
    for (blob, name) in
        [(Blob::State as fn(Copy) -> Blob, "state"), (Blob::Trust, "trust"), (Blob::Counter, "counter")]
    {
        let rig = rig.fork(false);
        rig.disk.damage(blob(Copy::First));
        rig.disk.damage(blob(Copy::Second));
        assert!(matches!(rig.open(&Power::steady()), Err(Error::StateLost)), "{name}");
        let mut parts = rig.parts(&Power::steady());
        report_loss(&mut parts).await.unwrap();
        assert_eq!(rig.backend.reported().last().unwrap().1.as_deref(), Some("state_lost"));
        let device = rig.backend.recipient().device;
        let again = enrol(Some(rig.token()), &settings(), &mut parts).await.unwrap();
        assert_eq!(device, again);
        rig.open(&Power::steady()).unwrap().check_in().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_keeps_the_keys_and_refuses_a_certificate_for_another() {
    let rig = Rig::new(false, &[]).await;
    let keys = rig.disk.read(Blob::IdentityKey).unwrap();
    let before = rig.disk.read(Blob::Identity).unwrap();
    renew(None, &mut rig.parts(&Power::steady())).await.unwrap();
    let renewed = rig.disk.read(Blob::Identity).unwrap();
    assert_ne!(renewed, before);
    rig.open(&Power::steady()).unwrap().check_in().await.unwrap();

    rig.backend.world().renames = true;
    let refused = renew(None, &mut rig.parts(&Power::steady())).await;
    assert!(matches!(refused, Err(Error::Certificate { .. })), "{refused:?}");
    assert_eq!(rig.disk.read(Blob::Identity).unwrap(), renewed);
    assert_eq!(rig.disk.read(Blob::IdentityKey).unwrap(), keys);
}

#[tokio::test(start_paused = true)]
async fn a_short_certificate_is_renewed_in_time_and_one_that_lapsed_as_well() {
    for (days, lapsed) in [(19, false), (25, true)] {
        let rig = Rig::blank(false, &[]);
        rig.backend.world().not_after = NOW + Seconds::days(24);
        let mut parts = rig.parts(&Power::steady());
        enrol(Some(rig.token()), &settings(), &mut parts).await.unwrap();
        let before = rig.disk.read(Blob::Identity).unwrap();
        let minutes = |count: u64| {
            let begun = tokio::time::Instant::now();
            move |_: &Rig| begun.elapsed() > Duration::from_secs(60 * count)
        };
        rig.run_until(&Power::steady(), minutes(5)).await;
        assert_eq!(rig.requested("/v1/renew"), 0, "far too early");

        rig.clock.pass(Seconds::days(days));
        rig.backend.world().undecided = 1;
        let hellos = rig.requested("/v1/check-in") + rig.requested("/v1/tuf/");
        rig.run_until(&Power::steady(), minutes(5)).await;
        assert_eq!(rig.disk.read(Blob::Identity).unwrap(), before);
        assert!(rig.requested("/v1/renew") > 0);
        let went_on = rig.requested("/v1/check-in") + rig.requested("/v1/tuf/") > hellos;
        assert_eq!(went_on, !lapsed, "an undecided renewal is waited for only by one who needs it");

        rig.backend.world().undecided = 0;
        rig.backend.world().not_after = UnixTime::MAX;
        rig.run_until(&Power::steady(), |rig| rig.disk.read(Blob::Identity).unwrap() != before).await;
        assert_eq!(crate::Status::read(&rig.disk).unwrap().certificate_not_after, UnixTime::MAX);
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_identity_is_a_lost_state() {
    let rig = Rig::new(false, &[]).await;
    rig.disk.clone().write(Blob::Identity, b"{").unwrap();
    assert!(matches!(rig.open(&Power::steady()), Err(Error::StateLost)));
    enrol(Some(rig.token()), &settings(), &mut rig.parts(&Power::steady())).await.unwrap();
    rig.open(&Power::steady()).unwrap().check_in().await.unwrap();
}

/// Whether it is still going on after a minute.
async fn waits<T>(work: impl Future<Output = T>) -> bool {
    tokio::time::timeout(std::time::Duration::from_secs(60), work).await.is_err()
}

#[test]
fn a_running_device_can_be_spawned() {
    fn assert_send<T: Send>(_: &T) {}
    fn check(device: &mut Device) {
        assert_send(&device.run(std::future::pending()));
    }
    let _: fn(&mut Device) = check;
}
