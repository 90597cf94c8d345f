//! The screens in a browser on this computer, for tests and machines without a desktop.

mod bridge;
mod files;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use app::{
    Error, ErrorCode,
    host::{Host, Window},
};
use clap::Args;
use serde::Serialize;

use crate::output::Output;
use bridge::Bridge;

/// The desktop's own program, beside this one.
const PROGRAM: &str = "fleetseal-desktop";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Serve the screens to a browser on this computer, until this program ends
    #[arg(long)]
    browser: bool,
    /// Begin with a training fleet of simulated devices
    #[arg(long)]
    training: bool,
    /// How many devices the training fleet has
    #[arg(long, value_name = "N", requires = "training")]
    devices: Option<u32>,
    /// Where workspaces are kept [default: in your data folder]
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The built screens [default: `ui` beside this program or in share/fleetseal, or `ui/dist` here]
    #[arg(long, value_name = "DIR", requires = "browser")]
    ui: Option<PathBuf>,
}

/// Where a browser finds the two windows. Each address works once.
#[derive(Debug, Serialize)]
struct Addresses {
    main: String,
    vault: String,
}

pub(crate) async fn run(output: &Output, options: Options) -> Result<(), Error> {
    if !options.browser {
        return Err(open_program(&options));
    }
    let ui = match options.ui {
        Some(ui) => ui,
        None => built_screens()?,
    };
    let home = options.home.map_or_else(app::default_workspace, Ok)?;
    let host = Host::start(&home).await?;
    if options.training {
        output.note("setting up the training fleet");
        host.train(options.devices).await?;
    }
    let main = Bridge::open(Arc::clone(&host), Window::Main, &ui).await?;
    let vault = Bridge::open(Arc::clone(&host), Window::Vault, &ui).await?;
    let addresses = Addresses { main: main.address(), vault: vault.address() };
    output.result(&addresses, || {
        format!(
            "open in a browser on this computer:\n  the screens  {}\n  the vault    {}\n\
             Each address works once. Ctrl-C ends everything.",
            addresses.main, addresses.vault
        )
    });
    let served = tokio::select! {
        served = async { tokio::try_join!(main.serve(), vault.serve()).map(drop) } => served,
        ended = told_to_end() => ended,
    };
    host.stop().await;
    served
}

/// Becomes the desktop's program; returns only if that failed.
fn open_program(options: &Options) -> Error {
    use std::os::unix::process::CommandExt as _;

    let program = std::env::current_exe().unwrap_or_default().with_file_name(PROGRAM);
    let mut command = Command::new(&program);
    if options.training {
        command.arg("--training");
    }
    if let Some(devices) = options.devices {
        command.args(["--devices", &devices.to_string()]);
    }
    if let Some(home) = &options.home {
        command.arg("--home").arg(home);
    }
    Error::new(ErrorCode::NotFound, format!("`{}` could not be started", program.display()))
        .detail(command.exec().to_string())
        .hint("install the desktop's package, or use --browser")
}

fn built_screens() -> Result<PathBuf, Error> {
    let here = std::env::current_exe().unwrap_or_default();
    let beside = here.parent().unwrap_or(Path::new("."));
    let places = [beside.join("ui"), beside.join("../share/fleetseal/ui"), PathBuf::from("ui/dist")];
    places.into_iter().find(|place| place.join("index.html").exists()).ok_or_else(|| {
        Error::new(ErrorCode::NotFound, "the screens are not built")
            .hint("build them with `cargo xtask ui`, or say where they are with --ui")
    })
}

/// Returns once the terminal goes away or somebody ends the program.
async fn told_to_end() -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let none = |source| Error::internal("signals cannot be heard", source);
    let mut hangup = signal(SignalKind::hangup()).map_err(none)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(none)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(none)?;
    tokio::select! {
        _ = hangup.recv() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
