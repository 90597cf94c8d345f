//! Enrolment: the ways in, and the ways that must stay shut.

use std::time::Duration;

use envelope::{P256Key, Replace, Signer};
use model::{DeviceId, Role, Seconds, StationName};
use protocol::{
    Base64, ErrorBody, ErrorCode,
    device::{EnrolRequest, EnrolStatus, ProofRequest, RenewRequest, path},
    operator::{
        AlarmKind, DeviceDetail, DeviceState, Enrolment, EnrolmentState, IssueCertificate, NewToken,
        RefuseEnrolment, Reservation, path as operator,
    },
};
use testkit::{Client, Device, Running};

use crate::support::alarmed;

fn request(token: &NewToken, csr: Vec<u8>) -> EnrolRequest {
    EnrolRequest { token: token.token, csr: Base64(csr), mac: Base64(vec![0; 32]), wait: Seconds(0) }
}

/// Announces a token for this device.
async fn announced(running: &Running, device: &Device) -> NewToken {
    let (token, _) = device.token(&running.fleet.station, running.now() + Seconds::days(1));
    running.admin().await.post(operator::TOKENS, &token).await.done();
    token
}

async fn door(running: &Running, device: &Device) -> Client {
    running.connect_to_enrol(&device.identity).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_is_how_a_device_polls_and_changes_nothing() {
    let running = Running::start().await;
    let mut device = Device::new("A-1");
    let token = announced(&running, &device).await;
    let mut line = door(&running, &device).await;
    let mut admin = running.admin().await;
    for _ in 0..3 {
        let status: EnrolStatus = line.post(path::ENROL, &request(&token, device.csr())).await.ok();
        assert!(matches!(status, EnrolStatus::Pending { .. }));
    }
    let waiting: Vec<Enrolment> = admin.get(operator::ENROLMENTS).await.ok();
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].state, &waiting[0].token), (EnrolmentState::Pending, &token));

    let reserve = device.reserve();
    let Reservation::Reserved { device: id } =
        admin.post(&operator::reserve(token.token), &reserve).await.ok()
    else {
        panic!("a new device is reserved")
    };
    let certificate = device.certificate(&running.fleet, &reserve, id);
    for _ in 0..2 {
        admin.post(&operator::issue(token.token), &certificate).await.done();
    }
    for _ in 0..2 {
        let status: EnrolStatus = line.post(path::ENROL, &request(&token, device.csr())).await.ok();
        let EnrolStatus::Issued { sealed_certificate } = status else { panic!("it was issued") };
        assert_eq!(sealed_certificate, certificate.sealed_certificate);
    }
    let again: Reservation = admin.post(&operator::reserve(token.token), &reserve).await.ok();
    assert!(matches!(again, Reservation::Known { device, certificate: known }
        if device == id && known == certificate.certificate));

    let proof = ProofRequest { token: token.token, proof: Base64(b"signed challenge".to_vec()) };
    line.post(path::PROOF, &proof).await.done();
    let waiting: Vec<Enrolment> = admin.get(operator::ENROLMENTS).await.ok();
    assert_eq!(waiting[0].proof.as_ref(), Some(&proof.proof));
    assert_eq!(waiting[0].certificate.as_ref(), Some(&certificate.certificate));
    admin.post(&operator::proven(token.token), &()).await.done();
    let waiting: Vec<Enrolment> = admin.get(operator::ENROLMENTS).await.ok();
    assert!(waiting.is_empty());
    let detail: DeviceDetail = admin.get(&operator::device(id)).await.ok();
    assert_eq!(detail.proof.unwrap().proof, proof.proof);
    device.take(&running.fleet, id, &certificate.certificate);
    device.check_in(&mut device.connect(&running).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_waits_is_answered_when_a_vault_decides() {
    let running = Running::start().await;
    let device = Device::new("A-1");
    let token = announced(&running, &device).await;
    let mut line = door(&running, &device).await;
    let waiting = EnrolRequest { wait: Seconds(30), ..request(&token, device.csr()) };
    let error = ErrorBody::new(ErrorCode::InvalidCsr, "This is not the unit that was ordered.");
    let (answer, ()) = tokio::join!(line.post(path::ENROL, &waiting), async {
        let mut admin = running.admin().await;
        crate::support::until("the request", async || {
            let waiting: Vec<Enrolment> = admin.get(operator::ENROLMENTS).await.ok();
            (!waiting.is_empty()).then_some(())
        })
        .await;
        let refusal = RefuseEnrolment { error: error.clone() };
        admin.post(&operator::refuse(token.token), &refusal).await.done();
    });
    let EnrolStatus::Refused { error: told } = answer.ok() else { panic!("it was refused") };
    assert_eq!(told, error);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_covers_everything_that_is_wrong_with_a_token() {
    let running = Running::start().await;
    let device = Device::new("A-1");
    let mut line = door(&running, &device).await;
    let (unknown, _) = device.token(&running.fleet.station, running.now() + Seconds::days(1));
    let foreign = announced(&running, &Device::new("A-2")).await;
    let lapsed = announced(&running, &device).await;
    running.clock.advance(Seconds::days(2));
    let mut first: Option<ErrorBody> = None;
    for (what, token) in [("unknown", unknown), ("of another unit", foreign), ("lapsed", lapsed)] {
        let mut error = line.post(path::ENROL, &request(&token, device.csr())).await.error();
        assert_eq!(error.code, ErrorCode::TokenRefused, "{what}");
        error.trace_id.clear();
        assert_eq!(*first.get_or_insert(error.clone()), error, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_serves_the_first_key_alone_and_a_second_raises_an_alarm() {
    let running = Running::start().await;
    let (device, thief) = (Device::new("A-1"), Device::new("A-1"));
    let token = announced(&running, &device).await;
    door(&running, &device).await.post(path::ENROL, &request(&token, device.csr())).await.done();
    let mut line = door(&running, &thief).await;
    let refused = line.post(path::ENROL, &request(&token, thief.csr())).await;
    assert_eq!(refused.code(), ErrorCode::TokenRefused);
    let proof = ProofRequest { token: token.token, proof: Base64(vec![1]) };
    assert_eq!(line.post(path::PROOF, &proof).await.code(), ErrorCode::TokenRefused);
    assert_eq!(alarmed(&mut running.admin().await, AlarmKind::TokenReused).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_another_key_than_the_connection_is_refused() {
    let running = Running::start().await;
    let (device, thief) = (Device::new("A-1"), Device::new("A-1"));
    let token = announced(&running, &device).await;
    let mut line = door(&running, &thief).await;
    let copied = line.post(path::ENROL, &request(&token, device.csr())).await;
    assert_eq!(copied.code(), ErrorCode::InvalidCsr, "a request seen on the way");
    let mut csr = thief.csr();
    csr.push(0);
    let trailing = line.post(path::ENROL, &request(&token, csr)).await;
    assert_eq!(trailing.code(), ErrorCode::InvalidCsr);
    let short = EnrolRequest { mac: Base64(vec![0; 31]), ..request(&token, thief.csr()) };
    assert_eq!(line.post(path::ENROL, &short).await.code(), ErrorCode::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_enrolment_endpoint_leads_nowhere_else_and_the_other_one_not_to_it() {
    let running = Running::start().await;
    let device = running.enrol("A-1").await;
    let mut line = door(&running, &device).await;
    for path in [path::PUSH, path::CHECK_IN, path::REPORTS, operator::FLEET, operator::DEVICES] {
        assert_eq!(line.get(path).await.code(), ErrorCode::NotFound, "{path}");
    }
    line.get("/v1/tuf/1.root.json").await.done();
    assert!(
        running.connect(&Device::new("A-2").identity).await.is_err() || {
            // A client learns only when it asks that its certificate was refused.
            let mut stranger = running.connect(&Device::new("A-2").identity).await.unwrap();
            stranger.request(hyper::Method::GET, path::PUSH, &[], bytes::Bytes::new()).await.is_err()
        }
    );
    let mut normal = device.connect(&running).await;
    let token = announced(&running, &device).await;
    let there = normal.post(path::ENROL, &request(&token, device.csr())).await;
    assert_eq!(there.code(), ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_one_key_at_two_devices_is_refused_and_raises_an_alarm() {
    let running = Running::start().await;
    let mut first = running.enrol("A-1").await;
    first.serial = "A-2".parse().unwrap();
    let token = announced(&running, &first).await;
    door(&running, &first).await.post(path::ENROL, &request(&token, first.csr())).await.done();
    let mut admin = running.admin().await;
    let refused = admin.post(&operator::reserve(token.token), &first.reserve()).await;
    assert_eq!(refused.code(), ErrorCode::KeySeen);
    assert_eq!(alarmed(&mut admin, AlarmKind::KeySeen).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_for_a_known_unit_takes_a_signed_replacement() {
    let running = Running::start().await;
    let old = running.enrol("A-1").await;
    let mut new = Device::new("A-1");
    let token = announced(&running, &new).await;
    door(&running, &new).await.post(path::ENROL, &request(&token, new.csr())).await.done();
    let mut admin = running.admin().await;
    let mut reserve = new.reserve();
    let taken = admin.post(&operator::reserve(token.token), &reserve).await;
    assert_eq!(taken.code(), ErrorCode::SerialTaken);

    let replace = Replace {
        fleet: running.fleet.id,
        device: old.id,
        model: old.model.clone(),
        old: old.spki(),
        new: new.keys(),
        issued_at: running.now(),
    };
    let by_a_ticket_key = replace.sign(&running.fleet.ticket_key).unwrap();
    let for_other_keys = Replace { new: Device::new("A-1").keys(), ..replace.clone() };
    let for_other_keys = for_other_keys.sign(&running.fleet.grant_key).unwrap();
    for wrong in [by_a_ticket_key, for_other_keys] {
        reserve.replace = Some(Base64(wrong));
        let refused = admin.post(&operator::reserve(token.token), &reserve).await;
        assert_eq!(refused.code(), ErrorCode::InvalidObject);
    }
    reserve.replace = Some(Base64(replace.sign(&running.fleet.grant_key).unwrap()));
    let Reservation::Reserved { device: id } =
        admin.post(&operator::reserve(token.token), &reserve).await.ok()
    else {
        panic!("a replacement is reserved")
    };
    let refused = old.connect(&running).await.get(path::PUSH).await;
    assert_eq!(refused.code(), ErrorCode::Revoked, "the old record ends with the reservation");
    let certificate = new.certificate(&running.fleet, &reserve, id);
    admin.post(&operator::issue(token.token), &certificate).await.done();
    new.take(&running.fleet, id, &certificate.certificate);
    new.check_in(&mut new.connect(&running).await).await;
    let detail: DeviceDetail = admin.get(&operator::device(old.id)).await.ok();
    assert_eq!(detail.row.state, DeviceState::Replaced);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_for_the_request_is_not_handed_on() {
    let running = Running::start().await;
    let device = Device::new("A-1");
    let token = announced(&running, &device).await;
    door(&running, &device).await.post(path::ENROL, &request(&token, device.csr())).await.done();
    let mut admin = running.admin().await;
    let reserve = device.reserve();
    let Reservation::Reserved { device: id } =
        admin.post(&operator::reserve(token.token), &reserve).await.ok()
    else {
        panic!("a new device is reserved")
    };
    let good = device.certificate(&running.fleet, &reserve, id);
    let other_keys = Device::new("A-1").certificate(&running.fleet, &reserve, id);
    let other_unit = Device::new("A-2").certificate(&running.fleet, &reserve, id);
    let other_fleet = Running::start().await;
    let other_fleet = device.certificate(&other_fleet.fleet, &reserve, id);
    let mut damaged = good.clone();
    *damaged.certificate.0.last_mut().unwrap() ^= 1;
    for (what, wrong) in [
        ("over other keys", other_keys),
        ("of another unit", other_unit),
        ("of another fleet", other_fleet),
        ("damaged", damaged),
    ] {
        let refused = admin.post(&operator::issue(token.token), &wrong).await;
        assert_eq!(refused.code(), ErrorCode::InvalidObject, "{what}");
    }
    let not_reserved = device.certificate(&running.fleet, &device.reserve(), id);
    assert_eq!(admin.post(&operator::issue(token.token), &not_reserved).await.code(), ErrorCode::NotFound);
    admin.post(&operator::issue(token.token), &good).await.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_speaks_for_itself_alone() {
    let running = Running::start().await;
    let (_, mut own) = running.member("line-1", &[Role::Station]).await;
    let (_, mut other) = running.member("line-2", &[Role::Station]).await;
    let device = Device::new("A-1");
    let (token, _) = device.token(&running.fleet.station, running.now() + Seconds::days(1));
    assert_eq!(other.post(operator::TOKENS, &token).await.code(), ErrorCode::Forbidden);
    own.post(operator::TOKENS, &token).await.done();
    door(&running, &device).await.post(path::ENROL, &request(&token, device.csr())).await.done();
    let reserve = operator::reserve(token.token);
    assert_eq!(other.post(&reserve, &device.reserve()).await.code(), ErrorCode::Forbidden);
    let _: Reservation = own.post(&reserve, &device.reserve()).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_station_brings_its_ca_and_issues_for_its_own_name_space_alone() {
    let running = Running::start().await;
    let (ca, key) = running.fleet.other_station("line-2");
    let device = Device::new("A-1");
    let station: StationName = "line-2".parse().unwrap();
    let (token, _) = device.token(&station, running.now() + Seconds::days(1));
    let mut admin = running.admin().await;
    admin.post(operator::TOKENS, &token).await.done();
    door(&running, &device).await.post(path::ENROL, &request(&token, device.csr())).await.done();
    let reserve = device.reserve();
    let Reservation::Reserved { device: id } =
        admin.post(&operator::reserve(token.token), &reserve).await.ok()
    else {
        panic!("a new device is reserved")
    };
    let by_line_1 = device.certificate(&running.fleet, &reserve, id);
    assert_eq!(admin.post(&operator::issue(token.token), &by_line_1).await.code(), ErrorCode::InvalidObject);
    let by_line_2 = testkit_issue(&ca, &key, &device, &reserve, id, running.fleet.founded_at);
    let unknown = admin.post(&operator::issue(token.token), &by_line_2).await;
    assert_eq!(unknown.code(), ErrorCode::InvalidObject, "nobody told of this CA");
    let put = protocol::operator::PutCertificate { certificate: Base64(ca.certificate().der().to_vec()) };
    admin.put(operator::CAS, &put).await.done();
    admin.post(&operator::issue(token.token), &by_line_2).await.done();
}

fn testkit_issue(
    ca: &pki::CaCertificate,
    key: &P256Key,
    device: &Device,
    reserve: &protocol::operator::Reserve,
    id: DeviceId,
    now: model::UnixTime,
) -> IssueCertificate {
    struct Ecdsa<'a>(&'a P256Key);
    impl pki::P256Signer for Ecdsa<'_> {
        fn public_key_sec1(&self) -> [u8; 65] {
            self.0.public_key().as_bytes().try_into().unwrap()
        }
        fn sign(&self, message: &[u8]) -> Result<[u8; 64], pki::SignError> {
            Ok(self.0.sign(message).unwrap())
        }
    }
    let profile = pki::DeviceProfile {
        device: id,
        serial: device.serial.clone(),
        model: device.model.clone(),
        not_after: model::UnixTime::MAX,
        certificate_serial: reserve.certificate_serial.as_ref().try_into().unwrap(),
    };
    let signer = Ecdsa(key);
    let csr = pki::Csr::parse(&device.csr()).unwrap();
    let certificate = profile.issue(&csr, &pki::Ca::new(ca, &signer).unwrap(), now).unwrap();
    IssueCertificate { certificate: Base64(certificate.to_vec()), sealed_certificate: Base64(vec![1]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_renews_with_the_keys_that_it_has_on_either_endpoint() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let renewal = RenewRequest { csr: Base64(device.csr()), wait: Seconds(0) };
    let mut lines = [device.connect(&running).await, door(&running, &device).await];
    for line in &mut lines {
        let status: EnrolStatus = line.post(path::RENEW, &renewal).await.ok();
        assert!(matches!(status, EnrolStatus::Pending { .. }));
    }
    let mut admin = running.admin().await;
    let waiting: Vec<Enrolment> = admin.get(operator::ENROLMENTS).await.ok();
    let [waiting] = &waiting[..] else { panic!("one renewal, however often it is asked for: {waiting:?}") };
    assert_eq!((waiting.renews, &waiting.mac), (Some(device.id), &None));
    let certificate = device.certificate(&running.fleet, &device.reserve(), device.id);
    admin.post(&operator::issue(waiting.token.token), &certificate).await.done();
    let status: EnrolStatus = lines[0].post(path::RENEW, &renewal).await.ok();
    assert!(matches!(status, EnrolStatus::Issued { .. }));
    device.check_in(&mut lines[0]).await;
    let id = device.id;
    device.take(&running.fleet, id, &certificate.certificate);
    device.check_in(&mut device.connect(&running).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_other_keys_is_none() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let mut line = device.connect(&running).await;
    let foreign = RenewRequest { csr: Base64(Device::new("A-1").csr()), wait: Seconds(0) };
    assert_eq!(line.post(path::RENEW, &foreign).await.code(), ErrorCode::InvalidCsr);
    device.kem = envelope::KemSecret::generate(&mut envelope::SystemRandom).unwrap();
    let other_kem = RenewRequest { csr: Base64(device.csr()), wait: Seconds(0) };
    assert_eq!(line.post(path::RENEW, &other_kem).await.code(), ErrorCode::InvalidCsr);
    let stranger = Device::new("A-9");
    let unknown = RenewRequest { csr: Base64(stranger.csr()), wait: Seconds(0) };
    let refused = door(&running, &stranger).await.post(path::RENEW, &unknown).await;
    assert_eq!(refused.code(), ErrorCode::DeviceUnrecognized);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_waits_does_not_keep_the_backend_from_stopping() {
    let mut running = Running::start().await;
    let device = Device::new("A-1");
    let token = announced(&running, &device).await;
    let mut line = door(&running, &device).await;
    let waiting = EnrolRequest { wait: Seconds(30), ..request(&token, device.csr()) };
    let asking = tokio::spawn(async move { line.post(path::ENROL, &waiting).await });
    let mut admin = running.admin().await;
    crate::support::until("the request", async || {
        let waiting: Vec<Enrolment> = admin.get(operator::ENROLMENTS).await.ok();
        (!waiting.is_empty()).then_some(())
    })
    .await;
    tokio::time::timeout(Duration::from_secs(3), running.stop()).await.expect("it stops at once");
    let status: EnrolStatus = asking.await.unwrap().ok();
    assert!(matches!(status, EnrolStatus::Pending { .. }));
}
