//! The whole story on one machine: a fleet is founded, devices enrol, a release is signed and rolled
//! out, some devices misbehave, and in the end the backend falls into an attacker's hands.
//!
//! Everything is real: vaults, certificates, TLS on loopback, the agent's own program. Only most of
//! the devices are simulated.

mod artifact;
mod field;
mod lies;
mod links;
mod rules;
mod stage;
mod tampered;
mod watch;

use std::{path::PathBuf, time::Instant};

use model::planner::Counts;
use protocol::operator::LinkCounts;
use serde::Serialize;

pub use rules::{Rule, RuleReport};

use crate::{Error, descriptors, simulation::CONNECTIONS};
use artifact::Artifact;
use field::Field;
pub(crate) use rules::Rules;
pub(crate) use stage::{MODEL, Stage, member};

/// What every vault of a demo opens with. Training only, so it is no secret.
pub const PASSPHRASE: &str = "fjord lantern cobalt thimble";

/// Fewer devices than have a part to play are too few.
pub const LEAST_DEVICES: usize = field::PARTS;

/// How a demo is played.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many simulated devices there are, at least twelve: some have a part to play.
    pub devices: usize,
    /// What is rolled out; the agent's own program if left out.
    pub artifact: Option<PathBuf>,
    /// Where everything is kept; a folder that goes with the demo if left out.
    pub data: Option<PathBuf>,
    /// The agent's program.
    pub agent: PathBuf,
}

/// What happens in a demo, for whoever watches.
#[derive(Clone, Debug)]
pub enum Scene {
    /// An act begins.
    Act {
        /// Its title.
        title: &'static str,
    },
    /// Something happened.
    Line {
        /// What, as a sentence.
        text: String,
    },
    /// Work goes on.
    Progress {
        /// What.
        what: &'static str,
        /// So many ...
        done: u64,
        /// ... of so many.
        total: u64,
    },
    /// The rollout goes on.
    Rollout {
        /// Where its deployments stand.
        counts: Counts,
        /// What became of links.
        links: LinkCounts,
    },
    /// A rule was tried.
    Tried(RuleReport),
}

/// What a demo came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Simulated devices.
    pub simulated_devices: usize,
    /// Devices that were processes of their own.
    pub agent_processes: usize,
    /// The main rollout's deployments by state.
    pub deployments: Counts,
    /// Links by what became of them.
    pub links: LinkCounts,
    /// Every trial of a rule, in the order of the rules.
    pub rules: Vec<RuleReport>,
    /// Whether every rule that was tried held, and every device is where it should be.
    pub kept: bool,
    /// What is not where it should be, if anything.
    pub astray: Vec<String>,
    /// How long it took.
    pub seconds: f64,
    /// Where everything is kept, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// How to go on with what is kept.
    pub next: Vec<String>,
}

/// Plays the story and tells `watch` of every scene.
///
/// # Errors
/// The stage could not be set; a broken rule is no error but stands in the report.
pub async fn run(options: &Options, watch: &(dyn Fn(Scene) + Send + Sync)) -> Result<Report, Error> {
    let began = Instant::now();
    let rules = Rules::new(watch);
    let line = |text: String| watch(Scene::Line { text });
    let artifact = Artifact::of(options)?;
    descriptors::make_room(options.devices.saturating_mul(CONNECTIONS))?;

    watch(Scene::Act { title: "A fleet is founded" });
    let mut stage = Stage::found(options, &rules, &line).await?;

    watch(Scene::Act { title: "Devices enrol" });
    let field = Field::enrol(options, &stage, &artifact, &rules, watch).await?;

    watch(Scene::Act { title: "A release is proposed, reviewed, signed, sealed and published" });
    let release = stage.release(&artifact.file, "1.1.0", &rules, &line).await?;

    watch(Scene::Act { title: "The rollout" });
    let mut field = field.start(&stage)?;
    let outcome = watch::rollout(&stage, &mut field, release, &artifact, &rules, watch).await?;

    watch(Scene::Act { title: "The backend falls into an attacker's hands" });
    lies::play(&mut stage, field, release, &rules, &line).await?;

    let rules = rules.finish();
    let mut astray = outcome.astray;
    let broken = rules.iter().filter(|rule| !rule.held);
    astray.extend(broken.map(|rule| format!("{:?} did not hold: {}", rule.rule, rule.outcome)));
    Ok(Report {
        simulated_devices: options.devices,
        agent_processes: field::AGENTS,
        deployments: outcome.counts,
        links: outcome.links,
        kept: astray.is_empty(),
        astray,
        rules,
        seconds: began.elapsed().as_secs_f64(),
        data: options.data.clone(),
        next: if options.data.is_some() { stage.next() } else { Vec::new() },
    })
}
