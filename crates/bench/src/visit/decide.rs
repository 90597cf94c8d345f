use super::record::{Failure, Record};
use crate::{
    driver::{Inventory, Mode},
    image::Image,
};

/// What comes next for a device. Decided from what the device says, each time anew: what the record
/// says was begun may or may not have happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Transfer,
    Activate,
    /// Boot what was activated.
    BootTrial,
    /// Boot for another reason: out of recovery, or out of another image's trial.
    Boot,
    Confirm,
    Pass,
    Fail(Failure),
}

/// So often an image is sent before the visit has failed.
const MAX_TRANSFERS: u32 = 6;
/// So often it boots on trial: a power cut takes a trial back, too.
pub(super) const MAX_TRIALS: u32 = 3;
/// So often the image is to stay.
pub(super) const MAX_CONFIRMS: u32 = 3;
/// So often the device is booted for another reason.
const MAX_REBOOTS: u32 = 6;

/// So often it is booted in all.
const MAX_BOOTS: u32 = 16;

pub(super) fn next(inventory: &Inventory, image: &Image, record: &Record, may_recover: bool) -> Next {
    if inventory.slot_bytes.is_some_and(|bytes| image.as_bytes().len() as u64 > bytes) {
        return Next::Fail(Failure::TooLarge);
    }
    match inventory.mode {
        Mode::Recovery => in_recovery(inventory, image, record, may_recover),
        Mode::Application => in_application(inventory, image, record),
    }
}

fn in_recovery(inventory: &Inventory, image: &Image, record: &Record, may_recover: bool) -> Next {
    let primary = inventory.slots.iter().find(|slot| slot.image == 0 && slot.slot == 0);
    let there = primary.is_some_and(|slot| slot.hash == Some(image.hash()));
    // The application may be alive: out of here first. It is dead if that leads back to here.
    if record.reboots == 0 || (there && record.reboots < MAX_REBOOTS) {
        return Next::Boot;
    }
    if !may_recover {
        return Next::Fail(Failure::InRecovery);
    }
    if there {
        // It has the image, and its bootloader does not run it.
        return Next::Fail(Failure::BootloaderRefused);
    }
    transfer(record)
}

fn in_application(inventory: &Inventory, image: &Image, record: &Record) -> Next {
    let ours = |slot: &&crate::smp::SlotState| slot.image == 0;
    let Some(active) = inventory.slots.iter().filter(ours).find(|slot| slot.active) else {
        return Next::Fail(Failure::NoSlots);
    };
    if active.hash == Some(image.hash()) {
        return match (active.confirmed, record.confirms >= MAX_CONFIRMS) {
            (true, _) => Next::Pass,
            (false, false) => Next::Confirm,
            (false, true) => Next::Fail(Failure::Unconfirmed),
        };
    }
    let other = inventory.slots.iter().filter(ours).find(|slot| !slot.active);
    let Some(other) = other.filter(|other| other.hash == Some(image.hash())) else {
        if other.is_some_and(|other| other.confirmed || other.pending) || !active.confirmed {
            // Another image is on trial, or about to be: let that end first.
            return boot(record);
        }
        if record.trials >= 1 {
            // It booted, and what it was to run is gone: MCUboot erases what it does not accept.
            return if record.trials >= MAX_TRIALS - 1 {
                Next::Fail(Failure::BootloaderRefused)
            } else {
                transfer(record)
            };
        }
        return transfer(record);
    };
    if other.pending {
        return if record.boots >= MAX_BOOTS { Next::Fail(Failure::Unsettled) } else { Next::BootTrial };
    }
    if !active.confirmed {
        return boot(record);
    }
    if record.trials >= MAX_TRIALS { Next::Fail(Failure::RolledBack) } else { Next::Activate }
}

const fn transfer(record: &Record) -> Next {
    if record.transfers >= MAX_TRANSFERS { Next::Fail(Failure::Transfer) } else { Next::Transfer }
}

const fn boot(record: &Record) -> Next {
    if record.reboots >= MAX_REBOOTS { Next::Fail(Failure::Unsettled) } else { Next::Boot }
}
