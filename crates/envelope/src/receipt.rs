//! The receipt: what was done to a device on the bench.

use model::{
    Component, DeviceId, Digest, FleetId, KemKeyId, PersonName, RolloutId, SecurityCounter, Serial, UnixTime,
    Version,
};

use crate::{
    Error, PublicKey, Signer, Verified,
    addressee::same,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object},
    report::is_code,
    sha256,
};

/// `fleetseal-receipt/1`: `1 typ | 2 fleet b16 | 3 device_id b16 | 4 ticket digest b32 | 5 rollout b16 |
/// 6 component | 7 version before (text), optional | 8 version that the ticket brings | 9 its artifact's
/// SHA-256 b32 | 10 its security counter | 11 bench KEM key id b8 | 12 mode (1 sealed, 2 deputy) |
/// 13 outcome (1 succeeded, 2 failed) | 14 code (text), optional | 15 began_at | 16 ended_at |
/// 17 technician (text) | 18 the device's proof b64, optional`, by the technician's identity key.
///
/// With its proof the device countersigns: it covers the SHA-256 of the fields before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The fleet.
    pub fleet: FleetId,
    /// The device.
    pub device: DeviceId,
    /// The SHA-256 of the sealed ticket.
    pub ticket: Digest,
    /// The campaign that the ticket belongs to.
    pub rollout: RolloutId,
    /// The part of the device.
    pub component: Component,
    /// What ran before, as the device said.
    pub before: Option<Version>,
    /// What the ticket brings.
    pub version: Version,
    /// The SHA-256 of that artifact.
    pub artifact: Digest,
    /// Its security counter.
    pub security_counter: SecurityCounter,
    /// The bench.
    pub bench: KemKeyId,
    /// Who opened the ticket.
    pub mode: Mode,
    /// What it came to.
    pub outcome: Outcome,
    /// Why, as a word of `a-z`, `0-9` and `_`.
    pub code: Option<String>,
    /// When the visit began, by the bench's clock.
    pub began_at: UnixTime,
    /// When it ended.
    pub ended_at: UnixTime,
    /// Who was at the bench.
    pub technician: PersonName,
    /// The device's signature over [`proof_message`]; none where it cannot prove who it is.
    pub proof: Option<[u8; 64]>,
}

/// Who opened the ticket on the bench.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The device itself: the bench carried ciphertext.
    Sealed,
    /// The bench, in the device's stead.
    Deputy,
}

/// What a visit came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The device runs the new software, confirmed (R14).
    Succeeded,
    /// It does not.
    Failed,
}

/// What a device signs to prove on the bench who it is, and that it did what `nonce` stands for.
pub fn proof_message(nonce: &[u8; 32], certificate: &Digest, serial: &str) -> Vec<u8> {
    [&b"fleetseal-bench-proof/1"[..], nonce, certificate.as_bytes(), serial.as_bytes()].concat()
}

/// Verifies a device's proof by the key of its certificate.
///
/// # Errors
/// It is another key's, or over something else.
pub fn verify_proof(
    proof: &[u8; 64],
    nonce: &[u8; 32],
    certificate: &Digest,
    serial: &Serial,
    key: &PublicKey,
) -> Result<(), Error> {
    key.verify(&proof_message(nonce, certificate, serial.as_str()), proof)
}

impl Receipt {
    /// What the device's proof is asked over: the SHA-256 of all fields but the proof.
    ///
    /// # Errors
    /// The receipt has no encoding.
    pub fn challenge(&self) -> Result<[u8; 32], Error> {
        let bare = Self { proof: None, ..self.clone() };
        Ok(*sha256(&cose::encode(&bare)?).as_bytes())
    }

    /// Whether the device countersigned, by the key of its certificate.
    pub fn is_proven(&self, certificate: &Digest, serial: &Serial, key: &PublicKey) -> bool {
        match (&self.proof, self.challenge()) {
            (Some(proof), Ok(nonce)) => verify_proof(proof, &nonce, certificate, serial, key).is_ok(),
            _ => false,
        }
    }

    /// Signs the receipt with the technician's identity key.
    ///
    /// # Errors
    /// The key is not P-256, the code is no word, or the signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        if !self.code.as_deref().is_none_or(is_code) {
            return Err(Error::Inconsistent { reason: "a code is a word of a-z, 0-9 and _" });
        }
        cose::sign_by_device(self, signer)
    }

    /// Verifies a receipt: of this fleet, signed by this key, a member's.
    ///
    /// # Errors
    /// The encoding, the algorithm, the signature or the fleet is another.
    pub fn verify(bytes: &[u8], fleet: FleetId, key: &PublicKey) -> Result<Verified<Self>, Error> {
        let receipt: Verified<Self> = cose::verify_by_device(bytes, key)?;
        same("fleet", &receipt.fleet, &fleet)?;
        Ok(receipt)
    }
}

impl Mode {
    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Deputy => "deputy",
        }
    }
}

impl Outcome {
    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

impl Object for Receipt {
    const TYP: &'static str = "fleetseal-receipt/1";
    const MAX: usize = 2048;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.fleet.as_bytes());
        map.key(3).bytes(self.device.as_bytes());
        map.key(4).bytes(self.ticket.as_bytes());
        map.key(5).bytes(self.rollout.as_bytes());
        map.key(6).text(self.component.as_str());
        if let Some(before) = &self.before {
            map.key(7).text(&before.to_string());
        }
        map.key(8).text(&self.version.to_string());
        map.key(9).bytes(self.artifact.as_bytes());
        map.key(10).uint(self.security_counter.0.into());
        map.key(11).bytes(self.bench.as_bytes());
        map.key(12).uint(match self.mode {
            Mode::Sealed => 1,
            Mode::Deputy => 2,
        });
        map.key(13).uint(match self.outcome {
            Outcome::Succeeded => 1,
            Outcome::Failed => 2,
        });
        if let Some(code) = &self.code {
            map.key(14).text(code);
        }
        map.key(15).uint(self.began_at.as_secs());
        map.key(16).uint(self.ended_at.as_secs());
        map.key(17).text(self.technician.as_str());
        if let Some(proof) = &self.proof {
            map.key(18).bytes(proof);
        }
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            fleet: FleetId::new(map.required(2, "fleet", Reader::fixed)?),
            device: DeviceId::new(map.required(3, "device_id", Reader::fixed)?),
            ticket: Digest::new(map.required(4, "ticket", Reader::fixed)?),
            rollout: RolloutId::new(map.required(5, "rollout", Reader::fixed)?),
            component: map.required(6, "component", Reader::parsed)?,
            before: map.optional(7, "before", Reader::parsed)?,
            version: map.required(8, "version", Reader::parsed)?,
            artifact: Digest::new(map.required(9, "artifact", Reader::fixed)?),
            security_counter: map.required(10, "security_counter", |counter| {
                counter.uint()?.try_into().map(SecurityCounter).map_err(|_| cbor::Error::Value)
            })?,
            bench: KemKeyId::new(map.required(11, "bench", Reader::fixed)?),
            mode: map.required(12, "mode", |mode| match mode.uint()? {
                1 => Ok(Mode::Sealed),
                2 => Ok(Mode::Deputy),
                _ => Err(cbor::Error::Value),
            })?,
            outcome: map.required(13, "outcome", |outcome| match outcome.uint()? {
                1 => Ok(Outcome::Succeeded),
                2 => Ok(Outcome::Failed),
                _ => Err(cbor::Error::Value),
            })?,
            code: map.optional(14, "code", |code| {
                let code = code.text()?;
                if is_code(code) { Ok(code.to_owned()) } else { Err(cbor::Error::Value) }
            })?,
            began_at: map.required(15, "began_at", Reader::time)?,
            ended_at: map.required(16, "ended_at", Reader::time)?,
            technician: map.required(17, "technician", Reader::parsed)?,
            proof: map.optional(18, "proof", Reader::fixed)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        P256Key,
        fixture::{Fleet, LATER, NOW, said},
    };

    fn receipt(fleet: &Fleet) -> Receipt {
        Receipt {
            fleet: fleet.me.fleet,
            device: fleet.me.device,
            ticket: Digest::new([0x71; 32]),
            rollout: RolloutId::new([0x70; 16]),
            component: "main".parse().unwrap(),
            before: Some("1.3.0".parse().unwrap()),
            version: "1.4.0+12".parse().unwrap(),
            artifact: Digest::new([0xa1; 32]),
            security_counter: SecurityCounter(7),
            bench: fleet.bench_kem.public().id(),
            mode: Mode::Deputy,
            outcome: Outcome::Failed,
            code: Some("rolled_back".into()),
            began_at: NOW,
            ended_at: LATER,
            technician: "Tom Example".parse().unwrap(),
            proof: None,
        }
    }

    #[test]
    fn a_receipt_comes_back_whole_and_is_its_technicians_alone() {
        let fleet = Fleet::new();
        let technician = P256Key::generate().unwrap();
        let bare = Receipt { before: None, code: None, mode: Mode::Sealed, ..receipt(&fleet) };
        for receipt in [receipt(&fleet), bare] {
            let signed = receipt.sign(&technician).unwrap();
            let read = Receipt::verify(&signed, receipt.fleet, &technician.public_key()).unwrap();
            assert_eq!(*read, receipt);
            let other = P256Key::generate().unwrap().public_key();
            assert!(Receipt::verify(&signed, receipt.fleet, &other).is_err());
            let foreign = Receipt::verify(&signed, FleetId::new([0; 16]), &technician.public_key());
            assert_eq!(said(foreign), "`fleet` is another than expected");
        }
        assert!(receipt(&fleet).sign(&fleet.ticket_key).is_err());
    }

    #[test]
    fn a_device_countersigns_exactly_what_stands_in_the_receipt() {
        let fleet = Fleet::new();
        let (certificate, serial) = (Digest::new([0xce; 32]), "PUMP-7".parse().unwrap());
        let mut signed = receipt(&fleet);
        let message = proof_message(&signed.challenge().unwrap(), &certificate, "PUMP-7");
        signed.proof = Some(fleet.device_key.sign(&message).unwrap());
        let key = fleet.device_key.public_key();
        assert!(signed.is_proven(&certificate, &serial, &key));
        let other = Receipt { outcome: Outcome::Succeeded, ..signed.clone() };
        assert!(!other.is_proven(&certificate, &serial, &key));
        assert!(!signed.is_proven(&Digest::new([0; 32]), &serial, &key));
        assert!(!signed.is_proven(&certificate, &"PUMP-8".parse().unwrap(), &key));
        assert!(!signed.is_proven(&certificate, &serial, &P256Key::generate().unwrap().public_key()));
        assert!(!receipt(&fleet).is_proven(&certificate, &serial, &key));
    }
}
