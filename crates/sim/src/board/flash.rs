use std::{ops::Range, time::Duration};

/// NOR flash: erased by sectors to ones, written from ones to zeros, and cut off at any operation.
#[derive(Clone, Debug)]
pub(super) struct Flash {
    bytes: Vec<u8>,
    timing: FlashTiming,
    operations: u64,
    cut_at: Option<u64>,
    /// What the operations since [`Self::take_time`] took.
    time: Duration,
}

/// How slow flash is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlashTiming {
    /// To erase a sector.
    pub erase: Duration,
    /// To write a kibibyte.
    pub write: Duration,
}

/// The power went in the middle of an operation, which was done by half.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PowerCut;

/// The smallest part that is erased, in bytes.
pub(super) const SECTOR_BYTES: usize = 4096;

impl Flash {
    pub(super) fn new(sectors: usize, timing: FlashTiming) -> Self {
        let bytes = vec![0xff; sectors * SECTOR_BYTES];
        Self { bytes, timing, operations: 0, cut_at: None, time: Duration::ZERO }
    }

    pub(super) fn read(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Erases whole sectors. One that is empty already costs nothing, as drivers look first.
    pub(super) fn erase(&mut self, range: Range<usize>) -> Result<(), PowerCut> {
        for start in range.step_by(SECTOR_BYTES) {
            let sector = start..start + SECTOR_BYTES;
            if self.bytes[sector.clone()].iter().all(|byte| *byte == 0xff) {
                continue;
            }
            self.time += self.timing.erase;
            if self.is_cut() {
                self.bytes[start..start + SECTOR_BYTES / 2].fill(0xff);
                return Err(PowerCut);
            }
            self.bytes[sector].fill(0xff);
        }
        Ok(())
    }

    /// Writes over what is erased; bits only ever fall.
    pub(super) fn write(&mut self, at: usize, data: &[u8]) -> Result<(), PowerCut> {
        self.time += self.timing.write * u32::try_from(data.len()).unwrap_or(u32::MAX) / 1024;
        let cut = self.is_cut();
        let written = if cut { data.len() / 2 } else { data.len() };
        for (byte, data) in self.bytes[at..at + written].iter_mut().zip(data) {
            *byte &= data;
        }
        if cut { Err(PowerCut) } else { Ok(()) }
    }

    /// How many operations there were.
    pub(super) const fn operations(&self) -> u64 {
        self.operations
    }

    /// The power goes at this operation, counted from the first there ever was.
    pub(super) const fn cut_at(&mut self, operation: u64) {
        self.cut_at = Some(operation);
    }

    /// What the operations took since this was asked last.
    pub(super) const fn take_time(&mut self) -> Duration {
        std::mem::replace(&mut self.time, Duration::ZERO)
    }

    const fn is_cut(&mut self) -> bool {
        self.operations += 1;
        match self.cut_at {
            Some(at) if at == self.operations => {
                self.cut_at = None;
                true
            }
            Some(_) | None => false,
        }
    }
}
