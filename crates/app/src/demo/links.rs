//! Links as the operators see them, and what is tried with them.

use std::collections::{BTreeMap, BTreeSet};

use model::{DeploymentState, DeviceId, LinkId, Seconds, UnixTime};
use protocol::{
    device::{link_path, segments_path},
    operator::{DeploymentRow, LinkRow},
};
use sim::Intruder;

use super::{
    field::{self, Running},
    rules::{Rule, Rules},
    stage::Stage,
    watch::{in_words, intruder, state_of},
};
use crate::{
    Error,
    command::{DeviceTimeline, LinkList},
    dto::{DeviceTimelineRequest, ListLinks, PageRequest},
};

/// How much of its time a link must still have for what is tried with it to say anything.
const TIME_LEFT: Seconds = Seconds(2);

/// What is tried while the rollout runs, each once.
#[derive(Default)]
pub(crate) struct Links {
    seen: BTreeMap<DeviceId, BTreeSet<LinkId>>,
    stolen: bool,
    used: bool,
}

impl Links {
    pub(crate) async fn look(
        &mut self,
        stage: &Stage,
        field: &Running,
        rules: &Rules<'_>,
    ) -> Result<(), Error> {
        let mut request = ListLinks::default();
        request.page.limit = Some(500);
        let page = stage.alice.run::<LinkList>(request).await?;
        for row in &page.rows {
            self.seen.entry(row.device).or_default().insert(row.id);
        }
        if !self.stolen {
            self.stolen = steal(&page.rows, stage, field, rules).await?;
        }
        if !self.used && page.next.is_none() {
            self.used = self.use_again(&page.rows, stage, field, rules).await?;
        }
        Ok(())
    }

    /// A link that ended before its time, because its download is complete.
    async fn use_again(
        &self,
        open: &[LinkRow],
        stage: &Stage,
        field: &Running,
        rules: &Rules<'_>,
    ) -> Result<bool, Error> {
        let in_time = stage.alice.now() + TIME_LEFT;
        for (number, device) in field.ids.iter().enumerate() {
            let newest = self.seen.get(device).and_then(BTreeSet::last).copied();
            let ended = |link: &LinkId| link.expires_at() > in_time && open.iter().all(|row| row.id != *link);
            let Some(link) = newest.filter(ended) else { continue };
            if happened(stage, *device, "link_consumed").await?.is_empty() {
                continue;
            }
            let (held, outcome) = nothing(&intruder(&field.devices[number].storage())?, link).await;
            let tried = "use a link again after its download, within its time and with the right certificate";
            rules.tried(Rule::R6, tried, held, outcome);
            return Ok(true);
        }
        Ok(false)
    }

    /// What can be tried once the rollout has ended.
    pub(crate) async fn afterwards(
        &self,
        stage: &Stage,
        field: &Running,
        rows: &[DeploymentRow],
        rules: &Rules<'_>,
    ) -> Result<(), Error> {
        let missed = "no link was caught in time";
        if !self.stolen {
            rules.tried(Rule::R4, "use another device's open link", false, missed);
        }
        if !self.used {
            rules.tried(Rule::R6, "use a link again after its download", false, missed);
        }
        let lapsed = field.ids[field::LAPSES];
        let remade = happened(stage, lapsed, "link_reissued").await?;
        let lapses: Vec<UnixTime> = remade.iter().filter_map(|detail| lapse(detail)).collect();
        let first = self.seen.get(&lapsed).and_then(BTreeSet::first).copied();
        let tried = "use a link after its time, with the right certificate";
        match first.filter(|link| lapses.contains(&link.expires_at())) {
            Some(link) => {
                let (held, outcome) =
                    nothing(&intruder(&field.devices[field::LAPSES].storage())?, link).await;
                rules.tried(Rule::R5, tried, held, outcome);
            }
            None => rules.tried(Rule::R5, tried, false, "the link that was to lapse did not"),
        }
        let state = state_of(rows, lapsed);
        let pushed = field.devices[field::LAPSES].was_pushed_to();
        let held = state == Some(DeploymentState::Succeeded) && !lapses.is_empty() && pushed;
        let outcome = format!(
            "deleted and remade {} times, {}; its deployment is {}",
            remade.len(),
            if pushed { "then pushed to the device" } else { "and not pushed to the device" },
            in_words(state),
        );
        rules.tried(Rule::R7, "let a link lapse unused", held, outcome);
        Ok(())
    }
}

/// A device that is in order tries a link that is another's. Its owner can use it all the same.
async fn steal(open: &[LinkRow], stage: &Stage, field: &Running, rules: &Rules<'_>) -> Result<bool, Error> {
    let owner = field.ids[field::LAPSES];
    let in_time = stage.alice.now() + TIME_LEFT;
    let Some(row) = open.iter().find(|row| row.device == owner && row.expires_at > in_time) else {
        return Ok(false);
    };
    let (nothing, outcome) = nothing(&intruder(&field.devices[field::THIEF].storage())?, row.id).await;
    let own = intruder(&field.devices[field::LAPSES].storage())?.get(&segments_path(row.id)).await;
    let (still, own) = match own {
        Ok(answer) => (answer.status == 200, answer.status.to_string()),
        Err(error) => (false, error.to_string()),
    };
    let tried = "use another device's open link, with a good certificate of one's own";
    rules.tried(
        Rule::R4,
        tried,
        nothing && still,
        format!("{outcome}; for its owner it opens still ({own})"),
    );
    Ok(true)
}

/// Asks for a link's bytes and its segment list; both must yield nothing. Whoever asks is somebody the
/// backend talks to, so that an answer that did not come refuses nothing.
async fn nothing(who: &Intruder, link: LinkId) -> (bool, String) {
    let mut held = true;
    let mut outcome = Vec::new();
    for path in [link_path(link), segments_path(link)] {
        let answer = who.get(&path).await;
        held &= answer.as_ref().is_ok_and(|answer| answer.status == 404);
        outcome.push(answer.map_or_else(|error| error.to_string(), |answer| answer.status.to_string()));
    }
    (held, format!("it yields nothing (status {})", outcome.join(" and ")))
}

/// The details of each time that this happened to a device, by the backend's record.
pub(crate) async fn happened(stage: &Stage, device: DeviceId, kind: &str) -> Result<Vec<String>, Error> {
    let page = PageRequest { after: None, limit: Some(500) };
    let timeline = stage.alice.run::<DeviceTimeline>(DeviceTimelineRequest { device, page }).await?;
    Ok(timeline.rows.into_iter().filter(|entry| entry.kind == kind).map(|entry| entry.detail).collect())
}

/// When the link lapsed that was remade.
fn lapse(detail: &str) -> Option<UnixTime> {
    let detail: serde_json::Value = serde_json::from_str(detail).ok()?;
    serde_json::from_value(detail.get("last_expired_at")?.clone()).ok()
}
