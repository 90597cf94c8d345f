//! Signing tickets, and starting a rollout with them.

use std::{num::NonZero, sync::Arc, thread, time::SystemTime};

use envelope::{
    Action, ContentKey, Installation, Issued, KemPublicKey, SealedPayload, Statement, SystemRandom, Target,
    Ticket, sha256, ticket::issue_many,
};
use model::{Component, DeploymentId, RolloutId, Seconds, UnixTime};
use protocol::{
    Base64, ErrorCode,
    operator::{
        AddDeployments, AddedDeployments, NewDeployment, NewRollout, RolloutDetail, RolloutStep, path,
    },
};
use vault::{KeyRole, Vault};

use crate::{
    App, Error,
    dto::PlanRollout,
    plan::{Eligible, PlannedTarget, expect_same_plan},
    vaults::blocking,
};

/// How many tickets one request carries.
const BATCH: usize = 500;

/// When the tickets of one phase count.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) issued_at: UnixTime,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    /// When the metadata in force lapses.
    pub(crate) targets_expire: UnixTime,
}

/// The bench that opens tickets in the devices' stead.
#[derive(Clone, Copy)]
pub(crate) struct Deputy {
    pub(crate) kem: KemPublicKey,
    /// The devices cannot prove who they are.
    pub(crate) unproven: bool,
}

/// One phase's share of the work.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) rollout: RolloutId,
    pub(crate) phase: u32,
    pub(crate) component: Component,
    /// What is installed, and the key that opens it; none for a hold.
    pub(crate) install: Option<(PlannedTarget, Arc<ContentKey>)>,
    pub(crate) times: Times,
    /// None where devices open their tickets themselves.
    pub(crate) deputy: Option<Deputy>,
}

impl App {
    /// Signs a ticket for each device of the plan, hands them over and starts.
    pub(crate) async fn start(&self, request: &PlanRollout, token: &str) -> Result<RolloutDetail, Error> {
        let vault = self.unlocked()?;
        let planned = self.plan(request).await?;
        expect_same_plan(&planned.plan, token)?;
        let session = self.session().await?;
        let id = RolloutId::random(&mut envelope::SystemRandom);
        let rollout = NewRollout {
            id,
            release: request.release,
            target: planned.target.name.clone(),
            artifact: planned.target.artifact,
            component: planned.target.custom.component.clone(),
            policy: planned.plan.policy.clone(),
            not_before: planned.plan.not_before.clone(),
        };
        let _: RolloutDetail = session.client.post(path::ROLLOUTS, &rollout).await?;

        let key = self.content_key(&vault, &planned.target)?;
        let (mut rest, mut taken) = (planned.devices.as_slice(), 0);
        for (phase, (size, not_before)) in
            (0_u32..).zip(planned.plan.policy.phases.iter().zip(&planned.plan.not_before))
        {
            let (members, others) = rest.split_at(rest.len().min(size.devices as usize));
            rest = others;
            let component = planned.target.custom.component.clone();
            let times = self.times(*not_before, request.ticket_life, planned.target.targets_expire)?;
            let install = Some((planned.target.clone(), Arc::clone(&key)));
            let order = Order { rollout: id, phase, component, install, times, deputy: None };
            taken += self.issue(&vault, order, members).await?;
        }
        if taken == 0 {
            let _: RolloutDetail = session.client.post(&path::step(id), &RolloutStep::Abort).await?;
            return Err(Error::new(ErrorCode::Conflict, "no device of the plan can take part any more")
                .detail("another rollout took them, or they were revoked, while this one was signed")
                .hint("look at `fleetseal rollout list`, then plan it anew"));
        }
        session.client.post(&path::step(id), &RolloutStep::Start).await
    }

    /// The release's content key, as this vault's KEM key opens it.
    pub(crate) fn content_key(
        &self,
        vault: &Vault,
        target: &PlannedTarget,
    ) -> Result<Arc<ContentKey>, Error> {
        let key = vault.key(KeyRole::Kem)?;
        let intent =
            vault.intent("rollout.open_key", target.name.as_str(), "to put it into tickets", self.now());
        let opened = vault.with_kem_secret(key.id, &intent, |secret| target.record.content_key(secret))?;
        let opened = opened.map_err(|source| {
            Error::because(ErrorCode::Forbidden, "this vault cannot open the release's content key", source)
                .hint("seal the release again: then every member of today can")
        })?;
        Ok(Arc::new(opened))
    }

    /// Times that devices will accept: signed before the metadata in force lapses, and no longer than a
    /// ticket may live.
    pub(crate) fn times(
        &self,
        not_before: UnixTime,
        life: Seconds,
        targets_expire: UnixTime,
    ) -> Result<Times, Error> {
        let issued_at = self.now();
        in_force(issued_at, targets_expire)?;
        let life = Seconds(life.0.min(envelope::ticket::LIFE.0));
        Ok(Times { issued_at, not_before, not_after: not_before + life, targets_expire })
    }

    /// Signs, seals and hands over one ticket for each device. How many the backend took.
    pub(crate) async fn issue(
        &self,
        vault: &Vault,
        order: Order,
        devices: &[Eligible],
    ) -> Result<u32, Error> {
        let session = self.session().await?;
        let to = path::deployments(order.rollout);
        let mut taken = 0;
        for batch in devices.chunks(BATCH) {
            let issued = self.sign_tickets(vault, &order, batch).await?;
            let pairs = batch.iter().zip(issued);
            let deployments = pairs.map(|(device, issued)| deployment(device, issued, order.phase)).collect();
            let added: AddedDeployments = session.client.post(&to, &AddDeployments { deployments }).await?;
            taken += added.added + added.renewed;
            for excluded in added.excluded {
                tracing::info!(?excluded, "a device takes no part after all");
            }
        }
        Ok(taken)
    }

    /// Signs and seals one ticket for each device.
    pub(crate) async fn sign_tickets(
        &self,
        vault: &Vault,
        order: &Order,
        devices: &[Eligible],
    ) -> Result<Vec<Issued>, Error> {
        let fleet = self.session().await?.membership.fleet;
        let key = vault.key(KeyRole::Ticket)?.id;
        let reason = format!("{} tickets of phase {}", devices.len(), order.phase + 1);
        let action = if order.install.is_some() { "rollout.sign" } else { "rollout.hold" };
        let intent = vault.intent(action, &order.rollout.to_string(), &reason, self.now());
        let ids: Vec<_> = devices.iter().map(|device| device.device).collect();
        let plan = sha256(&serde_json::to_vec(&ids).unwrap_or_default());
        // Each ticket takes two signatures: its own and its label's.
        let signer = vault.batch(key, &intent, plan, 2 * devices.len() as u64)?;
        let (order, devices) = (order.clone(), devices.to_vec());
        blocking(move || {
            let tickets = devices
                .iter()
                .map(|device| {
                    let key = order.install.as_ref().map(|(_, key)| Arc::clone(key));
                    Ok(Ticket::new(statement(fleet, &order, device), key)?)
                })
                .collect::<Result<Vec<_>, Error>>()?;
            let deputy = order.deputy.map(|deputy| deputy.kem);
            let recipients: Vec<_> = devices.iter().map(|device| deputy.unwrap_or(device.kem)).collect();
            let issued = issue_on_all_cores(&tickets, &signer, &recipients)?;
            signer.finish()?;
            Ok(issued)
        })
        .await
    }
}

/// What one device's ticket says.
fn statement(fleet: model::FleetId, order: &Order, device: &Eligible) -> Statement {
    let Order { rollout, component, times, .. } = order;
    let action = match &order.install {
        None => Action::Hold,
        Some((target, _)) => Action::Install(Box::new(Installation {
            target: Target {
                name: target.name.clone(),
                version: target.custom.version.clone(),
                security_counter: target.custom.security_counter,
                length: target.length,
                sha256: target.digest,
                model: target.custom.model.clone(),
                hardware_revision: device.hardware_revision.clone(),
                installer: target.custom.installer.clone(),
            },
            min_targets_version: target.targets_version,
            payload: SealedPayload {
                header: target.record.header,
                length: target.ciphertext_bytes,
                segment_list: target.record.segment_list,
            },
            deputy: order.deputy.map(|deputy| deputy.kem.id()),
        })),
    };
    Statement {
        fleet,
        device: device.device,
        identity: order.deputy.is_none_or(|deputy| !deputy.unproven).then_some(device.identity),
        rollout: *rollout,
        component: component.clone(),
        seq: seq(times.issued_at, device.seq, times.targets_expire),
        issued_at: times.issued_at,
        not_before: times.not_before,
        not_after: times.not_after,
        action,
    }
}

/// Refuses a clock beyond the metadata that tickets rest on.
pub(crate) fn in_force(now: UnixTime, expires: UnixTime) -> Result<(), Error> {
    if now < expires {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Untrusted, "this computer's clock is beyond the metadata in force")
        .detail(format!("it says {now}, and the metadata lapses at {expires}"))
        .hint("set the clock; if it is right, key holders must sign the metadata anew"))
}

/// Above what the device is said to have, but never beyond the metadata in force: a backend that lies
/// about it, or a clock that is far ahead, must not use up the numbers that honest tickets need.
fn seq(now: UnixTime, last: u64, bound: UnixTime) -> u64 {
    let millis = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_millis());
    let mine = now.as_secs() * 1_000 + u64::from(millis);
    let bound = bound.as_secs() * 1_000;
    if last < bound { mine.max(last + 1) } else { mine }
}

fn issue_on_all_cores(
    tickets: &[Ticket],
    signer: &(dyn envelope::Signer + '_),
    recipients: &[KemPublicKey],
) -> Result<Vec<Issued>, Error> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = tickets.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        let parts: Vec<_> = tickets
            .chunks(share)
            .zip(recipients.chunks(share))
            .map(|(tickets, recipients)| scope.spawn(move || issue_many(tickets, signer, recipients)))
            .collect();
        let mut issued = Vec::with_capacity(tickets.len());
        for part in parts {
            let part =
                part.join().map_err(|_| Error::new(ErrorCode::Internal, "signing stopped unexpectedly"))?;
            issued.extend(part?);
        }
        Ok(issued)
    })
}

fn deployment(device: &Eligible, issued: Issued, phase: u32) -> NewDeployment {
    NewDeployment {
        id: DeploymentId::random(&mut SystemRandom),
        device: device.device,
        phase,
        label: Base64(issued.label),
        sealed_ticket: Base64(issued.sealed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_2099_signs_nothing_and_uses_up_no_number() {
        let in_2099 = UnixTime::from_secs(4_070_908_800);
        let lapses = UnixTime::from_secs(1_807_776_000);
        let now = UnixTime::from_secs(1_800_000_000);
        assert_eq!(in_force(in_2099, lapses).unwrap_err().code(), ErrorCode::Untrusted);
        in_force(now, lapses).unwrap();
        // What another desktop, or a backend that lies, drew from such a clock is not followed.
        assert_eq!(seq(now, in_2099.as_secs() * 1_000, lapses) / 1_000, now.as_secs());
        let ahead = now.as_secs() * 1_000 + 60_000;
        assert_eq!(seq(now, ahead, lapses), ahead + 1);
    }
}
