//! Any CBOR document that we take, for tests that take one apart and put it together wrong.

use super::{ARRAY, BYTES, Checker, Error, Limits, MAP, NINT, TEXT, UINT, check};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Int(i64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Value>),
    Map(Fields),
}

/// The pairs of a map.
pub(crate) type Fields = Vec<(i64, Value)>;

/// How an encoder may get it wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    NotShortest,
    Indefinite,
    Repeated,
    Unsorted,
}

pub(crate) const LIMITS: Limits = Limits { bytes: 1 << 20, depth: 16, tag: None };

impl Value {
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(crate) fn map<const N: usize>(fields: [(i64, Self); N]) -> Self {
        Self::Map(fields.into())
    }

    pub(crate) fn into_fields(self) -> Fields {
        let Self::Map(fields) = self else { panic!("a map") };
        fields
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        self.encode_with(Fault::None, 0).0
    }

    /// The encoding with one fault at the `nth` place where it can be, and whether there was a place for it.
    pub(crate) fn encode_with(&self, fault: Fault, nth: usize) -> (Vec<u8>, bool) {
        let mut encoder = Encoder { out: Vec::new(), fault, left: nth, done: false };
        encoder.value(self);
        (encoder.out, encoder.done)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        check(bytes, &LIMITS).unwrap();
        let limits = LIMITS;
        Self::read(&mut Checker { bytes, at: 0, limits: &limits }).unwrap()
    }

    fn read(checker: &mut Checker<'_>) -> Result<Self, Error> {
        let at = checker.at;
        let (major, argument) = checker.head()?;
        Ok(match major {
            UINT => Self::Int(argument.try_into().unwrap()),
            NINT => Self::Int(-1 - i64::try_from(argument).unwrap()),
            BYTES => Self::Bytes(checker.string(at, argument)?.to_vec()),
            TEXT => Self::Text(String::from_utf8(checker.string(at, argument)?.to_vec()).unwrap()),
            ARRAY => Self::Array((0..argument).map(|_| Self::read(checker)).collect::<Result<_, _>>()?),
            MAP => Self::Map(
                (0..argument)
                    .map(|_| {
                        let Self::Int(key) = Self::read(checker)? else { return Err(Error::KeyType { at }) };
                        Ok((key, Self::read(checker)?))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            _ => return Err(Error::Kind { at }),
        })
    }
}

struct Encoder {
    out: Vec<u8>,
    fault: Fault,
    left: usize,
    done: bool,
}

impl Encoder {
    /// Whether the fault is due here.
    fn due(&mut self, fault: Fault) -> bool {
        let due = self.fault == fault && !self.done && self.left == 0;
        if self.fault == fault && !self.done && !due {
            self.left -= 1;
        }
        self.done |= due;
        due
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Int(int) => self.int(*int),
            Value::Bytes(bytes) => self.string(BYTES, bytes),
            Value::Text(text) => self.string(TEXT, text.as_bytes()),
            Value::Array(items) => {
                let open = self.container(ARRAY, items.len());
                items.iter().for_each(|item| self.value(item));
                self.close(open);
            }
            Value::Map(fields) => {
                let mut fields = fields.clone();
                if !fields.is_empty() && self.due(Fault::Repeated) {
                    fields.insert(0, fields[0].clone());
                }
                if fields.len() > 1 && self.due(Fault::Unsorted) {
                    fields.swap(0, 1);
                }
                let open = self.container(MAP, fields.len());
                for (key, value) in &fields {
                    self.int(*key);
                    self.value(value);
                }
                self.close(open);
            }
        }
    }

    fn int(&mut self, int: i64) {
        match u64::try_from(int) {
            Ok(int) => self.head(UINT, int),
            Err(_) => self.head(NINT, int.unsigned_abs() - 1),
        }
    }

    fn string(&mut self, major: u8, bytes: &[u8]) {
        let open = self.due(Fault::Indefinite);
        if open {
            self.out.push(major << 5 | 31);
        }
        self.head(major, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        self.close(open);
    }

    fn container(&mut self, major: u8, len: usize) -> bool {
        let open = self.due(Fault::Indefinite);
        if open {
            self.out.push(major << 5 | 31);
        } else {
            self.head(major, len as u64);
        }
        open
    }

    fn close(&mut self, open: bool) {
        if open {
            self.out.push(0xff);
        }
    }

    fn head(&mut self, major: u8, argument: u64) {
        let shortest = match argument {
            0..=23 => 0,
            24..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        };
        let wider = if shortest == 0 { 1 } else { shortest * 2 };
        let width = if shortest < 8 && self.due(Fault::NotShortest) { wider } else { shortest };
        let info = match width {
            0 => argument as u8,
            1 => 24,
            2 => 25,
            4 => 26,
            _ => 27,
        };
        self.out.push(major << 5 | info);
        self.out.extend_from_slice(&argument.to_be_bytes()[8 - width..]);
    }
}
