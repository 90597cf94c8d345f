//! A rollout under way: tickets that are signed anew, and devices that join it, whatever its backend claims.

use std::time::{Duration, SystemTime};

use model::UnixTime;
use rusqlite::{Connection, params};

use crate::{fleet::Fleet, program::alone, site::software};

/// Files of the backend's store.
fn store(fleet: &Fleet) -> Connection {
    Connection::open(fleet.path("backend/store.sqlite")).expect("the backend has a store")
}

#[test]
fn a_ticket_signed_anew_says_what_people_signed_before_whatever_the_backend_claims() {
    let _alone = alone();
    let mut fleet = Fleet::found();
    let devices = [1, 2, 3, 4].map(|number| fleet.enrol(&format!("P4-00000{number}")));
    let release = fleet.publish("1.1.0", &fleet.write("main-1.1.0", software("1.1.0")));
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_secs();
    let in_an_hour = UnixTime::from_secs(now + 3_600);
    let started = fleet.json(&["rollout", "start", &release, "--start-at", &in_an_hour.to_string()]);
    let rollout = started["row"]["id"].as_str().expect("a rollout has an id").to_owned();
    let renew = |fleet: &Fleet| {
        let renewed = fleet.json(&["rollout", "renew", &rollout]);
        (renewed["tickets"].as_u64(), renewed["left_out"].as_u64())
    };
    assert_eq!(renew(&fleet), (Some(4), Some(0)));

    // The third is revoked, by the signed list too; its ticket comes back with the backend's lies.
    let list = fleet.json(&["device", "list"]);
    let rows = list["rows"].as_array().expect("devices are a list");
    let third = rows.iter().find(|row| row["serial"] == devices[2].serial.as_str()).expect("it is listed");
    let of = "(SELECT p.n FROM deployment p JOIN device d ON d.n = p.device WHERE d.serial = ?)";
    let disk = store(&fleet);
    disk.execute_batch("CREATE TABLE kept AS SELECT * FROM ticket").expect("the store can be written");
    drop(disk);
    let id = third["id"].as_str().expect("a device has an id");
    fleet.json(&["device", "revoke", id, "--reason", "stolen"]);
    fleet.kill_backend();
    let disk = store(&fleet);
    let lie = |sql: &str, serial: &str| {
        let changed = disk.execute(sql, params![serial]).expect("the store can be written");
        assert_eq!(changed, 1, "{sql}");
    };
    lie("UPDATE device SET state = 'active' WHERE serial = ?", &devices[2].serial);
    lie(&format!("UPDATE deployment SET state = 'queued', open = 1 WHERE n = {of}"), &devices[2].serial);
    let put_back = format!("INSERT OR REPLACE INTO ticket SELECT * FROM kept WHERE deployment = {of}");
    lie(&put_back, &devices[2].serial);
    // The second is given the ticket of the first, and everything begins at once.
    let first = format!("SELECT installs FROM ticket WHERE deployment = {of}");
    let first: Vec<u8> = disk
        .query_row(&first, params![devices[0].serial], |row| row.get(0))
        .expect("the first device has a ticket");
    let swap = format!("UPDATE ticket SET installs = ? WHERE deployment = {of}");
    disk.execute(&swap, params![first, devices[1].serial]).expect("the store can be written");
    disk.execute("UPDATE rollout_phase SET not_before = 0", []).expect("the store can be written");
    drop(disk);
    fleet.start_backend();
    fleet.wait_for_backend();

    assert_eq!(renew(&fleet), (Some(2), Some(2)), "neither the second nor the third");
    let earliest = "SELECT min(not_before) FROM ticket";
    let earliest: i64 = store(&fleet).query_row(earliest, [], |row| row.get(0)).expect("there are tickets");
    assert_eq!(earliest.unsigned_abs(), in_an_hour.as_secs(), "no sooner than was signed first");
}

#[test]
fn a_device_that_joined_since_waits_for_a_ticket_and_is_updated_once_it_is_signed() {
    let _alone = alone();
    let fleet = Fleet::found();
    let mut first = fleet.enrol("P4-000001");
    let release = fleet.publish("1.1.0", &fleet.write("main-1.1.0", software("1.1.0")));
    let rollout = fleet.roll_out(&release);
    let nobody = fleet.refused("alice", &["rollout", "add", &rollout]);
    assert_eq!(nobody["code"], "precondition_failed", "{nobody}");

    let mut second = fleet.enrol("P4-000002");
    let added = fleet.json(&["rollout", "add", &rollout]);
    assert_eq!((added["tickets"].as_u64(), added["left_out"].as_u64()), (Some(1), Some(0)), "{added}");
    first.start();
    second.start();
    fleet.wait_for_rollout(&rollout, 2, Duration::from_secs(90));
    assert_eq!(second.running(), Some(software("1.1.0").into_bytes()));
    let ended = fleet.refused("alice", &["rollout", "add", &rollout]);
    assert_eq!(ended["code"], "precondition_failed", "{ended}");
}
