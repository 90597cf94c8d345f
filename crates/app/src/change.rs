//! Changes of whom the fleet trusts: from an admin's edits to the next metadata, which key holders are then
//! asked to sign.

mod effects;

use std::collections::BTreeSet;

use envelope::{
    KemPublicKey, KeyRole, PublicKey, TrustKeys,
    trust::{KeyMaterial, Models, Scope, TrustedKey},
    tuf::{KeyId, Role, Root, Signed, TRUST_KEYS_TARGET, TargetFile},
};
use model::{ModelName, PersonName, Seconds, UnixTime};
use pki::CaCertificate;
use protocol::{ErrorCode, operator::Purpose};

use crate::{
    App, Error,
    command::{FleetDraftChange, Handle},
    dto::{DraftChange, DraftedChange, Edit, Effect, ListedFor, MemberCard, SignedBy},
    release::current,
    trust::{Trust, untrusted},
    vaults::unhex,
};

/// How long a replaced key stays listed, so that what it signed can lapse.
const OVERLAP: Seconds = Seconds::days(30);

/// The next metadata in the making.
struct Draft<'a> {
    trust: &'a Trust,
    root: Option<Root>,
    keys: Vec<TrustedKey>,
    renew_targets: bool,
    now: UnixTime,
}

/// What key holders are to be asked for.
struct Drafted {
    /// What it comes to, in counts.
    effects: Vec<Effect>,
    /// The next targets and, where they change, the next trust keys.
    targets: Option<(Vec<u8>, Option<Vec<u8>>)>,
    root: Option<Vec<u8>>,
    root_follows: bool,
}

impl Handle<FleetDraftChange> for App {
    async fn handle(&self, request: DraftChange) -> Result<DraftedChange, Error> {
        self.draft_change(&request).await
    }
}

impl App {
    /// Asks key holders to sign a change of whom the fleet trusts.
    pub(crate) async fn draft_change(&self, request: &DraftChange) -> Result<DraftedChange, Error> {
        let reason = said(&request.reason)?;
        let drafted = draft(&self.newest_signed().await?, &request.edits, self.now())?;
        let mut requests = Vec::new();
        if let Some((targets, keys)) = drafted.targets {
            requests.push(self.ask(Purpose::Trust, targets, keys, reason.to_owned()).await?);
        }
        if let Some(root) = drafted.root {
            requests.push(self.ask(Purpose::Root, root, None, reason.to_owned()).await?);
        }
        Ok(DraftedChange { requests, root_follows: drafted.root_follows })
    }
}

fn draft(trust: &Trust, edits: &[Edit], now: UnixTime) -> Result<Drafted, Error> {
    let keys = trust.keys.entries().to_vec();
    let mut draft = Draft { trust, root: None, keys, renew_targets: false, now };
    edits.iter().try_for_each(|edit| draft.apply(edit))?;
    draft.finish()
}

impl Draft<'_> {
    fn apply(&mut self, edit: &Edit) -> Result<(), Error> {
        match edit {
            Edit::List { card, keys, models, not_after } => {
                let scope = scope(models, *not_after);
                keys.iter().try_for_each(|role| self.list(card, *role, scope.clone()))
            }
            Edit::Rotate { card } => self.rotate(card),
            Edit::Unlist { key } => self.listed(key).map(|at| drop(self.keys.remove(at))),
            Edit::Scope { key, models, not_after } => {
                let at = self.listed(key)?;
                self.keys[at].scope = scope(models, *not_after);
                Ok(())
            }
            Edit::RemovePerson { holder } => self.remove(holder),
            Edit::AddKeyHolder { card } => self.add_key_holder(card),
            Edit::RemoveKey { key } => self.remove_key(key),
            Edit::Threshold { role, threshold } => {
                self.root().set_threshold(tuf_role(*role), *threshold);
                Ok(())
            }
            Edit::Online { snapshot, timestamp, link } => self.online(snapshot, timestamp, link),
            Edit::ListRoot { certificate } => self.list_root(certificate),
            Edit::Renew { role: SignedBy::Root } => {
                self.root();
                Ok(())
            }
            Edit::Renew { role: SignedBy::Targets } => {
                self.renew_targets = true;
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<Drafted, Error> {
        let Self { trust, root, keys, renew_targets, now } = self;
        let mut effects = effects::counted(trust, &keys, root.as_ref());
        effects.retain(|effect| effect.count > 0);
        let keys = TrustKeys::new(keys)?;
        let changed = (keys != *trust.keys).then(|| keys.encode());
        let targets = if changed.is_some() || renew_targets {
            let mut targets = current(trust)?.next(now);
            if let Some(keys) = &changed {
                let name = TRUST_KEYS_TARGET.parse().expect("a constant target name parses");
                targets.targets.insert(name, TargetFile::of(keys, None));
            }
            let targets = Signed::new(targets).map_err(untrusted)?;
            Some((targets.signing_bytes().to_vec(), changed))
        } else {
            None
        };
        let mut drafted = Drafted { effects: Vec::new(), targets, root: None, root_follows: false };
        if let Some(root) = root {
            check_complete(&root)?;
            // Under other keys the targets in force may count for nothing; then no device could refresh.
            let stands = trust.state.targets().is_some_and(|targets| root.verify(targets).is_ok());
            match (stands, &drafted.targets) {
                (true, _) => {
                    let root = Signed::new(root).map_err(untrusted)?;
                    drafted.root = Some(root.signing_bytes().to_vec());
                }
                (false, Some(_)) => drafted.root_follows = true,
                (false, None) => {
                    let error = Error::new(
                        ErrorCode::PreconditionFailed,
                        "under this root the targets metadata in force would count for nothing",
                    );
                    return Err(error.detail("too few of those who would be left have signed it").hint(
                        "let them sign it with `fleetseal request renew` first, then draft this again",
                    ));
                }
            }
        }
        drafted.effects = effects;
        if drafted.targets.is_none() && drafted.root.is_none() {
            return Err(invalid("nothing would change"));
        }
        Ok(drafted)
    }

    /// The next root, begun when it is first needed.
    fn root(&mut self) -> &mut Root {
        let (trust, now) = (self.trust, self.now);
        self.root.get_or_insert_with(|| present(trust).next(now + Role::Root.life()))
    }

    fn list(&mut self, card: &MemberCard, role: ListedFor, scope: Scope) -> Result<(), Error> {
        let key = TrustedKey {
            role: key_role(role),
            material: material(card, role)?,
            scope,
            holder: card.holder.clone(),
        };
        if self.keys.iter().any(|other| other.id() == key.id()) {
            return Err(Error::new(ErrorCode::Conflict, "this key is listed already")
                .detail(format!("{} of {}", key.role.as_str(), key.holder))
                .hint("`fleetseal fleet change scope` gives a listed key another scope"));
        }
        self.keys.push(key);
        Ok(())
    }

    fn rotate(&mut self, card: &MemberCard) -> Result<(), Error> {
        let mut rotated = false;
        for role in [
            ListedFor::Ticket,
            ListedFor::Seal,
            ListedFor::Grant,
            ListedFor::Audit,
            ListedFor::Member,
            ListedFor::Bench,
        ] {
            let new = material(card, role)?;
            let mine = |key: &&mut TrustedKey| key.role == key_role(role) && key.holder == card.holder;
            let lapses = self.now + OVERLAP;
            // The one that counts longest: those that were replaced before lapse earlier.
            let newest = self.keys.iter_mut().filter(mine).max_by_key(|key| key.scope.not_after);
            let Some(scope) = newest.map(|key| key.scope.clone()) else { continue };
            if self.keys.iter().any(|key| key.material == new) {
                continue;
            }
            for old in self.keys.iter_mut().filter(mine) {
                old.scope.not_after = old.scope.not_after.min(lapses);
            }
            let (now, holder) = (self.now, &card.holder);
            self.keys.retain(|key| key.scope.not_after >= now || key.holder != *holder);
            if role == ListedFor::Member {
                self.keys.retain(|key| key.role != KeyRole::Member || key.holder != card.holder);
            }
            self.list(card, role, scope)?;
            rotated = true;
        }
        let holds = |root: &Root| {
            [Role::Root, Role::Targets]
                .iter()
                .any(|role| root.role(*role).keyids.iter().any(|id| root.holder(id) == Some(&card.holder)))
        };
        if holds(present(self.trust)) {
            self.add_key_holder(card)?;
            rotated = true;
        }
        if rotated { Ok(()) } else { Err(not_listed(&card.holder)) }
    }

    fn remove(&mut self, holder: &PersonName) -> Result<(), Error> {
        let before = self.keys.len();
        self.keys.retain(|key| key.holder != *holder);
        let held = held(present(self.trust), holder);
        if before == self.keys.len() && held.is_empty() {
            return Err(not_listed(holder));
        }
        for (role, id) in held {
            self.root().remove_key(role, &id);
        }
        Ok(())
    }

    fn add_key_holder(&mut self, card: &MemberCard) -> Result<(), Error> {
        let (root, targets) = (unhex(&card.root, "root")?, unhex(&card.targets, "targets")?);
        let before = self.root.as_ref().unwrap_or_else(|| present(self.trust)).clone();
        for (role, key) in [(Role::Root, root), (Role::Targets, targets)] {
            let id = KeyId::of(&key);
            if before.keys.contains_key(&id)
                && before.holder(&id).is_some_and(|holder| *holder != card.holder)
            {
                return Err(
                    Error::new(ErrorCode::Conflict, "this key is another person's").detail(id.to_string())
                );
            }
            for (_, old) in held(&before, &card.holder).into_iter().filter(|(other, _)| *other == role) {
                self.root().remove_key(role, &old);
            }
            self.root().add_key(role, &key);
            self.root().set_holder(&key, &card.holder);
        }
        Ok(())
    }

    fn remove_key(&mut self, key: &str) -> Result<(), Error> {
        let root = self.root.as_ref().unwrap_or_else(|| present(self.trust));
        let found = [Role::Root, Role::Targets].iter().find_map(|role| {
            let id = root.role(*role).keyids.iter().find(|id| id.as_str() == key)?;
            Some((*role, id.clone()))
        });
        let (role, id) = found.ok_or_else(|| {
            Error::new(ErrorCode::NotFound, format!("neither root nor targets names a key {key}"))
                .hint("`fleetseal fleet keys` lists them")
        })?;
        self.root().remove_key(role, &id);
        Ok(())
    }

    fn online(&mut self, snapshot: &[u8], timestamp: &[u8], link: &[u8]) -> Result<(), Error> {
        for (role, key) in [(Role::Snapshot, snapshot), (Role::Timestamp, timestamp)] {
            let key = ed25519(key)?;
            let old = present(self.trust).role(role).keyids.clone();
            let root = self.root();
            old.iter().for_each(|id| root.remove_key(role, id));
            root.add_key(role, &key);
        }
        let link = KeyMaterial::Signer(PublicKey::Ed25519(ed25519(link)?));
        if self.keys.iter().any(|key| key.material == link) {
            return Ok(());
        }
        let lapses = self.now + OVERLAP;
        let old = self.keys.iter_mut().find(|key| key.role == KeyRole::Link);
        let old = old.ok_or_else(|| Error::new(ErrorCode::NotFound, "the fleet lists no link key"))?;
        let new = TrustedKey { material: link, ..old.clone() };
        for old in self.keys.iter_mut().filter(|key| key.role == KeyRole::Link) {
            old.scope.not_after = old.scope.not_after.min(lapses);
        }
        self.keys.push(new);
        Ok(())
    }

    fn list_root(&mut self, certificate: &[u8]) -> Result<(), Error> {
        let parsed = CaCertificate::parse(certificate)?;
        let key = PublicKey::P256(*parsed.certificate().key().sec1());
        let holder: PersonName = "fleet".parse().expect("a constant name parses");
        let material = KeyMaterial::Root { key, certificate: certificate.to_vec() };
        self.keys.push(TrustedKey { role: KeyRole::Root, material, scope: scope(&[], None), holder });
        Ok(())
    }

    fn listed(&self, id: &str) -> Result<usize, Error> {
        self.keys.iter().position(|key| key.id().to_string() == id).ok_or_else(|| {
            Error::new(ErrorCode::NotFound, format!("the fleet lists no key {id}"))
                .hint("`fleetseal fleet keys` lists them")
        })
    }
}

/// Why somebody asks, in their words.
///
/// # Errors
/// There are none.
pub(crate) fn said(reason: &str) -> Result<&str, Error> {
    match reason.trim() {
        "" => Err(invalid("say why, for those who sign and for the audit trail")),
        reason => Ok(reason),
    }
}

/// The root in force.
fn present(trust: &Trust) -> &Root {
    trust.state.root().signed()
}

fn check_complete(root: &Root) -> Result<(), Error> {
    if root.is_complete() {
        return Ok(());
    }
    let would = |role: Role| {
        let keys = root.role(role);
        format!("{role} would take {} of {}", keys.threshold, keys.keyids.len())
    };
    Err(Error::new(ErrorCode::PreconditionFailed, "too few key holders would be left")
        .detail([would(Role::Root), would(Role::Targets)].join("; "))
        .hint("add a key holder or lower the threshold in the same change"))
}

/// The keys of root and targets that this person holds.
fn held(root: &Root, holder: &PersonName) -> Vec<(Role, KeyId)> {
    let of = |role: Role| {
        root.role(role)
            .keyids
            .iter()
            .filter(|id| root.holder(id) == Some(holder))
            .map(move |id| (role, id.clone()))
    };
    of(Role::Root).chain(of(Role::Targets)).collect()
}

fn material(card: &MemberCard, role: ListedFor) -> Result<KeyMaterial, Error> {
    let signer = |text: &str, what| Ok(KeyMaterial::Signer(PublicKey::Ed25519(unhex(text, what)?)));
    match role {
        ListedFor::Ticket => signer(&card.ticket, "ticket"),
        ListedFor::Seal => signer(&card.seal, "seal"),
        ListedFor::Grant => signer(&card.grant, "grant"),
        ListedFor::Audit => signer(&card.audit, "audit"),
        ListedFor::Member | ListedFor::Bench => {
            Ok(KeyMaterial::Recipient(KemPublicKey(unhex(&card.kem, "KEM")?)))
        }
    }
}

const fn key_role(role: ListedFor) -> KeyRole {
    match role {
        ListedFor::Ticket => KeyRole::Ticket,
        ListedFor::Seal => KeyRole::Seal,
        ListedFor::Grant => KeyRole::Grant,
        ListedFor::Audit => KeyRole::Audit,
        ListedFor::Member => KeyRole::Member,
        ListedFor::Bench => KeyRole::Bench,
    }
}

const fn tuf_role(role: SignedBy) -> Role {
    match role {
        SignedBy::Root => Role::Root,
        SignedBy::Targets => Role::Targets,
    }
}

fn scope(models: &[ModelName], not_after: Option<UnixTime>) -> Scope {
    let models = if models.is_empty() {
        Models::All
    } else {
        Models::Only(models.iter().cloned().collect::<BTreeSet<_>>())
    };
    Scope { models, not_after: not_after.unwrap_or(UnixTime::MAX) }
}

fn ed25519(key: &[u8]) -> Result<[u8; 32], Error> {
    key.try_into().map_err(|_| invalid("an Ed25519 key has 32 bytes"))
}

fn not_listed(holder: &PersonName) -> Error {
    Error::new(ErrorCode::NotFound, format!("the fleet trusts no key of {holder}"))
        .hint("`fleetseal fleet keys` lists them")
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorCode::InvalidRequest, why)
}

#[cfg(test)]
mod tests {
    use envelope::{
        Ed25519Key, Signer as _,
        tuf::{Bundled, Targets, TrustedState},
    };

    use super::*;

    const NOON: UnixTime = UnixTime::from_secs(1_790_000_000);

    /// What a workstation has verified of a fleet that trusts these keys.
    fn trust(keys: &[u8]) -> Trust {
        let key = Ed25519Key::from_seed(&[1; 32]);
        let public = key.public_key().as_bytes().try_into().unwrap();
        let mut root = Root::new(NOON + Role::Root.life());
        for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
            root.add_key(role, &public);
        }
        let mut root = Signed::new(root).unwrap();
        root.sign(&key).unwrap();
        let name = TRUST_KEYS_TARGET.parse().unwrap();
        let mut targets = Targets::new(NOON);
        targets.targets.insert(TRUST_KEYS_TARGET.parse().unwrap(), TargetFile::of(keys, None));
        let mut targets = Signed::new(targets).unwrap();
        targets.sign(&key).unwrap();
        let mut state = TrustedState::bootstrap(root.raw()).unwrap();
        let bundle = Bundled { issued_at: NOON, expires: UnixTime::MAX };
        let targets = state.accept_bundle(&[], targets.raw(), bundle).unwrap();
        let bytes = targets.target(&name).unwrap().verify(keys.to_vec()).unwrap();
        Trust { targets, keys: TrustKeys::from_target(&bytes).unwrap(), state }
    }

    /// The card of Bob's vault of this number.
    fn card(number: u8) -> MemberCard {
        let key = |role: u8| {
            let key = Ed25519Key::from_seed(&[number * 16 + role; 32]).public_key();
            key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        MemberCard {
            holder: "bob".parse().unwrap(),
            root: key(1),
            targets: key(2),
            ticket: key(3),
            seal: key(4),
            grant: key(5),
            audit: key(6),
            kem: format!("{:02x}", number * 16 + 9).repeat(32),
            identity: protocol::Base64(Vec::new()),
        }
    }

    fn rotated(keys: &[u8], number: u8, now: UnixTime) -> Vec<u8> {
        let drafted = draft(&trust(keys), &[Edit::Rotate { card: card(number) }], now).unwrap();
        drafted.targets.unwrap().1.unwrap()
    }

    fn tickets(keys: &[u8]) -> Vec<(KeyMaterial, Scope)> {
        let keys = TrustKeys::parse(keys).unwrap();
        let tickets = keys.entries().iter().filter(|key| key.role == KeyRole::Ticket);
        let mut tickets: Vec<_> = tickets.map(|key| (key.material.clone(), key.scope.clone())).collect();
        tickets.sort_by_key(|(_, scope)| scope.not_after);
        tickets
    }

    #[test]
    fn a_vault_rotated_twice_has_the_scope_of_the_key_that_counts_longest() {
        let presses = scope(&["press-4".parse().unwrap()], Some(NOON + Seconds::days(400)));
        let listed = |role, scope: &Scope| TrustedKey {
            role: key_role(role),
            material: material(&card(1), role).unwrap(),
            scope: scope.clone(),
            holder: card(1).holder,
        };
        let first = [listed(ListedFor::Ticket, &presses), listed(ListedFor::Member, &scope(&[], None))];
        let first = TrustKeys::new(first.to_vec()).unwrap().encode();
        let key = |number| material(&card(number), ListedFor::Ticket).unwrap();
        let until = |days| Scope { not_after: NOON + Seconds::days(days), ..presses.clone() };

        let second = rotated(&first, 2, NOON);
        assert_eq!(tickets(&second), [(key(1), until(30)), (key(2), until(400))]);
        let later = NOON + Seconds::days(10);
        let third = rotated(&second, 3, later);
        let expected = [(key(1), until(30)), (key(2), until(40)), (key(3), until(400))];
        assert_eq!(tickets(&third), expected, "not the scope of the one that lapses in a month");
        // What lapsed meanwhile goes with the next rotation; there is one place for content keys at any time.
        let fourth = rotated(&third, 4, NOON + Seconds::days(35));
        assert_eq!(tickets(&fourth), [(key(2), until(40)), (key(3), until(65)), (key(4), until(400))]);
        let keys = TrustKeys::parse(&fourth).unwrap();
        let members: Vec<_> = keys.entries().iter().filter(|key| key.role == KeyRole::Member).collect();
        assert_eq!(members.len(), 1);
        assert_eq!(members[0].material, material(&card(4), ListedFor::Member).unwrap());
    }
}
