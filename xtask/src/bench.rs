//! The measurements behind the goals in the performance tables.

use anyhow::Result;

use crate::{process, workspace::Workspace};

/// What a goal says, and the example that measures it. The example takes `--quick` and prints its
/// figures, each with its ratio to the floor and the goal.
#[derive(Debug)]
struct Measure {
    goals: &'static str,
    what: &'static str,
    package: &'static str,
    example: &'static str,
}

const MEASURES: &[Measure] = &[
    Measure {
        goals: "P12",
        what: "tickets signed, verified and sealed per core",
        package: "fleetseal-envelope",
        example: "bench_tickets",
    },
    Measure {
        goals: "P13",
        what: "sealing an artifact on two cores",
        package: "fleetseal-envelope",
        example: "bench_otap",
    },
    Measure {
        goals: "P6, P8, P9",
        what: "the store: durable redeems, queries at size, sweeping links",
        package: "fleetseal-store",
        example: "bench_store",
    },
];

/// Runs every measurement, one after the other.
///
/// # Errors
/// One of them failed.
pub(crate) fn run(workspace: &Workspace, quick: bool) -> Result<()> {
    for measure in MEASURES {
        println!("\n== {}: {}", measure.goals, measure.what);
        let Measure { package, example, .. } = *measure;
        if !workspace.package(package).is_some_and(|found| found.has_example(example)) {
            println!("not measured: {package} has no example {example}");
            continue;
        }
        let mut command =
            process::cargo(&["run", "--quiet", "--release", "--package", package, "--example", example]);
        if quick {
            command.args(["--", "--quick"]);
        }
        process::run(command)?;
    }
    Ok(())
}
