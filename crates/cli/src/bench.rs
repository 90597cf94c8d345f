use app::{
    Error,
    command::{BenchDoctor, BenchList, BenchShow},
    dto::{BenchPort, BenchPorts, BenchSeverity},
};
use clap::{Args, Subcommand};

use crate::{Session, output::table};

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
                let mut rows =
                    vec![["slot", "version", "", "hash"].map(str::to_owned).to_vec()];
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
