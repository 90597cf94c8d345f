//! The devices' commands, but for enrolment.

use model::DeviceId;
use protocol::{
    ErrorCode,
    operator::{self, DeviceDetail, DeviceRow, DeviceSort, DeviceState, Page, TimelineEntry, path},
};
use serde::Serialize;
use vault::KeyRole;

use crate::{
    App, Error,
    command::{
        DeviceClearCloned, DeviceClearClonedPreview, DeviceList, DeviceRetire, DeviceRetirePreview,
        DeviceRevoke, DeviceRevokePreview, DeviceShow, DeviceTimeline, Handle,
    },
    dto::{
        ClearCloned, DeviceName, DeviceTimelineRequest, Done, ExposedRelease, ListDevices, Preview,
        RevokeDevice, RevokedDevice,
    },
    pages::Cursor,
    release::{effect, expect_same, preview},
    workspace::replace,
};

/// The filter and the page in one query.
#[derive(Serialize)]
pub(crate) struct Query {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<DeviceState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engaged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<DeviceSort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    descending: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    limit: u32,
}

impl From<ListDevices> for Query {
    fn from(request: ListDevices) -> Self {
        Self {
            model: request.filter.model.map(|model| model.to_string()),
            state: request.filter.state,
            serial_prefix: request.filter.serial_prefix,
            version: request.filter.version.map(|version| version.to_string()),
            engaged: request.filter.engaged,
            sort: request.filter.sort,
            descending: request.filter.descending,
            limit: request.page.rows(),
            after: request.page.after,
        }
    }
}

impl Handle<DeviceList> for App {
    async fn handle(&self, request: ListDevices) -> Result<Page<DeviceRow>, Error> {
        self.session().await?.client.query(path::DEVICES, &Query::from(request)).await
    }
}

impl Handle<DeviceShow> for App {
    async fn handle(&self, request: DeviceName) -> Result<DeviceDetail, Error> {
        self.session().await?.client.get(&path::device(request.device)).await
    }
}

impl Handle<DeviceTimeline> for App {
    async fn handle(&self, request: DeviceTimelineRequest) -> Result<Page<TimelineEntry>, Error> {
        self.session().await?.client.query(&path::timeline(request.device), &request.page).await
    }
}

impl Handle<DeviceRevokePreview> for App {
    async fn handle(&self, request: DeviceName) -> Result<Preview, Error> {
        self.preview_end(request, DeviceState::Revoked).await
    }
}

impl Handle<DeviceRevoke> for App {
    async fn handle(&self, request: RevokeDevice) -> Result<RevokedDevice, Error> {
        self.end_membership(request, DeviceState::Revoked).await
    }
}

impl Handle<DeviceRetirePreview> for App {
    async fn handle(&self, request: DeviceName) -> Result<Preview, Error> {
        self.preview_end(request, DeviceState::Retired).await
    }
}

impl Handle<DeviceRetire> for App {
    async fn handle(&self, request: RevokeDevice) -> Result<RevokedDevice, Error> {
        self.end_membership(request, DeviceState::Retired).await
    }
}

impl App {
    async fn preview_end(&self, request: DeviceName, to: DeviceState) -> Result<Preview, Error> {
        let device = Handle::<DeviceShow>::handle(self, request).await?;
        let exposed = self.opened_by(&device).await?;
        let effects = vec![
            effect("certificate is revoked", 1),
            effect("open deployments are canceled", device.deployments.len() as u64),
            effect(
                "releases have a content key that it holds, and should be sealed again",
                exposed.len() as u64,
            ),
        ];
        let serial = &device.row.serial;
        let summary = if to == DeviceState::Retired {
            format!("retire {serial}: it is out of service and refused from its next request on, for good")
        } else {
            format!("revoke {serial}: it is refused from its next request on, for good")
        };
        // What it does meanwhile changes the counts; that must not hold a revocation up.
        Ok(Preview { effects, ..preview(summary, Vec::new(), &(device.row.state, device.spki)) })
    }
}

impl App {
    async fn end_membership(&self, request: RevokeDevice, to: DeviceState) -> Result<RevokedDevice, Error> {
        let device = request.device;
        let now = self.preview_end(DeviceName { device }, to).await?;
        expect_same(&now, &request.token)?;
        let vault = self.unlocked()?;
        let list = self.revocation_list(device, &vault).await?;
        let body = operator::RevokeDevice {
            state: to,
            reason: request.reason,
            revocation_list: Some(list.clone().into()),
        };
        self.session().await?.client.tell(&path::revoke_device(device), &body).await?;
        replace(&self.workspace().file("revoked.cbor"), &list)?;
        self.memory()?.forget(device)?;
        let detail = Handle::<DeviceShow>::handle(self, DeviceName { device }).await?;
        Ok(RevokedDevice { exposed: self.opened_by(&detail).await? })
    }
}

impl Handle<DeviceClearClonedPreview> for App {
    async fn handle(&self, request: DeviceName) -> Result<Preview, Error> {
        let device = Handle::<DeviceShow>::handle(self, request).await?;
        if device.row.state != DeviceState::Cloned {
            return Err(Error::new(ErrorCode::Conflict, "this device is not marked as cloned"));
        }
        Ok(preview(
            format!(
                "say that {} is one unit: it is served again from its next request on",
                device.row.serial
            ),
            vec![effect("clone mark is taken away", 1)],
            &(device.row.state, device.spki, device.row.last_seen_at),
        ))
    }
}

impl Handle<DeviceClearCloned> for App {
    async fn handle(&self, request: ClearCloned) -> Result<Done, Error> {
        let device = request.device;
        let now = Handle::<DeviceClearClonedPreview>::handle(self, DeviceName { device }).await?;
        expect_same(&now, &request.token)?;
        self.session().await?.client.tell(&path::clear_cloned(device), &()).await?;
        Ok(Done {})
    }
}

impl App {
    /// The published releases whose content key a ticket brought to this device, as the backend reports.
    async fn opened_by(&self, device: &DeviceDetail) -> Result<Vec<ExposedRelease>, Error> {
        self.sealed_releases(|release| device.opened.contains(&release.row.id)).await
    }

    /// The next signed list of revoked keys: all that are refused already, and this device's.
    async fn revocation_list(&self, device: DeviceId, vault: &vault::Vault) -> Result<Vec<u8>, Error> {
        let session = self.session().await?;
        let now = self.now();
        let detail: DeviceDetail = session.client.get(&path::device(device)).await?;
        let certificate = session.verify_device(&detail.row.certificate)?;
        if certificate.device_id() != device {
            return Err(Error::new(ErrorCode::Untrusted, "the backend shows another device's certificate"));
        }
        let mut keys = std::collections::BTreeSet::from([certificate.spki_digest()]);
        for state in [DeviceState::Revoked, DeviceState::Retired, DeviceState::Replaced] {
            let mut request = ListDevices::default();
            request.filter.state = Some(state);
            let mut cursor = Cursor::default();
            loop {
                request.page.after = cursor.after();
                let page: Page<DeviceRow> =
                    session.client.query(path::DEVICES, &Query::from(request.clone())).await?;
                for row in page.rows {
                    keys.insert(session.verify_device(&row.certificate)?.spki_digest());
                }
                if !cursor.advance(page.next)? {
                    break;
                }
            }
        }
        let list = envelope::RevocationList {
            fleet: session.membership.fleet,
            number: now.as_secs(),
            issued_at: now,
            not_after: now + model::Seconds::days(90),
            keys,
            stations: Vec::new(),
        };
        let intent =
            vault.intent("device.revoke", &device.to_string(), "the signed list of revoked keys", now);
        Ok(list.sign(&vault.signer(vault.key(KeyRole::Grant)?.id, intent)?)?)
    }
}
