//! Rollouts, driven by a clock that the tests move.

use model::{
    DeploymentState::{self, *},
    FailureThreshold, Gate, MaintenanceWindow, Percent, RateLimit, RolloutId, RolloutState, Seconds,
    planner::PauseCause,
};
use protocol::{
    ErrorCode,
    device::Offer,
    operator::{
        AddDeployments, AddedDeployments, AlarmKind, DeploymentRow, Excluded, NewRollout, Page, RolloutStep,
        path,
    },
};
use testkit::{Client, Device, Released, Running, Stream};

use crate::support::{alarmed, next_offer, online, reaches, until};

/// A unit with its connections.
struct Unit {
    device: Device,
    line: Client,
    push: Stream,
}

impl Unit {
    async fn new(running: &Running, serial: &str) -> Self {
        let mut device = running.enrol(serial).await;
        let (line, push) = online(running, &mut device).await;
        Self { device, line, push }
    }

    async fn offer(&mut self) -> Offer {
        next_offer(&mut self.push).await
    }

    async fn report(&mut self, running: &Running, offer: &Offer, state: DeploymentState) {
        let taken = self.device.report(&mut self.line, offer, state, running.now()).await;
        assert_eq!(taken.refused, [None], "{state:?}");
    }

    /// Whether nothing is on offer.
    async fn waits(&mut self) -> bool {
        self.device.check_in(&mut self.line).await.offers.is_empty()
    }
}

async fn units(running: &Running, count: usize) -> Vec<Unit> {
    let mut units = Vec::new();
    for number in 0..count {
        units.push(Unit::new(running, &format!("A-{number}")).await);
    }
    units
}

fn devices(units: &[Unit]) -> Vec<&Device> {
    units.iter().map(|unit| &unit.device).collect()
}

/// The deployments of a rollout.
async fn rows(admin: &mut Client, rollout: RolloutId) -> Vec<DeploymentRow> {
    let page: Page<DeploymentRow> = admin.get(&path::deployments(rollout)).await.ok();
    page.rows
}

/// Waits until so many deployments stand in this state.
async fn count(running: &Running, admin: &mut Client, rollout: RolloutId, state: DeploymentState, n: u32) {
    until(state.as_str(), async || {
        let counts = running.rollout(admin, rollout).await.row.counts;
        (counts.get(state) == n).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phases_open_one_after_the_other_as_devices_confirm_and_never_before_their_time() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let mut units = units(&running, 3).await;
    let released = running.release("1.2.0", 1_000).await;
    let mut policy = running.policy(&[1, 2]);
    policy.phases[0].soak = Seconds::hours(1);
    let rollout = running.roll_out(&released, &devices(&units), policy).await;
    let offer = units[0].offer().await;
    for unit in &mut units[1..] {
        assert!(unit.waits().await, "the second phase is shut");
    }
    units[0].report(&running, &offer, Succeeded).await;
    count(&running, &mut admin, rollout, Succeeded, 1).await;
    running.clock.advance(Seconds(3_599));
    assert!(units[1].waits().await, "it soaks for an hour");
    running.clock.advance(Seconds(1));
    for unit in &mut units[1..] {
        let offer = unit.offer().await;
        unit.report(&running, &offer, Succeeded).await;
    }
    let detail = reaches(&running, &mut admin, rollout, RolloutState::Finished).await;
    assert_eq!(detail.row.counts.get(Succeeded), 3);
    assert!(detail.phases.iter().all(|phase| phase.opened_at >= Some(phase.not_before)));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_failures_pause_it_with_a_cause_and_an_alarm_and_a_person_goes_on() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let mut units = units(&running, 3).await;
    let released = running.release("1.2.0", 1_000).await;
    let mut policy = running.policy(&[2, 1]);
    policy.failure = FailureThreshold { share: Percent::new(40).unwrap(), minimum_sample: 2 };
    policy.phases[0].success = Percent::new(50).unwrap();
    let rollout = running.roll_out(&released, &devices(&units), policy).await;
    for (unit, state) in units.iter_mut().zip([RolledBack, Succeeded]) {
        let offer = unit.offer().await;
        unit.report(&running, &offer, state).await;
    }
    let detail = reaches(&running, &mut admin, rollout, RolloutState::Paused).await;
    assert!(matches!(detail.pause_cause, Some(PauseCause::Failures { failed: 1, ended: 2, .. })));
    assert_eq!(alarmed(&mut admin, AlarmKind::RolloutPaused).await, 1);
    let failed = rows(&mut admin, rollout).await.into_iter().find(|row| row.state == RolledBack).unwrap();
    assert_eq!(failed.code.as_deref(), Some("trial_boot_failed"));
    assert!(units[2].waits().await);
    admin.post(&path::step(rollout), &RolloutStep::Resume).await.done();
    let offer = units[2].offer().await;
    units[2].report(&running, &offer, Succeeded).await;
    reaches(&running, &mut admin, rollout, RolloutState::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_waits_for_a_person() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let mut units = units(&running, 2).await;
    let released = running.release("1.2.0", 1_000).await;
    let mut policy = running.policy(&[1, 1]);
    policy.phases[0].gate = Gate::WaitForMe;
    let rollout = running.roll_out(&released, &devices(&units), policy).await;
    let offer = units[0].offer().await;
    units[0].report(&running, &offer, Succeeded).await;
    count(&running, &mut admin, rollout, Succeeded, 1).await;
    running.clock.advance(Seconds::hours(2));
    assert!(units[1].waits().await);
    admin.post(&path::step(rollout), &RolloutStep::OpenAfter { phase: 0 }).await.done();
    units[1].offer().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_does_not_finish_times_out_and_is_offered_again() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let mut units = units(&running, 1).await;
    let released = running.release("1.2.0", 1_000).await;
    let mut policy = running.policy(&[1]);
    policy.device_timeout = Seconds::minutes(5);
    policy.retries = 1;
    policy.failure.share = Percent::ALL;
    let rollout = running.roll_out(&released, &devices(&units), policy).await;
    let first = units[0].offer().await;
    units[0].report(&running, &first, Downloading).await;
    running.clock.advance(Seconds::minutes(5));
    let second = units[0].offer().await;
    assert_eq!(second.deployment, first.deployment);
    assert_eq!(rows(&mut admin, rollout).await[0].attempts, 2);
    running.clock.advance(Seconds::minutes(5));
    let detail = reaches(&running, &mut admin, rollout, RolloutState::Finished).await;
    assert_eq!(detail.row.counts.get(TimedOut), 1, "one retry, and no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_keep_to_the_rate_and_to_the_hours() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let units = units(&running, 5).await;
    let released = running.release("1.2.0", 1_000).await;
    let mut policy = running.policy(&[5]);
    policy.rate = Some(RateLimit { offers: 2, per: Seconds::minutes(10) });
    // The clock says 14:13.
    policy.window = Some(MaintenanceWindow { from_minute: 15 * 60, minutes: 60 });
    policy.link_life = Seconds::hours(3);
    let rollout = running.roll_out(&released, &devices(&units), policy).await;
    running.clock.advance(Seconds::minutes(46));
    count(&running, &mut admin, rollout, Queued, 5).await;
    running.clock.advance(Seconds::minutes(1));
    count(&running, &mut admin, rollout, Offered, 2).await;
    running.clock.advance(Seconds::minutes(10));
    count(&running, &mut admin, rollout, Offered, 4).await;
    running.clock.advance(Seconds::minutes(60));
    count(&running, &mut admin, rollout, Queued, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pausing_stops_offers_and_aborting_takes_them_back_but_not_what_is_being_installed() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let mut units = units(&running, 3).await;
    let released = running.release("1.2.0", 1_000).await;
    let mut policy = running.policy(&[2, 1]);
    policy.phases[0].success = Percent::new(0).unwrap();
    policy.phases[0].gate = Gate::WaitForMe;
    let rollout = running.roll_out(&released, &devices(&units), policy).await;
    let installing = units[0].offer().await;
    units[0].report(&running, &installing, Installing).await;
    let offered = units[1].offer().await;
    let link = units[1].device.link_id(&running, &offered);
    admin.post(&path::step(rollout), &RolloutStep::Pause).await.done();
    admin.post(&path::step(rollout), &RolloutStep::OpenAfter { phase: 0 }).await.done();
    assert!(units[2].waits().await);
    admin.post(&path::step(rollout), &RolloutStep::Abort).await.done();
    let gone = units[1].line.get(&protocol::device::link_path(link)).await;
    assert_eq!(gone.code(), ErrorCode::LinkGone);
    let states: Vec<_> = rows(&mut admin, rollout).await.iter().map(|row| row.state).collect();
    assert_eq!(states, [Installing, Canceled, Canceled]);
    units[0].report(&running, &installing, Succeeded).await;
    let Unit { device, line, .. } = &mut units[1];
    let late = device.report(line, &offered, Succeeded, running.now()).await;
    assert_eq!(late.refused[0].as_ref().unwrap().code, ErrorCode::Conflict);
    let start = admin.post(&path::step(rollout), &RolloutStep::Start).await;
    assert_eq!(start.code(), ErrorCode::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_pushed_and_takes_the_offer_back() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let mut units = units(&running, 1).await;
    let released = running.release("1.2.0", 1_000).await;
    let rollout = running.roll_out(&released, &devices(&units), running.policy(&[1])).await;
    let offer = units[0].offer().await;
    let hold = running.hold(&released, rollout, &units[0].device);
    let sealed = hold.sealed_ticket.clone();
    let request = AddDeployments { deployments: vec![hold] };
    let added: AddedDeployments = admin.post(&path::deployments(rollout), &request).await.ok();
    assert_eq!((added.added, added.renewed), (0, 1));
    let held = units[0].offer().await;
    assert_eq!(
        (held.deployment, held.sealed_link.as_ref(), &held.sealed_ticket),
        (offer.deployment, None, &sealed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_ticket_is_taken_only_for_whom_and_what_it_was_signed() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let (first, second) = (running.enrol("A-1").await, running.enrol("A-2").await);
    let released = running.release("1.2.0", 1_000).await;
    let other = running.release("1.3.0", 1_000).await;
    let rollout = running.plan(&mut admin, &released, running.policy(&[2])).await;
    let good = running.ticket(&released, rollout, &first, 0);
    let of_second = running.ticket(&released, rollout, &second, 0);
    let elsewhere = running.plan(&mut admin, &released, running.policy(&[2])).await;
    let stranger = Running::start().await;
    let mut impostor = Device::new("A-1");
    impostor.id = first.id;
    let mut damaged = good.clone();
    damaged.sealed_ticket.0[40] ^= 1;
    let cases = [
        ("another device's", {
            let mut wrong = of_second.clone();
            wrong.device = first.id;
            wrong
        }),
        ("of another rollout", running.ticket(&released, elsewhere, &first, 0)),
        ("of another release", running.ticket(&other, rollout, &first, 0)),
        ("for other keys", running.ticket(&released, rollout, &impostor, 0)),
        ("damaged", damaged),
    ];
    for (what, wrong) in cases {
        let request = AddDeployments { deployments: vec![wrong] };
        let refused = admin.post(&path::deployments(rollout), &request).await;
        assert_eq!(refused.code(), ErrorCode::InvalidObject, "{what}");
    }
    let by_a_stranger = stranger.ticket(&released, rollout, &first, 0);
    let request = AddDeployments { deployments: vec![by_a_stranger] };
    assert_eq!(admin.post(&path::deployments(rollout), &request).await.code(), ErrorCode::InvalidObject);

    let unknown = running.ticket(&released, rollout, &Device::new("A-9"), 0);
    let request = AddDeployments { deployments: vec![good, of_second, unknown.clone()] };
    let added: AddedDeployments = admin.post(&path::deployments(rollout), &request).await.ok();
    assert_eq!((added.added, added.renewed), (2, 0));
    assert_eq!(added.excluded, [Excluded::NotActive { device: unknown.device }]);
    running.clock.advance(Seconds(5));
    let renewed = running.ticket(&released, rollout, &first, 0);
    let request = AddDeployments { deployments: vec![renewed] };
    let added: AddedDeployments = admin.post(&path::deployments(rollout), &request).await.ok();
    assert_eq!((added.added, added.renewed), (0, 1));
    let busy = running.ticket(&released, elsewhere, &first, 0);
    let request = AddDeployments { deployments: vec![busy] };
    let added: AddedDeployments = admin.post(&path::deployments(elsewhere), &request).await.ok();
    assert_eq!(added.excluded, [Excluded::InOtherRollout { device: first.id, rollout }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_planned_over_what_is_published_and_sealed_for_it() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let released: Released = running.release("1.2.0", 1_000).await;
    let other = running.release("1.3.0", 1_001).await;
    let policy = running.policy(&[1]);
    let good = NewRollout {
        id: RolloutId::random(&mut envelope::SystemRandom),
        release: released.id,
        target: released.artifact.target.clone(),
        artifact: released.sealed,
        component: released.artifact.component.clone(),
        not_before: vec![running.now()],
        policy,
    };
    let mut no_phase = good.clone();
    no_phase.policy.phases.clear();
    no_phase.not_before.clear();
    let cases = [
        ("no phase", no_phase, ErrorCode::InvalidPolicy),
        (
            "no time for a phase",
            NewRollout { not_before: Vec::new(), ..good.clone() },
            ErrorCode::InvalidPolicy,
        ),
        ("another sealing", NewRollout { artifact: other.sealed, ..good.clone() }, ErrorCode::InvalidRequest),
        (
            "another target",
            NewRollout { target: other.artifact.target, ..good.clone() },
            ErrorCode::InvalidRequest,
        ),
        (
            "another component",
            NewRollout { component: "modem".parse().unwrap(), ..good.clone() },
            ErrorCode::InvalidRequest,
        ),
    ];
    for (what, wrong, code) in cases {
        assert_eq!(admin.post(path::ROLLOUTS, &wrong).await.code(), code, "{what}");
    }
    admin.post(path::ROLLOUTS, &good).await.done();
    admin.post(path::ROLLOUTS, &good).await.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_counts_only_with_the_devices_own_signature() {
    let running = Running::start().await;
    let mut units = units(&running, 2).await;
    let released = running.release("1.2.0", 1_000).await;
    running.roll_out(&released, &devices(&units), running.policy(&[2])).await;
    let offer = units[0].offer().await;
    let foreign = units[1].offer().await;
    let (now, reports) = (running.now(), protocol::device::path::REPORTS);
    let [first, second] = &mut units[..] else { panic!("two units") };
    let honest = first.device.signed_report(&offer, Downloading, now);
    let of_the_other = second.device.signed_report(&offer, Succeeded, now);
    let about_the_other = first.device.signed_report(&foreign, Succeeded, now);
    let decided_by_the_backend = first.device.signed_report(&offer, Canceled, now);
    let mut damaged = honest.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let request = protocol::device::ReportsRequest {
        reports: [honest.clone(), of_the_other, about_the_other, decided_by_the_backend, damaged, honest]
            .map(protocol::Base64)
            .to_vec(),
    };
    let response: protocol::device::ReportsResponse = first.line.post(reports, &request).await.ok();
    let codes: Vec<_> = response.refused.iter().map(|refused| refused.as_ref().map(|e| e.code)).collect();
    let (invalid, not_found, conflict) =
        (Some(ErrorCode::InvalidObject), Some(ErrorCode::NotFound), Some(ErrorCode::Conflict));
    assert_eq!(codes, [None, invalid, not_found, conflict, invalid, None]);
}
