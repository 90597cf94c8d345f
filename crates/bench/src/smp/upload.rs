use model::Digest;
use protocol::smp::{Body, Header, Op, group};

use super::{
    error::Error,
    exchange::{Patience, Request},
    groups::{self, Parameters},
};

/// Where an upload goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// A slot: the one that does not run, or in recovery the primary one.
    Image {
        /// Which of the device's images; the first is 0.
        image: u64,
        /// The SHA-256 of what is uploaded, by which the device knows what it began with.
        sha256: Digest,
    },
    /// A file.
    File {
        /// Its path on the device.
        path: String,
    },
}

/// One upload with several pieces under way at once. Sans-IO: it says which request comes next, and is
/// told what became of each.
///
/// The device is believed about where it stands: it answers each piece with the offset that it wants
/// next. A piece that is lost, or that the device did not want, voids all that were sent after it.
#[derive(Debug)]
pub struct Upload<'a> {
    destination: Destination,
    data: &'a [u8],
    message_bytes: usize,
    limit: usize,
    window: usize,
    /// The offset that the device wants.
    wanted: usize,
    /// The offset of the next piece to send.
    next: usize,
    flights: Vec<Flight>,
    begun: bool,
    /// Losses since the device last moved on.
    losses: u32,
    regressions: u32,
    matched: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    sequence: u8,
    offset: usize,
    end: usize,
    /// Sent before a loss that the device must first recover from: its answer says nothing new.
    void: bool,
}

/// So often in a row nothing came before nobody is there.
const MAX_LOSSES: u32 = 12;
/// So often the device may go back to where it was before.
const MAX_REGRESSIONS: u32 = 4;
/// No device gains by more.
const MAX_WINDOW: u64 = 4;
/// A device looks at an image's header, in its first piece, before it erases anything.
const IMAGE_HEADER_BYTES: usize = 32;
/// The smallest piece that is worth a message.
const MIN_PIECE: usize = 8;

impl<'a> Upload<'a> {
    /// For a device with these buffers.
    ///
    /// # Errors
    /// Its buffers have no room for a piece.
    pub fn new(destination: Destination, data: &'a [u8], parameters: &Parameters) -> Result<Self, Error> {
        let upload = Self {
            destination,
            data,
            // Two bytes of length and two of CRC share the buffer.
            message_bytes: parameters.buffer_bytes.saturating_sub(4),
            limit: usize::try_from(parameters.buffers.saturating_sub(1).clamp(1, MAX_WINDOW)).unwrap_or(1),
            window: 1,
            wanted: 0,
            next: 0,
            flights: Vec::new(),
            begun: false,
            losses: 0,
            regressions: 0,
            matched: None,
        };
        let first = match upload.destination {
            Destination::Image { .. } => IMAGE_HEADER_BYTES,
            Destination::File { .. } => MIN_PIECE,
        };
        if upload.room(0) < first || upload.room(data.len()) < MIN_PIECE {
            return Err(Error::BufferTooSmall { bytes: parameters.buffer_bytes });
        }
        Ok(upload)
    }

    /// The next piece to send, if the window has room for one; then [`Self::sent`] is told.
    pub fn next_request(&self) -> Option<(Request, Patience)> {
        let under_way = self.flights.len();
        let window = if self.begun { self.window } else { 1 };
        if under_way >= window || (self.begun && self.next >= self.data.len()) {
            return None;
        }
        // What is void is answered, or lost, before the device is asked anew: its buffers are few.
        let end = self.end(self.next);
        let request = Request {
            op: Op::Write,
            group: match self.destination {
                Destination::Image { .. } => group::IMAGE,
                Destination::File { .. } => group::FS,
            },
            command: match self.destination {
                Destination::Image { .. } => group::image::UPLOAD,
                Destination::File { .. } => group::fs::FILE,
            },
            body: self.body(self.next, &self.data[self.next..end]),
        };
        // The first piece makes the device erase.
        let patience = if self.next == 0 { Patience::For(groups::ERASE_PATIENCE) } else { Patience::Learned };
        Some((request, patience))
    }

    /// The request from [`Self::next_request`] went out under this sequence number.
    pub fn sent(&mut self, sequence: u8) {
        let offset = self.next;
        let end = self.end(offset);
        self.flights.push(Flight { sequence, offset, end, void: false });
        self.next = end;
    }

    /// The device answered. Gives the sequence numbers that nobody need wait for any more.
    ///
    /// # Errors
    /// It refused, its answer has no offset, or it keeps going back.
    pub fn answered(&mut self, sequence: u8, body: &Body) -> Result<Vec<u8>, Error> {
        const WHAT: &str = "upload";
        let Some(at) = self.flights.iter().position(|flight| flight.sequence == sequence) else {
            return Ok(Vec::new());
        };
        // The device answers in order: those sent before were lost, or their answers were.
        let passed: Vec<u8> = self.flights.drain(..at).map(|flight| flight.sequence).collect();
        let flight = self.flights.remove(0);
        if flight.void {
            return Ok(passed);
        }
        if let Err(error) = groups::accepted(WHAT, group_of(&self.destination), body) {
            if flight.offset == self.wanted {
                return Err(error);
            }
            // Out of order, since a piece before it was lost.
            return self.lost_after(self.wanted).map(|()| passed);
        }
        let offset = body.uint("off").and_then(|offset| usize::try_from(offset).ok());
        let offset =
            offset.filter(|offset| *offset <= self.data.len()).ok_or(Error::Malformed { what: WHAT })?;
        if let Some(matched) = body.flag("match") {
            self.matched = Some(matched);
        }
        let first = !self.begun;
        self.begun = true;
        if offset == flight.end || (first && offset > 0) {
            self.moved_on(offset);
            return Ok(passed);
        }
        // A gap: the device wants something else than what follows this piece.
        if offset < self.wanted {
            self.regressions += 1;
            if self.regressions > MAX_REGRESSIONS {
                return Err(Error::Regressed);
            }
        }
        self.lost_after(offset).map(|()| passed)
    }

    /// No answer came. Whether that voided what was sent after it.
    ///
    /// # Errors
    /// Nobody is there any more.
    pub fn lost(&mut self, sequence: u8) -> Result<bool, Error> {
        let Some(at) = self.flights.iter().position(|flight| flight.sequence == sequence) else {
            return Ok(false);
        };
        let flight = self.flights.remove(at);
        if flight.void || flight.end <= self.wanted {
            return Ok(false);
        }
        self.lost_after(self.wanted).map(|()| true)
    }

    /// Whether the piece that makes the device erase is under way, and under which number.
    pub fn erasing(&self) -> Option<u8> {
        self.flights.iter().find(|flight| flight.offset == 0 && !flight.void).map(|flight| flight.sequence)
    }

    /// How many bytes the device has.
    pub const fn received_bytes(&self) -> usize {
        self.wanted
    }

    /// Whether the device has all of it.
    pub const fn is_complete(&self) -> bool {
        self.begun && self.wanted >= self.data.len()
    }

    /// Whether the device itself found that it has what was meant, if it looked.
    pub const fn matched(&self) -> Option<bool> {
        self.matched
    }

    fn moved_on(&mut self, offset: usize) {
        self.losses = 0;
        self.window = (self.window + 1).min(self.limit);
        self.wanted = offset;
        // A device that had the beginning already is ahead of what was sent.
        self.next = self.next.max(offset);
    }

    fn lost_after(&mut self, offset: usize) -> Result<(), Error> {
        self.losses += 1;
        if self.losses >= MAX_LOSSES {
            return Err(Error::NoAnswer { what: "upload" });
        }
        if self.losses >= 2 {
            self.window = 1;
        }
        self.wanted = offset;
        self.next = offset;
        // From the beginning: the device may erase again.
        self.begun &= offset > 0;
        for flight in &mut self.flights {
            flight.void = true;
        }
        Ok(())
    }

    fn body(&self, offset: usize, data: &[u8]) -> Body {
        let first = offset == 0;
        let length = first.then_some(self.data.len() as u64);
        match &self.destination {
            Destination::Image { image, sha256 } => Body::new()
                .with_some("image", (first && *image > 0).then_some(*image))
                .with("data", data)
                .with_some("len", length)
                .with("off", offset as u64)
                .with_some("sha", first.then_some(&sha256.as_bytes()[..])),
            Destination::File { path } => Body::new()
                .with("off", offset as u64)
                .with("data", data)
                .with_some("len", length)
                .with("name", path.as_str()),
        }
    }

    /// How many bytes of data fit into a message at `offset`.
    fn room(&self, offset: usize) -> usize {
        // The length of the data takes up to two bytes more than that of none.
        let overhead = Header::LEN + self.body(offset, &[]).encode().len() + 2;
        self.message_bytes.saturating_sub(overhead)
    }

    fn end(&self, offset: usize) -> usize {
        let room = self.room(offset);
        // Flash is written in words: whole ones, until the last.
        let piece = if room >= MIN_PIECE { room - room % MIN_PIECE } else { room };
        (offset + piece).min(self.data.len())
    }
}

const fn group_of(destination: &Destination) -> u16 {
    match destination {
        Destination::Image { .. } => group::IMAGE,
        Destination::File { .. } => group::FS,
    }
}
