//! The screens: built and checked with Node, and opened in the desktop.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    process,
    setup::{self, Purpose},
    suite,
    workspace::Workspace,
};

/// The oldest Node that builds the screens.
const NODE_LEAST: [u32; 3] = [20, 19, 0];
/// The one that is brought where there is none, or an older one: npm's package `node`.
const NODE: &str = "node@20.20.2";
/// What makes packages of the desktop.
const PACKAGER: &str = "@tauri-apps/cli@2.12.5";

/// Builds the screens into `ui/dist`.
///
/// # Errors
/// Node is missing and cannot be brought, or the build failed.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    script(workspace, "build")
}

/// Checks the types, the style and the tests of the screens, builds them, and drives them in a browser: over
/// the loopback bridge, with a real backend and devices behind it, and over sample data.
///
/// # Errors
/// Node is missing and cannot be brought, or a check failed.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    script(workspace, "check")?;
    suite::programs()?;
    script(workspace, "e2e")
}

/// Takes the pictures of all screens over sample data.
///
/// # Errors
/// Node is missing and cannot be brought, or a screen does not come up.
pub(crate) fn pictures(workspace: &Workspace) -> Result<()> {
    setup::ensure(Purpose::Test, workspace)?;
    script(workspace, "pictures")
}

/// Runs a script of `ui/package.json`, with what is locked installed.
fn script(workspace: &Workspace, name: &str) -> Result<()> {
    setup::ensure(Purpose::Screens, workspace)?;
    let ui = workspace.root.join("ui");
    if !ui.join("package.json").exists() {
        bail!("there are no screens in `{}`", ui.display());
    }
    let path = with_node(workspace)?;
    if stale(&ui) {
        // What is locked, but for what only other systems need: `npm ci` insists on that too.
        run(npm(&ui, &path, &["install", "--no-save", "--no-audit", "--no-fund"]))?;
    }
    let mut command = npm(&ui, &path, &["run", name]);
    command.env("FLEETSEAL_PROGRAMS", workspace.target_directory.join("debug"));
    run(command)
}

/// Opens the desktop on a training fleet. Returns only if that failed.
///
/// # Errors
/// Something could not be built or started.
pub(crate) fn open(workspace: &Workspace) -> Result<()> {
    setup::ensure(Purpose::Desktop, workspace)?;
    build(workspace)?;
    process::run(process::cargo(&[
        "build",
        "--release",
        "--package",
        "fleetseal-desktop",
        "--features",
        "fleetseal-desktop/custom-protocol",
    ]))?;
    let program = workspace.target_directory.join("release/fleetseal-desktop");
    let home = workspace.target_directory.join("desktop");
    Err(process::become_program(Command::new(program).arg("--training").arg("--home").arg(home)))
}

/// Makes the desktop's package for this system: a `.deb` on Linux. Needs the network only for what npm
/// and cargo have not brought yet.
///
/// # Errors
/// Something could not be built.
pub(crate) fn package(workspace: &Workspace) -> Result<()> {
    setup::ensure(Purpose::Desktop, workspace)?;
    build(workspace)?;
    let path = with_node(workspace)?;
    let tools = workspace.target_directory.join("packager");
    let program = tools.join("node_modules/.bin/tauri");
    if !program.exists() {
        bring(&tools, &path, PACKAGER)?;
    }
    let bundle = if cfg!(target_os = "macos") {
        "dmg"
    } else if cfg!(windows) {
        "msi"
    } else {
        "deb"
    };
    let mut command = Command::new(program);
    command.current_dir(&workspace.root).env("PATH", &path);
    // What is packaged is what is locked.
    command.args(["build", "--bundles", bundle, "--", "--locked"]);
    run(command)
}

/// Whether there is a screen to open a window on.
pub(crate) fn display() -> bool {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(not(target_os = "linux")) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// The search path with a Node that is new enough at its head.
fn with_node(workspace: &Workspace) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    if node_is_new_enough("node") {
        return Ok(path);
    }
    let tools = workspace.target_directory.join("node");
    let node = tools.join("node_modules/node/bin");
    if !node_is_new_enough(&node.join("node").to_string_lossy()) {
        bring(&tools, &path, NODE)?;
    }
    let dirs = std::iter::once(node).chain(env::split_paths(&path));
    env::join_paths(dirs).context("the search path cannot be written")
}

fn node_is_new_enough(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version");
    process::output(command)
        .is_ok_and(|version| setup::numbers(version.trim().trim_start_matches('v')) >= NODE_LEAST)
}

/// Installs one package of npm's in a folder of its own.
fn bring(tools: &Path, path: &OsString, package: &str) -> Result<()> {
    std::fs::create_dir_all(tools).with_context(|| format!("failed to make `{}`", tools.display()))?;
    eprintln!("bringing {package}");
    let prefix = tools.to_string_lossy();
    run(npm(tools, path, &["install", "--no-audit", "--no-fund", "--no-save", "--prefix", &prefix, package]))
}

fn npm(dir: &Path, path: &OsString, args: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(dir).env("PATH", path).args(args);
    command
}

/// Standard output belongs to the command that is built for.
fn run(mut command: Command) -> Result<()> {
    command.stdout(std::io::stderr());
    process::run(command)
}

/// Whether what is installed is not what is locked.
fn stale(ui: &Path) -> bool {
    let changed = |path: PathBuf| path.metadata().and_then(|file| file.modified()).ok();
    match (changed(ui.join("package-lock.json")), changed(ui.join("node_modules/.package-lock.json"))) {
        (Some(locked), Some(installed)) => locked > installed,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_kept_until_the_lock_changes() {
        let dir = std::env::temp_dir().join(format!("fleetseal-stale-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("node_modules")).unwrap();
        std::fs::write(dir.join("package-lock.json"), "{}").unwrap();
        assert!(stale(&dir));
        std::fs::write(dir.join("node_modules/.package-lock.json"), "{}").unwrap();
        assert!(!stale(&dir));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn versions_of_node_are_compared_by_number() {
        assert!(setup::numbers("20.19.5") >= NODE_LEAST && setup::numbers("22.1.0") >= NODE_LEAST);
        assert!(setup::numbers("18.20.4") < NODE_LEAST && setup::numbers("") < NODE_LEAST);
        assert!(!node_is_new_enough("no-such-program"));
    }
}
