use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use app::{
    Error,
    demo::{LEAST_DEVICES, Options as Story, Report, Rule, Scene, run as play},
    model::{DeploymentState, planner::Counts},
};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{Output, of};

/// Exit code when a rule was broken, or a device is not where it should be.
const BROKEN: u8 = 10;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many simulated devices there are, at least 12; three processes come on top
    #[arg(long, default_value_t = 200, value_parser = devices)]
    devices: usize,
    /// What is rolled out [default: the agent's own program]
    #[arg(long, value_name = "FILE")]
    artifact: Option<PathBuf>,
    /// Keep everything in this folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The agent's program [default: beside this one]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
}

fn devices(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= LEAST_DEVICES => Ok(number),
        Ok(_) => Err(format!("the story has a part for {LEAST_DEVICES} devices: take so many or more")),
        Err(_) => Err(format!("`{text}` is no number of devices")),
    }
}

pub(crate) async fn run(output: &Output, options: Options) -> Result<ExitCode, Error> {
    let agent = match options.agent {
        Some(agent) => agent,
        None => beside()?,
    };
    let story = Story { devices: options.devices, artifact: options.artifact, data: options.data, agent };
    let show = Show::new(output);
    let report = play(&story, &|scene| show.scene(&scene)).await;
    show.end();
    let report = report?;
    output.result(&report, || describe(&report, output));
    Ok(if report.kept { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

/// The agent's program, where it was built.
fn beside() -> Result<PathBuf, Error> {
    let here =
        std::env::current_exe().map_err(|source| Error::internal("this program cannot be found", source))?;
    let agent = here.with_file_name("fleetseal-agent");
    if agent.exists() {
        return Ok(agent);
    }
    Err(Error::new(app::ErrorCode::NotFound, "the agent's program is not beside this one")
        .detail(agent.display().to_string())
        .hint("build it with `cargo build -p fleetseal-agent`, or name it with --agent"))
}

/// Shows scenes as they come: bars where somebody watches, plain lines where not.
struct Show {
    output: Output,
    bar: Mutex<Option<(&'static str, ProgressBar)>>,
}

impl Show {
    fn new(output: &Output) -> Self {
        Self { output: *output, bar: Mutex::new(None) }
    }

    fn scene(&self, scene: &Scene) {
        if self.output.is_json() {
            return;
        }
        match scene {
            Scene::Act { title } => {
                self.end();
                self.say(&format!("\n{}", self.output.paint("1", title)));
            }
            Scene::Line { text } => self.say(&format!("  {text}")),
            Scene::Progress { what, done, total } => {
                let bar = self.bar(what, *total);
                bar.set_position(*done);
                if done == total {
                    self.end();
                }
            }
            Scene::Rollout { counts, links } => {
                let bar = self.bar("updated and confirmed", counts.total().into());
                bar.set_position(counts.of(DeploymentState::ended).into());
                bar.set_message(format!(
                    "{}   links: {} open, {} used up, {} lapsed, {} remade",
                    states(counts, &self.output),
                    links.open,
                    links.consumed,
                    links.expired,
                    links.reissued,
                ));
            }
            Scene::Tried(report) => {
                let mark = if report.held {
                    self.output.paint("32", "✓ held  ")
                } else {
                    self.output.paint("31;1", "✕ BROKEN")
                };
                self.say(&format!("  {mark} {:<4} {}", format!("{:?}", report.rule), report.tried));
                if !report.held {
                    self.say(&format!("                {}", report.outcome));
                }
            }
        }
    }

    fn end(&self) {
        if let Some((_, bar)) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((_, bar)) if !bar.is_hidden() => bar.println(text),
            _ => self.output.note(text),
        }
    }

    fn bar(&self, what: &'static str, total: u64) -> ProgressBar {
        let mut slot = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((shown, bar)) = &*slot
            && *shown == what
        {
            return bar.clone();
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("  {prefix} {bar:32.cyan/dim} {pos}/{len}  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━━─"));
        bar.set_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(120));
        *slot = Some((what, bar.clone()));
        bar
    }
}

fn states(counts: &Counts, output: &Output) -> String {
    let shown = DeploymentState::ALL.into_iter().filter(|state| counts.get(*state) > 0);
    let word = |state: DeploymentState| {
        let colour = if state == DeploymentState::Succeeded {
            "32"
        } else if state.counts_as_failure() {
            "31"
        } else if state.in_progress() {
            "36"
        } else {
            "2"
        };
        output.paint(colour, &format!("{} {}", counts.get(state), state.as_str().replace('_', " ")))
    };
    shown.map(word).collect::<Vec<_>>().join(", ")
}

fn describe(report: &Report, output: &Output) -> String {
    let mut text = format!(
        "\n{} and {}: {}\nlinks: {} issued, {} consumed, {} expired, {} reissued, {} revoked\n\n",
        of(report.simulated_devices as u64, "simulated device"),
        of(report.agent_processes as u64, "agent"),
        states(&report.deployments, output),
        report.links.issued,
        report.links.consumed,
        report.links.expired,
        report.links.reissued,
        report.links.revoked,
    );
    let mut by_rule: BTreeMap<Rule, Vec<_>> = BTreeMap::new();
    for tried in &report.rules {
        by_rule.entry(tried.rule).or_default().push(tried);
    }
    for rule in Rule::ALL {
        text.push_str(&format!("{:<4} {}\n", format!("{rule:?}"), rule.text()));
        for tried in by_rule.get(&rule).into_iter().flatten() {
            let mark = if tried.held { output.paint("32", "✓") } else { output.paint("31;1", "✕") };
            text.push_str(&format!("     {mark} {}: {}\n", tried.tried, tried.outcome));
        }
    }
    for line in &report.astray {
        text.push_str(&format!("{} {line}\n", output.paint("31;1", "✕")));
    }
    for line in &report.next {
        text.push_str(&format!("\nto go on: {line}"));
    }
    let verdict = if report.kept { "every rule held" } else { "a rule was broken" };
    text + &format!("\n{verdict}, in {:.1} s\n", report.seconds)
}
