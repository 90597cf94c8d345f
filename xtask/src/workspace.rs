//! What cargo knows of this repository.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// What cargo knows of this repository.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// The top folder.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Where builds go.
    pub(crate) target_directory: PathBuf,
    /// The crates of the workspace.
    pub(crate) packages: Vec<Package>,
}

/// A crate.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// The oldest compiler that it builds with.
    pub(crate) rust_version: Option<String>,
    /// What it says it needs.
    pub(crate) dependencies: Vec<Dependency>,
    manifest_path: PathBuf,
}

/// One line of a crate's dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The name in the registry of what is needed.
    pub(crate) name: String,
    /// For what it is needed.
    pub(crate) kind: Option<String>,
    /// Its folder, if it is a crate of this repository.
    path: Option<PathBuf>,
}

impl Workspace {
    /// Asks cargo. Needs no network.
    pub(crate) fn load() -> Result<Self> {
        let metadata = process::cargo(&["metadata", "--format-version", "1", "--no-deps"]);
        serde_json::from_str(&process::output(metadata)?).context("failed to read what `cargo metadata` says")
    }
}

impl Package {
    /// What this repository calls the crate: the name of its folder.
    pub(crate) fn folder(&self) -> &str {
        self.manifest_path.parent().map_or("", last)
    }
}

impl Dependency {
    /// The folder's name of what is needed, if it is a crate of this repository.
    pub(crate) fn folder(&self) -> Option<&str> {
        self.path.as_deref().map(last)
    }

    /// Whether only tests need it.
    pub(crate) fn for_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

fn last(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("")
}
