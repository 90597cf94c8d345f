//! The backend's own keys: made here, kept in `keys/`, never handed out.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use envelope::{
    Ed25519Key, P256Key, PublicKey, Signer, SystemRandom,
    tuf::{KeyId, Role, Root},
};
use protocol::{Base64, operator::BackendIdentity};
use zeroize::Zeroizing;

use crate::{Error, trust::Trust};

/// The online keys. None of them signs a release or a ticket, and none opens an artifact.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) snapshot: Online,
    pub(crate) timestamp: Online,
    pub(crate) link: Online,
    pub(crate) audit: Ed25519Key,
    pub(crate) tls: P256Key,
}

/// A key that can be replaced, and the one that takes its place as soon as the fleet's metadata names it.
#[derive(Debug)]
pub(crate) struct Online {
    present: Ed25519Key,
    next: Option<Ed25519Key>,
}

impl Keys {
    /// Makes the keys that are not there yet.
    pub(crate) fn init(data_dir: &Path) -> Result<Self, Error> {
        let folder = data_dir.join("keys");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(Error::file(&folder))?;
        let mut make = |name: &str| -> Result<(), Error> {
            let path = folder.join(name);
            if path.exists() {
                return Ok(());
            }
            let secret = if name == TLS {
                P256Key::generate()?.to_pkcs8()?
            } else {
                Zeroizing::new(Ed25519Key::generate(&mut SystemRandom).seed().to_vec())
            };
            save(&path, &secret).map_err(Error::file(path))
        };
        ALL.into_iter().try_for_each(&mut make)?;
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(Error::file(&folder))?;
        Self::load(data_dir)
    }

    /// Reads the keys.
    pub(crate) fn load(data_dir: &Path) -> Result<Self, Error> {
        let folder = data_dir.join("keys");
        let ed25519 = |name: &str| {
            let path = folder.join(name);
            let bytes = read(&path)?;
            let seed = bytes.as_slice().try_into().map_err(|_| Error::KeyFile { path })?;
            Ok::<_, Error>(Ed25519Key::from_seed(seed))
        };
        let path = folder.join(TLS);
        let tls = P256Key::from_pkcs8(&read(&path)?).map_err(|_| Error::KeyFile { path })?;
        let online = |name: &str| {
            let next = next(name);
            let next = if folder.join(&next).exists() { Some(ed25519(&next)?) } else { None };
            Ok::<_, Error>(Online { present: ed25519(name)?, next })
        };
        Ok(Self {
            snapshot: online(SNAPSHOT)?,
            timestamp: online(TIMESTAMP)?,
            link: online(LINK)?,
            audit: ed25519(AUDIT)?,
            tls,
        })
    }

    /// Makes the keys that take the place of those for snapshot, timestamp and links. Until the fleet's
    /// metadata names them nothing changes; asked again before that, they stay the same.
    pub(crate) fn renew(data_dir: &Path) -> Result<Self, Error> {
        let folder = data_dir.join("keys");
        for name in REPLACEABLE {
            let path = folder.join(next(name));
            if !path.exists() {
                let seed = Ed25519Key::generate(&mut SystemRandom).seed();
                save(&path, &*seed).map_err(Error::file(path))?;
            }
        }
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(Error::file(&folder))?;
        Self::load(data_dir)
    }

    /// Forgets the keys whose successors are `in_force`.
    pub(crate) fn settle(self, data_dir: &Path, in_force: &Trust) -> Result<Self, Error> {
        let folder = data_dir.join("keys");
        let root = in_force.state.root().signed();
        let settled = [
            (SNAPSHOT, self.snapshot.succeeded(|key| lists(root, Role::Snapshot, key))),
            (TIMESTAMP, self.timestamp.succeeded(|key| lists(root, Role::Timestamp, key))),
            (LINK, self.link.succeeded(|key| in_force.lists_link(key))),
        ];
        for (name, _) in settled.into_iter().filter(|(_, succeeded)| *succeeded) {
            let path = folder.join(name);
            fs::rename(folder.join(next(name)), &path).map_err(Error::file(path))?;
        }
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(Error::file(&folder))?;
        Self::load(data_dir)
    }

    /// The public halves.
    pub(crate) fn identity(&self, origin: &str) -> Result<BackendIdentity, Error> {
        let csr = pki::request::build_identity(&CertificateKey(&self.tls)).map_err(pki::Error::from)?;
        let public = |key: &Ed25519Key| Base64(key.public_key().as_bytes().to_vec());
        Ok(BackendIdentity {
            origin: origin.to_owned(),
            csr: Base64(csr),
            snapshot: public(self.snapshot.newest()),
            timestamp: public(self.timestamp.newest()),
            link: public(self.link.newest()),
            audit: public(&self.audit),
        })
    }
}

impl Online {
    /// The key to sign with under this root: the next one once it is named.
    pub(crate) fn listed(&self, root: &Root, role: Role) -> &Ed25519Key {
        self.chosen(|key| lists(root, role, key))
    }

    /// The next key if it is `trusted`, or else the present one.
    pub(crate) fn chosen(&self, trusted: impl Fn(&Ed25519Key) -> bool) -> &Ed25519Key {
        self.next.as_ref().filter(|key| trusted(key)).unwrap_or(&self.present)
    }

    /// The present key and, where there is one, the next.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Ed25519Key> {
        std::iter::once(&self.present).chain(&self.next)
    }

    /// Whether the next key is trusted: from then on it signs, and the present one never again, even where
    /// what it signed still counts for a while.
    fn succeeded(&self, trusted: impl FnOnce(&Ed25519Key) -> bool) -> bool {
        self.next.as_ref().is_some_and(trusted)
    }

    fn newest(&self) -> &Ed25519Key {
        self.next.as_ref().unwrap_or(&self.present)
    }
}

fn lists(root: &Root, role: Role, key: &Ed25519Key) -> bool {
    match key.public_key() {
        PublicKey::Ed25519(public) => root.role(role).keyids.contains(&KeyId::of(&public)),
        PublicKey::P256(_) => false,
    }
}

/// The file of a key that is to take another's place.
fn next(name: &str) -> String {
    format!("{name}.next")
}

/// The TLS key as certificate requests are signed with it.
struct CertificateKey<'a>(&'a P256Key);

impl pki::P256Signer for CertificateKey<'_> {
    fn public_key_sec1(&self) -> [u8; 65] {
        match self.0.public_key() {
            PublicKey::P256(point) => point,
            PublicKey::Ed25519(_) => unreachable!("a P-256 key has a P-256 public half"),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], pki::SignError> {
        self.0.sign(message).map_err(|error| pki::SignError::Failed { reason: error.to_string() })
    }
}

const SNAPSHOT: &str = "snapshot";
const TIMESTAMP: &str = "timestamp";
const LINK: &str = "link";
const AUDIT: &str = "audit";
const TLS: &str = "tls";
const ALL: [&str; 5] = [SNAPSHOT, TIMESTAMP, LINK, AUDIT, TLS];
const REPLACEABLE: [&str; 3] = [SNAPSHOT, TIMESTAMP, LINK];

/// Writes beside and renames, so that a crash leaves a whole key or none.
fn save(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(secret)?;
    file.sync_all()?;
    fs::rename(beside, path)
}

fn read(path: &PathBuf) -> Result<Zeroizing<Vec<u8>>, Error> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Err(Error::NotInitialised),
        Err(source) => return Err(Error::File { path: path.clone(), source }),
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(Error::KeyFile { path: path.clone() });
    }
    fs::read(path).map(Zeroizing::new).map_err(Error::file(path))
}
