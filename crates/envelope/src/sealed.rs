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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        SystemRandom,
        cbor::value::Value,
        fixture::{END, Fleet, NOW, forged, model, said, trusted},
        trust::{KeyMaterial, KeyRole},
    };

    fn record(key: &ContentKey, trust: &Verified<TrustKeys>) -> SealedArtifact {
        let digest = Digest::new([1; 32]);
        SealedArtifact::new(digest, [2; 32], Digest::new([3; 32]), key, trust, NOW).unwrap()
    }

    #[test]
    fn every_member_opens_the_content_key_and_no_bench_does() {
        let fleet = Fleet::new();
        let key = ContentKey::generate(&mut SystemRandom);
        let record = record(&key, &fleet.trust);
        let signed = record.sign(&fleet.seal_key).unwrap();
        let read = SealedArtifact::verify(&signed, &model("pump"), &fleet.trust, NOW).unwrap();
        assert_eq!(*read, record);
        assert_eq!(read.content_key(&fleet.member_kem).unwrap(), key);
        assert!(read.content_key(&fleet.bench_kem).is_err());
        assert!(read.content_key(&fleet.device_kem).is_err());
        assert_eq!(read.recipients().collect::<Vec<_>>(), [fleet.member_kem.public().id()]);
        assert!(!signed.windows(32).any(|window| window == key.as_bytes()));
    }

    #[test]
    fn nobody_plans_on_a_record_whose_recipient_left_or_is_a_bench() {
        let fleet = Fleet::new();
        let key = ContentKey::generate(&mut SystemRandom);
        let verify = |signed: &[u8], trust| SealedArtifact::verify(signed, &model("pump"), trust, NOW);
        let left = KemSecret::generate(&mut SystemRandom).unwrap();
        let mut with_left = fleet.trust.entries().to_vec();
        with_left.push(trusted(KeyRole::Member, KeyMaterial::Recipient(left.public())));
        let before = Verified::new(TrustKeys::new(with_left).unwrap());
        let signed = record(&key, &before).sign(&fleet.seal_key).unwrap();
        assert!(verify(&signed, &before).is_ok());
        let found = verify(&signed, &fleet.trust);
        assert!(matches!(found, Err(Error::Recipient { kem }) if kem == left.public().id()));
        let old = SealedArtifact::verify_to_reseal(&signed, &model("pump"), &fleet.trust, NOW).unwrap();
        assert_eq!(old.content_key(&fleet.member_kem).unwrap(), key);
        let bench = fleet.trust_with(|key| {
            if key.role == KeyRole::Bench {
                key.role = KeyRole::Member;
            }
        });
        let signed = record(&key, &bench).sign(&fleet.seal_key).unwrap();
        assert!(matches!(verify(&signed, &fleet.trust), Err(Error::Recipient { .. })));
    }

    #[test]
    fn only_a_seal_key_in_its_scope_makes_a_record() {
        let fleet = Fleet::new();
        let record = record(&ContentKey::generate(&mut SystemRandom), &fleet.trust);
        let verify =
            |signed: &[u8], name, now| SealedArtifact::verify(signed, &model(name), &fleet.trust, now);
        let signed = record.sign(&fleet.seal_key).unwrap();
        assert!(matches!(verify(&signed, "valve", NOW), Err(Error::Scope { .. })));
        let late = UnixTime::from_secs(END.as_secs() + 1);
        assert!(matches!(verify(&signed, "pump", late), Err(Error::KeyLapsed { .. })));
        let signed = record.sign(&fleet.ticket_key).unwrap();
        assert!(matches!(verify(&signed, "pump", NOW), Err(Error::Role { .. })));
    }

    #[test]
    fn a_key_other_than_the_one_committed_to_does_not_come_out() {
        let fleet = Fleet::new();
        let mut record = record(&ContentKey::generate(&mut SystemRandom), &fleet.trust);
        record.commitment = ContentKey::generate(&mut SystemRandom).commitment();
        let signed = record.sign(&fleet.seal_key).unwrap();
        let read = SealedArtifact::verify(&signed, &model("pump"), &fleet.trust, NOW).unwrap();
        assert!(matches!(read.content_key(&fleet.member_kem), Err(Error::Open)));
    }

    #[test]
    fn recipients_are_ascending_and_some() {
        let fleet = Fleet::new();
        let record = record(&ContentKey::generate(&mut SystemRandom), &fleet.trust);
        for change in
            [|list: &mut Vec<Value>| list.clear(), |list: &mut Vec<Value>| list.push(list[0].clone())]
        {
            let signed = forged(&record, &fleet.seal_key, |fields| {
                if let (_, Value::Array(list)) = &mut fields[5] {
                    change(list);
                }
            });
            let found = SealedArtifact::verify(&signed, &model("pump"), &fleet.trust, NOW);
            assert_eq!(said(found), "`recipients` has a wrong type, size or form");
        }
        let nobody = Verified::new(TrustKeys::default());
        let key = ContentKey::generate(&mut SystemRandom);
        let digest = Digest::new([1; 32]);
        assert!(SealedArtifact::new(digest, [2; 32], digest, &key, &nobody, NOW).is_err());
    }
}
