//! Counters must say what a recount says, after anything that may happen.

use std::collections::BTreeMap;

use model::{DeploymentState, LinkState, Seconds, planner::Counts};

use super::{
    Subject,
    fixture::{Fleet, START, at, deployment, device, link, report, ticket},
};
use crate::{
    CheckIn, DeploymentFilter, DeviceFilter, DeviceState, LinkChoice, LinkFilter, Offer, PageRequest, Pause,
    RolloutStep, ServedRange,
};

/// Something that may happen. Numbers are taken modulo what there is; time goes on by a little each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// A deployment is offered.
    Offer(u8),
    /// A deployment gets another link.
    Reissue(u8),
    /// A device reports.
    Report(u8, DeploymentState),
    /// Bytes are served over a deployment's newest link, in tenths of the file.
    Serve(u8, u8),
    /// A deployment's newest link is redeemed.
    Consume(u8),
    /// A device's links are revoked.
    Revoke(u8),
    /// A deployment gets a newer ticket.
    Ticket(u8),
    /// Lapsed links are swept, at most so many.
    Sweep(u8),
    /// Deployments run out of time, and are queued again.
    TimeOut,
    /// A person retries.
    Retry(u8),
    /// A person cancels.
    Cancel(u8),
    /// The rollout pauses, or goes on.
    PauseOrResume,
    /// A device is taken out of service.
    Withdraw(u8),
    /// A device checks in with this counter.
    CheckIn(u8, u8),
    /// A device joins or leaves a cohort.
    Cohort(u8, bool),
}

const DEVICES: u64 = 6;

/// Lets all of `ops` happen to one rollout of a few devices and compares every counter with a recount
/// through the lists.
pub async fn counters_equal_a_recount(make: impl Fn() -> Subject, ops: Vec<Op>) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[3, 3]).await;
    for n in 1..=DEVICES {
        let device = fleet.enrol(n).await;
        fleet.deploy(rollout, n, u32::from(n > 3), device).await;
    }
    let mut newest = BTreeMap::new();
    let (mut made, mut reissued) = (0_u64, 0_u64);
    let pick = |n: u8| 1 + u64::from(n) % DEVICES;
    for (step, op) in (1_u64..).zip(ops) {
        let now = at(step * 40);
        // Every fourth link lapses soon.
        let fresh = link(step, step * 40 + if step % 4 == 0 { 60 } else { 600 });
        let offers = |n| vec![Offer { deployment: deployment(pick(n)), link: fresh, not_before: now }];
        match op {
            Op::Offer(n) => {
                if store.offer(offers(n), now).await.unwrap()[0] {
                    newest.insert(pick(n), fresh);
                    made += 1;
                }
            }
            Op::Reissue(n) => {
                if store.reissue(offers(n), now).await.unwrap()[0] {
                    newest.insert(pick(n), fresh);
                    made += 1;
                    reissued += 1;
                }
            }
            Op::Report(n, state) => drop(store.report(vec![report(pick(n), state, now)]).await.unwrap()),
            Op::Serve(n, tenths) => {
                if let Some(link) = newest.get(&pick(n)) {
                    let from = u64::from(tenths % 10) * 10_000;
                    let served = ServedRange { link: *link, from, to: from + 40_000 };
                    store.note_served(vec![served], now).await.unwrap();
                }
            }
            Op::Consume(n) => {
                if let Some(link) = newest.get(&pick(n)) {
                    store.consume(vec![*link], now).await.unwrap();
                }
            }
            Op::Revoke(n) => {
                drop(store.revoke_links(LinkChoice::Device(device(pick(n))), now).await.unwrap());
            }
            Op::Ticket(n) => {
                let renewed = vec![(deployment(pick(n)), ticket(step + 1))];
                store.put_tickets(renewed, now).await.unwrap();
            }
            Op::Sweep(most) => drop(store.sweep(now, u32::from(most % 4) + 1).await.unwrap()),
            Op::TimeOut => {
                store.time_out(now + Seconds(3_000), 3).await.unwrap();
                store.requeue(rollout, 3, now).await.unwrap();
            }
            Op::Retry(n) => drop(store.retry(vec![deployment(pick(n))], now).await.unwrap()),
            Op::Cancel(n) => drop(store.cancel_these(vec![deployment(pick(n))], now).await.unwrap()),
            Op::PauseOrResume => {
                let pause = Pause::Person { by: super::fixture::spki(0), reason: String::new() };
                if store.step_rollout(rollout, RolloutStep::Resume, now).await.is_err() || step % 2 == 0 {
                    // Whichever is legal in its state.
                    drop(store.step_rollout(rollout, RolloutStep::Pause(pause), now).await);
                }
            }
            Op::Withdraw(n) => {
                let to = if n % 2 == 0 { DeviceState::Revoked } else { DeviceState::Retired };
                let devices = vec![device(pick(n))];
                store.withdraw_devices(devices, to, "test".into(), now).await.unwrap();
            }
            Op::CheckIn(n, counter) => {
                let check_in = CheckIn {
                    device: device(pick(n)),
                    counter: counter.into(),
                    nonce: [counter; 16],
                    at: now,
                };
                store.check_in(vec![check_in]).await.unwrap();
            }
            Op::Cohort(n, joins) => {
                let who = vec![device(pick(n))];
                let (add, remove) = if joins { (who, vec![]) } else { (vec![], who) };
                store.change_cohort("canary".into(), add, remove).await.unwrap();
            }
        }
    }
    recount_deployments(&fleet, rollout).await;
    recount_devices(&fleet).await;
    let counts = store.link_counts(None).await.unwrap();
    assert_eq!(counts, store.link_counts(Some(rollout)).await.unwrap());
    let open = store.links(LinkFilter::default(), START, PageRequest::first(1_000)).await.unwrap().rows;
    let active = open.iter().filter(|row| row.state == LinkState::Active).count() as u64;
    assert_eq!((counts.issued, counts.active), (open.len() as u64 - active, active));
    assert_eq!(counts.issued + counts.active + counts.consumed + counts.expired + counts.revoked, made);
    assert_eq!(counts.reissued, reissued);
}

async fn recount_deployments(fleet: &Fleet, rollout: model::RolloutId) {
    let filter = DeploymentFilter { rollout: Some(rollout), ..DeploymentFilter::default() };
    let rows = fleet.store.deployments(filter, PageRequest::first(1_000)).await.unwrap().rows;
    assert_eq!(rows.len() as u64, DEVICES);
    let mut counts = [Counts::default(), Counts::default()];
    let mut failures = BTreeMap::new();
    for row in rows {
        counts[row.deployment.phase as usize].add(row.deployment.state, 1);
        if row.deployment.state.counts_as_failure() {
            *failures.entry(row.code.unwrap_or_default()).or_insert(0_u32) += 1;
        }
    }
    let counted = fleet.store.rollout(rollout).await.unwrap().unwrap().phases;
    assert_eq!(counted.iter().map(|phase| phase.counts).collect::<Vec<_>>(), counts);
    let clusters = fleet.store.failure_clusters(rollout).await.unwrap();
    assert_eq!(clusters.into_iter().map(|one| (one.code, one.count)).collect::<BTreeMap<_, _>>(), failures);
}

async fn recount_devices(fleet: &Fleet) {
    let devices = fleet.store.devices(DeviceFilter::default(), PageRequest::first(1_000)).await.unwrap().rows;
    let mut by_state = BTreeMap::new();
    for device in &devices {
        *by_state.entry(device.state).or_insert(0_u64) += 1;
        let identity = fleet.store.identity(device.spki).await.unwrap().unwrap();
        assert_eq!((identity.state, identity.cloned), (device.state, device.cloned), "memory says the same");
    }
    let counts = fleet.store.device_counts().await.unwrap();
    assert_eq!(counts.by_state.into_iter().collect::<BTreeMap<_, _>>(), by_state);
    assert_eq!(counts.cloned, devices.iter().filter(|device| device.cloned).count() as u64);
    let canaries = devices.iter().filter(|device| !device.cohorts.is_empty()).count() as u64;
    assert_eq!(counts.by_cohort.first().map_or(0, |(_, count)| *count), canaries);
}
