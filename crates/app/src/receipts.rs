//! Receipts of visits on their way home: on the disk until the backend has them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use envelope::sha256;
use model::{Digest, UnixTime};
use protocol::{
    ErrorCode,
    operator::{HandInReceipt, path},
};

use crate::{
    App, Error,
    command::{BenchReceipts, BenchSync, Handle},
    dto::{Nothing, ReceiptQueue, ReceiptState},
    workspace::{make_folder, replace},
};

impl Handle<BenchReceipts> for App {
    async fn handle(&self, _: Nothing) -> Result<ReceiptQueue, Error> {
        let waiting = u32::try_from(self.queued()?.len()).unwrap_or(u32::MAX);
        Ok(ReceiptQueue { handed_in: 0, waiting })
    }
}

impl Handle<BenchSync> for App {
    async fn handle(&self, _: Nothing) -> Result<ReceiptQueue, Error> {
        self.hand_in_receipts().await
    }
}

impl App {
    fn queued(&self) -> Result<Vec<PathBuf>, Error> {
        let folder = self.workspace().file("bench").join("receipts");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::file("read", &folder, &source)),
        };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "cbor"));
        files.sort();
        Ok(files)
    }

    /// Brings every receipt home. One that the backend will never take is put aside, so that it does not
    /// hold up the others.
    pub(crate) async fn hand_in_receipts(&self) -> Result<ReceiptQueue, Error> {
        let mut queue = ReceiptQueue::default();
        let session = self.session().await?;
        for file in self.queued()? {
            let receipt = fs::read(&file).map_err(|source| Error::file("read", &file, &source))?;
            let body = HandInReceipt { receipt: receipt.into() };
            match session.client.tell(path::RECEIPTS, &body).await {
                Ok(()) => {
                    fs::remove_file(&file).map_err(|source| Error::file("remove", &file, &source))?;
                    queue.handed_in += 1;
                }
                Err(error) if error.code() == ErrorCode::InvalidObject => {
                    tracing::warn!(file = %file.display(), %error, "the backend refused a receipt");
                    let aside = file.with_extension("refused");
                    fs::rename(&file, &aside).map_err(|source| Error::file("rename", &file, &source))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(queue)
    }
}

/// Keeps a signed receipt below the bench's `folder` until it is home.
pub(crate) fn queue(folder: &Path, signed: &[u8], ended_at: UnixTime) -> Result<(), Error> {
    let file = file(folder, &sha256(signed), ended_at);
    make_folder(&folder.join("receipts"))?;
    replace(&file, signed)
}

/// Where the receipt of this name is by now.
pub(crate) fn whereabouts(folder: &Path, id: &Digest, ended_at: UnixTime) -> ReceiptState {
    let file = file(folder, id, ended_at);
    if file.exists() {
        ReceiptState::Queued
    } else if file.with_extension("refused").exists() {
        ReceiptState::Refused
    } else {
        ReceiptState::HandedIn
    }
}

fn file(folder: &Path, id: &Digest, ended_at: UnixTime) -> PathBuf {
    folder.join("receipts").join(format!("{}-{id}.cbor", ended_at.as_secs()))
}
