//! The power fails at every operation of disk and board, in turn.

use model::{DeploymentState, Random as _};

use super::{
    board::{Power, Rig},
    fleet::Release,
};

/// What must hold after an update, whatever happened on the way.
fn check(rig: &Rig, release: &Release, when: &str) -> DeploymentState {
    let board = rig.board.lock().unwrap();
    let new = envelope::sha256(&release.plaintext);
    let (version, counter) = rig.confirmed();
    let reported = rig.backend.reported();
    let ends: Vec<_> = reported.iter().map(|(state, _)| *state).filter(|state| state.ended()).collect();
    assert_eq!(ends.len(), 1, "{when}: the end is reported once: {reported:?}");
    let mut states: Vec<_> = reported.iter().map(|(state, _)| *state).collect();
    states.pop();
    assert!(states.is_sorted(), "{when}: never backwards: {reported:?}");
    assert_eq!(board.booted, board.permanent, "{when}: nothing stays on trial");
    assert!(board.installs <= 3, "{when}: installed {} times", board.installs);
    if ends[0] == DeploymentState::Succeeded {
        assert_eq!((version.as_str(), counter), ("2.0.0", 7), "{when}");
        assert_eq!(board.runs(), Some(new), "{when}");
    } else {
        assert_eq!((version.as_str(), counter), ("1.0.0", 1), "{when}");
        assert_ne!(board.runs(), Some(new), "{when}");
    }
    let counters = &rig.backend.world().counters;
    assert!(counters.is_sorted_by(|a, b| a < b), "{when}: check-in counters rise: {counters:?}");
    ends[0]
}

async fn cut_at_every_operation(boots: bool, done: bool) {
    let release = Release::new("2.0.0", 7, 1_200_000);
    let first = Rig::new(boots, &[&release]).await;
    let mut operations = 0;
    loop {
        let when = format!("operation {operations}, boots {boots}, done {done}");
        let rig = first.fork(boots);
        rig.backend.offer(&release, 1);
        let power = Power::fails_after(operations, done);
        rig.run_until(&power, Rig::settled).await;
        let cut = power.failed();
        if cut {
            rig.disk.cut_power();
            rig.board.lock().unwrap().boot_if(boots);
            rig.settle().await;
        }
        let end = check(&rig, &release, &when);
        assert!(end == DeploymentState::Succeeded || boots, "{when}: {end:?} {:?}", rig.backend.reported());
        let installs = rig.board.lock().unwrap().installs;
        // Only the one in which the power failed may be done again.
        assert!(installs <= if cut { 2 } else { 1 }, "{when}: installed {installs} times");
        if !cut {
            break;
        }
        operations += 1;
    }
    assert!(operations > 30, "only {operations} operations were cut");
}

#[tokio::test(start_paused = true)]
async fn a_cut_before_any_operation_loses_and_repeats_nothing() {
    cut_at_every_operation(false, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_after_any_operation_loses_and_repeats_nothing() {
    cut_at_every_operation(false, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_before_any_operation_of_a_device_that_boots_is_survived() {
    cut_at_every_operation(true, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_after_any_operation_of_a_device_that_boots_is_survived() {
    cut_at_every_operation(true, true).await;
}

#[tokio::test(start_paused = true)]
async fn many_cuts_in_a_row_end_in_one_software_or_the_other() {
    let release = Release::new("2.0.0", 7, 1_200_000);
    let first = Rig::new(true, &[&release]).await;
    for round in 0..40 {
        let boots = round % 2 == 0;
        let rig = first.fork(boots);
        rig.backend.offer(&release, 1);
        let mut cuts = Vec::new();
        for _ in 0..8 {
            let mut random = [0; 1];
            envelope::SystemRandom.fill(&mut random);
            let operations = i64::from(random[0] % 40);
            let power = Power::fails_after(operations, random[0] >= 128);
            cuts.push((operations, random[0] >= 128));
            rig.run_until(&power, Rig::settled).await;
            if power.failed() {
                rig.disk.cut_power();
                rig.board.lock().unwrap().boot_if(boots);
            }
        }
        rig.settle().await;
        check(&rig, &release, &format!("cuts {cuts:?}, boots {boots}"));
    }
}

#[tokio::test(start_paused = true)]
async fn software_that_is_ill_is_rolled_back_wherever_the_power_fails() {
    let release = Release::new("2.0.0", 7, 100_000);
    let first = Rig::new(true, &[&release]).await;
    for boots in [false, true] {
        let mut operations = 0;
        loop {
            let rig = first.fork(boots);
            rig.board.lock().unwrap().healthy = false;
            rig.backend.offer(&release, 1);
            let power = Power::fails_after(operations, false);
            rig.run_until(&power, Rig::settled).await;
            if power.failed() {
                rig.disk.cut_power();
                rig.board.lock().unwrap().boot_if(boots);
                rig.settle().await;
            }
            let end = check(&rig, &release, &format!("operation {operations}, boots {boots}"));
            assert_eq!(end, DeploymentState::RolledBack);
            if !power.failed() {
                break;
            }
            operations += 1;
        }
    }
}
