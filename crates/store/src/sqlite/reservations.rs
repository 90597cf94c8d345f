//! Names and keys, unique before anything is signed.

use model::{DeviceId, UnixTime};
use rusqlite::params;

use super::{
    Tx, devices, journal,
    sql::{Sql, blob, secs, taken, word},
    steps,
};
use crate::{Alarm, Basis, Certificate, DeviceState, Error, Reservation, Reserved, Result};

/// A device as reservations see it.
struct Unit {
    n: i64,
    id: DeviceId,
    serial: String,
    spki: [u8; 32],
    kem: [u8; 32],
    certificate_serial: [u8; 16],
    state: DeviceState,
}

const UNIT: &str = "SELECT n, id, serial, spki, kem, certificate_serial, state FROM device";

pub(super) fn reserve(tx: &mut Tx<'_>, new: &Reservation) -> Result<Reserved> {
    match new.basis {
        Basis::Enrol => enrol(tx, new),
        Basis::Renew => renew(tx, new),
        Basis::Rekey => rekey(tx, new),
        Basis::Replace { old } => replace(tx, new, &old),
    }
}

fn enrol(tx: &mut Tx<'_>, new: &Reservation) -> Result<Reserved> {
    let unit = unit_of_serial(tx, new)?;
    match (key_owner(tx, new)?, unit) {
        (None, None) => insert(tx, new),
        (None, Some(unit)) => Ok(Reserved::NeedsReplace { device: unit.id }),
        (Some(owner), Some(unit)) if owner == unit.n => known_or_other_keys(tx, new, &unit),
        (Some(owner), _) => key_seen(tx, new, owner),
    }
}

/// The keys belong to the unit with this serial: as its current pair, or otherwise.
fn known_or_other_keys(tx: &Tx<'_>, new: &Reservation, unit: &Unit) -> Result<Reserved> {
    if !unit.has_keys_of(new) {
        return Ok(Reserved::NeedsReplace { device: unit.id });
    }
    match unit.state {
        DeviceState::Reserved | DeviceState::Active => known(tx, unit.id, unit.certificate_serial),
        DeviceState::Revoked | DeviceState::Retired | DeviceState::Replaced => Ok(Reserved::NotActive),
    }
}

fn renew(tx: &mut Tx<'_>, new: &Reservation) -> Result<Reserved> {
    let Some(unit) = active_unit(tx, new)? else {
        return Ok(Reserved::NotActive);
    };
    if !unit.has_keys_of(new) {
        return match key_owner(tx, new)? {
            Some(owner) if owner != unit.n => key_seen(tx, new, owner),
            Some(_) | None => Ok(Reserved::NeedsReplace { device: unit.id }),
        };
    }
    match pending_certificate(tx, unit.n, new)? {
        Some(serial) => known(tx, unit.id, serial),
        None => reserve_certificate(tx, unit.n, new),
    }
}

fn rekey(tx: &mut Tx<'_>, new: &Reservation) -> Result<Reserved> {
    let Some(unit) = active_unit(tx, new)? else {
        return Ok(Reserved::NotActive);
    };
    let Some(owner) = key_owner(tx, new)? else {
        add_keys(tx, unit.n, new)?;
        return reserve_certificate(tx, unit.n, new);
    };
    // The same rekey again, signed or not; anything else reuses a key.
    if owner == unit.n && key_pair(tx, unit.n, new)? {
        if let Some(serial) = pending_certificate(tx, unit.n, new)? {
            return known(tx, unit.id, serial);
        }
        if unit.has_keys_of(new) {
            return known(tx, unit.id, unit.certificate_serial);
        }
    }
    key_seen(tx, new, owner)
}

fn replace(tx: &mut Tx<'_>, new: &Reservation, old: &DeviceId) -> Result<Reserved> {
    let Some(before) = tx.one(&format!("{UNIT} WHERE id = ?"), [old.as_bytes()], unit)? else {
        return Ok(Reserved::NotActive);
    };
    if before.serial != new.serial.as_str() {
        return Ok(Reserved::NotActive);
    }
    if before.state == DeviceState::Replaced {
        // Done before: the new record must be this very one.
        return match unit_of_serial(tx, new)? {
            Some(unit) if unit.has_keys_of(new) => known_or_other_keys(tx, new, &unit),
            Some(unit) => Ok(Reserved::NeedsReplace { device: unit.id }),
            None => Ok(Reserved::NotActive),
        };
    }
    if let Some(owner) = key_owner(tx, new)? {
        return key_seen(tx, new, owner);
    }
    devices::withdraw(tx, old, DeviceState::Replaced, &format!("by {}", new.device), new.at)?;
    insert(tx, new)
}

fn insert(tx: &Tx<'_>, new: &Reservation) -> Result<Reserved> {
    taken(
        tx.run(
            "INSERT INTO device (id, serial, model, hardware_revision, station, spki, kem, certificate_serial,
                state, enrolled_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'reserved', ?)",
            params![
                new.device.as_bytes(),
                new.serial.as_str(),
                new.model.as_str(),
                new.hardware_revision.as_str(),
                new.station.as_str(),
                new.spki.as_bytes(),
                new.kem,
                new.certificate_serial,
                secs(new.at),
            ],
        ),
        "device id",
    )?;
    let n = tx.connection().last_insert_rowid();
    add_keys(tx, n, new)?;
    reserve_certificate(tx, n, new)
}

fn add_keys(tx: &Tx<'_>, device: i64, new: &Reservation) -> Result<()> {
    let added =
        tx.run("INSERT INTO device_key VALUES (?, ?, ?)", params![new.spki.as_bytes(), new.kem, device]);
    taken(added, "key").map(drop)
}

fn reserve_certificate(tx: &Tx<'_>, device: i64, new: &Reservation) -> Result<Reserved> {
    let reserved = tx.run(
        "INSERT INTO certificate (serial, device, spki, reserved_at) VALUES (?, ?, ?, ?)",
        params![new.certificate_serial, device, new.spki.as_bytes(), secs(new.at)],
    );
    taken(reserved, "certificate serial")?;
    Ok(Reserved::Granted)
}

fn known(tx: &Tx<'_>, device: DeviceId, certificate_serial: [u8; 16]) -> Result<Reserved> {
    let certificate =
        tx.one("SELECT der FROM certificate WHERE serial = ?", [certificate_serial], |row| Ok(row.get(0)?))?;
    Ok(Reserved::Known { device, certificate_serial, certificate: certificate.flatten() })
}

fn key_seen(tx: &Tx<'_>, new: &Reservation, owner: i64) -> Result<Reserved> {
    let device = tx
        .one("SELECT id FROM device WHERE n = ?", [owner], |row| blob(row, 0))?
        .ok_or(Error::NotFound { what: "device" })?;
    let detail = format!("a key of this device was shown for the serial number {}", new.serial);
    journal::raise(tx, Alarm::KEY_SEEN, Some(owner), &detail, new.at)?;
    Ok(Reserved::KeySeen { device })
}

/// Whose identity key, or else whose KEM key, it is.
fn key_owner(tx: &Tx<'_>, new: &Reservation) -> Result<Option<i64>> {
    let by_spki =
        tx.one("SELECT device FROM device_key WHERE spki = ?", [new.spki.as_bytes()], |row| Ok(row.get(0)?))?;
    if by_spki.is_some() {
        return Ok(by_spki);
    }
    tx.one("SELECT device FROM device_key WHERE kem = ?", [new.kem], |row| Ok(row.get(0)?))
}

/// Whether both keys were reserved together for this device.
fn key_pair(tx: &Tx<'_>, device: i64, new: &Reservation) -> Result<bool> {
    let found = tx.one(
        "SELECT 1 FROM device_key WHERE spki = ? AND kem = ? AND device = ?",
        params![new.spki.as_bytes(), new.kem, device],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// The serial number of a certificate that was reserved for these keys and is not signed.
fn pending_certificate(tx: &Tx<'_>, device: i64, new: &Reservation) -> Result<Option<[u8; 16]>> {
    tx.one(
        "SELECT serial FROM certificate WHERE device = ? AND spki = ? AND der IS NULL",
        params![device, new.spki.as_bytes()],
        |row| blob(row, 0),
    )
}

fn unit_of_serial(tx: &Tx<'_>, new: &Reservation) -> Result<Option<Unit>> {
    tx.one(&format!("{UNIT} WHERE serial = ? AND state <> 'replaced'"), [new.serial.as_str()], unit)
}

/// The device that the reservation names, if it is active and has the serial that it says.
fn active_unit(tx: &Tx<'_>, new: &Reservation) -> Result<Option<Unit>> {
    let unit = tx.one(&format!("{UNIT} WHERE id = ?"), [new.device.as_bytes()], unit)?;
    Ok(unit.filter(|unit| unit.state == DeviceState::Active && unit.serial == new.serial.as_str()))
}

fn unit(row: &rusqlite::Row<'_>) -> Result<Unit> {
    Ok(Unit {
        n: row.get(0)?,
        id: blob(row, 1)?,
        serial: row.get(2)?,
        spki: blob(row, 3)?,
        kem: blob(row, 4)?,
        certificate_serial: blob(row, 5)?,
        state: word(row, 6, &DeviceState::ALL, DeviceState::as_str)?,
    })
}

impl Unit {
    fn has_keys_of(&self, new: &Reservation) -> bool {
        self.spki == *new.spki.as_bytes() && self.kem == new.kem
    }
}

/// Stores a signed certificate and makes its keys the device's.
pub(super) fn certify(tx: &mut Tx<'_>, signed: &Certificate) -> Result<()> {
    let reserved = tx.one(
        "SELECT c.device, c.spki, c.der, k.kem FROM certificate c JOIN device_key k ON k.spki = c.spki
         WHERE c.serial = ?",
        [signed.serial],
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                blob::<[u8; 32]>(row, 1)?,
                row.get::<_, Option<Vec<u8>>>(2)?,
                blob::<[u8; 32]>(row, 3)?,
            ))
        },
    )?;
    let unit = tx.one(&format!("{UNIT} WHERE id = ?"), [signed.device.as_bytes()], unit)?;
    let (Some((device, spki, stored, kem)), Some(unit)) = (reserved, unit) else {
        return Err(Error::NotFound { what: "reservation" });
    };
    if device != unit.n {
        return Err(Error::NotFound { what: "reservation" });
    }
    match stored {
        Some(der) if der == signed.der => return Ok(()),
        Some(_) => return Err(Error::Conflict { what: "certificate serial" }),
        None => {}
    }
    let kind = match unit.state {
        DeviceState::Reserved => "enrolled",
        DeviceState::Active if unit.spki == spki => "renewed",
        DeviceState::Active => "rekeyed",
        DeviceState::Revoked | DeviceState::Retired | DeviceState::Replaced => {
            return Err(Error::Illegal { what: "a device", from: unit.state.as_str(), to: "active" });
        }
    };
    tx.run(
        "UPDATE certificate SET signed_at = ?, sha256 = ?, der = ? WHERE serial = ?",
        params![secs(signed.at), signed.sha256.as_bytes(), signed.der, signed.serial],
    )?;
    activate(tx, &unit, signed, &spki, &kem)?;
    if kind == "rekeyed" {
        steps::drop_tickets(tx, device, signed.at)?;
    }
    journal::append(tx, kind, signed.at, &journal::Line { device: Some(device), ..Default::default() })?;
    devices::remember(tx, device)
}

fn activate(tx: &Tx<'_>, unit: &Unit, signed: &Certificate, spki: &[u8; 32], kem: &[u8; 32]) -> Result<()> {
    tx.run(
        "UPDATE device SET spki = ?, kem = ?, certificate_serial = ?, certificate = ? WHERE n = ?",
        params![spki, kem, signed.serial, signed.sha256.as_bytes(), unit.n],
    )?;
    if unit.state == DeviceState::Reserved {
        enrolled(tx, unit.n, signed.at)?;
    }
    Ok(())
}

fn enrolled(tx: &Tx<'_>, device: i64, at: UnixTime) -> Result<()> {
    tx.run("UPDATE device SET state = 'active', enrolled_at = ? WHERE n = ?", params![secs(at), device])?;
    Ok(())
}
