//! The sealed-artifact record: which ciphertext is which artifact, and who can open it.

use model::{Digest, KemKeyId, ModelName, UnixTime};

use crate::{
    ContentKey, Error, KemSecret, Recipient, Signer, TrustKeys, Verified,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object, Sign1},
    seal,
};

/// `fleetseal-sealed/1`: `1 typ | 2 artifact SHA-256 b32 | 3 OTAP header b32 | 4 segment list
/// SHA-256 b32 | 5 CEK commitment b32 | 6 recipients [[KEM key id b8, sealed CEK], ...]`.
///
/// A content key is sealed as `fleetseal-content-key/1`: the 32 bytes alone. The record's signature
/// says whose they are, and the commitment that all recipients have the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedArtifact {
    /// The SHA-256 of the plaintext.
    pub artifact: Digest,
    /// The OTAP header.
    pub header: [u8; 32],
    /// The SHA-256 of the segment list.
    pub segment_list: Digest,
    /// Which content key it is ([`ContentKey::commitment`]).
    pub commitment: Digest,
    /// The vault members who can open it, ascending.
    recipients: Vec<(KemKeyId, Vec<u8>)>,
}

/// What a content key is sealed as.
const KEY_TYP: &str = "fleetseal-content-key/1";

impl SealedArtifact {
    /// A record whose content key is sealed to every vault member at `now`.
    ///
    /// # Errors
    /// A member's key is of small order, or there is no member.
    pub fn new(
        artifact: Digest,
        header: [u8; 32],
        segment_list: Digest,
        key: &ContentKey,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let mut recipients = trust
            .members(now)
            .map(|member| {
                let id = member.id();
                Ok((id, seal::seal(KEY_TYP, member, Recipient::Key(id), key.as_bytes())?))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        if recipients.is_empty() {
            return Err(Error::Inconsistent { reason: "no vault member could open it" });
        }
        recipients.sort();
        Ok(Self { artifact, header, segment_list, commitment: key.commitment(), recipients })
    }

    /// Signs the record with a seal key.
    ///
    /// # Errors
    /// The signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        cose::sign(self, signer)
    }

    /// Verifies a record to plan with: signed by a seal key that covers `model` at `now`, and every
    /// recipient a vault member still.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn verify(
        bytes: &[u8],
        model: &ModelName,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let record = Self::verify_to_reseal(bytes, model, trust, now)?;
        let stranger = record.recipients().find(|id| trust.member_kem(*id, now).is_none());
        stranger.map_or(Ok(record), |kem| Err(Error::Recipient { kem }))
    }

    /// Verifies a record to seal its artifact anew; a recipient may be a member no longer.
    ///
    /// # Errors
    /// The encoding, the key, its scope or the signature is not as it must be.
    pub fn verify_to_reseal(
        bytes: &[u8],
        model: &ModelName,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let sign1 = Sign1::parse(bytes, Self::MAX)?;
        sign1.verify(trust.seal_key(sign1.kid(), model, now)?)
    }

    /// Who can open it.
    pub fn recipients(&self) -> impl Iterator<Item = KemKeyId> {
        self.recipients.iter().map(|(id, _)| *id)
    }
}

impl Verified<SealedArtifact> {
    /// Opens the content key with a vault member's KEM key.
    ///
    /// # Errors
    /// The member is no recipient, or what was sealed is not the key that the record commits to.
    pub fn content_key(&self, member: &KemSecret) -> Result<ContentKey, Error> {
        let id = member.public().id();
        let (_, sealed) =
            self.recipients.iter().find(|(recipient, _)| *recipient == id).ok_or(Error::Open)?;
        let bytes = seal::open(KEY_TYP, member, Recipient::Key(id), sealed, MAX_SEALED_KEY)?;
        let key = ContentKey::from_bytes(bytes.as_slice().try_into().map_err(|_| Error::Open)?);
        if key.commitment() == self.commitment { Ok(key) } else { Err(Error::Open) }
    }
}

/// The longest sealed content key.
const MAX_SEALED_KEY: usize = 256;

impl Object for SealedArtifact {
    const TYP: &'static str = "fleetseal-sealed/1";
    const MAX: usize = 256 * 1024;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.artifact.as_bytes());
        map.key(3).bytes(&self.header);
        map.key(4).bytes(self.segment_list.as_bytes());
        map.key(5).bytes(self.commitment.as_bytes());
        map.key(6).array(self.recipients.len());
        for (id, sealed) in &self.recipients {
            map.array(2).bytes(id.as_bytes()).bytes(sealed);
        }
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            artifact: Digest::new(map.required(2, "artifact", Reader::fixed)?),
            header: map.required(3, "header", Reader::fixed)?,
            segment_list: Digest::new(map.required(4, "segment_list", Reader::fixed)?),
            commitment: Digest::new(map.required(5, "commitment", Reader::fixed)?),
            recipients: map.required(6, "recipients", |recipients| {
                let list = recipients.list(|recipient| match recipient.array()? {
                    2 => Ok((KemKeyId::new(recipient.fixed()?), recipient.bytes()?.to_vec())),
                    _ => Err(cbor::Error::Value),
                })?;
                let ascending = list.is_sorted_by(|(a, _), (b, _)| a < b);
                if ascending && !list.is_empty() { Ok(list) } else { Err(cbor::Error::Value) }
            })?,
        })
    }
}
