use std::{net::SocketAddr, path::PathBuf, time::Duration};

use app::{
    BoardPlan, Error, Trouble, Wire,
    model::{Component, DeviceId, ModelName, Version},
};
use clap::Args;
use serde::Serialize;

use crate::{Session, ending::ending, output::Output};

/// A simulated board for the bench: MCUboot's slots, trial, roll back and recovery, on a pseudo terminal
/// or a TCP port. Says where it is, and ends with Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Its hardware's own number
    #[arg(long, default_value = "SIM-BOARD-1")]
    serial: String,
    /// The model that it says to be
    #[arg(long, default_value = "sim-board")]
    model: String,
    /// What runs on it
    #[arg(long, default_value = "1.0.0")]
    running: Version,
    /// How long its program is
    #[arg(long, value_name = "BYTES", default_value_t = 100_000)]
    program: usize,
    /// Listen on this address instead of a pseudo terminal
    #[arg(long, value_name = "HOST:PORT")]
    tcp: Option<SocketAddr>,
    /// Pace the line to so many bits a second
    #[arg(long)]
    baud: Option<u32>,
    /// Delay the line by so many milliseconds, there and back
    #[arg(long, default_value_t = 0, value_name = "MS")]
    turnaround: u64,
    /// Its bootloader has no recovery mode
    #[arg(long)]
    no_recovery: bool,
    /// Its application is dead: it waits in its recovery mode
    #[arg(long, conflicts_with = "no_recovery")]
    in_recovery: bool,
    /// Its application has no provisioning group, so that it cannot prove who it is
    #[arg(long)]
    no_provisioning: bool,
    /// Enrol it in the fleet first: a device of this model, which gets a serial number of its own
    #[arg(long, value_name = "MODEL")]
    enrol: Option<ModelName>,
    /// The component that its firmware is
    #[arg(long, default_value = "main")]
    component: Component,
    /// Draws what goes wrong
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Flip a bit in so many of a million bytes
    #[arg(long, default_value_t = 0, value_name = "PPM")]
    flips: u32,
    /// Lose so many of a million bytes
    #[arg(long, default_value_t = 0, value_name = "PPM")]
    drops: u32,
    /// Cut its power within so many flash operations, again and again
    #[arg(long, default_value_t = 0, value_name = "OPERATIONS")]
    power_cut_within: u32,
    /// Write an image that its bootloader takes: its version, and the file
    #[arg(long, value_name = "VERSION=FILE", value_parser = image)]
    image: Option<(Version, PathBuf)>,
    /// End by itself after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
}

/// Where the board is.
#[derive(Serialize)]
struct Listening<'a> {
    port: &'a str,
    serial: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
}

/// What it runs at the end.
#[derive(Serialize)]
struct Ended {
    running: Option<String>,
    confirmed: bool,
}

pub(crate) async fn run<'a>(
    open: impl FnOnce() -> Result<Session<'a>, Error>,
    output: &Output,
    options: Options,
) -> Result<(), Error> {
    let mut plan = BoardPlan {
        serial: options.serial,
        model: options.model,
        version: options.running,
        program_bytes: options.program,
        tcp: options.tcp,
        recovery: !options.no_recovery,
        starts_in_recovery: options.in_recovery,
        provisioning: !options.no_provisioning,
        wire: Wire {
            baud: options.baud,
            turnaround: Duration::from_millis(options.turnaround),
            trouble: Trouble {
                seed: options.seed,
                flips: options.flips,
                drops: options.drops,
                power_cut_within: options.power_cut_within,
            },
        },
        keys: None,
    };
    let device = match options.enrol {
        Some(model) => {
            let session = open()?;
            session.unlock().await?;
            Some(session.app.enrol_board(&mut plan, model, options.component).await?)
        }
        None => None,
    };
    if let Some((version, file)) = &options.image {
        plan.write_image(version, file)?;
    }
    let board = plan.start()?;
    let listening = Listening { port: board.address(), serial: &plan.serial, device };
    output.result(&listening, || format!("{} is at {}", listening.serial, listening.port));
    ending(options.seconds).await;
    let running = board.running();
    let confirmed = running.as_ref().is_some_and(|(_, confirmed)| *confirmed);
    let ended = Ended { running: running.map(|(version, _)| version), confirmed };
    output.result(&ended, || match &ended.running {
        Some(version) if confirmed => format!("it runs {version}, confirmed"),
        Some(version) => format!("it runs {version}, on trial"),
        None => "it runs nothing".to_owned(),
    });
    Ok(())
}

fn image(text: &str) -> Result<(Version, PathBuf), String> {
    let (version, file) = text.split_once('=').ok_or("it looks like 1.1.0=update.bin")?;
    Ok((version.parse().map_err(|error| format!("`{version}`: {error}"))?, file.into()))
}
