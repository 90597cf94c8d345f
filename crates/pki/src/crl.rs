use der::Encode;
use model::UnixTime;

use crate::{
    Ca, Error,
    asn1::{Time, oid, sequence, tlv},
    draft::seal,
    key::unsigned,
    oid,
};

/// One certificate that is revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revoked {
    /// The certificate's serial number.
    pub serial: [u8; 16],
    /// Since when.
    pub revoked_at: UnixTime,
}

/// A revocation list (RFC 5280, 5) of certificates that `ca` issued, in DER, for those who understand
/// nothing else: our own parts go by the fleet's signed list.
///
/// `number` rises with every list of this CA.
///
/// # Errors
/// `next_update` is not after `this_update`, or the CA's key signed nothing.
pub fn crl(
    ca: &Ca<'_>,
    revoked: &[Revoked],
    number: u64,
    this_update: UnixTime,
    next_update: UnixTime,
) -> Result<Vec<u8>, Error> {
    if next_update <= this_update {
        return Err(Error::Validity);
    }
    let time = |instant| Time::new(instant).to_der().map_err(Error::malformed("time"));
    let certificate = ca.certificate();
    let entries = revoked
        .iter()
        .map(|entry| Ok(sequence(&[&unsigned(&entry.serial), &time(entry.revoked_at)?])))
        .collect::<Result<Vec<_>, Error>>()?;
    // An empty list is left out (RFC 5280, 5.1.2.6).
    let entries = match entries.is_empty() {
        true => Vec::new(),
        false => sequence(&entries.iter().map(Vec::as_slice).collect::<Vec<_>>()),
    };
    let extension = |id, value: &[u8]| sequence(&[&oid(id), &tlv(0x04, &[value])]);
    let authority = sequence(&[&tlv(0x80, &[&certificate.certificate().key().key_id()])]);
    let extensions = sequence(&[
        &extension(oid::AUTHORITY_KEY_IDENTIFIER, &authority),
        &extension(oid::CRL_NUMBER, &unsigned(&number.to_be_bytes())),
    ]);
    let body = sequence(&[
        &[0x02, 0x01, 0x01],
        &sequence(&[&oid(oid::ECDSA_WITH_SHA256)]),
        certificate.subject(),
        &time(this_update)?,
        &time(next_update)?,
        &entries,
        &tlv(0xa0, &[&extensions]),
    ]);
    seal(&body, ca.signer())
}
