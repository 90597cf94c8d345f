//! Secrets come from a terminal or a file descriptor, never from an argument or the environment.

use std::{
    fs::File,
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
};

use app::{Error, ErrorCode, dto::Secret};
use zeroize::Zeroizing;

/// How long a line from a descriptor may be, in bytes.
const LONGEST_LINE: usize = 4_096;

/// A passphrase, from the file descriptor if there is one, else from the terminal.
pub(crate) fn ask(prompt: &str, fd: Option<i32>) -> Result<Secret, Error> {
    match fd {
        Some(fd) => from_fd(fd),
        None => from_terminal(prompt),
    }
}

/// A new passphrase: on a terminal it is asked for twice.
pub(crate) fn ask_new(fd: Option<i32>) -> Result<Secret, Error> {
    if fd.is_some() {
        return ask("", fd);
    }
    let first = from_terminal("New passphrase")?;
    let second = from_terminal("Once more")?;
    if first.expose() != second.expose() {
        return Err(Error::new(ErrorCode::InvalidRequest, "the two passphrases differ").hint("try again"));
    }
    Ok(first)
}

/// Whether there is a person to ask.
pub(crate) fn has_terminal() -> bool {
    io::stdin().is_terminal()
}

/// A yes or a no; without a terminal, no.
pub(crate) fn confirm(question: &str) -> bool {
    if !io::stdin().is_terminal() {
        return false;
    }
    let mut err = io::stderr();
    let mut answer = String::new();
    let asked = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    asked.is_ok()
        && io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// All that a file descriptor has to say.
pub(crate) fn read_fd(fd: i32) -> Result<Secret, Error> {
    let mut text = Zeroizing::new(String::with_capacity(LONGEST_LINE));
    File::open(format!("/dev/fd/{fd}"))
        .and_then(|file| file.take(LONGEST_LINE as u64).read_to_string(&mut text))
        .map_err(unreadable(fd))?;
    Ok(Secret::from(text.to_string()))
}

/// Whether a person types this very text; without a terminal, no.
pub(crate) fn typed(text: &str) -> bool {
    if !io::stdin().is_terminal() {
        return false;
    }
    let mut err = io::stderr();
    let mut answer = String::new();
    let asked = write!(err, "Type {text} to go ahead: ").and_then(|()| err.flush());
    asked.is_ok() && io::stdin().lock().read_line(&mut answer).is_ok() && answer.trim() == text
}

/// One line, and no byte more: the next question may be answered by the next line.
fn from_fd(fd: i32) -> Result<Secret, Error> {
    let mut file = File::open(format!("/dev/fd/{fd}")).map_err(unreadable(fd))?;
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_LINE));
    let mut byte = [0];
    while line.len() < LONGEST_LINE && line.last() != Some(&b'\n') {
        if file.read(&mut byte).map_err(unreadable(fd))? == 0 {
            break;
        }
        line.push(byte[0]);
    }
    if line.is_empty() {
        // Nobody's passphrase or PIN: it would count as a wrong one.
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            format!("descriptor {fd} has no line more to say"),
        )
        .hint("hand in one line for each secret that is asked for, in that order"));
    }
    let text = std::str::from_utf8(&line)
        .map_err(|source| unreadable(fd)(io::Error::new(io::ErrorKind::InvalidData, source)))?;
    Ok(Secret::from(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn unreadable(fd: i32) -> impl FnOnce(io::Error) -> Error {
    move |source| {
        Error::new(ErrorCode::InvalidRequest, format!("no secret could be read from descriptor {fd}"))
            .detail(source.to_string())
            .hint("open it in the shell, such as `3< <(pass show fleetseal)` with --passphrase-fd 3")
    }
}

fn from_terminal(prompt: &str) -> Result<Secret, Error> {
    rpassword::prompt_password(format!("{prompt}: ")).map(Secret::from).map_err(|source| {
        Error::new(ErrorCode::PreconditionFailed, "there is no terminal to ask for the passphrase")
            .detail(source.to_string())
            .hint("hand it in by --passphrase-fd")
    })
}
