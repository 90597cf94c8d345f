//! What a person or a script reads. The only place that prints. What cannot be written is dropped: a reader
//! that went away, such as `head`, is no error of ours.

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use app::{Error, ErrorCode, dto::Preview, next_step};
use serde::Serialize;

/// Writes results to stdout and everything else to stderr.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    colour: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let colour = !json && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, colour }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A result: as JSON, or in words.
    pub(crate) fn result<T: Serialize>(&self, value: &T, words: impl FnOnce() -> String) {
        self.text(&if self.json {
            serde_json::to_string_pretty(value).expect("a response is made of maps with text keys")
        } else {
            words()
        });
    }

    /// A result that is text as it is.
    pub(crate) fn text(&self, text: &str) {
        drop(writeln!(std::io::stdout(), "{}", text.trim_end()));
    }

    /// A line for a person who watches; a script does not see it.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            say(text);
        }
    }

    pub(crate) fn preview(&self, preview: &Preview) {
        if self.json {
            return;
        }
        say(&preview.summary);
        for effect in &preview.effects {
            say(&format!("  {:>8}  {}", effect.count, effect.effect));
        }
    }

    /// Says what went wrong, why and what next, and gives the exit code for it.
    pub(crate) fn failure(&self, error: &Error) -> ExitCode {
        let mut body = error.body().clone();
        body.hint.get_or_insert_with(|| next_step(error.code()).to_owned());
        if self.json {
            say(&serde_json::to_string(&body).unwrap_or_else(|_| body.message.clone()));
        } else {
            say(&format!("{}: {} ({})", self.paint("31;1", "error"), body.message, body.code));
            if let Some(detail) = &body.detail {
                say(&format!("  why:  {detail}"));
            }
            for field in &body.fields {
                say(&format!("        {}: {}", field.field, field.message));
            }
            if let Some(hint) = &body.hint {
                say(&format!("  next: {hint}"));
            }
            if !body.trace_id.is_empty() {
                say(&format!("  trace: {}", body.trace_id));
            }
        }
        ExitCode::from(exit_code(error.code()))
    }

    /// `text` in this colour (an SGR code), where the terminal shows colours.
    pub(crate) fn paint(&self, sgr: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A line on stderr.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Columns of text, the widest cell of each deciding its width. The first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// So many things, as people say it: "1 device", "2 devices", "3 entries".
pub(crate) fn of(count: impl Into<u64>, noun: &str) -> String {
    match (count.into(), noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (n, Some(stem)) => format!("{n} {stem}ies"),
        (n, None) => format!("{n} {noun}s"),
    }
}

/// A name of code in words: "RolloutPaused" is "rollout paused".
pub(crate) fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// Bytes as people read them.
pub(crate) fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a code that is not named here is our fault")]
fn exit_code(code: ErrorCode) -> u8 {
    use ErrorCode as E;
    match code {
        E::Forbidden
        | E::VaultLocked
        | E::WrongPassphrase
        | E::TokenRefused
        | E::Revoked
        | E::Refused
        | E::OwnProposal
        | E::KeyRevoked
        | E::KeyNotListed
        | E::DeviceUnrecognized => 3,
        E::NotFound | E::LinkGone | E::DeviceLost => 4,
        E::Conflict
        | E::PreviewStale
        | E::PreconditionFailed
        | E::ThresholdNotMet
        | E::AlreadySigned
        | E::PolicyChanged
        | E::RequestExpired
        | E::KeySeen
        | E::SerialTaken
        | E::DeviceCloned => 5,
        E::InvalidRequest
        | E::InvalidCsr
        | E::InvalidObject
        | E::InvalidMetadata
        | E::InvalidArtifact
        | E::InvalidPolicy
        | E::OtherContent
        | E::UnknownModel
        | E::SlotTooSmall
        | E::VersionNotRising
        | E::CounterFalls
        | E::TooLarge
        | E::RangeUnsatisfiable => 6,
        E::Untrusted | E::VaultUntrusted | E::LogForked => 7,
        E::NetworkUnreachable | E::Busy | E::Timeout | E::BackendRestored => 8,
        E::StorageFull => 9,
        E::Canceled => 130,
        _ => 1,
    }
}
