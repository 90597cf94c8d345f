//! Links: bound in time, redeemed once, swept, remade.

use std::{collections::BTreeSet, sync::Arc};

use model::{DeploymentState, LinkEnd, LinkId, LinkState};

use super::{
    Subject,
    fixture::{Fleet, LENGTH, START, at, deployment, device, link},
};
use crate::{
    CONFIRM_WITHIN, Error, LinkChoice, LinkFate, LinkFilter, Offer, PageRequest, Served, ServedRange,
};

pub async fn a_link_is_redeemed_once_however_many_ask(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let rollout = fleet.start(1, &[9]).await;
    let one = fleet.deploy_new(rollout, 1, 0).await;
    assert!(fleet.offer(one, link(1, 600), START).await);
    assert!(fleet.opens(link(1, 600), at(1)).await);
    let tasks = (0..32).map(|n| {
        let store = Arc::clone(&fleet.store);
        tokio::spawn(async move {
            // Some ask one by one, some in batches that name it twice.
            let links = if n % 2 == 0 { vec![link(1, 600)] } else { vec![link(1, 600); 2] };
            store.consume(links, at(2)).await.unwrap().into_iter().filter(|won| *won).count()
        })
    });
    let mut wins = 0;
    for task in tasks.collect::<Vec<_>>() {
        wins += task.await.unwrap();
    }
    assert_eq!(wins, 1);
    assert!(!fleet.opens(link(1, 600), at(2)).await, "used again it yields nothing");
    assert_eq!(
        fleet.store.note_served(vec![range(link(1, 600), 0, 1)], at(3)).await.unwrap(),
        [Served::Gone]
    );
    let counts = fleet.store.link_counts(None).await.unwrap();
    assert_eq!((counts.issued, counts.active, counts.consumed), (0, 0, 1));
    // The device never said `downloaded`: the link is remade, though not at once.
    assert_eq!(fleet.store.take_unlinked(at(61), 9).await.unwrap(), []);
    let remade = fleet.store.take_unlinked(at(2) + CONFIRM_WITHIN, 9).await.unwrap();
    assert_eq!((remade.len(), remade[0].deployment.id, remade[0].link), (1, one, None));
    assert!(fleet.reissue(one, link(2, 700), at(62)).await);
}

fn range(link: LinkId, from: u64, to: u64) -> ServedRange {
    ServedRange { link, from, to }
}

pub async fn the_last_byte_consumes_a_link_across_reissued_ones(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[9]).await;
    let one = fleet.deploy_new(rollout, 1, 0).await;
    assert!(fleet.offer(one, link(1, 600), START).await);
    let note = async |range| store.note_served(vec![range], at(1)).await.unwrap()[0];
    assert_eq!(note(range(link(1, 600), 0, 40_000)).await, Served::Counted { bytes: 40_000 });
    assert_eq!(note(range(link(1, 600), 10_000, 50_000)).await, Served::Counted { bytes: 50_000 });
    let counts = store.link_counts(Some(rollout)).await.unwrap();
    assert_eq!((counts.issued, counts.active), (0, 1));
    // It lapses; the next one goes on where it was.
    assert_eq!(store.sweep(at(600), 10).await.unwrap().len(), 1);
    assert!(fleet.reissue(one, link(2, 1_200), at(600)).await);
    assert_eq!(note(range(link(1, 600), 50_000, LENGTH)).await, Served::Gone);
    assert_eq!(note(range(link(2, 1_200), 60_000, LENGTH + 5)).await, Served::Counted { bytes: 90_000 });
    let last = vec![range(link(2, 1_200), 50_000, 60_000); 3];
    assert_eq!(store.note_served(last, at(2)).await.unwrap(), [Served::Consumed, Served::Gone, Served::Gone]);
    assert!(!fleet.opens(link(2, 1_200), at(601)).await);
    let counts = store.link_counts(Some(rollout)).await.unwrap();
    assert_eq!((counts.consumed, counts.expired, counts.reissued), (1, 1, 1));
    // Another link after all of that starts from nothing.
    assert!(fleet.reissue(one, link(3, 1_900), at(700)).await);
    assert_eq!(note(range(link(3, 1_900), 0, 10)).await, Served::Counted { bytes: 10 });
}

pub async fn a_lapsed_link_yields_nothing_and_is_remade(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[9]).await;
    let one = fleet.deploy_new(rollout, 1, 0).await;
    let later = vec![Offer { deployment: one, link: link(1, 600), not_before: at(10) }];
    assert_eq!(store.offer(later, START).await.unwrap(), [true]);
    assert!(!fleet.opens(link(1, 600), at(9)).await, "not yet");
    assert!(fleet.opens(link(1, 600), at(10)).await);
    assert!(fleet.opens(link(1, 600), at(599)).await);
    assert!(!fleet.opens(link(1, 600), at(600)).await, "no longer");
    assert_eq!(
        store.open_deliveries(device(1), at(599)).await.unwrap()[0].link,
        Some((link(1, 600), at(10)))
    );
    assert_eq!(store.open_deliveries(device(1), at(600)).await.unwrap()[0].link, None);

    assert!(!fleet.reissue(one, link(2, 1_200), at(599)).await, "while one is open there is no other");
    assert!(fleet.reissue(one, link(2, 1_200), at(600)).await, "swept or not");
    assert!(!fleet.reissue(one, link(3, 1_200), at(601)).await);
    assert!(fleet.opens(link(2, 1_200), at(601)).await);
    assert_eq!(store.sweep(at(1_199), 10).await.unwrap(), [], "the lapsed one is gone already");
    let taken = Offer { deployment: one, link: link(2, 1_200), not_before: at(1_200) };
    assert!(matches!(store.reissue(vec![taken], at(1_200)).await, Ok(_) | Err(Error::Conflict { .. })));
    let counts = store.link_counts(Some(rollout)).await.unwrap();
    assert_eq!(counts.issued, 1);
    // What the device has downloaded needs no further link.
    fleet.report(1, DeploymentState::Downloaded, at(1_201)).await;
    assert!(!fleet.reissue(one, link(4, 2_000), at(1_300)).await);
}

pub async fn a_sweep_removes_what_lapsed_and_nothing_else(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[400]).await;
    fleet.enrol_all(1..=400).await;
    for n in 1..=400 {
        fleet.deploy(rollout, n, 0, device(n)).await;
    }
    let offers: Vec<Offer> = (1..=400)
        .map(|n| Offer { deployment: deployment(n), link: link(n, 100 + n), not_before: START })
        .collect();
    assert!(store.offer(offers, START).await.unwrap().into_iter().all(|taken| taken));
    assert!(fleet.opens(link(250, 350), at(1)).await);
    let mut swept = Vec::new();
    loop {
        let some = store.sweep(at(350), 60).await.unwrap();
        assert!(some.len() <= 60);
        if some.is_empty() {
            break;
        }
        swept.extend(some);
    }
    let links: BTreeSet<LinkId> = swept.iter().map(|ended| ended.link).collect();
    assert_eq!(links, (1..=250).map(|n| link(n, 100 + n)).collect());
    assert_eq!(swept.len(), 250);
    assert!(swept.iter().all(|ended| ended.end == LinkEnd::Expired));
    assert_eq!((swept[0].deployment, swept[0].device), (deployment(1), device(1)));
    let counts = store.link_counts(None).await.unwrap();
    assert_eq!((counts.issued, counts.expired), (150, 250));
    let left = store.links(LinkFilter::default(), at(350), PageRequest::first(1_000)).await.unwrap();
    assert_eq!(left.rows.len(), 150);
    assert_eq!(store.deliveries(vec![deployment(1)], at(350)).await.unwrap()[0].link, None);
}

pub async fn a_clock_that_is_set_back_revives_nothing(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[9]).await;
    for n in 1..=3 {
        let deployment = fleet.deploy_new(rollout, n, 0).await;
        assert!(fleet.offer(deployment, link(n, 600), at(100)).await);
    }
    assert_eq!(store.consume(vec![link(1, 600)], at(110)).await.unwrap(), [true]);
    assert_eq!(store.sweep(at(600), 1).await.unwrap().len(), 1);
    let gone = [link(1, 600), link(2, 600)];
    for now in [at(0), at(150), at(599)] {
        for link in gone {
            assert!(!fleet.opens(link, now).await);
        }
        assert_eq!(store.sweep(now, 9).await.unwrap(), []);
        assert_eq!(store.consume(gone.to_vec(), now).await.unwrap(), [false, false]);
    }
    assert_eq!(store.time_out(at(0), 9).await.unwrap(), []);
    let check_in =
        |counter, secs| crate::CheckIn { device: device(1), counter, nonce: [1; 16], at: at(secs) };
    store.check_in(vec![check_in(1, 500), check_in(2, 100)]).await.unwrap();
    assert_eq!(store.device(device(1)).await.unwrap().unwrap().last_seen_at, Some(at(500)));
}

pub async fn revoked_links_are_gone_whoever_remembers_them(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[9]).await;
    let other = fleet.start(2, &[9]).await;
    for n in 1..=6 {
        let deployment = fleet.deploy_new(if n < 5 { rollout } else { other }, n, 0).await;
        assert!(fleet.offer(deployment, link(n, 600), START).await);
        assert!(fleet.opens(link(n, 600), at(1)).await, "remembered from here on");
    }
    let revoke = async |which| {
        let gone = store.revoke_links(which, at(2)).await.unwrap();
        assert!(gone.iter().all(|ended| ended.end == LinkEnd::Revoked));
        gone.into_iter().map(|ended| ended.link).collect::<BTreeSet<_>>()
    };
    assert_eq!(revoke(LinkChoice::These(vec![link(1, 600), link(9, 600)])).await, [link(1, 600)].into());
    assert_eq!(revoke(LinkChoice::Device(device(2))).await, [link(2, 600)].into());
    assert_eq!(revoke(LinkChoice::Rollout(rollout)).await, [link(3, 600), link(4, 600)].into());
    assert_eq!(revoke(LinkChoice::All).await, [link(5, 600), link(6, 600)].into());
    for n in 1..=6 {
        assert!(!fleet.opens(link(n, 600), at(3)).await);
    }
    assert_eq!(store.take_unlinked(at(9_999), 9).await.unwrap(), [], "what a person took back stays so");
    assert!(fleet.reissue(deployment(1), link(11, 700), at(4)).await, "until somebody makes another");
    let counts = store.link_counts(None).await.unwrap();
    assert_eq!((counts.issued, counts.revoked), (1, 6));
}

pub async fn link_lists_hold_each_open_link_once(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[40]).await;
    let other = fleet.start(2, &[40]).await;
    for n in 1..=20 {
        let deployment = fleet.deploy_new(if n % 2 == 0 { rollout } else { other }, n, 0).await;
        assert!(fleet.offer(deployment, link(n, 100 + n), START).await);
    }
    let used = (5..=8).map(|n| range(link(n, 100 + n), 0, 1_000));
    store.note_served(used.collect(), at(1)).await.unwrap();
    store.consume(vec![link(20, 120)], at(1)).await.unwrap();
    let list = async |filter: LinkFilter, now| {
        let mut all = Vec::new();
        let mut page = PageRequest::first(3);
        loop {
            let found = store.links(filter.clone(), at(now), page).await.unwrap();
            all.extend(found.rows.into_iter().map(|row| row.link.id.as_bytes()[23]));
            match found.next {
                Some(next) => page = PageRequest::after(next, 3),
                None => return all,
            }
        }
    };
    let none = LinkFilter::default;
    assert_eq!(list(none(), 1).await, (1..=19).collect::<Vec<u8>>());
    assert_eq!(list(none(), 110).await, (11..=19).collect::<Vec<u8>>(), "a lapsed one is not open");
    let of = LinkFilter { rollout: Some(rollout), ..none() };
    assert_eq!(list(of.clone(), 1).await, [2, 4, 6, 8, 10, 12, 14, 16, 18]);
    let active = LinkFilter { state: Some(LinkState::Active), ..of };
    assert_eq!(list(active, 1).await, [6, 8]);
    let soon = LinkFilter { expires_before: Some(at(104)), ..none() };
    assert_eq!(list(soon, 1).await, [1, 2, 3]);
    assert_eq!(store.links_expiring(at(104), at(1), 100).await.unwrap(), 3);
    assert_eq!(store.links_expiring(at(104), at(102), 100).await.unwrap(), 1, "a lapsed one is not open");
    assert_eq!(store.links_expiring(at(1_000), at(1), 7).await.unwrap(), 7, "it counts no further");
    let of_device = LinkFilter { device: Some(device(7)), ..none() };
    assert_eq!(list(of_device.clone(), 1).await, [7]);
    assert_eq!(list(LinkFilter { rollout: Some(rollout), ..of_device }, 1).await, Vec::<u8>::new());
    let ended = LinkFilter { state: Some(LinkState::Consumed), ..none() };
    assert_eq!(list(ended, 1).await, Vec::<u8>::new());
    let row =
        store.links(LinkFilter { device: Some(device(5)), ..none() }, at(1), PageRequest::first(1)).await;
    let row = row.unwrap().rows.remove(0);
    assert_eq!((row.state, row.served_bytes, row.attempts), (LinkState::Active, 1_000, 1));
}

pub async fn what_became_of_links_is_told_newest_first(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let rollout = fleet.start(1, &[9]).await;
    for n in 1..=4 {
        let one = fleet.deploy_new(rollout, n, 0).await;
        assert!(fleet.offer(one, link(n, 600 + n), START).await);
    }
    assert_eq!(store.consume(vec![link(1, 601)], at(10)).await.unwrap(), [true]);
    store.revoke_links(LinkChoice::These(vec![link(2, 602)]), at(20)).await.unwrap();
    assert_eq!(store.sweep(at(604), 10).await.unwrap().len(), 2);
    assert!(fleet.reissue(deployment(3), link(9, 1_200), at(605)).await);

    let mut told = Vec::new();
    let mut page = PageRequest::first(1);
    loop {
        let found = store.link_events(None, page).await.unwrap();
        told.extend(found.rows);
        match found.next {
            Some(next) => page = PageRequest::after(next, 1),
            None => break,
        }
    }
    let fates: Vec<_> = told.iter().map(|one| (one.fate, one.at, one.count)).collect();
    assert_eq!(
        fates,
        [
            (LinkFate::Reissued, at(605), 1),
            (LinkFate::Expired, at(604), 2),
            (LinkFate::Revoked, at(20), 1),
            (LinkFate::Consumed, at(10), 1),
        ]
    );
    let consumed = &told[3];
    assert_eq!(consumed.device.as_ref().map(|(id, _)| *id), Some(device(1)));
    assert_eq!((consumed.issued_at, consumed.expires_at), (Some(START), Some(at(601))));
    assert_eq!((consumed.rollout, consumed.length_bytes), (rollout, Some(LENGTH)));
    assert!(told[1].device.is_none(), "a sweep leaves one line for all that lapsed");
    for fate in LinkFate::ALL {
        let found = store.link_events(Some(fate), PageRequest::first(9)).await.unwrap().rows;
        assert_eq!(found.iter().map(|one| one.fate).collect::<Vec<_>>(), [fate]);
    }
}
