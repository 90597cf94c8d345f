use std::path::PathBuf;

use app::{
    Error,
    command::{
        BenchBundle, BenchDoctor, BenchList, BenchOpen, BenchReceipts, BenchShow, BenchSync, BenchUpdate,
    },
    dto::{
        BenchPort, BenchPorts, BenchSeverity, BundleFile, BundleSummary, MakeBundle, Nothing, ReceiptQueue,
        ReceiptState, UpdateDevice, VisitReport,
    },
    model::{DeviceId, PersonName, ReleaseId, Seconds, Serial, TargetName},
};
use clap::{Args, Subcommand};

use crate::{
    Session,
    output::{bytes, table},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// What is plugged in
    List {
        /// Look at these ports, too
        #[arg(long = "port", value_name = "PORT")]
        ports: Vec<String>,
    },
    /// What a device says of itself: its number, its slots, what runs
    Show {
        #[command(flatten)]
        line: Line,
    },
    /// Bring a device to run what a bundle has for it, confirmed; also without a network
    Update {
        #[command(flatten)]
        line: Line,
        /// The offline bundle
        #[arg(long, value_name = "FILE")]
        bundle: PathBuf,
        /// Its serial number, where it does not say it itself
        #[arg(long)]
        serial: Option<Serial>,
    },
    /// Make an offline bundle of a release for these devices
    Bundle {
        /// The release
        release: ReleaseId,
        /// Which of its artifacts, if it has several
        #[arg(long)]
        target: Option<TargetName>,
        /// A device that it is for; once for each
        #[arg(long = "device", required = true)]
        devices: Vec<DeviceId>,
        /// The technician whose bench opens the tickets in the devices' stead [default: devices do]
        #[arg(long, value_name = "NAME")]
        bench: Option<PersonName>,
        /// The devices cannot prove who they are: the bench goes by their serial numbers alone
        #[arg(long, requires = "bench")]
        unproven: bool,
        /// How many days it counts, at most 30
        #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u64).range(1..=30))]
        days: u64,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Verify an offline bundle and show for whom it is
    Open {
        /// Its file
        bundle: PathBuf,
    },
    /// How many receipts wait to be brought home
    Receipts,
    /// Bring receipts home to the backend
    Sync,
    /// What stands in the way: permissions, other programs, missing rules
    Doctor {
        /// These ports [default: all that the system lists]
        ports: Vec<String>,
    },
    /// Write the rules for udev that open ports to whoever sits at this computer
    UdevRules,
}

/// The line to a device.
#[derive(Debug, Args)]
pub(crate) struct Line {
    /// Its port: /dev/ttyACM0, or tcp:host:port
    port: String,
    /// Bits a second
    #[arg(long, default_value_t = 115_200)]
    baud: u32,
    /// Messages come as they are, without the console's framing
    #[arg(long)]
    raw: bool,
}

impl From<Line> for BenchPort {
    fn from(line: Line) -> Self {
        Self { port: line.port, baud: Some(line.baud), raw: line.raw }
    }
}

pub(crate) async fn run(session: &Session<'_>, verb: Verb) -> Result<(), Error> {
    let Session { app, output, .. } = session;
    match verb {
        Verb::List { ports } => {
            let page = app.run::<BenchList>(BenchPorts { ports }).await?;
            output.result(&page, || {
                let mut rows = vec![["port", "place", "serial", "usb"].map(str::to_owned).to_vec()];
                rows.extend(page.rows.iter().map(|device| {
                    vec![
                        device.port.clone(),
                        device.place.clone(),
                        device.usb_serial.clone().unwrap_or_else(|| "-".to_owned()),
                        device.usb.clone().unwrap_or_else(|| "-".to_owned()),
                    ]
                }));
                if page.rows.is_empty() {
                    return "nothing is plugged in: `fleetseal bench doctor` looks for the cause".to_owned();
                }
                table(&rows)
            });
        }
        Verb::Show { line } => {
            let shown = app.run::<BenchShow>(line.into()).await?;
            output.result(&shown, || {
                let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "not said".to_owned());
                let mut rows = vec![["slot", "version", "", "hash"].map(str::to_owned).to_vec()];
                rows.extend(shown.slots.iter().map(|slot| {
                    let mut words = Vec::new();
                    words.extend(slot.active.then_some("runs"));
                    words.extend(slot.confirmed.then_some("confirmed"));
                    words.extend(slot.pending.then_some("boots next"));
                    vec![
                        slot.slot.to_string(),
                        slot.version.clone(),
                        words.join(", "),
                        slot.hash.map_or_else(|| "-".to_owned(), |hash| hash.to_string()),
                    ]
                }));
                format!(
                    "mode         {}\nhardware id  {} (not proven)\nmodel        {}\nprovisioned  {}\n{}",
                    match shown.mode {
                        app::dto::BenchMode::Application => "application",
                        app::dto::BenchMode::Recovery => "recovery: its application does not run",
                    },
                    said(&shown.hardware_id),
                    said(&shown.model),
                    said(&shown.lifecycle),
                    table(&rows),
                )
            });
        }
        Verb::Update { line, bundle, serial } => {
            session.unlock().await?;
            let request = UpdateDevice { line: line.into(), bundle: bundle.display().to_string(), serial };
            let report = app.run::<BenchUpdate>(request).await?;
            output.result(&report, || visit(session, &report));
            if !report.passed {
                let why = report.why.unwrap_or_default();
                return Err(Error::new(app::ErrorCode::PreconditionFailed, "the device did not pass")
                    .detail(why)
                    .hint("see to it, then run this again; the receipt says what was done"));
            }
        }
        Verb::Bundle { release, target, devices, bench, unproven, days, out } => {
            session.unlock().await?;
            let request = MakeBundle {
                release,
                target,
                devices,
                bench,
                unproven,
                life: Seconds::days(days),
                file: out.display().to_string(),
            };
            let summary = app.run::<BenchBundle>(request).await?;
            output.result(&summary, || opened(&summary));
        }
        Verb::Open { bundle } => {
            let request = BundleFile { file: bundle.display().to_string() };
            let summary = app.run::<BenchOpen>(request).await?;
            output.result(&summary, || opened(&summary));
        }
        Verb::Receipts => {
            let queue = app.run::<BenchReceipts>(Nothing {}).await?;
            output.result(&queue, || receipts(queue));
        }
        Verb::Sync => {
            let queue = app.run::<BenchSync>(Nothing {}).await?;
            output.result(&queue, || receipts(queue));
        }
        Verb::Doctor { ports } => {
            let page = app.run::<BenchDoctor>(BenchPorts { ports }).await?;
            output.result(&page, || {
                let line = |finding: &app::dto::BenchFinding| {
                    let (colour, mark) = match finding.severity {
                        BenchSeverity::Fine => ("32", "fine   "),
                        BenchSeverity::Warning => ("33", "warning"),
                        BenchSeverity::Problem => ("31;1", "problem"),
                    };
                    let next = match finding.next.as_str() {
                        "" => String::new(),
                        next => format!("         next: {next}\n"),
                    };
                    format!("{}  {}\n{next}", output.paint(colour, mark), finding.what)
                };
                page.rows.iter().map(line).collect()
            });
            if page.rows.iter().any(|finding| finding.severity == BenchSeverity::Problem) {
                return Err(Error::new(
                    app::ErrorCode::PreconditionFailed,
                    "something stands in the way of a visit",
                )
                .hint("see to what is marked `problem`, then run it again"));
            }
        }
        Verb::UdevRules => output.result(&app::UDEV_RULES, || app::UDEV_RULES.to_owned()),
    }
    Ok(())
}

fn visit(session: &Session<'_>, report: &VisitReport) -> String {
    let verdict = if report.passed {
        session.output.paint("32;1", "PASS")
    } else {
        session.output.paint("31;1", "FAIL")
    };
    format!(
        "{verdict}  {}\n{} -> {}\nmode      {}\nidentity  {}\nreceipt   {}",
        report.serial,
        report.before.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string),
        report.version,
        match report.mode.as_str() {
            "deputy" => "deputy: this bench opened the ticket in the device's stead",
            _ => "sealed: the device opened its ticket itself",
        },
        if report.identity_proven { "proven by the device's key" } else { "not proven" },
        match report.receipt {
            ReceiptState::HandedIn => "handed in",
            ReceiptState::Queued => "waits on this computer: `fleetseal bench sync` brings it home",
        },
    )
}

fn opened(summary: &BundleSummary) -> String {
    let mut rows = vec![
        ["serial", "model", "brings", "mode", "identity", "until", "device"].map(str::to_owned).to_vec(),
    ];
    rows.extend(summary.devices.iter().map(|ticket| {
        vec![
            ticket.serial.to_string(),
            ticket.model.to_string(),
            format!("{} {}", ticket.component, ticket.version),
            if ticket.deputy.is_some() { "deputy" } else { "sealed" }.to_owned(),
            if ticket.must_prove { "must be proven" } else { "not proven" }.to_owned(),
            ticket.not_after.to_string(),
            ticket.device.to_string(),
        ]
    }));
    let revoked = match summary.revoked_at {
        Some(at) => format!("with the list of revoked keys of {at}"),
        None => "without a list of revoked keys".to_owned(),
    };
    format!(
        "made {}, counts until {}, {revoked}, payloads {}\n{}",
        summary.issued_at,
        summary.expires,
        bytes(summary.payload_bytes),
        table(&rows)
    )
}

fn receipts(queue: ReceiptQueue) -> String {
    format!("{} handed in, {} waiting", queue.handed_in, queue.waiting)
}
