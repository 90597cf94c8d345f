//! The folder itself, with blocking calls.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use model::{Digest, JobId, UnixTime};

use super::{Blob, map};
use crate::{Error, Result, digest::Hasher};

/// Files held open at most.
const OPEN_MOST: usize = 256;

#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    quota: Option<u64>,
    used: AtomicU64,
    open: Mutex<HashMap<Digest, Blob>>,
    /// Uploads that somebody is working on.
    busy: Mutex<HashSet<JobId>>,
    /// Sets temporary names apart.
    serial: AtomicU64,
}

/// Where uploads and files without a name yet are.
const UPLOADS: &str = "uploads";

impl Files {
    pub(super) fn open(root: PathBuf, quota: Option<u64>) -> Result<Self> {
        let uploads = root.join(UPLOADS);
        fs::create_dir_all(&uploads).map_err(at(&uploads))?;
        let mut used = 0;
        for folder in list(&root)?.into_iter().filter(|path| path.is_dir()) {
            for path in list(&folder)? {
                if path.extension().is_some_and(|extension| extension == "tmp") {
                    fs::remove_file(&path).map_err(at(&path))?;
                } else {
                    used += fs::metadata(&path).map_err(at(&path))?.len();
                }
            }
        }
        Ok(Self {
            root,
            quota,
            used: AtomicU64::new(used),
            open: Mutex::default(),
            busy: Mutex::default(),
            serial: AtomicU64::new(0),
        })
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = crate::digest::sha256(bytes);
        let path = self.path(&digest);
        if path.exists() {
            return Ok(digest);
        }
        self.take(bytes.len() as u64)?;
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let temporary = self.root.join(UPLOADS).join(format!("{serial}.tmp"));
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(at(&temporary))
            .and_then(|()| self.settle(&temporary, &path));
        if written.is_err() {
            self.give_back(bytes.len() as u64);
            // What could not be written may not be there.
            drop(fs::remove_file(&temporary));
        }
        written.map(|()| digest)
    }

    /// The file, if it is mapped already.
    pub(super) fn open_map(&self, digest: &Digest) -> Option<Blob> {
        lock(&self.open).get(digest).cloned()
    }

    pub(super) fn get(&self, digest: &Digest) -> Result<Option<Blob>> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        let blob = Blob(map::map(&file).map_err(at(&path))?);
        let mut open = lock(&self.open);
        if open.len() >= OPEN_MOST {
            open.clear();
        }
        open.insert(*digest, blob.clone());
        Ok(Some(blob))
    }

    pub(super) fn remove(&self, digest: &Digest) -> Result<bool> {
        let path = self.path(digest);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(at(&path)(error)),
        };
        fs::remove_file(&path).map_err(at(&path))?;
        lock(&self.open).remove(digest);
        self.give_back(length);
        Ok(true)
    }

    pub(super) fn upload_offset(&self, upload: JobId) -> Result<u64> {
        let path = self.part(upload);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(at(&path)(error)),
        }
    }

    pub(super) fn append(&self, upload: JobId, offset: u64, bytes: &[u8]) -> Result<u64> {
        let _busy = self.work_on(upload)?;
        let path = self.part(upload);
        let there = self.upload_offset(upload)?;
        if there != offset {
            return Err(Error::WrongOffset { offset: there });
        }
        self.take(bytes.len() as u64)?;
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(at(&path))?;
        if let Err(error) = file.write_all(bytes) {
            self.give_back(bytes.len() as u64);
            file.set_len(offset).map_err(at(&path))?;
            return Err(at(&path)(error));
        }
        Ok(offset + bytes.len() as u64)
    }

    pub(super) fn finish(&self, upload: JobId, digest: &Digest) -> Result<u64> {
        let _busy = self.work_on(upload)?;
        let part = self.part(upload);
        let file = match File::open(&part) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::NotFound { what: "upload" });
            }
            Err(error) => return Err(at(&part)(error)),
        };
        let (length, found) = hash(file).map_err(at(&part))?;
        let path = self.path(digest);
        if found != *digest {
            self.drop_part(&part, length)?;
            return Err(Error::WrongDigest);
        }
        if path.exists() {
            self.drop_part(&part, length)?;
        } else {
            self.settle(&part, &path)?;
        }
        Ok(length)
    }

    pub(super) fn abandon(&self, upload: JobId) -> Result<()> {
        let _busy = self.work_on(upload)?;
        let part = self.part(upload);
        match fs::metadata(&part) {
            Ok(metadata) => self.drop_part(&part, metadata.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at(&part)(error)),
        }
    }

    pub(super) fn abandon_before(&self, before: UnixTime) -> Result<usize> {
        let before = UNIX_EPOCH + Duration::from_secs(before.as_secs());
        let mut dropped = 0;
        for part in list(&self.root.join(UPLOADS))? {
            let name = part.file_stem().and_then(|name| name.to_str());
            let Some(upload) = name.and_then(|name| name.parse::<JobId>().ok()) else {
                continue;
            };
            let changed = fs::metadata(&part).and_then(|metadata| metadata.modified()).map_err(at(&part))?;
            if changed < before {
                self.abandon(upload)?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        let (folder, rest) = name.split_at(2);
        self.root.join(folder).join(rest)
    }

    fn part(&self, upload: JobId) -> PathBuf {
        self.root.join(UPLOADS).join(format!("{upload}.part"))
    }

    /// Gives a complete file its name: synced before, immutable from then on, durable after.
    fn settle(&self, from: &Path, to: &Path) -> Result<()> {
        let file = File::open(from).map_err(at(from))?;
        file.sync_all().map_err(at(from))?;
        let mut permissions = file.metadata().map_err(at(from))?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(from, permissions).map_err(at(from))?;
        let folder = to.parent().unwrap_or(&self.root);
        if !folder.exists() {
            fs::create_dir_all(folder).map_err(at(folder))?;
            sync(&self.root)?;
        }
        fs::rename(from, to).map_err(at(to))?;
        sync(folder)
    }

    fn drop_part(&self, part: &Path, length: u64) -> Result<()> {
        fs::remove_file(part).map_err(at(part))?;
        self.give_back(length);
        Ok(())
    }

    fn take(&self, bytes: u64) -> Result<()> {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let after = used.checked_add(bytes)?;
                self.quota.is_none_or(|quota| after <= quota).then_some(after)
            })
            .map_err(|_| Error::Full)?;
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn work_on(&self, upload: JobId) -> Result<Working<'_>> {
        if lock(&self.busy).insert(upload) { Ok(Working { files: self, upload }) } else { Err(Error::Busy) }
    }
}

/// Somebody works on an upload, until this is dropped.
struct Working<'a> {
    files: &'a Files,
    upload: JobId,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        lock(&self.files.busy).remove(&self.upload);
    }
}

fn hash(mut file: File) -> io::Result<(u64, Digest)> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((length, hasher.finish()));
        }
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(at(folder))).collect()
}

fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| {
        if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            Error::Full
        } else {
            Error::Io { path, source }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
