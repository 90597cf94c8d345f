//! R3: one certificate each, and none that was taken back.

use model::{RolloutState, Seconds};
use protocol::{
    ErrorCode,
    device::{ReportsRequest, link_path, path},
    operator::{
        AlarmKind, DeviceDetail, DeviceState, Hint, Page, RevokeDevice, TimelineEntry, path as operator,
    },
};
use testkit::Running;

use crate::support::{alarmed, alarms, next_event, next_offer, online, reaches, until};

fn revoke(state: DeviceState) -> RevokeDevice {
    RevokeDevice { state, reason: "stolen".to_owned(), revocation_list: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_a_revoked_device_is_refused_at_its_next_request_and_its_stream_is_closed() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let released = running.release("1.2.0", 60_000_000).await;
    let (mut line, mut push) = online(&running, &mut device).await;
    let rollout = running.roll_out(&released, &[&device], running.policy(&[1])).await;
    let link = device.link_id(&running, &next_offer(&mut push).await);

    let mut admin = running.admin().await;
    admin.post(&operator::revoke_device(device.id), &revoke(DeviceState::Revoked)).await.done();
    assert!(next_event(&mut push).await.is_none(), "the stream is closed");
    let (_, answer) = device.hello(&mut line, 99).await;
    assert_eq!(answer.code(), ErrorCode::Revoked, "on the very connection that it had");
    assert_eq!(line.get(&link_path(link)).await.code(), ErrorCode::Revoked);
    let reports = ReportsRequest { reports: Vec::new() };
    assert_eq!(line.post(path::REPORTS, &reports).await.code(), ErrorCode::Revoked);
    assert_eq!(line.get("/v1/tuf/timestamp.json").await.code(), ErrorCode::Revoked);
    let mut again = device.connect(&running).await;
    assert_eq!(again.get(path::PUSH).await.code(), ErrorCode::Revoked);

    assert_eq!(alarmed(&mut admin, AlarmKind::RevokedDevice).await, 1, "once a minute");
    let detail: DeviceDetail = admin.get(&operator::device(device.id)).await.ok();
    assert_eq!(detail.row.state, DeviceState::Revoked);
    assert_eq!(detail.deployments, []);
    reaches(&running, &mut admin, rollout, RolloutState::Finished).await;
    let timeline: Page<TimelineEntry> = admin.get(&operator::timeline(device.id)).await.ok();
    let kinds: Vec<_> = timeline.rows.iter().map(|entry| entry.kind.as_str()).collect();
    assert!(kinds.contains(&"revoked") && kinds.contains(&"enrolled"), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_under_way_stops_when_its_device_is_revoked() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let released = running.release("1.2.0", 60_000_000).await;
    let (mut line, mut push) = online(&running, &mut device).await;
    running.roll_out(&released, &[&device], running.policy(&[1])).await;
    let link = device.link_id(&running, &next_offer(&mut push).await);
    let empty = http_body_util::BodyExt::map_err(http_body_util::Empty::new(), |never| match never {});
    let request = hyper::Request::get(link_path(link)).header("host", "localhost").body(empty).unwrap();
    let answer = line.send(request).await.unwrap();
    let mut admin = running.admin().await;
    admin.post(&operator::revoke_device(device.id), &revoke(DeviceState::Retired)).await.done();
    assert!(http_body_util::BodyExt::collect(answer.into_body()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_a_copied_disk_is_noticed_by_its_counter_and_refused_until_a_person_looked() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let (mut line, mut push) = online(&running, &mut device).await;
    device.check_in(&mut line).await;
    let (_, copied) = device.hello(&mut line, 2).await;
    assert_eq!(copied.code(), ErrorCode::DeviceCloned, "the same counter with another nonce");
    assert!(next_event(&mut push).await.is_none(), "both are shut out");
    let (_, original) = device.hello(&mut line, 3).await;
    assert_eq!(original.code(), ErrorCode::DeviceCloned);

    let mut admin = running.admin().await;
    assert_eq!(alarmed(&mut admin, AlarmKind::DeviceCloned).await, 1);
    let detail: DeviceDetail = admin.get(&operator::device(device.id)).await.ok();
    assert_eq!(detail.row.state, DeviceState::Cloned);
    let alarm = alarms(&mut admin).await.remove(0);
    admin.post(&operator::acknowledge(alarm.number), &()).await.done();
    assert!(alarms(&mut admin).await[0].acknowledged);
    admin.post(&operator::clear_cloned(device.id), &()).await.done();
    let (nonce, answer) = device.hello(&mut line, 10).await;
    let response: protocol::device::CheckInResponse = answer.ok();
    assert_eq!(device.verify_check_in(&running, &nonce, &response.check_in), running.now());
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_a_hello_is_no_clone() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let mut line = device.connect(&running).await;
    device.check_in(&mut line).await;
    let request = protocol::device::CheckInRequest {
        counter: 7,
        nonce: protocol::Base64(vec![7; 16]),
        components: Vec::new(),
    };
    line.post(path::CHECK_IN, &request).await.done();
    line.post(path::CHECK_IN, &request).await.done();
    let short =
        protocol::device::CheckInRequest { nonce: protocol::Base64(vec![7; 15]), counter: 8, ..request };
    assert_eq!(line.post(path::CHECK_IN, &short).await.code(), ErrorCode::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_no_device_and_a_device_no_person() {
    let running = Running::start().await;
    let device = running.enrol("A-1").await;
    let mut line = device.connect(&running).await;
    assert_eq!(line.get(operator::FLEET).await.code(), ErrorCode::Forbidden);
    let mut admin = running.admin().await;
    assert_eq!(admin.get(path::PUSH).await.code(), ErrorCode::DeviceUnrecognized);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_of_a_person_ends_at_once_and_their_stream_with_it() {
    let running = Running::start().await;
    let (member, mut line) = running.member("eve", &[model::Role::Auditor]).await;
    let mut events = running.connect(&member.identity).await.unwrap().stream(operator::EVENTS).await;
    assert!(matches!(events.next().await, Some(Hint::Ping { .. })));
    let mut admin = running.admin().await;
    admin.post(&operator::revoke_person(member.spki), &()).await.done();
    assert_eq!(line.get(operator::FLEET).await.code(), ErrorCode::Revoked);
    // Whatever happens next, the stream ends instead of telling it.
    running.enrol("A-1").await;
    assert_eq!(events.next::<Hint>().await, None);
    let own = admin.post(&operator::revoke_person(running.admin.spki), &()).await;
    assert_eq!(own.code(), ErrorCode::Conflict, "the last admin does not lock themselves out");
    running.clock.advance(Seconds(1));
    assert!(line.get(operator::FLEET).await.status.is_client_error());
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_hear_what_changes() {
    let running = Running::start().await;
    let mut events = running.admin().await.stream(operator::EVENTS).await;
    assert!(matches!(events.next().await, Some(Hint::Ping { .. })));
    let device = running.enrol("A-1").await;
    let mut heard = Vec::new();
    until("both hints", async || {
        heard.push(events.next::<Hint>().await.unwrap());
        (heard.contains(&Hint::Enrolment) && heard.contains(&Hint::Device { device: device.id }))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_revocation_list_is_served_and_an_older_one_never_takes_its_place() {
    let running = Running::start().await;
    let (first, second) = (running.enrol("A-1").await, running.enrol("A-2").await);
    let mut admin = running.admin().await;
    let list = |number: u64, keys: &[&testkit::Device], signer: &envelope::Ed25519Key| {
        let list = envelope::RevocationList {
            fleet: running.fleet.id,
            number,
            issued_at: running.now(),
            not_after: running.now() + Seconds::days(30),
            keys: keys.iter().map(|device| device.spki()).collect(),
            stations: Vec::new(),
        };
        protocol::Base64(list.sign(signer).unwrap())
    };
    let grant = &running.fleet.grant_key;
    let with = |list| RevokeDevice { revocation_list: Some(list), ..revoke(DeviceState::Revoked) };
    let at = operator::revoke_device(first.id);
    for (what, wrong) in [
        ("of another device", list(5, &[&second], grant)),
        ("by a ticket key", list(5, &[&first], &running.fleet.ticket_key)),
    ] {
        assert_eq!(admin.post(&at, &with(wrong)).await.code(), ErrorCode::InvalidObject, "{what}");
    }
    first.connect(&running).await.get("/v1/tuf/timestamp.json").await.done();
    let newest = list(5, &[&first], grant);
    admin.post(&at, &with(newest.clone())).await.done();
    assert_eq!(admin.get("/v1/tuf/revoked.cbor").await.body, newest.0);
    let at = operator::revoke_device(second.id);
    let older = list(5, &[&first, &second], grant);
    assert_eq!(admin.post(&at, &with(older)).await.code(), ErrorCode::InvalidObject);
    let next = list(6, &[&first, &second], grant);
    admin.post(&at, &with(next.clone())).await.done();
    assert_eq!(admin.get("/v1/tuf/revoked.cbor").await.body, next.0);
}
