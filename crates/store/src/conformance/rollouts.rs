//! Rollouts: their states, what is observed of them, and which devices they hold.

use std::collections::BTreeSet;

use model::{
    ArtifactId, DeploymentState, Percent, Policy, RateLimit, RolloutState, Seconds,
    planner::{self, Action, PauseCause},
};

use super::{
    Subject,
    fixture::{
        Fleet, START, at, component, deployment, device, link, new_rollout, policy, rollout, sealed, spki,
        ticket,
    },
};
use crate::{DeploymentFilter, Error, Exclusion, NewDeployment, PageRequest, Pause, RolloutStep, Ticket};

fn new_deployment(n: u64, of: u64) -> NewDeployment {
    let artifact = ArtifactId::new([1; 16]);
    NewDeployment { id: deployment(n), device: device(of), phase: 0, artifact, ticket: Some(ticket(1)) }
}

pub async fn one_deployment_is_open_per_device_and_component(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    fleet.enrol_all(1..=3).await;
    let one = fleet.start(1, &[3]).await;
    let two = fleet.start(2, &[3]).await;
    let add = async |to, new, supersede| store.add_deployments(to, new, supersede, at(1)).await;
    assert_eq!(add(one, vec![new_deployment(1, 1), new_deployment(2, 2)], false).await.unwrap(), []);
    let again = vec![new_deployment(1, 1), new_deployment(3, 1), new_deployment(4, 9)];
    let held = (device(1), Exclusion::Held { by: one });
    assert_eq!(
        add(one, again, false).await.unwrap(),
        [held, (device(9), Exclusion::NotActive)],
        "a deployment that is there is passed over"
    );
    assert_eq!(add(two, vec![new_deployment(5, 1)], false).await.unwrap(), [held]);
    assert_eq!(store.holder(device(1), component()).await.unwrap(), Some(one));

    // Superseding is explicit, and recalls nothing that is being installed.
    assert!(fleet.offer(deployment(2), link(2, 600), at(1)).await);
    fleet.report(2, DeploymentState::Installing, at(2)).await;
    let both = vec![new_deployment(5, 1), new_deployment(6, 2)];
    assert_eq!(add(two, both, true).await.unwrap(), [(device(2), Exclusion::Held { by: one })]);
    assert_eq!(fleet.state(deployment(1)).await, DeploymentState::Canceled);
    assert_eq!(store.holder(device(1), component()).await.unwrap(), Some(two));

    let phase = NewDeployment { phase: 7, ..new_deployment(7, 3) };
    assert!(matches!(add(two, vec![phase], false).await, Err(Error::NotFound { what: "phase" })));
    let artifact = NewDeployment { artifact: ArtifactId::new([9; 16]), ..new_deployment(7, 3) };
    assert!(matches!(add(two, vec![artifact], false).await, Err(Error::NotFound { what: "artifact" })));
    store.step_rollout(two, RolloutStep::Abort, at(3)).await.unwrap();
    assert!(matches!(add(two, vec![new_deployment(7, 3)], false).await, Err(Error::Illegal { .. })));
}

pub async fn a_rollout_steps_as_its_states_allow(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    store.put_sealed(sealed(1)).await.unwrap();
    store.create_rollout(new_rollout(1, policy(&[1, 1]))).await.unwrap();
    store.create_rollout(new_rollout(1, policy(&[1, 1]))).await.unwrap();
    assert!(matches!(store.create_rollout(new_rollout(1, policy(&[2]))).await, Err(Error::Conflict { .. })));
    let mut uneven = new_rollout(2, policy(&[1]));
    uneven.not_before.clear();
    assert!(matches!(store.create_rollout(uneven).await, Err(Error::Invalid { .. })));

    let step = async |step, secs| store.step_rollout(rollout(1), step, at(secs)).await;
    let person = Pause::Person { by: spki(1), reason: "noise".into() };
    assert!(matches!(step(RolloutStep::Pause(person.clone()), 1).await, Err(Error::Illegal { .. })));
    assert_eq!(step(RolloutStep::Start, 1).await.unwrap(), RolloutState::Running);
    assert_eq!(step(RolloutStep::Start, 2).await.unwrap(), RolloutState::Running);
    assert_eq!(step(RolloutStep::Pause(person.clone()), 3).await.unwrap(), RolloutState::Paused);
    assert_eq!(store.rollout(rollout(1)).await.unwrap().unwrap().pause, Some(person));
    assert!(matches!(step(RolloutStep::Start, 4).await, Err(Error::Illegal { .. })));
    assert_eq!(step(RolloutStep::Resume, 4).await.unwrap(), RolloutState::Running);
    assert_eq!(store.rollout(rollout(1)).await.unwrap().unwrap().pause, None);

    store.open_phase(rollout(1), 0, at(5)).await.unwrap();
    store.open_phase(rollout(1), 0, at(6)).await.unwrap();
    store.open_gate(rollout(1), 0, at(7)).await.unwrap();
    store.move_phases(rollout(1), vec![(0, at(100)), (1, at(200))]).await.unwrap();
    assert!(matches!(store.open_phase(rollout(1), 2, at(5)).await, Err(Error::NotFound { .. })));
    let phases = store.rollout(rollout(1)).await.unwrap().unwrap().phases;
    assert_eq!((phases[0].opened_at, phases[0].gate_opened_at), (Some(at(5)), Some(at(7))));
    assert_eq!((phases[0].not_before, phases[1].not_before), (START, at(200)), "an open phase stays");

    assert_eq!(step(RolloutStep::Finish, 8).await.unwrap(), RolloutState::Finished);
    for after in [RolloutStep::Start, RolloutStep::Resume, RolloutStep::Abort] {
        assert!(matches!(step(after, 9).await, Err(Error::Illegal { .. })));
    }
    let finished = store.rollouts(Some(RolloutState::Finished), PageRequest::first(5)).await.unwrap();
    assert_eq!(finished.rows.len(), 1);
    assert!(matches!(store.observe(rollout(9), START).await, Err(Error::NotFound { .. })));
}

pub async fn a_rollout_is_observed_from_its_counters(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rate = RateLimit { offers: 3, per: Seconds(60) };
    let policy = Policy { rate: Some(rate), ..policy(&[4, 2]) };
    let rollout = fleet.start_with(1, policy.clone()).await;
    for n in 1..=4 {
        fleet.deploy_new(rollout, n, 0).await;
    }
    for n in 5..=6 {
        fleet.deploy_new(rollout, n, 1).await;
    }
    let plan =
        async |secs| planner::plan(&policy, &store.observe(rollout, at(secs)).await.unwrap(), at(secs));
    assert_eq!(plan(0).await, [Action::Offer { phase: 0, at_most: 3 }]);
    for n in 1..=3 {
        assert!(fleet.offer(deployment(n), link(n, 600), at(0)).await);
    }
    assert_eq!(store.observe(rollout, at(59)).await.unwrap().offers_in_span, 3);
    assert_eq!(plan(59).await, []);
    assert_eq!(plan(60).await, [Action::Offer { phase: 0, at_most: 1 }]);
    assert!(fleet.offer(deployment(4), link(4, 660), at(60)).await);
    for n in 1..=4 {
        fleet.report(n, DeploymentState::Succeeded, at(61)).await;
    }
    let observed = store.observe(rollout, at(61)).await.unwrap();
    assert_eq!(observed.phases[0].counts.get(DeploymentState::Succeeded), 4);
    assert_eq!(observed.phases[0].counts.total(), 4);
    assert_eq!(plan(61).await, [Action::Open { phase: 1 }, Action::Offer { phase: 1, at_most: 2 }]);
    let progress = store.progress(rollout, START).await.unwrap();
    assert_eq!(progress.iter().map(|minute| minute.succeeded).sum::<u32>(), 4);
}

pub async fn resuming_forgives_failures_and_has_links_remade(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[3]).await;
    for n in 1..=3 {
        let deployment = fleet.deploy_new(rollout, n, 0).await;
        assert!(fleet.offer(deployment, link(n, 600), START).await);
    }
    fleet.report(1, DeploymentState::RolledBack, at(10)).await;
    let policy = store.rollout(rollout).await.unwrap().unwrap().policy;
    let plan = planner::plan(&policy, &store.observe(rollout, at(11)).await.unwrap(), at(11));
    let [Action::Pause(cause @ PauseCause::Failures { failed: 1, .. })] = plan[..] else {
        panic!("one of one failed: {plan:?}");
    };
    store.step_rollout(rollout, RolloutStep::Pause(Pause::Rule(cause)), at(11)).await.unwrap();
    assert_eq!(store.rollout(rollout).await.unwrap().unwrap().pause, Some(Pause::Rule(cause)));
    // The links lapse during the pause, and none is made.
    assert_eq!(store.sweep(at(600), 100).await.unwrap().len(), 2);
    assert!(!fleet.reissue(deployment(2), link(12, 1_200), at(601)).await);
    assert_eq!(store.take_unlinked(at(601), 10).await.unwrap(), []);

    store.step_rollout(rollout, RolloutStep::Resume, at(700)).await.unwrap();
    let unlinked = store.take_unlinked(at(700), 10).await.unwrap();
    let ids: BTreeSet<_> = unlinked.iter().map(|delivery| delivery.deployment.id).collect();
    assert_eq!(ids, [deployment(2), deployment(3)].into());
    assert_eq!(store.take_unlinked(at(700), 10).await.unwrap(), [], "taken is taken");
    assert!(fleet.reissue(deployment(2), link(12, 1_200), at(700)).await);
    let observed = store.observe(rollout, at(700)).await.unwrap();
    assert_eq!(observed.phases[0].forgiven, 1);
    assert!(planner::plan(&policy, &observed, at(700)).is_empty());
    let clusters = store.failure_clusters(rollout).await.unwrap();
    assert_eq!((clusters.len(), clusters[0].code.as_str(), clusters[0].count), (1, "checksum", 1));
    assert_eq!(Percent::ALL.get(), 100);
}

pub async fn canceling_spares_what_is_past_recall(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[6]).await;
    for n in 1..=6 {
        let deployment = fleet.deploy_new(rollout, n, 0).await;
        if n > 1 {
            assert!(fleet.offer(deployment, link(n, 600), START).await);
        }
    }
    fleet.report(3, DeploymentState::Downloading, at(1)).await;
    fleet.report(4, DeploymentState::Installing, at(1)).await;
    fleet.report(5, DeploymentState::Succeeded, at(1)).await;
    store.step_rollout(rollout, RolloutStep::Abort, at(2)).await.unwrap();
    let mut canceled = BTreeSet::new();
    let mut links = 0;
    loop {
        let some = store.cancel(rollout, 2, at(3)).await.unwrap();
        assert!(some.deployments.len() <= 2);
        assert_eq!(some.past_recall, 1);
        links += some.links.len();
        if some.deployments.is_empty() {
            break;
        }
        canceled.extend(some.deployments.into_iter().map(|(id, _)| id));
    }
    assert_eq!(canceled, [1, 2, 3, 6].map(deployment).into());
    assert_eq!(links, 3);
    assert!(!fleet.opens(link(2, 600), at(3)).await);
    assert_eq!(fleet.state(deployment(4)).await, DeploymentState::Installing);
    assert_eq!(fleet.state(deployment(5)).await, DeploymentState::Succeeded);
    let these = store.cancel_these(vec![deployment(4), deployment(9)], at(4)).await.unwrap();
    assert_eq!((these.deployments.len(), these.past_recall), (0, 1));
    // What is past recall still comes home.
    fleet.report(4, DeploymentState::Succeeded, at(5)).await;
    assert_eq!(fleet.state(deployment(4)).await, DeploymentState::Succeeded);
}

pub async fn deployment_lists_hold_each_deployment_once(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[20, 20]).await;
    fleet.enrol_all(1..=40).await;
    let new = (1..=40).map(|n| {
        let short = Ticket { not_after: at(1_000), ..ticket(1) };
        let ticket = match n % 3 {
            0 => None,
            1 => Some(ticket(1)),
            _ => Some(short),
        };
        NewDeployment { phase: u32::from(n > 20), ticket, ..new_deployment(n, n) }
    });
    store.add_deployments(rollout, new.collect(), false, START).await.unwrap();
    for n in [1, 4, 7] {
        assert!(fleet.offer(deployment(n), link(n, 600), START).await);
    }
    fleet.report(4, DeploymentState::Failed, at(1)).await;
    let list = async |filter: DeploymentFilter| {
        let mut all = Vec::new();
        let mut page = PageRequest::first(6);
        loop {
            let found = store.deployments(filter.clone(), page).await.unwrap();
            all.extend(found.rows.into_iter().map(|row| row.deployment.id));
            match found.next {
                Some(next) => page = PageRequest::after(next, 6),
                None => return all,
            }
        }
    };
    let of = DeploymentFilter { rollout: Some(rollout), ..DeploymentFilter::default() };
    let numbers =
        |wanted: &dyn Fn(u64) -> bool| (1..=40).filter(|n| wanted(*n)).map(deployment).collect::<Vec<_>>();
    assert_eq!(list(of.clone()).await, numbers(&|_| true));
    assert_eq!(list(DeploymentFilter { phase: Some(1), ..of.clone() }).await, numbers(&|n| n > 20));
    let queued = Some(DeploymentState::Queued);
    assert_eq!(
        list(DeploymentFilter { state: queued, phase: Some(0), ..of.clone() }).await,
        numbers(&|n| n <= 20 && ![1, 4, 7].contains(&n))
    );
    assert_eq!(list(DeploymentFilter { code: Some("checksum".into()), ..of.clone() }).await, [deployment(4)]);
    let mut to_sign = list(DeploymentFilter { ticket_ends_before: Some(at(2_000)), ..of.clone() }).await;
    to_sign.sort_unstable();
    assert_eq!(to_sign, numbers(&|n| n % 3 != 1));
    let of_device = DeploymentFilter { device: Some(device(7)), ..DeploymentFilter::default() };
    assert_eq!(list(of_device).await, [deployment(7)]);
    let all = store.deployments(DeploymentFilter::default(), PageRequest::first(1)).await;
    assert!(matches!(all, Err(Error::Invalid { .. })));
}
