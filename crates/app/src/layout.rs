//! Bundles on the network: laid out with the backend by whoever signs tickets, fetched by the bench at which
//! the device is plugged in. From then on they are bundles as any other.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use envelope::{bundle::Bundle, sha256};
use model::DeviceId;
use protocol::{
    ErrorCode,
    operator::{LaidOutBundle, LayOutBundle, path},
};

use crate::{
    App, Error,
    bundle::{part_of, refused},
    command::{BenchLayOut, DeviceList, Handle},
    dto::{BundleFile, Done, ListDevices, UpdateDevice},
    job::step,
};

impl Handle<BenchLayOut> for App {
    async fn handle(&self, request: BundleFile) -> Result<Done, Error> {
        let session = self.session().await?;
        let file = Path::new(&request.file);
        let (bundle, opened) = self.open_bundle(file, &session)?;
        let unread = |source: std::io::Error| Error::file("read", file, &source);
        let mut head = Vec::new();
        fs::File::open(file)
            .map_err(unread)?
            .take(bundle.payloads_at)
            .read_to_end(&mut head)
            .map_err(unread)?;
        let devices = opened.devices.iter().map(|entry| entry.label.device).collect();
        session.client.tell(path::BUNDLES, &LayOutBundle { bundle: head.into(), devices }).await?;
        Ok(Done {})
    }
}

impl App {
    /// The bundle for a device on the table: the newest that the backend has, if it is within reach, or one that
    /// is kept.
    pub(crate) async fn bundle_for(&self, device: &UpdateDevice) -> Result<String, Error> {
        let serial = match &device.serial {
            Some(serial) => serial.to_string(),
            None => self.recognize(device.line.clone()).await?.inventory.hardware_id.ok_or_else(|| {
                Error::new(ErrorCode::InvalidRequest, "the device does not say who it is")
                    .hint("name it with --serial, as its label says")
            })?,
        };
        match self.fetch_for(&serial).await {
            Ok(_) => {}
            Err(error) if error.code() == ErrorCode::NetworkUnreachable => {}
            Err(error) => return Err(error),
        }
        let offer = self.offer(&serial, None).await.ok_or_else(|| {
            Error::new(ErrorCode::DeviceUnrecognized, format!("there is no bundle for {serial}"))
                .hint("an operator lays one out: `fleetseal bench lay-out`")
        })?;
        Ok(offer.bundle)
    }

    /// Keeps the bundle that was laid out last for this device, if there is one.
    pub(crate) async fn fetch_for(&self, serial: &str) -> Result<Option<PathBuf>, Error> {
        let Some(device) = self.device_called(serial).await? else { return Ok(None) };
        let session = self.session().await?;
        let laid_out: LaidOutBundle = match session.client.get(&path::device_bundle(device)).await {
            Ok(laid_out) => laid_out,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let head = laid_out.bundle.0;
        let folder = self.bundles()?;
        let name = sha256(&head).to_string();
        let kept = folder.join(format!("online-{}.fsb", &name[..12]));
        if kept.exists() {
            return Ok(Some(kept));
        }
        let unwritten = |source: std::io::Error| Error::file("write", &kept, &source);
        let cut_off = || Error::new(ErrorCode::InvalidObject, "the backend shows no whole bundle");
        let (start, rest) = head.split_first_chunk::<{ Bundle::HEAD }>().ok_or_else(cut_off)?;
        let length = Bundle::index_length(start).map_err(refused)?;
        let index = Bundle::peek(rest.get(..length).ok_or_else(cut_off)?).map_err(refused)?;
        let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(unwritten)?;
        file.write_all(&head).map_err(unwritten)?;
        for payload in index.payloads() {
            let mut done = 0;
            while done < payload.length {
                step("ciphertext", done, payload.length)?;
                let part = part_of(&session, payload.sha256, done..payload.length).await?;
                file.write_all(&part).map_err(unwritten)?;
                done += part.len() as u64;
            }
        }
        file.as_file().sync_all().map_err(unwritten)?;
        // What does not verify is not kept.
        self.open_bundle(file.path(), &session)?;
        file.persist(&kept).map_err(|error| unwritten(error.error))?;
        Ok(Some(kept))
    }

    async fn device_called(&self, serial: &str) -> Result<Option<DeviceId>, Error> {
        let mut list = ListDevices::default();
        list.filter.serial_prefix = Some(serial.to_owned());
        let page = self.run::<DeviceList>(list).await?;
        Ok(page.rows.into_iter().find(|row| row.serial.as_str() == serial).map(|row| row.id))
    }
}
