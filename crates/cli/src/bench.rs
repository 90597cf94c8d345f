use std::path::PathBuf;

use app::{
    Error,
    command::{
        BenchBundle, BenchDoctor, BenchLayOut, BenchList, BenchOpen, BenchReceipts, BenchReport,
        BenchReports, BenchShow, BenchSync, BenchUpdate,
    },
    dto::{
        BenchPort, BenchPorts, BenchSeverity, BundleFile, BundleSummary, MakeBundle, Nothing, ReceiptQueue,
        ReceiptState, UpdateDevice, UpdateDevices, VisitReport, VisitRow, WriteReport,
    },
    model::{DeviceId, Digest, PersonName, ReleaseId, Seconds, Serial, TargetName},
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
    /// Bring devices to run what a bundle has for them, confirmed; up to 16 at once, also without a network
    Update {
        /// The devices' ports: /dev/ttyACM0, or tcp:host:port
        #[arg(required_unless_present = "all", value_name = "PORT")]
        ports: Vec<String>,
        /// Every device that is plugged in, and those at the ports that are named
        #[arg(long)]
        all: bool,
        /// Bits a second
        #[arg(long, default_value_t = 115_200)]
        baud: u32,
        /// Messages come as they are, without the console's framing
        #[arg(long)]
        raw: bool,
        /// The offline bundle [default: what the backend has for the device, or a kept one]
        #[arg(long, value_name = "FILE")]
        bundle: Option<PathBuf>,
        /// Its serial number, where the one device does not say it itself
        #[arg(long, conflicts_with = "all")]
        serial: Option<Serial>,
    },
    /// What was done at this bench, the newest first
    Reports,
    /// Write a service report: a PDF if the file is called so, JSON otherwise
    Report {
        /// Its id, as `reports` shows it; the newest if left out
        #[arg(long)]
        id: Option<Digest>,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
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
    /// Lay a bundle out with the backend: benches on the network fetch it as the device is plugged in
    LayOut {
        /// Its file
        bundle: PathBuf,
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
        Verb::Update { mut ports, all, baud, raw, bundle, serial } => {
            if all {
                let page = app.run::<BenchList>(BenchPorts { ports: ports.clone() }).await?;
                ports = page.rows.into_iter().map(|device| device.port).collect();
            }
            if serial.is_some() && ports.len() > 1 {
                return Err(Error::new(app::ErrorCode::InvalidRequest, "a serial number is one device's")
                    .hint("update that device alone"));
            }
            session.unlock().await?;
            let bundle = bundle.map(|bundle| bundle.display().to_string());
            let devices = ports.into_iter().map(|port| UpdateDevice {
                line: BenchPort { port, baud: Some(baud), raw },
                bundle: bundle.clone(),
                serial: serial.clone(),
            });
            let list = app.run::<BenchUpdate>(UpdateDevices { devices: devices.collect() }).await?;
            output.result(&list, || match list.rows.as_slice() {
                [VisitRow { report: Some(report), .. }] => visit(session, report),
                rows => verdicts(session, rows),
            });
            let failed: Vec<&VisitRow> = list.rows.iter().filter(|row| !row.passed()).collect();
            if let Some(first) = failed.first() {
                let what = match list.rows.len() {
                    1 => "the device did not pass".to_owned(),
                    all => format!("{} of {all} devices did not pass", failed.len()),
                };
                return Err(Error::new(app::ErrorCode::PreconditionFailed, what)
                    .detail(why(first))
                    .hint("see to it, then run this again; the receipt says what was done"));
            }
        }
        Verb::Reports => {
            let page = app.run::<BenchReports>(Nothing {}).await?;
            output.result(&page, || {
                let mut rows = vec![
                    ["", "serial", "before", "version", "ended", "receipt", "id"].map(str::to_owned).to_vec(),
                ];
                rows.extend(page.rows.iter().map(|report| {
                    vec![
                        if report.passed { "PASS" } else { "FAIL" }.to_owned(),
                        report.serial.to_string(),
                        before(report),
                        report.version.to_string(),
                        report.ended_at.to_string(),
                        match report.receipt {
                            ReceiptState::HandedIn => "handed in",
                            ReceiptState::Queued => "waits",
                            ReceiptState::Refused => "refused",
                        }
                        .to_owned(),
                        report.id.to_string(),
                    ]
                }));
                table(&rows)
            });
        }
        Verb::Report { id, out } => {
            let id = match id {
                Some(id) => id,
                None => {
                    let newest = app.run::<BenchReports>(Nothing {}).await?.rows.into_iter().next();
                    let missing =
                        || Error::new(app::ErrorCode::NotFound, "nothing was done at this bench yet");
                    newest.ok_or_else(missing)?.id
                }
            };
            let done = app.run::<BenchReport>(WriteReport { id, file: out.display().to_string() }).await?;
            output.result(&done, || format!("wrote `{}`", out.display()));
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
        Verb::LayOut { bundle } => {
            let request = BundleFile { file: bundle.display().to_string() };
            let done = app.run::<BenchLayOut>(request).await?;
            output.result(&done, || "the backend has it for benches on the network".to_owned());
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

/// One line for each device.
fn verdicts(session: &Session<'_>, rows: &[VisitRow]) -> String {
    let lines = rows.iter().map(|row| {
        let who = match &row.report {
            Some(report) => format!("{}  {} -> {}", report.serial, before(report), report.version),
            None => "-".to_owned(),
        };
        let why = if row.passed() { String::new() } else { format!("  {}", why(row)) };
        format!("{}  {}  {who}{why}\n", verdict(session, row.passed()), row.port)
    });
    let passed = rows.iter().filter(|row| row.passed()).count();
    lines.chain([format!("{passed} of {} passed", rows.len())]).collect()
}

fn verdict(session: &Session<'_>, passed: bool) -> String {
    let (colour, word) = if passed { ("32;1", "PASS") } else { ("31;1", "FAIL") };
    session.output.paint(colour, word)
}

fn why(row: &VisitRow) -> String {
    match (&row.report, &row.error) {
        (Some(report), _) => report.why.clone().unwrap_or_default(),
        (None, Some(error)) => format!("{} ({})", error.message, error.code.as_str()),
        (None, None) => String::new(),
    }
}

fn before(report: &VisitReport) -> String {
    report.before.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string)
}

fn visit(session: &Session<'_>, report: &VisitReport) -> String {
    let verdict = verdict(session, report.passed);
    format!(
        "{verdict}  {}\n{} -> {}\nmode      {}\nidentity  {}\nreceipt   {}",
        report.serial,
        before(report),
        report.version,
        match report.mode.as_str() {
            "deputy" => "deputy: this bench opened the ticket in the device's stead",
            _ => "sealed: the device opened its ticket itself",
        },
        if report.identity_proven { "proven by the device's key" } else { "not proven" },
        match report.receipt {
            ReceiptState::HandedIn => "handed in",
            ReceiptState::Queued => "waits on this computer: `fleetseal bench sync` brings it home",
            ReceiptState::Refused => "refused by the backend; it lies aside on this computer",
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
