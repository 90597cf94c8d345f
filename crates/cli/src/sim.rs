use std::collections::BTreeMap;

use app::{
    Error, FaultMix, Shutdown, Simulation,
    model::{Component, HardwareRevision, InstallerName, ModelName, Version},
};
use clap::{Args, Subcommand};

use crate::{Session, board, ending::ending, output::bytes};

/// Simulated devices against the backend of this workspace, over real TLS with certificates of their own.
/// Ends with Ctrl-C and reports what was measured.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) what: Option<What>,
    #[command(flatten)]
    pub(crate) fleet: Devices,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// A board for the service bench instead
    Board(board::Options),
}

#[derive(Debug, Args)]
pub(crate) struct Devices {
    /// How many devices
    #[arg(long, default_value_t = 100)]
    devices: usize,
    /// What their serial numbers begin with
    #[arg(long, default_value = "SIM-")]
    prefix: String,
    /// Their model
    #[arg(long, required = true)]
    model: Option<ModelName>,
    /// The revision of their hardware
    #[arg(long, default_value = "1")]
    hardware_revision: HardwareRevision,
    /// Their one component
    #[arg(long, default_value = "main")]
    component: Component,
    /// Its installer
    #[arg(long, default_value = "slots")]
    installer: InstallerName,
    /// What runs in it
    #[arg(long, default_value = "0.1.0")]
    running: Version,
    /// How many come in a second, whatever became of those before
    #[arg(long, default_value_t = 100.0)]
    per_second: f64,
    /// A little of every fault: slow, cut off, lapsed links, failed trials, flipped bits, tampered segments,
    /// foreign certificates, replays
    #[arg(long)]
    faults: bool,
    /// Draws the faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End by itself after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
}

pub(crate) async fn run(session: &Session<'_>, options: Devices) -> Result<(), Error> {
    let Some(model) = options.model else {
        return Err(Error::new(app::ErrorCode::InvalidRequest, "simulated devices need a --model"));
    };
    session.unlock().await?;
    let simulation = Simulation {
        devices: options.devices,
        prefix: options.prefix,
        model,
        hardware_revision: options.hardware_revision,
        component: options.component,
        installer: options.installer,
        version: options.running,
        per_second: options.per_second,
        faults: if options.faults { FaultMix::MIXED } else { FaultMix::default() },
        seed: options.seed,
    };
    let shutdown = Shutdown::new();
    let ender = shutdown.clone();
    let seconds = options.seconds;
    tokio::spawn(async move {
        ending(seconds).await;
        ender.cancel();
    });
    let output = session.output;
    let report = session
        .app
        .simulate(&simulation, shutdown, &|tally| {
            output.note(&format!(
                "{} listening, {} check-ins, {} fetched, {}",
                tally.listening,
                tally.check_ins,
                bytes(tally.staged_bytes),
                counted(&tally.reached),
            ));
        })
        .await?;
    output.result(&report, || {
        let line = |name: &str, latency: &app::Latency| {
            format!(
                "{name:<9} {:>7} times   p50 {:>8.1} ms   p90 {:>8.1} ms   p99 {:>8.1} ms   max {:>8.1} ms\n",
                latency.count,
                latency.p50_us as f64 / 1e3,
                latency.p90_us as f64 / 1e3,
                latency.p99_us as f64 / 1e3,
                latency.max_us as f64 / 1e3,
            )
        };
        line("check-in", &report.check_in)
            + &line("download", &report.download)
            + &line("update", &report.update)
            + &format!("refused by devices: {}\n", counted(&report.tally.refused))
            + &format!("refused by the backend: {}\n", counted(&report.tally.repelled))
            + &format!("stopped: {}\n", counted(&report.tally.stopped))
    });
    if report.tally.let_through.is_empty() {
        Ok(())
    } else {
        let what = report.tally.let_through.keys().cloned().collect::<Vec<_>>().join(", ");
        Err(Error::new(app::ErrorCode::Internal, "the backend let an attack through").detail(what))
    }
}

/// Counts by name, as people read them.
fn counted(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let each = counts.iter().map(|(name, count)| format!("{count} {}", name.replace('_', " ")));
    each.collect::<Vec<_>>().join(", ")
}
