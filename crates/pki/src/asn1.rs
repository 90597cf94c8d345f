//! The few structures of RFC 5280 and RFC 2986 that we read and write.
//!
//! They keep names, keys and identifiers as the octets they came in: an issuer's name must be copied,
//! not rewritten, and devices send identifiers with arcs of 128 bits, which parsers for dotted text
//! refuse.

use std::time::Duration;

use der::{
    Choice, DateTime, Decode, DecodeValue, Encode, EncodeValue, FixedTag, Header, Length, Reader, Sequence,
    SliceReader, Tag, Writer,
    asn1::{AnyRef, BitStringRef, GeneralizedTime, IntRef, OctetStringRef, UtcTime},
};
use model::UnixTime;

/// An object identifier, as its content octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Oid<'a>(pub(crate) &'a [u8]);

impl FixedTag for Oid<'_> {
    const TAG: Tag = Tag::ObjectIdentifier;
}

impl<'a> DecodeValue<'a> for Oid<'a> {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        let octets = reader.read_slice(header.length())?;
        // X.690, 8.19.2: each arc in the fewest octets, the last one complete.
        let padded = octets
            .iter()
            .enumerate()
            .any(|(at, &octet)| octet == 0x80 && (at == 0 || octets[at - 1] & 0x80 == 0));
        match octets.last() {
            Some(last) if last & 0x80 == 0 && !padded => Ok(Self(octets)),
            _ => Err(reader.error(Self::TAG.value_error())),
        }
    }
}

impl EncodeValue for Oid<'_> {
    fn value_len(&self) -> der::Result<Length> {
        Length::try_from(self.0.len())
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        writer.write(self.0)
    }
}

/// Any one element, header included, as it came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

impl<'a> Decode<'a> for Raw<'a> {
    type Error = der::Error;

    fn decode<R: Reader<'a>>(reader: &mut R) -> der::Result<Self> {
        reader.tlv_bytes().map(Self)
    }
}

impl Encode for Raw<'_> {
    fn encoded_len(&self) -> der::Result<Length> {
        Length::try_from(self.0.len())
    }

    fn encode(&self, writer: &mut impl Writer) -> der::Result<()> {
        writer.write(self.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Sequence)]
pub(crate) struct Algorithm<'a> {
    pub(crate) oid: Oid<'a>,
    pub(crate) parameters: Option<AnyRef<'a>>,
}

/// What certificates, certificate requests and revocation lists have in common.
#[derive(Clone, Copy, Debug, Sequence)]
pub(crate) struct Signed<'a> {
    pub(crate) body: Raw<'a>,
    pub(crate) algorithm: Algorithm<'a>,
    pub(crate) signature: BitStringRef<'a>,
}

/// TBSCertificate (RFC 5280, 4.1).
#[derive(Clone, Debug, Sequence)]
pub(crate) struct Tbs<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", default = "Default::default")]
    pub(crate) version: u8,
    pub(crate) serial: IntRef<'a>,
    pub(crate) algorithm: Algorithm<'a>,
    pub(crate) issuer: Raw<'a>,
    pub(crate) validity: Validity,
    pub(crate) subject: Raw<'a>,
    pub(crate) spki: Raw<'a>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub(crate) extensions: Option<Vec<Extension<'a>>>,
}

#[derive(Clone, Copy, Debug, Sequence)]
pub(crate) struct Validity {
    pub(crate) not_before: Time,
    pub(crate) not_after: Time,
}

/// Time (RFC 5280, 4.1.2.5).
#[derive(Clone, Copy, Debug, Choice)]
pub(crate) enum Time {
    #[asn1(type = "UTCTime")]
    Utc(UtcTime),
    #[asn1(type = "GeneralizedTime")]
    General(GeneralizedTime),
}

#[derive(Clone, Copy, Debug, Sequence)]
pub(crate) struct Extension<'a> {
    pub(crate) id: Oid<'a>,
    #[asn1(default = "Default::default")]
    pub(crate) critical: bool,
    pub(crate) value: &'a OctetStringRef,
}

/// CertificationRequestInfo (RFC 2986, 4.1).
#[derive(Clone, Debug, Sequence)]
pub(crate) struct RequestInfo<'a> {
    pub(crate) version: u8,
    pub(crate) subject: Raw<'a>,
    pub(crate) spki: Raw<'a>,
    /// `[0] IMPLICIT SET OF Attribute`.
    pub(crate) attributes: Raw<'a>,
}

#[derive(Clone, Copy, Debug, Sequence)]
pub(crate) struct BasicConstraints {
    #[asn1(default = "Default::default")]
    pub(crate) ca: bool,
    pub(crate) path_len: Option<u8>,
}

impl Algorithm<'static> {
    /// ecdsa-with-SHA256, parameters absent (RFC 5758, 3.2).
    pub(crate) const ECDSA_WITH_SHA256: Self =
        Self { oid: Oid(crate::oid::ECDSA_WITH_SHA256), parameters: None };
}

impl Time {
    /// UTCTime through 2049, GeneralizedTime from 2050 on, as RFC 5280 wants.
    pub(crate) fn new(instant: UnixTime) -> Self {
        let since = Duration::from_secs(instant.as_secs());
        let date = DateTime::from_unix_duration(since).expect("an instant lies between 1970 and 9999");
        UtcTime::from_date_time(date)
            .map_or_else(|_| Self::General(GeneralizedTime::from_date_time(date)), Self::Utc)
    }

    pub(crate) fn instant(self) -> UnixTime {
        let since = match self {
            Self::Utc(time) => time.to_unix_duration(),
            Self::General(time) => time.to_unix_duration(),
        };
        UnixTime::from_secs(since.as_secs())
    }
}

/// One element: `tag`, length, then `parts` one after the other.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let octets = length.to_be_bytes();
        let skip = octets.iter().take_while(|&&octet| octet == 0).count();
        out.push(0x80 | (octets.len() - skip) as u8);
        out.extend_from_slice(&octets[skip..]);
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// A SEQUENCE of `parts`.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

/// An OBJECT IDENTIFIER.
pub(crate) fn oid(octets: &[u8]) -> Vec<u8> {
    tlv(0x06, &[octets])
}

/// The elements in `content`, which must be nothing but elements.
pub(crate) fn elements(content: &[u8]) -> der::Result<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(content)?;
    let mut elements = Vec::new();
    while !reader.is_finished() {
        elements.push(AnyRef::decode(&mut reader)?);
    }
    Ok(elements)
}
