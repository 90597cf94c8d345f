use std::{collections::VecDeque, time::Duration};

use protocol::smp::{Body, Deframer, Framing, Header, Message, Op};

use super::timeout::Timeout;

/// What is asked of a device.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Read or write.
    pub op: Op,
    /// Which group.
    pub group: u16,
    /// Which command.
    pub command: u8,
    /// With what.
    pub body: Body,
}

/// How long an answer may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// As learned from the answers before.
    Learned,
    /// So long: the device erases its flash. Teaches nothing about other answers.
    For(Duration),
}

/// What became of a request, known by its sequence number.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The answer.
    Answer {
        /// Whose.
        sequence: u8,
        /// What it says.
        body: Body,
    },
    /// None came in time. One that comes later is dropped.
    Lost {
        /// Whose.
        sequence: u8,
    },
}

/// Requests and their answers on one line, any number under way at once. Sans-IO.
///
/// An answer belongs to the request with its sequence number, group, command and direction. Whatever
/// else comes is stale, or noise, and is dropped: a late answer never counts for a later request.
#[derive(Debug)]
pub struct Exchange {
    framing: Framing,
    deframer: Deframer,
    timeout: Timeout,
    next: u8,
    pending: Vec<Pending>,
    events: VecDeque<Event>,
    stale: u64,
    last_byte: Duration,
}

#[derive(Debug)]
struct Pending {
    sequence: u8,
    op: Op,
    group: u16,
    command: u8,
    sent: Duration,
    deadline: Duration,
    wire_bytes: usize,
    /// What was on its way when it was sent, itself included.
    queued_bytes: usize,
    /// Teaches how long answers take: asked once, with learned patience.
    teaches: bool,
}

/// In raw framing, a silence this long within a message ends it.
const RAW_SILENCE: Duration = Duration::from_millis(500);

impl Exchange {
    /// Nothing is under way.
    pub const fn new(framing: Framing, baud: Option<u32>) -> Self {
        Self {
            framing,
            deframer: Deframer::new(framing),
            timeout: Timeout::new(baud),
            next: 0,
            pending: Vec::new(),
            events: VecDeque::new(),
            stale: 0,
            last_byte: Duration::ZERO,
        }
    }

    /// Begins an exchange: its sequence number, and the bytes to send.
    pub fn begin(&mut self, now: Duration, request: &Request, patience: Patience) -> (u8, Vec<u8>) {
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        // One that still waited after 255 others is not answered any more.
        self.forget(sequence);
        let bytes = self.bytes(sequence, request);
        let queued_bytes = bytes.len() + self.pending.iter().map(|pending| pending.wire_bytes).sum::<usize>();
        let wait = match patience {
            Patience::Learned => self.timeout.wait(queued_bytes),
            Patience::For(duration) => duration,
        };
        self.pending.push(Pending {
            sequence,
            op: request.op,
            group: request.group,
            command: request.command,
            sent: now,
            deadline: now + wait,
            wire_bytes: bytes.len(),
            queued_bytes,
            teaches: patience == Patience::Learned,
        });
        (sequence, bytes)
    }

    /// Asks once more under the same sequence number, so that an answer to either counts. The bytes to
    /// send.
    pub fn again(&mut self, now: Duration, sequence: u8, request: &Request) -> Vec<u8> {
        self.timeout.lost();
        self.forget(sequence);
        let bytes = self.bytes(sequence, request);
        let wait = self.timeout.wait(bytes.len());
        self.pending.push(Pending {
            sequence,
            op: request.op,
            group: request.group,
            command: request.command,
            sent: now,
            deadline: now + wait,
            wire_bytes: bytes.len(),
            queued_bytes: bytes.len(),
            // Which of the two is answered nobody can tell (Karn).
            teaches: false,
        });
        bytes
    }

    /// Takes what the line brought.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) {
        if self.framing == Framing::Raw && now.saturating_sub(self.last_byte) > RAW_SILENCE {
            self.deframer.reset();
        }
        self.last_byte = now;
        for packet in self.deframer.push_all(bytes) {
            match Message::decode(&packet) {
                Ok(message) => self.answer(now, message),
                Err(_) => self.stale += 1,
            }
        }
    }

    /// What happened, in order. Asked again until there is nothing.
    pub fn next_event(&mut self, now: Duration) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let late = self.pending.iter().position(|pending| pending.deadline <= now)?;
        let late = self.pending.remove(late);
        Some(Event::Lost { sequence: late.sequence })
    }

    /// When the next of those under way is lost.
    pub fn deadline(&self) -> Option<Duration> {
        self.pending.iter().map(|pending| pending.deadline).min()
    }

    /// Waits for this one no longer: its answer, should it come, is stale.
    pub fn forget(&mut self, sequence: u8) {
        self.pending.retain(|pending| pending.sequence != sequence);
    }

    /// A loss that was not a late answer but a gap.
    pub const fn note_loss(&mut self) {
        self.timeout.lost();
    }

    /// Forgets all that is under way: the device booted, or the line was cut.
    pub fn reset(&mut self) {
        self.pending.clear();
        self.events.clear();
        self.deframer.reset();
        self.timeout = self.timeout.anew();
    }

    /// How long to wait for an answer, with nothing else under way.
    pub fn wait(&self) -> Duration {
        self.timeout.wait(0)
    }

    /// How many messages came that nobody waited for, or that were none.
    pub const fn stale(&self) -> u64 {
        self.stale
    }

    fn bytes(&self, sequence: u8, request: &Request) -> Vec<u8> {
        let message = Message {
            op: request.op,
            version: Header::VERSION_2,
            group: request.group,
            command: request.command,
            sequence,
            body: request.body.clone(),
        };
        self.framing.encode(&message.encode())
    }

    fn answer(&mut self, now: Duration, message: Message) {
        let asked = self.pending.iter().position(|pending| {
            pending.sequence == message.sequence
                && pending.group == message.group
                && pending.command == message.command
                && message.op.answers(pending.op)
        });
        let Some(asked) = asked else {
            self.stale += 1;
            return;
        };
        let asked = self.pending.remove(asked);
        if asked.teaches {
            self.timeout.answered(now.saturating_sub(asked.sent), asked.queued_bytes);
        }
        self.events.push_back(Event::Answer { sequence: message.sequence, body: message.body });
    }
}
