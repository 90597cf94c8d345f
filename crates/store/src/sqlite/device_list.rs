//! Devices as lists show them.

use std::fmt::Write as _;

use model::{DeploymentState, DeviceId, SecurityCounter, Serial, UnixTime, Version};
use rusqlite::{Connection, Row, params_from_iter, types::Value};

use super::sql::{Sql, blob, json, kem_id, maybe, text, time, uint, word};
use crate::{
    Device, DeviceCounts, DeviceFilter, DeviceKey, DeviceOrder, DeviceState, Error, InstalledVersion, Page,
    PageRequest, Result,
};

const COLUMNS: &str = "d.n, d.id, d.serial, d.model, d.hardware_revision, d.station, d.spki, d.kem, \
    d.certificate_serial, d.certificate, d.state, d.cloned, d.enrolled_at, \
    (SELECT json_array(at, counter) FROM check_in WHERE device = d.n), \
    (SELECT json_group_array(cohort) FROM device_cohort WHERE device = d.n), \
    (SELECT json_group_array(json_array(component, reported, confirmed, security_counter, at)) \
        FROM device_version WHERE device = d.n), \
    (SELECT state FROM deployment INDEXED BY deployment_device WHERE device = d.n ORDER BY n DESC LIMIT 1)";

/// So few rows may be sorted for one page.
const SORTED_MOST: u64 = 2_000;

pub(super) fn by_id(db: &Connection, id: &DeviceId) -> Result<Option<Device>> {
    db.one(&format!("SELECT {COLUMNS} FROM device d WHERE d.id = ?"), [id.as_bytes()], device)
}

pub(super) fn by_serial(db: &Connection, serial: &Serial) -> Result<Option<Device>> {
    db.one(
        &format!("SELECT {COLUMNS} FROM device d WHERE d.serial = ? AND d.state <> 'replaced'"),
        [serial.as_str()],
        device,
    )
}

pub(super) fn counts(db: &Connection) -> Result<DeviceCounts> {
    let by_model = db.all("SELECT model, state, count FROM device_count WHERE count > 0", [], |row| {
        Ok((text(row, 0)?, word(row, 1, &DeviceState::ALL, DeviceState::as_str)?, uint(row, 2)?))
    })?;
    let mut counts = DeviceCounts { by_model, ..DeviceCounts::default() };
    counts.by_state = DeviceState::ALL
        .into_iter()
        .map(|state| {
            let of_state = counts.by_model.iter().filter(|(_, of, _)| *of == state);
            (state, of_state.map(|(_, _, count)| count).sum())
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    counts.by_cohort = db.all("SELECT cohort, count FROM cohort_count WHERE count > 0", [], |row| {
        Ok((row.get(0)?, uint(row, 1)?))
    })?;
    counts.by_version =
        db.all("SELECT component, version, count FROM version_count WHERE count > 0", [], |row| {
            Ok((text(row, 0)?, text(row, 1)?, uint(row, 2)?))
        })?;
    counts.by_station = db.all("SELECT station, count FROM station_count WHERE count > 0", [], |row| {
        Ok((text(row, 0)?, uint(row, 1)?))
    })?;
    counts.cloned = db
        .one("SELECT count(*) FROM device INDEXED BY device_cloned WHERE cloned = 1", [], |row| uint(row, 0))?
        .unwrap_or(0);
    Ok(counts)
}

/// The rows that a page is searched in: those of the filter's part that fewest devices meet.
struct Search {
    /// How many there are.
    count: u64,
    /// The tables, the narrow one first.
    from: &'static str,
    /// The column with the row number.
    number: &'static str,
}

pub(super) fn page(db: &Connection, filter: &DeviceFilter, page: &PageRequest) -> Result<Page<Device>> {
    let DeviceOrder { by, descending } = filter.order.unwrap_or(match filter.serial_prefix {
        Some(_) => DeviceOrder { by: DeviceKey::Serial, descending: false },
        None => DeviceOrder { by: DeviceKey::Enrolled, descending: true },
    });
    if by != DeviceKey::Serial && filter.serial_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) {
        return Err(Error::Invalid { what: "order" });
    }
    let mut search = narrowest(db, filter)?;
    let (key, index) = match by {
        DeviceKey::Enrolled => (None, search.from),
        DeviceKey::Serial => (Some("d.serial"), "device d INDEXED BY device_serial"),
        DeviceKey::Model => (Some("d.model"), "device d INDEXED BY device_model"),
    };
    // Few are sorted; among many the index of what they are sorted by is walked.
    if key.is_some() && search.count > SORTED_MOST {
        search = Search { count: search.count, from: index, number: "d.n" };
    }
    let mut holds = String::from("TRUE");
    let mut values: Vec<Value> = Vec::new();
    let mut hold = |condition: &str, with: &[&str]| {
        values.extend(with.iter().map(|value| Value::from((*value).to_owned())));
        // Writing to a string cannot fail.
        let _ = write!(holds, " AND {condition}");
    };
    if let Some(model) = &filter.model {
        hold("d.model = ?", &[model.as_str()]);
    }
    if let Some(state) = filter.state {
        hold("d.state = ?", &[state.as_str()]);
    }
    if let Some(cohort) = &filter.cohort {
        let condition = match search.number {
            "k.device" => "k.cohort = ?",
            _ => "EXISTS (SELECT 1 FROM device_cohort WHERE cohort = ? AND device = d.n)",
        };
        hold(condition, &[cohort]);
    }
    if let Some((component, version)) = &filter.version {
        let condition = match search.number {
            "v.device" => "v.component = ? AND v.confirmed = ?",
            _ => {
                "EXISTS (SELECT 1 FROM device_version WHERE component = ? AND confirmed = ? AND device = d.n)"
            }
        };
        hold(condition, &[component.as_str(), &version.to_string()]);
    }
    if let Some(prefix) = &filter.serial_prefix {
        // No character of a serial number sorts behind DEL.
        hold("d.serial >= ? AND d.serial < ? || char(127)", &[prefix, prefix]);
    }
    let mut groups = "";
    if filter.engaged {
        if search.number == "p.device" {
            hold("p.open = 1", &[]);
            groups = " GROUP BY p.device";
        } else {
            hold("EXISTS (SELECT 1 FROM deployment WHERE device = d.n AND open = 1)", &[]);
        }
    }
    let (than, way) = if descending { ("<", " DESC") } else { (">", "") };
    let Search { from, number, .. } = search;
    let sorted = match key {
        Some(key) => {
            if let Some((place, n)) = named_cursor(page)? {
                values.extend([Value::from(place), Value::from(n)]);
                let _ = write!(holds, " AND ({key}, d.n) {than} (?, ?)");
            }
            format!("{key}{way}, d.n{way}")
        }
        None => {
            values.push(Value::from(page.number(if descending { i64::MAX } else { i64::MIN })?));
            let _ = write!(holds, " AND {number} {than} ?");
            format!("{number}{way}")
        }
    };
    values.push(Value::from(page.look()));
    let sql = format!("SELECT {COLUMNS} FROM {from} WHERE {holds}{groups} ORDER BY {sorted} LIMIT ?");
    let rows = db.all(&sql, params_from_iter(values), |row| {
        let n: i64 = row.get(0)?;
        let device = device(row)?;
        let place = match by {
            DeviceKey::Enrolled => n.to_string(),
            DeviceKey::Serial => format!("{} {n}", device.serial),
            DeviceKey::Model => format!("{} {n}", device.model),
        };
        Ok((place, device))
    })?;
    Ok(page.page(rows))
}

/// A place in a list sorted by name: the name and the row number behind which it goes on.
fn named_cursor(page: &PageRequest) -> Result<Option<(String, i64)>> {
    let Some(cursor) = &page.after else {
        return Ok(None);
    };
    let place = cursor.as_str().rsplit_once(' ').and_then(|(name, n)| Some((name, n.parse().ok()?)));
    let (name, n) = place.ok_or(Error::Invalid { what: "cursor" })?;
    Ok(Some((name.to_owned(), n)))
}

fn narrowest(db: &Connection, filter: &DeviceFilter) -> Result<Search> {
    let count = |sql: &str, params: &[&str]| -> Result<u64> {
        let found = db.one(sql, params_from_iter(params), |row| uint(row, 0))?;
        Ok(found.unwrap_or(0))
    };
    let mut searches = vec![Search { count: u64::MAX, from: "device d NOT INDEXED", number: "d.n" }];
    let mut add = |count, from, number| searches.push(Search { count, from, number });
    match (&filter.model, filter.state) {
        (Some(model), Some(state)) => add(
            count(
                "SELECT coalesce(sum(count), 0) FROM device_count WHERE model = ? AND state = ?",
                &[model.as_str(), state.as_str()],
            )?,
            "device d INDEXED BY device_model_state",
            "d.n",
        ),
        (Some(model), None) => add(
            count("SELECT coalesce(sum(count), 0) FROM device_count WHERE model = ?", &[model.as_str()])?,
            "device d INDEXED BY device_model",
            "d.n",
        ),
        (None, Some(state)) => add(
            count("SELECT coalesce(sum(count), 0) FROM device_count WHERE state = ?", &[state.as_str()])?,
            "device d INDEXED BY device_state",
            "d.n",
        ),
        (None, None) => {}
    }
    if filter.engaged {
        add(
            count(
                "SELECT coalesce(sum(count), 0) FROM deployment_count WHERE state IN ('queued', 'offered',
                    'downloading', 'downloaded', 'installing', 'rebooting', 'confirming')",
                &[],
            )?,
            "deployment p INDEXED BY deployment_open CROSS JOIN device d ON d.n = p.device",
            "p.device",
        );
    }
    if let Some(cohort) = &filter.cohort {
        add(
            count("SELECT count FROM cohort_count WHERE cohort = ?", &[cohort])?,
            "device_cohort k CROSS JOIN device d ON d.n = k.device",
            "k.device",
        );
    }
    if let Some((component, version)) = &filter.version {
        add(
            count(
                "SELECT count FROM version_count WHERE component = ? AND version = ?",
                &[component.as_str(), &version.to_string()],
            )?,
            "device_version v INDEXED BY device_version_confirmed CROSS JOIN device d ON d.n = v.device",
            "v.device",
        );
    }
    searches.into_iter().min_by_key(|search| search.count).ok_or(Error::Invalid { what: "filter" })
}

fn device(row: &Row<'_>) -> Result<Device> {
    let kem = blob(row, 7)?;
    let seen: Option<(u64, u64)> = maybe(row, 13, json)?;
    let mut cohorts: Vec<String> = json(row, 14)?;
    cohorts.sort_unstable();
    let versions: Vec<(model::Component, Version, Option<Version>, SecurityCounter, u64)> = json(row, 15)?;
    Ok(Device {
        id: blob(row, 1)?,
        serial: text(row, 2)?,
        model: text(row, 3)?,
        hardware_revision: text(row, 4)?,
        station: text(row, 5)?,
        spki: blob(row, 6)?,
        kem,
        kem_id: kem_id(&kem),
        certificate_serial: blob(row, 8)?,
        certificate: maybe(row, 9, blob)?,
        state: word(row, 10, &DeviceState::ALL, DeviceState::as_str)?,
        cloned: row.get(11)?,
        enrolled_at: time(row, 12)?,
        last_seen_at: seen.map(|(at, _)| UnixTime::from_secs(at)),
        counter: seen.map_or(0, |(_, counter)| counter),
        cohorts,
        versions: versions
            .into_iter()
            .map(|(component, reported, confirmed, security_counter, at)| InstalledVersion {
                component,
                reported,
                confirmed,
                security_counter,
                at: UnixTime::from_secs(at),
            })
            .collect(),
        deployment: maybe(row, 16, |row, at| word(row, at, &DeploymentState::ALL, DeploymentState::as_str))?,
    })
}
