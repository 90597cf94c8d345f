use std::time::Duration;

use model::{DeploymentState, Seconds, UnixTime};
use protocol::device::PushEvent;

use super::{
    backend::StoppedClock,
    board::{Power, Rig},
    fleet::{Fleet, Release},
};
use crate::{Event, Exit, Settings};

fn states(rig: &Rig) -> Vec<&'static str> {
    rig.backend.reported().iter().map(|(state, _)| state.as_str()).collect()
}

fn last_code(rig: &Rig) -> Option<String> {
    rig.backend.reported().pop().unwrap().1
}

#[tokio::test(start_paused = true)]
async fn an_update_is_fetched_verified_installed_booted_and_confirmed() {
    for boots in [false, true] {
        let release = Release::new("2.0.0", 7, 2_500_000);
        let rig = Rig::new(boots, &[&release]).await;
        rig.backend.offer(&release, 1);
        assert_eq!(rig.settle().await, DeploymentState::Succeeded);
        let path = ["downloading", "downloaded", "installing", "rebooting", "confirming", "succeeded"];
        assert_eq!(states(&rig), path);
        assert_eq!(rig.confirmed(), ("2.0.0".to_owned(), 7));
        let board = rig.board.lock().unwrap();
        assert_eq!(board.runs(), Some(envelope::sha256(&release.plaintext)));
        assert_eq!((board.installs, board.confirms), (1, 1));
        assert_eq!(rig.backend.world().served_bytes, release.ciphertext.len() as u64);
        assert_eq!(crate::Storage::staged_bytes(&rig.disk).unwrap(), 0, "what was fetched is removed");
        let last = rig.backend.world().reports.values().next_back().unwrap().clone();
        assert_eq!((last.before, last.after), ("1.0.0".parse().ok(), "2.0.0".parse().ok()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_whose_clock_says_1970_updates_and_reports_no_time_before_its_metadata() {
    for own_clock in [false, true] {
        let release = Release::new("2.0.0", 7, 1000);
        let mut rig = Rig::blank(false, &[&release]);
        rig.clock = StoppedClock::at(UnixTime::EPOCH);
        // Nor does its software know when it was built.
        rig.settings = Settings { own_clock, built_at: UnixTime::EPOCH, ..rig.settings };
        let parts = &mut rig.parts(&Power::steady());
        crate::enrol(Some(rig.token()), &rig.settings, parts).await.unwrap();
        rig.backend.offer(&release, 1);
        assert_eq!(rig.settle().await, DeploymentState::Succeeded);
        let signed_at = rig.backend.world().repository.targets.issued_at.unwrap();
        let times: Vec<_> = rig.backend.world().reports.values().map(|report| report.at).collect();
        assert!(!times.is_empty() && times.iter().all(|at| *at >= signed_at), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_for_this_device_or_goes_backwards_is_refused_by_name() {
    let release = Release::new("2.0.0", 7, 1000);
    let older = Release::new("1.9.0", 7, 1000);
    let weaker = Release::new("3.0.0", 6, 1000);
    let mut other = Release::new("4.0.0", 7, 1000);
    other.custom.installer = "rauc".parse().unwrap();
    let unknown = Release::new("5.0.0", 7, 1000);
    let rig = Rig::new(false, &[&release, &older, &weaker, &other]).await;
    rig.backend.offer(&release, 1_000);
    assert_eq!(rig.settle().await, DeploymentState::Succeeded);

    for (offered, seq, code) in [
        (&older, 2_000, "not_newer"),
        (&weaker, 2_001, "security_counter_lower"),
        (&other, 2_002, "wrong_installer"),
        (&unknown, 2_003, "target_unknown"),
        (&release, 999, "seq_replayed"),
    ] {
        rig.backend.offer(offered, seq);
        assert_eq!(rig.settle().await, DeploymentState::Rejected, "{code}");
        assert_eq!(last_code(&rig).as_deref(), Some(code));
    }
    let world = rig.backend.world();
    assert_eq!(world.reports.values().next_back().unwrap().stored_seq, Some(1_000));
    assert_eq!(world.served_bytes, release.ciphertext.len() as u64, "nothing else was fetched");
    drop(world);
    assert_eq!(rig.board.lock().unwrap().installs, 1);
    assert_eq!(rig.confirmed(), ("2.0.0".to_owned(), 7));
}

#[tokio::test(start_paused = true)]
async fn tickets_that_are_forged_altered_or_another_devices_are_refused() {
    let release = Release::new("2.0.0", 7, 1000);
    let rig = Rig::new(false, &[&release]).await;
    let me = rig.backend.recipient();
    let stranger = Rig::new(false, &[]).await.backend.recipient();

    let forger = Fleet::new();
    let (mut forged, _) = forger.offer(&release, me, 1);
    forged.sealed_link = None;
    rig.backend.world().offers.push(forged);
    rig.settle().await;
    assert_eq!(last_code(&rig).as_deref(), Some("ticket_key_unknown"));

    let (theirs, _) = rig.backend.fleet.offer(&release, stranger, 2);
    rig.backend.world().offers.push(theirs);
    rig.settle().await;
    assert_eq!(last_code(&rig).as_deref(), Some("ticket_undecipherable"));

    let (mut altered, _) = rig.backend.fleet.offer(&release, me, 3);
    *altered.sealed_ticket.0.last_mut().unwrap() ^= 1;
    rig.backend.world().offers.push(altered);
    rig.settle().await;
    assert_eq!(last_code(&rig).as_deref(), Some("ticket_undecipherable"));
    assert_eq!(rig.board.lock().unwrap().installs, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hold_stops_what_is_being_fetched_and_a_new_ticket_resumes() {
    let release = Release::new("2.0.0", 7, 40_000_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.offer(&release, 1);
    let hold = rig.backend.fleet.hold(rig.backend.recipient(), 2);
    rig.backend.world().push_at = Some((1, PushEvent::Offer(hold)));
    assert_eq!(rig.settle().await, DeploymentState::Rejected);
    assert_eq!(last_code(&rig).as_deref(), Some("held"));
    assert!(rig.backend.world().served_bytes < release.ciphertext.len() as u64);
    assert_eq!(rig.board.lock().unwrap().installs, 0);

    rig.backend.offer(&release, 1);
    rig.settle().await;
    assert_eq!(last_code(&rig).as_deref(), Some("seq_replayed"), "the held ticket is dead");
    rig.backend.offer(&release, 3);
    assert_eq!(rig.settle().await, DeploymentState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_newer_ticket_replaces_what_is_being_fetched() {
    let first = Release::new("2.0.0", 7, 40_000_000);
    let second = Release::new("2.1.0", 7, 100_000);
    let rig = Rig::new(false, &[&first, &second]).await;
    rig.backend.offer(&first, 1);
    let newer = rig.backend.offer(&second, 2);
    rig.backend.world().offers.pop();
    rig.backend.world().push_at = Some((1, PushEvent::Offer(newer.clone())));
    rig.run_until(&Power::steady(), |rig| {
        let world = rig.backend.world();
        world.reports.values().any(|report| report.state.ended())
    })
    .await;
    let last = rig.backend.world().reports.values().next_back().unwrap().clone();
    assert_eq!((last.deployment, last.state), (Some(newer.deployment), DeploymentState::Succeeded));
    assert_eq!(rig.confirmed().0, "2.1.0");
    assert_eq!(rig.board.lock().unwrap().installs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_was_withdrawn_is_not_booted() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.offer(&release, 1);
    rig.run_until(&Power::steady(), |rig| {
        // As soon as it is installed, and before the device has its answer.
        if rig.board.lock().unwrap().installs == 1 && rig.backend.world().repository.targets.version == 1 {
            rig.backend.world().repository.withdraw(&rig.backend.fleet, &release);
        }
        rig.settled()
    })
    .await;
    let (state, code) = rig.backend.reported().pop().unwrap();
    assert_eq!((state, code.as_deref()), (DeploymentState::Failed, Some("withdrawn")));
    assert_eq!(rig.board.lock().unwrap().runs(), None);
    assert_eq!(rig.confirmed().0, "1.0.0");
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_boot_waits_an_hour_and_then_asks_how_fresh_its_metadata_is() {
    let release = Release::new("2.0.0", 7, 100_000);
    let first = Rig::new(false, &[&release]).await;
    for (age, state) in [(0, DeploymentState::Succeeded), (25, DeploymentState::Failed)] {
        let rig = first.fork(false);
        rig.backend.offer(&release, 1);
        let begun = tokio::time::Instant::now();
        rig.run_until(&Power::steady(), |rig| {
            let installed = rig.board.lock().unwrap().installs == 1;
            let waited = begun.elapsed() > Duration::from_secs(3_700);
            let down = installed && !waited;
            let mut world = rig.backend.world();
            if down && !world.down {
                rig.clock.pass(Seconds::hours(age));
            }
            world.down = down;
            drop(world);
            rig.settled()
        })
        .await;
        let (reported, code) = rig.backend.reported().pop().unwrap();
        assert_eq!(reported, state, "{code:?}");
        assert!(begun.elapsed() >= Duration::from_secs(3_600));
        if state == DeploymentState::Failed {
            assert_eq!(code.as_deref(), Some("withdrawal_unknown"));
            assert_eq!(rig.board.lock().unwrap().runs(), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_that_does_not_verify_is_no_answer_before_the_boot() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.offer(&release, 1);
    let begun = tokio::time::Instant::now();
    let whole = rig.backend.world().repository.clone();
    rig.run_until(&Power::steady(), |rig| {
        let installed = rig.board.lock().unwrap().installs == 1;
        let spoiled = installed && begun.elapsed() < Duration::from_secs(3_700);
        let mut world = rig.backend.world();
        world.repository = whole.clone();
        if spoiled {
            world.repository.files.push(("timestamp.json".to_owned(), b"{}".to_vec()));
        }
        drop(world);
        assert!(
            !spoiled
                || begun.elapsed() >= Duration::from_secs(3_600)
                || rig.board.lock().unwrap().runs().is_none()
        );
        rig.settled()
    })
    .await;
    assert_eq!(rig.backend.reported().pop().unwrap().0, DeploymentState::Succeeded);
    assert!(begun.elapsed() >= Duration::from_secs(3_600));
}

#[tokio::test(start_paused = true)]
async fn an_installed_update_boots_after_a_restart_without_a_network() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.offer(&release, 1);
    rig.run_until(&Power::steady(), |rig| {
        let installed = rig.board.lock().unwrap().installs == 1;
        rig.backend.world().down = installed;
        installed
    })
    .await;
    let begun = tokio::time::Instant::now();
    rig.run_until(&Power::steady(), |rig| rig.confirmed().0 == "2.0.0").await;
    assert!(begun.elapsed() >= Duration::from_secs(3_600));
    rig.backend.world().down = false;
    assert_eq!(rig.settle().await, DeploymentState::Succeeded);
    assert!(rig.board.lock().unwrap().installs <= 2);
}

#[tokio::test(start_paused = true)]
async fn an_installer_that_says_no_is_quoted_and_a_ticket_has_three_attempts() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.board.lock().unwrap().refuses = true;
    let offer = rig.backend.offer(&release, 1);
    for _ in 0..3 {
        rig.backend.world().offers = vec![offer.clone()];
        assert_eq!(rig.settle().await, DeploymentState::Failed);
        assert_eq!(last_code(&rig).as_deref(), Some("install_failed"));
    }
    let detail = rig.backend.world().reports.values().next_back().unwrap().detail.clone();
    assert_eq!(detail.as_deref(), Some("the signature is not ours"));
    rig.backend.world().offers = vec![offer];
    let end = rig.settle().await;
    assert_eq!(end, DeploymentState::Rejected, "{:?}", rig.backend.reported());
    assert_eq!(last_code(&rig).as_deref(), Some("attempts_exhausted"));
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_needs_no_network_and_is_reported_later() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(true, &[&release]).await;
    rig.backend.offer(&release, 1);
    let mut device = rig.open(&Power::steady()).unwrap();
    assert_eq!(device.run(std::future::pending()).await.unwrap(), Exit::Restart);
    drop(device);
    rig.board.lock().unwrap().boot();
    rig.backend.world().down = true;
    rig.run_until(&Power::steady(), |rig| rig.confirmed().0 == "2.0.0").await;
    assert_eq!(rig.board.lock().unwrap().confirms, 1);
    assert!(!rig.settled());
    rig.backend.world().down = false;
    assert_eq!(rig.settle().await, DeploymentState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn software_that_never_comes_to_its_confirmation_is_given_up() {
    let release = Release::new("2.0.0", 7, 100_000);
    let rig = Rig::new(false, &[&release]).await;
    rig.backend.offer(&release, 1);
    rig.run_until(&Power::steady(), |rig| {
        let events = rig.events.lock().unwrap();
        events
            .iter()
            .any(|event| matches!(event, Event::Deployment { state: DeploymentState::Rebooting, .. }))
    })
    .await;
    // The device restarts again and again before it can check anything.
    for _ in 0..4 {
        drop(rig.open(&Power::steady()).unwrap());
    }
    assert_eq!(rig.settle().await, DeploymentState::RolledBack);
    assert_eq!(last_code(&rig).as_deref(), Some("start_loop"));
    assert_eq!(rig.board.lock().unwrap().runs(), None);
}
