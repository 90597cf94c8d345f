//! Changes of a disk that are there as a whole after a power cut, or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, symlink},
    path::Path,
};

/// A file that is being written beside the one that it replaces.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    dir: &'a Path,
    name: &'a str,
    file: Option<File>,
}

impl<'a> Draft<'a> {
    /// Begins a file `name` in `dir` with these permissions.
    pub(crate) fn new(dir: &'a Path, name: &'a str, mode: u32) -> io::Result<Self> {
        let mut draft = Self { dir, name, file: None };
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(draft.beside())?;
        // An older draft keeps its mode, and the umask takes bits away.
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(mode))?;
        draft.file = Some(file);
        Ok(draft)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().expect("open until kept").write_all(bytes)
    }

    /// Puts the file in its place, durably.
    pub(crate) fn keep(mut self) -> io::Result<()> {
        let file = self.file.take().expect("open until kept");
        let kept = file.sync_all().and_then(|()| fs::rename(self.beside(), self.dir.join(self.name)));
        drop(file);
        if let Err(error) = kept {
            fs::remove_file(self.beside()).ok();
            return Err(error);
        }
        sync_dir(self.dir)
    }

    fn beside(&self) -> std::path::PathBuf {
        self.dir.join(format!("{}.new", self.name))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Best effort: the next draft of this name overwrites what is left.
            fs::remove_file(self.beside()).ok();
        }
    }
}

/// Replaces the file `name` in `dir`.
pub(crate) fn replace(dir: &Path, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let mut draft = Draft::new(dir, name, mode)?;
    draft.write(content)?;
    draft.keep()
}

/// Removes the file `name` in `dir`; that it is not there is no error.
pub(crate) fn remove(dir: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(dir.join(name)) {
        Ok(()) => sync_dir(dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads a file; nothing where there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Points the symbolic link `name` in `dir` to `target`, in one step.
pub(crate) fn point(dir: &Path, name: &str, target: &str) -> io::Result<()> {
    let beside = dir.join(format!("{name}.new"));
    remove(dir, &format!("{name}.new"))?;
    symlink(target, &beside)?;
    fs::rename(&beside, dir.join(name))?;
    sync_dir(dir)
}

/// Whether it failed for want of room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes what was renamed, made or removed in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
