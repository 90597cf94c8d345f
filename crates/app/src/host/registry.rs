//! Which workspaces there are on this computer.

use std::path::{Path, PathBuf};

use model::{FleetId, PersonName};
use protocol::ErrorCode;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    Error,
    workspace::{Workspace, read_json, write_json},
};

/// The longest name.
const NAME_MOST: usize = 40;

/// A workspace, as it is chosen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, TS)]
pub struct WorkspaceRow {
    /// Its name.
    pub name: String,
    /// What it connects to.
    pub kind: WorkspaceKind,
    /// Whether it is the one in use.
    pub current: bool,
    /// Its folder.
    pub folder: String,
    /// Its fleet, once it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub fleet: Option<FleetId>,
    /// Whose it is, once it belongs to a fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub holder: Option<PersonName>,
    /// The backend's address, once it belongs to a fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub origin: Option<String>,
    /// Whether it has a vault.
    pub vault: bool,
    /// The founding file of this computer's backend while key holders still have to sign it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub founding: Option<String>,
    /// What the vaults of a training fleet open with: it is no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub passphrase: Option<String>,
}

/// What a workspace connects to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceKind {
    /// A backend inside this program.
    Local,
    /// A backend somewhere else.
    Remote,
    /// A backend inside this program with simulated devices, which goes when the program ends.
    Training,
}

/// Makes a workspace and goes to it.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct CreateWorkspace {
    /// Its name: letters, digits, hyphens. Training has names of its own: `training-alice`, ...
    pub name: String,
    /// What it connects to.
    pub kind: WorkspaceKind,
    /// How many simulated devices there are in training; 500 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub devices: Option<u32>,
}

/// One workspace.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct WorkspaceName {
    /// Its name.
    pub name: String,
}

/// A workspace on record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: WorkspaceKind,
    pub(crate) dir: PathBuf,
}

/// The record.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Registry {
    #[serde(default)]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) entries: Vec<Entry>,
}

impl Registry {
    /// What is on record in `home`. The command line's own workspace, `home` itself, is one of them if
    /// it is in use.
    pub(crate) fn open(home: &Path) -> Result<Self, Error> {
        let file = home.join(FILE);
        let mut registry: Self = if file.exists() { read_json(&file)? } else { Self::default() };
        let used = home.join("vault").exists() || home.join("membership.json").exists();
        if used && registry.entry("default").is_none() {
            let kind = WorkspaceKind::Remote;
            registry.entries.insert(0, Entry { name: "default".into(), kind, dir: home.to_owned() });
        }
        if registry.current.as_deref().is_none_or(|name| registry.entry(name).is_none()) {
            registry.current = registry.entries.first().map(|entry| entry.name.clone());
        }
        Ok(registry)
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Adds a workspace and makes its folder.
    pub(crate) fn add(&mut self, home: &Path, name: &str, kind: WorkspaceKind) -> Result<Entry, Error> {
        if self.entry(name).is_some() {
            return Err(Error::new(ErrorCode::Conflict, format!("there is a workspace `{name}` already")));
        }
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > NAME_MOST || !name.chars().all(letters) {
            return Err(Error::new(ErrorCode::InvalidRequest, "a workspace's name is not one")
                .detail(format!("`{name}`"))
                .hint("take lower-case letters, digits and hyphens"));
        }
        let entry = Entry { name: name.to_owned(), kind, dir: home.join("workspaces").join(name) };
        Workspace::new(&entry.dir).prepare()?;
        self.entries.push(entry.clone());
        Ok(entry)
    }

    /// Writes down what outlives the program: all but training.
    pub(crate) fn save(&self, home: &Path) -> Result<(), Error> {
        let lasting = |entry: &&Entry| entry.kind != WorkspaceKind::Training;
        let entries: Vec<Entry> = self.entries.iter().filter(lasting).cloned().collect();
        let current = self.current.clone().filter(|name| entries.iter().any(|entry| entry.name == *name));
        write_json(&home.join(FILE), &Self { current, entries })
    }
}

impl Entry {
    pub(crate) fn row(&self, current: Option<&str>) -> WorkspaceRow {
        let workspace = Workspace::new(&self.dir);
        let membership = workspace.membership().ok();
        let founding = workspace.file(FOUNDING);
        let waits = founding.exists() && !workspace.file(ADOPTED).exists();
        WorkspaceRow {
            name: self.name.clone(),
            kind: self.kind,
            current: current == Some(self.name.as_str()),
            folder: self.dir.display().to_string(),
            fleet: membership.as_ref().map(|membership| membership.fleet),
            holder: membership.as_ref().map(|membership| membership.holder.clone()),
            origin: membership.map(|membership| membership.origin),
            vault: workspace.vault_dir().exists(),
            founding: waits.then(|| founding.display().to_string()),
            passphrase: (self.kind == WorkspaceKind::Training).then(|| crate::demo::PASSPHRASE.to_owned()),
        }
    }
}

/// Where the record stands.
const FILE: &str = "workspaces.json";
/// The founding file of a backend on this computer.
pub(crate) const FOUNDING: &str = "founding.json";
/// Stands in a workspace whose backend has adopted its fleet: how the backend runs.
pub(crate) const ADOPTED: &str = "backend.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspaces_are_found_again_but_for_training() {
        let home = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(home.path()).unwrap();
        assert!(registry.current.is_none());
        registry.add(home.path(), "works", WorkspaceKind::Local).unwrap();
        let training = home.path().join("gone");
        registry.entries.push(Entry { name: "t".into(), kind: WorkspaceKind::Training, dir: training });
        registry.current = Some("t".into());
        registry.save(home.path()).unwrap();
        let again = Registry::open(home.path()).unwrap();
        assert_eq!(again.entries.len(), 1);
        assert_eq!(again.current.as_deref(), Some("works"));
    }

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        let home = tempfile::tempdir().unwrap();
        let mut registry = Registry::default();
        for name in ["", "..", "a/b", "A", "a b", &"x".repeat(41)] {
            let refused = registry.add(home.path(), name, WorkspaceKind::Remote).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::InvalidRequest, "{name}");
        }
        registry.add(home.path(), "a", WorkspaceKind::Remote).unwrap();
        let twice = registry.add(home.path(), "a", WorkspaceKind::Remote).unwrap_err();
        assert_eq!(twice.code(), ErrorCode::Conflict);
    }
}
