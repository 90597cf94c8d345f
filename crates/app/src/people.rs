//! People over time: invited, given other roles and fresh certificates, offboarded.

use std::{collections::BTreeSet, path::Path};

use envelope::{
    KeyRole as Listed, SystemRandom, sha256,
    trust::KeyMaterial,
    tuf::{Root, Signed},
};
use model::{KemKeyId, PersonName, ReleaseState, Role, RolloutState, Seconds, SpkiDigest};
use pki::{Ca, CaCertificate, CaRole, CertificateDer, IdentityCsr, PersonProfile};
use protocol::{
    Base64, ErrorCode,
    operator::{Page, PageRequest, Person, PutPerson, ReleaseDetail, ReleaseRow, RolloutRow, path},
};
use serde::{Deserialize, Serialize};
use vault::KeyRole;

use crate::{
    App, Error,
    change::said,
    command::{
        FleetAddPerson, FleetJoin, FleetPeople, FleetRemovePerson, FleetRemovePersonPreview,
        FleetRenewPerson, FleetSetRoles, Handle,
    },
    dto::{
        AddPerson, AddedPerson, Commit, DraftChange, Edit, ExposedRelease, FoundingFile, FoundingStatus,
        ListedFor, MemberCard, Nothing, Preview, RemovePerson, RemovedPerson, RenewPerson, SetRoles,
    },
    founding::Founding,
    pages::Cursor,
    release::{effect, expect_same, preview},
    trust::{Trust, untrusted},
    workspace::{Membership, read_as, write_json},
};

/// How long a person's certificate lives.
const CERTIFICATE_LIFE: Seconds = Seconds::days(2 * 365);

/// What a new member joins by, and what brings a renewed certificate. Nothing in it is secret.
#[derive(Debug, Serialize, Deserialize)]
struct Invitation {
    /// Tells it from a founding file.
    invitation: u32,
    membership: Membership,
}

/// What somebody is asked to join by.
#[derive(Deserialize)]
#[serde(untagged)]
enum Joining {
    Invitation(Box<Invitation>),
    Founding(Box<Founding>),
}

impl Handle<FleetPeople> for App {
    async fn handle(&self, _: Nothing) -> Result<Page<Person>, Error> {
        Ok(Page { rows: self.people().await?, next: None })
    }
}

impl Handle<FleetAddPerson> for App {
    async fn handle(&self, request: AddPerson) -> Result<AddedPerson, Error> {
        let name = request.card.holder.clone();
        // Drafted first: a card that cannot be listed makes nobody a member.
        let mut edits = vec![Edit::List {
            card: request.card.clone(),
            keys: listed_for(&request.roles),
            models: request.models,
            not_after: request.not_after,
        }];
        if request.key_holder {
            edits.push(Edit::AddKeyHolder { card: request.card.clone() });
        }
        let same_name = |person: &&Person| person.name == name && person.revoked_at.is_none();
        let spki = IdentityCsr::parse(&request.card.identity)?.spki_digest();
        if self.people().await?.iter().find(same_name).is_some_and(|known| known.spki != spki) {
            return Err(Error::new(ErrorCode::Conflict, format!("there is another {name} already"))
                .hint("names tell people apart in signatures and in the audit trail: take another one"));
        }
        let reason = format!("{name} becomes a member");
        let change = self.draft_change(&DraftChange { edits, reason }).await?;
        let certificate = self.certify(&request.card, "fleet.add_person")?;
        let put = PutPerson { certificate: certificate.clone(), name: name.clone(), roles: request.roles };
        let person = self.session().await?.client.put(path::PEOPLE, &put).await?;
        self.invite(name, certificate, Path::new(&request.invitation)).await?;
        Ok(AddedPerson { person, change })
    }
}

impl Handle<FleetSetRoles> for App {
    async fn handle(&self, request: SetRoles) -> Result<Person, Error> {
        let session = self.session().await?;
        let known = self.person(request.spki).await?;
        let put = PutPerson {
            certificate: known.certificate.ok_or_else(|| {
                Error::new(ErrorCode::Untrusted, "the backend does not show the person's certificate")
            })?,
            name: known.name,
            roles: request.roles,
        };
        session.client.put(path::PEOPLE, &put).await
    }
}

impl Handle<FleetRenewPerson> for App {
    async fn handle(&self, request: RenewPerson) -> Result<Person, Error> {
        let session = self.session().await?;
        let spki = IdentityCsr::parse(&request.card.identity)?.spki_digest();
        let known = self.person(spki).await?;
        if known.revoked_at.is_some() || known.name != request.card.holder {
            return Err(Error::new(ErrorCode::Conflict, "the card is not that of a present member")
                .hint("a new key, or a new name, comes with `fleetseal fleet add-person`"));
        }
        let certificate = self.certify(&request.card, "fleet.renew_person")?;
        let put = PutPerson { certificate: certificate.clone(), name: known.name, roles: known.roles };
        let person = session.client.put(path::PEOPLE, &put).await?;
        self.invite(request.card.holder, certificate, Path::new(&request.invitation)).await?;
        Ok(person)
    }
}

impl Handle<FleetRemovePersonPreview> for App {
    async fn handle(&self, request: RemovePerson) -> Result<Preview, Error> {
        let person = self.person(request.spki).await?;
        let trust = self.newest_signed().await?;
        let keys = trust.keys.entries().iter().filter(|key| key.holder == person.name).count();
        let exposed = self.exposed(&trust, &person.name).await?;
        let rollouts: usize = exposed.iter().map(|release| release.rollouts.len()).sum();
        Ok(preview(
            format!("end the membership of {}: they are refused from their next request on", person.name),
            vec![
                effect("keys are proposed to be taken off the list", keys as u64),
                effect("keys of root and targets are proposed to be taken away", held(&trust, &person.name)),
                effect(
                    "releases are sealed to their vault, and have to be sealed again",
                    exposed.len() as u64,
                ),
                effect("open rollouts of these have to be started anew", rollouts as u64),
            ],
            &(person.revoked_at, &exposed),
        ))
    }
}

impl Handle<FleetRemovePerson> for App {
    async fn handle(&self, request: Commit<RemovePerson>) -> Result<RemovedPerson, Error> {
        let now = Handle::<FleetRemovePersonPreview>::handle(self, request.request.clone()).await?;
        expect_same(&now, &request.token)?;
        let RemovePerson { spki, reason } = request.request;
        said(&reason)?;
        let person = self.person(spki).await?;
        let session = self.session().await?;
        // Access ends first, whatever becomes of the rest.
        if person.revoked_at.is_none() {
            session.client.tell(&path::revoke_person(spki), &()).await?;
        }
        let trust = self.newest_signed().await?;
        let exposed = self.exposed(&trust, &person.name).await?;
        let listed = trust.keys.entries().iter().any(|key| key.holder == person.name);
        let change = if listed || held(&trust, &person.name) > 0 {
            let edits = vec![Edit::RemovePerson { holder: person.name }];
            Some(self.draft_change(&DraftChange { edits, reason }).await?)
        } else {
            None
        };
        Ok(RemovedPerson { change, exposed })
    }
}

impl Handle<FleetJoin> for App {
    async fn handle(&self, request: FoundingFile) -> Result<FoundingStatus, Error> {
        let (membership, status) =
            match read_as(Path::new(&request.file), "a founding file or an invitation")? {
                Joining::Founding(founding) => (founding.membership(&self.card()?)?, founding.status()?),
                Joining::Invitation(invitation) => {
                    let status = self.check_invitation(&invitation.membership)?;
                    (invitation.membership, status)
                }
            };
        self.workspace().join(&membership)?;
        self.reconnect().await;
        Ok(status)
    }
}

impl App {
    async fn people(&self) -> Result<Vec<Person>, Error> {
        self.session().await?.client.get(path::PEOPLE).await
    }

    async fn person(&self, spki: SpkiDigest) -> Result<Person, Error> {
        self.people().await?.into_iter().find(|person| person.spki == spki).ok_or_else(|| {
            Error::new(ErrorCode::NotFound, "nobody of this fleet has that key")
                .hint("`fleetseal fleet people` lists everybody")
        })
    }

    /// A fresh certificate over the key of a card.
    fn certify(&self, card: &MemberCard, action: &str) -> Result<Base64, Error> {
        let membership = self.workspace().membership()?;
        let vault = self.unlocked()?;
        let now = self.now();
        let csr = IdentityCsr::parse(&card.identity)?;
        let ca = membership
            .issuing_cas
            .iter()
            .map(|der| CaCertificate::parse(der))
            .find(|ca| ca.as_ref().is_ok_and(|ca| matches!(ca.role(), CaRole::People { .. })))
            .ok_or_else(|| Error::new(ErrorCode::NotFound, "this workspace knows no CA for people"))??;
        let intent = vault.intent(action, card.holder.as_str(), "a member's certificate", now);
        let key = vault.ca_signer(vault.key(KeyRole::CaPeople)?.id, intent)?;
        let profile = PersonProfile { person: card.holder.clone(), not_after: now + CERTIFICATE_LIFE };
        let certificate = profile.issue(&csr, &Ca::new(&ca, &key)?, &mut SystemRandom, now)?;
        Ok(Base64(certificate.to_vec()))
    }

    /// Writes what somebody joins by.
    async fn invite(&self, holder: PersonName, certificate: Base64, file: &Path) -> Result<(), Error> {
        let mine = self.session().await?.membership.clone();
        let root = Base64(self.initial_root_file().await?);
        let membership = Membership { holder, certificate, root, ..mine };
        write_json(file, &Invitation { invitation: 1, membership })
    }

    /// An invitation must be for this vault and identity, hold together, and, where this workspace belongs to
    /// a fleet already, be of that fleet.
    fn check_invitation(&self, invited: &Membership) -> Result<FoundingStatus, Error> {
        let refused = |why: &str| {
            Error::new(ErrorCode::Untrusted, "this invitation is not what it should be")
                .detail(why.to_owned())
        };
        let card = self.card()?;
        if invited.holder != card.holder {
            return Err(refused("it is for somebody else"));
        }
        let der = |bytes: &Base64| CertificateDer::from(bytes.0.clone());
        let cas: Vec<_> = invited.issuing_cas.iter().map(der).collect();
        pki::verify_chain(
            &invited.certificate,
            &cas,
            &[der(&invited.ca_root)],
            Some(self.now()),
            pki::Usage::Person,
        )?;
        let certificate = pki::PersonCertificate::parse(&invited.certificate)?;
        let mine = IdentityCsr::parse(&card.identity)?.spki_digest();
        if certificate.certificate().spki_digest() != mine || *certificate.person() != card.holder {
            return Err(refused("the certificate in it is over another key than your identity's"));
        }
        let root: Signed<Root> = Signed::parse(&invited.root).map_err(untrusted)?;
        root.signed().verify(&root).map_err(untrusted)?;
        if let Ok(known) = self.workspace().membership() {
            let known_root: Signed<Root> = Signed::parse(&known.root).map_err(untrusted)?;
            let same = known.fleet == invited.fleet
                && known.ca_root == invited.ca_root
                && known_root.signing_bytes() == root.signing_bytes();
            if !same {
                return Err(refused("this workspace belongs to another fleet"));
            }
        }
        let keys = &root.signed().roles.root;
        let standing = root.signed().standing(&root);
        let signed_by = standing.signers.iter().filter_map(|key| root.signed().holder(key).cloned());
        Ok(FoundingStatus {
            fleet: invited.fleet,
            signed_by: signed_by.collect(),
            threshold: keys.threshold,
            complete: true,
            no_separation_of_duties: keys.threshold == 1,
            digest: sha256(&serde_json::to_vec(invited).expect("a structure of texts and numbers")),
        })
    }

    /// The published releases that are sealed to a KEM key of this person.
    pub(crate) async fn exposed(
        &self,
        trust: &Trust,
        holder: &PersonName,
    ) -> Result<Vec<ExposedRelease>, Error> {
        let kem: BTreeSet<KemKeyId> = trust
            .keys
            .entries()
            .iter()
            .filter(|key| key.role == Listed::Member && key.holder == *holder)
            .filter_map(|key| match &key.material {
                KeyMaterial::Recipient(public) => Some(public.id()),
                KeyMaterial::Signer(_) | KeyMaterial::Root { .. } => None,
            })
            .collect();
        let sealed_to = |release: &ReleaseDetail| {
            let Ok(target) = self.planned_target(trust, release, None, None) else { return false };
            target.record.recipients().any(|id| kem.contains(&id))
        };
        self.sealed_releases(sealed_to).await
    }

    /// The published releases of which something holds, with their open rollouts.
    pub(crate) async fn sealed_releases(
        &self,
        wanted: impl Fn(&ReleaseDetail) -> bool,
    ) -> Result<Vec<ExposedRelease>, Error> {
        let session = self.session().await?;
        let rollouts: Vec<RolloutRow> = self.all_pages(path::ROLLOUTS).await?;
        let open =
            |rollout: &&RolloutRow| matches!(rollout.state, RolloutState::Running | RolloutState::Paused);
        let mut found = Vec::new();
        for row in self.all_pages::<ReleaseRow>(path::RELEASES).await? {
            if row.state != ReleaseState::Published {
                continue;
            }
            let release: ReleaseDetail = session.client.get(&path::release(row.id)).await?;
            if wanted(&release) {
                let of_it = rollouts.iter().filter(open).filter(|rollout| rollout.release == row.id);
                let rollouts = of_it.map(|rollout| rollout.id).collect();
                found.push(ExposedRelease { release: row.id, version: row.version, rollouts });
            }
        }
        Ok(found)
    }

    /// All rows of a list that the backend hands out in pages.
    pub(crate) async fn all_pages<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Vec<T>, Error> {
        let session = self.session().await?;
        let mut rows = Vec::new();
        let mut cursor = Cursor::default();
        loop {
            let request = PageRequest { after: cursor.after(), limit: Some(500) };
            let page: Page<T> = session.client.query(path, &request).await?;
            rows.extend(page.rows);
            if !cursor.advance(page.next)? {
                return Ok(rows);
            }
        }
    }
}

/// The keys that somebody with these roles needs.
fn listed_for(roles: &[Role]) -> Vec<ListedFor> {
    let mut keys = BTreeSet::from([ListedFor::Audit]);
    for role in roles {
        match role {
            Role::Admin => {
                keys.extend([ListedFor::Ticket, ListedFor::Seal, ListedFor::Grant, ListedFor::Member]);
            }
            Role::ReleaseManager => keys.extend([ListedFor::Seal, ListedFor::Member]),
            Role::Operator => keys.extend([ListedFor::Ticket, ListedFor::Member]),
            Role::Technician => {
                keys.insert(ListedFor::Bench);
            }
            Role::Station | Role::Auditor => {}
        }
    }
    // A key that receives content keys is no bench's: a technician who is also an operator has the one.
    if keys.contains(&ListedFor::Member) {
        keys.remove(&ListedFor::Bench);
    }
    keys.into_iter().collect()
}

/// How many keys of root and targets somebody holds.
fn held(trust: &Trust, holder: &PersonName) -> u64 {
    let root = trust.state.root().signed();
    let roles = [&root.roles.root, &root.roles.targets];
    let keys = roles.iter().flat_map(|role| &role.keyids);
    keys.filter(|id| root.holder(id) == Some(holder)).count() as u64
}
