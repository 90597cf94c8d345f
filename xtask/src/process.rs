//! Running other programs.

use std::{
    ffi::OsStr,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The cargo that started this program, with these arguments.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Runs a program to its end; its output goes where ours goes.
///
/// # Errors
/// It could not be started, or it failed.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let line = line(&command);
    let status = command.status().with_context(|| format!("failed to start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// Runs a program to its end and returns what it wrote to standard output.
///
/// # Errors
/// It could not be started, or it failed.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let line = line(&command);
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("failed to start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` did not write text"))
}

/// Whether a program is there and says, silently, that all is well.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Replaces this program by another one; returns only if that failed.
pub(crate) fn become_program(command: &mut Command) -> anyhow::Error {
    let error = command.exec();
    anyhow::Error::new(error).context(format!("failed to start `{}`", line(command)))
}

/// A command as a person would type it.
fn line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}
