//! A store, its devices and its person, simulated: the world in which a planner is tried.

use super::super::*;
use crate::Seconds;

/// How far one step of the simulation goes.
const STEP: Seconds = Seconds::minutes(10);
/// Far more steps than any rollout of these tests can take: 200 days.
const STEPS: usize = 200 * 144;

/// What comes of one offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Confirms,
    Fails,
    RollsBack,
    Rejects,
    Vanishes,
}

/// A device, and what will happen to it.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// When its ticket is there, after the start.
    pub(super) ticket_after: Seconds,
    /// How long it works on an offer.
    pub(super) takes: Seconds,
    /// What comes of its first offer, its second, and so on, over and over.
    pub(super) fates: Vec<Fate>,
}

/// What a person does when the rollout needs one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Person {
    /// Answers each pause, and opens each gate as its phase ends.
    Attentive,
    /// The same, but opens every gate at once.
    Hasty,
    /// Is not there.
    Absent,
}

/// One deployment as a store would hold it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    phase: usize,
    pub(super) state: DeploymentState,
    pub(super) attempts: u32,
    offered_at: UnixTime,
    unit: Unit,
}

/// A store and its devices, simulated.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) policy: Policy,
    person: Person,
    start: UnixTime,
    not_before: Vec<UnixTime>,
    now: UnixTime,
    pub(super) state: RolloutState,
    pub(super) rows: Vec<Row>,
    pub(super) opened_at: Vec<Option<UnixTime>>,
    gate_opened: Vec<bool>,
    forgiven: Vec<u32>,
    offers: Vec<UnixTime>,
    pub(super) pauses: Vec<PauseCause>,
}

impl World {
    /// A rollout that starts at `start`, with tickets that were signed to begin `late` after it.
    pub(super) fn new(
        policy: Policy,
        units: &[Unit],
        person: Person,
        start: UnixTime,
        late: Seconds,
    ) -> Self {
        policy.check().expect("the strategy makes policies that can be followed");
        let not_before = policy.earliest(start + late);
        let phases = policy.phases.len();
        let rows = (0..phases)
            .flat_map(|phase| (0..policy.phases[phase].devices).map(move |_| phase))
            .zip(units.iter().cycle())
            .map(|(phase, unit)| Row {
                phase,
                state: DeploymentState::Queued,
                attempts: 0,
                offered_at: UnixTime::EPOCH,
                unit: unit.clone(),
            })
            .collect();
        Self {
            policy,
            person,
            start,
            not_before,
            now: start,
            state: RolloutState::Running,
            rows,
            opened_at: vec![None; phases],
            gate_opened: vec![false; phases],
            forgiven: vec![0; phases],
            offers: Vec::new(),
            pauses: Vec::new(),
        }
    }

    /// Goes on until the rollout ends, or nobody will ever move it again.
    pub(super) fn run(mut self) -> Self {
        for _ in 0..STEPS {
            self.act();
            if self.state.ended() || (self.state == RolloutState::Paused && !self.answer()) {
                break;
            }
            self.now = self.now + STEP;
            self.devices_work();
        }
        self.rate_was_kept();
        self
    }

    fn observe(&self) -> Observed {
        Observed {
            state: self.state,
            phases: (0..self.policy.phases.len())
                .map(|phase| PhaseObserved {
                    counts: self.counts(phase),
                    opened_at: self.opened_at[phase],
                    not_before: self.not_before[phase],
                    ready: u32::try_from(self.ready(phase).count()).unwrap(),
                    gate_opened: self.gate_opened[phase],
                    forgiven: self.forgiven[phase],
                })
                .collect(),
            offers_in_span: self.policy.rate.map_or(0, |rate| self.offers_within(rate.per)),
        }
    }

    pub(super) fn counts(&self, phase: usize) -> Counts {
        let mut counts = Counts::default();
        for row in self.rows.iter().filter(|row| row.phase == phase) {
            counts.add(row.state, 1);
        }
        counts
    }

    fn ready(&self, phase: usize) -> impl Iterator<Item = usize> {
        self.rows.iter().enumerate().filter_map(move |(index, row)| {
            (row.phase == phase
                && row.state == DeploymentState::Queued
                && self.start + row.unit.ticket_after <= self.now)
                .then_some(index)
        })
    }

    fn offers_within(&self, span: Seconds) -> u32 {
        let within = self.offers.iter().filter(|at| self.now.since(**at) < span);
        u32::try_from(within.count()).unwrap()
    }

    /// Asks the planner and carries out what it says, holding every action against the rules.
    fn act(&mut self) {
        let observed = self.observe();
        let actions = plan(&self.policy, &observed, self.now);
        assert_eq!(actions, plan(&self.policy, &observed, self.now));
        if self.state != RolloutState::Running {
            assert_eq!(actions, []);
        }
        if self.too_many_failed() {
            assert!(matches!(actions[..], [Action::Pause(PauseCause::Failures { .. })]), "{actions:?}");
        }
        for action in &actions {
            match *action {
                Action::Open { phase } => self.open(phase as usize),
                Action::Offer { phase, at_most } => self.offer(phase as usize, at_most),
                Action::Pause(cause) => {
                    assert_eq!(actions.len(), 1);
                    self.state = RolloutState::Paused;
                    self.pauses.push(cause);
                }
                Action::Finish => {
                    assert_eq!(actions.len(), 1);
                    assert!(self.rows.iter().all(|row| row.state.ended()));
                    self.state = RolloutState::Finished;
                }
            }
        }
    }

    /// The failure threshold, counted anew.
    fn too_many_failed(&self) -> bool {
        self.state == RolloutState::Running
            && (0..self.policy.phases.len()).any(|phase| {
                let counts = self.counts(phase);
                let failed = u64::from(counts.of(DeploymentState::counts_as_failure) - self.forgiven[phase]);
                let ended = failed + u64::from(counts.get(DeploymentState::Succeeded));
                failed > 0
                    && ended >= u64::from(self.policy.failure.minimum_sample)
                    && failed * 100 > ended * u64::from(self.policy.failure.share.get())
            })
    }

    fn open(&mut self, phase: usize) {
        assert_eq!(self.opened_at[phase], None, "phase {phase} opened twice");
        assert!(self.now >= self.not_before[phase], "phase {phase} opened too early");
        if let Some(previous) = phase.checked_sub(1) {
            let rule = self.policy.phases[previous];
            let opened_at = self.opened_at[previous].expect("phases open in order");
            assert!(self.now.since(opened_at) >= rule.soak, "phase {previous} did not soak");
            let counts = self.counts(previous);
            let confirmed = counts.get(DeploymentState::Succeeded);
            let enough =
                u64::from(confirmed) * 100 >= u64::from(rule.success.get()) * u64::from(counts.total());
            assert!(
                self.gate_opened[previous] || (rule.gate == Gate::Continue && enough),
                "nobody and nothing opened the gate after phase {previous}"
            );
        }
        self.opened_at[phase] = Some(self.now);
    }

    fn offer(&mut self, phase: usize, at_most: u32) {
        assert!(self.opened_at[phase].is_some(), "an offer in phase {phase}, which is not open");
        assert!(self.policy.window.is_none_or(|window| window.open_at(self.now)), "outside the window");
        let ready: Vec<usize> = self.ready(phase).collect();
        assert!((1..=ready.len()).contains(&(at_most as usize)), "{at_most} offers to {} ready", ready.len());
        for index in ready.into_iter().take(at_most as usize) {
            let row = &mut self.rows[index];
            row.state = row.state.decided(DeploymentState::Offered).unwrap();
            row.attempts += 1;
            assert!(row.attempts <= 1 + self.policy.retries, "offered once more than the policy allows");
            row.offered_at = self.now;
            self.offers.push(self.now);
        }
    }

    /// Devices report, or time out; those that may try again are queued again.
    fn devices_work(&mut self) {
        for row in self.rows.iter_mut().filter(|row| row.state.in_progress()) {
            let fate = row.unit.fates[(row.attempts as usize - 1) % row.unit.fates.len()];
            let report = match fate {
                Fate::Confirms => DeploymentState::Succeeded,
                Fate::Fails => DeploymentState::Failed,
                Fate::RollsBack => DeploymentState::RolledBack,
                Fate::Rejects => DeploymentState::Rejected,
                Fate::Vanishes => DeploymentState::Installing,
            };
            let since = self.now.since(row.offered_at);
            if since >= self.policy.device_timeout {
                row.state = row.state.decided(DeploymentState::TimedOut).unwrap();
            } else if since >= row.unit.takes {
                row.state = row.state.reported(report).unwrap();
            }
            if row.attempts <= self.policy.retries && row.state.ended() {
                row.state = row.state.decided(DeploymentState::Queued).unwrap_or(row.state);
            }
        }
        for phase in 0..self.policy.phases.len() {
            let ended = self.counts(phase).of(|state| !state.ended()) == 0;
            self.gate_opened[phase] |= match self.person {
                Person::Attentive => self.policy.phases[phase].gate == Gate::WaitForMe && ended,
                Person::Hasty => true,
                Person::Absent => false,
            };
        }
    }

    /// What the person does about a pause; `false` if there is nobody.
    fn answer(&mut self) -> bool {
        // A pause holds, however long it takes.
        self.now = self.now + Seconds::days(1);
        self.devices_work();
        self.act();
        if self.person == Person::Absent {
            return false;
        }
        match *self.pauses.last().expect("it is paused") {
            PauseCause::Failures { phase, .. } => {
                let phase = phase as usize;
                self.forgiven[phase] = self.counts(phase).of(DeploymentState::counts_as_failure);
            }
            PauseCause::SuccessOutOfReach { phase, .. } => self.gate_opened[phase as usize] = true,
        }
        self.state = RolloutState::Running;
        true
    }

    /// No span of the limit's length held more offers than it allows.
    fn rate_was_kept(&self) {
        let Some(rate) = self.policy.rate else { return };
        for from in &self.offers {
            let within = self.offers.iter().filter(|at| *at >= from && at.since(*from) < rate.per).count();
            assert!(within <= rate.offers as usize, "{within} offers within {:?}", rate.per);
        }
    }
}
