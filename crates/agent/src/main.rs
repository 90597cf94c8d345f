//! `fleetseal-agent`: one device of a fleet.

mod arguments;

use std::{
    error::Error as _,
    fs,
    io::{self, Read as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use agent::{
    Device, DirStorage, Error, Event, Exit, Pace, Parts, Status, SystemClock, SystemRandom, TcpDial,
    config::{Config, ConfigError},
};
use arguments::{Arguments, Command, TokenSource, USAGE};
use envelope::EnrolmentToken;
use protocol::ErrorCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

/// How long the agent waits to be taken down by the restart that its installer asked for.
const RESTART: Duration = Duration::from_secs(600);

/// What ends the program, with its exit code and what to do next.
struct Failure {
    exit: u8,
    code: &'static str,
    what: String,
    next: &'static str,
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            say(&mut io::stderr(), &format!("fleetseal-agent: {error}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(act(arguments)),
        Err(error) => Err(Failure::new(1, "internal", error.to_string(), "check the machine's limits")),
    };
    match ended {
        Ok(code) => code,
        Err(Failure { exit, code, what, next }) => {
            say(&mut io::stderr(), &format!("fleetseal-agent: {what}\n  code: {code}\n  next: {next}"));
            ExitCode::from(exit)
        }
    }
}

async fn act(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Help => say(&mut io::stdout(), USAGE),
        Command::Version => say(&mut io::stdout(), concat!("fleetseal-agent ", env!("CARGO_PKG_VERSION"))),
        Command::Status { json } => status(&arguments, json)?,
        Command::Enrol { ref token } => {
            log(arguments.log_json);
            let token = token.as_ref().map(read_token).transpose()?;
            let config = configuration(&arguments)?;
            let mut parts = parts(&config)?;
            let asked = "asking for a certificate: this ends when somebody approves the device, there with \
                         `fleetseal device approve`";
            say(&mut io::stderr(), asked);
            let device = until_stopped(agent::enrol(token, &config.settings(), &mut parts)).await?;
            let Some(device) = device else { return Ok(ExitCode::from(130)) };
            say(&mut io::stdout(), &device.to_string());
        }
        Command::Renew => {
            log(arguments.log_json);
            let config = configuration(&arguments)?;
            let mut parts = parts(&config)?;
            agent::renew(config.serial.as_ref(), &mut parts).await?;
        }
        Command::Run => {
            log(arguments.log_json);
            return run(&configuration(&arguments)?).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(config: &Config) -> Result<ExitCode, Failure> {
    let mut device = match Device::open(config.settings(), parts(config)?) {
        Err(Error::StateLost) => {
            // The parts went with the failed device; the folder is free again.
            let mut parts = parts(config)?;
            if let Err(error) = agent::report_loss(&mut parts).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the loss of the state was not reported"
                );
            }
            return Err(Error::StateLost.into());
        }
        opened => opened?,
    };
    tracing::info!(device = %device.id(), "running");
    match device.run(stopped()).await? {
        Exit::Canceled => Ok(ExitCode::SUCCESS),
        Exit::Restart => {
            tracing::info!("waiting to be restarted");
            tokio::select! {
                () = stopped() => Ok(ExitCode::SUCCESS),
                () = tokio::time::sleep(RESTART) => Ok(ExitCode::from(75)),
            }
        }
    }
}

fn status(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let config = configuration(arguments)?;
    let storage = DirStorage::view(&config.data_dir).map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            Failure::from(Error::NotEnrolled)
        } else {
            Failure::from(Error::Storage { action: "open the data folder", source })
        }
    })?;
    let status = Status::read(&storage)?;
    if json {
        let text = serde_json::to_string_pretty(&status).expect("names and numbers have a JSON form");
        say(&mut io::stdout(), &text);
        return Ok(());
    }
    let mut text = format!(
        "device       {}\nbackend      {}\ncertificate  until {}\nreports      {} waiting\n",
        status.device, status.address, status.certificate_not_after, status.waiting_reports
    );
    for (name, now) in &status.components {
        let version = now.version.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        text.push_str(&format!("{name:<12} {version}"));
        if let (Some(next), Some(state)) = (&now.next_version, now.state) {
            text.push_str(&format!(", {} {next}", state.as_str()));
        }
        text.push('\n');
    }
    say(&mut io::stdout(), text.trim_end());
    Ok(())
}

fn configuration(arguments: &Arguments) -> Result<Config, Failure> {
    let mut config = Config::read(&arguments.config)?;
    if let Some(data_dir) = &arguments.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    Ok(config)
}

fn parts(config: &Config) -> Result<Parts, Failure> {
    let storage = DirStorage::open(&config.data_dir).map_err(|source| {
        if source.kind() != io::ErrorKind::WouldBlock {
            return Error::Storage { action: "open the data folder", source }.into();
        }
        let what = format!("another agent uses `{}`", config.data_dir.display());
        Failure::new(8, "conflict", what, "stop it first, or name another folder with --data-dir")
    })?;
    Ok(Parts {
        storage: Box::new(storage),
        components: config.components()?,
        dial: Arc::new(TcpDial),
        clock: Arc::new(SystemClock),
        random: Box::new(SystemRandom),
        observer: Box::new(|_: &Event| {}),
        pace: Pace::default(),
    })
}

fn read_token(source: &TokenSource) -> Result<EnrolmentToken, Failure> {
    let unreadable = |error: io::Error| {
        let what = match source {
            TokenSource::File(path) => format!("the token cannot be read from `{}`: {error}", path.display()),
            TokenSource::Text(_) | TokenSource::Input => format!("the token cannot be read: {error}"),
        };
        Failure::new(2, "invalid_request", what, "name the file that `fleetseal device token --out` wrote")
    };
    let mut text = Zeroizing::new(String::new());
    match source {
        TokenSource::Text(token) => text.push_str(token),
        TokenSource::Input => drop(io::stdin().read_to_string(&mut text).map_err(unreadable)?),
        TokenSource::File(path) => {
            fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)).map_err(unreadable)?;
        }
    }
    text.parse().map_err(|error: envelope::Error| {
        Failure::new(
            2,
            ErrorCode::TokenRefused.as_str(),
            error.to_string(),
            "paste the whole token, from fst1_ on",
        )
    })
}

/// Waits for the end of `work`, or for being stopped.
async fn until_stopped<T>(work: impl Future<Output = Result<T, Error>>) -> Result<Option<T>, Error> {
    tokio::select! {
        ended = work => ended.map(Some),
        () = stopped() => Ok(None),
    }
}

async fn stopped() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

fn log(json: bool) {
    let filter = EnvFilter::try_from_env("FLEETSEAL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // Where nobody reads the log, it goes nowhere.
        .log_internal_errors(false)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    if json { log.json().init() } else { log.init() }
}

fn say(to: &mut dyn io::Write, text: &str) {
    // Nobody listens any more: there is nobody to tell.
    writeln!(to, "{text}").ok();
}

impl Failure {
    fn new(exit: u8, code: &'static str, what: String, next: &'static str) -> Self {
        Self { exit, code, what, next }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = if error.passes() && error.code() != ErrorCode::Untrusted {
            5
        } else if error.code() == ErrorCode::Untrusted {
            6
        } else if matches!(error, Error::NotEnrolled | Error::NoToken) {
            3
        } else if matches!(error, Error::Refused(_) | Error::Backend { .. }) {
            4
        } else if matches!(error, Error::StateLost) {
            7
        } else if matches!(error, Error::Storage { .. }) {
            8
        } else {
            1
        };
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            what = format!("{what}: {cause}");
            source = cause.source();
        }
        Self::new(exit, error.code().as_str(), what, error.hint())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            what = format!("{what}: {}", cause.to_string().trim_end());
            source = cause.source();
        }
        Self::new(2, "invalid_request", what, "see the example in the agent's documentation")
    }
}
