//! A device's KEM key (X25519, RFC 7748) as it stands in requests and certificates: a
//! SubjectPublicKeyInfo (RFC 8410) in an extension of our own.

/// SubjectPublicKeyInfo of X25519 up to the key: id-X25519, BIT STRING.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00];

/// 2^255 - 19, little-endian.
const PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

/// The canonical u-coordinates of small order, apart from 0, 1 and -1: the two points of order 8.
const ORDER_EIGHT: [[u8; 32]; 2] = [
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

/// The extension's value.
pub(crate) fn spki(key: &[u8; 32]) -> [u8; 44] {
    let mut der = [0; 44];
    der[..12].copy_from_slice(&SPKI_PREFIX);
    der[12..].copy_from_slice(key);
    der
}

/// The key in an extension's value, if it is one that something may be sealed to: canonical, so that
/// one key has one spelling, and not of small order, so that the shared secret is one.
pub(crate) fn read(value: &[u8]) -> Option<[u8; 32]> {
    let key = value.strip_prefix(&SPKI_PREFIX)?.try_into().ok()?;
    is_sound(&key).then_some(key)
}

pub(crate) fn is_sound(key: &[u8; 32]) -> bool {
    let mut minus_one = PRIME;
    minus_one[0] -= 1;
    let mut one = [0; 32];
    one[0] = 1;
    let canonical = key.iter().rev().lt(PRIME.iter().rev());
    canonical && *key != [0; 32] && *key != one && *key != minus_one && !ORDER_EIGHT.contains(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_small_order_or_with_a_second_spelling_is_refused() {
        let mut base = [0; 32];
        base[0] = 9;
        assert_eq!(read(&spki(&base)), Some(base));

        let mut high_bit = base;
        high_bit[31] |= 0x80;
        let mut beyond = PRIME;
        beyond[0] += 9;
        let mut minus_one = PRIME;
        minus_one[0] -= 1;
        let mut one = [0; 32];
        one[0] = 1;
        for weak in [high_bit, beyond, PRIME, minus_one, one, [0; 32], ORDER_EIGHT[0], ORDER_EIGHT[1]] {
            assert_eq!(read(&spki(&weak)), None, "{weak:02x?}");
        }
        assert_eq!(read(&base), None);
        assert_eq!(read(&spki(&base)[..43]), None);
    }
}
