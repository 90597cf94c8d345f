//! One device's update on the bench, from who it is to the image that it runs, confirmed.

mod decide;
mod record;

use std::{io, time::Duration};

use protocol::smp::Framing;

pub use record::{Failure, FileJournal, Journal, Record, Step};

use self::decide::Next;
use crate::{
    driver::{Driver, Inventory, SmpDriver},
    image::Image,
    place::{Locator, Sighting},
    smp::{Cancel, Error, Progress},
};

/// One device, one image, one place. It can be run again from its [`Record`] at any time.
pub struct Visit<'a> {
    /// The image that the device shall run.
    pub image: &'a Image,
    /// How messages are told apart on the line.
    pub framing: Framing,
    /// Whether an application that is dead may be overwritten from its bootloader's recovery.
    pub may_recover: bool,
    /// How long a new image must answer before it is confirmed.
    pub trial: Duration,
    /// How long to wait for a device that is gone, or does not answer.
    pub patience: Duration,
    /// Stops the visit where it can be taken up again.
    pub cancel: Cancel,
}

impl std::fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("image", &self.image).finish_non_exhaustive()
    }
}

/// What a visit tells while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// It does this now.
    Step(Step),
    /// What is sent from now on overwrites what runs, or does not.
    Overwrites(bool),
    /// The transfer is so far.
    Progress(Progress),
    /// The device is not there, or its line cannot be opened: plug it back in. The visit goes on by itself.
    Waiting,
}

/// Why a visit stopped without a verdict. Its record stands, and it goes on from there when it is run
/// again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Interrupted {
    /// The device did not come back.
    #[error("the device did not come back to its place")]
    Gone,
    /// Somebody canceled.
    #[error("canceled")]
    Canceled,
    /// The record cannot be kept.
    #[error("failed to keep the record of the visit")]
    Journal(#[source] io::Error),
    /// The bus does not say what is plugged in.
    #[error("failed to look what is plugged in")]
    Locator(#[source] io::Error),
}

/// How often one looks for a device.
const LOOK: Duration = Duration::from_millis(100);
/// How long after its answer a device may take to reset.
const RESET: Duration = Duration::from_millis(800);
/// How long a device may take to answer the first question.
const KNOCK: Duration = Duration::from_millis(400);

/// What a connection came to.
enum Outcome {
    /// The device boots, or its line is gone: look again.
    Again,
    /// The visit is over.
    Verdict(Step),
}

impl Visit<'_> {
    /// Brings the device of `record` to run the image, confirmed: [`Step::Passed`], or to a failure
    /// that says why. Blocking.
    ///
    /// # Errors
    /// It stopped without a verdict.
    pub fn run(
        &self,
        mut record: Record,
        locator: &mut dyn Locator,
        journal: &mut dyn Journal,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Record, Interrupted> {
        let mut last_contact = locator.now();
        while !matches!(record.step, Step::Passed | Step::Failed(_)) {
            let sighting = self.await_device(&record, locator, notify)?;
            if sighting.serial != record.serial {
                enter(Step::Failed(Failure::AnotherDevice), &mut record, journal, notify)?;
                break;
            }
            // One that is about to vanish, or not ready, or held by another program.
            let Ok(port) = locator.open(&sighting) else {
                notify(Notice::Waiting);
                locator.wait(LOOK);
                self.give_up(locator.now().saturating_sub(last_contact))?;
                continue;
            };
            let mut driver = SmpDriver::new(port, self.framing, self.cancel.clone());
            let (transfers, trials) = (record.transfers, record.trials);
            match self.connected(&mut record, &mut driver, journal, notify) {
                Ok(Outcome::Verdict(step)) => enter(step, &mut record, journal, notify)?,
                Ok(Outcome::Again) => {
                    drop(driver);
                    // It answers for a moment yet, and must not be taken for booted.
                    locator.wait(RESET);
                    last_contact = locator.now();
                }
                Err(Stop::Interrupted(interrupted)) => return Err(interrupted),
                Err(Stop::Device(Error::Canceled)) => return Err(Interrupted::Canceled),
                Err(Stop::Device(error)) => {
                    tracing::debug!(%error, place = %record.place, "a step did not end");
                    if (transfers, trials) != (record.transfers, record.trials) {
                        last_contact = locator.now();
                    }
                    drop(driver);
                    locator.wait(LOOK);
                    self.give_up(locator.now().saturating_sub(last_contact))?;
                }
            }
        }
        Ok(record)
    }

    /// Stops if the device came to nothing for too long.
    fn give_up(&self, silence: Duration) -> Result<(), Interrupted> {
        if self.cancel.is_canceled() {
            return Err(Interrupted::Canceled);
        }
        if silence > self.patience { Err(Interrupted::Gone) } else { Ok(()) }
    }

    /// The device at the visit's place, whoever it is.
    fn await_device(
        &self,
        record: &Record,
        locator: &mut dyn Locator,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Sighting, Interrupted> {
        let deadline = locator.now() + self.patience;
        let mut told = false;
        loop {
            if self.cancel.is_canceled() {
                return Err(Interrupted::Canceled);
            }
            let devices = locator.devices().map_err(Interrupted::Locator)?;
            if let Some(sighting) = devices.into_iter().find(|device| device.place == record.place) {
                return Ok(sighting);
            }
            if locator.now() >= deadline {
                return Err(Interrupted::Gone);
            }
            if !std::mem::replace(&mut told, true) {
                notify(Notice::Waiting);
            }
            locator.wait(LOOK);
        }
    }

    /// With a line to the device: as far as it goes before the device boots.
    fn connected(
        &self,
        record: &mut Record,
        driver: &mut dyn Driver,
        journal: &mut dyn Journal,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Outcome, Stop> {
        driver.knock(KNOCK)?;
        let mut watched = false;
        loop {
            let inventory = driver.inventory()?;
            if !is_same(&inventory, record) {
                return Ok(Outcome::Verdict(Step::Failed(Failure::AnotherDevice)));
            }
            if record.before.is_none() {
                record.before =
                    inventory.slots.iter().find(|slot| slot.active).map(|slot| slot.version.clone());
            }
            let refused = |error: Error| {
                if error.is_refusal() { Ok(Failure::Refused) } else { Err(Stop::Device(error)) }
            };
            match decide::next(&inventory, self.image, record, self.may_recover) {
                Next::Pass => return Ok(Outcome::Verdict(Step::Passed)),
                Next::Fail(failure) => {
                    // Never leave a device in its recovery.
                    if inventory.mode == crate::driver::Mode::Recovery {
                        driver.reboot()?;
                    }
                    return Ok(Outcome::Verdict(Step::Failed(failure)));
                }
                Next::Transfer => {
                    record.transfers += 1;
                    enter(Step::Transferring, record, journal, notify)?;
                    notify(Notice::Overwrites(inventory.mode == crate::driver::Mode::Recovery));
                    match driver.transfer(self.image, &mut |progress| notify(Notice::Progress(progress))) {
                        Ok(()) => {}
                        // What is there now is nothing: from the beginning.
                        Err(Error::Corrupt | Error::Regressed | Error::Malformed { .. }) => {}
                        Err(error @ Error::Refused { .. }) if record.transfers < 3 => {
                            return Err(error.into());
                        }
                        Err(error) => return refused(error).map(|f| Outcome::Verdict(Step::Failed(f))),
                    }
                }
                Next::Activate => {
                    record.trials += 1;
                    enter(Step::Activating, record, journal, notify)?;
                    // What was refused may have been over by then: a power cut takes a slot's image, too.
                    match driver.activate(self.image) {
                        Err(error) if !error.is_refusal() || record.trials >= decide::MAX_TRIALS => {
                            return refused(error).map(|f| Outcome::Verdict(Step::Failed(f)));
                        }
                        Ok(()) | Err(_) => {}
                    }
                }
                next @ (Next::BootTrial | Next::Boot) => {
                    record.reboots += u32::from(next == Next::Boot);
                    record.boots += 1;
                    enter(Step::Rebooting, record, journal, notify)?;
                    driver.reboot()?;
                    return Ok(Outcome::Again);
                }
                // One that does not stay up is not made to stay.
                Next::Confirm if !watched => {
                    driver.watch(self.trial)?;
                    watched = true;
                }
                Next::Confirm => {
                    enter(Step::Confirming, record, journal, notify)?;
                    match driver.confirm(self.image) {
                        Err(error) if !error.is_refusal() || record.confirms + 1 >= decide::MAX_CONFIRMS => {
                            return refused(error).map(|f| Outcome::Verdict(Step::Failed(f)));
                        }
                        // Whether it stays, the device says when it is asked what it has.
                        Ok(()) | Err(_) => record.confirms += 1,
                    }
                }
            }
        }
    }
}

/// Why work over a line stopped.
enum Stop {
    Device(Error),
    Interrupted(Interrupted),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Device(error)
    }
}

impl From<Interrupted> for Stop {
    fn from(interrupted: Interrupted) -> Self {
        Self::Interrupted(interrupted)
    }
}

/// Kept first, then done, then told.
fn enter(
    step: Step,
    record: &mut Record,
    journal: &mut dyn Journal,
    notify: &mut dyn FnMut(Notice),
) -> Result<(), Interrupted> {
    record.step = step;
    journal.save(record).map_err(Interrupted::Journal)?;
    notify(Notice::Step(step));
    Ok(())
}

/// Whether this is the device of the visit, by the number that it tells itself; learned when it tells
/// it first. In recovery devices tell none: then place and serial number stand alone, and what runs
/// afterwards is asked again.
fn is_same(inventory: &Inventory, record: &mut Record) -> bool {
    match (&record.hardware_id, &inventory.hardware_id) {
        (Some(known), Some(told)) => known == told,
        (None, Some(told)) => {
            record.hardware_id = Some(told.clone());
            true
        }
        (Some(_), None) => inventory.mode == crate::driver::Mode::Recovery,
        (None, None) => true,
    }
}
