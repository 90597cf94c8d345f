//! The desktop for tests: the program without the step that keeps others from driving its windows.

use std::process::ExitCode;

fn main() -> ExitCode {
    app::harden();
    match desktop::Options::read().and_then(|options| desktop::run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => desktop::complain(&error),
    }
}
