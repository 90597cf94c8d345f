//! Digests as people compare them: eight words to read aloud, and QR codes to scan.

use bip39::Language;
use model::Digest;
use protocol::ErrorCode;
use qrcode::{
    EcLevel, QrCode,
    render::{svg, unicode},
};

use crate::Error;

/// How many bits one word stands for.
const BITS: usize = 11;

/// The first 88 bits of a digest as eight words of the BIP-39 English list, which no two listeners
/// spell differently.
pub fn digest_words(digest: &Digest) -> [&'static str; 8] {
    let list = Language::English.word_list();
    let bit = |at: usize| usize::from(digest.as_bytes()[at / 8] >> (7 - at % 8) & 1);
    std::array::from_fn(|word| {
        let number = (word * BITS..(word + 1) * BITS).fold(0, |number, at| number << 1 | bit(at));
        list[number]
    })
}

/// A text as a QR code for a terminal, dark on light.
pub(crate) fn qr_text(text: &str) -> Result<String, Error> {
    Ok(code(text)?
        .render::<unicode::Dense1x2>()
        .dark_color(unicode::Dense1x2::Light)
        .light_color(unicode::Dense1x2::Dark)
        .build())
}

/// A text as a QR code, SVG.
pub(crate) fn qr_svg(text: &str) -> Result<String, Error> {
    Ok(code(text)?.render::<svg::Color<'_>>().min_dimensions(240, 240).build())
}

fn code(text: &str) -> Result<QrCode, Error> {
    QrCode::with_error_correction_level(text, EcLevel::M)
        .map_err(|source| Error::because(ErrorCode::TooLarge, "this is too long for a QR code", source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_eight_words_that_follow_from_its_first_bits() {
        assert_eq!(digest_words(&Digest::new([0; 32])), ["abandon"; 8]);
        assert_eq!(digest_words(&Digest::new([0xff; 32])), ["zoo"; 8]);
        let mut bytes = [0; 32];
        bytes[1] = 0b0010_0000;
        bytes[10] = 1;
        let words = digest_words(&Digest::new(bytes));
        assert_eq!((words[0], words[1], words[7]), ("ability", "abandon", "ability"));
        bytes[11] = 0xff;
        assert_eq!(digest_words(&Digest::new(bytes)), words);
    }

    #[test]
    fn a_signature_fits_a_qr_code_and_a_request_does_not() {
        let signature = "A".repeat(280);
        assert!(qr_text(&signature).unwrap().lines().count() > 20);
        assert!(qr_svg(&signature).unwrap().contains("<svg"));
        assert_eq!(qr_text(&"A".repeat(4_000)).unwrap_err().code(), ErrorCode::TooLarge);
    }
}
