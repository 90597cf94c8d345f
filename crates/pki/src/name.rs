//! Names: whose fleet it is, and the DNS names by which CAs are kept apart.

use std::{fmt, str::FromStr};

use der::asn1::AnyRef;
use model::{DeviceId, Serial, StationName};

use crate::{
    Error,
    asn1::{elements, oid, sequence, tlv},
    oid,
};

/// Who runs the fleet, as it stands in every certificate (X.520 organizationName).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Organization(Box<str>);

/// A DNS domain under which the fleet's certificates are named, such as `fleet.example.com`. It need
/// not resolve.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetDomain(Box<str>);

/// A text that is no domain, or no organization's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected lower-case labels of letters, digits and inner hyphens with dots between, at most 120 characters, not below `devices`"
)]
pub struct FleetDomainError;

impl Organization {
    /// The name as text: 1 to 64 characters, none of them a control character.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Organization {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=64).contains(&text.chars().count())
            && !text.chars().any(char::is_control)
            && text.trim() == text;
        fits.then(|| Self(text.into())).ok_or(Error::Name { what: "the organization's name" })
    }
}

impl FleetDomain {
    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name space of a station's devices: `<station>.devices.<domain>`, in lower case.
    ///
    /// # Errors
    /// The station's name is no DNS label.
    pub fn of_station(&self, station: &StationName) -> Result<String, Error> {
        let label = station.as_str().to_ascii_lowercase();
        if !is_label(&label) {
            return Err(Error::Name { what: "the station's name" });
        }
        Ok(format!("{label}.devices.{self}"))
    }
}

impl FromStr for FleetDomain {
    type Err = FleetDomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() <= 120 && text.split('.').all(is_label) && !text.starts_with("devices.");
        fits.then(|| Self(text.into())).ok_or(FleetDomainError)
    }
}

impl fmt::Display for FleetDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FleetDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `name` is a DNS name (RFC 1123) in lower case.
pub(crate) fn is_dns_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether `name` lies in the name space `parent`, strictly below it.
pub(crate) fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).and_then(|head| head.strip_suffix('.')).is_some_and(|head| !head.is_empty())
}

/// The device's id as a UUID in its text form (RFC 9562, 4).
pub(crate) fn uuid(id: &DeviceId) -> String {
    let hex = id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The id in a UUID's text form, lower case.
pub(crate) fn device_id(uuid: &str) -> Option<DeviceId> {
    let id = format!("{}{}", DeviceId::PREFIX, uuid.replace('-', "")).parse().ok()?;
    (self::uuid(&id) == uuid).then_some(id)
}

/// The serial as X.520 serialNumber, a PrintableString, which has no underscore: a slash, which no
/// serial has, stands for it.
pub(crate) fn printable_serial(serial: &Serial) -> String {
    serial.as_str().replace('_', "/")
}

/// The serial in an X.520 serialNumber.
pub(crate) fn read_serial(text: &str) -> Option<Serial> {
    text.replace('/', "_").parse().ok()
}

/// A distinguished name (RFC 5280, 4.1.2.4), each attribute in its own set.
pub(crate) fn distinguished(attributes: &[(&[u8], &str)]) -> Vec<u8> {
    let sets: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(id, text)| {
            let tag = if *id == oid::SERIAL_NUMBER { 0x13 } else { 0x0c };
            tlv(0x31, &[&sequence(&[&oid(id), &tlv(tag, &[text.as_bytes()])])])
        })
        .collect();
    sequence(&sets.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The texts of all attributes of type `id` in a distinguished name.
///
/// # Errors
/// The name is no list of sets of attributes, or such an attribute is no text.
pub(crate) fn attributes<'a>(name: &'a [u8], id: &[u8]) -> der::Result<Vec<&'a str>> {
    let wrong = || der::Error::from(der::ErrorKind::Failed);
    let mut found = Vec::new();
    let [list] = elements(name)?[..] else { return Err(wrong()) };
    for set in elements(content(list, der::Tag::Sequence)?)? {
        for attribute in elements(content(set, der::Tag::Set)?)? {
            let [kind, value] = elements(content(attribute, der::Tag::Sequence)?)?[..] else {
                return Err(wrong());
            };
            if content(kind, der::Tag::ObjectIdentifier)? == id {
                let tag = der::Tagged::tag(&value);
                if tag != der::Tag::PrintableString && tag != der::Tag::Utf8String {
                    return Err(wrong());
                }
                found.push(std::str::from_utf8(value.value()).map_err(|_| wrong())?);
            }
        }
    }
    Ok(found)
}

fn content<'a>(any: AnyRef<'a>, tag: der::Tag) -> der::Result<&'a [u8]> {
    der::Tagged::tag(&any).assert_eq(tag)?;
    Ok(any.value())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}
