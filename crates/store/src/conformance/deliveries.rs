//! Tickets, offers, reports and time.

use model::{DeploymentState, RolloutState};

use super::{
    Subject,
    fixture::{Fleet, START, at, deployment, device, link, policy, report, rollout, ticket},
};
use crate::{
    DeviceState, NewDeployment, Offer, PageRequest, Pause, Reported, RolloutStep, Ticket, TicketAction,
    TicketTaken, Timeline,
};

pub async fn tickets_are_renewed_upwards_only(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[2]).await;
    let one = fleet.deploy_new(rollout, 1, 0).await;
    let put = async |ticket: Ticket| store.put_tickets(vec![(one, ticket)], at(1)).await.unwrap()[0];
    assert_eq!(put(ticket(1)).await, TicketTaken::Older);
    assert_eq!(put(ticket(3)).await, TicketTaken::Taken);
    assert_eq!(put(ticket(2)).await, TicketTaken::Older);
    let unknown = store.put_tickets(vec![(deployment(9), ticket(1))], at(1)).await.unwrap();
    assert_eq!(unknown, [TicketTaken::Unknown]);
    // A hold is never ready, until a newer ticket installs again.
    let hold = Ticket { action: TicketAction::Hold, ..ticket(4) };
    assert_eq!(put(hold).await, TicketTaken::Taken);
    let row = store.deployment(one).await.unwrap().unwrap();
    assert_eq!(row.installs, Some(ticket(3).label), "what was signed to be installed is not forgotten");
    assert_eq!(store.ready(rollout, 0, 9, at(1)).await.unwrap(), []);
    assert!(!fleet.offer(one, link(1, 600), at(1)).await);
    assert_eq!(put(ticket(5)).await, TicketTaken::Taken);
    let ready = store.ready(rollout, 0, 9, at(1)).await.unwrap();
    assert_eq!(ready[0].ticket.as_ref().map(|ticket| ticket.seq), Some(5));
    // From the installer on nothing replaces it.
    assert!(fleet.offer(one, link(1, 600), at(1)).await);
    assert_eq!(put(ticket(6)).await, TicketTaken::Taken);
    fleet.report(1, DeploymentState::Installing, at(2)).await;
    assert_eq!(put(ticket(7)).await, TicketTaken::Closed);
    fleet.report(1, DeploymentState::Failed, at(3)).await;
    assert_eq!(put(ticket(8)).await, TicketTaken::Closed);
}

pub async fn an_offer_takes_a_running_rollout_and_a_ticket_in_force(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[9]).await;
    fleet.enrol_all(1..=6).await;
    let span = |from, to| Some(Ticket { not_before: at(from), not_after: at(to), ..ticket(1) });
    let tickets = [
        (1, None),
        (2, span(100, 200)),
        (3, span(0, 50)),
        (4, span(0, 500)),
        (5, span(0, 500)),
        (6, span(0, 500)),
    ];
    let new = tickets.into_iter().map(|(n, ticket)| NewDeployment {
        id: deployment(n),
        device: device(n),
        phase: 0,
        artifact: model::ArtifactId::new([1; 16]),
        ticket,
    });
    store.add_deployments(rollout, new.collect(), false, START).await.unwrap();
    store.withdraw_devices(vec![device(5)], DeviceState::Revoked, "lost".into(), START).await.unwrap();
    let fork = |nonce| crate::CheckIn { device: device(6), counter: 1, nonce: [nonce; 16], at: START };
    store.check_in(vec![fork(1), fork(2)]).await.unwrap();
    let ready = async |secs| {
        let found = store.ready(rollout, 0, 9, at(secs)).await.unwrap();
        let mut ids: Vec<_> = found.into_iter().map(|delivery| delivery.deployment.id).collect();
        ids.sort_unstable();
        assert_eq!(store.observe(rollout, at(secs)).await.unwrap().phases[0].ready as usize, ids.len());
        ids
    };
    assert_eq!(ready(0).await, [deployment(3), deployment(4)]);
    assert_eq!(ready(50).await, [deployment(4)]);
    assert_eq!(ready(100).await, [deployment(2), deployment(4)]);
    let offers: Vec<Offer> = (1..=7)
        .map(|n| Offer { deployment: deployment(n), link: link(n, 600), not_before: at(60) })
        .collect();
    let taken = store.offer(offers.clone(), at(60)).await.unwrap();
    assert_eq!(taken, [false, false, false, true, false, false, false]);
    assert!(!fleet.offer(deployment(4), link(14, 600), at(61)).await, "offered once");
    assert!(!fleet.opens(link(14, 600), at(61)).await);

    let pause = Pause::Person { by: super::fixture::spki(1), reason: String::new() };
    store.step_rollout(rollout, RolloutStep::Pause(pause), at(100)).await.unwrap();
    assert!(!fleet.offer(deployment(2), link(2, 600), at(110)).await);
    assert_eq!(store.observe(rollout, at(110)).await.unwrap().state, RolloutState::Paused);
    store.step_rollout(rollout, RolloutStep::Resume, at(120)).await.unwrap();
    assert!(fleet.offer(deployment(2), link(2, 600), at(120)).await);
    let row = store.deployment(deployment(2)).await.unwrap().unwrap();
    assert_eq!(
        (row.deployment.attempts, row.offered_at, row.deadline_at),
        (1, Some(at(120)), Some(at(3_720)))
    );
}

pub async fn a_device_that_is_busy_is_not_ready(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let first = fleet.start(1, &[2]).await;
    let one = fleet.deploy_new(first, 1, 0).await;
    let mut other = super::fixture::new_rollout(2, policy(&[2]));
    other.component = "modem".parse().unwrap();
    store.create_rollout(other).await.unwrap();
    store.step_rollout(rollout(2), RolloutStep::Start, START).await.unwrap();
    let two = fleet.deploy(rollout(2), 2, 0, device(1)).await;
    assert_eq!(store.ready(rollout(2), 0, 9, at(1)).await.unwrap().len(), 1, "queued elsewhere is not busy");
    assert!(fleet.offer(one, link(1, 600), at(1)).await);
    assert_eq!(store.ready(rollout(2), 0, 9, at(2)).await.unwrap(), []);
    fleet.report(1, DeploymentState::Succeeded, at(3)).await;
    assert_eq!(store.ready(rollout(2), 0, 9, at(4)).await.unwrap()[0].deployment.id, two);
}

pub async fn reports_apply_once_and_only_forward(make: impl Fn() -> Subject) {
    use DeploymentState::{Canceled, Confirming, Downloaded, Downloading, Failed, Installing, Succeeded};
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[2]).await;
    let one = fleet.deploy_new(rollout, 1, 0).await;
    let queued = DeploymentState::Queued;
    assert_eq!(fleet.report(1, Downloading, at(1)).await, Reported::Refused { state: queued });
    assert!(fleet.offer(one, link(1, 600), at(1)).await);
    let offered = DeploymentState::Offered;
    assert_eq!(
        fleet.report(1, Downloading, at(2)).await,
        Reported::Changed { from: offered, to: Downloading }
    );
    assert_eq!(fleet.report(1, Downloading, at(3)).await, Reported::Unchanged { state: Downloading });
    assert!(fleet.opens(link(1, 600), at(3)).await);
    // The device confirms the download: the link is gone.
    assert_eq!(
        fleet.report(1, Downloaded, at(4)).await,
        Reported::Changed { from: Downloading, to: Downloaded }
    );
    assert!(!fleet.opens(link(1, 600), at(4)).await);
    assert_eq!(store.consume(vec![link(1, 600)], at(4)).await.unwrap(), [false]);
    let story = vec![
        report(1, Confirming, at(5)),
        report(1, Installing, at(6)),
        report(1, Canceled, at(6)),
        crate::Report { device: device(9), ..report(1, Failed, at(6)) },
        report(7, Failed, at(6)),
        report(1, Succeeded, at(7)),
        report(1, Succeeded, at(8)),
        report(1, Failed, at(9)),
    ];
    assert_eq!(
        store.report(story).await.unwrap(),
        [
            Reported::Changed { from: Downloaded, to: Confirming },
            Reported::Unchanged { state: Confirming },
            Reported::Refused { state: Confirming },
            Reported::Unknown,
            Reported::Unknown,
            Reported::Changed { from: Confirming, to: Succeeded },
            Reported::Unchanged { state: Succeeded },
            Reported::Refused { state: Succeeded },
        ]
    );
    let events = store.events(Timeline::Rollout(rollout), PageRequest::first(20)).await.unwrap().rows;
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "deployment_succeeded",
            "deployment_confirming",
            "deployment_downloaded",
            "link_consumed",
            "deployment_downloading",
            "deployment_offered",
            "rollout_running",
        ],
        "a repeat leaves no event"
    );
    assert_eq!(events[0].raw.as_deref(), Some(&b"signed report"[..]));
    let counts = store.link_counts(Some(rollout)).await.unwrap();
    assert_eq!((counts.issued, counts.active, counts.consumed), (0, 0, 1));
}

pub async fn a_device_that_was_given_up_may_come_home(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let rollout = fleet.start(1, &[2]).await;
    let one = fleet.deploy_new(rollout, 1, 0).await;
    assert!(fleet.offer(one, link(1, 9_000), START).await);
    fleet.report(1, DeploymentState::Rebooting, at(1)).await;
    assert_eq!(fleet.store.time_out(at(3_600), 9).await.unwrap().len(), 1);
    let home = fleet.report(1, DeploymentState::Succeeded, at(4_000)).await;
    let (from, to) = (DeploymentState::TimedOut, DeploymentState::Succeeded);
    assert_eq!(home, Reported::Changed { from, to });
    assert_eq!(fleet.store.failure_clusters(rollout).await.unwrap(), []);
    assert_eq!(fleet.store.requeue(rollout, 9, at(4_001)).await.unwrap(), 0);
}

pub async fn deployments_run_out_of_time_and_are_queued_again(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[3]).await;
    for n in 1..=3 {
        let deployment = fleet.deploy_new(rollout, n, 0).await;
        assert!(fleet.offer(deployment, link(n, 9_000), START).await);
    }
    fleet.report(3, DeploymentState::Succeeded, at(5)).await;
    assert_eq!(store.time_out(at(3_599), 9).await.unwrap(), []);
    assert_eq!(store.time_out(at(3_600), 1).await.unwrap().len(), 1);
    let second = store.time_out(at(3_600), 9).await.unwrap();
    assert_eq!((second.len(), second[0].rollout), (1, rollout));
    assert!(!fleet.opens(link(1, 9_000), at(3_601)).await);

    // One retry is covered; a person may grant more.
    assert_eq!(store.requeue(rollout, 9, at(3_700)).await.unwrap(), 2);
    assert_eq!(store.requeue(rollout, 9, at(3_700)).await.unwrap(), 0);
    assert_eq!(store.ready(rollout, 0, 9, at(3_700)).await.unwrap().len(), 2);
    assert!(fleet.offer(deployment(1), link(11, 9_000), at(3_700)).await);
    fleet.report(1, DeploymentState::Failed, at(3_800)).await;
    assert_eq!(store.requeue(rollout, 9, at(3_900)).await.unwrap(), 0);
    let picked = vec![deployment(1), deployment(3), deployment(9)];
    assert_eq!(store.retry(picked, at(3_900)).await.unwrap(), [true, false, false]);
    let row = store.deployment(deployment(1)).await.unwrap().unwrap();
    assert_eq!((row.deployment.attempts, row.code), (2, None));
    // A device that another rollout took meanwhile cannot be queued again.
    assert!(fleet.offer(deployment(2), link(12, 9_000), at(4_000)).await);
    fleet.report(2, DeploymentState::RolledBack, at(4_001)).await;
    let other = fleet.start(2, &[3]).await;
    fleet.deploy(other, 20, 0, device(2)).await;
    assert_eq!(store.retry(vec![deployment(2)], at(4_002)).await.unwrap(), [false]);
}
