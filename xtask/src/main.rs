//! Set-up, tests, tidy and benches of this repository.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks on its terminal")]

mod bench;
mod fuzz;
mod judges;
mod licences;
mod process;
mod screens;
mod setup;
mod suite;
mod tidy;
mod workspace;

use std::{env, process::ExitCode};

use anyhow::{Result, bail};

use crate::{setup::Purpose, workspace::Workspace};

const USAGE: &str = "\
cargo xtask COMMAND

  run [-- ARGS]    build for release and open the desktop on a training fleet; with ARGS, or
                   without a display, run `fleetseal demo ARGS` in the terminal
  ui               build the screens into ui/dist
  shots            take the pictures of all screens, into docs/screens
  package          make the desktop's package for this system
  test [FILTER]    everything that must hold before a change lands; with FILTER,
                   only the tests whose name contains it
  tidy             the rules that no compiler checks: who imports whom, sizes, names, links
  faults [RUNS]    pull cables and cut power on the service bench, by 10000 seeds
  bench [--quick]  measure against the goals
  bench --serial   measure uploads over paced serial lines
  fuzz [TARGET [SECONDS]]
                   feed one target of `fuzz/`, or each, for 20 minutes or so many seconds
  setup            install what building and testing need
  fmt              format all sources
";

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    match (command, rest) {
        ("run", rest) => story(rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest)),
        ("ui", []) => screens::build(&Workspace::load()?),
        ("shots", []) => screens::pictures(&Workspace::load()?),
        ("package", []) => screens::package(&Workspace::load()?),
        ("test", []) => suite::all(&Workspace::load()?),
        ("test", [filter]) => suite::filtered(&Workspace::load()?, filter),
        ("tidy", []) => tidy::run(&Workspace::load()?),
        ("faults", []) => faults("10000"),
        ("faults", [runs]) => faults(runs),
        ("bench", []) => bench::run(false),
        ("bench", [quick]) if quick == "--quick" => bench::run(true),
        ("bench", [serial]) if serial == "--serial" => bench::serial(&Workspace::load()?),
        ("fuzz", []) => fuzz::run(&Workspace::load()?, None, None),
        ("fuzz", [target]) => fuzz::run(&Workspace::load()?, Some(target), None),
        ("fuzz", [target, seconds]) => fuzz::run(&Workspace::load()?, Some(target), Some(seconds)),
        ("setup", []) => setup::ensure(Purpose::Test, &Workspace::load()?),
        ("fmt", []) => process::run(process::cargo(&["fmt", "--all"])),
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            Ok(())
        }
        _ => bail!("cannot do `{}`\n\n{USAGE}", args.join(" ")),
    }
}

/// The faults of the service bench, by so many seeds; `cargo xtask test` tries a few hundred.
fn faults(runs: &str) -> Result<()> {
    let mut command = process::cargo(&["test", "--package", "fleetseal-bench", "--test", "bench", "faults"]);
    command.args(["--", "--nocapture"]).env("FLEETSEAL_FAULT_RUNS", runs);
    process::run(command)
}

/// Opens the desktop where a person can see it; arguments are for the terminal's demo.
fn story(args: &[String]) -> Result<()> {
    if !args.is_empty() {
        return demo(args);
    }
    if screens::display() {
        return screens::open(&Workspace::load()?);
    }
    eprintln!("there is no display for the desktop: this is the demo in the terminal");
    demo(args)
}

/// Builds the programs for release and becomes `fleetseal demo ARGS`. Everything said on the way
/// goes to standard error: standard output is the demo's alone.
fn demo(args: &[String]) -> Result<()> {
    let workspace = Workspace::load()?;
    setup::ensure(Purpose::Run, &workspace)?;
    process::run(process::cargo(&[
        "build",
        "--release",
        "--bins",
        "--package",
        "fleetseal",
        "--package",
        "fleetseal-agent",
    ]))?;
    let program = workspace.target_directory.join("release").join("fleetseal");
    Err(process::become_program(std::process::Command::new(program).arg("demo").args(args)))
}
