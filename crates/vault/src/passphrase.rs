//! What a passphrase must be like.

use zxcvbn::{Score, zxcvbn};

use crate::Error;

/// The shortest passphrase, in characters.
const SHORTEST: usize = 10;
/// The longest passphrase, in bytes.
const LONGEST: usize = 1024;

/// How hard a passphrase is to guess, as zxcvbn estimates it.
#[derive(Debug, Clone, PartialEq)]
pub struct Strength {
    /// 0 (guessed at once) to 4 (very unguessable); a vault takes 3 and 4.
    pub score: u8,
    /// The decimal logarithm of the number of guesses. With Argon2id at half a second each, ten
    /// guessers need 10^9 guesses some fifty million seconds.
    pub guesses_log10: f64,
    /// Whether a vault takes it.
    pub enough: bool,
    /// What is wrong with it, and what to do better.
    pub advice: String,
}

/// Measures a passphrase. What everybody guesses first of this person, their name and the product's, counts
/// as known, and so does a word with marks strewn into it.
pub fn strength(passphrase: &str, holder: &str) -> Strength {
    let mut known: Vec<&str> = holder.split_whitespace().collect();
    let joined: String = holder.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    known.extend([holder, &joined, "fleetseal", "correcthorsebatterystaple"]);
    let plain: String = passphrase.chars().filter(|c| c.is_alphanumeric()).collect();
    let (one, two) = (zxcvbn(passphrase, &known), zxcvbn(&plain, &known));
    let entropy = if two.guesses() < one.guesses() { two } else { one };
    let characters = passphrase.chars().count();
    let advice = if characters < SHORTEST {
        "use at least ten characters".to_owned()
    } else if passphrase.len() > LONGEST {
        "use at most 1024 bytes".to_owned()
    } else if let Some(feedback) = entropy.feedback() {
        let warning = feedback.warning().map(|warning| warning.to_string());
        let suggestions = feedback.suggestions().iter().map(ToString::to_string);
        warning.into_iter().chain(suggestions).collect::<Vec<_>>().join(" ")
    } else if entropy.score() < Score::Three {
        "use more words, drawn by dice".to_owned()
    } else {
        String::new()
    };
    let enough = entropy.score() >= Score::Three && characters >= SHORTEST && passphrase.len() <= LONGEST;
    Strength { score: entropy.score().into(), guesses_log10: entropy.guesses_log10(), enough, advice }
}

/// Refuses what a guesser finds soon: fewer than ten characters, or less than [`Strength::enough`].
///
/// Argon2id makes each guess dear, length makes guesses many. Five words drawn by dice are a good passphrase.
///
/// # Errors
/// What to do better.
pub fn check_passphrase(passphrase: &str, holder: &str) -> Result<(), Error> {
    let Strength { enough, advice, .. } = strength(passphrase, holder);
    if enough { Ok(()) } else { Err(Error::WeakPassphrase { reason: advice }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passphrases_that_are_guessed_first_are_refused() {
        for weak in [
            "",
            "short",
            "123456789",
            "1234567890",
            "9876543210",
            "aaaaaaaaaaaa",
            "abababababab",
            "Password123!",
            "P-a-s-s-w-o-r-d 1",
            "qwertz12345",
            "Ada Lovelace",
            "ada-lovelace-7",
            "correct horse battery staple",
        ] {
            assert!(check_passphrase(weak, "Ada Lovelace").is_err(), "{weak}: {:?}", strength(weak, "Ada"));
        }
        assert!(check_passphrase(&"long words ".repeat(200), "Ada").is_err());
    }

    #[test]
    fn words_drawn_by_dice_are_taken() {
        for good in ["gravel oboe lantern swift cactus", "vT9#kQ2$mZ7!", "Sieben Zwerge tanzen im Regen 1893"]
        {
            check_passphrase(good, "Ada Lovelace").unwrap();
        }
    }

    #[test]
    fn the_meter_rises_with_the_words_and_says_what_to_do() {
        let scores = ["oboe", "oboe swift", "gravel oboe lantern", "gravel oboe lantern swift cactus"]
            .map(|text| strength(text, "Ada").guesses_log10);
        assert!(scores.is_sorted_by(|one, two| one < two), "{scores:?}");
        let weak = strength("Password123!", "Ada");
        assert!(weak.score < 3 && !weak.enough && !weak.advice.is_empty());
        let strong = strength("gravel oboe lantern swift cactus", "Ada");
        assert!(strong.score == 4 && strong.enough && strong.advice.is_empty(), "{strong:?}");
    }
}
