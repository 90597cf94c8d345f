//! The fleet's commands: its state, its keys, its alarms, its backend's certificate.

use envelope::{KeyRole as Listed, SystemRandom, trust::Models};
use model::UnixTime;
use pki::{Ca, CaCertificate, CaRole, IdentityCsr, ServerCertificate};
use protocol::{
    Base64, ErrorCode,
    operator::{
        AlarmRow, BackendIdentity, FleetSummary, Page, PageRequest, PutCertificate, SnapshotRequest, path,
    },
};
use vault::KeyRole;

use crate::{
    App, Error,
    command::{
        FleetAcknowledgeAlarm, FleetAlarms, FleetConfirmJump, FleetKeys, FleetRenewServer, FleetShow, Handle,
    },
    dto::{self, AlarmNumber, Done, Nothing, TrustedKeyRow},
    founding::server_profile,
};

impl Handle<FleetShow> for App {
    async fn handle(&self, _: Nothing) -> Result<FleetSummary, Error> {
        self.summary().await
    }
}

impl Handle<FleetKeys> for App {
    async fn handle(&self, _: Nothing) -> Result<dto::FleetKeys, Error> {
        let trust = self.newest_signed().await?;
        let root = trust.state.root().signed();
        let mut keys = Vec::new();
        for (role, of) in [("root", &root.roles.root), ("targets", &root.roles.targets)] {
            keys.extend(of.keyids.iter().map(|id| TrustedKeyRow {
                id: id.as_str().to_owned(),
                role: role.to_owned(),
                holder: root.holder(id).map_or_else(String::new, ToString::to_string),
                models: Vec::new(),
                not_after: None,
            }));
        }
        keys.extend(trust.keys.entries().iter().map(|key| TrustedKeyRow {
            id: key.id().to_string(),
            role: if key.role == Listed::Root {
                "x509_root".to_owned()
            } else {
                key.role.as_str().to_owned()
            },
            holder: key.holder.to_string(),
            models: match &key.scope.models {
                Models::All => Vec::new(),
                Models::Only(models) => models.iter().cloned().collect(),
            },
            not_after: Some(key.scope.not_after).filter(|until| *until != UnixTime::MAX),
        }));
        Ok(dto::FleetKeys {
            keys,
            root_threshold: root.roles.root.threshold,
            targets_threshold: root.roles.targets.threshold,
        })
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

impl Handle<FleetAcknowledgeAlarm> for App {
    async fn handle(&self, request: AlarmNumber) -> Result<Done, Error> {
        self.session().await?.client.tell(&path::acknowledge(request.number), &()).await?;
        Ok(Done {})
    }
}

impl Handle<FleetRenewServer> for App {
    async fn handle(&self, _: Nothing) -> Result<Done, Error> {
        let session = self.session().await?;
        let vault = self.unlocked()?;
        let now = self.now();
        let backend: BackendIdentity = session.client.get(path::BACKEND).await?;
        let membership = &session.membership;
        // The address that this workspace reaches it by, not the one that it would like to have.
        let profile = server_profile(&membership.origin, now)?;
        let ca = membership
            .issuing_cas
            .iter()
            .map(|der| CaCertificate::parse(der))
            .find(|ca| ca.as_ref().is_ok_and(|ca| matches!(ca.role(), CaRole::Servers)))
            .ok_or_else(|| Error::new(ErrorCode::NotFound, "this workspace knows no CA for servers"))??;
        let csr = IdentityCsr::parse(&backend.csr)?;
        let subject = csr.spki_digest().to_string();
        let intent = vault.intent("fleet.renew_server", &subject, "the backend's certificate", now);
        let key = vault.ca_signer(vault.key(KeyRole::CaServers)?.id, intent)?;
        let certificate = profile.issue(&csr, &Ca::new(&ca, &key)?, &mut SystemRandom, now)?;
        ServerCertificate::parse(&certificate)?;
        let put = PutCertificate { certificate: Base64(certificate.to_vec()) };
        session.client.give(path::SERVER_CERTIFICATE, &put).await?;
        Ok(Done {})
    }
}
