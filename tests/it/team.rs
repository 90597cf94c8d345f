//! A fleet of three key holders, two of whom must sign, each with a vault and a workspace of their own.

use std::{
    fs,
    ops::{Deref, DerefMut},
    time::Duration,
};

use serde_json::Value;

use crate::site::{MODEL, Site};

/// Who founds the fleet; the first of them holds the CAs.
pub(crate) const HOLDERS: [&str; 3] = ["alice", "bob", "carol"];

/// The people and their backend, at a site of their own.
pub(crate) struct Team(Site);

impl Team {
    /// Alice, Bob and Carol found a fleet together; root and targets take two of three.
    pub(crate) fn found() -> Self {
        let mut team = Self::gather();
        let [identity, founding] = ["backend.json", "founding.json"].map(|name| team.text(name));
        team.serve_once(&["--init", &identity]);
        for name in HOLDERS {
            team.newcomer(name);
        }
        let cards = [team.text("bob.card"), team.text("carol.card")];
        let found = ["fleet", "found", "--backend", &identity, "--threshold", "2", "--out", &founding];
        team.json("alice", &[&found[..], &["--card", &cards[0], "--card", &cards[1]]].concat());
        for name in ["bob", "carol"] {
            team.json(name, &["fleet", "sign", &founding]);
        }
        // The founding made the CAs.
        team.prove_backup("alice");
        team.start_backend();
        team.json("alice", &["model", "set", MODEL, "--slot", "main=1048576"]);
        team
    }

    /// Nobody yet: who comes works by the command line.
    pub(crate) fn gather() -> Self {
        Self(Site::new())
    }

    /// A vault, a proven backup of it, and a card.
    pub(crate) fn newcomer(&self, name: &str) {
        self.vault_of(name, name);
    }

    /// The same in a workspace that is not called after its holder.
    pub(crate) fn vault_of(&self, workspace: &str, holder: &str) {
        self.json(workspace, &["vault", "create", "--name", holder, "--light"]);
        self.prove_backup(workspace);
        let card = self.json(workspace, &["vault", "card"]);
        self.write(&format!("{workspace}.card"), card.to_string());
    }

    /// Starts the backend, which adopts the fleet if it has not yet, and waits until it answers.
    pub(crate) fn start_backend(&mut self) {
        self.0.start_backend();
        self.wait_for_backend("alice");
    }

    /// Takes somebody in as a key holder: the change, which these people sign, and the way in.
    pub(crate) fn take_in(&self, name: &str, signers: &[&str]) {
        self.newcomer(name);
        let (card, invitation) =
            (self.text(&format!("{name}.card")), self.text(&format!("{name}.invitation")));
        let add = ["fleet", "add-person", "--card", &card, "--role", "admin", "--key-holder"];
        let added = self.json("alice", &[&add[..], &["--invitation", &invitation]].concat());
        self.sign(&added["change"], signers);
        self.json(name, &["fleet", "join", &invitation]);
    }

    /// Copies files of one workspace into a new one.
    pub(crate) fn copy(&self, from: &str, to: &str, files: &[&str]) {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = fs::DirBuilder::new().mode(0o700).create(self.path(to));
        made.expect("a temporary folder can be made");
        for file in files {
            let copied = fs::copy(self.path(from).join(file), self.path(to).join(file));
            copied.expect("a workspace's files can be copied");
        }
    }

    /// Drafts a change of whom the fleet trusts, and lets these people sign whatever it asks for.
    pub(crate) fn change(&self, edit: &[&str], signers: &[&str]) -> Value {
        let drafted = self.json("alice", &[&["fleet", "change"], edit].concat());
        self.sign(&drafted, signers);
        drafted
    }

    /// Lets these people sign the requests of a draft, each until it is in force.
    pub(crate) fn sign(&self, drafted: &Value, signers: &[&str]) {
        for request in drafted["requests"].as_array().expect("a draft asks for signatures") {
            let id = request["id"].as_str().expect("a request has an id");
            let mut state = Value::Null;
            for name in signers {
                if state != "published" {
                    state = self.json(name, &["request", "sign", id])["state"].take();
                }
            }
            assert_eq!(state, "published", "{drafted}");
        }
    }

    /// Lets these people sign the targets metadata anew.
    pub(crate) fn renew_targets(&self, signers: &[&str]) {
        let request = self.json("alice", &["request", "renew"]);
        self.sign(&serde_json::json!({ "requests": [request] }), signers);
    }

    /// Starts a rollout by this person to all devices, and waits until all of them confirmed.
    pub(crate) fn roll_out(&self, name: &str, release: &str, devices: u32) {
        let rollout = self.start_rollout(name, release);
        self.wait_for_rollout(name, &rollout, devices, Duration::from_secs(90));
    }

    /// The key of somebody's certificate.
    pub(crate) fn spki(&self, name: &str) -> String {
        let people = self.json("alice", &["fleet", "people"]);
        let rows = people["rows"].as_array().expect("people are a list");
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{people}"));
        row["spki"].as_str().expect("a person has a key").to_owned()
    }

    /// The ids of somebody's keys for this.
    pub(crate) fn keys(&self, role: &str, holder: &str) -> Vec<String> {
        let keys = self.json("alice", &["fleet", "keys"]);
        let rows = keys["keys"].as_array().expect("keys are a list");
        let of = rows.iter().filter(|row| row["role"] == role && row["holder"] == holder);
        of.map(|row| row["id"].as_str().expect("a key has an id").to_owned()).collect()
    }
}

impl Deref for Team {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.0
    }
}

impl DerefMut for Team {
    fn deref_mut(&mut self) -> &mut Site {
        &mut self.0
    }
}
