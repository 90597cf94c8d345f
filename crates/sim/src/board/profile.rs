use std::time::Duration;

use envelope::PublicKey;
use protocol::smp::Framing;

use super::flash::FlashTiming;

/// What kind of board it is.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its hardware's own number.
    pub serial: String,
    /// Its model.
    pub class: String,
    /// How messages are told apart on its line.
    pub framing: Framing,
    /// The receive buffers of its application.
    pub buffers: Buffers,
    /// Those of its bootloader's recovery.
    pub recovery_buffers: Buffers,
    /// Whether it says how large they are.
    pub tells_buffers: bool,
    /// Sectors of 4 KiB in each slot, the trailer's included.
    pub slot_sectors: usize,
    /// How slow its flash is.
    pub flash: FlashTiming,
    /// How long an answer takes, flash apart.
    pub answer: Duration,
    /// How long it boots, flash apart.
    pub boot: Duration,
    /// Whether it talks while it boots.
    pub noise: bool,
    /// Whether its bootloader has a recovery mode.
    pub recovery: bool,
    /// Whether its bootloader refuses a lower security counter.
    pub no_downgrade: bool,
    /// Whether its application has the provisioning group.
    pub provisioning: bool,
    /// Whether its application does what it says when it confirms its image.
    pub confirms: bool,
    /// The key that its bootloader trusts.
    pub key: PublicKey,
}

/// Receive buffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffers {
    /// The size of one, in bytes.
    pub bytes: usize,
    /// How many.
    pub count: usize,
}

impl Profile {
    /// A board as Zephyr builds it, with MCUboot and serial recovery, whose bootloader trusts `key`.
    pub fn zephyr(serial: &str, key: PublicKey) -> Self {
        Self {
            serial: serial.to_owned(),
            class: "sim-board".to_owned(),
            framing: Framing::Console,
            buffers: Buffers { bytes: 384, count: 4 },
            recovery_buffers: Buffers { bytes: 1024, count: 1 },
            tells_buffers: true,
            slot_sectors: 64,
            flash: FlashTiming { erase: Duration::from_millis(20), write: Duration::from_millis(4) },
            answer: Duration::from_millis(2),
            boot: Duration::from_millis(400),
            noise: true,
            recovery: true,
            no_downgrade: true,
            provisioning: true,
            confirms: true,
            key,
        }
    }
}
