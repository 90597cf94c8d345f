//! Other hardware, or other keys, under a serial number that the fleet knows.

use model::TokenId;
use protocol::{
    ErrorCode,
    operator::{DeviceDetail, DeviceState, NewToken},
};

use crate::{
    App, Error,
    command::{DeviceReplace, DeviceReplacePreview, DeviceShow, Handle},
    dto::{DeviceName, EnrolmentTokenText, Preview, ReplaceDevice},
    enrolment::check_life,
    release::{effect, expect_same, preview},
};

impl Handle<DeviceReplacePreview> for App {
    async fn handle(&self, request: DeviceName) -> Result<Preview, Error> {
        let device: DeviceDetail = Handle::<DeviceShow>::handle(self, request).await?;
        let row = &device.row;
        if row.state == DeviceState::Replaced {
            return Err(Error::new(ErrorCode::Conflict, "another record goes by this serial number already"));
        }
        let effects = vec![
            effect("one-time token is made, for a unit with this serial number and new keys", 1),
            effect("record is refused for good, as soon as that unit joins", 1),
            effect("open deployments are canceled then", device.deployments.len() as u64),
        ];
        let summary = format!("let a unit with new keys take the place of {}", row.serial);
        // What it does meanwhile changes the counts; that must not hold a replacement up.
        Ok(Preview { effects, ..preview(summary, Vec::new(), &(row.state, device.spki)) })
    }
}

impl Handle<DeviceReplace> for App {
    async fn handle(&self, request: ReplaceDevice) -> Result<EnrolmentTokenText, Error> {
        let name = DeviceName { device: request.device };
        expect_same(&Handle::<DeviceReplacePreview>::handle(self, name).await?, &request.token)?;
        check_life(request.life)?;
        let session = self.session().await?;
        let old = Handle::<DeviceShow>::handle(self, name).await?;
        // What the token stands for is taken from the certificate that we issued, as far as it says so.
        let certificate = session.verify_device(&old.row.certificate)?;
        if certificate.device_id() != request.device || *certificate.serial() != old.row.serial {
            return Err(Error::new(ErrorCode::Untrusted, "the backend shows another device's certificate"));
        }
        self.announce(&NewToken {
            token: TokenId::random(&mut envelope::SystemRandom),
            serial: old.row.serial,
            model: old.row.model,
            hardware_revision: old.row.hardware_revision,
            station: old.station,
            expires_at: self.now() + request.life,
            replaces: Some(request.device),
        })
        .await
    }
}
