use model::{
    Component, DeploymentState, DeviceId, Digest, HardwareRevision, KemKeyId, ModelName, SecurityCounter,
    Serial, SpkiDigest, StationName, UnixTime, Version,
};

use crate::{Answer, EndedLink, Page, PageRequest};

/// Where a device's record stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DeviceState {
    /// Its names and keys are taken, its first certificate is not yet stored.
    Reserved,
    /// Served.
    Active,
    /// Refused, because a person said so.
    Revoked,
    /// Out of service.
    Retired,
    /// Refused: its unit goes by another record, with other keys.
    Replaced,
}

/// Why keys and names are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Basis {
    /// A first certificate for a device that is not known.
    Enrol,
    /// Another certificate for the same keys.
    Renew,
    /// New keys for the same device, proven by its old identity key.
    Rekey,
    /// New keys and a new id for the unit with this serial, by a vault-signed replace. The old record
    /// is refused from the moment of the reservation.
    Replace {
        /// The old record.
        old: DeviceId,
    },
}

/// What must be unique, reserved before a certificate is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// Why.
    pub basis: Basis,
    /// The device: a fresh id to enrol or replace, the known one to renew or rekey.
    pub device: DeviceId,
    /// Its serial.
    pub serial: Serial,
    /// Its model.
    pub model: ModelName,
    /// Its hardware revision.
    pub hardware_revision: HardwareRevision,
    /// The station whose CA issues.
    pub station: StationName,
    /// Its identity key.
    pub spki: SpkiDigest,
    /// Its KEM key, X25519 (RFC 7748).
    pub kem: [u8; 32],
    /// The certificate's serial number, 16 bytes.
    pub certificate_serial: [u8; 16],
    /// When.
    pub at: UnixTime,
}

/// What became of a reservation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reserved {
    /// Go on and sign.
    Granted,
    /// The same device with the same keys was here before. With a certificate: give that one. Without:
    /// sign with this id and serial number.
    Known {
        /// The device as it was first reserved.
        device: DeviceId,
        /// The certificate's serial number as it was first reserved.
        certificate_serial: [u8; 16],
        /// The certificate, DER, if it is stored.
        certificate: Option<Vec<u8>>,
    },
    /// A key of it belongs, or belonged, to another device. An alarm was raised.
    KeySeen {
        /// The device whose key it is.
        device: DeviceId,
    },
    /// The unit is known with other keys: this takes a rekey or a replace.
    NeedsReplace {
        /// The unit's record.
        device: DeviceId,
    },
    /// The basis does not hold: there is no such device, or it is not active.
    NotActive,
}

/// A certificate that was signed upon a [`Reservation`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The device.
    pub device: DeviceId,
    /// Its serial number, as reserved.
    pub serial: [u8; 16],
    /// DER.
    pub der: Vec<u8>,
    /// SHA-256 of the DER.
    pub sha256: Digest,
    /// When it was signed.
    pub at: UnixTime,
}

/// Who is at the other end of a connection: what every request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The device.
    pub device: DeviceId,
    /// Its current identity key.
    pub spki: SpkiDigest,
    /// SHA-256 of its current certificate.
    pub certificate: Digest,
    /// Only an [`Active`](DeviceState::Active) one is served.
    pub state: DeviceState,
    /// Whether its counter forked: it is refused until a person cleared that.
    pub cloned: bool,
}

/// A device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// The device.
    pub id: DeviceId,
    /// Its serial.
    pub serial: Serial,
    /// Its model.
    pub model: ModelName,
    /// Its hardware revision.
    pub hardware_revision: HardwareRevision,
    /// The station whose CA issued its first certificate.
    pub station: StationName,
    /// Its identity key.
    pub spki: SpkiDigest,
    /// Its KEM key.
    pub kem: [u8; 32],
    /// How sealed objects name that KEM key.
    pub kem_id: KemKeyId,
    /// Its certificate's serial number.
    pub certificate_serial: [u8; 16],
    /// SHA-256 of its certificate; none while it is reserved.
    pub certificate: Option<Digest>,
    /// Where it stands.
    pub state: DeviceState,
    /// Whether its counter forked.
    pub cloned: bool,
    /// When its first certificate was stored (or, while reserved, when that was).
    pub enrolled_at: UnixTime,
    /// When it last checked in.
    pub last_seen_at: Option<UnixTime>,
    /// Its check-in counter.
    pub counter: u64,
    /// The groups that it is in, sorted.
    pub cohorts: Vec<String>,
    /// What it runs, by component.
    pub versions: Vec<InstalledVersion>,
    /// Where its newest deployment stands.
    pub deployment: Option<DeploymentState>,
}

/// What a device runs in one component.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstalledVersion {
    /// The component.
    pub component: Component,
    /// What it said last, confirmed or not.
    pub reported: Version,
    /// What it last booted and confirmed.
    pub confirmed: Option<Version>,
    /// The security counter of what it confirmed.
    pub security_counter: SecurityCounter,
    /// When it said so.
    pub at: UnixTime,
}

/// What a device said that it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionReport {
    /// The device.
    pub device: DeviceId,
    /// The component.
    pub component: Component,
    /// The version.
    pub version: Version,
    /// Its security counter, if it confirmed itself. It never falls.
    pub confirmed: Option<SecurityCounter>,
    /// When.
    pub at: UnixTime,
}

/// A device's sign of life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckIn {
    /// The device.
    pub device: DeviceId,
    /// Its counter, which must rise.
    pub counter: u64,
    /// Its nonce: the same counter with the same nonce is a repeat.
    pub nonce: [u8; 16],
    /// When, by the server's clock.
    pub at: UnixTime,
}

/// What became of a check-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckedIn {
    /// The counter rose.
    Taken,
    /// The last check-in came again.
    Repeated,
    /// The counter fell or forked, now or earlier: a cloned disk. The device is flagged and an alarm
    /// was raised. It is refused until a person cleared it.
    Forked {
        /// The highest counter seen.
        counter: u64,
    },
    /// There is no such active device.
    NotActive,
}

/// Which devices. Every part that is given must hold.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DeviceFilter {
    /// Of this model.
    pub model: Option<ModelName>,
    /// In this cohort.
    pub cohort: Option<String>,
    /// In this state.
    pub state: Option<DeviceState>,
    /// With a serial that begins so.
    pub serial_prefix: Option<String>,
    /// That confirmed this version of this component.
    pub version: Option<(Component, Version)>,
    /// That an open deployment wants something of.
    pub engaged: bool,
    /// In this order; without one by serial where serials are looked for, else newest first.
    pub order: Option<DeviceOrder>,
}

/// The order of a list of devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceOrder {
    /// By what.
    pub by: DeviceKey,
    /// The other way round.
    pub descending: bool,
}

/// What devices are sorted by: what there is an index of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceKey {
    /// When they enrolled.
    Enrolled,
    /// Their serial.
    Serial,
    /// Their model.
    Model,
}

/// How many devices there are, kept as they change: asking reads a few rows.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DeviceCounts {
    /// By state; states without devices are left out.
    pub by_state: Vec<(DeviceState, u64)>,
    /// By model and state.
    pub by_model: Vec<(ModelName, DeviceState, u64)>,
    /// By cohort, all states.
    pub by_cohort: Vec<(String, u64)>,
    /// By confirmed version, all states.
    pub by_version: Vec<(Component, Version, u64)>,
    /// By station and all states: what desktops compare with the granted number.
    pub by_station: Vec<(StationName, u64)>,
    /// Flagged as cloned.
    pub cloned: u64,
}

/// What taking devices out of service ended.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Withdrawn {
    /// Devices whose state changed.
    pub devices: Vec<DeviceId>,
    /// Their links.
    pub links: Vec<EndedLink>,
    /// Their deployments that could still be recalled: canceled.
    pub canceled: u32,
}

/// The devices.
pub trait Devices {
    /// Reserves names and keys before certificates are signed, all in one transaction. Each
    /// reservation is judged by itself, in order.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict): a random id or certificate serial is taken; nothing
    /// was reserved.
    fn reserve(&self, reservations: Vec<Reservation>) -> Answer<'_, Vec<Reserved>>;

    /// Stores signed certificates, all or none: their devices are active with those keys from now on.
    /// The same certificate again changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound): not reserved. [`Error::Conflict`](crate::Error::Conflict):
    /// another certificate is stored with that serial number.
    /// [`Error::Illegal`](crate::Error::Illegal): the device is neither reserved nor active.
    fn certify(&self, certificates: Vec<Certificate>) -> Answer<'_, ()>;

    /// Who has this identity key. From memory.
    fn identity(&self, spki: SpkiDigest) -> Answer<'_, Option<Identity>>;

    /// Whose current certificate has this SHA-256. From memory.
    fn identity_by_certificate(&self, sha256: Digest) -> Answer<'_, Option<Identity>>;

    /// Who goes by this id. From memory.
    fn identity_of(&self, device: DeviceId) -> Answer<'_, Option<Identity>>;

    /// One device.
    fn device(&self, id: DeviceId) -> Answer<'_, Option<Device>>;

    /// The device with this serial that was not replaced.
    fn device_by_serial(&self, serial: Serial) -> Answer<'_, Option<Device>>;

    /// Devices, in the order of the filter.
    fn devices(&self, filter: DeviceFilter, page: PageRequest) -> Answer<'_, Page<Device>>;

    /// The current certificates of these devices, DER, as far as there are any; at most
    /// [`PageRequest::MOST`] at once.
    fn certificates(&self, devices: Vec<DeviceId>) -> Answer<'_, Vec<(DeviceId, Vec<u8>)>>;

    /// Every certificate that this device was given, DER, oldest first.
    fn certificates_of(&self, device: DeviceId) -> Answer<'_, Vec<Vec<u8>>>;

    /// How many devices there are.
    fn device_counts(&self) -> Answer<'_, DeviceCounts>;

    /// Takes devices out of service: `to` is [`DeviceState::Revoked`] or [`DeviceState::Retired`]. Their
    /// links are revoked and their deployments canceled with it. Nothing brings a revoked device back;
    /// a retired one may still be revoked. Devices that are there already, or unknown, are left out.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid): another state.
    fn withdraw_devices(
        &self,
        devices: Vec<DeviceId>,
        to: DeviceState,
        reason: String,
        at: UnixTime,
    ) -> Answer<'_, Withdrawn>;

    /// Takes check-ins, in order.
    fn check_in(&self, check_ins: Vec<CheckIn>) -> Answer<'_, Vec<CheckedIn>>;

    /// Takes the mark of a fork away: the device's next counter above the highest seen counts.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn clear_cloned(&self, device: DeviceId, at: UnixTime) -> Answer<'_, ()>;

    /// Records what devices run. Reports of unknown devices are dropped.
    fn record_versions(&self, reports: Vec<VersionReport>) -> Answer<'_, ()>;

    /// Puts devices into a cohort and takes others out. Unknown devices are left out.
    fn change_cohort(&self, cohort: String, add: Vec<DeviceId>, remove: Vec<DeviceId>) -> Answer<'_, ()>;
}

impl DeviceState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Reserved, Self::Active, Self::Revoked, Self::Retired, Self::Replaced];

    /// The state as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Retired => "retired",
            Self::Replaced => "replaced",
        }
    }
}
