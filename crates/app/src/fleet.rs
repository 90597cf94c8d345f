//! The fleet's commands: its state, its people, its alarms.

use envelope::SystemRandom;
use model::Seconds;
use pki::{Ca, CaCertificate, CaRole, IdentityCsr, PersonProfile};
use protocol::{
    Base64, ErrorCode,
    operator::{AlarmRow, FleetSummary, Page, PageRequest, Person, PutPerson, SnapshotRequest, path},
};
use vault::KeyRole;

use crate::{
    App, Error,
    command::{
        FleetAddPerson, FleetAlarms, FleetConfirmJump, FleetPeople, FleetRemovePerson, FleetShow, Handle,
    },
    dto::{AddPerson, Done, Nothing, RemovePerson},
};

impl Handle<FleetShow> for App {
    async fn handle(&self, _: Nothing) -> Result<FleetSummary, Error> {
        self.summary().await
    }
}

impl Handle<FleetPeople> for App {
    async fn handle(&self, _: Nothing) -> Result<Page<Person>, Error> {
        let rows = self.session().await?.client.get(path::PEOPLE).await?;
        Ok(Page { rows, next: None })
    }
}

impl Handle<FleetAddPerson> for App {
    async fn handle(&self, request: AddPerson) -> Result<Person, Error> {
        let session = self.session().await?;
        let vault = self.unlocked()?;
        let now = self.now();
        let csr = IdentityCsr::parse(&request.card.identity)?;
        let ca = session
            .membership
            .issuing_cas
            .iter()
            .map(|der| CaCertificate::parse(der))
            .find(|ca| ca.as_ref().is_ok_and(|ca| matches!(ca.role(), CaRole::People { .. })))
            .ok_or_else(|| Error::new(ErrorCode::NotFound, "this workspace knows no CA for people"))??;
        let name = request.card.holder;
        let intent = vault.intent("fleet.add_person", name.as_str(), "a member's certificate", now);
        let key = vault.ca_signer(vault.key(KeyRole::CaPeople)?.id, intent)?;
        let profile = PersonProfile { person: name.clone(), not_after: now + Seconds::days(2 * 365) };
        let certificate = profile.issue(&csr, &Ca::new(&ca, &key)?, &mut SystemRandom, now)?;
        let person = PutPerson { certificate: Base64(certificate.to_vec()), name, roles: request.roles };
        session.client.put(path::PEOPLE, &person).await
    }
}

impl Handle<FleetRemovePerson> for App {
    async fn handle(&self, request: RemovePerson) -> Result<Done, Error> {
        self.session().await?.client.tell(&path::revoke_person(request.spki), &()).await?;
        Ok(Done {})
    }
}

impl Handle<FleetConfirmJump> for App {
    async fn handle(&self, _: Nothing) -> Result<Done, Error> {
        let confirmed = SnapshotRequest { confirm_jump: true };
        self.session().await?.client.tell(path::SNAPSHOT, &confirmed).await?;
        Ok(Done {})
    }
}

impl Handle<FleetAlarms> for App {
    async fn handle(&self, request: PageRequest) -> Result<Page<AlarmRow>, Error> {
        self.session().await?.client.query(path::ALARMS, &request).await
    }
}
