//! A simulated fleet against a backend of one's own: enrolled by this workspace's vault, then left to
//! check in, listen and update for a while.

use std::{sync::Arc, time::Duration};

use agent::EnrolmentToken;
use model::{Component, HardwareRevision, InstallerName, ModelName, Seconds, SecurityCounter, Version};
use sim::{Arrivals, FaultMix, Fleet, Plan, Report, SimDevice, Tally};

use crate::{
    App, Error, Shutdown,
    command::{DeviceApprove, DeviceToken},
    descriptors,
    dto::{ApproveEnrolments, MakeToken},
    job::step,
};

/// How many connections a device may have at once: requests, its push stream, somebody in its place, and, where
/// the backend is in the same program, their other ends.
pub(crate) const CONNECTIONS: usize = 6;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// How many devices.
    pub devices: usize,
    /// What serial numbers begin with.
    pub prefix: String,
    /// Their model.
    pub model: ModelName,
    /// The revision of their hardware.
    pub hardware_revision: HardwareRevision,
    /// Their one component.
    pub component: Component,
    /// Its installer.
    pub installer: InstallerName,
    /// What runs in it.
    pub version: Version,
    /// How many come in a second, whatever became of those before.
    pub per_second: f64,
    /// What goes wrong, and how often.
    pub faults: FaultMix,
    /// Draws the faults.
    pub seed: u64,
}

impl App {
    /// Enrols the devices, gives the vault back, and runs them until `shutdown`; tells `watch` every second.
    ///
    /// # Errors
    /// The vault is locked, the role does not allow it, or a device was refused.
    pub async fn simulate(
        &self,
        simulation: &Simulation,
        shutdown: Shutdown,
        watch: &(dyn Fn(&Tally) + Send + Sync),
    ) -> Result<Report, Error> {
        let devices = self.enrol_simulated(simulation).await?;
        // Whoever rolls out to them needs it.
        self.close_vault();
        let fleet = Fleet::start(devices, Arrivals { per_second: simulation.per_second });
        let tally = fleet.tally();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = tick.tick() => watch(&tally.borrow().clone()),
            }
        }
        Ok(fleet.stop().await)
    }

    /// Makes the devices and enrols them.
    pub(crate) async fn enrol_simulated(
        &self,
        simulation: &Simulation,
    ) -> Result<Vec<Arc<SimDevice>>, Error> {
        descriptors::make_room(simulation.devices.saturating_mul(CONNECTIONS))?;
        let total = simulation.devices as u64;
        let mut devices = Vec::with_capacity(simulation.devices);
        let mut tokens = Vec::with_capacity(simulation.devices);
        for number in 0..simulation.devices {
            step("one-time tokens", number as u64, total)?;
            let plan = simulation.plan(number)?;
            let make = MakeToken {
                serial: plan.serial.clone(),
                model: plan.model.clone(),
                hardware_revision: plan.hardware_revision.clone(),
                station: None,
                life: Seconds::hours(1),
            };
            tokens.push(self.run::<DeviceToken>(make).await?.token.parse::<EnrolmentToken>()?);
            devices.push(Arc::new(SimDevice::new(plan)));
        }
        let approve = async {
            let mut proven = 0;
            while proven < devices.len() {
                let done = self.run::<DeviceApprove>(ApproveEnrolments {}).await?;
                let idle = done.proven.is_empty() && done.issued.is_empty();
                proven += done.proven.len();
                step("devices enrolled", proven as u64, total)?;
                if idle && proven < devices.len() {
                    self.wait_for_enrolments().await?;
                }
            }
            Ok(())
        };
        let enrol = async {
            let done = Fleet::enrol(&devices, tokens, |_| ()).await;
            done.map_err(|source| Error::because(source.code(), "a simulated device could not enrol", source))
        };
        tokio::try_join!(approve, enrol)?;
        Ok(devices)
    }
}

impl Simulation {
    fn plan(&self, number: usize) -> Result<Plan, Error> {
        let serial = format!("{}{number:06}", self.prefix);
        Ok(Plan {
            serial: serial.parse().map_err(|source| {
                Error::because(protocol::ErrorCode::InvalidRequest, "the serial numbers are none", source)
            })?,
            model: self.model.clone(),
            hardware_revision: self.hardware_revision.clone(),
            component: self.component.clone(),
            installer: self.installer.clone(),
            version: self.version.clone(),
            security_counter: SecurityCounter(0),
            fault: self.faults.draw(self.seed, number as u64),
            boots_in: Duration::from_millis(500),
        })
    }
}
