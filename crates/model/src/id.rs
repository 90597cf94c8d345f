//! Typed ids. On the wire an id is a prefix that says what it names, then lower-case hexadecimal.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Random, UnixTime, hex};

/// A text that is no id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `{prefix}` and {digits} lower-case hexadecimal digits")]
pub struct ParseIdError {
    /// The prefix that this kind of id begins with.
    pub prefix: &'static str,
    /// How many digits follow it.
    pub digits: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string"))]
        pub struct $name([u8; $len]);

        impl $name {
            /// What the text form begins with.
            pub const PREFIX: &'static str = $prefix;
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The id with these bytes.
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes, as they stand in signed objects.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                hex::write(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix($prefix)
                    .and_then(hex::read)
                    .map(Self)
                    .ok_or(ParseIdError { prefix: $prefix, digits: 2 * $len })
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = ParseIdError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                bytes.try_into().map(Self).map_err(|_| ParseIdError { prefix: $prefix, digits: 2 * $len })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

macro_rules! random_id {
    ($($name:ident)*) => {$(
        impl $name {
            /// A fresh id.
            pub fn random(random: &mut (impl Random + ?Sized)) -> Self {
                let mut bytes = [0; Self::LEN];
                random.fill(&mut bytes);
                Self(bytes)
            }
        }
    )*};
}

id!(
    /// All devices, people and stations under one root of trust.
    FleetId, "flt_", 16
);
id!(
    /// One unit. Also the UUID in its certificate's subject alternative name.
    DeviceId, "dev_", 16
);
id!(
    /// A versioned set of artifacts with its metadata.
    ReleaseId, "rel_", 16
);
id!(
    /// A campaign that brings a release to devices.
    RolloutId, "rol_", 16
);
id!(
    /// One device's execution of a rollout.
    DeploymentId, "dep_", 16
);
id!(
    /// One artifact as sealed once: what a download link leads to.
    ArtifactId, "art_", 16
);
id!(
    /// A request for signatures over exactly these bytes.
    RequestId, "req_", 16
);
id!(
    /// A piece of long work.
    JobId, "job_", 16
);
id!(
    /// A one-time enrolment token. Its secret is known to the issuing vault and the device only.
    TokenId, "tok_", 16
);
id!(
    /// A download link: expiry in Unix seconds (8 bytes, big-endian), then 16 random bytes, so that
    /// links sort by expiry and sweeping the lapsed ones is one range delete.
    LinkId, "lnk_", 24
);

random_id!(FleetId DeviceId ReleaseId RolloutId DeploymentId ArtifactId RequestId JobId TokenId);

impl LinkId {
    /// A fresh id of a link that lapses at `expires_at`.
    pub fn random(expires_at: UnixTime, random: &mut (impl Random + ?Sized)) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&expires_at.as_secs().to_be_bytes());
        random.fill(&mut bytes[8..]);
        Self(bytes)
    }

    /// The lowest id of all links that lapse at `instant`; every link below it has lapsed before.
    pub fn floor(instant: UnixTime) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&instant.as_secs().to_be_bytes());
        Self(bytes)
    }

    /// When the link lapses.
    pub fn expires_at(&self) -> UnixTime {
        let (head, _) = self.0.split_at(8);
        UnixTime::from_secs(u64::from_be_bytes(head.try_into().expect("split at eight bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text_and_from_nothing_else() {
        let id = DeviceId::new([0xab; 16]);
        let text = id.to_string();
        assert_eq!(text, format!("dev_{}", "ab".repeat(16)));
        assert_eq!(text.parse(), Ok(id));
        for wrong in
            [&text[..35], &text.to_uppercase(), &text.replace("dev_", "rel_"), &format!("{text}0"), ""]
        {
            assert!(wrong.parse::<DeviceId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn links_sort_by_expiry() {
        struct Ones;
        impl Random for Ones {
            fn fill(&mut self, bytes: &mut [u8]) {
                bytes.fill(0xff);
            }
        }
        let early = LinkId::random(UnixTime::from_secs(1_000), &mut Ones);
        assert_eq!(early.expires_at(), UnixTime::from_secs(1_000));
        assert!(early < LinkId::floor(UnixTime::from_secs(1_001)));
        assert!(early > LinkId::floor(UnixTime::from_secs(1_000)));
    }
}
