//! The measurements behind the goals in the performance tables.

use anyhow::Result;

use crate::{process, workspace::Workspace};

/// What a goal speaks of, and the example that measures it and prints the ratios.
#[derive(Debug)]
struct Measure {
    goals: &'static str,
    what: &'static str,
    package: &'static str,
    example: &'static str,
    /// What makes it quick, at the price of noise.
    quick: &'static [&'static str],
}

const MEASURES: &[Measure] = &[
    Measure {
        goals: "P12",
        what: "tickets signed, verified and sealed per core; all those of a rollout",
        package: "fleetseal-envelope",
        example: "bench_ticket",
        quick: &["20000"],
    },
    Measure {
        goals: "P13",
        what: "sealing an artifact on two cores",
        package: "fleetseal-app",
        example: "bench_seal",
        quick: &["128", "5"],
    },
    Measure {
        goals: "P6, P8, P9",
        what: "the store: durable redeems, queries at size, sweeping links",
        package: "fleetseal-store",
        example: "bench_store",
        quick: &["10000"],
    },
    Measure {
        goals: "P1 to P5",
        what: "serving, beside nginx where it is installed",
        package: "fleetseal-backend",
        example: "bench_serve",
        quick: &["1", "50"],
    },
    Measure {
        goals: "P14",
        what: "certificates checked and issued per core, without the store",
        package: "fleetseal-pki",
        example: "bench_issue",
        quick: &["2000"],
    },
];

/// P15 alone: uploads over paced lines, beside mcumgrctl where the judges' tools are installed.
///
/// # Errors
/// It failed.
pub(crate) fn serial(workspace: &Workspace) -> Result<()> {
    let mut command = process::cargo(&["run", "--quiet", "--release", "--package", "fleetseal-bench"]);
    command.args(["--example", "bench_serial", "--"]);
    let other = workspace.target_directory.join("judges-tools/bin/mcumgrctl");
    if other.exists() {
        command.arg(other);
    } else {
        println!("without mcumgrctl: `cargo xtask test` installs it");
    }
    process::run(command)
}

/// Runs every measurement, one after the other.
///
/// # Errors
/// One of them failed.
pub(crate) fn run(quick: bool) -> Result<()> {
    for measure in MEASURES {
        println!("\n== {}: {}", measure.goals, measure.what);
        let Measure { package, example, .. } = *measure;
        let mut command =
            process::cargo(&["run", "--quiet", "--release", "--package", package, "--example", example]);
        if quick {
            command.arg("--").args(measure.quick);
        }
        process::run(command)?;
    }
    Ok(())
}
