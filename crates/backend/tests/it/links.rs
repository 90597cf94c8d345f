//! Download links: R4 to R7, and what else could go wrong with them.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request};
use model::{DeploymentState, LinkId, LinkState, Seconds};
use protocol::{
    ErrorCode,
    device::{Offer, link_path, segments_path},
    operator::{AlarmKind, FleetSummary, path},
};
use testkit::{Client, Device, Released, Running, Stream};

use crate::support::{alarmed, links, next_offer, online, until};

/// A device with an offer of so many bytes.
struct Offered {
    running: Running,
    device: Device,
    line: Client,
    push: Stream,
    released: Released,
    offer: Offer,
    link: LinkId,
}

async fn offered(length: usize) -> Offered {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let released = running.release("1.2.0", length).await;
    let (line, mut push) = online(&running, &mut device).await;
    running.roll_out(&released, &[&device], running.policy(&[1])).await;
    let offer = next_offer(&mut push).await;
    let link = device.link_id(&running, &offer);
    Offered { running, device, line, push, released, offer, link }
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_a_link_opens_for_its_own_device_alone_and_the_attempt_raises_an_alarm() {
    let Offered { running, link, mut line, released, .. } = offered(100_000).await;
    let mut admin = running.admin().await;
    let mut other = running.enrol("A-2").await;
    let mut thief = other.connect(&running).await;
    other.check_in(&mut thief).await;
    for _ in 0..3 {
        assert_eq!(thief.get(&link_path(link)).await.code(), ErrorCode::LinkGone);
        assert_eq!(thief.get(&segments_path(link)).await.code(), ErrorCode::LinkGone);
    }
    assert_eq!(alarmed(&mut admin, AlarmKind::ForeignLink).await, 1, "once, however often it tries");
    assert_eq!(admin.get(&link_path(link)).await.code(), ErrorCode::DeviceUnrecognized, "nor for a person");
    let mut enrolling = running.connect_to_enrol(&Device::new("A-3").identity).await.unwrap();
    assert_eq!(enrolling.get(&link_path(link)).await.code(), ErrorCode::NotFound, "nor before a certificate");
    assert_eq!(line.get(&link_path(link)).await.body, released.payload.ciphertext);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_that_does_not_open_is_answered_alike() {
    let Offered { running, link, mut line, .. } = offered(100_000).await;
    let mut other = running.enrol("A-2").await;
    let mut thief = other.connect(&running).await;
    other.check_in(&mut thief).await;
    let foreign = thief.get(&link_path(link)).await.error();
    let unknown = LinkId::random(running.now() + Seconds(60), &mut envelope::SystemRandom);
    let lapsed = LinkId::random(running.now() - Seconds(1), &mut envelope::SystemRandom);
    line.get(&link_path(link)).await.done();
    for (what, path) in [
        ("unknown", link_path(unknown)),
        ("lapsed", link_path(lapsed)),
        ("used", link_path(link)),
        ("no id at all", "/v1/links/lnk_0".to_owned()),
    ] {
        let mut error = line.get(&path).await.error();
        error.trace_id.clone_from(&foreign.trace_id);
        assert_eq!(error, foreign, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_link_ends_when_the_servers_clock_says_so() {
    let Offered { running, link, mut line, .. } = offered(100_000).await;
    running.clock.advance(Seconds(599));
    line.request(Method::GET, &link_path(link), &[("range", "bytes=0-0")], Bytes::new())
        .await
        .unwrap()
        .done();
    running.clock.advance(Seconds(1));
    assert_eq!(line.get(&link_path(link)).await.code(), ErrorCode::LinkGone);
}

#[tokio::test(flavor = "multi_thread")]
async fn r6_a_link_yields_nothing_once_its_download_is_complete() {
    let Offered { running, link, mut line, .. } = offered(2_500_000).await;
    let mut admin = running.admin().await;
    line.get(&link_path(link)).await.done();
    assert_eq!(line.get(&link_path(link)).await.code(), ErrorCode::LinkGone, "at once");
    assert_eq!(line.get(&segments_path(link)).await.code(), ErrorCode::LinkGone);
    assert_eq!(links(&mut admin).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn r6_a_confirmed_download_ends_the_link_although_not_every_byte_was_served() {
    let Offered { running, mut device, link, mut line, offer, .. } = offered(2_500_000).await;
    line.request(Method::GET, &link_path(link), &[("range", "bytes=0-9")], Bytes::new())
        .await
        .unwrap()
        .done();
    device.report(&mut line, &offer, DeploymentState::Downloaded, running.now()).await;
    assert_eq!(line.get(&link_path(link)).await.code(), ErrorCode::LinkGone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_used_twice_at_once_is_used_up_once() {
    let Offered { running, device, link, .. } = offered(2_500_000).await;
    let mut downloads = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut line = device.connect(&running).await;
        downloads.spawn(async move {
            // One that comes late may be cut off in the middle.
            line.request(Method::GET, &link_path(link), &[], Bytes::new()).await.map(|answer| answer.status)
        });
    }
    let statuses = downloads.join_all().await;
    assert!(statuses.iter().any(|status| status.as_ref().is_ok_and(|status| *status == 200)), "{statuses:?}");
    let mut line = device.connect(&running).await;
    assert_eq!(line.get(&link_path(link)).await.code(), ErrorCode::LinkGone);
    let summary: FleetSummary = running.admin().await.get(path::FLEET).await.ok();
    assert_eq!((summary.links.consumed, summary.links.open), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_where_it_was_cut_and_counts_across_links() {
    let Offered { running, device, link, mut line, mut push, released, .. } = offered(2_500_000).await;
    let mut admin = running.admin().await;
    let all = released.payload.ciphertext.clone();
    let half = all.len() / 2;
    let range = format!("bytes=0-{}", half - 1);
    let first =
        line.request(Method::GET, &link_path(link), &[("range", &range)], Bytes::new()).await.unwrap();
    assert_eq!(first.status, 206);
    assert_eq!(first.headers["content-range"], format!("bytes 0-{}/{}", half - 1, all.len()));
    assert_eq!(first.body, all.slice(..half));
    until("the first half on record", async || {
        let row = links(&mut admin).await.pop()?;
        (row.state == LinkState::Active && row.served_bytes == half as u64).then_some(())
    })
    .await;

    running.clock.advance(Seconds::minutes(10));
    let offer = next_offer(&mut push).await;
    let fresh = device.link_id(&running, &offer);
    assert_ne!(fresh, link);
    let range = format!("bytes={half}-");
    let rest =
        line.request(Method::GET, &link_path(fresh), &[("range", &range)], Bytes::new()).await.unwrap();
    assert_eq!(rest.body, all.slice(half..));
    assert_eq!(line.get(&link_path(fresh)).await.code(), ErrorCode::LinkGone, "both halves make a whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_outside_the_content_is_refused_with_its_length() {
    let Offered { running: _running, link, mut line, .. } = offered(100_000).await;
    let headers = [("range", "bytes=9999999-")];
    let outside = line.request(Method::GET, &link_path(link), &headers, Bytes::new()).await.unwrap();
    assert_eq!(outside.code(), ErrorCode::RangeUnsatisfiable);
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_link_that_nobody_used_is_deleted_and_a_fresh_one_is_pushed_without_asking() {
    let Offered { running, device, link, mut line, mut push, released, .. } = offered(100_000).await;
    let mut admin = running.admin().await;
    for _ in 0..3 {
        let before = links(&mut admin).await[0].id;
        running.clock.advance(Seconds::minutes(10));
        let offer = next_offer(&mut push).await;
        let fresh = device.link_id(&running, &offer);
        assert_ne!(fresh, before);
        assert_eq!(line.get(&link_path(before)).await.code(), ErrorCode::LinkGone);
        assert_eq!(links(&mut admin).await.len(), 1);
    }
    let summary: FleetSummary = admin.get(path::FLEET).await.ok();
    assert_eq!((summary.links.issued, summary.links.reissued, summary.links.expired), (4, 3, 3));
    let last = links(&mut admin).await[0].id;
    assert_ne!(last, link);
    assert_eq!(line.get(&link_path(last)).await.body, released.payload.ciphertext);
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_an_absent_device_gets_its_fresh_link_when_it_comes_back_and_none_is_made_before() {
    let Offered { running, mut device, line, push, .. } = offered(100_000).await;
    let mut admin = running.admin().await;
    drop((line, push));
    until("the stream's end", async || {
        let summary: FleetSummary = admin.get(path::FLEET).await.ok();
        (summary.devices.online == 0).then_some(())
    })
    .await;
    for _ in 0..5 {
        running.clock.advance(Seconds::minutes(10));
        until("the sweep", async || {
            let summary: FleetSummary = admin.get(path::FLEET).await.ok();
            (summary.links.expired == 1).then_some(())
        })
        .await;
    }
    let summary: FleetSummary = admin.get(path::FLEET).await.ok();
    assert_eq!((summary.links.issued, summary.links.expired), (1, 1), "no churn");

    let mut line = device.connect(&running).await;
    let offers = device.check_in(&mut line).await.offers;
    let link = device.link_id(&running, &offers[0]);
    let again = device.check_in(&mut line).await.offers;
    assert_eq!(device.link_id(&running, &again[0]), link, "the same one as long as it is good");
    line.get(&link_path(link)).await.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_used_up_without_a_word_from_the_device_is_remade_after_a_minute() {
    let Offered { running, mut device, link, mut line, mut push, offer, .. } = offered(100_000).await;
    line.get(&link_path(link)).await.done();
    assert_eq!(device.check_in(&mut line).await.offers, [], "it is checking what it has");
    running.clock.advance(Seconds(61));
    let again = next_offer(&mut push).await;
    assert_eq!(again.deployment, offer.deployment);
    let fresh = device.link_id(&running, &again);
    line.get(&link_path(fresh)).await.done();
    device.report(&mut line, &offer, DeploymentState::Downloaded, running.now()).await;
    running.clock.advance(Seconds(61));
    assert_eq!(device.check_in(&mut line).await.offers, [], "once it has said so, nothing more comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_asks_again_after_its_download_gets_a_link_once_checking_must_be_over() {
    let Offered { running, mut device, link, mut line, offer, .. } = offered(100_000).await;
    line.get(&link_path(link)).await.done();
    running.clock.advance(Seconds(9));
    assert_eq!(device.check_in(&mut line).await.offers, [], "it may still be checking what it has");
    running.clock.advance(Seconds(1));
    let again = device.check_in(&mut line).await.offers;
    assert_eq!(again[0].deployment, offer.deployment);
    let fresh = device.link_id(&running, &again[0]);
    assert_ne!(fresh, link);
    line.get(&link_path(fresh)).await.done();
}

/// Reads the head of an answer and a little of its body, and leaves the rest.
async fn begin(line: &mut Client, link: LinkId) -> hyper::Response<hyper::body::Incoming> {
    let empty = Empty::<Bytes>::new().map_err(|never| match never {});
    let request = Request::get(link_path(link)).header("host", "localhost").body(empty).unwrap();
    let mut answer = line.send(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.body_mut().frame().await.unwrap().is_ok());
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_under_way_stops_when_its_link_lapses_and_goes_on_with_the_next() {
    let Offered { running, device, link, mut line, mut push, .. } = offered(60_000_000).await;
    let answer = begin(&mut line, link).await;
    running.clock.advance(Seconds::minutes(10));
    assert!(answer.into_body().collect().await.is_err(), "cut off");
    let offer = next_offer(&mut push).await;
    assert_ne!(device.link_id(&running, &offer), link);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_off_does_not_count_as_served() {
    let Offered { running, device, link, mut line, released, .. } = offered(60_000_000).await;
    let mut admin = running.admin().await;
    drop(begin(&mut line, link).await);
    drop(line);
    let row = until("what was sent on record", async || {
        let row = links(&mut admin).await.pop()?;
        (row.state == LinkState::Active).then_some(row)
    })
    .await;
    assert!(row.served_bytes < row.total_bytes);
    let mut line = device.connect(&running).await;
    assert_eq!(line.get(&link_path(link)).await.body, released.payload.ciphertext);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_takes_a_link_back_and_another_has_it_remade() {
    let Offered { running, device, link, mut line, mut push, .. } = offered(60_000_000).await;
    let mut admin = running.admin().await;
    let answer = begin(&mut line, link).await;
    admin.post(&path::reissue_link(link), &()).await.done();
    assert!(answer.into_body().collect().await.is_err(), "cut off");
    let fresh = device.link_id(&running, &next_offer(&mut push).await);
    let mut line = device.connect(&running).await;
    assert_eq!(line.get(&link_path(link)).await.code(), ErrorCode::LinkGone);
    admin.post(&path::revoke_link(fresh), &()).await.done();
    assert_eq!(line.get(&link_path(fresh)).await.code(), ErrorCode::LinkGone);
    assert_eq!(admin.post(&path::revoke_link(fresh), &()).await.code(), ErrorCode::LinkGone);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restart_interrupts_is_taken_up_again() {
    let Offered { mut running, mut device, link, released, .. } = offered(100_000).await;
    running.restart().await;
    let mut line = device.connect(&running).await;
    let offers = device.check_in(&mut line).await.offers;
    assert_eq!(device.link_id(&running, &offers[0]), link);
    assert_eq!(line.get(&link_path(link)).await.body, released.payload.ciphertext);
    running.restart().await;
    let mut line = device.connect(&running).await;
    assert_eq!(line.get(&link_path(link)).await.code(), ErrorCode::LinkGone, "used up for good");
}
