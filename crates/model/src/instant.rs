use std::{
    fmt,
    ops::{Add, Sub},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// An instant in whole seconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// On the wire it is RFC 3339 in UTC; in signed CBOR it is the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string"))]
pub struct UnixTime(u64);

/// A length of time in whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "number"))]
#[serde(transparent)]
pub struct Seconds(pub u64);

/// A text that is no instant between 1970 and 9999 in RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an instant in RFC 3339, such as 2026-01-31T12:00:00Z, between 1970 and 9999")]
pub struct ParseTimeError;

/// 9999-12-31T23:59:59Z, the last instant that has a four-digit year.
const LAST: u64 = 253_402_300_799;

impl UnixTime {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59Z, RFC 5280's "no well-defined expiration".
    pub const MAX: Self = Self(LAST);

    /// The instant `secs` seconds after 1970, capped at [`Self::MAX`].
    pub const fn from_secs(secs: u64) -> Self {
        if secs > LAST { Self::MAX } else { Self(secs) }
    }

    /// Seconds since 1970.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this instant is; nothing if it is before.
    pub const fn since(self, earlier: Self) -> Seconds {
        Seconds(self.0.saturating_sub(earlier.0))
    }
}

impl Seconds {
    /// `n` minutes.
    pub const fn minutes(n: u64) -> Self {
        Self(n * 60)
    }

    /// `n` hours.
    pub const fn hours(n: u64) -> Self {
        Self(n * 3_600)
    }

    /// `n` days of 24 hours.
    pub const fn days(n: u64) -> Self {
        Self(n * 86_400)
    }
}

impl From<Seconds> for std::time::Duration {
    fn from(seconds: Seconds) -> Self {
        Self::from_secs(seconds.0)
    }
}

impl Add<Seconds> for UnixTime {
    type Output = Self;

    fn add(self, seconds: Seconds) -> Self {
        Self::from_secs(self.0.saturating_add(seconds.0))
    }
}

impl Sub<Seconds> for UnixTime {
    type Output = Self;

    fn sub(self, seconds: Seconds) -> Self {
        Self(self.0.saturating_sub(seconds.0))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = i64::try_from(self.0).expect("capped at the year 9999");
        let utc = OffsetDateTime::from_unix_timestamp(secs).expect("capped at the year 9999");
        f.write_str(&utc.format(&Rfc3339).expect("a four-digit year in UTC has a form in RFC 3339"))
    }
}

impl fmt::Debug for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for UnixTime {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let utc =
            OffsetDateTime::parse(text, &Rfc3339).map_err(|_| ParseTimeError)?.to_offset(UtcOffset::UTC);
        let secs = u64::try_from(utc.unix_timestamp()).map_err(|_| ParseTimeError)?;
        if secs > LAST {
            return Err(ParseTimeError);
        }
        Ok(Self(secs))
    }
}

impl Serialize for UnixTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_rfc_3339_and_read_back() {
        let instant = UnixTime::from_secs(1_790_000_000);
        assert_eq!(instant.to_string(), "2026-09-21T14:13:20Z");
        assert_eq!("2026-09-21T16:13:20+02:00".parse(), Ok(instant));
        assert_eq!(UnixTime::MAX.to_string(), "9999-12-31T23:59:59Z");
        assert!("1969-12-31T23:59:59Z".parse::<UnixTime>().is_err());
        assert!("yesterday".parse::<UnixTime>().is_err());
    }

    #[test]
    fn arithmetic_never_leaves_the_range() {
        assert_eq!(UnixTime::MAX + Seconds::days(1), UnixTime::MAX);
        assert_eq!(UnixTime::EPOCH - Seconds(1), UnixTime::EPOCH);
        assert_eq!(UnixTime::EPOCH.since(UnixTime::MAX), Seconds(0));
    }
}
