//! The agent goes onto small devices: what it is made of stays little enough to be looked through.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Problem;
use crate::process;

/// The crate whose tree is counted.
const AGENT: &str = "fleetseal-agent";
/// How many crates it may be made of, its own and those that it is only built with among them.
const MOST: usize = 115;

/// The agent's tree, if it has grown too large.
///
/// # Errors
/// Cargo cannot resolve it.
pub(super) fn grown() -> Result<Option<Problem>> {
    let tree = ["tree", "--locked", "--package", AGENT, "--edges", "normal", "--prefix", "none"];
    Ok(judged(&process::output(process::cargo(&tree))?))
}

fn judged(tree: &str) -> Option<Problem> {
    // `name v1.2.3 (what kind, or seen before)`
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let crates: BTreeSet<String> = tree.lines().map(name).filter(|name| !name.is_empty()).collect();
    let grown = crates.len() > MOST;
    grown.then(|| Problem::new(AGENT, format!("is made of {} crates; {MOST} are enough", crates.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_counts_once() {
        let line = |n: usize| format!("crate-{n} v1.0.0\ncrate-{n} v1.0.0 (*)\n");
        let tree = |crates: usize| (0..crates).map(line).collect::<String>();
        assert_eq!(judged(&tree(MOST)), None);
        assert!(judged(&tree(MOST + 1)).is_some());
    }
}
