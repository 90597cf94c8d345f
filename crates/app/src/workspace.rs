//! A workspace: the folder with a person's vault, their operator identity and what they know of the
//! fleet that they joined.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use envelope::P256Key;
use model::{FleetId, PersonName, StationName};
use protocol::{Base64, ErrorCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::Error;

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    dir: PathBuf,
}

/// What a member knows of the fleet. Public halves only; it is believed because it lies in the
/// member's own folder since they signed or joined the founding.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) format: u32,
    pub(crate) fleet: FleetId,
    pub(crate) holder: PersonName,
    /// The fleet's first station.
    pub(crate) station: StationName,
    /// The backend's address: `https://host:port`.
    pub(crate) origin: String,
    /// The X.509 root, DER.
    pub(crate) ca_root: Base64,
    /// The issuing CAs, DER.
    pub(crate) issuing_cas: Vec<Base64>,
    /// The member's own certificate, DER.
    pub(crate) certificate: Base64,
    /// The TUF root metadata that trust began with.
    pub(crate) root: Base64,
}

impl Workspace {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn vault_dir(&self) -> PathBuf {
        self.dir.join("vault")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes the folder, closed to everybody else.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|source| Error::file("make the folder", &self.dir, &source))
    }

    /// The operator identity's key. It lies outside the vault, so that a locked vault can still watch.
    pub(crate) fn identity(&self) -> Result<P256Key, Error> {
        let path = self.file("identity.p8");
        let der = zeroize::Zeroizing::new(
            fs::read(&path).map_err(|source| Error::file("read your identity", &path, &source))?,
        );
        Ok(P256Key::from_pkcs8(&der)?)
    }

    /// The identity's key, made now if there is none.
    pub(crate) fn identity_or_new(&self) -> Result<P256Key, Error> {
        let path = self.file("identity.p8");
        if !path.exists() {
            let key = P256Key::generate()?;
            write_private(&path, &key.to_pkcs8()?)?;
        }
        self.identity()
    }

    pub(crate) fn membership(&self) -> Result<Membership, Error> {
        let path = self.file("membership.json");
        if !path.exists() {
            return Err(Error::new(ErrorCode::PreconditionFailed, "this workspace belongs to no fleet")
                .detail(format!("there is no `{}`", path.display()))
                .hint("found one with `fleetseal fleet found`, or join one with `fleetseal fleet join`"));
        }
        read_json(&path)
    }

    /// Takes the membership in; a workspace never changes its fleet.
    pub(crate) fn join(&self, membership: &Membership) -> Result<(), Error> {
        if self.file("membership.json").exists() && self.membership()?.fleet != membership.fleet {
            return Err(Error::new(ErrorCode::Conflict, "this workspace belongs to another fleet")
                .detail(format!(
                    "it is {}, and the file is of {}",
                    self.membership()?.fleet,
                    membership.fleet
                ))
                .hint("join from a workspace of its own: `fleetseal --workspace FOLDER fleet join FILE`"));
        }
        let bytes = serde_json::to_vec_pretty(membership)
            .map_err(|source| Error::internal("the membership could not be written", source))?;
        replace(&self.file("membership.json"), &bytes)
    }
}

/// The workspace that is used when none is named.
///
/// # Errors
/// There is no home folder.
pub fn default_workspace() -> Result<PathBuf, Error> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_DATA_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("fleetseal"))
        .ok_or_else(|| {
            Error::new(ErrorCode::PreconditionFailed, "there is no home folder for a workspace")
                .hint("name one with --workspace")
        })
}

/// Reads a JSON file of one's own.
///
/// # Errors
/// It cannot be read, or is not what it should be.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    read_as(path, "what it should be")
}

/// Reads a JSON file that somebody handed over: `what` says what it should be, such as "a member's card".
///
/// # Errors
/// It cannot be read, or is something else.
pub fn read_as<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Error> {
    serde_json::from_slice(&read_bytes(path)?).map_err(|source| {
        let why = if source.is_data() { "it is JSON that says something else" } else { "it is no JSON" };
        Error::new(ErrorCode::InvalidRequest, format!("`{}` is not {what}", path.display()))
            .detail(format!("{why}, at line {}, column {}", source.line(), source.column()))
            .hint("name another file, or have this one handed over anew")
    })
}

/// Reads a file that somebody handed over.
///
/// # Errors
/// It cannot be read.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::file("read", path, &source))
}

/// Reads a file that somebody handed over as text.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::file("read", path, &source))
}

/// Writes a JSON file to hand over.
///
/// # Errors
/// It cannot be written.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let bytes =
        serde_json::to_vec_pretty(value).map_err(|source| Error::internal("failed to write JSON", source))?;
    replace(path, &bytes)
}

/// Writes a new file that only its owner can read.
///
/// # Errors
/// It exists already or cannot be written.
pub fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    write_private(path, text.as_bytes())
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source: std::io::Error| Error::file("write", path, &source);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

/// A folder that is there from now on, made for its owner alone.
pub(crate) fn make_folder(path: &Path) -> Result<PathBuf, Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error::file("make the folder", path, &source))?;
    Ok(path.to_owned())
}

/// Puts `bytes` in the place of a file: all of it or nothing, also when the power fails.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source: std::io::Error| Error::file("write", path, &source);
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
