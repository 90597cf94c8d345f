//! What one entry of the audit log says, and how it stands there.

use minicbor::{Decoder, Encoder};
use model::{Digest, PersonName, UnixTime};

use crate::{
    Error, KeyId,
    file::{Malformed, Written, field, fixed, instant},
};

const TYP: &str = "fleetseal-audit/1";
const LONGEST_TEXT: usize = 1024;

/// Who does what to what, when and why: written down before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The person, usually the vault's holder.
    pub actor: PersonName,
    /// What is done, such as `release.sign`; 1 to 1,024 bytes.
    pub action: String,
    /// To what, such as a release's id; at most 1,024 bytes.
    pub subject: String,
    /// Why, in the person's words; at most 1,024 bytes, may be empty.
    pub reason: String,
    /// When.
    pub at: UnixTime,
}

/// One entry of the audit log: deterministic CBOR
/// `{1: "fleetseal-audit/1", 2: seq, 3: previous b32, 4: at, 5: actor, 6: action, 7: subject, 8: reason,
/// 9: generation, 10: key id b8, 11: digest b32, 12: count}`, the last three with signatures only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place, from 1, without gaps.
    pub seq: u64,
    /// Leaf hash of the entry before; all zero for the first.
    pub previous: Digest,
    /// What was meant to be done.
    pub intent: Intent,
    /// The vault's generation then.
    pub generation: u64,
    /// What was signed.
    pub signed: Option<Signed>,
}

/// What an audit entry says of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// The key.
    pub key: KeyId,
    /// The Merkle tree hash (RFC 6962, 2.1) of the messages in their order; of a single message, its
    /// leaf hash.
    pub root: Digest,
    /// How many messages.
    pub count: u64,
}

impl Intent {
    pub(super) fn check(&self) -> Result<(), Error> {
        let texts = [&self.action, &self.subject, &self.reason];
        if self.action.is_empty() || texts.iter().any(|text| text.len() > LONGEST_TEXT) {
            return Err(Error::AuditText);
        }
        Ok(())
    }
}

impl AuditEntry {
    /// The bytes of the entry: a leaf of the log's tree.
    pub fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new(Vec::with_capacity(256));
        self.write(&mut e).expect("a vector takes every byte");
        e.into_writer()
    }

    /// Reads an entry back from its bytes.
    ///
    /// # Errors
    /// They are none, or not in the one encoding.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::decode(bytes).map_err(|_| Error::AuditText)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let entry = Self::read(&mut Decoder::new(bytes))?;
        if entry.encode() != bytes { Err(Malformed("not deterministic CBOR")) } else { Ok(entry) }
    }

    fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        let Intent { actor, action, subject, reason, at } = &self.intent;
        e.map(if self.signed.is_some() { 12 } else { 9 })?;
        e.u8(1)?.str(TYP)?;
        e.u8(2)?.u64(self.seq)?;
        e.u8(3)?.bytes(self.previous.as_bytes())?;
        e.u8(4)?.u64(at.as_secs())?;
        e.u8(5)?.str(actor.as_str())?;
        e.u8(6)?.str(action)?;
        e.u8(7)?.str(subject)?;
        e.u8(8)?.str(reason)?;
        e.u8(9)?.u64(self.generation)?;
        if let Some(Signed { key, root, count }) = &self.signed {
            e.u8(10)?.bytes(key.as_bytes())?;
            e.u8(11)?.bytes(root.as_bytes())?;
            e.u8(12)?.u64(*count)?;
        }
        Ok(())
    }

    fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let fields = d.map()?;
        field(d, 1)?;
        if d.str()? != TYP {
            return Err(Malformed("another format or version"));
        }
        field(d, 2)?;
        let seq = d.u64()?;
        field(d, 3)?;
        let previous = Digest::new(fixed(d)?);
        field(d, 4)?;
        let at = instant(d)?;
        field(d, 5)?;
        let actor = d.str()?.parse().map_err(|_| Malformed("the actor's name is no name"))?;
        field(d, 6)?;
        let action = d.str()?.to_owned();
        field(d, 7)?;
        let subject = d.str()?.to_owned();
        field(d, 8)?;
        let reason = d.str()?.to_owned();
        field(d, 9)?;
        let generation = d.u64()?;
        let signed = if fields == Some(12) {
            field(d, 10)?;
            let key = KeyId::new(fixed(d)?);
            field(d, 11)?;
            let root = Digest::new(fixed(d)?);
            field(d, 12)?;
            Some(Signed { key, root, count: d.u64()? })
        } else {
            None
        };
        let intent = Intent { actor, action, subject, reason, at };
        Ok(Self { seq, previous, intent, generation, signed })
    }
}
