use std::collections::BTreeMap;

use model::{
    Component, DeviceId, Digest, FleetId, HardwareRevision, KemKeyId, ModelName, SecurityCounter, Version,
};
use serde::{Deserialize, Serialize};

use super::{Hold, Install};
use crate::{
    Addressee, Identity, Verified,
    tuf::{
        StateLost,
        copies::{self, Kind},
    },
};

/// How often the installer is fed on one ticket.
pub const MAX_ATTEMPTS: u8 = 3;

/// What a device remembers, beside the metadata that it trusts.
///
/// A transition yields the next state, of a higher generation; the caller stores
/// [`Self::to_bytes`] in two copies, one after the other, before it acts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    #[serde(skip)]
    generation: u64,
    fleet: FleetId,
    device: DeviceId,
    identity: Option<Identity>,
    model: ModelName,
    hardware_revision: HardwareRevision,
    components: BTreeMap<Component, ComponentState>,
    trial: Option<Trial>,
}

/// What a device remembers of one component.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ComponentState {
    /// The version that last confirmed itself; none while nothing is known of what runs.
    pub confirmed: Option<Version>,
    /// The security counter of the software that last confirmed itself.
    pub security_counter: SecurityCounter,
    /// The highest `seq` of a ticket that was accepted; 0 before the first.
    pub seq: u64,
    /// The SHA-256 of that ticket as sealed.
    pub ticket: Option<Digest>,
    /// How often the installer was fed on that ticket.
    pub attempts: u8,
    /// Whether that ticket was carried out to the end.
    pub spent: bool,
}

/// The one update that is between its installer and its confirmation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// What is being updated.
    pub component: Component,
    /// The SHA-256 of the ticket as sealed.
    pub ticket: Digest,
    /// The version that is on trial.
    pub version: Version,
    /// The security counter that is on trial.
    pub security_counter: SecurityCounter,
    /// How far it has come.
    pub step: TrialStep,
}

/// How far a trial has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialStep {
    /// The installer writes.
    Installing,
    /// The new software runs and checks itself.
    Booted,
}

/// A transition that the state does not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IllegalStep {
    /// Another ticket was accepted since, or a hold.
    #[error("the ticket is not the accepted one")]
    NotAccepted,
    /// The ticket was carried out, or tried as often as a ticket is.
    #[error("the ticket has no attempts left")]
    Exhausted,
    /// Another update is between its installer and its confirmation.
    #[error("another trial is running")]
    TrialRunning,
    /// Nothing is between installer and confirmation.
    #[error("no trial is running")]
    NoTrial,
    /// New software confirms itself before it ran.
    #[error("the new software has not booted yet")]
    NotBooted,
}

impl State {
    /// What a device knows of itself once it is enrolled: `components` and what runs in each.
    pub fn new(
        fleet: FleetId,
        device: DeviceId,
        identity: Option<Identity>,
        model: ModelName,
        hardware_revision: HardwareRevision,
        components: impl IntoIterator<Item = (Component, ComponentState)>,
    ) -> Self {
        Self {
            generation: 1,
            fleet,
            device,
            identity,
            model,
            hardware_revision,
            components: components.into_iter().collect(),
            trial: None,
        }
    }

    /// One copy to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let content = serde_json::to_vec(self).expect("maps with text keys, and no floats");
        copies::write(Kind::Device, self.generation, &content)
    }

    /// The newest of two stored copies that is whole.
    ///
    /// # Errors
    /// Neither is: what must not be gone back behind is unknown.
    pub fn choose(a: Option<&[u8]>, b: Option<&[u8]>) -> Result<Self, StateLost> {
        copies::choose(Kind::Device, [a, b], |generation, content| {
            let state: Self = serde_json::from_slice(content).ok()?;
            Some(Self { generation, ..state })
        })
    }

    /// How often it has changed.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The device.
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Its product type.
    pub const fn model(&self) -> &ModelName {
        &self.model
    }

    /// Its hardware revision.
    pub const fn hardware_revision(&self) -> &HardwareRevision {
        &self.hardware_revision
    }

    /// What it remembers of this component.
    pub fn component(&self, component: &Component) -> Option<&ComponentState> {
        self.components.get(component)
    }

    /// Its components.
    pub const fn components(&self) -> &BTreeMap<Component, ComponentState> {
        &self.components
    }

    /// The one update between its installer and its confirmation.
    pub const fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()
    }

    /// Whom tickets and links must be for. `deputy` is the KEM key of the bench that acts in the
    /// device's stead, if one does.
    pub fn addressee(&self, deputy: Option<KemKeyId>) -> Addressee {
        Addressee {
            fleet: self.fleet,
            device: self.device,
            model: self.model.clone(),
            identity: self.identity,
            deputy,
        }
    }

    /// The device has new keys.
    #[must_use]
    pub fn rekeyed(&self, identity: Identity) -> Self {
        let mut next = self.advanced();
        next.identity = Some(identity);
        next
    }

    /// The device has this component too; what it remembers of one that it has stays.
    #[must_use]
    pub fn with_component(&self, component: Component, state: ComponentState) -> Self {
        let mut next = self.advanced();
        next.components.entry(component).or_insert(state);
        next
    }

    /// The device accepts this ticket: its `seq` is stored, and what it replaces is never taken up
    /// again.
    #[must_use]
    pub fn accept(&self, install: &Verified<Install>) -> Self {
        let ticket = install.ticket();
        self.with_ticket(&ticket.component, ticket.seq, install.digest())
    }

    /// The device accepts this hold: what was accepted before is not installed any more.
    #[must_use]
    pub fn hold(&self, hold: &Verified<Hold>) -> Self {
        let ticket = hold.ticket();
        self.with_ticket(&ticket.component, ticket.seq, hold.digest())
    }

    /// The second pass begins: the installer is fed, and an attempt is counted. Also after a power
    /// cut in the middle of it.
    ///
    /// # Errors
    /// The ticket is not the accepted one, has no attempts left, or another trial is running.
    pub fn start_install(&self, install: &Verified<Install>) -> Result<Self, IllegalStep> {
        let ticket = install.ticket();
        let mut next = self.advanced();
        let component = next
            .components
            .get_mut(&ticket.component)
            .filter(|component| component.ticket == Some(install.digest()))
            .ok_or(IllegalStep::NotAccepted)?;
        if component.spent || component.attempts >= MAX_ATTEMPTS {
            return Err(IllegalStep::Exhausted);
        }
        let again = |trial: &Trial| trial.ticket == install.digest() && trial.step == TrialStep::Installing;
        if !self.trial.as_ref().is_none_or(again) {
            return Err(IllegalStep::TrialRunning);
        }
        component.attempts += 1;
        let target = &install.installation().target;
        next.trial = Some(Trial {
            component: ticket.component.clone(),
            ticket: install.digest(),
            version: target.version.clone(),
            security_counter: target.security_counter,
            step: TrialStep::Installing,
        });
        Ok(next)
    }

    /// The new software runs, on trial.
    ///
    /// # Errors
    /// No trial is running.
    pub fn trial_booted(&self) -> Result<Self, IllegalStep> {
        let mut next = self.advanced();
        next.trial.as_mut().ok_or(IllegalStep::NoTrial)?.step = TrialStep::Booted;
        Ok(next)
    }

    /// The new software confirmed itself: only now does its security counter count, and only now
    /// has the deployment succeeded (R14).
    ///
    /// # Errors
    /// No trial is running, or its software has not booted.
    pub fn confirmed(&self) -> Result<Self, IllegalStep> {
        let mut next = self.advanced();
        let Trial { component, version, security_counter, step, .. } =
            next.trial.take().ok_or(IllegalStep::NoTrial)?;
        if step != TrialStep::Booted {
            return Err(IllegalStep::NotBooted);
        }
        let component = next.components.entry(component).or_default();
        component.confirmed = Some(version);
        component.security_counter = component.security_counter.max(security_counter);
        component.spent = true;
        Ok(next)
    }

    /// The device went back to the software before.
    ///
    /// # Errors
    /// No trial is running.
    pub fn rolled_back(&self) -> Result<Self, IllegalStep> {
        let mut next = self.advanced();
        next.trial.take().ok_or(IllegalStep::NoTrial)?;
        Ok(next)
    }

    /// The installer failed, and the software before still runs.
    ///
    /// # Errors
    /// No trial is running, or its software runs already: then the device rolls back.
    pub fn failed(&self) -> Result<Self, IllegalStep> {
        match self.trial.as_ref().ok_or(IllegalStep::NoTrial)?.step {
            TrialStep::Installing => self.rolled_back(),
            TrialStep::Booted => Err(IllegalStep::TrialRunning),
        }
    }

    fn with_ticket(&self, component: &Component, seq: u64, digest: Digest) -> Self {
        let mut next = self.advanced();
        let component = next.components.entry(component.clone()).or_default();
        if component.ticket != Some(digest) {
            component.attempts = 0;
            component.spent = false;
        }
        component.seq = seq;
        component.ticket = Some(digest);
        next
    }

    fn advanced(&self) -> Self {
        Self { generation: self.generation + 1, ..self.clone() }
    }
}
