//! Bundles that are kept on this computer, and what they have for the devices on the table.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use model::{DeviceId, Serial, Version};
use protocol::ErrorCode;
use vault::KeyRole;

use crate::{
    App, Error,
    bundle::summary,
    command::{BenchBundles, BenchDrop, BenchKeep, Handle},
    dto::{BenchOffer, BundleFile, BundleLibrary, BundleRow, BundleSummary, Done, Nothing},
    workspace::make_folder,
};

/// What kept bundles are called.
const EXTENSION: &str = "fsb";

/// What was read of kept bundles, by file: as long as the file is the same, it is not read again.
#[derive(Debug, Default)]
pub(crate) struct Library(Mutex<HashMap<PathBuf, (SystemTime, Kept)>>);

/// A bundle that was opened.
#[derive(Clone, Debug)]
struct Kept {
    summary: BundleSummary,
    certificates: Vec<(Serial, DeviceId, Vec<u8>)>,
}

impl Handle<BenchBundles> for App {
    async fn handle(&self, _: Nothing) -> Result<BundleLibrary, Error> {
        let folder = self.bundles()?;
        let mut rows = Vec::new();
        for file in self.bundle_files()? {
            rows.push(self.bundle_row(&file).await?);
        }
        let room = rustix::fs::statvfs(&folder)
            .map_err(|source| Error::file("look at the folder", &folder, &source.into()))?;
        Ok(BundleLibrary { rows, free_bytes: room.f_bavail.saturating_mul(room.f_frsize) })
    }
}

impl Handle<BenchKeep> for App {
    async fn handle(&self, request: BundleFile) -> Result<BundleRow, Error> {
        let file = Path::new(&request.file);
        let session = self.session().await?;
        // What does not verify is not kept.
        self.open_bundle(file, &session)?;
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("bundle");
        let kept = self.bundles()?.join(format!("{stem}.{EXTENSION}"));
        if file.canonicalize().ok() != kept.canonicalize().ok() {
            let beside = kept.with_extension("new");
            let copied = fs::copy(file, &beside)
                .and_then(|_| fs::File::open(&beside)?.sync_all())
                .and_then(|()| fs::rename(&beside, &kept));
            copied.map_err(|source| Error::file("copy the bundle to", &kept, &source))?;
        }
        self.bundle_row(&kept).await
    }
}

impl Handle<BenchDrop> for App {
    async fn handle(&self, request: BundleFile) -> Result<Done, Error> {
        let kept = self.bundle_files()?.into_iter().find(|file| file.as_os_str() == request.file.as_str());
        let kept = kept.ok_or_else(|| Error::new(ErrorCode::NotFound, "no such bundle is kept"))?;
        fs::remove_file(&kept).map_err(|source| Error::file("remove", &kept, &source))?;
        Ok(Done {})
    }
}

impl App {
    /// What kept bundles have for this device: the newest that this bench opens before what it does not, and
    /// what counts still before what has lapsed.
    pub(crate) async fn offer(&self, serial: &str, runs: Option<&Version>) -> Option<BenchOffer> {
        let own = self.vault().ok().and_then(|vault| Some(vault.key(KeyRole::Kem).ok()?.kem_key()?.id()));
        let mut offers = Vec::new();
        for file in self.bundle_files().ok()? {
            let Ok(kept) = self.kept(&file).await else { continue };
            for ticket in kept.summary.devices {
                if ticket.serial.as_str() == serial {
                    offers.push(BenchOffer {
                        bundle: file.display().to_string(),
                        name: name(&file),
                        ours: ticket.deputy.is_some() && ticket.deputy == own,
                        up_to_date: runs.is_some_and(|runs| *runs >= ticket.version),
                        ticket,
                    });
                }
            }
        }
        let now = self.now();
        offers.into_iter().max_by(|a, b| {
            let key = |offer: &BenchOffer| (offer.ours, offer.ticket.not_after > now);
            key(a).cmp(&key(b)).then_with(|| a.ticket.version.cmp(&b.ticket.version))
        })
    }

    /// The certificate of the device with this number, verified by the fleet's CAs, from a kept bundle.
    pub(crate) async fn kept_certificate(&self, serial: &str) -> Option<Vec<u8>> {
        for file in self.bundle_files().ok()? {
            let Ok(kept) = self.kept(&file).await else { continue };
            let found = kept.certificates.into_iter().find(|(other, ..)| other.as_str() == serial);
            if let Some((.., certificate)) = found {
                return Some(certificate);
            }
        }
        None
    }

    /// The folder of kept bundles.
    pub(crate) fn bundles(&self) -> Result<PathBuf, Error> {
        make_folder(&self.workspace().file("bench").join("bundles"))
    }

    fn bundle_files(&self) -> Result<Vec<PathBuf>, Error> {
        let folder = self.bundles()?;
        let entries = fs::read_dir(&folder).map_err(|source| Error::file("read", &folder, &source))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == EXTENSION));
        files.sort();
        Ok(files)
    }

    async fn bundle_row(&self, file: &Path) -> Result<BundleRow, Error> {
        let found = fs::metadata(file).map_err(|source| Error::file("read", file, &source))?;
        let (summary, error) = match self.kept(file).await {
            Ok(kept) => (Some(kept.summary), None),
            Err(error) => (None, Some(error.body().clone())),
        };
        Ok(BundleRow {
            name: name(file),
            file: file.display().to_string(),
            bytes: found.len(),
            summary,
            error,
        })
    }

    async fn kept(&self, file: &Path) -> Result<Kept, Error> {
        let changed = fs::metadata(file).and_then(|found| found.modified());
        let changed = changed.map_err(|source| Error::file("read", file, &source))?;
        let known = self.library.read().get(file).filter(|(then, _)| *then == changed).cloned();
        if let Some((_, kept)) = known {
            return Ok(kept);
        }
        let session = self.session().await?;
        let (bundle, opened) = self.open_bundle(file, &session)?;
        let summary = summary(&bundle, &opened, &session)?;
        let mut certificates = Vec::with_capacity(opened.devices.len());
        for entry in opened.devices {
            let certificate = session.verify_device(&entry.certificate)?;
            certificates.push((certificate.serial().clone(), certificate.device_id(), entry.certificate));
        }
        let kept = Kept { summary, certificates };
        self.library.read().insert(file.to_owned(), (changed, kept.clone()));
        Ok(kept)
    }
}

impl Library {
    fn read(&self) -> MutexGuard<'_, HashMap<PathBuf, (SystemTime, Kept)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
