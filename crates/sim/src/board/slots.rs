use envelope::{PublicKey, container::McubootImage};
use model::{Digest, SecurityCounter};

use super::{
    firmware::Firmware,
    flash::{Flash, FlashTiming, PowerCut, SECTOR_BYTES},
};

/// Two slots and what MCUboot keeps beside them: a trailer in each slot's last sector, a scratch sector
/// and a journal of the swap under way.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    pub(super) flash: Flash,
    /// Sectors of a slot, its trailer's included.
    sectors: usize,
    key: PublicKey,
    no_downgrade: bool,
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slot {
    /// Runs.
    Primary,
    /// Waits.
    Secondary,
}

/// What the bootloader will do at the next boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SwapKind {
    None,
    Test,
    Permanent,
    Revert,
}

/// What an image in a slot says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Image {
    pub(super) version: String,
    pub(super) hash: Digest,
    pub(super) counter: SecurityCounter,
    /// Its program dies as soon as it runs.
    pub(super) crashes: bool,
    /// Header, image and records, in bytes.
    pub(super) bytes: usize,
}

const MAGIC: [u8; 16] = *b"\x77\xc2\x95\xf3\x60\xd2\xef\x7f\x35\x52\x50\x0f\x2c\xb6\x79\x80";
const IMAGE_OK: usize = 16;
const COPY_DONE: usize = 24;
const SET: [u8; 8] = [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/// The journal's marks, after its header.
const MARK: usize = 8;

impl Slots {
    pub(super) fn new(sectors: usize, key: PublicKey, no_downgrade: bool, timing: FlashTiming) -> Self {
        Self { flash: Flash::new(2 * sectors + 2, timing), sectors, key, no_downgrade }
    }

    /// How long an image may be.
    pub(super) const fn room(&self) -> usize {
        (self.sectors - 1) * SECTOR_BYTES
    }

    /// The image in a slot, as its header and records say; its signature is another matter.
    pub(super) fn image(&self, slot: Slot) -> Option<Image> {
        let bytes = self.flash.read(self.start(slot)..self.trailer(slot));
        let image = McubootImage::parse(bytes).ok()?;
        let header = usize::from(image.header_bytes());
        let payload = bytes.get(header..header + usize::try_from(image.image_bytes()).ok()?)?;
        Some(Image {
            version: image.version().to_string().replace('+', "."),
            hash: Digest::new(image.digest().bytes.try_into().ok()?),
            counter: image.security_counter().unwrap_or_default(),
            crashes: payload.starts_with(Firmware::CRASHES),
            bytes: bytes.len() - image.trailing_bytes(),
        })
    }

    /// Whether the bootloader would run it: whole, and signed by the key that it knows.
    pub(super) fn is_valid(&self, slot: Slot) -> bool {
        let bytes = self.flash.read(self.start(slot)..self.trailer(slot));
        McubootImage::parse(bytes).is_ok_and(|image| image.verify(&self.key).is_ok())
    }

    pub(super) fn swap_kind(&self) -> SwapKind {
        if self.has_magic(Slot::Secondary) {
            return if self.is_set(Slot::Secondary, IMAGE_OK) { SwapKind::Permanent } else { SwapKind::Test };
        }
        let on_trial = self.has_magic(Slot::Primary)
            && self.is_set(Slot::Primary, COPY_DONE)
            && !self.is_set(Slot::Primary, IMAGE_OK);
        if on_trial { SwapKind::Revert } else { SwapKind::None }
    }

    pub(super) fn erase(&mut self, slot: Slot) -> Result<(), PowerCut> {
        let start = self.start(slot);
        // The trailer first: half an image must not be marked as one to boot.
        self.flash.erase(self.trailer(slot)..start + self.sectors * SECTOR_BYTES)?;
        self.flash.erase(start..self.trailer(slot))
    }

    pub(super) fn write(&mut self, slot: Slot, at: usize, data: &[u8]) -> Result<(), PowerCut> {
        self.flash.write(self.start(slot) + at, data)
    }

    pub(super) fn read(&self, slot: Slot, bytes: usize) -> &[u8] {
        self.flash.read(self.start(slot)..self.start(slot) + bytes)
    }

    /// The secondary image boots next.
    pub(super) fn mark_pending(&mut self, permanent: bool) -> Result<(), PowerCut> {
        let trailer = self.trailer(Slot::Secondary);
        self.flash.erase(trailer..trailer + SECTOR_BYTES)?;
        if permanent {
            self.flash.write(trailer + IMAGE_OK, &SET)?;
        }
        self.flash.write(trailer, &MAGIC)
    }

    /// The primary image stays.
    pub(super) fn confirm(&mut self) -> Result<(), PowerCut> {
        if self.has_magic(Slot::Primary) && !self.is_set(Slot::Primary, IMAGE_OK) {
            let trailer = self.trailer(Slot::Primary);
            self.flash.write(trailer + IMAGE_OK, &SET)?;
        }
        Ok(())
    }

    /// What the bootloader does before it starts anything; whether there is something to start.
    pub(super) fn boot(&mut self) -> Result<bool, PowerCut> {
        if let Some((kind, sectors)) = self.swap_under_way() {
            self.swap(kind, sectors)?;
        } else {
            match self.swap_kind() {
                SwapKind::None => {}
                SwapKind::Revert if !self.is_valid(Slot::Secondary) => {
                    // There is nothing to go back to.
                    self.confirm()?;
                }
                kind @ (SwapKind::Test | SwapKind::Permanent | SwapKind::Revert) => {
                    if self.is_acceptable(kind) {
                        self.begin(kind)?;
                    } else {
                        self.erase(Slot::Secondary)?;
                    }
                }
            }
        }
        Ok(self.is_valid(Slot::Primary))
    }

    fn is_acceptable(&self, kind: SwapKind) -> bool {
        if !self.is_valid(Slot::Secondary) {
            return false;
        }
        let counter = |slot| self.image(slot).map(|image| image.counter);
        // Going back from a trial is always allowed: it was there before.
        kind == SwapKind::Revert || !self.no_downgrade || counter(Slot::Secondary) >= counter(Slot::Primary)
    }

    fn begin(&mut self, kind: SwapKind) -> Result<(), PowerCut> {
        let journal = self.journal();
        self.flash.erase(journal..journal + SECTOR_BYTES)?;
        let bytes = |slot| self.image(slot).map_or(0, |image| image.bytes);
        let sectors = bytes(Slot::Primary).max(bytes(Slot::Secondary)).div_ceil(SECTOR_BYTES);
        let kind_byte = match kind {
            SwapKind::None | SwapKind::Test => 1,
            SwapKind::Permanent => 2,
            SwapKind::Revert => 3,
        };
        let [low, high] = u16::try_from(sectors).unwrap_or(u16::MAX).to_le_bytes();
        self.flash.write(journal, &[0xa5, kind_byte, low, high, !0xa5, !kind_byte, !low, !high])?;
        self.swap(kind, sectors)
    }

    /// The swap that was begun and not ended.
    fn swap_under_way(&self) -> Option<(SwapKind, usize)> {
        let journal = self.journal();
        let header = self.flash.read(journal..journal + MARK);
        let whole = (0..4).all(|at| header[at] == !header[at + 4]) && header[0] == 0xa5;
        let kind = match header[1] {
            1 => SwapKind::Test,
            2 => SwapKind::Permanent,
            3 => SwapKind::Revert,
            _ => return None,
        };
        whole.then(|| (kind, usize::from(u16::from_le_bytes([header[2], header[3]]))))
    }

    /// Swaps sector by sector over the scratch sector, from where the journal stands. Each step may be
    /// done twice, as none overwrites what it reads.
    fn swap(&mut self, kind: SwapKind, sectors: usize) -> Result<(), PowerCut> {
        let journal = self.journal();
        for step in 0..sectors * 3 {
            let mark = journal + (step + 1) * MARK;
            if self.flash.read(mark..mark + 1) != [0xff] {
                continue;
            }
            let at = (step / 3) * SECTOR_BYTES;
            let (primary, secondary) = (self.start(Slot::Primary) + at, self.start(Slot::Secondary) + at);
            let (from, to) = match step % 3 {
                0 => (primary, self.scratch()),
                1 => (secondary, primary),
                _ => (self.scratch(), secondary),
            };
            self.copy(from, to)?;
            self.flash.write(mark, &SET)?;
        }
        for slot in [Slot::Secondary, Slot::Primary] {
            let trailer = self.trailer(slot);
            self.flash.erase(trailer..trailer + SECTOR_BYTES)?;
        }
        let trailer = self.trailer(Slot::Primary);
        if kind != SwapKind::Test {
            self.flash.write(trailer + IMAGE_OK, &SET)?;
        }
        self.flash.write(trailer + COPY_DONE, &SET)?;
        self.flash.write(trailer, &MAGIC)?;
        self.flash.erase(journal..journal + SECTOR_BYTES)
    }

    fn copy(&mut self, from: usize, to: usize) -> Result<(), PowerCut> {
        let data = self.flash.read(from..from + SECTOR_BYTES).to_vec();
        self.flash.erase(to..to + SECTOR_BYTES)?;
        if data.iter().all(|byte| *byte == 0xff) { Ok(()) } else { self.flash.write(to, &data) }
    }

    fn has_magic(&self, slot: Slot) -> bool {
        let trailer = self.trailer(slot);
        self.flash.read(trailer..trailer + MAGIC.len()) == MAGIC
    }

    fn is_set(&self, slot: Slot, flag: usize) -> bool {
        let at = self.trailer(slot) + flag;
        self.flash.read(at..at + 1) == [1]
    }

    const fn start(&self, slot: Slot) -> usize {
        match slot {
            Slot::Primary => 0,
            Slot::Secondary => self.sectors * SECTOR_BYTES,
        }
    }

    const fn trailer(&self, slot: Slot) -> usize {
        self.start(slot) + (self.sectors - 1) * SECTOR_BYTES
    }

    const fn scratch(&self) -> usize {
        2 * self.sectors * SECTOR_BYTES
    }

    const fn journal(&self) -> usize {
        (2 * self.sectors + 1) * SECTOR_BYTES
    }
}
