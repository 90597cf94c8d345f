use minicbor::{Decoder, Encoder, data::Type, encode::Error as EncodeError};

/// A value in the body of a message.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A number from nothing upwards.
    Uint(u64),
    /// A number below nothing.
    Negative(i64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Text.
    Text(String),
    /// Yes or no.
    Bool(bool),
    /// Nothing.
    Null,
    /// Several, in order.
    Array(Vec<Self>),
    /// Several, by name.
    Map(Body),
}

/// The body of a message: a map from names to values, in the order in which they were written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Body(Vec<(String, Value)>);

/// Bytes that are no map of names, or one deeper than any message needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a CBOR map of names")]
pub struct BodyError;

/// Deeper than this no message goes.
const DEPTH: usize = 8;

impl Body {
    /// An empty one.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// With `name` set to `value`, after what is there.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    /// With `name` set, if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The value of `name`; of two, the first.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The number `name`.
    pub fn uint(&self, name: &str) -> Option<u64> {
        if let Value::Uint(value) = self.get(name)? { Some(*value) } else { None }
    }

    /// The text `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        if let Value::Text(value) = self.get(name)? { Some(value) } else { None }
    }

    /// The bytes `name`.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        if let Value::Bytes(value) = self.get(name)? { Some(value) } else { None }
    }

    /// Whether `name` is true; nothing if it is neither.
    pub fn flag(&self, name: &str) -> Option<bool> {
        if let Value::Bool(value) = self.get(name)? { Some(*value) } else { None }
    }

    /// The values of the list `name`.
    pub fn list(&self, name: &str) -> Option<&[Value]> {
        if let Value::Array(values) = self.get(name)? { Some(values) } else { None }
    }

    /// Names and values in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// CBOR with definite lengths.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut Encoder::new(&mut bytes)).expect("a vector takes every byte");
        bytes
    }

    /// Reads one; definite and indefinite lengths alike, as devices write both.
    ///
    /// # Errors
    /// It is no map of names, nested too deeply, or something follows it.
    pub fn decode(bytes: &[u8]) -> Result<Self, BodyError> {
        let mut decoder = Decoder::new(bytes);
        let body = Self::read(&mut decoder, DEPTH)?;
        if decoder.position() == bytes.len() { Ok(body) } else { Err(BodyError) }
    }

    fn write(
        &self,
        encoder: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), EncodeError<std::convert::Infallible>> {
        encoder.map(self.0.len() as u64)?;
        for (name, value) in &self.0 {
            encoder.str(name)?;
            value.write(encoder)?;
        }
        Ok(())
    }

    fn read(decoder: &mut Decoder<'_>, depth: usize) -> Result<Self, BodyError> {
        let depth = depth.checked_sub(1).ok_or(BodyError)?;
        let count = decoder.map().map_err(|_| BodyError)?;
        let mut entries = Vec::new();
        while more(decoder, count, entries.len())? {
            let Value::Text(name) = Value::read(decoder, depth)? else { return Err(BodyError) };
            entries.push((name, Value::read(decoder, depth)?));
        }
        Ok(Self(entries))
    }
}

impl Value {
    /// The map, if it is one.
    pub const fn map(&self) -> Option<&Body> {
        if let Self::Map(body) = self { Some(body) } else { None }
    }

    fn write(
        &self,
        encoder: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), EncodeError<std::convert::Infallible>> {
        match self {
            Self::Uint(value) => encoder.u64(*value)?,
            Self::Negative(value) => encoder.i64(*value)?,
            Self::Bytes(value) => encoder.bytes(value)?,
            Self::Text(value) => encoder.str(value)?,
            Self::Bool(value) => encoder.bool(*value)?,
            Self::Null => encoder.null()?,
            Self::Array(values) => {
                encoder.array(values.len() as u64)?;
                for value in values {
                    value.write(encoder)?;
                }
                encoder
            }
            Self::Map(body) => {
                body.write(encoder)?;
                encoder
            }
        };
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the type of CBOR that no message has are one case")]
    fn read(decoder: &mut Decoder<'_>, depth: usize) -> Result<Self, BodyError> {
        let wrong = |_| BodyError;
        Ok(match decoder.datatype().map_err(wrong)? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => Self::Uint(decoder.u64().map_err(wrong)?),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => Self::Negative(decoder.i64().map_err(wrong)?),
            Type::Bool => Self::Bool(decoder.bool().map_err(wrong)?),
            Type::Null | Type::Undefined => {
                decoder.skip().map_err(wrong)?;
                Self::Null
            }
            Type::Bytes | Type::BytesIndef => {
                let mut bytes = Vec::new();
                for part in decoder.bytes_iter().map_err(wrong)? {
                    bytes.extend_from_slice(part.map_err(wrong)?);
                }
                Self::Bytes(bytes)
            }
            Type::String | Type::StringIndef => {
                let mut text = String::new();
                for part in decoder.str_iter().map_err(wrong)? {
                    text.push_str(part.map_err(wrong)?);
                }
                Self::Text(text)
            }
            Type::Array | Type::ArrayIndef => {
                let depth = depth.checked_sub(1).ok_or(BodyError)?;
                let count = decoder.array().map_err(wrong)?;
                let mut values = Vec::new();
                while more(decoder, count, values.len())? {
                    values.push(Self::read(decoder, depth)?);
                }
                Self::Array(values)
            }
            Type::Map | Type::MapIndef => Self::Map(Body::read(decoder, depth)?),
            _ => return Err(BodyError),
        })
    }
}

/// Whether another element follows; the mark that ends an indefinite length is taken.
#[expect(clippy::wildcard_enum_match_arm, reason = "every type but the break is an element")]
fn more(decoder: &mut Decoder<'_>, count: Option<u64>, read: usize) -> Result<bool, BodyError> {
    match count {
        Some(count) => Ok((read as u64) < count),
        None => match decoder.datatype().map_err(|_| BodyError)? {
            Type::Break => decoder.skip().map(|()| false).map_err(|_| BodyError),
            _ => Ok(true),
        },
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Uint(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl From<Vec<Self>> for Value {
    fn from(values: Vec<Self>) -> Self {
        Self::Array(values)
    }
}

impl From<Body> for Value {
    fn from(body: Body) -> Self {
        Self::Map(body)
    }
}
