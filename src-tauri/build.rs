//! Reads the windows' configuration and the commands that a window may be granted.

use std::path::Path;

use tauri_build::{AppManifest, Attributes};

/// Every command of the shell. A window reaches those that its capability names, and no other.
const COMMANDS: &[&str] =
    &["rpc", "vault_rpc", "subscribe", "pick_files", "save_file", "open_vault", "close_vault"];

fn main() {
    println!("cargo:rerun-if-changed=page");
    println!("cargo:rerun-if-changed=../ui/dist");
    if !Path::new("../ui/dist/index.html").exists() {
        // A clean clone: a page that says how to build the screens.
        println!(r#"cargo:rustc-env=TAURI_CONFIG={{"build":{{"frontendDist":"page"}}}}"#);
    }
    let manifest = AppManifest::new().commands(COMMANDS);
    if let Err(error) = tauri_build::try_build(Attributes::new().app_manifest(manifest)) {
        println!("cargo:error={error:#}");
        std::process::exit(1);
    }
}
