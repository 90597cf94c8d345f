use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use model::{Digest, FleetId, UnixTime};

use super::Error;
use crate::{PublicKey, Signer, Verified, sha256};

/// Which log: the origin of its checkpoints, and the name of the key that signs them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LogName(String);

/// Who signs a log's checkpoints, or cosigns another's: name and Ed25519 key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogKey {
    name: LogName,
    key: PublicKey,
}

/// How long a log is, and what it says (C2SP `tlog-checkpoint`, without extension lines).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The log.
    pub origin: LogName,
    /// How many entries it has.
    pub size: u64,
    /// The Merkle tree hash (RFC 6962, 2.1) of them all.
    pub root: Digest,
}

/// A checkpoint with signatures below it (C2SP `signed-note`): the log's own, and those of its witnesses.
/// Nothing is verified yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    lines: Vec<Line>,
}

/// A witness's signature (C2SP `tlog-cosignature`, `cosignature/v1`): at that time, this was the longest
/// head of the log that it had seen, and it followed on all that it had seen before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cosignature(Line);

/// One signature line: `— name base64(key id, signature)`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    name: LogName,
    key: [u8; 4],
    signature: Vec<u8>,
}

/// What a signature type is called in a key's id.
const ED25519: u8 = 1;
const COSIGNATURE_V1: u8 = 4;
/// A checkpoint with more signatures is not read.
const MOST_LINES: usize = 64;

impl LogName {
    /// The log of a fleet's backend.
    pub fn backend(fleet: FleetId) -> Self {
        Self(format!("fleetseal/backend/{fleet}"))
    }

    /// The log of the vault with this id that begins with the entry of this leaf hash: a vault that was brought
    /// back from a backup elsewhere begins another one.
    pub fn vault(id: &[u8; 16], first: Digest) -> Self {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Self(format!("fleetseal/vault/{}.{}", hex(id), hex(&first.as_bytes()[..8])))
    }

    /// The name as it stands in checkpoints.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let fits = (1..=255).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
        if fits { Ok(Self(text.to_owned())) } else { Err(Error::Name) }
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LogKey {
    /// The key of the log of this name.
    ///
    /// # Errors
    /// It is no Ed25519 key.
    pub fn new(name: LogName, key: PublicKey) -> Result<Self, Error> {
        match key {
            PublicKey::Ed25519(_) => Ok(Self { name, key }),
            PublicKey::P256(_) => Err(Error::Key),
        }
    }

    /// Its name.
    pub const fn name(&self) -> &LogName {
        &self.name
    }

    /// The key itself.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key as `signed-note` verifiers take it: `name+id+base64(type, key)`.
    pub fn verifier_key(&self) -> String {
        let id: String = self.id(ED25519).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = BASE64.encode([&[ED25519], self.key.as_bytes()].concat());
        format!("{}+{id}+{key}", self.name)
    }

    /// The first four bytes of SHA-256 over name, newline, signature type and key.
    fn id(&self, kind: u8) -> [u8; 4] {
        let digest = sha256(&[self.name.0.as_bytes(), b"\n", &[kind], self.key.as_bytes()].concat());
        let (head, _) = digest.as_bytes().split_at(4);
        head.try_into().expect("split at four bytes")
    }
}

impl Checkpoint {
    /// The text that is signed.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.as_bytes()))
    }

    /// Signs it with the log's own key.
    ///
    /// # Errors
    /// The key is no Ed25519 key, or did not sign.
    pub fn sign(self, signer: &dyn Signer) -> Result<SignedCheckpoint, Error> {
        let log = LogKey::new(self.origin.clone(), signer.public_key())?;
        let signature = signer.sign(self.body().as_bytes())?.to_vec();
        let line = Line { key: log.id(ED25519), name: log.name, signature };
        Ok(SignedCheckpoint { checkpoint: self, lines: vec![line] })
    }

    fn parse(body: &str) -> Result<Self, Error> {
        let wrong = |reason| Error::Encoding { reason };
        let mut lines = body.strip_suffix('\n').ok_or(wrong("the text does not end"))?.split('\n');
        let mut line = || lines.next().ok_or(wrong("a line is missing"));
        let (origin, size, root) = (line()?.parse()?, line()?, line()?);
        if line().is_ok() {
            return Err(wrong("there are lines too many"));
        }
        let root = BASE64.decode(root).ok().and_then(|bytes| bytes.try_into().ok()).map(Digest::new);
        let read = Self {
            origin,
            size: size.parse().map_err(|_| wrong("the size is no number"))?,
            root: root.ok_or(wrong("the root is no hash"))?,
        };
        if read.body() == body { Ok(read) } else { Err(wrong("not in the one form")) }
    }
}

impl SignedCheckpoint {
    /// What it says, unverified.
    pub const fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// What it says, signed by the log's key.
    ///
    /// # Errors
    /// [`Error::Origin`], [`Error::Unsigned`], [`Error::Signature`].
    pub fn verify(&self, log: &LogKey) -> Result<Verified<Checkpoint>, Error> {
        if self.checkpoint.origin != log.name {
            return Err(Error::Origin { expected: log.name.clone(), found: self.checkpoint.origin.clone() });
        }
        let refused = || Error::Signature { name: log.name.clone() };
        let signature = self.signature(log, ED25519)?.try_into().map_err(|_| refused())?;
        log.key.verify(self.checkpoint.body().as_bytes(), signature).map_err(|_| refused())?;
        Ok(Verified::new(self.checkpoint.clone()))
    }

    /// Cosigns it as the witness of this name, which has checked that it follows on what it saw before.
    ///
    /// # Errors
    /// [`Error::OwnWitness`]; the key is no Ed25519 key, or did not sign.
    pub fn cosign(&self, witness: LogName, signer: &dyn Signer, at: UnixTime) -> Result<Cosignature, Error> {
        let witness = LogKey::new(witness, signer.public_key())?;
        self.refuse_own(&witness)?;
        let signature = signer.sign(&self.cosigned_bytes(at))?;
        let signature = [&at.as_secs().to_be_bytes()[..], &signature].concat();
        Ok(Cosignature(Line { key: witness.id(COSIGNATURE_V1), name: witness.name, signature }))
    }

    /// With a cosignature more; another one of the same witness goes.
    #[must_use]
    pub fn with(mut self, cosignature: Cosignature) -> Self {
        let new = cosignature.0;
        self.lines.retain(|line| (&line.name, line.key) != (&new.name, new.key));
        self.lines.push(new);
        self
    }

    /// When the witness cosigned it.
    ///
    /// # Errors
    /// [`Error::OwnWitness`], [`Error::Unsigned`], [`Error::Signature`].
    pub fn cosigned_at(&self, witness: &LogKey) -> Result<UnixTime, Error> {
        self.refuse_own(witness)?;
        let refused = || Error::Signature { name: witness.name.clone() };
        let line = self.signature(witness, COSIGNATURE_V1)?;
        let (at, signature) = line.split_first_chunk::<8>().ok_or_else(refused)?;
        let at = UnixTime::from_secs(u64::from_be_bytes(*at));
        let signature = signature.try_into().map_err(|_| refused())?;
        witness.key.verify(&self.cosigned_bytes(at), signature).map_err(|_| refused())?;
        Ok(at)
    }

    /// Whose signatures stand below it, unverified.
    pub fn names(&self) -> impl Iterator<Item = &LogName> {
        self.lines.iter().map(|line| &line.name)
    }

    /// The cosignature of this witness alone, to be handed over. Unverified.
    pub fn cosignature(&self, witness: &LogKey) -> Option<Cosignature> {
        let id = witness.id(COSIGNATURE_V1);
        self.lines.iter().find(|line| line.name == witness.name && line.key == id).cloned().map(Cosignature)
    }

    /// `cosignature/v1`, newline, `time`, the instant, newline, and the checkpoint.
    fn cosigned_bytes(&self, at: UnixTime) -> Vec<u8> {
        format!("cosignature/v1\ntime {}\n{}", at.as_secs(), self.checkpoint.body()).into_bytes()
    }

    /// Nobody is a witness of themselves: neither under the log's name nor with a key that signed it.
    fn refuse_own(&self, witness: &LogKey) -> Result<(), Error> {
        let origin = &self.checkpoint.origin;
        let as_log = LogKey { name: origin.clone(), key: witness.key };
        let signed = self.lines.iter().any(|line| line.name == *origin && line.key == as_log.id(ED25519));
        if witness.name == *origin || signed {
            return Err(Error::OwnWitness { name: origin.clone() });
        }
        Ok(())
    }

    fn signature(&self, key: &LogKey, kind: u8) -> Result<&[u8], Error> {
        let id = key.id(kind);
        let line = self.lines.iter().find(|line| line.name == key.name && line.key == id);
        line.map(|line| &line.signature[..]).ok_or_else(|| Error::Unsigned { name: key.name.clone() })
    }
}

impl FromStr for SignedCheckpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |reason| Error::Encoding { reason };
        let (body, lines) = text.split_once("\n\n").ok_or(wrong("no signatures stand below it"))?;
        let checkpoint = Checkpoint::parse(&format!("{body}\n"))?;
        let lines = lines.strip_suffix('\n').ok_or(wrong("the last signature does not end"))?;
        let lines: Vec<Line> =
            lines.split('\n').take(MOST_LINES + 1).map(str::parse).collect::<Result<_, _>>()?;
        if lines.len() > MOST_LINES {
            return Err(wrong("too many signatures stand below it"));
        }
        Ok(Self { checkpoint, lines })
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.checkpoint.body())?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Cosignature {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Cosignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Line {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Encoding { reason: "a signature line cannot be read" };
        let (name, encoded) =
            text.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or_else(wrong)?;
        let bytes = BASE64.decode(encoded).map_err(|_| wrong())?;
        let (key, signature) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
        Ok(Self { name: name.parse()?, key: *key, signature: signature.to_vec() })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "— {} {}", self.name, BASE64.encode([&self.key[..], &self.signature].concat()))
    }
}
