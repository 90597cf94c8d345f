//! `cargo xtask test`: everything that must hold before a change lands.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    judges, licences, process, screens,
    setup::{self, Purpose},
    tidy,
    workspace::Workspace,
};

/// One thing that must hold.
struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<()>,
}

/// In an order that tells soonest. All steps build in the one target folder with the one profile.
const STEPS: &[Step] = &[
    Step { name: "format", run: |_| process::run(process::cargo(&["fmt", "--all", "--check"])) },
    Step { name: "tidy", run: tidy::run },
    Step { name: "licences", run: licences::check },
    Step { name: "clippy", run: |_| clippy() },
    Step { name: "screens", run: screens::check },
    Step { name: "tests", run: |_| tests(None) },
    Step { name: "doc tests", run: |_| process::run(process::cargo(&["test", "--workspace", "--doc"])) },
    Step { name: "rustdoc", run: |_| rustdoc() },
    Step { name: "judges", run: judges::run },
];

/// What became of a step.
#[derive(Debug)]
struct Outcome {
    name: &'static str,
    took: Duration,
    error: Option<String>,
}

/// Runs every step, also after one has failed, and says at the end what became of each.
///
/// # Errors
/// The machine could not be set up, or a step failed.
pub(crate) fn all(workspace: &Workspace) -> Result<()> {
    setup::ensure(Purpose::Test, workspace)?;
    let outcomes: Vec<Outcome> = STEPS
        .iter()
        .map(|step| {
            println!("\n== {}", step.name);
            let start = Instant::now();
            let error = (step.run)(workspace).err().map(|error| format!("{error:#}"));
            if let Some(error) = &error {
                println!("failed: {error}");
            }
            Outcome { name: step.name, took: start.elapsed(), error }
        })
        .collect();
    println!("\n{}", summary(&outcomes));
    let failed: Vec<&str> =
        outcomes.iter().filter(|outcome| outcome.error.is_some()).map(|outcome| outcome.name).collect();
    if !failed.is_empty() {
        bail!("{} failed", failed.join(", "));
    }
    Ok(())
}

/// Runs only the tests whose name contains `filter`.
///
/// # Errors
/// The machine could not be set up, or a test failed.
pub(crate) fn filtered(workspace: &Workspace, filter: &str) -> Result<()> {
    setup::ensure(Purpose::Test, workspace)?;
    tests(Some(filter))
}

fn clippy() -> Result<()> {
    process::run(process::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn tests(filter: Option<&str>) -> Result<()> {
    programs()?;
    let mut command = if process::succeeds("cargo", &["nextest", "--version"]) {
        process::cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        // Examples too, for the judges; doc tests have a step of their own.
        process::cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--examples", "--no-fail-fast"])
    };
    command.args(filter);
    process::run(command)
}

/// Builds the programs, which the boundary tests start themselves. Naming the examples, too, makes cargo
/// build them with the features that the tests are built with, so that nothing is built twice.
///
/// # Errors
/// Something does not build.
pub(crate) fn programs() -> Result<()> {
    process::run(process::cargo(&["build", "--workspace", "--bins", "--examples"]))
}

fn rustdoc() -> Result<()> {
    let mut command: Command = process::cargo(&["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    process::run(command)
}

/// One line per step, and the verdict.
fn summary(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for Outcome { name, took, error } in outcomes {
        let verdict = if error.is_some() { "FAILED" } else { "ok" };
        text += &format!("{name:<12}{verdict:<8}{:>7.1} s\n", took.as_secs_f64());
    }
    let total: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
    let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
    let passed = outcomes.len() - failed;
    text + &format!("{:<20}{:>7.1} s\nsteps: {passed} passed, {failed} failed", "in all", total.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_failed_and_how_long_it_took() {
        let outcome = |name, error: Option<&str>| Outcome {
            name,
            took: Duration::from_millis(1_500),
            error: error.map(str::to_owned),
        };
        assert_eq!(
            summary(&[outcome("format", None), outcome("tidy", Some("2 problems"))]),
            "format      ok          1.5 s\n\
             tidy        FAILED      1.5 s\n\
             in all                  3.0 s\n\
             steps: 1 passed, 1 failed"
        );
    }
}
