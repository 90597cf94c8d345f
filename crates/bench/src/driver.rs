use std::time::Duration;

use crate::{
    image::Image,
    port::Port,
    smp::{BootMode, Cancel, Client, Destination, Error, Parameters, Progress, Selection, SlotState},
};

/// What answers on a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The application: an upload waits in the second slot, boots on trial, and can go back.
    Application,
    /// The bootloader's recovery: an upload overwrites what runs.
    Recovery,
}

/// What a device says when it is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inventory {
    /// What answers.
    pub mode: Mode,
    /// Its hardware's own number, where it says one. Said, not proven.
    pub hardware_id: Option<String>,
    /// Its slots.
    pub slots: Vec<SlotState>,
    /// How long an image may be, in bytes, where it says so.
    pub slot_bytes: Option<u64>,
}

/// A protocol's way to update a device. Blocking; each call may be repeated.
pub trait Driver {
    /// Whether somebody is there, within `patience`.
    ///
    /// # Errors
    /// Nobody, or the line is gone.
    fn knock(&mut self, patience: Duration) -> Result<(), Error>;

    /// Looks for `time` whether the device stays up.
    ///
    /// # Errors
    /// It did not.
    fn watch(&mut self, time: Duration) -> Result<(), Error>;

    /// Who is there, and what it has.
    ///
    /// # Errors
    /// It does not say.
    fn inventory(&mut self) -> Result<Inventory, Error>;

    /// Transfers an image into the slot that this mode writes, from where the device stands.
    ///
    /// # Errors
    /// It did not take it.
    fn transfer(&mut self, image: &Image, progress: &mut dyn FnMut(Progress)) -> Result<(), Error>;

    /// The transferred image boots next, on trial.
    ///
    /// # Errors
    /// The device does not have it whole, or refuses.
    fn activate(&mut self, image: &Image) -> Result<(), Error>;

    /// Boots the device anew. In recovery, this is the way out.
    ///
    /// # Errors
    /// It did not hear.
    fn reboot(&mut self) -> Result<(), Error>;

    /// The image that runs stays.
    ///
    /// # Errors
    /// It is not the one that runs, or the device refuses.
    fn confirm(&mut self, image: &Image) -> Result<(), Error>;
}

/// How often a device on trial is asked whether it is up.
const WATCH: Duration = Duration::from_millis(500);

/// SMP over a serial line, to the application and to MCUboot's recovery alike.
#[derive(Debug)]
pub struct SmpDriver {
    client: Client,
    parameters: Option<Parameters>,
}

impl SmpDriver {
    /// On this line.
    pub fn new(port: Box<dyn Port>, framing: protocol::smp::Framing, cancel: Cancel) -> Self {
        Self { client: Client::new(port, framing, cancel), parameters: None }
    }

    /// The client, for what only some devices have.
    pub const fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// An application says which groups it has, or which bootloader; MCUboot's recovery knows neither.
    fn mode(&mut self) -> Result<Mode, Error> {
        let tells = !self.client.groups()?.is_empty() || self.client.bootloader()?.is_some();
        Ok(if tells { Mode::Application } else { Mode::Recovery })
    }
}

impl Driver for SmpDriver {
    fn knock(&mut self, patience: Duration) -> Result<(), Error> {
        self.client.knock(patience)
    }

    fn watch(&mut self, time: Duration) -> Result<(), Error> {
        let end = self.client.now() + time;
        while self.client.now() < end {
            self.client.drain(WATCH)?;
            self.client.echo("?")?;
        }
        Ok(())
    }

    fn inventory(&mut self) -> Result<Inventory, Error> {
        let mode = self.mode()?;
        let hardware_id = match mode {
            Mode::Application => self.client.provisioning_info()?.map(|info| info.hardware_id),
            Mode::Recovery => None,
        };
        self.parameters = Some(self.client.parameters()?);
        let slots = self.client.slots()?;
        let sizes = self.client.slot_sizes(0)?;
        Ok(Inventory { mode, hardware_id, slots, slot_bytes: sizes.iter().map(|(_, bytes)| *bytes).min() })
    }

    fn transfer(&mut self, image: &Image, progress: &mut dyn FnMut(Progress)) -> Result<(), Error> {
        let parameters = match self.parameters {
            Some(parameters) => parameters,
            None => self.client.parameters()?,
        };
        let sha256 = envelope::sha256(image.as_bytes());
        let destination = Destination::Image { image: 0, sha256 };
        self.client.upload(destination, image.as_bytes(), &parameters, progress)?;
        // The device has all of it only if it says so itself, by the hash that its bootloader checks.
        let arrived = self.client.slots()?.iter().any(|slot| slot.hash == Some(image.hash()));
        if arrived { Ok(()) } else { Err(Error::Corrupt) }
    }

    fn activate(&mut self, image: &Image) -> Result<(), Error> {
        self.client.select(Selection::Test(image.hash())).map(|_| ())
    }

    fn reboot(&mut self) -> Result<(), Error> {
        self.client.reset(BootMode::Normal)
    }

    fn confirm(&mut self, image: &Image) -> Result<(), Error> {
        self.client.select(Selection::Confirm(image.hash())).map(|_| ())
    }
}
