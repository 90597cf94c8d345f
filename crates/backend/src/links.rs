//! Making links, sealing them, and bringing them to their devices.

use std::sync::Arc;

use envelope::{KemPublicKey, Link, SystemRandom};
use model::{DeploymentState, DeviceId, LinkId, RolloutId, Seconds, UnixTime};
use protocol::{
    Base64,
    device::{Offer, PushEvent, link_path},
    operator::Hint,
};
use store::{Delivery, TicketAction};

use crate::{refusal::Answer, server::Server};

/// How long after the last byte was sent a check-in does not mean that the device lacks some of them. It asks
/// after fifteen seconds or later where it does.
pub(crate) const CHECKS_WITHIN: Seconds = Seconds(10);
/// So many links are sealed between two looks at other work.
const SEALED_AT_ONCE: usize = 64;

impl Server {
    /// What is on offer for this device now; links that are missing are made.
    pub(crate) async fn offers_for(self: &Arc<Self>, device: DeviceId) -> Answer<Vec<Offer>> {
        let now = self.now();
        let mut deliveries = self.store.open_deliveries(device, now).await?;
        for delivery in deliveries.clone() {
            if self.downloads.settle_of(delivery.deployment.id).await {
                deliveries = self.store.open_deliveries(device, now).await?;
            }
        }
        if deliveries.is_empty() {
            return Ok(Vec::new());
        }
        let deliveries = deliveries.into_iter().filter(|delivery| !self.is_being_checked(delivery, now));
        let linked = self.with_links(deliveries.collect(), now).await?;
        self.seal(linked).await
    }

    /// Makes links where they are missing and pushes the offers to the devices that are there. The
    /// others get theirs when they come back.
    pub(crate) async fn deliver(self: &Arc<Self>, deliveries: Vec<Delivery>) -> Answer<()> {
        let now = self.now();
        let present = |delivery: &Delivery| self.push.is_open(delivery.deployment.device);
        let deliveries: Vec<_> = deliveries.into_iter().filter(present).collect();
        let linked = self.with_links(deliveries, now).await?;
        self.push_offers(linked).await
    }

    /// Pushes offers whose links are made, to the devices that are there.
    pub(crate) async fn push_offers(self: &Arc<Self>, deliveries: Vec<Delivery>) -> Answer<()> {
        let present = |delivery: &Delivery| self.push.is_open(delivery.deployment.device);
        let deliveries: Vec<_> = deliveries.into_iter().filter(present).collect();
        let devices: Vec<_> = deliveries.iter().map(|delivery| delivery.deployment.device).collect();
        for (device, offer) in devices.into_iter().zip(self.seal(deliveries).await?) {
            self.push.send(device, &PushEvent::Offer(offer));
        }
        Ok(())
    }

    /// How long links of this rollout live.
    pub(crate) async fn link_life(&self, rollout: RolloutId) -> Answer<Seconds> {
        if let Some(life) = self.memory().link_life.get(&rollout).copied() {
            return Ok(life);
        }
        let policy = self.store.rollout(rollout).await?.map(|rollout| rollout.policy);
        let life = policy.ok_or(store::Error::NotFound { what: "rollout" })?.link_life;
        self.memory().link_life.insert(rollout, life);
        Ok(life)
    }

    /// A fresh link for a deployment of this rollout.
    pub(crate) async fn fresh_link(&self, delivery: &Delivery, now: UnixTime) -> Answer<store::Offer> {
        let expires_at = now + self.link_life(delivery.deployment.rollout).await?;
        Ok(store::Offer {
            deployment: delivery.deployment.id,
            link: LinkId::random(expires_at, &mut SystemRandom),
            not_before: now,
        })
    }

    /// Whether the device has all of it and is checking it: a new link would only be churn.
    fn is_being_checked(&self, delivery: &Delivery, now: UnixTime) -> bool {
        let memory = self.memory();
        delivery.link.is_none()
            && memory
                .consumed
                .get(&delivery.deployment.id)
                .is_some_and(|consumed_at| now < *consumed_at + CHECKS_WITHIN)
    }

    /// What can be offered of these, with a link each where one is due.
    async fn with_links(&self, deliveries: Vec<Delivery>, now: UnixTime) -> Answer<Vec<Delivery>> {
        let mut ready = Vec::with_capacity(deliveries.len());
        let mut unlinked = Vec::new();
        let mut links = Vec::new();
        for delivery in deliveries {
            match due(&delivery, now) {
                Due::Nothing => {}
                Due::Hold => ready.push(Delivery { link: None, ..delivery }),
                Due::Link if delivery.link.is_some() => ready.push(delivery),
                Due::Link => {
                    links.push(self.fresh_link(&delivery, now).await?);
                    unlinked.push(delivery);
                }
            }
        }
        if links.is_empty() {
            return Ok(ready);
        }
        let taken = self.store.reissue(links.clone(), now).await?;
        for ((delivery, link), taken) in unlinked.into_iter().zip(links).zip(taken) {
            // Where another request was faster, that one delivers.
            if taken {
                self.hint(Hint::Rollout { rollout: delivery.deployment.rollout });
                ready.push(Delivery { link: Some((link.link, link.not_before)), ..delivery });
            }
        }
        Ok(ready)
    }

    /// Seals each link to its device.
    async fn seal(self: &Arc<Self>, deliveries: Vec<Delivery>) -> Answer<Vec<Offer>> {
        let mut offers = Vec::with_capacity(deliveries.len());
        for batch in deliveries.chunks(SEALED_AT_ONCE) {
            for delivery in batch {
                offers.extend(self.seal_one(delivery)?);
            }
            tokio::task::yield_now().await;
        }
        Ok(offers)
    }

    fn seal_one(&self, delivery: &Delivery) -> Result<Option<Offer>, envelope::Error> {
        let Some(ticket) = &delivery.ticket else {
            return Ok(None);
        };
        let sealed_link = delivery.link.map(|(id, not_before)| {
            let link = Link {
                id,
                origin: self.config.origin.clone(),
                path: link_path(id),
                device: delivery.deployment.device,
                spki: delivery.spki,
                segment_list: delivery.segment_list,
                not_before,
                not_after: id.expires_at(),
            };
            link.issue(self.link_key(), &KemPublicKey(delivery.kem)).map(Base64)
        });
        Ok(Some(Offer {
            deployment: delivery.deployment.id,
            sealed_ticket: Base64(ticket.sealed.clone()),
            label: Base64(ticket.label.clone()),
            sealed_link: sealed_link.transpose()?,
        }))
    }
}

/// What a device must be given for a deployment.
enum Due {
    Nothing,
    /// A ticket that tells it to stop, without a link.
    Hold,
    /// A ticket and a link.
    Link,
}

fn due(delivery: &Delivery, now: UnixTime) -> Due {
    let state = delivery.deployment.state;
    let Some(ticket) = delivery.ticket.as_ref().filter(|ticket| now <= ticket.not_after) else {
        return Due::Nothing;
    };
    match ticket.action {
        TicketAction::Hold if state.in_progress() && !state.past_recall() => Due::Hold,
        TicketAction::Install | TicketAction::Reinstall
            if matches!(state, DeploymentState::Offered | DeploymentState::Downloading) =>
        {
            Due::Link
        }
        TicketAction::Hold | TicketAction::Install | TicketAction::Reinstall => Due::Nothing,
    }
}
