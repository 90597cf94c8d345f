//! The report: what a device says of a deployment, signed with its identity key.

use model::{DeploymentId, DeploymentState, DeviceId, Digest, UnixTime, Version};

use crate::{
    Error, PublicKey, Signer, Verified,
    addressee::same,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object},
};

/// `fleetseal-report/1`: `1 typ | 2 device_id | 3 deployment b16, optional | 4 state (text) |
/// 5 counter | 6 ticket digest b32, optional | 7 code (text), optional | 8 detail (text), optional |
/// 9 version before (text), optional | 10 version after (text), optional | 11 bytes | 12 stored seq,
/// optional | 13 device time`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Who reports.
    pub device: DeviceId,
    /// The deployment; none where the device speaks of itself, as in `state_lost`.
    pub deployment: Option<DeploymentId>,
    /// Where the deployment stands.
    pub state: DeploymentState,
    /// Rises with every report of this device; a repeat or a fork is a cloned disk.
    pub counter: u64,
    /// The SHA-256 of the sealed ticket that it acts on.
    pub ticket: Option<Digest>,
    /// Why, as a word of `a-z`, `0-9` and `_`, at most 64: `seq_too_low`, `state_lost`.
    pub code: Option<String>,
    /// Why, in the installer's or verifier's own words; cut off after 1,024 bytes when signed.
    pub detail: Option<String>,
    /// The version that ran before.
    pub before: Option<Version>,
    /// The version that runs now.
    pub after: Option<Version>,
    /// Bytes of ciphertext that are staged and verified.
    pub bytes: u64,
    /// On a refusal for its `seq`: the stored one, so that an honest signer can go above it.
    pub stored_seq: Option<u64>,
    /// The device's own time, a hint.
    pub at: UnixTime,
}

/// The longest detail, in bytes.
const DETAIL: usize = 1024;

impl Report {
    /// Signs the report with the device's identity key.
    ///
    /// # Errors
    /// The code is no word, the key is not P-256, or the signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        if !self.code.as_deref().is_none_or(is_code) {
            return Err(Error::Inconsistent { reason: "a code is a word of a-z, 0-9 and _" });
        }
        cose::sign_by_device(self, signer)
    }

    /// Verifies a report: signed by this device with this key.
    ///
    /// # Errors
    /// The encoding, the algorithm, the signature or the device is another.
    pub fn verify(bytes: &[u8], device: DeviceId, key: &PublicKey) -> Result<Verified<Self>, Error> {
        let report: Verified<Self> = cose::verify_by_device(bytes, key)?;
        same("device_id", &report.device, &device)?;
        Ok(report)
    }
}

impl Object for Report {
    const TYP: &'static str = "fleetseal-report/1";
    const MAX: usize = 2048;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.device.as_bytes());
        if let Some(deployment) = &self.deployment {
            map.key(3).bytes(deployment.as_bytes());
        }
        map.key(4).text(self.state.as_str());
        map.key(5).uint(self.counter);
        if let Some(ticket) = &self.ticket {
            map.key(6).bytes(ticket.as_bytes());
        }
        if let Some(code) = &self.code {
            map.key(7).text(code);
        }
        if let Some(detail) = &self.detail {
            map.key(8).text(&detail[..detail.floor_char_boundary(DETAIL)]);
        }
        if let Some(before) = &self.before {
            map.key(9).text(&before.to_string());
        }
        if let Some(after) = &self.after {
            map.key(10).text(&after.to_string());
        }
        map.key(11).uint(self.bytes);
        if let Some(seq) = self.stored_seq {
            map.key(12).uint(seq);
        }
        map.key(13).uint(self.at.as_secs());
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        let text = |value: &str, fits: bool| {
            if fits { Ok(value.to_owned()) } else { Err(cbor::Error::Value) }
        };
        Ok(Self {
            device: DeviceId::new(map.required(2, "device_id", Reader::fixed)?),
            deployment: map.optional(3, "deployment", Reader::fixed)?.map(DeploymentId::new),
            state: map.required(4, "state", |state| {
                DeploymentState::from_wire(state.text()?).ok_or(cbor::Error::Value)
            })?,
            counter: map.required(5, "counter", Reader::uint)?,
            ticket: map.optional(6, "ticket", Reader::fixed)?.map(Digest::new),
            code: map.optional(7, "code", |code| code.text().and_then(|code| text(code, is_code(code))))?,
            detail: map.optional(8, "detail", |detail| {
                detail.text().and_then(|detail| text(detail, detail.len() <= DETAIL))
            })?,
            before: map.optional(9, "before", Reader::parsed)?,
            after: map.optional(10, "after", Reader::parsed)?,
            bytes: map.required(11, "bytes", Reader::uint)?,
            stored_seq: map.optional(12, "stored_seq", Reader::uint)?,
            at: map.required(13, "at", Reader::time)?,
        })
    }
}

/// Whether this may stand for the reason of a failure: up to 64 of a to z, 0 to 9 and `_`.
pub(crate) fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        P256Key,
        fixture::{Fleet, NOW, said, sign1},
    };

    fn report(fleet: &Fleet) -> Report {
        Report {
            device: fleet.me.device,
            deployment: Some(DeploymentId::new([0xde; 16])),
            state: DeploymentState::Rejected,
            counter: 41,
            ticket: Some(Digest::new([0x71; 32])),
            code: Some("seq_too_low".into()),
            detail: Some("größer".into()),
            before: Some("1.3.0".parse().unwrap()),
            after: Some("1.3.0+2".parse().unwrap()),
            bytes: 1 << 40,
            stored_seq: Some(u64::MAX),
            at: NOW,
        }
    }

    #[test]
    fn a_report_comes_back_whole_full_or_bare() {
        let fleet = Fleet::new();
        let full = report(&fleet);
        let bare = Report {
            deployment: None,
            ticket: None,
            code: None,
            detail: None,
            before: None,
            after: None,
            stored_seq: None,
            ..full
        };
        for report in [full, bare] {
            let signed = report.sign(&fleet.device_key).unwrap();
            let key = fleet.device_key.public_key();
            assert_eq!(*Report::verify(&signed, fleet.me.device, &key).unwrap(), report);
        }
    }

    #[test]
    fn a_report_is_its_devices_alone() {
        let fleet = Fleet::new();
        let signed = report(&fleet).sign(&fleet.device_key).unwrap();
        let key = fleet.device_key.public_key();
        let other = DeviceId::new([0; 16]);
        assert_eq!(said(Report::verify(&signed, other, &key)), "`device_id` is another than expected");
        let clone = P256Key::generate().unwrap();
        let found = Report::verify(&signed, fleet.me.device, &clone.public_key());
        assert!(matches!(found, Err(Error::UnknownKey { .. })));
        assert!(report(&fleet).sign(&fleet.ticket_key).is_err());
        let by_person = sign1(-19, &fleet.ticket_key, &cose::encode(&report(&fleet)).unwrap());
        assert!(Report::verify(&by_person, fleet.me.device, &fleet.ticket_key.public_key()).is_err());
        assert!(Report::verify(&by_person, fleet.me.device, &key).is_err());
    }

    #[test]
    fn words_are_bounded() {
        let fleet = Fleet::new();
        let key = fleet.device_key.public_key();
        let long = Report { detail: Some("ä".repeat(2_000)), ..report(&fleet) };
        let signed = long.sign(&fleet.device_key).unwrap();
        let read = Report::verify(&signed, fleet.me.device, &key).unwrap();
        assert_eq!(read.detail.as_deref(), Some("ä".repeat(512).as_str()));
        for code in ["", "No", "a b", "a-b", "ä", "\u{1b}[0m"] {
            let bad = Report { code: Some(code.into()), ..report(&fleet) };
            assert!(bad.sign(&fleet.device_key).is_err(), "{code}");
            let forged = sign1(-9, &fleet.device_key, &cose::encode(&bad).unwrap());
            assert!(Report::verify(&forged, fleet.me.device, &key).is_err(), "{code}");
        }
    }
}
