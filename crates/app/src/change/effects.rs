//! What a change of whom the fleet trusts comes to, in counts.

use envelope::{
    trust::TrustedKey,
    tuf::{Role, Root},
};

use super::{draft, present};
use crate::{
    App, Error,
    command::{FleetDraftChangePreview, Handle},
    dto::{DraftChange, Effect, Preview},
    release::{effect, preview},
    trust::Trust,
};

impl Handle<FleetDraftChangePreview> for App {
    async fn handle(&self, request: DraftChange) -> Result<Preview, Error> {
        let trust = self.newest_signed().await?;
        let drafted = draft(&trust, &request.edits, self.now())?;
        let asked = match (&drafted.targets, &drafted.root) {
            (Some(_), Some(_)) => "targets metadata and the next root",
            (Some(_), None) => "targets metadata",
            (None, _) => "the next root",
        };
        let more = if drafted.root_follows { ", and then the next root" } else { "" };
        let summary = format!("ask the key holders to sign {asked}{more}: until then nothing changes");
        Ok(preview(summary, drafted.effects, &drafted.root_follows))
    }
}

/// What becomes of listed keys and of those that sign, and how many must.
pub(super) fn counted(trust: &Trust, keys: &[TrustedKey], root: Option<&Root>) -> Vec<Effect> {
    let (old, before) = (trust.keys.entries(), present(trust));
    let mut effects = vec![
        effect("keys are listed anew, or for something else", missing(keys, old)),
        effect("keys are taken off the list, or listed for something else", missing(old, keys)),
    ];
    for (role, joins, leaves, takes) in [
        (
            Role::Root,
            "keys may sign the root from then on",
            "keys sign the root no more",
            "signatures a root takes",
        ),
        (
            Role::Targets,
            "keys may sign releases from then on",
            "keys sign releases no more",
            "signatures a release takes",
        ),
    ] {
        let Some(root) = root else { continue };
        let ids = |root: &Root| root.role(role).keyids.to_vec();
        let (was, is) = (ids(before), ids(root));
        effects.push(effect(joins, missing(&is, &was)));
        effects.push(effect(leaves, missing(&was, &is)));
        if root.role(role).threshold != before.role(role).threshold {
            effects.push(effect(takes, u64::from(root.role(role).threshold)));
        }
    }
    effects
}

/// How many of these are not among those.
fn missing<T: PartialEq>(these: &[T], those: &[T]) -> u64 {
    these.iter().filter(|one| !those.contains(one)).count() as u64
}
