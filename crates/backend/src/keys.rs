//! The backend's own keys: made here, kept in `keys/`, never handed out.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use envelope::{Ed25519Key, P256Key, PublicKey, Signer, SystemRandom};
use protocol::{Base64, operator::BackendIdentity};
use zeroize::Zeroizing;

use crate::Error;

/// The online keys. None of them signs a release or a ticket, and none opens an artifact.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) snapshot: Ed25519Key,
    pub(crate) timestamp: Ed25519Key,
    pub(crate) link: Ed25519Key,
    pub(crate) audit: Ed25519Key,
    pub(crate) tls: P256Key,
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
        Ok(Self {
            snapshot: ed25519(SNAPSHOT)?,
            timestamp: ed25519(TIMESTAMP)?,
            link: ed25519(LINK)?,
            audit: ed25519(AUDIT)?,
            tls,
        })
    }

    /// The public halves.
    pub(crate) fn identity(&self, origin: &str) -> Result<BackendIdentity, Error> {
        let csr = pki::request::build_identity(&CertificateKey(&self.tls)).map_err(pki::Error::from)?;
        let public = |key: &Ed25519Key| Base64(key.public_key().as_bytes().to_vec());
        Ok(BackendIdentity {
            origin: origin.to_owned(),
            csr: Base64(csr),
            snapshot: public(&self.snapshot),
            timestamp: public(&self.timestamp),
            link: public(&self.link),
            audit: public(&self.audit),
        })
    }
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

/// Writes beside and renames, so that a crash leaves a whole key or none.
fn save(path: &Path, secret: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
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
