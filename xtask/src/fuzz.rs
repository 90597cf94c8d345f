//! `cargo xtask fuzz`: feeds what anybody may send to what reads it, for as long as asked.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{process, workspace::Workspace};

/// What one target gets when nothing is said: the 20 minutes that a release asks of each.
const SECONDS: u32 = 20 * 60;

/// Runs one target, or all of them one after the other, each for so many seconds. What the fuzzer learns
/// stays in `target/fuzz`; a finding belongs into `fuzz/corpus` once it is mended.
///
/// # Errors
/// There is no such target, something is missing, or an input breaks a promise.
pub(crate) fn run(workspace: &Workspace, target: Option<&str>, seconds: Option<&str>) -> Result<()> {
    let seconds: u32 = seconds.map_or(Ok(SECONDS), str::parse).context("how long is a number of seconds")?;
    let folder = workspace.root.join("fuzz");
    let all = targets(&folder)?;
    let chosen: Vec<&String> = match target {
        None => all.iter().collect(),
        Some(name) => all.iter().filter(|target| *target == name).collect(),
    };
    if chosen.is_empty() {
        bail!("no such target; there are: {}", all.join(", "));
    }
    ensure()?;
    for target in chosen {
        println!("\n== {target}: {seconds} s");
        let learned = workspace.target_directory.join("fuzz").join(target);
        fs::create_dir_all(&learned)?;
        let mut command = std::process::Command::new("cargo");
        command.current_dir(&folder).args(["+nightly", "fuzz", "run", "--fuzz-dir", ".", target]);
        // What is fed has no unsafe code: a sanitizer would find nothing, and takes an hour to build.
        command.args(["--sanitizer", "none"]);
        // New inputs go to the first folder; the corpus is only read.
        command.arg(&learned).arg(folder.join("corpus").join(target)).arg("--");
        command.args([&format!("-max_total_time={seconds}"), "-timeout=10", "-rss_limit_mb=2048"]);
        // cargo would hand on the toolchain of this program.
        command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        process::run(command)?;
    }
    Ok(())
}

/// The names of the targets.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let listed = fs::read_dir(folder.join("fuzz_targets"))?;
    let mut names = Vec::new();
    for entry in listed {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// A nightly compiler is asked for, since only rustup brings one; cargo-fuzz is installed.
fn ensure() -> Result<()> {
    if !process::succeeds("cargo", &["+nightly", "--version"]) {
        bail!("fuzzing takes a nightly compiler: install it with `rustup toolchain install nightly`");
    }
    if process::succeeds("cargo", &["fuzz", "--version"]) {
        return Ok(());
    }
    println!("installing cargo-fuzz");
    process::run(process::cargo(&["install", "--locked", "cargo-fuzz@0.13.2"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_seeds_and_every_corpus_a_target() {
        let folder = Workspace::load().unwrap().root.join("fuzz");
        let mut corpora: Vec<String> = fs::read_dir(folder.join("corpus"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        corpora.sort();
        assert_eq!(corpora, targets(&folder).unwrap());
    }
}
