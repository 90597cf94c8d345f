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

/// The extension that carries a device's KEM key: the arc of UUID
/// 1e98a749-a042-41ee-a68f-d05c0e721b43, see [`of_uuid`].
pub(crate) const KEM_KEY: &[u8] = &[
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x01, 0xbe, 0x40, 0x93, 0x7a, 0xbd, 0x18, 0x82, 0xce, 0x49, 0x82,
    0xc0, 0x42, 0x81, 0x83, 0x6e, 0x82, 0xcd, 0x0f, 0x86, 0xc1, 0xb8, 0x0e, 0x83, 0xc8, 0xb6, 0x43,
];

/// 1.2.840.113556.1.8000.2554: whoever draws a UUID may use the arc below it.
const UUIDS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x01, 0xbe, 0x40, 0x93, 0x7a];

/// The identifier that stands for `uuid`: five arcs of 16 bits, then two of 24.
///
/// The arc under 2.25 (X.667) would be a single one of 128 bits, and GnuTLS and others cannot read a
/// certificate with an arc beyond 32.
pub(crate) fn of_uuid(uuid: [u8; 16]) -> Vec<u8> {
    let (words, rest) = uuid.split_at(10);
    let arcs = words.chunks(2).chain(rest.chunks(3));
    let mut octets = UUIDS.to_vec();
    for arc in arcs.map(|arc| arc.iter().fold(0_u32, |value, &octet| value << 8 | u32::from(octet))) {
        let digits = [21, 14, 7, 0].map(|shift| (arc >> shift & 0x7f) as u8);
        let skip = digits.iter().take(3).take_while(|&&digit| digit == 0).count();
        octets.extend(digits[skip..3].iter().map(|digit| 0x80 | digit));
        octets.push(digits[3]);
    }
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
