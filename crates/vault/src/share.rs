//! Recovery shares: a slot's key in n parts, of which any k give it back and fewer say nothing of it.
//!
//! Shamir's scheme over GF(2^8). A share is 40 bytes and 4 of their SHA-256, printed as 32 words of the
//! BIP-39 list, 11 bits each: `format 1 | threshold | index | set b4 | part b32 | 0 | checksum b4`.

use std::fmt;

use bip39::Language;
use rand_core::{TryCryptoRng, TryRng};
use vsss_rs::Gf256;
use zeroize::Zeroizing;

use crate::{
    Error,
    sealed::{Secret, random},
};

/// The most shares of a set.
pub const MOST_SHARES: u8 = 16;
/// The words of a share.
const WORDS: usize = 32;
const BITS: usize = 11;
const BODY: usize = 40;
const FORMAT: u8 = 1;

/// Names a set of shares that were made together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId([u8; 4]);

/// One recovery share: secret, like a part of a passphrase.
pub struct Share {
    set: SetId,
    threshold: u8,
    index: u8,
    part: Secret,
}

/// Splits `key` so that any `threshold` of `count` shares give it back.
pub(crate) fn split(key: &Secret, threshold: u8, count: u8) -> Result<(SetId, Vec<Share>), Error> {
    if threshold < 2 || threshold > count || count > MOST_SHARES {
        return Err(Error::ShareNumbers { most: MOST_SHARES });
    }
    let set = SetId(random()?);
    let mut source = Source { failed: false };
    let made = Gf256::split_bytes(threshold.into(), count.into(), &key[..], &mut source);
    if source.failed {
        return Err(Error::Provider);
    }
    let made = Zeroizing::new(made.map_err(|_| Error::Provider)?);
    let share = |bytes: &Vec<u8>| {
        let (&index, part) = bytes.split_first().ok_or(Error::Provider)?;
        let part: &[u8; 32] = part.try_into().map_err(|_| Error::Provider)?;
        Ok(Share { set, threshold, index, part: Secret::from(*part) })
    };
    Ok((set, made.iter().map(share).collect::<Result<_, Error>>()?))
}

/// The key that these shares of one set give. Of wrong ones it gives another key: a slot tells.
pub(crate) fn combine(shares: &[&Share]) -> Result<Secret, Error> {
    let join = |share: &&Share| {
        let mut bytes = vec![share.index];
        bytes.extend_from_slice(&share.part[..]);
        bytes
    };
    let parts = Zeroizing::new(shares.iter().map(join).collect::<Vec<_>>());
    let key = Zeroizing::new(Gf256::combine_bytes(&*parts).map_err(|_| Error::Provider)?);
    let mut secret = Secret::default();
    secret.copy_from_slice(key.get(..32).ok_or(Error::Provider)?);
    Ok(secret)
}

impl Share {
    /// Reads a share from its words, as [`Self::words`] gives them: separated by anything, numbered or
    /// not. Lines that begin with `#` say nothing. Four letters of a word are enough.
    ///
    /// # Errors
    /// A word is unknown, there are more or fewer than 32, or the checksum does not fit.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words = lines.flat_map(|line| line.split(|c: char| !c.is_alphabetic()));
        let mut bytes = Zeroizing::new([0u8; WORDS * BITS / 8]);
        let mut read = 0;
        for word in words.filter(|word| !word.is_empty()) {
            read += 1;
            let number = number(word).ok_or(Error::ShareWord { at: read })?;
            if read > WORDS {
                return Err(Error::ShareLength { words: read });
            }
            for bit in 0..BITS {
                let at = (read - 1) * BITS + bit;
                bytes[at / 8] |= ((number >> (BITS - 1 - bit) & 1) as u8) << (7 - at % 8);
            }
        }
        if read != WORDS {
            return Err(Error::ShareLength { words: read });
        }
        let (body, checksum) = bytes.split_at(BODY);
        if envelope::sha256(body).as_bytes()[..4] != *checksum {
            return Err(Error::ShareChecksum);
        }
        let (head, rest) = body.split_at(7);
        let [format, threshold, index, set @ ..] = head else { return Err(Error::ShareChecksum) };
        let (format, threshold, index) = (*format, *threshold, *index);
        let (part, end) = rest.split_at(32);
        let sane = (2..=MOST_SHARES).contains(&threshold) && index != 0;
        if format != FORMAT || end != [0] || !sane {
            return Err(Error::ShareFormat);
        }
        let set = SetId(set.try_into().map_err(|_| Error::ShareFormat)?);
        let mut secret = Secret::default();
        secret.copy_from_slice(part);
        Ok(Self { set, threshold, index, part: secret })
    }

    /// Its words.
    pub fn words(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0u8; BODY + 4]);
        let (body, checksum) = bytes.split_at_mut(BODY);
        body[..3].copy_from_slice(&[FORMAT, self.threshold, self.index]);
        body[3..7].copy_from_slice(&self.set.0);
        body[7..39].copy_from_slice(&self.part[..]);
        checksum.copy_from_slice(&envelope::sha256(body).as_bytes()[..4]);
        let list = Language::English.word_list();
        // Long enough that nothing of it is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(WORDS * 9));
        for word in 0..WORDS {
            let bit = |number, at: usize| number << 1 | usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
            let number = (word * BITS..(word + 1) * BITS).fold(0, bit);
            if word > 0 {
                text.push(' ');
            }
            text.push_str(list[number]);
        }
        text
    }

    /// Which set it belongs to.
    pub fn set(&self) -> SetId {
        self.set
    }

    /// How many shares of its set open the vault.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Which of its set it is, from 1.
    pub fn index(&self) -> u8 {
        self.index
    }
}

/// The number of a word, or of the only one that begins like it.
fn number(word: &str) -> Option<usize> {
    let word = Zeroizing::new(word.to_lowercase());
    let list = Language::English.word_list();
    if let Ok(found) = list.binary_search(&word.as_str()) {
        return Some(found);
    }
    let begins = |entry: &&str| word.len() >= 4 && entry.starts_with(word.as_str());
    let mut found = list.iter().enumerate().filter(|(_, entry)| begins(entry)).map(|(at, _)| at);
    found.next().filter(|_| found.next().is_none())
}

/// The provider's generator for the sharing scheme. It never stops half way: whoever uses it looks at
/// `failed` afterwards.
struct Source {
    failed: bool,
}

impl TryRng for Source {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.failed |= aws_lc_rs::rand::fill(bytes).is_err();
        Ok(())
    }
}

impl TryCryptoRng for Source {}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} of set {})", self.index, self.set)
    }
}

impl SetId {
    pub(crate) const fn new(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
impl Share {
    /// The share with another part and a good checksum.
    pub(crate) fn forged(&self) -> Self {
        let mut part = self.part.clone();
        part[7] ^= 1;
        Self { set: self.set, threshold: self.threshold, index: self.index, part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::random_secret;

    #[test]
    fn any_k_of_n_shares_give_the_key_and_fewer_do_not() {
        for (threshold, count) in [(2, 2), (2, 3), (3, 5), (5, 5), (2, 16)] {
            let key = random_secret().unwrap();
            let (_, shares) = split(&key, threshold, count).unwrap();
            assert_eq!(shares.iter().map(Share::index).collect::<Vec<_>>(), (1..=count).collect::<Vec<_>>());
            let all: Vec<&Share> = shares.iter().collect();
            for window in all.windows(threshold.into()) {
                assert!(*combine(window).unwrap() == *key);
            }
            for window in all.windows(usize::from(threshold) - 1) {
                assert!(combine(window).map_or(true, |found| *found != *key));
            }
        }
        let key = random_secret().unwrap();
        for (threshold, count) in [(0, 3), (1, 3), (4, 3), (2, 17)] {
            assert!(matches!(split(&key, threshold, count), Err(Error::ShareNumbers { .. })));
        }
    }

    #[test]
    fn a_share_reads_back_from_its_words_numbered_shortened_or_shouted() {
        let (set, shares) = split(&random_secret().unwrap(), 3, 5).unwrap();
        for share in &shares {
            let words = share.words();
            assert_eq!(words.split(' ').count(), 32);
            let numbered: String =
                words.split(' ').enumerate().map(|(at, word)| format!("{}. {word}\n", at + 1)).collect();
            let short: String =
                words.split(' ').map(|word| format!("{} ", &word[..word.len().min(4)])).collect();
            for text in
                [words.as_str(), &format!("# share 2 of 5\n{numbered}"), &words.to_uppercase(), &short]
            {
                let read = Share::parse(text).unwrap();
                assert_eq!((read.set, read.threshold, read.index), (set, 3, share.index));
                assert!(*read.part == *share.part);
            }
        }
    }

    #[test]
    fn a_wrong_missing_swapped_or_unknown_word_is_noticed() {
        let (_, shares) = split(&random_secret().unwrap(), 2, 2).unwrap();
        let words = shares[0].words();
        let words: Vec<&str> = words.split(' ').collect();
        let list = Language::English.word_list();
        for at in 0..32 {
            let mut wrong = words.clone();
            wrong[at] = list[(number(words[at]).unwrap() + 1) % 2048];
            assert!(matches!(Share::parse(&wrong.join(" ")), Err(Error::ShareChecksum)), "word {at}");
            wrong[at] = "fleetseal";
            assert!(
                matches!(Share::parse(&wrong.join(" ")), Err(Error::ShareWord { at: found }) if found == at + 1)
            );
        }
        let mut swapped = words.clone();
        let other = (1..32).find(|at| words[*at] != words[0]).unwrap();
        swapped.swap(0, other);
        assert!(Share::parse(&swapped.join(" ")).is_err());
        assert!(matches!(Share::parse(&words[..31].join(" ")), Err(Error::ShareLength { words: 31 })));
        let long = format!("{} zoo", words.join(" "));
        assert!(matches!(Share::parse(&long), Err(Error::ShareLength { words: 33 })));
        assert!(matches!(Share::parse(""), Err(Error::ShareLength { words: 0 })));
    }

    #[test]
    fn debug_output_shows_nothing_of_a_share() {
        let (set, shares) = split(&random_secret().unwrap(), 2, 2).unwrap();
        assert_eq!(format!("{:?}", shares[0]), format!("Share(1 of set {set})"));
    }
}
