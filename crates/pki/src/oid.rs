//! Object identifiers, as the content octets of their DER encoding.

pub(crate) const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

pub(crate) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
pub(crate) const SERIAL_NUMBER: &[u8] = &[0x55, 0x04, 0x05];
pub(crate) const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
pub(crate) const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 0x04, 0x0b];

pub(crate) const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub(crate) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub(crate) const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
pub(crate) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
pub(crate) const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

pub(crate) const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
pub(crate) const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
/// id-on-hardwareModuleName (RFC 4108, 5).
pub(crate) const HARDWARE_MODULE_NAME: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x04];
/// extensionRequest (RFC 2985, 5.4.2).
pub(crate) const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];

/// The extension that carries a device's KEM key: 2.25.40669461991702145388566583987196271427, the
/// arc of UUID 1e98a749-a042-41ee-a68f-d05c0e721b43 (X.667).
pub(crate) const KEM_KEY: &[u8] = &[
    0x69, 0xbd, 0x98, 0xd3, 0xd2, 0xb4, 0x84, 0x92, 0x87, 0xdd, 0xa6, 0xc7, 0xf4, 0x8b, 0xc0, 0xf3, 0xc8,
    0xb6, 0x43,
];

/// The identifier 2.25.`uuid` (X.667, 6): an arc that anyone may derive from a UUID.
pub(crate) fn of_uuid(uuid: [u8; 16]) -> Vec<u8> {
    let mut rest = u128::from_be_bytes(uuid);
    let mut octets = vec![(rest & 0x7f) as u8];
    rest >>= 7;
    while rest > 0 {
        octets.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    octets.push(0x69);
    octets.reverse();
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kem_key_identifier_is_the_arc_of_its_uuid() {
        assert_eq!(of_uuid(0x1e98a749_a042_41ee_a68f_d05c0e721b43_u128.to_be_bytes()), KEM_KEY);
    }
}
