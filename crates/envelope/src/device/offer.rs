use model::{Component, Digest, UnixTime};

use super::{Clock, MAX_ATTEMPTS, Refusal, State, TrialStep};
use crate::{
    Action, Errand, Installation, KemSecret, Link, Recipient, TargetBytes, Ticket, TrustKeys, Verified,
    cose::Object,
    otap, seal, sha256,
    ticket::{LIFE, LIFE_IN_BUNDLE},
    tuf::{TargetCustom, TargetsView},
};

/// What a device decides on: the targets in force, and the trusted keys that they vouch for.
#[derive(Clone, Debug)]
pub struct Basis {
    targets: Verified<TargetsView>,
    keys: Verified<TrustKeys>,
}

/// What the backend, or a bench, offers.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The sealed ticket.
    pub ticket: &'a [u8],
    /// Where to fetch the payload. None from a bundle, on the bench, and for a hold.
    pub link: Option<OfferedLink<'a>>,
}

/// A link as it is offered.
#[derive(Clone, Copy, Debug)]
pub struct OfferedLink<'a> {
    /// The sealed link.
    pub sealed: &'a [u8],
    /// Scheme, host and port of the server that the device is connected to.
    pub origin: &'a str,
}

/// What a device shall do.
#[derive(Debug)]
pub enum Order {
    /// Fetch and install.
    Install(Box<Verified<Install>>),
    /// Stop.
    Hold(Verified<Hold>),
}

/// An installation that passed every check up to its first byte.
#[derive(Debug)]
pub struct Install {
    ticket: Verified<Ticket>,
    installation: Installation,
    digest: Digest,
    link: Option<Verified<Link>>,
}

/// A hold that is signed for this device.
#[derive(Debug)]
pub struct Hold {
    ticket: Verified<Ticket>,
    digest: Digest,
}

impl Basis {
    /// The targets in force and `trust/keys.cbor` as it is among them.
    ///
    /// # Errors
    /// The keys are not those that the targets vouch for, or do not parse.
    pub fn new(targets: Verified<TargetsView>, keys: &Verified<TargetBytes>) -> Result<Self, Refusal> {
        let in_force = targets.target(keys.name()).ok_or(Refusal::TrustKeysMismatch)?;
        if *in_force.sha256() != sha256(keys.as_bytes()) || keys.name().as_str() != TrustKeys::TARGET {
            return Err(Refusal::TrustKeysMismatch);
        }
        let keys = TrustKeys::from_target(keys).map_err(|_| Refusal::TrustKeysMalformed)?;
        Ok(Self { targets, keys })
    }

    /// The targets in force.
    pub const fn targets(&self) -> &Verified<TargetsView> {
        &self.targets
    }

    /// The trusted keys.
    pub const fn keys(&self) -> &Verified<TrustKeys> {
        &self.keys
    }
}

/// What sealing adds at most to a signed object.
const SEALING: usize = 512;

/// Decides on an offer: every check before the first byte is fetched, in the order of the formats.
/// What is accepted is stored ([`State::accept`], [`State::hold`]) before anything else is done, and
/// verified once more before the installer is fed, for things may have lapsed since.
///
/// `free_bytes` is the room for the ciphertext, with what is staged of it already. With `deputy` a
/// bench decides in the device's stead, and `kem` is the bench's key.
///
/// # Errors
/// The first check that fails. A hold needs signature, ids and `seq` alone.
pub fn verify_offer(
    state: &State,
    basis: &Basis,
    offer: Offer<'_>,
    kem: &KemSecret,
    deputy: bool,
    clock: Clock,
    free_bytes: u64,
) -> Result<Order, Refusal> {
    let targets = &basis.targets;
    let clock = clock.after(targets.issued_at().unwrap_or_default());
    let digest = sha256(offer.ticket);
    let ticket = match open(state, basis, offer.ticket, kem, deputy, clock.latest()) {
        Ok(ticket) if ticket.action == Action::Hold => {
            check_seq(state, &ticket, digest, targets)?;
            return Ok(Order::Hold(Verified::new(Hold { ticket, digest })));
        }
        opened => opened,
    };
    if targets.expires() <= clock.latest() {
        return Err(Refusal::MetadataExpired { expires: targets.expires() });
    }
    let ticket = ticket?;
    let installation = ticket.action.installation().cloned().ok_or(Refusal::TicketMalformed)?;
    check_times(&ticket, clock, targets.is_offline())?;
    check_seq(state, &ticket, digest, targets)?;
    let custom = check_target(state, &ticket.component, &installation, targets)?;
    check_payload(&installation)?;
    check_versions(state, &ticket, &installation, &custom, targets)?;
    let needed = installation.payload.length;
    if free_bytes < needed {
        return Err(Refusal::NoSpace { needed });
    }
    let link = offer
        .link
        .map(|link| open_link(state, basis, link, &installation, kem, clock.latest()))
        .transpose()?;
    Ok(Order::Install(Box::new(Verified::new(Install { ticket, installation, digest, link }))))
}

impl Install {
    /// The ticket.
    pub const fn ticket(&self) -> &Verified<Ticket> {
        &self.ticket
    }

    /// What is to be installed.
    pub const fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The SHA-256 of the ticket as sealed, by which reports name it.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Where to fetch the payload, if from a server.
    pub const fn link(&self) -> Option<&Verified<Link>> {
        self.link.as_ref()
    }
}

impl Hold {
    /// The ticket.
    pub const fn ticket(&self) -> &Verified<Ticket> {
        &self.ticket
    }

    /// The SHA-256 of the ticket as sealed, by which reports name it.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

fn open(
    state: &State,
    basis: &Basis,
    sealed: &[u8],
    kem: &KemSecret,
    deputy: bool,
    now: UnixTime,
) -> Result<Verified<Ticket>, Refusal> {
    let me = state.addressee(deputy.then(|| kem.public().id()));
    let signed = seal::open(Ticket::TYP, kem, me.recipient(), sealed, Ticket::MAX + SEALING)
        .map_err(|_| Refusal::TicketUndecipherable)?;
    let verify = |now| Ticket::verify(&signed, &me, &basis.keys, now);
    let ticket = verify(now).map_err(|error| Refusal::of_ticket(&error))?;
    if ticket.issued_at > now {
        // When it was signed is a floor for this ticket, and so for the trust in its key.
        return verify(ticket.issued_at).map_err(|error| Refusal::of_ticket(&error));
    }
    Ok(ticket)
}

fn check_times(ticket: &Ticket, clock: Clock, offline: bool) -> Result<(), Refusal> {
    let longest = if offline { LIFE_IN_BUNDLE } else { LIFE };
    if ticket.not_after.since(ticket.not_before) > longest {
        return Err(Refusal::LifeTooLong);
    }
    // When it was signed is a floor for this ticket alone.
    let clock = clock.after(ticket.issued_at);
    if clock.certain() < ticket.not_before {
        return Err(Refusal::NotYet { not_before: ticket.not_before });
    }
    if clock.latest() > ticket.not_after {
        return Err(Refusal::Expired { not_after: ticket.not_after });
    }
    Ok(())
}

fn check_seq(state: &State, ticket: &Ticket, digest: Digest, targets: &TargetsView) -> Result<(), Refusal> {
    let hold = ticket.action == Action::Hold;
    let Some(component) = state.component(&ticket.component) else {
        return Err(Refusal::WrongComponent { component: ticket.component.clone() });
    };
    if let Some(trial) = state.trial() {
        // Feeding the installer again after a power cut is no replacement; a hold for another
        // component is none either.
        let again = trial.ticket == digest && trial.step == TrialStep::Installing;
        if !(again || hold && trial.component != ticket.component) {
            return Err(Refusal::TrialRunning { component: trial.component.clone() });
        }
    }
    let lapse = targets.targets_expire();
    if ticket.issued_at >= lapse || ticket.seq / 1000 >= lapse.as_secs() {
        return Err(Refusal::DatedAhead);
    }
    let stored = component.seq;
    if ticket.seq > stored {
        return Ok(());
    }
    if ticket.seq < stored || component.ticket != Some(digest) {
        return Err(Refusal::SeqReplayed { stored });
    }
    if component.spent {
        return Err(Refusal::TicketSpent { stored });
    }
    if component.attempts >= MAX_ATTEMPTS {
        return Err(Refusal::AttemptsExhausted { stored });
    }
    Ok(())
}

/// The ticket's target against the signed one, and both against the device.
fn check_target(
    state: &State,
    component: &Component,
    installation: &Installation,
    targets: &Verified<TargetsView>,
) -> Result<TargetCustom, Refusal> {
    let target = &installation.target;
    let (needed, found) = (installation.min_targets_version, targets.targets_version());
    if found < needed {
        return Err(Refusal::TargetsTooOld { needed, found });
    }
    let signed =
        targets.target(&target.name).ok_or_else(|| Refusal::TargetUnknown { target: target.name.clone() })?;
    let mismatch = || Refusal::TargetMismatch { target: target.name.clone() };
    let custom = signed.custom().ok_or_else(mismatch)?;
    let same = signed.length() == target.length
        && *signed.sha256() == target.sha256
        && custom.version == target.version
        && custom.security_counter == target.security_counter
        && custom.installer == target.installer;
    if !same {
        return Err(mismatch());
    }
    if let Some(model) = [&custom.model, &target.model].into_iter().find(|model| *model != state.model()) {
        return Err(Refusal::WrongModel { model: model.clone() });
    }
    if target.hardware_revision != *state.hardware_revision()
        || !custom.hardware_revisions.contains(state.hardware_revision())
    {
        return Err(Refusal::WrongHardware);
    }
    if custom.component != *component {
        return Err(Refusal::WrongComponent { component: component.clone() });
    }
    Ok(custom.clone())
}

fn check_payload(installation: &Installation) -> Result<(), Refusal> {
    let header = otap::Header::parse(&installation.payload.header).map_err(|_| Refusal::PayloadMismatch)?;
    let layout = header.layout();
    let fits = layout.plaintext_len() == installation.target.length
        && layout.ciphertext_len() == installation.payload.length;
    if fits { Ok(()) } else { Err(Refusal::PayloadMismatch) }
}

fn check_versions(
    state: &State,
    ticket: &Ticket,
    installation: &Installation,
    custom: &TargetCustom,
    targets: &TargetsView,
) -> Result<(), Refusal> {
    let (confirmed, counter) = state
        .component(&ticket.component)
        .map(|component| (component.confirmed.as_ref(), component.security_counter))
        .unwrap_or_default();
    let target = &installation.target;
    if let Some(confirmed) = confirmed {
        let again = matches!(ticket.action, Action::Reinstall(_)) && target.version == *confirmed;
        if target.version <= *confirmed && !again {
            return Err(Refusal::NotNewer { confirmed: confirmed.clone() });
        }
    }
    for (component, version) in &custom.requires {
        let present = state.component(component).and_then(|component| component.confirmed.as_ref());
        if present.is_none_or(|present| present < version) {
            return Err(Refusal::RequiresUnmet { component: component.clone(), version: version.clone() });
        }
    }
    let (model, revision) = (state.model(), state.hardware_revision());
    let between = targets.must_pass(model, revision, &ticket.component, confirmed, &target.version);
    if let Some(between) = between {
        return Err(Refusal::MustPass { version: between.version.clone() });
    }
    if target.security_counter < counter {
        return Err(Refusal::SecurityCounterLower { confirmed: counter });
    }
    Ok(())
}

fn open_link(
    state: &State,
    basis: &Basis,
    link: OfferedLink<'_>,
    installation: &Installation,
    kem: &KemSecret,
    now: UnixTime,
) -> Result<Verified<Link>, Refusal> {
    let me = state.addressee(None);
    let recipient = Recipient::Device(me.device);
    let signed = seal::open(Link::TYP, kem, recipient, link.sealed, Link::MAX + SEALING)
        .map_err(|_| Refusal::LinkUndecipherable)?;
    let errand = Errand { origin: link.origin, segment_list: installation.payload.segment_list };
    Link::verify(&signed, &me, errand, &basis.keys, now).map_err(|error| Refusal::of_link(&error))
}
