//! Files that a full disk, a crash or a pulled cable never damages.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::{Error, file::MAX_BYTES};

/// The file operations of a save, so that a test can make any of them fail.
pub(crate) trait Files: Send + Sync {
    /// The whole of a small file.
    fn read(&self, path: &Path, trust: Trust) -> Result<Vec<u8>, Error>;
    /// Writes a file that must not exist, readable by its owner alone.
    fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), Error>;
    /// Brings a file's bytes to the disk.
    fn sync(&self, path: &Path) -> Result<(), Error>;
    /// Gives a file a second name; nothing happens if the name is taken.
    fn link(&self, from: &Path, to: &Path) -> Result<(), Error>;
    /// Puts a file in the place of another in one step.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error>;
    /// Removes a file, if it is there.
    fn remove(&self, path: &Path) -> Result<(), Error>;
    /// Brings a folder's names to the disk.
    fn sync_folder(&self, path: &Path) -> Result<(), Error>;
}

/// Who may have touched a file that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Its owner alone: anything else is refused.
    Private,
    /// Anyone, such as on a removable disk: its MAC speaks for it.
    Foreign,
}

/// The computer's file system.
pub(crate) struct Disk;

/// A save that failed.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Whether the new file may stand in the old one's place all the same.
    pub(crate) published: bool,
}

/// Puts `bytes` in the place of `path`: writes beside it, syncs, reads back and has `check` open what it
/// read, keeps the old file under the name `keep`, renames, syncs the folder.
pub(crate) fn replace(
    files: &dyn Files,
    path: &Path,
    bytes: &[u8],
    keep: Option<&Path>,
    check: impl FnOnce(&[u8]) -> Result<(), Error>,
) -> Result<(), Failure> {
    let beside = path.with_extension("new");
    let prepare = || {
        files.remove(&beside)?;
        files.create(&beside, bytes)?;
        files.sync(&beside)?;
        check(&files.read(&beside, Trust::Private)?)?;
        keep.map_or(Ok(()), |keep| files.link(path, keep))
    };
    prepare().map_err(|error| {
        if let Err(left) = files.remove(&beside) {
            tracing::debug!(error = %left, "left a half-written file behind");
        }
        Failure { error, published: false }
    })?;
    files
        .rename(&beside, path)
        .and_then(|()| files.sync_folder(path.parent().unwrap_or(Path::new("."))))
        .map_err(|error| Failure { error, published: true })
}

/// Refuses a file or folder that others can read or write, that is another's or a link.
pub(crate) fn check_private(path: &Path, found: &fs::Metadata) -> Result<(), Error> {
    let mine = found.uid() == rustix::process::geteuid().as_raw();
    if !mine || found.mode() & 0o077 != 0 || found.is_symlink() {
        return Err(Error::Exposed { path: path.to_owned() });
    }
    Ok(())
}

/// Makes a folder for its owner alone, or takes an existing one that is.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("create", path)(error)),
        Ok(()) | Err(_) => check_folder(path),
    }
}

/// Refuses a folder that is not its owner's alone.
pub(crate) fn check_folder(path: &Path) -> Result<(), Error> {
    let found = fs::symlink_metadata(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            Error::Missing { path: path.to_owned() }
        } else {
            failed("read", path)(error)
        }
    })?;
    check_private(path, &found)
}

/// Keeps every other writer out until the file is dropped.
pub(crate) fn lock_folder(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let file = options().write(true).create(true).open(&path).map_err(failed("lock", &path))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            Error::InUse { path: folder.to_owned() }
        } else {
            failed("lock", &path)(error.into())
        }
    })?;
    Ok(file)
}

/// Options for a file of the owner's alone: never through a link.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed());
    options
}

/// Names what was done to which path.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

impl Files for Disk {
    fn read(&self, path: &Path, trust: Trust) -> Result<Vec<u8>, Error> {
        let file = match trust {
            Trust::Private => options().read(true).open(path),
            Trust::Foreign => File::open(path),
        };
        let file = file.map_err(|error| match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
                Error::Exposed { path: path.to_owned() }
            }
            _ => failed("read", path)(error),
        })?;
        let found = file.metadata().map_err(failed("read", path))?;
        if trust == Trust::Private {
            check_private(path, &found)?;
        }
        let damaged = |reason| Err(Error::Damaged { path: path.to_owned(), reason });
        if !found.is_file() {
            return damaged("no regular file");
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
        if bytes.len() > MAX_BYTES {
            return damaged("longer than any key file");
        }
        Ok(bytes)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let mut file = options().write(true).create_new(true).open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                Error::Exists { path: path.to_owned() }
            } else {
                failed("create", path)(error)
            }
        })?;
        file.write_all(bytes).map_err(failed("write", path))
    }

    fn sync(&self, path: &Path) -> Result<(), Error> {
        File::open(path).and_then(|file| file.sync_all()).map_err(failed("sync", path))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), Error> {
        match fs::hard_link(from, to) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("link", to)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        fs::rename(from, to).map_err(failed("replace", to))
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn sync_folder(&self, path: &Path) -> Result<(), Error> {
        self.sync(path)
    }
}

/// Where the vault in `folder` keeps what.
pub(crate) fn key_file(folder: &Path) -> PathBuf {
    folder.join("keys.cbor")
}

/// The name under which the key file of this generation is kept once there is a newer one.
pub(crate) fn kept(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("keys.cbor.{generation}"))
}

/// The generations that are kept beside the key file, newest first.
pub(crate) fn generations(folder: &Path) -> Result<Vec<u64>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let name = entry.map_err(failed("list", folder))?.file_name();
        found.extend(name.to_str().and_then(|name| name.strip_prefix("keys.cbor.")?.parse::<u64>().ok()));
    }
    found.sort_unstable_by(|one, two| two.cmp(one));
    Ok(found)
}
