//! What a passphrase must be like.

use crate::Error;

/// Passphrases and stems that every guesser tries first, in lower case.
const COMMON: [&str; 24] = [
    "password",
    "passwort",
    "motdepasse",
    "contraseña",
    "letmein",
    "qwerty",
    "qwertz",
    "azerty",
    "iloveyou",
    "welcome",
    "changeme",
    "administrator",
    "admin",
    "default",
    "secret",
    "fleetseal",
    "abcdefgh",
    "monkey",
    "dragon",
    "football",
    "sunshine",
    "princess",
    "trustno",
    "correcthorsebatterystaple",
];

/// Refuses what a guesser finds soon: fewer than ten characters, fewer than five different ones, a run such as
/// `1234567890`, or little more than a common word or the holder's name.
///
/// It is a floor and no measure: Argon2id makes each guess dear, length makes guesses many. Five words
/// drawn by dice are a good passphrase.
///
/// # Errors
/// What to do better.
pub fn check_passphrase(passphrase: &str, holder: &str) -> Result<(), Error> {
    let weak = |reason| Err(Error::WeakPassphrase { reason });
    let lower: Vec<char> = passphrase.chars().flat_map(char::to_lowercase).collect();
    if lower.len() < 10 {
        return weak("use at least ten characters");
    }
    if passphrase.len() > 1024 {
        return weak("use at most 1024 bytes");
    }
    let mut distinct = lower.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 {
        return weak("use more different characters");
    }
    let steps = lower.windows(2).filter(|pair| {
        let step = i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0]));
        (-1..=1).contains(&step)
    });
    if steps.count() * 3 >= lower.len() * 2 {
        return weak("a run of neighboring characters is guessed first");
    }
    let text: String = lower.iter().filter(|c| c.is_alphanumeric()).collect();
    let name: String = holder.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    for common in COMMON.into_iter().chain([name.as_str()]) {
        let rest = text.chars().count().saturating_sub(common.chars().count());
        if !common.is_empty() && text.contains(common) && rest < 6 {
            return weak("a common word or your name with little around it is guessed first");
        }
    }
    Ok(())
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
            assert!(check_passphrase(weak, "Ada Lovelace").is_err(), "{weak}");
        }
        assert!(check_passphrase(&"long words ".repeat(200), "Ada").is_err());
    }

    #[test]
    fn words_drawn_by_dice_are_taken() {
        for good in ["gravel oboe lantern swift cactus", "vT7#q2Lm9xZ!", "Zürich träumt grün"] {
            assert!(check_passphrase(good, "Ada Lovelace").is_ok(), "{good}");
        }
    }
}
