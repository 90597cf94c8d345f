use std::{
    io,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::installer::Content;

/// How much of what a program says is kept for people: its last bytes.
const KEPT_BYTES: usize = 2048;
/// How long an answer that is read as a whole may be. RAUC's grows with the number of slots.
const ANSWER_BYTES: usize = 256 << 10;
/// Where programs are looked for. Nothing of the agent's environment is passed on.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program and its arguments, never a line for a shell. In each argument `{name}` stands for a value
/// that the installer knows, such as `{artifact}` or `{version}`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The program, then its arguments.
    pub argv: Vec<String>,
    /// How long it may run, in seconds.
    #[serde(default = "Program::default_timeout")]
    pub timeout_seconds: u64,
}

/// A program that tells whether the new software is well: by its exit code, and by what it prints if
/// that is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The program, then its arguments.
    pub argv: Vec<String>,
    /// How long one try may take, in seconds.
    #[serde(default = "Health::default_timeout")]
    pub timeout_seconds: u64,
    /// What its output has to contain, such as `{version}`.
    #[serde(default)]
    pub prints: Option<String>,
    /// How often it is tried before the software counts as ill.
    #[serde(default = "Health::default_tries")]
    pub tries: u32,
    /// The pause between two tries, in seconds.
    #[serde(default = "Health::default_pause")]
    pub pause_seconds: u64,
}

/// How a program failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// It is not there, or may not be run.
    #[error("`{program}` cannot be run: {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It ended with another code than 0.
    #[error("`{program}` ended with {status}: {said}")]
    Ended {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        said: String,
    },
    /// It did not end in time, and was killed.
    #[error("`{program}` did not end within {seconds} s: {said}")]
    Late {
        /// The program.
        program: String,
        /// The time it had.
        seconds: u64,
        /// The end of what it said until then.
        said: String,
    },
    /// It did not print what was expected.
    #[error("`{program}` did not print `{expected}`: {said}")]
    Print {
        /// The program.
        program: String,
        /// What was expected.
        expected: String,
        /// The end of what it printed.
        said: String,
    },
    /// It is meant to keep running, and does not.
    #[error("`{program}` does not keep running: it ended {ends} times")]
    Unsettled {
        /// The program.
        program: String,
        /// How often it ended since the switch.
        ends: u32,
    },
    /// What it should have been fed could not be read.
    #[error("the artifact could not be read: {source}")]
    Content {
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The values that stand for `{name}` in arguments.
pub(super) type Values<'a> = [(&'static str, &'a str)];

impl Program {
    pub(super) fn new(argv: &[&str], timeout_seconds: u64) -> Self {
        Self { argv: argv.iter().map(|&arg| arg.to_owned()).collect(), timeout_seconds }
    }

    /// Ten minutes.
    const fn default_timeout() -> u64 {
        600
    }

    /// Runs to its end. Gives what it printed, its last 2 KiB.
    pub(super) async fn run(&self, values: &Values<'_>) -> Result<String, ProgramError> {
        Ok(run(&self.argv, self.timeout_seconds, values, None).await?.text())
    }

    /// Runs to its end. Gives all that it printed on its standard output, and nothing of what it logged.
    pub(super) async fn ask(&self, values: &Values<'_>) -> Result<String, ProgramError> {
        let said = run(&self.argv, self.timeout_seconds, values, None).await?;
        Ok(String::from_utf8_lossy(&said.answer).trim().to_owned())
    }

    /// Runs to its end, with `content` on its standard input.
    pub(super) async fn feed(
        &self,
        values: &Values<'_>,
        content: &mut dyn Content,
    ) -> Result<String, ProgramError> {
        Ok(run(&self.argv, self.timeout_seconds, values, Some(content)).await?.text())
    }

    /// Whether an argument mentions `{name}`.
    pub(super) fn mentions(&self, name: &str) -> bool {
        self.argv.iter().any(|arg| arg.contains(&format!("{{{name}}}")))
    }
}

impl Health {
    const fn default_timeout() -> u64 {
        10
    }

    const fn default_tries() -> u32 {
        5
    }

    const fn default_pause() -> u64 {
        2
    }

    /// Tries until it is well, or the tries are used up: then why the last one was not.
    pub(super) async fn check(&self, values: &Values<'_>) -> Result<(), ProgramError> {
        let mut left = self.tries.max(1);
        loop {
            left -= 1;
            match self.attempt(values).await {
                Ok(()) => return Ok(()),
                Err(error) if left == 0 => return Err(error),
                Err(error) => tracing::debug!(%error, left, "the new software is not well yet"),
            }
            sleep(Duration::from_secs(self.pause_seconds)).await;
        }
    }

    async fn attempt(&self, values: &Values<'_>) -> Result<(), ProgramError> {
        let said = run(&self.argv, self.timeout_seconds, values, None).await?.text();
        match self.prints.as_deref().map(|text| fill(text, values)) {
            Some(expected) if !said.contains(&expected) => {
                Err(ProgramError::Print { program: name(&self.argv), expected, said })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The command that runs `argv`, with nothing of our environment.
pub(super) fn command(argv: &[String], values: &Values<'_>) -> Command {
    let mut argv = argv.iter().map(|arg| fill(arg, values));
    let mut command = Command::new(argv.next().unwrap_or_default());
    command.args(argv).env_clear().env("PATH", PATH).kill_on_drop(true);
    command
}

/// The program's own name, for messages.
pub(super) fn name(argv: &[String]) -> String {
    argv.first().cloned().unwrap_or_default()
}

async fn run(
    argv: &[String],
    seconds: u64,
    values: &Values<'_>,
    content: Option<&mut dyn Content>,
) -> Result<Said, ProgramError> {
    let program = name(argv);
    let mut command = command(argv, values);
    // A group of its own, so that whatever it started goes with it when it is late.
    command.process_group(0);
    command.stdin(if content.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|source| ProgramError::Start { program: program.clone(), source })?;
    let mut said = Said::default();
    let ended = timeout(Duration::from_secs(seconds), attend(&mut child, content, &mut said)).await;
    match ended {
        Ok(Ok(status)) if status.success() => Ok(said),
        Ok(Ok(status)) => Err(ProgramError::Ended { program, status, said: said.text() }),
        Ok(Err(error)) => {
            kill(&mut child).await;
            Err(error)
        }
        Err(_) => {
            kill(&mut child).await;
            Err(ProgramError::Late { program, seconds, said: said.text() })
        }
    }
}

/// Feeds the child and listens to it until it has ended.
async fn attend(
    child: &mut Child,
    content: Option<&mut dyn Content>,
    said: &mut Said,
) -> Result<ExitStatus, ProgramError> {
    let stdin = child.stdin.take();
    let mut out = child.stdout.take();
    let mut err = child.stderr.take();
    let feed = async {
        let (Some(mut stdin), Some(content)) = (stdin, content) else { return Ok(()) };
        loop {
            let piece = content.next().map_err(|source| ProgramError::Content { source })?;
            let Some(piece) = piece else { break };
            // A program that stops reading says why by its exit code.
            if stdin.write_all(piece).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let listen = async {
        let (mut from_out, mut from_err) = ([0; 1024], [0; 1024]);
        while out.is_some() || err.is_some() {
            tokio::select! {
                read = read(&mut out, &mut from_out), if out.is_some() => said.answer(&from_out[..read]),
                read = read(&mut err, &mut from_err), if err.is_some() => said.add(&from_err[..read]),
            }
        }
    };
    let ended = async {
        let mut listen = pin!(listen);
        let (status, silent) = tokio::select! {
            status = child.wait() => (status, false),
            // Not over by that: it may close both streams and work on.
            () = &mut listen => (child.wait().await, true),
        };
        if !silent {
            // What it said last is still in the pipes; what it left running may keep them open for ever.
            timeout(Duration::from_millis(100), listen).await.ok();
        }
        status.map_err(|source| ProgramError::Content { source })
    };
    let (status, ()) = tokio::try_join!(ended, feed)?;
    Ok(status)
}

/// Reads a little; at the end, or on an error, the stream is dropped.
async fn read<R: AsyncRead + Unpin>(stream: &mut Option<R>, buffer: &mut [u8]) -> usize {
    let read = match stream {
        Some(open) => open.read(buffer).await.unwrap_or(0),
        None => 0,
    };
    if read == 0 {
        *stream = None;
    }
    read
}

async fn kill(child: &mut Child) {
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(group) = group {
        // Gone already is as good.
        kill_process_group(group, Signal::KILL).ok();
    }
    child.kill().await.ok();
}

/// Replaces each `{name}` that is known; what is not known stays as it is.
fn fill(text: &str, values: &Values<'_>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let known = values.iter().find_map(|(name, value)| {
            let after = rest[start + 1..].strip_prefix(name)?.strip_prefix('}')?;
            Some((value, after))
        });
        filled.push_str(&rest[..start]);
        rest = match known {
            Some((value, after)) => {
                filled.push_str(value);
                after
            }
            None => {
                filled.push('{');
                &rest[start + 1..]
            }
        };
    }
    filled + rest
}

/// What a program says.
#[derive(Default)]
struct Said {
    /// The last bytes of all.
    last: Vec<u8>,
    /// The first bytes of its standard output.
    answer: Vec<u8>,
}

impl Said {
    fn add(&mut self, bytes: &[u8]) {
        self.last.extend_from_slice(bytes);
        let excess = self.last.len().saturating_sub(KEPT_BYTES);
        self.last.drain(..excess);
    }

    fn answer(&mut self, bytes: &[u8]) {
        self.add(bytes);
        let room = ANSWER_BYTES - self.answer.len();
        self.answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.last);
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros(usize);

    impl Content for Zeros {
        fn next(&mut self) -> io::Result<Option<&[u8]>> {
            let left = self.0;
            self.0 = left.saturating_sub(1);
            Ok((left > 0).then_some(&[0; 65_536]))
        }
    }

    fn shell(script: &str, seconds: u64) -> Program {
        Program::new(&["sh", "-c", script], seconds)
    }

    #[test]
    fn values_are_filled_in_once_and_unknown_names_stay() {
        let values = [("version", "1.2.3"), ("slot", "/x/{version}")];
        assert_eq!(fill("{slot}/artifact={version}{", &values), "/x/{version}/artifact=1.2.3{");
        assert_eq!(fill("{other} {{version}}", &values), "{other} {1.2.3}");
    }

    #[tokio::test]
    async fn a_program_gets_its_arguments_as_they_are_and_nothing_of_our_environment() {
        let echo = Program::new(&["printf", "%s|", "a b", "$HOME", "{version}"], 5);
        assert_eq!(echo.run(&[("version", "1;2")]).await.unwrap(), "a b|$HOME|1;2|");
        assert!(!Program::new(&["env"], 5).run(&[]).await.unwrap().contains("HOME"));
    }

    #[tokio::test]
    async fn failures_carry_the_end_of_what_was_said() {
        let error = shell("echo first; echo why >&2; exit 3", 5).run(&[]).await.unwrap_err();
        assert!(matches!(error, ProgramError::Ended { .. }));
        assert!(error.to_string().contains("why"), "{error}");
        let said = shell("yes | head -c 100000", 5).run(&[]).await.unwrap();
        assert!(said.len() <= KEPT_BYTES);
        let error = Program::new(&["/no/such/program"], 5).run(&[]).await.unwrap_err();
        assert!(matches!(error, ProgramError::Start { .. }));
    }

    #[tokio::test]
    async fn a_late_program_is_killed_with_all_that_it_started() {
        let temp = tempfile::tempdir().unwrap();
        let mark = temp.path().join("mark");
        let script = format!("echo begun; (sleep 1.2; touch {}) & wait", mark.display());
        let error = shell(&script, 1).run(&[]).await.unwrap_err();
        assert!(matches!(&error, ProgramError::Late { said, .. } if said == "begun"), "{error}");
        sleep(Duration::from_millis(600)).await;
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn content_flows_into_standard_input() {
        let said = shell("wc -c", 5).feed(&[], &mut Zeros(40)).await.unwrap();
        assert_eq!(said, (40 * 65_536).to_string());
        // One that does not read to the end is judged by how it ends.
        assert!(shell("exit 0", 5).feed(&[], &mut Zeros(40)).await.is_ok());
        assert!(shell("head -c 1 >/dev/null; exit 1", 5).feed(&[], &mut Zeros(40)).await.is_err());
    }

    #[tokio::test]
    async fn health_is_tried_again_until_it_prints_what_is_expected() {
        let temp = tempfile::tempdir().unwrap();
        let tries = temp.path().join("tries");
        let script = format!("echo x >>{0}; test $(wc -l <{0}) -ge 3 && echo version 1.2.3", tries.display());
        let health = |tries, prints: &str| Health {
            argv: vec!["sh".into(), "-c".into(), script.clone()],
            timeout_seconds: 5,
            prints: Some(prints.into()),
            tries,
            pause_seconds: 0,
        };
        let values = [("version", "1.2.3")];
        assert!(health(2, "{version}").check(&values).await.is_err());
        assert!(health(1, "{version}").check(&values).await.is_ok());
        let error = health(1, "9.9.9").check(&values).await.unwrap_err();
        assert!(matches!(error, ProgramError::Print { .. }), "{error}");
    }
}
