use std::{ffi::OsString, path::PathBuf, process::Command};

use app::{Error, ErrorCode};

/// What lets another program drive or look into the windows.
const AUTOMATION: [&str; 3] =
    ["TAURI_WEBVIEW_AUTOMATION", "WEBKIT_INSPECTOR_SERVER", "WEBKIT_INSPECTOR_HTTP_SERVER"];

/// How the program was started.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Begin with a training fleet.
    pub training: bool,
    /// How many devices it has.
    pub devices: Option<u32>,
    home: Option<PathBuf>,
}

impl Options {
    /// Reads the program's arguments: `--training`, `--devices N`, `--home DIR`.
    ///
    /// # Errors
    /// There is another one.
    pub fn read() -> Result<Self, Error> {
        Self::parse(lexopt::Parser::from_env()).map_err(|source| {
            Error::new(ErrorCode::InvalidRequest, source.to_string())
                .hint("fleetseal-desktop [--training [--devices N]] [--home DIR]")
        })
    }

    /// Where workspaces are kept.
    pub(crate) fn home(&self) -> Result<PathBuf, Error> {
        self.home.clone().map_or_else(app::default_workspace, Ok)
    }

    fn parse(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let mut options = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("training") => options.training = true,
                Long("devices") => options.devices = Some(parser.value()?.parse()?),
                Long("home") => options.home = Some(parser.value()?.into()),
                Short(_) | Long(_) | Value(_) => return Err(argument.unexpected()),
            }
        }
        Ok(options)
    }
}

/// Sees that nobody drives the windows from outside: begins anew without the variables that would allow
/// it, before a thread or a window is there. Only the example `driven`, which tests drive, leaves this out.
///
/// # Errors
/// It could not begin anew.
pub fn without_automation() -> Result<(), Error> {
    let set: Vec<_> = AUTOMATION.into_iter().filter(|name| std::env::var_os(name).is_some()).collect();
    match again(&set, std::env::args_os()) {
        Some(command) => Err(replace(command)),
        None => Ok(()),
    }
}

/// The command that begins anew without these variables, if there are any.
fn again(set: &[&str], mut args: impl Iterator<Item = OsString>) -> Option<Command> {
    if set.is_empty() {
        return None;
    }
    let named = args.next().map(PathBuf::from).unwrap_or_default();
    let mut command = Command::new(std::env::current_exe().unwrap_or(named));
    command.args(args);
    for name in set {
        command.env_remove(name);
    }
    Some(command)
}

#[cfg(unix)]
fn replace(mut command: Command) -> Error {
    use std::os::unix::process::CommandExt as _;
    Error::internal("the program could not begin anew without automation", command.exec())
}

#[cfg(not(unix))]
fn replace(mut command: Command) -> Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(source) => Error::internal("the program could not begin anew without automation", source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_and_others_refused() {
        let parse = |args: &[&str]| Options::parse(lexopt::Parser::from_args(args));
        let training = Options { training: true, devices: Some(12), home: Some("/h".into()) };
        assert_eq!(parse(&["--training", "--devices=12", "--home", "/h"]).unwrap(), training);
        assert_eq!(parse(&[]).unwrap(), Options::default());
        for wrong in [&["x"][..], &["--driven"], &["--devices", "many"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_program_begins_anew_without_what_would_let_others_drive_it() {
        let args = || ["fleetseal-desktop", "--training"].map(OsString::from).into_iter();
        assert!(again(&[], args()).is_none());
        let command = again(&AUTOMATION, args()).unwrap();
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["--training"]);
        let removed: Vec<_> =
            command.get_envs().map(|(name, value)| (name.to_owned(), value.is_none())).collect();
        assert_eq!(removed.len(), AUTOMATION.len());
        assert!(removed.iter().all(|(_, removed)| *removed));
    }
}
