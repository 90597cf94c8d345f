use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::message::Header;

/// How messages are told apart on the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Framing {
    /// Lines of base64 with a CRC, which share the line with a console ("SMP over console").
    #[default]
    Console,
    /// Messages as they are, told apart by the length in their headers; for lines that lose nothing,
    /// such as USB.
    Raw,
}

/// The longest line of [`Framing::Console`], with its mark and its end, in bytes.
pub const LINE_BYTES: usize = 127;
/// How many bytes of a packet a line carries.
pub const LINE_PAYLOAD_BYTES: usize = (LINE_BYTES - 3) / 4 * 3;
/// No message is longer than this, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// The mark of a packet's first line.
const FIRST: [u8; 2] = [0x06, 0x09];
/// The mark of each further line.
const FURTHER: [u8; 2] = [0x04, 0x14];
/// The longest line that is read: a device may use longer ones than we send.
const MAX_LINE_BYTES: usize = 1024;

impl Framing {
    /// The bytes that carry `message`.
    pub fn encode(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Raw => message.to_vec(),
            Self::Console => {
                let length = u16::try_from(message.len() + 2).unwrap_or(u16::MAX);
                let crc = crc16(message).to_be_bytes();
                let packet = [&length.to_be_bytes()[..], message, &crc].concat();
                let mut bytes = Vec::with_capacity(packet.len() * 3 / 2);
                for (index, part) in packet.chunks(LINE_PAYLOAD_BYTES).enumerate() {
                    bytes.extend_from_slice(if index == 0 { &FIRST } else { &FURTHER });
                    bytes.extend_from_slice(STANDARD.encode(part).as_bytes());
                    bytes.push(b'\n');
                }
                bytes
            }
        }
    }

    /// How many bytes on the wire a message of `length` bytes becomes.
    pub const fn wire_bytes(self, length: usize) -> usize {
        match self {
            Self::Raw => length,
            Self::Console => {
                let packet = length + 4;
                let lines = packet.div_ceil(LINE_PAYLOAD_BYTES);
                let last = packet - (lines - 1) * LINE_PAYLOAD_BYTES;
                (lines - 1) * LINE_BYTES + last.div_ceil(3) * 4 + 3
            }
        }
    }
}

/// Finds messages in what a line brings, whatever stands between them.
///
/// What is damaged is dropped without a word, as devices do: the asking side notices by the missing
/// answer.
#[derive(Debug)]
pub struct Deframer {
    framing: Framing,
    /// The line, or in raw framing the message, that is being read.
    line: Vec<u8>,
    /// What kind of line that is.
    kind: Option<[u8; 2]>,
    /// The packet so far.
    packet: Vec<u8>,
    /// The byte before.
    previous: u8,
    /// How many packets or lines were damaged.
    damaged: u64,
}

impl Deframer {
    /// For one line.
    pub const fn new(framing: Framing) -> Self {
        Self { framing, line: Vec::new(), kind: None, packet: Vec::new(), previous: 0, damaged: 0 }
    }

    /// Takes the next byte; gives a message if one ends with it.
    pub fn push(&mut self, byte: u8) -> Option<Vec<u8>> {
        match self.framing {
            Framing::Console => self.push_console(byte),
            Framing::Raw => self.push_raw(byte),
        }
    }

    /// Every message that ends within `bytes`.
    pub fn push_all(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        bytes.iter().filter_map(|byte| self.push(*byte)).collect()
    }

    /// Forgets what was begun: after a silence in raw framing, and when the line was cut.
    pub fn reset(&mut self) {
        self.line.clear();
        self.packet.clear();
        self.kind = None;
        self.previous = 0;
    }

    /// How many lines or messages were dropped as damaged.
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    fn push_console(&mut self, byte: u8) -> Option<Vec<u8>> {
        let marks = [self.previous, byte];
        self.previous = byte;
        if marks == FIRST || marks == FURTHER {
            self.kind = Some(marks);
            self.line.clear();
            return None;
        }
        let kind = self.kind?;
        if byte != b'\n' {
            self.line.push(byte);
            if self.line.len() > MAX_LINE_BYTES {
                self.drop_packet();
            }
            return None;
        }
        self.kind = None;
        let line = std::mem::take(&mut self.line);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        let Ok(part) = STANDARD.decode(text) else {
            self.drop_packet();
            return None;
        };
        if kind == FIRST {
            self.packet.clear();
        } else if self.packet.is_empty() {
            // The rest of a packet whose beginning was lost.
            self.drop_packet();
            return None;
        }
        self.packet.extend_from_slice(&part);
        self.finish()
    }

    /// The message, once the packet is as long as it says.
    fn finish(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.packet.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if !(2..=MAX_MESSAGE_BYTES).contains(&length) || rest.len() > length {
            self.drop_packet();
            return None;
        }
        if rest.len() < length {
            return None;
        }
        // The CRC of a message and its own CRC is nothing.
        let message = (crc16(rest) == 0).then(|| rest[..length - 2].to_vec());
        match message {
            Some(_) => self.packet.clear(),
            None => self.drop_packet(),
        }
        message
    }

    fn push_raw(&mut self, byte: u8) -> Option<Vec<u8>> {
        self.line.push(byte);
        while let Some(header) = self.line.first_chunk::<{ Header::LEN }>() {
            let header = Header::decode(header).ok().filter(|header| {
                header.version <= Header::VERSION_2 && usize::from(header.length) <= MAX_MESSAGE_BYTES
            });
            let Some(header) = header else {
                // No message begins here: look from the next byte on.
                self.line.remove(0);
                self.damaged += 1;
                continue;
            };
            if self.line.len() < Header::LEN + usize::from(header.length) {
                return None;
            }
            return Some(std::mem::take(&mut self.line));
        }
        None
    }

    fn drop_packet(&mut self) {
        self.line.clear();
        self.packet.clear();
        self.kind = None;
        self.damaged += 1;
    }
}

/// CRC-16/XMODEM: polynomial 0x1021, from nothing, not reflected.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let [high, low] = crc.to_be_bytes();
        (u16::from(low) << 8) ^ CRC16[usize::from(high ^ byte)]
    })
}

/// What each byte makes of an empty CRC.
const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
