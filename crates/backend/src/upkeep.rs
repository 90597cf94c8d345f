//! What has to be done although nobody asks: sweeping links, noting what was served, keeping the
//! metadata fresh.

use std::{collections::HashSet, sync::Arc, time::Duration};

use envelope::tuf::Role;
use model::{DeviceId, Seconds, UnixTime};
use protocol::operator::{AlarmKind, Hint};
use store::Served;
use tokio_util::sync::CancellationToken;

use crate::{
    links::CHECKS_WITHIN,
    metadata::{Due, Publication, due},
    refusal::Answer,
    server::Server,
    serving::Note,
};

/// Links that are swept, and deployments that are given new ones, in one go.
const SWEPT_AT_ONCE: u32 = 4_096;
/// Notes that are put on record in one go.
const NOTED_AT_ONCE: usize = 1_024;
/// Uploads are looked through so often, and dropped when nothing came for so long.
const TIDY_EVERY: Seconds = Seconds::hours(1);
const UPLOAD_LIFE: Seconds = Seconds::days(7);
/// People are warned so long before metadata that they must sign lapses.
const WARN_BEFORE: Seconds = Seconds::days(14);
/// What a device does over and over raises one alarm in so long.
const ALARM_EVERY: Seconds = Seconds::minutes(1);

/// Sweeps links and renews metadata until `shutdown`.
pub(crate) async fn run(server: Arc<Server>, shutdown: CancellationToken) {
    let every = server.config.tick.min(Duration::from_secs(1));
    let mut warned = HashSet::new();
    let mut tidied_at = UnixTime::EPOCH;
    loop {
        let done = async {
            if server.lost().is_some() {
                return Ok(());
            }
            server.sweep_links().await?;
            server.freshen_metadata(&mut warned).await?;
            if server.now() >= tidied_at + TIDY_EVERY {
                tidied_at = server.now();
                server.blobs.abandon_before(tidied_at - UPLOAD_LIFE).await?;
            }
            Answer::Ok(())
        };
        if let Err(refusal) = done.await {
            tracing::error!(code = %refusal.code(), "failed to look after links and metadata");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// Puts what was served on record, for as long as anybody serves.
pub(crate) async fn keep_record(server: Arc<Server>) {
    loop {
        let notes = server.downloads.notes(NOTED_AT_ONCE).await;
        server.record(notes).await;
    }
}

impl Server {
    /// Deletes the links that lapsed, and remakes and pushes them, and those that were used up without
    /// the device saying so, to the devices that are there (R7).
    pub(crate) async fn sweep_links(self: &Arc<Self>) -> Answer<()> {
        let now = self.now();
        loop {
            let lapsed = self.store.sweep(now, SWEPT_AT_ONCE).await?;
            let last = lapsed.len() < SWEPT_AT_ONCE as usize;
            let mut present = Vec::new();
            for ended in lapsed {
                self.downloads.end(ended.deployment);
                if self.push.is_open(ended.device) {
                    present.push(ended.deployment);
                }
            }
            if !present.is_empty() {
                let deliveries = self.store.deliveries(present, now).await?;
                self.deliver(deliveries).await?;
            }
            if last {
                break;
            }
        }
        let unlinked = self.store.take_unlinked(now, SWEPT_AT_ONCE).await?;
        self.deliver(unlinked).await?;
        self.downloads.forget_lapsed(now);
        let mut memory = self.memory();
        memory.consumed.retain(|_, consumed_at| now < *consumed_at + CHECKS_WITHIN);
        memory.alarmed.retain(|_, at| now < *at + ALARM_EVERY);
        Ok(())
    }

    async fn record(&self, notes: Vec<Note>) {
        let now = self.now();
        let mut sent = Vec::new();
        let mut barriers = Vec::new();
        for note in notes {
            match note {
                Note::Sent(download, range) => sent.push((download, range)),
                Note::Barrier(barrier) => barriers.push(barrier),
            }
        }
        self.served.add(now, sent.iter().map(|(_, range)| range.end - range.start).sum());
        let ranges: Vec<_> = sent.iter().map(|(download, range)| download.range(range)).collect();
        let served = match self.store.note_served(ranges, now).await {
            Ok(served) => served.into_iter().map(Some).collect(),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "failed to record what was served");
                vec![None; sent.len()]
            }
        };
        for ((download, range), served) in sent.into_iter().zip(served) {
            let link = download.link();
            if served == Some(Served::Consumed) {
                self.memory().consumed.insert(link.deployment, now);
            }
            download.noted(&range, served);
            if served == Some(Served::Consumed) {
                self.downloads.end(link.deployment);
            }
            self.hint(Hint::Rollout { rollout: link.rollout });
        }
        for barrier in barriers {
            // Whoever waited may have gone.
            let _ = barrier.send(());
        }
    }

    /// Renews snapshot and timestamp in time, and warns before what people must sign lapses.
    async fn freshen_metadata(&self, warned: &mut HashSet<(Role, UnixTime)>) -> Answer<()> {
        let (now, trust) = (self.now(), self.trust());
        if due(&trust.state, now) == Due::Renew
            && let Err(refusal) = self.publish(Publication::default()).await
        {
            let expires = trust.state.timestamp().map_or(UnixTime::EPOCH, |file| file.signed().expires);
            if warned.insert((Role::Timestamp, expires)) {
                tracing::error!(code = %refusal.code(), reason = refusal.0.message, "failed to renew the metadata");
                let detail = format!("The timestamp cannot be renewed: {}", refusal.0.message);
                self.alarm(AlarmKind::MetadataExpiring, None, detail).await?;
            }
        }
        let signed = [
            (Role::Root, Some(trust.state.root().signed().expires)),
            (Role::Targets, trust.state.targets().map(|file| file.signed().expires)),
        ];
        for (role, expires) in signed {
            let Some(expires) = expires.filter(|expires| *expires <= now + WARN_BEFORE) else { continue };
            if warned.insert((role, expires)) {
                let detail = format!("The {role} metadata lapses at {expires}.");
                self.alarm(AlarmKind::MetadataExpiring, None, detail).await?;
            }
        }
        Ok(())
    }

    /// Raises an alarm.
    pub(crate) async fn alarm(
        &self,
        kind: AlarmKind,
        device: Option<DeviceId>,
        detail: String,
    ) -> Answer<()> {
        self.store.raise_alarm(alarm_word(kind).to_owned(), device, detail, self.now()).await?;
        self.hint(Hint::Alarm);
        Ok(())
    }

    /// Whether this device raised no alarm by its requests for a while.
    pub(crate) fn is_first_of_minute(&self, device: DeviceId) -> bool {
        let now = self.now();
        let mut memory = self.memory();
        if memory.alarmed.get(&device).is_some_and(|at| now < *at + ALARM_EVERY) {
            return false;
        }
        memory.alarmed.insert(device, now);
        true
    }

    /// Records that a device presented a link of another, at most once a minute for each.
    pub(crate) async fn foreign_link(&self, device: DeviceId, owner: DeviceId) -> Answer<()> {
        if !self.is_first_of_minute(device) {
            return Ok(());
        }
        tracing::warn!(device_id = %device, %owner, "a device presented another's link");
        self.alarm(AlarmKind::ForeignLink, Some(device), format!("It presented a link of {owner}.")).await
    }
}

/// An alarm's kind among the store's words.
pub(crate) const fn alarm_word(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::KeySeen => store::Alarm::KEY_SEEN,
        AlarmKind::TokenReused => store::Alarm::TOKEN_REUSED,
        AlarmKind::DeviceCloned => store::Alarm::CLONED,
        AlarmKind::RevokedDevice => "revoked_device",
        AlarmKind::ForeignLink => "foreign_link",
        AlarmKind::RolloutPaused => "rollout_paused",
        AlarmKind::MetadataExpiring => "metadata_expiring",
        AlarmKind::Storage => "storage",
        AlarmKind::LogForked => "log_forked",
        AlarmKind::BackendRestored => "backend_restored",
    }
}
