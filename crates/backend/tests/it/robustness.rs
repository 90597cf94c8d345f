//! Clients that do what no honest one does.

use std::time::Duration;

use backend::Config;
use bytes::Bytes;
use http_body_util::{BodyExt, Channel};
use hyper::{Method, Request};
use model::Seconds;
use protocol::{
    ErrorCode, MAX_JSON_BYTES,
    device::{link_path, path},
    operator::{Hint, path as operator},
};
use testkit::{FakeClock, Fleet, Running};
use tls::{ClientTls, Time};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::support::{next_offer, online};

async fn impatient() -> Running {
    let set = |config: &mut Config| {
        config.limits.handshake = Duration::from_millis(300);
        config.limits.head = Duration::from_millis(300);
        config.limits.body = Duration::from_millis(300);
        config.limits.stall = Duration::from_millis(300);
    };
    Running::with(Fleet::of_one(FakeClock::START), set).await
}

/// A body that the test feeds, and its feeder.
fn body() -> (http_body_util::channel::Sender<Bytes, std::io::Error>, Channel<Bytes, std::io::Error>) {
    Channel::new(4)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_end_is_given_up() {
    let running = impatient().await;
    let mut admin = running.admin().await;
    let (mut feed, endless) = body();
    let request = Request::post(operator::TOKENS).header("host", "localhost").body(endless).unwrap();
    let answer = admin.send(request);
    let feeding = async {
        // It goes on for as long as anybody takes it.
        while feed.send_data(Bytes::from_static(b" ")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let answer = tokio::select! {
        answer = answer => answer.unwrap(),
        () = feeding => panic!("the request was dropped without an answer"),
    };
    assert_eq!(answer.status(), 408);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_is_not_read_to_its_end() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let mut line = device.connect(&running).await;
    let long = Bytes::from(vec![b' '; MAX_JSON_BYTES + 1]);
    let answer = line.request(Method::POST, path::CHECK_IN, &[], long).await.unwrap();
    assert_eq!(answer.code(), ErrorCode::TooLarge);
    device.check_in(&mut device.connect(&running).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_refused_with_a_reason_and_a_trace() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    for wrong in ["", "{", "nul", "{\"token\":1}", "[[[[[[[[", "\u{0}"] {
        let answer =
            admin.request(Method::POST, operator::TOKENS, &[], Bytes::from_static(wrong.as_bytes())).await;
        let error = answer.unwrap().error();
        assert_eq!(error.code, ErrorCode::InvalidRequest, "{wrong}");
        assert_eq!(error.trace_id.len(), 16);
    }
    assert_eq!(admin.get("/nowhere").await.code(), ErrorCode::NotFound);
    assert_eq!(admin.get("/v1/operator/devices/dev_0").await.code(), ErrorCode::NotFound);
    assert_eq!(admin.get(operator::TOKENS).await.code(), ErrorCode::InvalidRequest, "another method");
    let page = admin.get("/v1/operator/devices?limit=many").await;
    assert_eq!(page.code(), ErrorCode::InvalidRequest);
    let page = admin.get("/v1/operator/devices?after=x'%20OR%201").await;
    assert_eq!(page.code(), ErrorCode::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_is_closed() {
    let running = impatient().await;
    let began = Instant::now();
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let mut rest = Vec::new();
    timeout(Duration::from_secs(10), silent.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300), "it was given its time");

    let tls = ClientTls::fleet(
        &running.admin.identity,
        &[running.fleet.ca_root()],
        Time::Clock(std::sync::Arc::new(running.clock.clone())),
    )
    .unwrap();
    let slow = TcpStream::connect(running.address).await.unwrap();
    let mut slow = tls.connect("localhost", slow).await.unwrap();
    slow.write_all(b"GET /v1/operator/fleet HTTP/1.1\r\nhost: l").await.unwrap();
    let closed = timeout(Duration::from_secs(10), slow.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "half a head is not waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_does_not_read_its_download_is_dropped() {
    let set = |config: &mut Config| config.limits.stall = Duration::from_millis(300);
    let running = Running::with(Fleet::of_one(FakeClock::START), set).await;
    let mut device = running.enrol("A-1").await;
    let released = running.release("1.2.0", 60_000_000).await;
    let (_, mut push) = online(&running, &mut device).await;
    running.roll_out(&released, &[&device], running.policy(&[1])).await;
    let link = device.link_id(&running, &next_offer(&mut push).await);
    let mut line = device.connect(&running).await;
    let empty = http_body_util::Empty::new().map_err(|never| match never {});
    let request = Request::get(link_path(link)).header("host", "localhost").body(empty).unwrap();
    let answer = line.send(request).await.unwrap();
    // Nothing is read until the backend has long given up.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(answer.into_body().collect().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_and_other_garbage_get_nothing() {
    let running = Running::start().await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], b"\x16\x03\x01\xff\xff"] {
        let mut line = TcpStream::connect(running.address).await.unwrap();
        line.write_all(garbage).await.unwrap();
        line.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is as good an end as any.
        let _ = timeout(Duration::from_secs(10), line.read_to_end(&mut answer)).await.unwrap();
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP"));
    }
    running.admin().await.get(operator::FLEET).await.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_streams_and_loses_nothing() {
    let mut running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let (_line, mut push) = online(&running, &mut device).await;
    let mut events = running.admin().await.stream(operator::EVENTS).await;
    assert!(matches!(events.next::<Hint>().await, Some(Hint::Ping { .. })));
    timeout(Duration::from_secs(4), running.stop()).await.expect("streams do not hold it up");
    assert!(push.next::<protocol::device::PushEvent>().await.is_none());
    running.restart().await;
    running.clock.advance(Seconds(1));
    device.check_in(&mut device.connect(&running).await).await;
}
