use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use rustix::fs::FlockOperation;

use crate::{Blob, Storage, disk};

const STAGING: &str = "staging";

/// Storage in a folder (0700) of files (0600), for one process at a time.
#[derive(Debug)]
pub struct DirStorage {
    path: PathBuf,
    dir: File,
    staging: Option<File>,
    held: bool,
}

impl DirStorage {
    /// Opens the folder, and makes it if it is not there.
    ///
    /// # Errors
    /// It cannot be made or opened, or another process has it open ([`io::ErrorKind::WouldBlock`]).
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let dir = File::open(&path)?;
        rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
        // Tightened, should somebody have made it before us.
        rustix::fs::fchmod(&dir, rustix::fs::Mode::RWXU)?;
        let mut storage = Self { path, dir, staging: None, held: true };
        storage.staging = match OpenOptions::new().read(true).append(true).open(storage.file(STAGING)) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(storage)
    }

    /// Opens the folder for a look while another process may have it open; nothing can be changed.
    ///
    /// # Errors
    /// It is not there, or not readable for this user.
    pub fn view(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let dir = File::open(&path)?;
        Ok(Self { path, dir, staging: None, held: false })
    }

    /// Refuses to change what another process holds.
    fn held(&self) -> io::Result<()> {
        if self.held { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Storage for DirStorage {
    fn read(&self, blob: Blob) -> io::Result<Option<Vec<u8>>> {
        disk::read(&self.file(blob.name()))
    }

    fn write(&mut self, blob: Blob, content: &[u8]) -> io::Result<()> {
        self.held()?;
        disk::replace(&self.path, blob.name(), content, 0o600)
    }

    fn remove(&mut self, blob: Blob) -> io::Result<()> {
        self.held()?;
        disk::remove(&self.path, blob.name())
    }

    fn staged_bytes(&self) -> io::Result<u64> {
        self.staging.as_ref().map_or(Ok(0), |file| Ok(file.metadata()?.len()))
    }

    fn read_staged(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.staging {
            Some(file) => file.read_exact_at(buffer, offset),
            None if buffer.is_empty() => Ok(()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn stage(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held()?;
        if self.staging.is_none() {
            let path = self.file(STAGING);
            let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
            self.dir.sync_all()?;
            self.staging = Some(file);
        }
        self.staging.as_mut().expect("opened above").write_all(bytes)
    }

    fn sync_staged(&mut self) -> io::Result<()> {
        self.staging.as_ref().map_or(Ok(()), File::sync_data)
    }

    fn cut_staged(&mut self, length: u64) -> io::Result<()> {
        if length > 0 {
            return self.staging.as_ref().map_or(Ok(()), |file| {
                file.set_len(length)?;
                file.sync_data()
            });
        }
        if self.staging.take().is_some() {
            fs::remove_file(self.file(STAGING))?;
            self.dir.sync_all()?;
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, path::Path};

    use super::*;
    use crate::storage::Copy;

    #[test]
    fn blobs_and_staged_bytes_are_there_again_after_a_restart() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        let mut storage = DirStorage::open(&path).unwrap();
        storage.write(Blob::KemKey, b"one").unwrap();
        storage.write(Blob::KemKey, b"two").unwrap();
        storage.stage(b"hello ").unwrap();
        storage.stage(b"world").unwrap();
        storage.sync_staged().unwrap();
        assert_eq!(DirStorage::open(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut view = DirStorage::view(&path).unwrap();
        assert_eq!(view.read(Blob::KemKey).unwrap().unwrap(), b"two");
        assert!(view.write(Blob::KemKey, b"three").is_err() && view.remove(Blob::KemKey).is_err());
        drop(storage);

        let mut storage = DirStorage::open(&path).unwrap();
        assert_eq!(storage.read(Blob::KemKey).unwrap().unwrap(), b"two");
        assert_eq!(storage.read(Blob::State(Copy::First)).unwrap(), None);
        assert_eq!(storage.staged_bytes().unwrap(), 11);
        let mut buffer = [0; 5];
        storage.read_staged(6, &mut buffer).unwrap();
        assert_eq!(&buffer, b"world");
        assert!(storage.read_staged(7, &mut buffer).is_err());
        storage.cut_staged(5).unwrap();
        storage.stage(b"!").unwrap();
        assert_eq!(storage.staged_bytes().unwrap(), 6);
        storage.cut_staged(0).unwrap();
        assert_eq!(storage.staged_bytes().unwrap(), 0);
        assert!(!path.join(STAGING).exists());
        storage.remove(Blob::KemKey).unwrap();
        storage.remove(Blob::KemKey).unwrap();
        assert_eq!(storage.read(Blob::KemKey).unwrap(), None);
        assert!(storage.free_bytes().unwrap() > 0);
    }

    #[test]
    fn nobody_else_may_read_the_keys() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        let mut storage = DirStorage::open(&path).unwrap();
        storage.write(Blob::IdentityKey, b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("identity.key")), 0o600);
        assert!(!path.join("identity.key.new").exists());
    }
}
