//! Deterministic CBOR (RFC 8949, section 4.2.1), the one encoding of every object here.
//!
//! [`check`] runs before anything is read: one value has one encoding, so that a signature covers a
//! meaning and not merely some bytes. Readers then refuse every field below 64 that they do not
//! know, at every level; fields from 64 on are left to later versions that older readers may ignore.

use std::str::FromStr;

use model::UnixTime;

/// What a document may cost to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest document, in bytes.
    pub bytes: usize,
    /// How deep arrays, maps and the tag may nest; a scalar alone is at depth 0.
    pub depth: usize,
    /// The tag that the document begins with, if it begins with one. No other tag is taken.
    pub tag: Option<u64>,
}

/// Why bytes are not the CBOR that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More bytes than such a document may have.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The most that is taken.
        limit: usize,
    },
    /// Arrays and maps nest too deep.
    #[error("nested deeper than {limit}")]
    TooDeep {
        /// The deepest that is taken.
        limit: usize,
    },
    /// The document ends inside a value.
    #[error("truncated at byte {at}")]
    Truncated {
        /// Where the value begins.
        at: usize,
    },
    /// Bytes follow the document.
    #[error("bytes follow the document at byte {at}")]
    Trailing {
        /// Where they begin.
        at: usize,
    },
    /// An integer or length that has a shorter encoding.
    #[error("an integer or length is not in its shortest form at byte {at}")]
    NotShortest {
        /// Where the value begins.
        at: usize,
    },
    /// A string, array or map of indefinite length.
    #[error("an indefinite length at byte {at}")]
    Indefinite {
        /// Where the value begins.
        at: usize,
    },
    /// A map key that does not come after the one before it, or repeats it.
    #[error("a map key is out of order or repeated at byte {at}")]
    KeyOrder {
        /// Where the key begins.
        at: usize,
    },
    /// A map key that is no integer.
    #[error("a map key is no integer at byte {at}")]
    KeyType {
        /// Where the key begins.
        at: usize,
    },
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8 at byte {at}")]
    NotText {
        /// Where the text begins.
        at: usize,
    },
    /// A tag where none is expected, or another one.
    #[error("a tag that is not expected at byte {at}")]
    Tag {
        /// Where the tag begins.
        at: usize,
    },
    /// A boolean, null, undefined, float, reserved or unassigned value.
    #[error("a value of a kind that is not taken at byte {at}")]
    Kind {
        /// Where the value begins.
        at: usize,
    },
    /// A field that must be there is not.
    #[error("`{field}` is missing")]
    Missing {
        /// The field's name.
        field: &'static str,
    },
    /// A field below 64 that this version does not know.
    #[error("field {key} is unknown")]
    Unknown {
        /// The field's number.
        key: i64,
    },
    /// A field whose value is of another type, size or form.
    #[error("`{field}` has a wrong type, size or form")]
    Field {
        /// The field's name.
        field: &'static str,
    },
    /// A value, outside any named field, of another type, size or form.
    #[error("a value has a wrong type, size or form")]
    Value,
}

/// Fields from this number on may be added without a new version of an object.
const OPEN_FIELDS: i64 = 64;

const UINT: u8 = 0;
const NINT: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// Checks that `bytes` are one CBOR document in core deterministic encoding (RFC 8949, section
/// 4.2.1), of integers, byte strings, texts, arrays and integer-keyed maps alone.
///
/// # Errors
/// The first place where they are not, or a limit that they exceed.
pub fn check(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    if bytes.len() > limits.bytes {
        return Err(Error::TooLong { limit: limits.bytes });
    }
    let mut checker = Checker { bytes, at: 0, limits };
    let depth = match limits.tag {
        None => 0,
        Some(tag) => match checker.head()? {
            (TAG, found) if found == tag => 1,
            _ => return Err(Error::Tag { at: 0 }),
        },
    };
    checker.value(depth)?;
    if checker.at < bytes.len() {
        return Err(Error::Trailing { at: checker.at });
    }
    Ok(())
}

struct Checker<'b> {
    bytes: &'b [u8],
    at: usize,
    limits: &'b Limits,
}

impl Checker<'_> {
    /// Reads one head in its shortest form: major type and argument.
    fn head(&mut self) -> Result<(u8, u64), Error> {
        let at = self.at;
        let (major, info) = match self.bytes.get(at) {
            Some(first) => (first >> 5, first & 0x1f),
            None => return Err(Error::Truncated { at }),
        };
        if major > TAG {
            return Err(Error::Kind { at });
        }
        let (width, least) = match info {
            0..=23 => {
                self.at += 1;
                return Ok((major, info.into()));
            }
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            31 => return Err(Error::Indefinite { at }),
            _ => return Err(Error::Kind { at }),
        };
        let digits = self.bytes.get(at + 1..at + 1 + width).ok_or(Error::Truncated { at })?;
        let argument = digits.iter().fold(0, |value: u64, digit| value << 8 | u64::from(*digit));
        if argument < least {
            return Err(Error::NotShortest { at });
        }
        self.at += 1 + width;
        Ok((major, argument))
    }

    fn value(&mut self, depth: usize) -> Result<(), Error> {
        if depth > self.limits.depth {
            return Err(Error::TooDeep { limit: self.limits.depth });
        }
        let at = self.at;
        let (major, argument) = self.head()?;
        match major {
            BYTES => self.string(at, argument).map(drop),
            TEXT => {
                let text = self.string(at, argument)?;
                std::str::from_utf8(text).map(drop).map_err(|_| Error::NotText { at })
            }
            ARRAY => (0..argument).try_for_each(|_| self.value(depth + 1)),
            MAP => self.map(argument, depth + 1),
            TAG => Err(Error::Tag { at }),
            _ => Ok(()),
        }
    }

    fn string(&mut self, at: usize, len: u64) -> Result<&[u8], Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len =
            usize::try_from(len).ok().filter(|len| *len <= rest.len()).ok_or(Error::Truncated { at })?;
        self.at += len;
        Ok(&rest[..len])
    }

    fn map(&mut self, pairs: u64, depth: usize) -> Result<(), Error> {
        let mut before: &[u8] = &[];
        let bytes = self.bytes;
        for _ in 0..pairs {
            let at = self.at;
            let (major, _) = self.head()?;
            if major != UINT && major != NINT {
                return Err(Error::KeyType { at });
            }
            let key = &bytes[at..self.at];
            if key <= before {
                return Err(Error::KeyOrder { at });
            }
            before = key;
            self.value(depth)?;
        }
        Ok(())
    }
}

/// Writes deterministic CBOR. The caller writes the keys of a map in ascending order.
#[derive(Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
    /// The keys written so far into the map that is open, and the rank of the last of them.
    pairs: u8,
    last: Option<u64>,
}

impl Writer {
    /// A writer that does not move its bytes until they are more than `capacity`.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity), ..Self::default() }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn uint(&mut self, value: u64) -> &mut Self {
        self.head(UINT, value)
    }

    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        match u64::try_from(value) {
            Ok(value) => self.head(UINT, value),
            Err(_) => self.head(NINT, value.unsigned_abs() - 1),
        }
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64);
        self.out.extend_from_slice(value);
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64);
        self.out.extend_from_slice(value.as_bytes());
        self
    }

    /// Begins an array; `items` values follow.
    pub(crate) fn array(&mut self, items: usize) -> &mut Self {
        self.head(ARRAY, items as u64)
    }

    /// A map of fewer than 24 pairs; `write` writes [`Self::key`] and value of each, keys ascending.
    pub(crate) fn map(&mut self, write: impl FnOnce(&mut Self)) -> &mut Self {
        let head = self.out.len();
        self.out.push(0);
        let outer = (std::mem::take(&mut self.pairs), self.last.take());
        write(self);
        assert!(self.pairs < 24, "our maps are small");
        self.out[head] = MAP << 5 | self.pairs;
        (self.pairs, self.last) = outer;
        self
    }

    pub(crate) fn key(&mut self, key: i64) -> &mut Self {
        debug_assert!(self.last < Some(rank(key)), "keys ascend: {key}");
        self.last = Some(rank(key));
        self.pairs += 1;
        self.int(key)
    }

    pub(crate) fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(TAG, tag)
    }

    fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        let major = major << 5;
        match argument {
            0..=23 => self.out.push(major | argument as u8),
            24..=0xff => self.out.extend_from_slice(&[major | 24, argument as u8]),
            0x100..=0xffff => {
                self.out.push(major | 25);
                self.out.extend_from_slice(&(argument as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.out.push(major | 26);
                self.out.extend_from_slice(&(argument as u32).to_be_bytes());
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&argument.to_be_bytes());
            }
        }
        self
    }
}

/// Reads a document that [`check`] found good.
pub(crate) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    /// Checks `bytes`, then reads them from the start, behind the tag if there is one.
    pub(crate) fn new(bytes: &'b [u8], limits: &Limits) -> Result<Self, Error> {
        check(bytes, limits)?;
        let mut reader = Self { bytes, at: 0 };
        if limits.tag.is_some() {
            reader.argument(TAG)?;
        }
        Ok(reader)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, Error> {
        self.argument(UINT)
    }

    pub(crate) fn int(&mut self) -> Result<i64, Error> {
        let (major, argument) = self.head()?;
        let value = i64::try_from(argument).map_err(|_| Error::Value)?;
        match major {
            UINT => Ok(value),
            NINT => Ok(-1 - value),
            _ => Err(Error::Value),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], Error> {
        let len = self.argument(BYTES)?;
        self.take(len)
    }

    /// A byte string of exactly `N` bytes.
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.bytes()?.try_into().map_err(|_| Error::Value)
    }

    pub(crate) fn text(&mut self) -> Result<&'b str, Error> {
        let len = self.argument(TEXT)?;
        std::str::from_utf8(self.take(len)?).map_err(|_| Error::Value)
    }

    /// A text that parses as `T`.
    pub(crate) fn parsed<T: FromStr>(&mut self) -> Result<T, Error> {
        self.text()?.parse().map_err(|_| Error::Value)
    }

    /// An instant: Unix seconds, up to the year 9999.
    pub(crate) fn time(&mut self) -> Result<UnixTime, Error> {
        let secs = self.uint()?;
        let time = UnixTime::from_secs(secs);
        if time.as_secs() == secs { Ok(time) } else { Err(Error::Value) }
    }

    /// The number of values of an array, which follow.
    pub(crate) fn array(&mut self) -> Result<u64, Error> {
        self.argument(ARRAY)
    }

    /// An array whose values `read` reads.
    pub(crate) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        (0..self.array()?).map(|_| read(self)).collect()
    }

    /// A map whose fields `read` reads, in ascending order; it refuses what `read` left over.
    pub(crate) fn map<T>(
        &mut self,
        read: impl FnOnce(&mut Map<'_, 'b>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let left = self.argument(MAP)?;
        let mut map = Map { reader: self, left };
        let value = read(&mut map)?;
        map.end()?;
        Ok(value)
    }

    fn argument(&mut self, expected: u8) -> Result<u64, Error> {
        match self.head()? {
            (major, argument) if major == expected => Ok(argument),
            _ => Err(Error::Value),
        }
    }

    fn head(&mut self) -> Result<(u8, u64), Error> {
        let limits = Limits { bytes: 0, depth: 0, tag: None };
        let mut checker = Checker { bytes: self.bytes, at: self.at, limits: &limits };
        let head = checker.head()?;
        self.at = checker.at;
        Ok(head)
    }

    fn take(&mut self, len: u64) -> Result<&'b [u8], Error> {
        let rest = &self.bytes[self.at..];
        let len = usize::try_from(len).ok().filter(|len| *len <= rest.len()).ok_or(Error::Value)?;
        self.at += len;
        Ok(&rest[..len])
    }

    fn skip(&mut self) -> Result<(), Error> {
        let limits = Limits { bytes: self.bytes.len(), depth: usize::MAX, tag: None };
        let mut checker = Checker { bytes: self.bytes, at: self.at, limits: &limits };
        checker.value(0)?;
        self.at = checker.at;
        Ok(())
    }
}

/// The fields of a map that have not been read yet.
pub(crate) struct Map<'r, 'b> {
    reader: &'r mut Reader<'b>,
    left: u64,
}

impl<'b> Map<'_, 'b> {
    /// The field `key`, which must be there. Fields are asked for in ascending order of their
    /// encoding: 0, 1, ..., then -1, -2, ...
    pub(crate) fn required<T>(
        &mut self,
        key: i64,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'b>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.optional(key, field, read)?.ok_or(Error::Missing { field })
    }

    /// The field `key`, if it is there.
    pub(crate) fn optional<T>(
        &mut self,
        key: i64,
        field: &'static str,
        read: impl FnOnce(&mut Reader<'b>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        while self.left > 0 {
            let start = self.reader.at;
            let found = self.reader.int()?;
            if rank(found) > rank(key) {
                self.reader.at = start;
                return Ok(None);
            }
            self.left -= 1;
            if found == key {
                let value = read(self.reader);
                let field = Error::Field { field };
                return value.map(Some).map_err(|error| if error == Error::Value { field } else { error });
            }
            self.pass(found)?;
        }
        Ok(None)
    }

    fn end(mut self) -> Result<(), Error> {
        while self.left > 0 {
            let found = self.reader.int()?;
            self.left -= 1;
            self.pass(found)?;
        }
        Ok(())
    }

    fn pass(&mut self, found: i64) -> Result<(), Error> {
        if found < OPEN_FIELDS {
            return Err(Error::Unknown { key: found });
        }
        self.reader.skip()
    }
}

/// Where a key stands in the order of encoded keys.
fn rank(key: i64) -> u64 {
    u64::try_from(key).unwrap_or_else(|_| (1 << 63) | (key.unsigned_abs() - 1))
}

#[cfg(test)]
pub(crate) mod value;

#[cfg(test)]
mod tests;
