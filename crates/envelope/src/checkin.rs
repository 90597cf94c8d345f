//! The check-in: the backend's signed answer to a device that asked for the time.

use model::{DeviceId, UnixTime};

use crate::{
    Error, Signer, TrustKeys, Verified,
    addressee::same,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object, Sign1},
};

/// The server's time, for one device's one question. A hint above the device's floor: never
/// persisted, and never enough for a ticket's `not_before`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckIn {
    /// The device that asked.
    pub device: DeviceId,
    /// What it asked with.
    pub nonce: [u8; 16],
    /// The server's time.
    pub at: UnixTime,
}

impl CheckIn {
    /// Signs the answer with the backend's link key.
    ///
    /// # Errors
    /// The signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        cose::sign(self, signer)
    }

    /// Verifies an answer: signed by a link key at `now` (the device's floor) and at the time that it
    /// says, for this device and this question.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn verify(
        bytes: &[u8],
        device: DeviceId,
        nonce: &[u8; 16],
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let sign1 = Sign1::parse(bytes, Self::MAX)?;
        let answer: Verified<Self> = sign1.verify(trust.link_key(sign1.kid(), now)?)?;
        same("device_id", &answer.device, &device)?;
        same("nonce", &answer.nonce, nonce)?;
        trust.link_key(sign1.kid(), answer.at)?;
        Ok(answer)
    }
}

impl Object for CheckIn {
    const TYP: &'static str = "fleetseal-checkin/1";
    const MAX: usize = 256;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.device.as_bytes());
        map.key(3).bytes(&self.nonce);
        map.key(4).uint(self.at.as_secs());
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            device: DeviceId::new(map.required(2, "device_id", Reader::fixed)?),
            nonce: map.required(3, "nonce", Reader::fixed)?,
            at: map.required(4, "server time", Reader::time)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{END, Fleet, NOW, said};

    #[test]
    fn an_answer_counts_for_its_device_and_question_alone() {
        let fleet = Fleet::new();
        let device = fleet.me.device;
        let signed = CheckIn { device, nonce: [1; 16], at: NOW }.sign(&fleet.link_key).unwrap();
        let verify = |device, nonce| CheckIn::verify(&signed, device, &nonce, &fleet.trust, UnixTime::EPOCH);
        assert_eq!(verify(device, [1; 16]).unwrap().at, NOW);
        assert_eq!(said(verify(device, [2; 16])), "`nonce` is another than expected");
        let other = DeviceId::new([0; 16]);
        assert_eq!(said(verify(other, [1; 16])), "`device_id` is another than expected");
    }

    #[test]
    fn only_a_link_key_tells_the_time_and_only_while_it_is_trusted() {
        let fleet = Fleet::new();
        let device = fleet.me.device;
        let late = UnixTime::from_secs(END.as_secs() + 1);
        let checkin = CheckIn { device, nonce: [1; 16], at: NOW };
        let verify = |bytes: &[u8], now| CheckIn::verify(bytes, device, &[1; 16], &fleet.trust, now);
        let signed = checkin.sign(&fleet.ticket_key).unwrap();
        assert!(matches!(verify(&signed, NOW), Err(Error::Role { .. })));
        let signed = checkin.sign(&fleet.link_key).unwrap();
        assert!(matches!(verify(&signed, late), Err(Error::KeyLapsed { .. })));
        let signed = CheckIn { at: late, ..checkin }.sign(&fleet.link_key).unwrap();
        assert!(matches!(verify(&signed, NOW), Err(Error::KeyLapsed { .. })));
    }
}
