use model::{DeviceId, Digest, Serial, SpkiDigest, UnixTime};
use rusqlite::{Connection, Row, params};

use super::{
    SqliteStore, Tx, device_list, journal,
    memory::{Effect, Memory},
    reservations,
    sql::{Sql, blob, int, maybe, secs, uint, word},
    steps,
};
use crate::{
    Alarm, Answer, Certificate, CheckIn, CheckedIn, Device, DeviceCounts, DeviceFilter, DeviceState, Devices,
    Error, Identity, Page, PageRequest, Reservation, Reserved, Result, VersionReport, Withdrawn,
};

const IDENTITY: &str = "SELECT id, spki, certificate, state, cloned FROM device";

/// Reads every device's identity into memory.
pub(super) fn load(connection: &Connection, memory: &Memory) -> Result<()> {
    let count = connection.one("SELECT coalesce(sum(count), 0) FROM device_count", [], |row| uint(row, 0))?;
    memory.reserve_identities(count.unwrap_or(0));
    let mut statement = connection.prepare(&format!("{IDENTITY} WHERE certificate IS NOT NULL"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        memory.apply(vec![Effect::Identity(identity(row)?)]);
    }
    Ok(())
}

/// What memory must know of a device once this is durable.
pub(super) fn remember(tx: &mut Tx<'_>, device: i64) -> Result<()> {
    let found = tx.one(&format!("{IDENTITY} WHERE n = ? AND certificate IS NOT NULL"), [device], identity)?;
    if let Some(identity) = found {
        tx.then(Effect::Identity(identity));
    }
    Ok(())
}

/// Takes a device out of service; whether its state changed.
pub(super) fn withdraw(
    tx: &mut Tx<'_>,
    id: &DeviceId,
    to: DeviceState,
    reason: &str,
    at: UnixTime,
) -> Result<Option<steps::Recalled>> {
    let Some((n, from)) = stands(tx, id)? else {
        return Ok(None);
    };
    let allowed = match from {
        DeviceState::Reserved | DeviceState::Active => true,
        DeviceState::Retired => matches!(to, DeviceState::Revoked | DeviceState::Replaced),
        DeviceState::Revoked => to == DeviceState::Replaced,
        DeviceState::Replaced => false,
    };
    if !allowed {
        return Ok(None);
    }
    tx.run("UPDATE device SET state = ? WHERE n = ?", params![to.as_str(), n])?;
    let detail = serde_json::json!({ "reason": reason }).to_string();
    let line = journal::Line { device: Some(n), detail: Some(&detail), ..Default::default() };
    journal::append(tx, to.as_str(), at, &line)?;
    remember(tx, n)?;
    steps::recall_device(tx, n, at).map(Some)
}

impl Devices for SqliteStore {
    fn reserve(&self, reservations: Vec<Reservation>) -> Answer<'_, Vec<Reserved>> {
        self.write(move |tx| reservations.iter().map(|new| reservations::reserve(tx, new)).collect())
    }

    fn certify(&self, certificates: Vec<Certificate>) -> Answer<'_, ()> {
        self.write(move |tx| certificates.iter().try_for_each(|signed| reservations::certify(tx, signed)))
    }

    fn identity(&self, spki: SpkiDigest) -> Answer<'_, Option<Identity>> {
        Box::pin(async move { Ok(self.memory.identity(&spki)) })
    }

    fn identity_by_certificate(&self, sha256: Digest) -> Answer<'_, Option<Identity>> {
        Box::pin(async move { Ok(self.memory.identity_by_certificate(&sha256)) })
    }

    fn identity_of(&self, device: DeviceId) -> Answer<'_, Option<Identity>> {
        Box::pin(async move { Ok(self.memory.identity_of(&device)) })
    }

    fn device(&self, id: DeviceId) -> Answer<'_, Option<Device>> {
        self.read(move |db| device_list::by_id(db, &id))
    }

    fn device_by_serial(&self, serial: Serial) -> Answer<'_, Option<Device>> {
        self.read(move |db| device_list::by_serial(db, &serial))
    }

    fn devices(&self, filter: DeviceFilter, page: PageRequest) -> Answer<'_, Page<Device>> {
        self.read(move |db| device_list::page(db, &filter, &page))
    }

    fn certificates(&self, devices: Vec<DeviceId>) -> Answer<'_, Vec<(DeviceId, Vec<u8>)>> {
        self.read(move |db| {
            let mut found = Vec::with_capacity(devices.len());
            for id in devices.into_iter().take(PageRequest::MOST as usize) {
                let der = db.one(
                    "SELECT c.der FROM device d JOIN certificate c ON c.serial = d.certificate_serial
                     WHERE d.id = ?",
                    [id.as_bytes()],
                    |row| Ok(row.get::<_, Option<Vec<u8>>>(0)?),
                )?;
                found.extend(der.flatten().map(|der| (id, der)));
            }
            Ok(found)
        })
    }

    fn certificates_of(&self, device: DeviceId) -> Answer<'_, Vec<Vec<u8>>> {
        self.read(move |db| {
            db.all(
                "SELECT c.der FROM certificate c JOIN device d ON d.n = c.device
                 WHERE d.id = ? AND c.der IS NOT NULL ORDER BY c.signed_at, c.rowid",
                [device.as_bytes()],
                |row| Ok(row.get(0)?),
            )
        })
    }

    fn device_counts(&self) -> Answer<'_, DeviceCounts> {
        self.read(device_list::counts)
    }

    fn withdraw_devices(
        &self,
        devices: Vec<DeviceId>,
        to: DeviceState,
        reason: String,
        at: UnixTime,
    ) -> Answer<'_, Withdrawn> {
        self.write(move |tx| {
            if !matches!(to, DeviceState::Revoked | DeviceState::Retired) {
                return Err(Error::Invalid { what: "state" });
            }
            let mut withdrawn = Withdrawn::default();
            for id in &devices {
                if let Some(recalled) = withdraw(tx, id, to, &reason, at)? {
                    withdrawn.devices.push(*id);
                    withdrawn.links.extend(recalled.links);
                    withdrawn.canceled += recalled.canceled;
                }
            }
            Ok(withdrawn)
        })
    }

    fn check_in(&self, check_ins: Vec<CheckIn>) -> Answer<'_, Vec<CheckedIn>> {
        self.write(move |tx| check_ins.iter().map(|one| check_in(tx, one)).collect())
    }

    fn clear_cloned(&self, device: DeviceId, at: UnixTime) -> Answer<'_, ()> {
        self.write(move |tx| {
            let (n, _) = stands(tx, &device)?.ok_or(Error::NotFound { what: "device" })?;
            if tx.run("UPDATE device SET cloned = 0 WHERE n = ? AND cloned = 1", [n])? > 0 {
                let line = journal::Line { device: Some(n), ..Default::default() };
                journal::append(tx, "clone_cleared", at, &line)?;
                remember(tx, n)?;
            }
            Ok(())
        })
    }

    fn record_versions(&self, reports: Vec<VersionReport>) -> Answer<'_, ()> {
        self.write(move |tx| reports.iter().try_for_each(|report| record_version(tx, report)))
    }

    fn change_cohort(&self, cohort: String, add: Vec<DeviceId>, remove: Vec<DeviceId>) -> Answer<'_, ()> {
        self.write(move |tx| {
            for id in &add {
                tx.run(
                    "INSERT OR IGNORE INTO device_cohort SELECT ?, n FROM device WHERE id = ?",
                    params![cohort, id.as_bytes()],
                )?;
            }
            for id in &remove {
                tx.run(
                    "DELETE FROM device_cohort WHERE cohort = ? AND device = (SELECT n FROM device WHERE id = ?)",
                    params![cohort, id.as_bytes()],
                )?;
            }
            Ok(())
        })
    }
}

fn check_in(tx: &mut Tx<'_>, new: &CheckIn) -> Result<CheckedIn> {
    let counter = int(new.counter, "counter")?;
    let known = tx.one(
        "SELECT d.n, d.state, d.cloned, c.counter, c.nonce FROM device d LEFT JOIN check_in c ON c.device = d.n
         WHERE d.id = ?",
        [new.device.as_bytes()],
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                word(row, 1, &DeviceState::ALL, DeviceState::as_str)?,
                row.get::<_, bool>(2)?,
                maybe(row, 3, uint::<u64>)?,
                maybe(row, 4, blob::<[u8; 16]>)?,
            ))
        },
    )?;
    let Some((n, DeviceState::Active, cloned, last, nonce)) = known else {
        return Ok(CheckedIn::NotActive);
    };
    let highest = last.unwrap_or(0);
    if cloned {
        return Ok(CheckedIn::Forked { counter: highest });
    }
    if last.is_none_or(|last| new.counter > last) {
        tx.run(
            "INSERT INTO check_in VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
             SET counter = excluded.counter, nonce = excluded.nonce, at = max(at, excluded.at)",
            params![n, counter, new.nonce, secs(new.at)],
        )?;
        return Ok(CheckedIn::Taken);
    }
    if last == Some(new.counter) && nonce == Some(new.nonce) {
        return Ok(CheckedIn::Repeated);
    }
    tx.run("UPDATE device SET cloned = 1 WHERE n = ?", [n])?;
    let detail = format!("its counter came as {} after {highest}", new.counter);
    journal::raise(tx, Alarm::CLONED, Some(n), &detail, new.at)?;
    let line = journal::Line { device: Some(n), ..Default::default() };
    journal::append(tx, "cloned", new.at, &line)?;
    remember(tx, n)?;
    Ok(CheckedIn::Forked { counter: highest })
}

fn record_version(tx: &Tx<'_>, report: &VersionReport) -> Result<()> {
    let Some((device, _)) = stands(tx, &report.device)? else {
        return Ok(());
    };
    let version = report.version.to_string();
    tx.run(
        "INSERT INTO device_version VALUES (?1, ?2, ?3, iif(?4 IS NULL, NULL, ?3), coalesce(?4, 0), ?5)
         ON CONFLICT DO UPDATE SET reported = excluded.reported,
            confirmed = coalesce(excluded.confirmed, confirmed),
            security_counter = max(security_counter, excluded.security_counter), at = excluded.at",
        params![
            device,
            report.component.as_str(),
            version,
            report.confirmed.map(|counter| counter.0),
            secs(report.at),
        ],
    )?;
    Ok(())
}

fn stands(tx: &Tx<'_>, id: &DeviceId) -> Result<Option<(i64, DeviceState)>> {
    tx.one("SELECT n, state FROM device WHERE id = ?", [id.as_bytes()], |row| {
        Ok((row.get(0)?, word(row, 1, &DeviceState::ALL, DeviceState::as_str)?))
    })
}

fn identity(row: &Row<'_>) -> Result<Identity> {
    Ok(Identity {
        device: blob(row, 0)?,
        spki: blob(row, 1)?,
        certificate: blob(row, 2)?,
        state: word(row, 3, &DeviceState::ALL, DeviceState::as_str)?,
        cloned: row.get(4)?,
    })
}
