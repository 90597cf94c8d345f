//! Check-ins, and what becomes of what they offer.

use std::time::Duration;

use envelope::{
    CheckIn,
    device::{Hold, Install, Offer as Sealed, OfferedLink, Order, Refusal, verify_offer},
};
use model::{Component, DeploymentId, DeploymentState, Seconds, Version};
use protocol::device::{CheckInRequest, CheckInResponse, ComponentStatus, Offer, path};
use tokio::time::Instant;

use crate::{
    Artifact, Device, Error, Event,
    record::{Progress, Stage},
};

impl Device {
    /// Says hello: learns the time, sends what waits to be reported and takes what is offered. Gives the
    /// pause after which to come back without a push stream.
    ///
    /// # Errors
    /// The network or the medium failed, or what came does not verify.
    pub async fn check_in(&mut self) -> Result<Seconds, Error> {
        // First, so that what has ended here is not offered again, and whatever becomes of the metadata.
        self.flush().await?;
        self.refresh().await?;
        let answer = self.hello().await?;
        for offer in &answer.offers {
            self.take(offer).await?;
        }
        Ok(answer.poll_after)
    }

    async fn hello(&mut self) -> Result<CheckInResponse, Error> {
        let counter = self.counter + 1;
        self.counter_copies
            .store(&mut *self.parts.storage, &counter.to_be_bytes())
            .map_err(Error::storage("store the counter"))?;
        self.counter = counter;
        let mut nonce = [0; 16];
        self.parts.random.fill(&mut nonce);
        let components = self.record.state.components().iter().map(|(component, state)| ComponentStatus {
            component: component.clone(),
            version: state.confirmed.clone().unwrap_or_else(unknown),
            security_counter: state.security_counter,
            seq: state.seq,
        });
        let request =
            CheckInRequest { counter, nonce: nonce.to_vec().into(), components: components.collect() };
        let answer: CheckInResponse = self.http.json(path::CHECK_IN, &request, Duration::ZERO).await?;
        let floor = self.time().certain();
        let Some(basis) = &self.basis else { return Err(Error::answer("no metadata is at hand")) };
        let verified = CheckIn::verify(&answer.check_in, self.enrolled.device, &nonce, basis.keys(), floor)?;
        self.hint = Some((verified.at, Instant::now()));
        self.observe(&Event::CheckedIn { server_time: verified.at, offers: answer.offers.len() });
        Ok(answer)
    }

    /// Decides on an offer: accepts it durably, takes its fresh link, or refuses it and says why.
    pub(crate) async fn take(&mut self, offer: &Offer) -> Result<(), Error> {
        self.ensure_basis().await?;
        let mut decided = self.decide(offer);
        if matches!(
            decided,
            Err(Refusal::TargetsTooOld { .. }
                | Refusal::TargetUnknown { .. }
                | Refusal::MetadataExpired { .. })
        ) {
            // Made after our last refresh, perhaps.
            self.refresh().await?;
            decided = self.decide(offer);
        }
        match decided {
            Ok(Order::Install(install)) => self.accept(offer, &install),
            Ok(Order::Hold(hold)) => self.held(offer, &hold),
            Err(refusal) => self.refuse(offer, &refusal),
        }
    }

    /// Verifies the ticket of a deployment under way once more, with its newest link.
    pub(crate) fn decide_again(&self, component: &Component) -> Result<Order, Refusal> {
        let sealed = self.record.underway.get(component).map(|progress| &*progress.sealed_ticket);
        self.judge(sealed.unwrap_or_default(), self.links.get(component).map(Vec::as_slice))
    }

    fn decide(&self, offer: &Offer) -> Result<Order, Refusal> {
        let link = offer.sealed_link.as_deref();
        match self.judge(&offer.sealed_ticket, link) {
            // The ticket stands; another link will come.
            Err(refusal) if link.is_some() && about_link(&refusal) => {
                tracing::warn!(code = refusal.code(), "a link is not taken");
                self.judge(&offer.sealed_ticket, None)
            }
            decided => decided,
        }
    }

    fn judge(&self, ticket: &[u8], link: Option<&[u8]>) -> Result<Order, Refusal> {
        let Some(basis) = &self.basis else {
            return Err(Refusal::MetadataExpired { expires: self.time().latest() });
        };
        let origin = self.http.endpoint().origin();
        let link = link.map(|sealed| OfferedLink { sealed, origin: &origin });
        let offer = Sealed { ticket, link };
        let storage = &self.parts.storage;
        let free = storage.free_bytes().unwrap_or(0).saturating_add(storage.staged_bytes().unwrap_or(0));
        verify_offer(&self.record.state, basis, offer, &self.keys.kem, false, self.time(), free)
    }

    fn accept(&mut self, offer: &Offer, install: &envelope::Verified<Install>) -> Result<(), Error> {
        let component = install.ticket().component.clone();
        let target = &install.installation().target;
        let fitting = self.parts.components.get(&component);
        if fitting.is_none_or(|fitting| fitting.installer.name() != target.installer) {
            return self.refused(offer.deployment, "wrong_installer", None, None);
        }
        let known = self.record.underway.get(&component);
        if known.is_none_or(|progress| progress.ticket != install.digest()) {
            let artifact = Artifact {
                component: component.clone(),
                target: target.name.clone(),
                version: target.version.clone(),
                security_counter: target.security_counter,
                length_bytes: target.length,
                digest: target.sha256,
                installer: target.installer.clone(),
            };
            let state = self.record.state.accept(install);
            let before = state.component(&component).and_then(|state| state.confirmed.clone());
            let progress = Progress {
                deployment: offer.deployment,
                sealed_ticket: offer.sealed_ticket.clone(),
                ticket: install.digest(),
                artifact,
                before,
                stage: Stage::Accepted,
                reported: DeploymentState::Offered,
                starts: 0,
            };
            let mut next = self.record.clone();
            next.state = state;
            next.underway.insert(component.clone(), progress);
            self.store(next)?;
            self.links.remove(&component);
            self.order = None;
            self.download = None;
            tracing::info!(deployment = %offer.deployment, %component, "ticket accepted");
        }
        if let (Some(sealed), Some(_)) = (&offer.sealed_link, install.link()) {
            self.links.insert(component, sealed.to_vec());
            self.order = None;
        }
        Ok(())
    }

    fn held(&mut self, offer: &Offer, hold: &envelope::Verified<Hold>) -> Result<(), Error> {
        let component = hold.ticket().component.clone();
        let mut next = self.record.clone();
        next.state = next.state.hold(hold);
        let news = next.state.component(&component) != self.record.state.component(&component);
        let stopped = next.underway.remove(&component);
        if !news && stopped.is_none() {
            return Ok(());
        }
        let deployment = stopped.as_ref().map_or(offer.deployment, |progress| progress.deployment);
        let mut report = self.refusal(deployment, "held", None, None);
        report.ticket = Some(hold.digest());
        next.outbox.add(report, &self.keys.identity)?;
        self.store(next)?;
        self.forget(&component);
        self.observe(&Event::Refused { deployment, code: "held".to_owned() });
        Ok(())
    }

    fn refuse(&mut self, offer: &Offer, refusal: &Refusal) -> Result<(), Error> {
        // These pass by themselves, and the offer comes again.
        let passes = matches!(
            refusal,
            Refusal::NotYet { .. } | Refusal::TrialRunning { .. } | Refusal::MetadataExpired { .. }
        );
        if passes {
            tracing::info!(deployment = %offer.deployment, code = refusal.code(), "an offer waits");
            return Ok(());
        }
        self.refused(offer.deployment, refusal.code(), Some(refusal.to_string()), refusal.stored_seq())
    }

    fn refused(
        &mut self,
        deployment: DeploymentId,
        code: &str,
        detail: Option<String>,
        stored_seq: Option<u64>,
    ) -> Result<(), Error> {
        let mut next = self.record.clone();
        let report = self.refusal(deployment, code, detail, stored_seq);
        next.outbox.add(report, &self.keys.identity)?;
        self.store(next)?;
        self.observe(&Event::Refused { deployment, code: code.to_owned() });
        Ok(())
    }

    fn refusal(
        &self,
        deployment: DeploymentId,
        code: &str,
        detail: Option<String>,
        stored_seq: Option<u64>,
    ) -> envelope::Report {
        envelope::Report {
            device: self.enrolled.device,
            deployment: Some(deployment),
            state: DeploymentState::Rejected,
            counter: 0,
            ticket: None,
            code: Some(code.to_owned()),
            detail,
            before: None,
            after: None,
            bytes: 0,
            stored_seq,
            at: self.time().latest(),
        }
    }
}

/// Whether only the link is not taken, and the ticket stands.
fn about_link(refusal: &Refusal) -> bool {
    refusal.code().starts_with("link_")
}

/// What stands for a version that nobody knows.
fn unknown() -> Version {
    "0.0.0".parse().expect("a version")
}
