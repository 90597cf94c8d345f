use std::time::Duration;

/// How long to wait for an answer: learned from how long answers took (RFC 6298), on top of the time
/// that the line itself needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeout {
    /// Bits a second of the line, ten to a byte.
    baud: Option<u32>,
    smoothed: Option<Duration>,
    variation: Duration,
    /// How often in a row nothing came.
    doublings: u32,
}

/// Before anything is known.
const INITIAL: Duration = Duration::from_millis(1_000);
/// A device may be busy for so long at any time: with its flash, or its radio.
const FLOOR: Duration = Duration::from_millis(300);
/// More patience than this is for erasing alone.
const CEILING: Duration = Duration::from_secs(5);

impl Timeout {
    /// Nothing is known yet but the line.
    pub const fn new(baud: Option<u32>) -> Self {
        Self { baud, smoothed: None, variation: Duration::ZERO, doublings: 0 }
    }

    /// The same line, with nothing learned.
    #[must_use]
    pub const fn anew(self) -> Self {
        Self::new(self.baud)
    }

    /// How long `bytes` take on the line alone.
    pub fn line_time(&self, bytes: usize) -> Duration {
        match self.baud {
            Some(baud) if baud > 0 => Duration::from_secs_f64(bytes as f64 * 10.0 / f64::from(baud)),
            Some(_) | None => Duration::ZERO,
        }
    }

    /// How long to wait for the answer to the last of `bytes` that are still on their way.
    pub fn wait(&self, bytes: usize) -> Duration {
        let learned = match self.smoothed {
            Some(smoothed) => smoothed + self.variation * 4,
            None => INITIAL,
        };
        let factor = 1 << self.doublings.min(5);
        (learned.max(FLOOR) * factor).min(CEILING) + self.line_time(bytes)
    }

    /// An answer came after `took`, when `bytes` were on their way before it was asked.
    pub fn answered(&mut self, took: Duration, bytes: usize) {
        let took = took.saturating_sub(self.line_time(bytes));
        self.doublings = 0;
        match self.smoothed {
            None => {
                self.smoothed = Some(took);
                self.variation = took / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(took)) / 4;
                self.smoothed = Some((smoothed * 7 + took) / 8);
            }
        }
    }

    /// Nothing came in time.
    pub const fn lost(&mut self) {
        self.doublings = self.doublings.saturating_add(1);
    }
}
