//! A visit on the bench: the ticket of a bundle is verified in the device's stead, the device proves who it
//! is, gets what was signed for it, and a receipt of it comes home.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::Duration};

use ::bench::{
    Driver as _, Locator as _, Mode, Place, SmpDriver, Visit,
    smp::{Cancel, Progress},
    visit::{Failure, FileJournal, Interrupted, Notice, Record, Step},
};
use envelope::{
    Identity, KemPublicKey, P256Key, PublicKey, Receipt, SystemRandom, Verified,
    bundle::{Entry, Opened},
    device::{Clock, ComponentState, Install, Offer, Order, Refusal, State, verify_offer},
    receipt::{self, Outcome},
    sha256,
};
use model::{Component, Random as _, Serial, UnixTime, Version};
use pki::DeviceCertificate;
use protocol::ErrorCode;
use vault::{KeyRole, Vault};

use crate::{
    Error,
    bench::{connect, find, framing, unanswered},
    bundle::BundleOnDisk,
    desk::Session,
    dto::{BenchPort, ReceiptState, VisitReport, VisitStep},
    receipts::queue,
    reports::keep,
    workspace::{read_json, replace},
};

/// How long a new image must answer before it is confirmed.
const TRIAL: Duration = Duration::from_secs(3);
/// How long to wait for a device that is gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the bench remembers of a device, so that no ticket counts twice and none goes back.
type Remembered = BTreeMap<Component, ComponentState>;

/// All that a visit needs, on a thread of its own.
pub(crate) struct Bench {
    pub(crate) folder: PathBuf,
    pub(crate) vault: Vault,
    pub(crate) session: Arc<Session>,
    pub(crate) identity: P256Key,
    pub(crate) now: UnixTime,
    pub(crate) line: BenchPort,
    pub(crate) cancel: Cancel,
}

/// What a visit tells while it runs.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// Whom it brings which version.
    Guest(Serial, Version),
    /// It does this now.
    Step(VisitStep),
    /// What is sent overwrites what runs, or does not.
    Overwrites(bool),
    /// The transfer is so far.
    Progress(Progress),
    /// The device is not there.
    Waiting,
}

/// The device on the table and what the bundle has for it.
struct Guest<'a> {
    entry: &'a Entry,
    certificate: DeviceCertificate,
    place: Place,
    usb_serial: Option<String>,
    /// The number that it says.
    said: Option<String>,
    /// What it says to run.
    runs: Option<Version>,
    proven: bool,
}

impl Bench {
    /// Brings the device at the line to run what the bundle has for it.
    pub(crate) fn visit(
        &self,
        bundle: &BundleOnDisk,
        opened: &Opened,
        own_revoked: Option<&[u8]>,
        serial: Option<&Serial>,
        clock: &dyn tls::Clock,
        tell: &dyn Fn(Told),
    ) -> Result<VisitReport, Error> {
        let guest = self.welcome(opened, own_revoked, serial)?;
        let (install, mut remembered) = self.decide(opened, &guest)?;
        let target = &install.installation().target;
        tell(Told::Guest(guest.certificate.serial().clone(), target.version.clone()));
        let image = bundle.image(opened, &install)?;

        let failed = |source: std::io::Error| Error::file("keep the record in", &self.folder, &source);
        let mut journal = FileJournal::new(&self.folder.join("visits")).map_err(failed)?;
        let component = install.ticket().component.clone();
        let digest = install.digest();
        let kept = remembered.get(&component).cloned().unwrap_or_default();
        let begun = journal.load(&guest.place).map_err(failed)?.filter(|record| {
            record.image == image.hash()
                && kept.ticket == Some(digest)
                && !kept.spent
                && !matches!(record.step, Step::Failed(_))
        });
        let record = match begun {
            Some(record) => record,
            None => {
                // The ticket is accepted and an attempt is counted before the first byte is sent.
                let state = self.state(&guest, kept);
                let state = state.accept(&install).start_install(&install).map_err(|source| {
                    Error::because(ErrorCode::Refused, "the ticket is not carried out", source)
                })?;
                self.remember(&guest, &mut remembered, &component, &state)?;
                // Whoever is plugged in there next is not taken for it.
                let hardware_id = guest.said.clone();
                let record = Record::new(guest.place.clone(), guest.usb_serial.clone(), image.hash());
                Record { hardware_id, ..record }
            }
        };
        let must_prove = guest.entry.label.identity.is_some();
        let visit = Visit {
            image: &image,
            framing: framing(&self.line),
            may_recover: !must_prove || guest.proven,
            trial: TRIAL,
            patience: PATIENCE,
            cancel: self.cancel.clone(),
        };
        let (mut locator, _) = find(&self.line)?;
        let done = visit
            .run(record, &mut locator, &mut journal, &mut |notice| match notice {
                Notice::Step(at) => tell(Told::Step(seen(at))),
                Notice::Overwrites(running) => tell(Told::Overwrites(running)),
                Notice::Progress(progress) => tell(Told::Progress(progress)),
                Notice::Waiting => tell(Told::Waiting),
            })
            .map_err(|source| interrupted(&self.line.port, source))?;

        let failure = if let Step::Failed(failure) = done.step { Some(failure) } else { None };
        let mut receipt = Receipt {
            fleet: self.session.membership.fleet,
            device: guest.entry.label.device,
            ticket: digest,
            rollout: install.ticket().rollout,
            component: component.clone(),
            before: done.before.as_deref().and_then(version_of),
            version: target.version.clone(),
            artifact: target.sha256,
            security_counter: target.security_counter,
            bench: self.kem()?.id(),
            mode: receipt::Mode::Deputy,
            outcome: if failure.is_none() { Outcome::Succeeded } else { Outcome::Failed },
            code: failure.map(code_of),
            began_at: self.now,
            ended_at: clock.now(),
            technician: self.session.membership.holder.clone(),
            proof: None,
        };
        let countersigned = guest.proven
            && match self.countersign(&guest, &mut receipt) {
                // Another one is plugged in by now: what was seen last was not the guest.
                Err(error) if error.code() == ErrorCode::Untrusted => return Err(error),
                countersigned => countersigned.is_ok(),
            };
        let signed = receipt.sign(&self.identity)?;
        queue(&self.folder, &signed, receipt.ended_at)?;
        if failure.is_none()
            && let Some(kept) = remembered.get_mut(&component)
        {
            kept.confirmed = Some(target.version.clone());
            kept.security_counter = kept.security_counter.max(target.security_counter);
            kept.spent = true;
            self.write(&guest, &remembered)?;
        }
        let certificate = pki::PersonCertificate::parse(&self.session.membership.certificate)?;
        let report = VisitReport {
            id: sha256(&signed),
            fleet: receipt.fleet,
            device: receipt.device,
            serial: guest.certificate.serial().clone(),
            model: target.model.clone(),
            component,
            place: guest.place.to_string(),
            passed: failure.is_none(),
            code: receipt.code,
            why: failure.map(|failure| failure.to_string()),
            before: receipt.before,
            version: receipt.version,
            artifact: receipt.artifact,
            security_counter: receipt.security_counter,
            ticket: receipt.ticket,
            rollout: receipt.rollout,
            mode: receipt.mode.as_str().to_owned(),
            identity_proven: countersigned,
            transfers: done.transfers,
            technician: receipt.technician,
            bench: receipt.bench,
            began_at: receipt.began_at,
            ended_at: receipt.ended_at,
            signed_by: certificate.certificate().key().spki_digest(),
            signed_receipt: signed.into(),
            receipt: ReceiptState::Queued,
        };
        keep(&self.folder, &report)?;
        Ok(report)
    }

    /// Who is on the table: the one that the bundle names, not revoked, and proven to be it.
    fn welcome<'a>(
        &self,
        opened: &'a Opened,
        own_revoked: Option<&[u8]>,
        serial: Option<&Serial>,
    ) -> Result<Guest<'a>, Error> {
        let (sighting, mut driver) = connect(&self.line)?;
        let unsaid = |source| unanswered(&self.line.port, source);
        let inventory = driver.inventory().map_err(unsaid)?;
        let said = inventory.hardware_id.as_deref();
        let wanted = match (serial, said) {
            (Some(serial), Some(said)) if serial.as_str() != said => {
                return Err(Error::new(
                    ErrorCode::DeviceUnrecognized,
                    format!("the device says to be {said}, not {serial}"),
                )
                .hint("look at its label, and at the port"));
            }
            (Some(serial), _) => serial.as_str(),
            (None, Some(said)) => said,
            (None, None) => {
                return Err(Error::new(ErrorCode::InvalidRequest, "the device does not say who it is")
                    .hint("name it with --serial, as its label says"));
            }
        };
        let mut found = None;
        for entry in &opened.devices {
            let certificate = self.session.verify_device(&entry.certificate)?;
            if certificate.serial().as_str() == wanted {
                if certificate.device_id() != entry.label.device {
                    return Err(Error::new(
                        ErrorCode::Untrusted,
                        "the ticket is for another device's certificate",
                    ));
                }
                found = Some((entry, certificate));
            }
        }
        let Some((entry, certificate)) = found else {
            return Err(Error::new(
                ErrorCode::DeviceUnrecognized,
                format!("the bundle has nothing for {wanted}"),
            )
            .hint("`fleetseal bench open` shows for whom it is"));
        };
        let keys = opened.basis.keys();
        let own = own_revoked.and_then(|list| {
            envelope::RevocationList::verify(list, self.session.membership.fleet, 0, keys, self.now).ok()
        });
        let spki = certificate.spki_digest();
        if opened.revoked.iter().chain(&own).any(|list| list.revokes(&spki)) {
            return Err(Error::new(ErrorCode::Revoked, format!("{wanted} was revoked"))
                .hint("keep it, and tell whoever runs the fleet"));
        }
        if let Some(installation) = entry.label.action.installation() {
            let class = match inventory.mode {
                Mode::Application => driver.client().provisioning_info().map_err(unsaid)?,
                Mode::Recovery => None,
            };
            if class.is_some_and(|info| info.class != installation.target.model.as_str()) {
                return Err(Error::new(
                    ErrorCode::DeviceUnrecognized,
                    format!("the device is no {}", installation.target.model),
                )
                .hint("the ticket is for another model: look at the label"));
            }
        }
        let active = inventory.slots.iter().find(|slot| slot.active);
        let mut guest = Guest {
            entry,
            certificate,
            place: sighting.place,
            usb_serial: sighting.serial,
            said: inventory.hardware_id.clone(),
            runs: active.and_then(|slot| version_of(&slot.version)),
            proven: false,
        };
        if inventory.mode == Mode::Application {
            let mut nonce = [0; 32];
            SystemRandom.fill(&mut nonce);
            let known = (&guest.certificate, entry.certificate.as_slice());
            guest.proven = prove(&mut driver, known, &nonce, &self.line.port)?.is_some();
        }
        if !guest.proven && entry.label.identity.is_some() {
            return Err(Error::new(
                ErrorCode::Refused,
                format!("{wanted} does not prove who it is, and its ticket asks for that"),
            )
            .hint(
                "a device whose application is dead, or has no provisioning group, needs a bundle made with \
                 --unproven",
            ));
        }
        Ok(guest)
    }

    /// Every check of a device, in its stead (R10 to R13).
    fn decide(
        &self,
        opened: &Opened,
        guest: &Guest<'_>,
    ) -> Result<(Box<Verified<Install>>, Remembered), Error> {
        let label = &guest.entry.label;
        if label.deputy().is_none() {
            return Err(Error::new(
                ErrorCode::PreconditionFailed,
                "the ticket is sealed to the device, and this one cannot open it over its line",
            )
            .detail("mode: sealed")
            .hint("ask for a bundle whose tickets name this bench (--bench)"));
        }
        if label.deputy() != Some(self.kem()?.id()) {
            return Err(Error::new(ErrorCode::Untrusted, "the bundle was made for another bench")
                .hint("ask for one that names yours: `fleetseal bench bundle --bench`"));
        }
        let mut remembered = self.remembered(guest)?;
        let mut kept = remembered.get(&label.component).cloned().unwrap_or_default();
        // Mid-visit the new image may run already; what ran before the visit counts then.
        let under_way = kept.ticket == Some(sha256(&guest.entry.ticket)) && !kept.spent && kept.attempts > 0;
        if !under_way {
            kept.confirmed = kept.confirmed.max(guest.runs.clone());
        }
        remembered.insert(label.component.clone(), kept.clone());
        let state = self.state(guest, kept);
        let clock = Clock { floor: opened.index.issued_at, own: Some(self.now), hint: None };
        let offer = Offer { ticket: &guest.entry.ticket, link: None };
        let key = self.vault.key(KeyRole::Kem)?;
        let subject = guest.certificate.serial().as_str();
        let intent = self.vault.intent("bench.open_ticket", subject, "a visit on the bench", self.now);
        let order = self.vault.with_kem_secret(key.id, &intent, |secret| {
            verify_offer(&state, &opened.basis, offer, secret, true, clock, u64::MAX)
        })?;
        match order.map_err(declined)? {
            Order::Install(install) => Ok((install, remembered)),
            Order::Hold(_) => Err(Error::new(ErrorCode::Refused, "the ticket is a hold")),
        }
    }

    /// The device as the bench stands in for it.
    fn state(&self, guest: &Guest<'_>, kept: ComponentState) -> State {
        let certificate = &guest.certificate;
        let label = &guest.entry.label;
        let identity =
            Identity { spki: certificate.spki_digest(), kem: KemPublicKey(*certificate.kem_public()).id() };
        let target = label.action.installation().map(|installation| &installation.target);
        let target = target.expect("a bundle holds installations alone");
        State::new(
            self.session.membership.fleet,
            certificate.device_id(),
            Some(identity),
            target.model.clone(),
            target.hardware_revision.clone(),
            [(label.component.clone(), kept)],
        )
    }

    /// The device signs for what was done, too.
    fn countersign(&self, guest: &Guest<'_>, receipt: &mut Receipt) -> Result<(), Error> {
        let (mut locator, _) = find(&self.line)?;
        let there = locator.devices().ok().into_iter().flatten();
        let port =
            there.filter(|sighting| sighting.place == guest.place).map(|sighting| sighting.port).next();
        let line = BenchPort { port: port.unwrap_or_else(|| self.line.port.clone()), ..self.line.clone() };
        let (_, mut driver) = connect(&line)?;
        let known = (&guest.certificate, guest.entry.certificate.as_slice());
        receipt.proof = prove(&mut driver, known, &receipt.challenge()?, &line.port)?;
        match receipt.proof {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorCode::Refused, "the device does not sign any more")),
        }
    }

    fn kem(&self) -> Result<KemPublicKey, Error> {
        self.vault
            .key(KeyRole::Kem)?
            .kem_key()
            .ok_or_else(|| Error::new(ErrorCode::NotFound, "this vault has no key that opens tickets"))
    }

    fn memory_of(&self, guest: &Guest<'_>) -> PathBuf {
        self.folder.join("devices").join(format!("{}.json", guest.certificate.device_id()))
    }

    fn remembered(&self, guest: &Guest<'_>) -> Result<Remembered, Error> {
        let path = self.memory_of(guest);
        if path.exists() { read_json(&path) } else { Ok(Remembered::new()) }
    }

    fn remember(
        &self,
        guest: &Guest<'_>,
        remembered: &mut Remembered,
        component: &Component,
        state: &State,
    ) -> Result<(), Error> {
        if let Some(kept) = state.component(component) {
            remembered.insert(component.clone(), kept.clone());
        }
        self.write(guest, remembered)
    }

    fn write(&self, guest: &Guest<'_>, remembered: &Remembered) -> Result<(), Error> {
        let path = self.memory_of(guest);
        let folder = self.folder.join("devices");
        fs::create_dir_all(&folder).map_err(|source| Error::file("make the folder", &folder, &source))?;
        let bytes = serde_json::to_vec(remembered)
            .map_err(|source| Error::internal("failed to write a record", source))?;
        replace(&path, &bytes)
    }
}

/// The device's signature, verified by its certificate, read and as it is; none where it cannot sign.
///
/// # Errors
/// It is another key's than its certificate's, or the line is gone.
pub(crate) fn prove(
    driver: &mut SmpDriver,
    (certificate, der): (&DeviceCertificate, &[u8]),
    nonce: &[u8; 32],
    port: &str,
) -> Result<Option<[u8; 64]>, Error> {
    let proof = match driver.client().prove(nonce) {
        Ok(proof) => proof,
        Err(error) if error.is_refusal() => return Ok(None),
        Err(error) => return Err(unanswered(port, error)),
    };
    let serial = certificate.serial();
    let key = PublicKey::P256(*certificate.certificate().key().sec1());
    let verified = <[u8; 64]>::try_from(proof)
        .ok()
        .filter(|proof| receipt::verify_proof(proof, nonce, &sha256(der), serial, &key).is_ok());
    verified.map(Some).ok_or_else(|| {
        Error::new(ErrorCode::Untrusted, format!("the device on the table is not {serial}"))
            .detail("it signed with another key than the one in its certificate")
            .hint("nothing was sent to it; keep it, and tell whoever runs the fleet")
    })
}

/// MCUboot writes the build number as a fourth number.
pub(crate) fn version_of(text: &str) -> Option<Version> {
    let mut dots = text.match_indices('.').map(|(at, _)| at);
    match dots.nth(2) {
        Some(at) => format!("{}+{}", &text[..at], &text[at + 1..]).parse().ok(),
        None => text.parse().ok(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "most refusals have one way out")]
fn declined(refusal: Refusal) -> Error {
    let hint = match refusal {
        Refusal::NotNewer { .. } => "the device runs it already, or something newer",
        Refusal::Expired { .. } | Refusal::MetadataExpired { .. } => {
            "compare this computer's clock; if it is right, ask for a new bundle"
        }
        _ => "nothing was sent to the device; ask for a new bundle",
    };
    let code = refusal.code();
    Error::because(ErrorCode::Refused, format!("the ticket is not carried out ({code})"), refusal).hint(hint)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "more reasons than we have codes")]
fn interrupted(port: &str, source: Interrupted) -> Error {
    let (code, hint) = match &source {
        Interrupted::Gone => {
            (ErrorCode::DeviceLost, "plug it back in at the same place and run this again: it goes on there")
        }
        Interrupted::Canceled => (ErrorCode::Canceled, "run this again: it goes on where it stopped"),
        Interrupted::Journal(_) => (ErrorCode::StorageFull, "make room, then run this again"),
        _ => (ErrorCode::PreconditionFailed, "run `fleetseal bench doctor`"),
    };
    Error::because(code, format!("the visit at `{port}` stopped"), source).hint(hint)
}

const fn seen(step: Step) -> VisitStep {
    match step {
        Step::Identifying => VisitStep::Verify,
        Step::Transferring => VisitStep::Upload,
        Step::Activating | Step::Rebooting => VisitStep::TrialBoot,
        Step::Confirming | Step::Passed | Step::Failed(_) => VisitStep::Confirm,
    }
}

fn code_of(failure: Failure) -> String {
    let word = serde_json::to_value(failure).ok();
    word.as_ref().and_then(|word| word.as_str()).unwrap_or("failed").to_owned()
}
