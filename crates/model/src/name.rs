//! Names that people give: bounded, printable, without characters that a shell, a path or a
//! certificate would read as something else.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that cannot be a name of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be 1 to {max} of {alphabet}, and begin with a letter or digit")]
pub struct NameError {
    /// What kind of name it should have been.
    pub kind: &'static str,
    /// The longest that is taken, in bytes.
    pub max: usize,
    /// The characters that are taken.
    pub alphabet: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $extra:literal, $alphabet:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string"))]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let fits = (1..=$max).contains(&text.len())
                    && text.as_bytes()[0].is_ascii_alphanumeric()
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || $extra.contains(&b));
                if !fits {
                    return Err(NameError { kind: $kind, max: $max, alphabet: $alphabet });
                }
                Ok(Self(text.into()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

name!(
    /// A device's serial number as printed on its label.
    Serial, "a serial number", 64, b"-._", "letters, digits and -._"
);
name!(
    /// A product type.
    ModelName, "a model", 64, b"-._", "letters, digits and -._"
);
name!(
    /// A revision of a model's hardware.
    HardwareRevision, "a hardware revision", 32, b"-._", "letters, digits and -._"
);
name!(
    /// A part of a device that is updated on its own.
    Component, "a component", 32, b"-._", "letters, digits and -._"
);
name!(
    /// The program that writes an artifact into a device: `slots`, `rauc`, `swupdate`, `command`, `mcuboot`.
    InstallerName, "an installer", 32, b"-._", "letters, digits and -._"
);
name!(
    /// A manufacturing station. One label of a DNS name, for its devices' names end in it.
    StationName, "a station", 63, b"-", "letters, digits and -"
);
name!(
    /// A person who holds keys or a role.
    PersonName, "a person's name", 64, b"-._@ ", "letters, digits, spaces and -._@"
);

/// The path of a TUF target: relative, `/`-separated, without empty, `.` or `..` segments.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string"))]
pub struct TargetName(Box<str>);

impl TargetName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for TargetName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let segment = |s: &str| {
            !s.is_empty()
                && s != "."
                && s != ".."
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._+".contains(&b))
        };
        if text.len() > 200 || !text.split('/').all(segment) {
            return Err(NameError {
                kind: "a target name",
                max: 200,
                alphabet: "letters, digits, -._+ and single slashes",
            });
        }
        Ok(Self(text.into()))
    }
}

impl Serialize for TargetName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TargetName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_a_path_a_shell_or_a_certificate_would_misread() {
        assert!("GW-200.b".parse::<ModelName>().is_ok());
        for wrong in ["", "-rf", ".hidden", "a b", "a/b", "a\0b", "é", "a,b=c"] {
            assert!(wrong.parse::<ModelName>().is_err(), "{wrong:?}");
        }
        assert!("x".repeat(65).parse::<Serial>().is_err());
    }

    #[test]
    fn target_names_never_leave_their_folder() {
        assert!("gw-200/main/1.2.3.bin".parse::<TargetName>().is_ok());
        for wrong in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "a\\b", "a b"] {
            assert!(wrong.parse::<TargetName>().is_err(), "{wrong:?}");
        }
    }
}
