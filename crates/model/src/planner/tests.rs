mod world;

use proptest::{collection::vec, option, prelude::*, sample::select};

use self::world::{Fate, Person, Unit, World};
use super::*;
use crate::{MaintenanceWindow, Phase, RateLimit, Seconds};

fn percent() -> impl Strategy<Value = Percent> {
    prop_oneof![Just(0_u8), Just(100), 0..=100_u8].prop_map(|share| Percent::new(share).unwrap())
}

fn minutes(range: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Seconds> {
    range.prop_map(Seconds::minutes)
}

fn phase() -> impl Strategy<Value = Phase> {
    let gate = select(vec![Gate::Continue, Gate::WaitForMe]);
    (1..=4_u32, percent(), minutes(0..=360), gate).prop_map(|(devices, success, soak, gate)| Phase {
        devices,
        success,
        soak,
        gate,
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let failure =
        (percent(), 0..=6_u32).prop_map(|(share, minimum_sample)| FailureThreshold { share, minimum_sample });
    let rate = (1..=4_u32, minutes(1..=180)).prop_map(|(offers, per)| RateLimit { offers, per });
    // Never so short that the simulation would step over it.
    let window = (0..1_440_u16, 60..=1_440_u16)
        .prop_map(|(from_minute, minutes)| MaintenanceWindow { from_minute, minutes });
    (vec(phase(), 1..=4), failure, minutes(30..=360), 0..=2_u32, option::of(rate), option::of(window))
        .prop_map(|(phases, failure, device_timeout, retries, rate, window)| Policy {
            phases,
            failure,
            device_timeout,
            retries,
            rate,
            window,
            link_life: Seconds::hours(1),
        })
}

fn unit() -> impl Strategy<Value = Unit> {
    let fate = prop_oneof![
        6 => Just(Fate::Confirms),
        1 => Just(Fate::Fails),
        1 => Just(Fate::RollsBack),
        1 => Just(Fate::Rejects),
        1 => Just(Fate::Vanishes),
    ];
    (minutes(0..=600), minutes(0..=120), vec(fate, 1..=3)).prop_map(|(ticket_after, takes, fates)| Unit {
        ticket_after,
        takes,
        fates,
    })
}

fn start() -> impl Strategy<Value = UnixTime> {
    (1_790_000_000..1_790_086_400_u64).prop_map(UnixTime::from_secs)
}

/// Any observation that a store could make: phases open in order, and not more are ready than queued.
fn observed(phases: usize) -> impl Strategy<Value = Observed> {
    let state = select(vec![
        RolloutState::Planned,
        RolloutState::Running,
        RolloutState::Running,
        RolloutState::Paused,
        RolloutState::Finished,
        RolloutState::Aborted,
    ]);
    let counts =
        vec(prop_oneof![3 => Just(0), 1 => 0..=5_u32, 1 => any::<u32>()], DeploymentState::ALL.len());
    let one = (counts, 0..=1_000_u64, 0..=1_000_u64, any::<u32>(), any::<bool>(), any::<u32>());
    (state, vec(one, phases), 0..=phases, 0..=8_u32).prop_map(|(state, phases, open, offers_in_span)| {
        Observed {
            state,
            phases: phases
                .into_iter()
                .enumerate()
                .map(|(index, (by_state, opened_at, not_before, ready, gate_opened, forgiven))| {
                    let mut counts = Counts::default();
                    for (state, n) in DeploymentState::ALL.into_iter().zip(by_state) {
                        counts.add(state, n);
                    }
                    PhaseObserved {
                        counts,
                        opened_at: (index < open).then(|| UnixTime::from_secs(opened_at)),
                        not_before: UnixTime::from_secs(not_before),
                        ready: ready.min(counts.get(DeploymentState::Queued)),
                        gate_opened,
                        forgiven,
                    }
                })
                .collect(),
            offers_in_span,
        }
    })
}

fn policy_and_observed() -> impl Strategy<Value = (Policy, Observed)> {
    policy().prop_flat_map(|policy| {
        let phases = policy.phases.len();
        (Just(policy), observed(phases))
    })
}

proptest! {
    #[test]
    fn whatever_devices_do_an_attended_rollout_keeps_its_rules_and_finishes(
        policy in policy(),
        units in vec(unit(), 1..=16),
        person in select(vec![Person::Attentive, Person::Hasty]),
        start in start(),
        late in minutes(0..=600),
    ) {
        let world = World::new(policy, &units, person, start, late).run();
        prop_assert_eq!(world.state, RolloutState::Finished);
    }

    #[test]
    fn a_rollout_that_nobody_attends_finishes_pauses_or_waits_at_a_gate(
        policy in policy(),
        units in vec(unit(), 1..=16),
        start in start(),
        late in minutes(0..=600),
    ) {
        let world = World::new(policy, &units, Person::Absent, start, late).run();
        let last_open = world.opened_at.iter().rposition(Option::is_some).unwrap();
        let waits = world.policy.phases[last_open].gate == Gate::WaitForMe
            && last_open + 1 < world.opened_at.len()
            && world.counts(last_open).of(|state| !state.ended()) == 0;
        prop_assert!(
            matches!(world.state, RolloutState::Finished | RolloutState::Paused) || waits,
            "{world:?}"
        );
        prop_assert_eq!(world.state == RolloutState::Paused, !world.pauses.is_empty());
    }

    #[test]
    fn a_rollout_in_which_all_confirm_finishes_without_a_pause(
        mut policy in policy(),
        mut units in vec(unit(), 1..=16),
        start in start(),
        late in minutes(0..=600),
    ) {
        for phase in &mut policy.phases {
            phase.gate = Gate::Continue;
        }
        for unit in &mut units {
            unit.fates = vec![Fate::Confirms];
            unit.takes = Seconds::minutes(20);
        }
        let world = World::new(policy, &units, Person::Absent, start, late).run();
        prop_assert_eq!(world.state, RolloutState::Finished);
        prop_assert!(world.pauses.is_empty());
        prop_assert!(world.rows.iter().all(|row| row.state == DeploymentState::Succeeded && row.attempts == 1));
    }

    #[test]
    fn the_same_observation_gives_the_same_actions_and_no_counts_make_it_panic(
        (policy, observed) in policy_and_observed(),
        now in 0..=3_000_u64,
    ) {
        let now = UnixTime::from_secs(now);
        let actions = plan(&policy, &observed, now);
        prop_assert_eq!(&actions, &plan(&policy, &observed, now));
        prop_assert!(observed.state == RolloutState::Running || actions.is_empty());
    }

    #[test]
    fn when_nothing_is_left_to_wait_for_the_planner_is_never_silent(
        (mut policy, mut observed) in policy_and_observed(),
    ) {
        policy.rate = None;
        policy.window = None;
        observed.state = RolloutState::Running;
        for phase in &mut observed.phases {
            let mut counts = Counts::default();
            for state in DeploymentState::ALL {
                if !state.in_progress() {
                    counts.add(state, phase.counts.get(state));
                }
            }
            phase.counts = counts;
            phase.ready = counts.get(DeploymentState::Queued);
        }
        for phase in &mut policy.phases {
            phase.gate = Gate::Continue;
        }
        prop_assert_ne!(plan(&policy, &observed, UnixTime::MAX), []);
    }
}

/// Two phases of ten; one in ten may fail, of five at the least.
fn ten_and_ten() -> (Policy, Observed) {
    let phase = Phase {
        devices: 10,
        success: Percent::new(90).unwrap(),
        soak: Seconds::hours(1),
        gate: Gate::Continue,
    };
    let policy = Policy {
        phases: vec![phase; 2],
        failure: FailureThreshold { share: Percent::new(10).unwrap(), minimum_sample: 5 },
        device_timeout: Seconds::hours(1),
        retries: 0,
        rate: None,
        window: None,
        link_life: Seconds::hours(1),
    };
    let mut phases = policy.earliest(UnixTime::EPOCH).into_iter().map(|not_before| PhaseObserved {
        counts: Counts::default(),
        opened_at: None,
        not_before,
        ready: 0,
        gate_opened: false,
        forgiven: 0,
    });
    let phases = [phases.next().unwrap(), phases.next().unwrap()].to_vec();
    (policy, Observed { state: RolloutState::Running, phases, offers_in_span: 0 })
}

fn counts(of: &[(DeploymentState, u32)]) -> Counts {
    let mut counts = Counts::default();
    for (state, n) in of {
        counts.add(*state, *n);
    }
    counts
}

#[test]
fn failures_say_nothing_before_the_minimum_sample_and_pause_after_it() {
    use DeploymentState::{Failed, Installing, Succeeded};
    let (policy, mut observed) = ten_and_ten();
    observed.phases[0].opened_at = Some(UnixTime::EPOCH);
    observed.phases[0].counts = counts(&[(Failed, 1), (Succeeded, 3), (Installing, 6)]);
    assert_eq!(plan(&policy, &observed, UnixTime::EPOCH), []);
    observed.phases[0].counts = counts(&[(Failed, 1), (Succeeded, 4), (Installing, 5)]);
    let cause = PauseCause::Failures { phase: 0, failed: 1, ended: 5, threshold: policy.failure };
    assert_eq!(plan(&policy, &observed, UnixTime::EPOCH), [Action::Pause(cause)]);
    observed.phases[0].forgiven = 1;
    assert_eq!(plan(&policy, &observed, UnixTime::EPOCH), []);
}

#[test]
fn a_person_overrides_the_success_threshold_but_never_the_signed_earliest_time() {
    use DeploymentState::{Queued, Rejected, Succeeded};
    let (mut policy, mut observed) = ten_and_ten();
    policy.failure.share = Percent::ALL;
    observed.phases[0].opened_at = Some(UnixTime::EPOCH);
    observed.phases[0].counts = counts(&[(Succeeded, 8), (Rejected, 2)]);
    observed.phases[1].counts = counts(&[(Queued, 10)]);
    observed.phases[1].ready = 10;
    let late = UnixTime::EPOCH + Seconds::hours(2);
    let success = policy.phases[0].success;
    let cause = PauseCause::SuccessOutOfReach { phase: 0, confirmed: 8, judged: 10, success };
    assert_eq!(plan(&policy, &observed, late), [Action::Pause(cause)]);
    observed.phases[0].gate_opened = true;
    assert_eq!(plan(&policy, &observed, UnixTime::EPOCH + Seconds::minutes(59)), []);
    assert_eq!(
        plan(&policy, &observed, late),
        [Action::Open { phase: 1 }, Action::Offer { phase: 1, at_most: 10 }]
    );
}

#[test]
fn a_phase_whose_devices_were_all_skipped_holds_nobody_up() {
    use DeploymentState::{Queued, Skipped};
    let (policy, mut observed) = ten_and_ten();
    observed.phases[0].counts = counts(&[(Skipped, 10)]);
    observed.phases[1].counts = counts(&[(Queued, 10)]);
    assert_eq!(plan(&policy, &observed, UnixTime::EPOCH), [Action::Open { phase: 0 }]);
    observed.phases[0].opened_at = Some(UnixTime::EPOCH);
    assert_eq!(plan(&policy, &observed, UnixTime::EPOCH + Seconds::hours(1)), [Action::Open { phase: 1 }]);
}

#[test]
fn counts_that_came_over_the_wire_saturate_instead_of_overflowing() {
    let wire = r#"{"queued":4294967295,"failed":4294967295}"#;
    let counts: Counts = serde_json::from_str(wire).unwrap();
    assert_eq!(counts.total(), u32::MAX);
    assert_eq!(serde_json::to_string(&counts).unwrap(), wire);
}
