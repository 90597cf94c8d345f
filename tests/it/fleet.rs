//! A fleet of one person, founded by the command line, and its backend.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
    time::Duration,
};

use serde_json::Value;

use crate::{
    program::Answer,
    site::{MODEL, Site},
};

/// Alice and her backend, at a site of their own.
pub(crate) struct Fleet(Site);

impl Fleet {
    /// Founds a fleet, proves a backup, starts the backend.
    pub(crate) fn found() -> Self {
        let mut fleet = Self(Site::new());
        let [identity, founding] = ["backend.json", "founding.json"].map(|name| fleet.text(name));
        fleet.serve_once(&["--init", &identity]);
        fleet.json(&["vault", "create", "--name", "alice", "--light"]);
        let found = ["fleet", "found", "--backend", &identity, "--organization", "Example Works"];
        let status = fleet
            .json(&[&found[..], &["--station", "bench", "--threshold", "1", "--out", &founding]].concat());
        assert_eq!(status["complete"], true, "{status}");
        fleet.prove_backup("alice");
        fleet.start_backend();
        fleet.wait_for_backend();
        fleet.json(&["model", "set", MODEL, "--slot", "main=2147483648"]);
        fleet
    }

    /// Waits until the backend answers.
    pub(crate) fn wait_for_backend(&self) {
        self.0.wait_for_backend("alice");
    }

    /// A command of Alice's, with her passphrase.
    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        self.0.run("alice", arguments)
    }

    /// A command of somebody who sits at Alice's keyboard and does not know her passphrase.
    pub(crate) fn run_without_knowing(&self, arguments: &[&str]) -> Answer {
        self.0.run_without_knowing("alice", arguments)
    }

    /// What a command of Alice's answers; it must not fail.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.0.json("alice", arguments)
    }

    /// Proposes, signs, seals and publishes a release of one file, and gives its id.
    pub(crate) fn publish(&self, version: &str, file: &Path) -> String {
        self.0.publish(version, file, &["alice"])
    }

    /// Starts a rollout to all devices and gives its id.
    pub(crate) fn roll_out(&self, release: &str) -> String {
        self.start_rollout("alice", release)
    }

    /// Waits until a rollout has finished, and checks that it succeeded on so many devices.
    pub(crate) fn wait_for_rollout(&self, rollout: &str, devices: u32, within: Duration) {
        self.0.wait_for_rollout("alice", rollout, devices, within);
    }
}

impl Deref for Fleet {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.0
    }
}

impl DerefMut for Fleet {
    fn deref_mut(&mut self) -> &mut Site {
        &mut self.0
    }
}
