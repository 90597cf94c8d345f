//! The service bench's commands: what is plugged in, what it says, and what stands in the way.

use std::time::Duration;

use ::bench::{
    Driver as _, Locator as _, Mode, SerialLocator, Sighting, SmpDriver,
    doctor::{Doctor, Finding, Severity, Topic},
    smp::{Cancel, Lifecycle},
};
use envelope::SystemRandom;
use model::Random as _;
use pki::DeviceCertificate;
use protocol::{ErrorCode, operator::Page, smp::Framing};

use crate::{
    App, Error,
    command::{BenchDoctor, BenchList, BenchShow, DeviceList, Handle},
    dto::{
        BenchDevice, BenchFinding, BenchIdentity, BenchInventory, BenchMode, BenchPort, BenchPorts,
        BenchSeverity, BenchSlot, ListDevices,
    },
    vaults::blocking,
    visit::prove,
};

/// What serial lines carry unless somebody says otherwise.
pub(crate) const BAUD: u32 = 115_200;
/// How long a device that just booted may take to answer.
const KNOCK: Duration = Duration::from_millis(400);
/// How often it is asked.
const KNOCKS: u32 = 5;
/// How long the backend may take to show a certificate.
const SOON: Duration = Duration::from_secs(2);

impl Handle<BenchList> for App {
    async fn handle(&self, request: BenchPorts) -> Result<Page<BenchDevice>, Error> {
        blocking(move || {
            let rows = sightings(&request.ports, BAUD)?.iter().map(row).collect();
            Ok(Page { rows, next: None })
        })
        .await
    }
}

impl Handle<BenchShow> for App {
    async fn handle(&self, request: BenchPort) -> Result<BenchInventory, Error> {
        blocking(move || show(&request)).await
    }
}

impl Handle<BenchDoctor> for App {
    async fn handle(&self, request: BenchPorts) -> Result<Page<BenchFinding>, Error> {
        blocking(move || {
            let mut ports: Vec<String> = request.ports;
            if ports.is_empty() {
                ports = sightings(&[], BAUD)?.into_iter().map(|sighting| sighting.port).collect();
            }
            let rows = Doctor::default().look(&ports).into_iter().map(finding).collect();
            Ok(Page { rows, next: None })
        })
        .await
    }
}

/// The device at this port, and what finds it again there.
pub(crate) fn find(port: &BenchPort) -> Result<(SerialLocator, Sighting), Error> {
    let mut locator = SerialLocator::new(port.baud.unwrap_or(BAUD)).with(&port.port);
    let found = locator.devices().map_err(unlisted)?;
    let sighting = found.into_iter().find(|sighting| sighting.port == port.port).ok_or_else(|| {
        Error::new(ErrorCode::NotFound, format!("there is no port `{}`", port.port))
            .hint("plug the device in; `fleetseal bench list` shows what is there")
    })?;
    Ok((locator, sighting))
}

/// How messages are told apart on the line.
pub(crate) const fn framing(port: &BenchPort) -> Framing {
    if port.raw { Framing::Raw } else { Framing::Console }
}

/// A line to the device, with somebody at its other end.
pub(crate) fn connect(port: &BenchPort) -> Result<(Sighting, SmpDriver), Error> {
    let (mut locator, sighting) = find(port)?;
    let line = locator.open(&sighting).map_err(|source| unopened(&port.port, &source))?;
    let mut driver = SmpDriver::new(line, framing(port), Cancel::new());
    let mut knocks = 1;
    while let Err(source) = driver.knock(KNOCK) {
        if knocks == KNOCKS {
            return Err(unanswered(&port.port, source));
        }
        knocks += 1;
    }
    Ok((sighting, driver))
}

/// What a device says, and what of it is proven.
pub(crate) struct Recognized {
    pub(crate) inventory: BenchInventory,
    pub(crate) identity: BenchIdentity,
}

impl App {
    /// Asks the device at this port who it is, and lets it prove that, where its certificate is at hand: in a
    /// kept bundle, or with the backend.
    pub(crate) async fn recognize(&self, port: BenchPort) -> Result<Recognized, Error> {
        let asked = port.clone();
        let (inventory, mut driver) = blocking(move || {
            let (sighting, mut driver) = connect(&asked)?;
            let inventory = inventory(&asked, &sighting, &mut driver)?;
            Ok((inventory, driver))
        })
        .await?;
        let identity = match (&inventory.hardware_id, inventory.mode) {
            (Some(serial), BenchMode::Application) => match self.certificate_of(serial).await {
                None => BenchIdentity::Unknown,
                Some((certificate, der)) => {
                    let proven = blocking(move || {
                        let mut nonce = [0; 32];
                        SystemRandom.fill(&mut nonce);
                        prove(&mut driver, (&certificate, &der), &nonce, &port.port)
                    });
                    if proven.await?.is_some() { BenchIdentity::Proven } else { BenchIdentity::NotProven }
                }
            },
            (Some(_) | None, _) => BenchIdentity::NotProven,
        };
        Ok(Recognized { inventory, identity })
    }

    /// The certificate of the device with this number, verified up to the fleet's root.
    async fn certificate_of(&self, serial: &str) -> Option<(DeviceCertificate, Vec<u8>)> {
        let session = self.session().await.ok()?;
        let der = match self.kept_certificate(serial).await {
            Some(der) => der,
            None => {
                let mut list = ListDevices::default();
                list.filter.serial_prefix = Some(serial.to_owned());
                let asked = self.run::<DeviceList>(list);
                let page = tokio::time::timeout(SOON, asked).await.ok()?.ok()?;
                page.rows.into_iter().find(|row| row.serial.as_str() == serial)?.certificate.0
            }
        };
        let certificate = session.verify_device(&der).ok()?;
        (certificate.serial().as_str() == serial).then_some((certificate, der))
    }
}

fn show(port: &BenchPort) -> Result<BenchInventory, Error> {
    let (sighting, mut driver) = connect(port)?;
    inventory(port, &sighting, &mut driver)
}

fn inventory(port: &BenchPort, sighting: &Sighting, driver: &mut SmpDriver) -> Result<BenchInventory, Error> {
    let failed = |source| unanswered(&port.port, source);
    let inventory = driver.inventory().map_err(failed)?;
    let info = match inventory.mode {
        Mode::Application => driver.client().provisioning_info().map_err(failed)?,
        Mode::Recovery => None,
    };
    Ok(BenchInventory {
        device: row(sighting),
        mode: match inventory.mode {
            Mode::Application => BenchMode::Application,
            Mode::Recovery => BenchMode::Recovery,
        },
        hardware_id: inventory.hardware_id,
        lifecycle: info.as_ref().map(|info| lifecycle(info.lifecycle).to_owned()),
        model: info.map(|info| info.class),
        slots: inventory
            .slots
            .into_iter()
            .map(|slot| BenchSlot {
                slot: slot.slot,
                version: slot.version,
                hash: slot.hash,
                active: slot.active,
                confirmed: slot.confirmed,
                pending: slot.pending,
            })
            .collect(),
        slot_bytes: inventory.slot_bytes,
    })
}

pub(crate) fn sightings(also: &[String], baud: u32) -> Result<Vec<Sighting>, Error> {
    let locator = SerialLocator::new(baud);
    also.iter().fold(locator, |locator, port| locator.with(port)).devices().map_err(unlisted)
}

pub(crate) fn row(sighting: &Sighting) -> BenchDevice {
    BenchDevice {
        port: sighting.port.clone(),
        place: sighting.place.to_string(),
        usb_serial: sighting.serial.clone(),
        usb: sighting.usb.map(|(vendor, product)| format!("{vendor:04x}:{product:04x}")),
    }
}

fn finding(finding: Finding) -> BenchFinding {
    BenchFinding {
        topic: match finding.topic {
            Topic::Ports => "ports",
            Topic::Permission => "permission",
            Topic::Busy => "busy",
            Topic::ModemManager => "modem_manager",
            Topic::UdevRules => "udev_rules",
            _ => "other",
        }
        .to_owned(),
        severity: match finding.severity {
            Severity::Fine => BenchSeverity::Fine,
            Severity::Warning => BenchSeverity::Warning,
            Severity::Problem => BenchSeverity::Problem,
        },
        what: finding.what,
        next: finding.next,
    }
}

const fn lifecycle(lifecycle: Lifecycle) -> &'static str {
    match lifecycle {
        Lifecycle::Blank => "blank",
        Lifecycle::Keyed => "keyed",
        Lifecycle::Certified => "certified",
        Lifecycle::Locked => "locked",
    }
}

fn unlisted(source: std::io::Error) -> Error {
    Error::because(ErrorCode::PreconditionFailed, "the system does not say what is plugged in", source)
}

/// A port that is there and cannot be opened.
#[expect(clippy::wildcard_enum_match_arm, reason = "the system has more reasons than we have codes")]
pub(crate) fn unopened(port: &str, source: &std::io::Error) -> Error {
    let (code, hint) = match source.kind() {
        std::io::ErrorKind::NotFound => (ErrorCode::DeviceLost, "plug the device back in"),
        std::io::ErrorKind::ConnectionRefused => (ErrorCode::DeviceLost, "is the simulated board running?"),
        _ => (ErrorCode::Busy, "`fleetseal bench doctor` says who holds it, or what closes it to you"),
    };
    Error::because(code, format!("`{port}` could not be opened"), source).hint(hint)
}

pub(crate) fn unanswered(port: &str, source: ::bench::smp::Error) -> Error {
    let (code, hint) = if source.is_refusal() {
        (ErrorCode::Refused, "the device's firmware lacks a group of SMP that the bench needs")
    } else {
        (
            ErrorCode::DeviceLost,
            "is this the right port and --baud? does the firmware speak SMP on it? try --raw, or its recovery mode",
        )
    };
    Error::because(code, format!("the device at `{port}` does not answer"), source).hint(hint)
}
