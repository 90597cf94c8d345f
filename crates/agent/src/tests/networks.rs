use std::time::Duration;

use model::DeploymentState;
use protocol::device::PushEvent;

use super::{
    board::{Power, Rig},
    fleet::Release,
};
use crate::{Event, MemoryStorage, Storage as _};

#[tokio::test(start_paused = true)]
async fn a_wire_that_breaks_anywhere_costs_at_most_what_one_request_asks_for() {
    let release = Release::new("2.0.0", 7, 2_500_000);
    let first = Rig::new(false, &[&release]).await;
    for bytes in (0..2_600_000).step_by(52_361) {
        let rig = first.fork(false);
        rig.backend.offer(&release, 1);
        rig.backend.cut_wire_after(bytes);
        assert_eq!(rig.settle().await, DeploymentState::Succeeded, "cut after {bytes}");
        assert_eq!(rig.board.lock().unwrap().installs, 1);
        let staged = rig.events.lock().unwrap().clone();
        let mut last = 0;
        for event in staged {
            if let Event::Staged { bytes, .. } = event {
                assert!(bytes > last, "a segment was staged twice");
                last = bytes;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_resumes_where_the_download_stood() {
    let release = Release::new("2.0.0", 7, 60_000_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.offer(&release, 1);
    rig.run_until(&Power::steady(), |rig| rig.disk.staged_bytes().unwrap() > 20_000_000).await;
    let staged = rig.disk.staged_bytes().unwrap();
    assert!(staged < release.ciphertext.len() as u64);
    let served = rig.backend.world().served_bytes;
    assert_eq!(rig.settle().await, DeploymentState::Succeeded);
    let again = rig.backend.world().served_bytes - served;
    assert!(
        again < release.ciphertext.len() as u64 - 16_000_000,
        "{again} bytes were fetched after the restart"
    );
}

#[tokio::test(start_paused = true)]
async fn staged_bytes_that_were_damaged_are_fetched_again() {
    let release = Release::new("2.0.0", 7, 40_000_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.offer(&release, 1);
    rig.run_until(&Power::steady(), |rig| rig.disk.staged_bytes().unwrap() > 10_000_000).await;
    rig.disk.damage_staged(3_000_000);
    assert_eq!(rig.settle().await, DeploymentState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_the_tickets_are_neither_kept_nor_installed() {
    let release = Release::new("2.0.0", 7, 1_500_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.offer(&release, 1);
    rig.backend.world().corrupt = true;
    assert_eq!(rig.settle().await, DeploymentState::Failed);
    assert_eq!(rig.backend.reported().pop().unwrap().1.as_deref(), Some("payload_corrupt"));
    assert_eq!(rig.disk.staged_bytes().unwrap(), 0);
    assert_eq!(rig.board.lock().unwrap().installs, 0);
    assert!(!rig.events.lock().unwrap().iter().any(|event| matches!(event, Event::Staged { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_gone_is_replaced_by_the_one_that_is_pushed() {
    let release = Release::new("2.0.0", 7, 40_000_000);
    let rig = Rig::new(false, &[&release]).await;
    let mut offer = rig.backend.offer(&release, 1);
    let (link, sealed) = rig.backend.fleet.link(&release, rig.backend.recipient());
    rig.run_until(&Power::steady(), |rig| {
        if rig.disk.staged_bytes().unwrap() > 10_000_000 && !rig.backend.world().links.contains_key(&link) {
            // The old one lapsed; the fresh one is pushed, without the device asking.
            let mut world = rig.backend.world();
            world.links.clear();
            world.links.insert(link, release.clone());
            offer.sealed_link = Some(sealed.clone().into());
            world.offers = vec![offer.clone()];
            for stream in &world.push {
                stream.send(PushEvent::Offer(offer.clone())).ok();
            }
        }
        rig.settled()
    })
    .await;
    assert_eq!(rig.backend.reported().pop().unwrap().0, DeploymentState::Succeeded);
    let served = rig.backend.world().served_bytes;
    assert!(served < release.ciphertext.len() as u64 + 20_000_000, "{served} bytes were served");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_gone_for_a_while_is_asked_for() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.offer(&release, 1);
    let links = std::mem::take(&mut rig.backend.world().links);
    let begun = tokio::time::Instant::now();
    rig.run_until(&Power::steady(), |rig| {
        if begun.elapsed() > Duration::from_secs(120) {
            rig.backend.world().links.clone_from(&links);
        }
        rig.settled()
    })
    .await;
    assert_eq!(rig.backend.reported().pop().unwrap().0, DeploymentState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn without_a_push_stream_the_device_polls() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.world().no_push = true;
    let begun = tokio::time::Instant::now();
    let offered = std::cell::Cell::new(false);
    rig.run_until(&Power::steady(), |rig| {
        if begun.elapsed() > Duration::from_secs(300) && !offered.replace(true) {
            rig.backend.offer(&release, 1);
        }
        rig.settled()
    })
    .await;
    assert_eq!(rig.backend.reported().pop().unwrap().0, DeploymentState::Succeeded);
    let hellos = rig.requested("/v1/check-in");
    assert!((6..20).contains(&hellos), "{hellos} check-ins in some 400 s");
}

#[tokio::test(start_paused = true)]
async fn with_a_push_stream_an_idle_device_is_quiet_and_hears_at_once() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(false, &[&release]).await;
    let begun = tokio::time::Instant::now();
    let pinged = std::cell::Cell::new(Duration::ZERO);
    let pushed = std::cell::Cell::new(None);
    rig.run_until(&Power::steady(), |rig| {
        let elapsed = begun.elapsed();
        if elapsed > pinged.get() + Duration::from_secs(60) {
            pinged.set(elapsed);
            rig.backend.world().push.retain(|stream| stream.send(PushEvent::Ping).is_ok());
        }
        if elapsed > Duration::from_secs(7_200) && pushed.get().is_none() {
            assert_eq!(rig.requested("/v1/check-in"), 1);
            pushed.set(Some(elapsed));
            let offer = rig.backend.offer(&release, 1);
            for stream in &rig.backend.world().push {
                stream.send(PushEvent::Offer(offer.clone())).ok();
            }
        }
        rig.settled()
    })
    .await;
    assert_eq!(rig.backend.reported().pop().unwrap().0, DeploymentState::Succeeded);
    assert!(begun.elapsed() - pushed.get().unwrap() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_push_stream_that_broke_during_an_update_is_opened_again_at_once_after_it() {
    let [second, third] =
        [("2.0.0", 7), ("3.0.0", 8)].map(|(version, counter)| Release::new(version, counter, 40_000_000));
    let rig = Rig::new(false, &[&second, &third]).await;
    rig.backend.offer(&second, 1);
    let begun = tokio::time::Instant::now();
    let (broke, told) = (std::cell::Cell::new(false), std::cell::Cell::new(None));
    rig.run_until(&Power::steady(), |rig| {
        if rig.disk.staged_bytes().unwrap() > 10_000_000 && !broke.replace(true) {
            rig.backend.world().push.clear();
        }
        // Nobody listens, so nobody hears it: the next hello has to bring it.
        if rig.settled() && told.get().is_none() {
            told.set(Some(begun.elapsed()));
            rig.backend.offer(&third, 2);
        }
        told.get().is_some() && rig.settled()
    })
    .await;
    let took = begun.elapsed() - told.get().unwrap();
    assert_eq!(rig.confirmed(), ("3.0.0".to_owned(), 8));
    assert!(took < Duration::from_secs(10), "it was deaf for {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_push_stream_is_opened_again_and_a_backend_that_is_down_is_waited_for() {
    let rig = Rig::new(false, &[]).await;
    let begun = tokio::time::Instant::now();
    rig.run_until(&Power::steady(), |rig| {
        rig.backend.world().down = (600..1_200).contains(&begun.elapsed().as_secs());
        begun.elapsed() > Duration::from_secs(3_600)
    })
    .await;
    let opened = rig.requested("/v1/push");
    assert!((10..60).contains(&opened), "{opened} streams in an hour of silence");
    let mut open = false;
    for event in rig.events.lock().unwrap().iter() {
        if let Event::Push { open: now } = event {
            assert_ne!(*now, open, "a stream opens before it breaks, and breaks before it opens again");
            open = *now;
        }
    }
    let troubles =
        rig.events.lock().unwrap().iter().filter(|event| matches!(event, Event::Trouble { .. })).count();
    assert!((5..60).contains(&troubles), "{troubles} failures");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_comes_and_goes_is_met_again_at_once() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(false, &[&release]).await;
    let begun = tokio::time::Instant::now();
    let offered = std::cell::Cell::new(false);
    rig.run_until(&Power::steady(), |rig| {
        let seconds = begun.elapsed().as_secs();
        let mut world = rig.backend.world();
        // Up for ten seconds, then gone for five, with all its streams.
        world.down = seconds < 600 && seconds % 15 >= 10;
        if world.down {
            world.push.clear();
        }
        drop(world);
        if seconds >= 600 && !offered.replace(true) {
            rig.backend.offer(&release, 1);
        }
        rig.settled()
    })
    .await;
    assert!(rig.requested("/v1/check-in") >= 40, "one hello each time");
    assert!(begun.elapsed() < Duration::from_secs(700), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_and_again_is_tried_less_and_less() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.offer(&release, 1);
    rig.backend.world().starves = true;
    let begun = tokio::time::Instant::now();
    rig.run_until(&Power::steady(), |_| begun.elapsed() > Duration::from_secs(3_600)).await;
    let tries = rig.requested("/v1/links");
    assert!((10..40).contains(&tries), "{tries} tries in an hour");
    rig.backend.world().starves = false;
    assert_eq!(rig.settle().await, DeploymentState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_told_and_loses_nothing_else() {
    let release = Release::new("2.0.0", 7, 40_000_000);
    let mut rig = Rig::new(false, &[&release]).await;
    rig.disk = rig.disk.fork();
    rig.disk.set_capacity(2_000_000);
    rig.backend.offer(&release, 1);
    assert_eq!(rig.settle().await, DeploymentState::Rejected);
    assert_eq!(rig.backend.reported().pop().unwrap().1.as_deref(), Some("no_space"));

    // Somebody else fills it while the download runs.
    rig.disk.set_capacity(u64::MAX);
    rig.backend.offer(&release, 2);
    rig.run_until(&Power::steady(), |rig| {
        if rig.disk.staged_bytes().unwrap() > 1_000_000 {
            rig.disk.set_capacity(1_500_000);
        }
        rig.settled()
    })
    .await;
    let (state, code) = rig.backend.reported().pop().unwrap();
    assert_eq!((state, code.as_deref()), (DeploymentState::Failed, Some("storage_full")));
    assert_eq!(rig.disk.staged_bytes().unwrap(), 0);
    assert_eq!(rig.confirmed(), ("1.0.0".to_owned(), 1));
    rig.disk.set_capacity(u64::MAX);
    rig.backend.offer(&release, 3);
    assert_eq!(rig.settle().await, DeploymentState::Succeeded);
}

#[test]
fn a_disk_without_room_refuses_to_stage() {
    let mut disk = MemoryStorage::with_capacity(3);
    disk.stage(b"abc").unwrap();
    assert_eq!(disk.stage(b"d").unwrap_err().kind(), std::io::ErrorKind::StorageFull);
}
