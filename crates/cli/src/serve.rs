use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use app::{Error, ErrorCode, ServerConfig, Shutdown, adopt_fleet, init_backend, renew_backend_keys, serve};
use clap::{Args, ValueEnum};

use crate::output::Output;

/// A configuration file in TOML has the keys data, bind, origin, poll_after, connections and ciphertext_bytes;
/// flags override it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keys, database and artifacts: a folder that nobody else reads
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<SocketAddr>,
    /// Where devices and people reach it: https://host:port
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Make the backend's own keys, write their public halves to this file, and end
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Make new keys for snapshot, timestamp and links, write their public halves to this file, and end:
    /// they count once a trust change names them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["init", "adopt"])]
    renew_keys: Option<PathBuf>,
    /// Take over the fleet of this founding file, then serve
    #[arg(long, value_name = "FILE", conflicts_with = "init")]
    adopt: Option<PathBuf>,
    /// How to write the log
    #[arg(long, value_enum, default_value = "text")]
    log: Log,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Log {
    Text,
    Json,
}

pub(crate) async fn run(output: &Output, options: Options) -> Result<(), Error> {
    let config = config(&options)?;
    if let Some(file) = &options.init {
        require_new(file)?;
        let identity = init_backend(&config)?;
        app::write_json(file, &identity)?;
        output.result(&identity, || format!("the backend's public keys are in {}", file.display()));
        output.note("next: `fleetseal fleet found --backend FILE`, then `fleetseal serve --adopt FOUNDING`");
        return Ok(());
    }
    if let Some(file) = &options.renew_keys {
        require_new(file)?;
        let identity = renew_backend_keys(&config)?;
        app::write_json(file, &identity)?;
        output.result(&identity, || format!("the new public keys are in {}", file.display()));
        output
            .note("next: start the backend again, then `fleetseal fleet change online-keys --backend FILE`");
        return Ok(());
    }
    start_log(options.log);
    if let Some(founding) = &options.adopt {
        adopt_fleet(&config, founding).await?;
    }
    let shutdown = Shutdown::new();
    tokio::spawn(end_on_signal(shutdown.clone()));
    let ready = || {
        // Whoever reads the log line by line reads JSON alone.
        if matches!(options.log, Log::Text) {
            output.note(&format!("serving {} on {}; end with Ctrl-C", config.origin, config.bind));
        }
    };
    serve(&config, shutdown, ready).await
}

/// What goes to whoever founds the fleet is not written over something else.
fn require_new(file: &Path) -> Result<(), Error> {
    if !file.exists() {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Conflict, format!("`{}` exists already", file.display()))
        .hint("name a file that is not there yet; nothing is overwritten, and no key was made"))
}

/// The file, then the flags over it.
fn config(options: &Options) -> Result<ServerConfig, Error> {
    let mut table = match &options.config {
        Some(path) => {
            app::read_text(path)?.parse::<toml::Table>().map_err(|source| invalid(source.message()))?
        }
        None => toml::Table::new(),
    };
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            table.insert(key.to_owned(), toml::Value::String(value));
        }
    };
    set("data", options.data.as_ref().map(|data| data.display().to_string()));
    set("bind", options.bind.map(|bind| bind.to_string()));
    set("origin", options.origin.clone());
    table.try_into().map_err(|source: toml::de::Error| invalid(source.message()))
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorCode::InvalidRequest, "the backend's configuration is not complete or not right")
        .detail(why.to_owned())
        .hint("give at least --data and --origin, or a --config file with these keys")
}

fn start_log(log: Log) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let out = std::io::stderr;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(out)
        // Where nobody reads the log, it goes nowhere.
        .log_internal_errors(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&out()));
    match log {
        Log::Text => builder.init(),
        Log::Json => builder.json().init(),
    }
}

async fn end_on_signal(shutdown: Shutdown) {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
    shutdown.cancel();
}
