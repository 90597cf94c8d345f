use super::body::{Body, BodyError};

/// What a message wants, or answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Asks to read.
    Read,
    /// Answers a read.
    ReadReply,
    /// Asks to write.
    Write,
    /// Answers a write.
    WriteReply,
}

/// The eight bytes before a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What it wants.
    pub op: Op,
    /// The version of the protocol on the wire: 0 for the first, 1 for the second.
    pub version: u8,
    /// How long the body is, in bytes.
    pub length: u16,
    /// Which group.
    pub group: u16,
    /// Counted by the asking side; the answer has the same.
    pub sequence: u8,
    /// Which command of the group.
    pub command: u8,
}

/// A whole message.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// What it wants.
    pub op: Op,
    /// The version of the protocol on the wire.
    pub version: u8,
    /// Which group.
    pub group: u16,
    /// Which command of the group.
    pub command: u8,
    /// Which exchange it belongs to.
    pub sequence: u8,
    /// What it says.
    pub body: Body,
}

/// Bytes that are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Eight bytes that begin no message.
    #[error("no SMP header")]
    Header,
    /// Its length is not the one that its header says.
    #[error("the message is not as long as it says")]
    Length,
    /// Its body is malformed.
    #[error("malformed body")]
    Body(#[from] BodyError),
}

impl Op {
    /// Whether this answers `asked`.
    pub const fn answers(self, asked: Self) -> bool {
        matches!((self, asked), (Self::ReadReply, Self::Read) | (Self::WriteReply, Self::Write))
    }

    /// The answer to this.
    pub const fn reply(self) -> Self {
        match self {
            Self::Read | Self::ReadReply => Self::ReadReply,
            Self::Write | Self::WriteReply => Self::WriteReply,
        }
    }
}

impl Header {
    /// Its length in bytes.
    pub const LEN: usize = 8;
    /// The version this speaks.
    pub const VERSION_2: u8 = 1;

    /// The bytes of it: reserved, version and operation; flags; length; group; sequence; command.
    pub const fn encode(&self) -> [u8; Self::LEN] {
        let op = match self.op {
            Op::Read => 0,
            Op::ReadReply => 1,
            Op::Write => 2,
            Op::WriteReply => 3,
        };
        let [length_high, length_low] = self.length.to_be_bytes();
        let [group_high, group_low] = self.group.to_be_bytes();
        [
            ((self.version & 3) << 3) | op,
            0,
            length_high,
            length_low,
            group_high,
            group_low,
            self.sequence,
            self.command,
        ]
    }

    /// Reads one.
    ///
    /// # Errors
    /// The reserved bits are set, or the operation is none.
    pub const fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, HeaderError> {
        let [first, _flags, length_high, length_low, group_high, group_low, sequence, command] = *bytes;
        let op = match first & 7 {
            0 => Op::Read,
            1 => Op::ReadReply,
            2 => Op::Write,
            3 => Op::WriteReply,
            _ => return Err(HeaderError::Header),
        };
        if first & 0xe0 != 0 {
            return Err(HeaderError::Header);
        }
        Ok(Self {
            op,
            version: (first >> 3) & 3,
            length: u16::from_be_bytes([length_high, length_low]),
            group: u16::from_be_bytes([group_high, group_low]),
            sequence,
            command,
        })
    }
}

impl Message {
    /// Header and body.
    pub fn encode(&self) -> Vec<u8> {
        let body = self.body.encode();
        let header = Header {
            op: self.op,
            version: self.version,
            length: u16::try_from(body.len()).unwrap_or(u16::MAX),
            group: self.group,
            sequence: self.sequence,
            command: self.command,
        };
        [&header.encode()[..], &body].concat()
    }

    /// Reads a whole one.
    ///
    /// # Errors
    /// It has no header, another length than it says, or a malformed body.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let (header, body) = bytes.split_first_chunk::<{ Header::LEN }>().ok_or(HeaderError::Length)?;
        let header = Header::decode(header)?;
        if body.len() != usize::from(header.length) {
            return Err(HeaderError::Length);
        }
        Ok(Self {
            op: header.op,
            version: header.version,
            group: header.group,
            command: header.command,
            sequence: header.sequence,
            body: Body::decode(body)?,
        })
    }
}
