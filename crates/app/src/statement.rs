//! What a signature would say, in words and digests, read from the very bytes that it covers.

use std::collections::BTreeMap;

use envelope::{
    TrustKeys,
    request::{Checked, Proposed, Request},
    sha256,
    trust::{KeyMaterial, Models, TrustedKey},
    tuf::{KeyId, Role, Root, TRUST_KEYS_TARGET, TargetFile},
};
use model::{TargetName, UnixTime};

use crate::{
    Error,
    dto::{Change, ChangeKind, KeyHolder, Reported, Statement},
    words::{digest_words, qr_svg, qr_text},
};

/// Renders a request that was checked. `mine` are the ids of the vault's own keys.
pub(crate) fn statement(
    request: &Request,
    checked: &Checked,
    mine: &[KeyId],
    reported: Option<Reported>,
) -> Result<Statement, Error> {
    let (root, proposed) = (checked.root.signed(), &checked.proposed);
    let digest = sha256(proposed.signing_bytes());
    let quorum = proposed.quorum(root);
    let signed = proposed.signers(root);
    let holder = |key: &KeyId| match proposed {
        Proposed::Root(next) => root.holder(key).or_else(|| next.signed().holder(key)).cloned(),
        Proposed::Targets(_) => root.holder(key).cloned(),
    };
    let key_holders = proposed.key_holders(root).into_iter().map(|key| KeyHolder {
        name: holder(&key),
        signed: signed.contains(&key),
        mine: mine.contains(&key),
        key_id: key.as_str().to_owned(),
    });
    let scan = format!("fleetseal-request:{digest}");
    Ok(Statement {
        request: request.id,
        fleet: request.fleet,
        reported,
        role: proposed.role().as_str().to_owned(),
        version: proposed.version(),
        metadata_expires_at: proposed.expires(),
        digest,
        words: digest_words(&digest).map(str::to_owned).to_vec(),
        qr_svg: qr_svg(&scan)?,
        qr_text: qr_text(&scan)?,
        length_bytes: proposed.signing_bytes().len() as u64,
        changes: changes(checked),
        author: request.author.clone(),
        reason: request.reason.clone(),
        made_at: request.made_at,
        expires_at: request.expires_at,
        signatures: quorum.have,
        threshold: quorum.need,
        key_holders: key_holders.collect(),
        no_separation_of_duties: proposed.no_separation_of_duties(root),
    })
}

/// Everything that would be different.
pub(crate) fn changes(checked: &Checked) -> Vec<Change> {
    match &checked.proposed {
        Proposed::Targets(next) => {
            let (now, next) = (checked.targets.signed(), next.signed());
            let mut changes =
                differences(&now.targets, &next.targets, target, |file| Some(file.hashes.sha256));
            if let Some((now, next)) = &checked.trust_keys {
                changes.extend(trust_keys(now, next));
            }
            changes.push(lapses("the targets metadata", now.expires, next.expires));
            changes
        }
        Proposed::Root(next) => {
            let (now, next) = (checked.root.signed(), next.signed());
            let mut changes = Vec::new();
            for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
                changes.extend(role_changes(role, now, next));
            }
            changes.push(lapses("the root metadata", now.expires, next.expires));
            changes
        }
    }
}

fn role_changes(role: Role, now: &Root, next: &Root) -> Vec<Change> {
    let keys = |root: &Root| -> BTreeMap<KeyId, String> {
        let who =
            |key: &KeyId| root.holder(key).map_or_else(|| "nobody named".to_owned(), ToString::to_string);
        root.role(role).keyids.iter().map(|key| (key.clone(), who(key))).collect()
    };
    let words = |key: &KeyId, who: &String| format!("a {role} key of {who}, {key}");
    let mut changes = differences(&keys(now), &keys(next), words, |_| None);
    let (from, to) = (now.role(role).threshold, next.role(role).threshold);
    if from != to {
        changes.push(Change {
            kind: ChangeKind::Changed,
            what: format!("the threshold of {role}: {to} must sign in place of {from}"),
            digest: None,
        });
    }
    changes
}

fn trust_keys(now: &TrustKeys, next: &TrustKeys) -> Vec<Change> {
    let entries = |keys: &TrustKeys| -> BTreeMap<String, TrustedKey> {
        keys.entries().iter().map(|key| (key.id().to_string(), key.clone())).collect()
    };
    let words = |id: &String, key: &TrustedKey| {
        let models = match &key.scope.models {
            Models::All => "all models".to_owned(),
            Models::Only(models) => models.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let until = match key.scope.not_after {
            UnixTime::MAX => String::new(),
            until => format!(", until {until}"),
        };
        format!("the {} key of {}, {id}, for {models}{until}", key.role.as_str(), key.holder)
    };
    differences(&entries(now), &entries(next), words, |key| match &key.material {
        KeyMaterial::Root { certificate, .. } => Some(sha256(certificate)),
        KeyMaterial::Signer(_) | KeyMaterial::Recipient(_) => None,
    })
}

fn target(name: &TargetName, file: &TargetFile) -> String {
    let Some(custom) = &file.custom else {
        return match name.as_str() {
            TRUST_KEYS_TARGET => "the trusted keys, as listed below".to_owned(),
            _ => format!("{name}, {} bytes, which is for no device", file.length),
        };
    };
    let revisions: Vec<_> = custom.hardware_revisions.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{name}: {} {} for {} (hardware revision {}), security counter {}, {} bytes, installed by {}, of {}",
        custom.component,
        custom.version,
        custom.model,
        revisions.join(", "),
        custom.security_counter,
        file.length,
        custom.installer,
        custom.release,
    );
    if custom.must_pass {
        text.push_str("; no device may jump over it");
    }
    for (component, version) in &custom.requires {
        text.push_str(&format!("; only where {component} is {version} or newer"));
    }
    text
}

fn lapses(what: &str, from: UnixTime, to: UnixTime) -> Change {
    Change {
        kind: ChangeKind::Changed,
        what: format!("{what} lapses at {to} in place of {from}"),
        digest: None,
    }
}

/// What comes, goes and becomes another between two listings.
fn differences<K: Ord, V: PartialEq>(
    now: &BTreeMap<K, V>,
    next: &BTreeMap<K, V>,
    words: impl Fn(&K, &V) -> String,
    digest: impl Fn(&V) -> Option<model::Digest>,
) -> Vec<Change> {
    let change = |kind, key: &K, value: &V| Change { kind, what: words(key, value), digest: digest(value) };
    let gone = now.iter().filter(|(key, _)| !next.contains_key(key));
    let gone = gone.map(|(key, value)| change(ChangeKind::Removed, key, value));
    let come = next.iter().filter_map(|(key, value)| match now.get(key) {
        None => Some(change(ChangeKind::Added, key, value)),
        Some(old) if old != value => Some(change(ChangeKind::Changed, key, value)),
        Some(_) => None,
    });
    gone.chain(come).collect()
}
