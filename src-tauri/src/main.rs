//! Fleetseal on the desktop.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::process::ExitCode;

fn main() -> ExitCode {
    app::harden();
    if let Err(error) = desktop::without_automation() {
        return desktop::complain(&error);
    }
    match desktop::Options::read().and_then(|options| desktop::run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => desktop::complain(&error),
    }
}
