use std::{ffi::OsString, path::PathBuf};

use agent::config::DEFAULT_PATH;
use lexopt::{Arg, Parser, ValueExt as _};
use zeroize::Zeroizing;

/// What the program says of itself.
pub(crate) const USAGE: &str = "\
Usage: fleetseal-agent [OPTIONS] COMMAND

Commands:
  enrol     Make this device's keys and get its certificate, with a one-time token.
            Called again, also without a token, it takes up where it was cut off.
            --token-file FILE  read the token from a file
            --token-fd N       read it from an open file descriptor
            --token -          read it from standard input
            --token TOKEN      take it as it is; every process on this machine can see it
  renew     Get a fresh certificate over the same keys
  run       Run: check in, listen, install, confirm, report
  status    Say what this device is doing
            --json             as JSON

Options:
  --config FILE      the configuration (/etc/fleetseal/agent.toml)
  --data-dir DIR     where the device keeps what must survive (/var/lib/fleetseal)
  --log-json         log as JSON
  --help, --version

The log goes to standard error; FLEETSEAL_LOG filters it, such as `debug` or `agent=trace`.

Exit codes: 0 done; 1 failed; 2 wrong arguments or configuration; 3 not enrolled; 4 refused by the
backend; 5 backend not reached; 6 something that came is not to be trusted; 7 state lost, to be enrolled
again; 8 data folder in use, full or failing; 75 restart asked for and not come; 130 stopped.";

/// What the program was asked to do.
pub(crate) struct Arguments {
    pub(crate) config: PathBuf,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) log_json: bool,
    pub(crate) command: Command,
}

pub(crate) enum Command {
    Help,
    Version,
    Enrol { token: Option<TokenSource> },
    Renew,
    Run,
    Status { json: bool },
}

/// Where the token comes from.
pub(crate) enum TokenSource {
    Text(Zeroizing<String>),
    Input,
    File(PathBuf),
}

impl Arguments {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        Self::read(Parser::from_env())
    }

    fn read(mut parser: Parser) -> Result<Self, lexopt::Error> {
        let mut arguments =
            Self { config: DEFAULT_PATH.into(), data_dir: None, log_json: false, command: Command::Help };
        let mut command: Option<OsString> = None;
        let (mut token, mut json) = (None, false);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("config") => arguments.config = parser.value()?.into(),
                Arg::Long("data-dir") => arguments.data_dir = Some(parser.value()?.into()),
                Arg::Long("log-json") => arguments.log_json = true,
                Arg::Long("json") => json = true,
                Arg::Long("token") => {
                    let value = Zeroizing::new(parser.value()?.string()?);
                    token = Some(if &**value == "-" { TokenSource::Input } else { TokenSource::Text(value) });
                }
                Arg::Long("token-file") => token = Some(TokenSource::File(parser.value()?.into())),
                Arg::Long("token-fd") => {
                    let fd: u32 = parser.value()?.parse()?;
                    token = Some(TokenSource::File(format!("/dev/fd/{fd}").into()));
                }
                Arg::Long("help") | Arg::Short('h') => return Ok(arguments),
                Arg::Long("version") | Arg::Short('V') => {
                    arguments.command = Command::Version;
                    return Ok(arguments);
                }
                Arg::Value(value) if command.is_none() => command = Some(value),
                Arg::Long(_) | Arg::Short(_) | Arg::Value(_) => return Err(argument.unexpected()),
            }
        }
        let command = command.ok_or("a command is missing")?;
        arguments.command = match command.to_str() {
            Some("enrol") => Command::Enrol { token: token.take() },
            Some("renew") => Command::Renew,
            Some("run") => Command::Run,
            Some("status") => Command::Status { json: std::mem::take(&mut json) },
            _ => return Err(format!("there is no command `{}`", command.to_string_lossy()).into()),
        };
        if token.is_some() || json {
            return Err("an option has no meaning with this command".into());
        }
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        let parser = Parser::from_args(line.split(' '));
        Arguments::read(parser).map(|arguments| arguments.command).map_err(|error| error.to_string())
    }

    #[test]
    fn the_token_need_not_stand_on_the_command_line() {
        assert!(matches!(read("enrol --token -"), Ok(Command::Enrol { token: Some(TokenSource::Input) })));
        let Ok(Command::Enrol { token: Some(TokenSource::File(path)) }) = read("enrol --token-fd 3") else {
            panic!("the descriptor was not taken");
        };
        assert_eq!(path, PathBuf::from("/dev/fd/3"));
        assert!(matches!(
            read("enrol --token-file t"),
            Ok(Command::Enrol { token: Some(TokenSource::File(_)) })
        ));
        assert!(matches!(read("enrol"), Ok(Command::Enrol { token: None })));
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for line in
            ["", "fly", "run --json", "status --token -", "run now", "run --insecure", "enrol --token-fd x"]
        {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
