//! Power cuts at any moment, of devices and of the backend.

use std::{collections::BTreeMap, path::PathBuf, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    device::Device,
    fleet::Fleet,
    program::{alone, until},
};

/// Decides on victims and moments. What is running there then differs from run to run all the same.
const SEED: u64 = 0x5eed_f1ee;
/// Kills in all, at the least.
const KILLS: u32 = 200;
/// Kills in one rollout, at most: then it may finish in peace.
const KILLS_PER_ROLLOUT: u32 = 25;
/// Kills of one device while it installs one version, and again while it tries it out. With one more of
/// either a device may rightly give the version up.
const KILLS_PER_TRIAL: u32 = 2;
/// Kills that must have caught a device with a deployment under way.
const MIDDLE: u32 = 40;
/// Rollouts, at most.
const ROLLOUTS: u32 = 40;
/// The longest that what was started again is left alone.
const LEFT_ALONE_MILLISECONDS: u64 = 150;
/// What a version of the software is padded with.
const PADDING: usize = 3_000_000;

#[test]
fn no_power_cut_loses_repeats_or_turns_back_an_update() {
    let _alone = alone();
    let mut story = Story::begin();
    let mut round = 0;
    while story.kills < KILLS {
        round += 1;
        assert!(round <= ROLLOUTS, "after {round} rollouts there were only {} kills", story.kills);
        story.update(round);
    }
    assert!(
        story.middle >= MIDDLE,
        "{} of {} kills were in the middle: {:?}",
        story.middle,
        story.kills,
        story.caught
    );
    assert!(story.backend_kills >= KILLS / 10, "the backend was killed {} times", story.backend_kills);
}

struct Story {
    // Dropped before the fleet's folder goes, with their logs in it.
    devices: Vec<Device>,
    fleet: Fleet,
    random: Random,
    kills: u32,
    backend_kills: u32,
    /// Kills that caught a device in the middle of a deployment.
    middle: u32,
    /// Where devices stood when they were killed.
    caught: BTreeMap<String, u32>,
    /// The newest version that each device was seen with, in its slot and in its own words.
    seen: Vec<[u32; 2]>,
}

impl Story {
    fn begin() -> Self {
        let fleet = Fleet::found();
        let mut devices = vec![fleet.enrol("P4-1"), fleet.enrol("P4-2")];
        devices.iter_mut().for_each(Device::start);
        let (random, caught) = (Random(SEED), BTreeMap::new());
        let seen = vec![[0; 2]; devices.len()];
        Self { devices, fleet, random, kills: 0, backend_kills: 0, middle: 0, caught, seen }
    }

    /// Brings one version to all devices, under fire.
    fn update(&mut self, number: u32) {
        let software = self.software(number);
        let version = format!("1.{number}.0");
        let release = self.fleet.publish(&version, &software);
        let rollout = self.fleet.roll_out(&release);
        let mut open: Vec<usize> = (0..self.devices.len()).collect();
        let mut caught_at: BTreeMap<(usize, String), u32> = BTreeMap::new();
        for _ in 0..KILLS_PER_ROLLOUT {
            if open.is_empty() || self.kills >= KILLS {
                break;
            }
            thread::sleep(Duration::from_millis(self.random.below(LEFT_ALONE_MILLISECONDS)));
            self.kills += 1;
            if self.random.below(4) == 0 {
                self.backend_kills += 1;
                self.fleet.kill_backend();
                self.fleet.start_backend();
                continue;
            }
            let victim = open[self.random.below(open.len() as u64) as usize];
            self.devices[victim].kill();
            let (state, done) = self.look(victim, number);
            self.devices[victim].start();
            self.middle += u32::from(state != "idle");
            let caught = caught_at.entry((victim, state.clone())).or_default();
            *caught += 1;
            let spared =
                matches!(&*state, "installing" | "rebooting" | "confirming") && *caught >= KILLS_PER_TRIAL;
            *self.caught.entry(state).or_default() += 1;
            if done || spared {
                open.retain(|&device| device != victim);
            }
        }
        self.fleet.wait_for_backend();
        self.fleet.wait_for_rollout(&rollout, self.devices.len() as u32, Duration::from_secs(120));
        let expected = std::fs::read(&software).expect("a temporary file can be read");
        for index in 0..self.devices.len() {
            until("the device has reported everything", Duration::from_secs(30), || {
                self.look(index, number).1.then_some(())
            });
            assert!(
                self.devices[index].running().as_deref() == Some(&*expected),
                "another file than {version}"
            );
        }
        self.check_backend(&rollout, &version);
    }

    /// A script that says its version, with noise behind it.
    fn software(&mut self, number: u32) -> PathBuf {
        let mut software = format!("#!/bin/sh\necho \"press-4 main 1.{number}.0\"\nexit 0\n").into_bytes();
        software.extend((0..PADDING / 8).flat_map(|_| self.random.next().to_le_bytes()));
        self.fleet.write(&format!("main-{number}"), software)
    }

    /// Looks at a device: it never runs less than before. Tells where its deployment stands, and whether it
    /// is done with this version.
    fn look(&mut self, index: usize, number: u32) -> (String, bool) {
        let device = &self.devices[index];
        // A running agent may be about to write.
        let status = until("a status", Duration::from_secs(10), || device.status());
        let component = &status["components"]["main"];
        let running = device.running().map_or(0, |file| minor(&said_by(&file)));
        let confirmed = component["version"].as_str().map_or(0, minor);
        let (now, seen) = ([running, confirmed], self.seen[index]);
        let forward = now[0] >= seen[0] && now[1] >= seen[1];
        assert!(forward, "{} went back from {seen:?} to {now:?}", device.serial);
        assert!(confirmed <= running && running <= number, "{}: {now:?}", device.serial);
        self.seen[index] = now;
        let state = component["state"].as_str().unwrap_or("idle").to_owned();
        let idle = component["deployment"].is_null() && status["waiting_reports"] == 0;
        (state, idle && confirmed == number)
    }

    /// What the backend knows: each device confirmed once, none is taken for a copy, nothing is alarming.
    fn check_backend(&self, rollout: &str, version: &str) {
        let deployments = self.fleet.json(&["rollout", "deployments", rollout])["rows"].take();
        let rows = deployments.as_array().expect("there is a list");
        assert_eq!(rows.len(), self.devices.len(), "{deployments}");
        for row in rows {
            assert_eq!(row["state"], "succeeded", "{row}");
            let device = row["device"].as_str().expect("a deployment names its device");
            let timeline = self.fleet.json(&["device", "timeline", device])["rows"].take();
            let confirmed =
                |event: &&Value| event["kind"] == "deployment_succeeded" && event["deployment"] == row["id"];
            let events = timeline.as_array().expect("there is a list");
            assert_eq!(events.iter().filter(confirmed).count(), 1, "{timeline:#}");
        }
        until("devices list the version", Duration::from_secs(30), || {
            let list = self.fleet.json(&["device", "list"])["rows"].take();
            let rows = list.as_array().expect("there is a list");
            assert!(rows.iter().all(|row| row["state"] == "active"), "{list:#}");
            rows.iter().all(|row| row["components"][0]["version"] == version).then_some(())
        });
        assert_eq!(self.fleet.json(&["fleet", "alarms"])["rows"], json!([]));
    }
}

/// The version that a script made by [`Story::software`] prints.
fn said_by(software: &[u8]) -> String {
    let quoted = software.split(|&byte| byte == b'"').nth(1).unwrap_or_default();
    String::from_utf8_lossy(quoted).split(' ').next_back().unwrap_or_default().to_owned()
}

/// The n of a version 1.n.0.
fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|number| number.parse().ok()).expect("a version is 1.n.0")
}

/// SplitMix64: small, and the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
