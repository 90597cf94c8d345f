use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use protocol::smp::{Body, Framing, Op, group};

use super::{
    error::Error,
    exchange::{Event, Exchange, Patience, Request},
    groups::{self, Parameters},
    upload::{Destination, Upload},
};
use crate::port::Port;

/// Asks for work to stop at the next point where it can be taken up again.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

/// How far an upload is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What the device has, in bytes.
    pub done_bytes: u64,
    /// All of it, in bytes.
    pub total_bytes: u64,
    /// When, on the line's clock.
    pub at: Duration,
}

/// The bench's end of one line. Blocking: it has a thread of its own.
pub struct Client {
    port: Box<dyn Port>,
    exchange: Exchange,
    cancel: Cancel,
}

/// How often a question is asked before nobody is there.
const ATTEMPTS: u32 = 5;
/// How long a read may block before cancellation is looked at.
const SLICE: Duration = Duration::from_millis(100);
/// How many echoes find out whether the first piece of an upload was lost.
const PROBES: u32 = 8;

impl Cancel {
    /// Nobody has canceled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody canceled.
    pub fn is_canceled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

impl Client {
    /// On this line.
    pub fn new(port: Box<dyn Port>, framing: Framing, cancel: Cancel) -> Self {
        let exchange = Exchange::new(framing, port.baud());
        Self { port, exchange, cancel }
    }

    /// The line's clock.
    pub fn now(&self) -> Duration {
        self.port.now()
    }

    /// Waits, reading what comes and dropping it: a device that boots talks.
    ///
    /// # Errors
    /// The line is gone, or somebody canceled.
    pub fn drain(&mut self, patience: Duration) -> Result<(), Error> {
        let end = self.port.now() + patience;
        while self.port.now() < end {
            self.listen(end)?;
            while self.exchange.next_event(Duration::ZERO).is_some() {}
        }
        Ok(())
    }

    /// Asks, again if need be, and returns what the device answers.
    ///
    /// # Errors
    /// The line is gone, nobody answers, the device refuses, or somebody canceled.
    pub fn ask(&mut self, what: &'static str, request: &Request, patience: Patience) -> Result<Body, Error> {
        let (sequence, bytes) = self.exchange.begin(self.port.now(), request, patience);
        self.port.write_all(&bytes)?;
        let mut attempts = 1;
        loop {
            match self.wait(sequence)? {
                Event::Answer { body, .. } => {
                    groups::accepted(what, request.group, &body)?;
                    return Ok(body);
                }
                Event::Lost { .. } if attempts < ATTEMPTS => {
                    attempts += 1;
                    let bytes = self.exchange.again(self.port.now(), sequence, request);
                    self.port.write_all(&bytes)?;
                }
                Event::Lost { .. } => return Err(Error::NoAnswer { what }),
            }
        }
    }

    /// Asks once, for an answer within `patience`: whether somebody is there already.
    ///
    /// # Errors
    /// The line is gone, nobody answers in time, or somebody canceled.
    pub fn knock(&mut self, patience: Duration) -> Result<(), Error> {
        let (sequence, bytes) = self.exchange.begin(self.port.now(), &echo(), Patience::For(patience));
        self.port.write_all(&bytes)?;
        match self.wait(sequence)? {
            Event::Answer { .. } => Ok(()),
            Event::Lost { .. } => Err(Error::NoAnswer { what: "echo" }),
        }
    }

    /// Uploads `data`, from where the device stands. Done means that the device has as many bytes;
    /// whether they are the right ones, its own hash says.
    ///
    /// # Errors
    /// The line is gone, the device refuses or stops to answer, its own check failed, or somebody
    /// canceled.
    pub fn upload(
        &mut self,
        destination: Destination,
        data: &[u8],
        parameters: &Parameters,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        let mut upload = Upload::new(destination, data, parameters)?;
        let mut probe = Probe::default();
        while !upload.is_complete() {
            while let Some((request, patience)) = upload.next_request() {
                let (sequence, bytes) = self.exchange.begin(self.port.now(), &request, patience);
                self.port.write_all(&bytes)?;
                upload.sent(sequence);
                probe = Probe {
                    next: upload.erasing().map(|_| self.port.now() + self.exchange.wait()),
                    ..Probe::default()
                };
            }
            // While the device erases, an echo tells whether it has something to erase for: answers
            // come in order, so an echo's answer without the piece's means that the piece was lost.
            if let Some(at) = probe.next.filter(|at| *at <= self.port.now() && upload.erasing().is_some()) {
                let (sequence, bytes) =
                    self.exchange.begin(at, &echo(), Patience::For(groups::ERASE_PATIENCE));
                self.port.write_all(&bytes)?;
                probe.sequences.push(sequence);
                let wait = self.exchange.wait() * (1 << probe.sequences.len());
                probe.next = (probe.sequences.len() < PROBES as usize).then(|| self.port.now() + wait);
            }
            let wake = self.exchange.deadline().into_iter().chain(probe.next).min();
            self.listen(wake.unwrap_or_else(|| self.port.now() + SLICE))?;
            while let Some(event) = self.exchange.next_event(self.port.now()) {
                self.take(&mut upload, &mut probe, &event)?;
            }
            progress(Progress {
                done_bytes: upload.received_bytes() as u64,
                total_bytes: data.len() as u64,
                at: self.port.now(),
            });
        }
        if upload.matched() == Some(false) { Err(Error::Corrupt) } else { Ok(()) }
    }

    /// The device boots: nothing that is under way will be answered.
    pub(super) fn rebooted(&mut self) {
        self.exchange.reset();
    }

    fn take(&mut self, upload: &mut Upload<'_>, probe: &mut Probe, event: &Event) -> Result<(), Error> {
        match event {
            Event::Answer { sequence, .. } if probe.sequences.contains(sequence) => {
                if let Some(lost) = upload.erasing() {
                    self.exchange.forget(lost);
                    upload.lost(lost)?;
                }
                self.end(probe);
            }
            Event::Answer { sequence, body } => {
                let erasing = upload.erasing();
                for passed in upload.answered(*sequence, body)? {
                    self.exchange.forget(passed);
                }
                if erasing == Some(*sequence) {
                    self.end(probe);
                }
            }
            Event::Lost { sequence } => {
                if upload.lost(*sequence)? {
                    self.exchange.note_loss();
                }
            }
        }
        Ok(())
    }

    /// No echo is waited for any more.
    fn end(&mut self, probe: &mut Probe) {
        for sequence in std::mem::take(probe).sequences {
            self.exchange.forget(sequence);
        }
    }

    fn wait(&mut self, sequence: u8) -> Result<Event, Error> {
        loop {
            while let Some(event) = self.exchange.next_event(self.port.now()) {
                match event {
                    Event::Answer { sequence: of, .. } | Event::Lost { sequence: of } if of == sequence => {
                        return Ok(event);
                    }
                    Event::Answer { .. } | Event::Lost { .. } => {}
                }
            }
            self.listen(self.exchange.deadline().unwrap_or_else(|| self.port.now() + SLICE))?;
        }
    }

    /// Reads what comes until `until`, or a little of it.
    fn listen(&mut self, until: Duration) -> Result<(), Error> {
        if self.cancel.is_canceled() {
            return Err(Error::Canceled);
        }
        let mut buffer = [0; 1024];
        let patience = until.saturating_sub(self.port.now()).clamp(Duration::from_micros(1), SLICE);
        let read = self.port.read(&mut buffer, patience)?;
        self.exchange.receive(self.port.now(), &buffer[..read]);
        Ok(())
    }
}

/// The echoes that find out whether the piece that makes a device erase was lost.
#[derive(Debug, Default)]
struct Probe {
    sequences: Vec<u8>,
    next: Option<Duration>,
}

fn echo() -> Request {
    Request { op: Op::Write, group: group::OS, command: group::os::ECHO, body: Body::new().with("d", "?") }
}
