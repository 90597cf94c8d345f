//! Licences, bans and sources of everything that we depend on, by the rules in `deny.toml`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{process, workspace::Workspace};

/// The part of `deny.toml` that is checked here.
#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
}

/// A crate that is built, for whichever platform.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Crate {
    /// Its name.
    name: String,
    /// Whether it comes from the registry or from this repository, and from nowhere else.
    at_home: bool,
    /// Its licence, as an SPDX expression; nothing if it names none.
    licence: String,
}

/// Holds every dependency, with all features and on any platform, against `deny.toml`.
///
/// # Errors
/// One of them has a licence that is not allowed, is banned, or does not come from the registry.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let text =
        std::fs::read_to_string(workspace.root.join("deny.toml")).context("failed to read deny.toml")?;
    let rules: Rules = toml::from_str(&text).context("failed to read deny.toml")?;
    // Unlike `cargo metadata`, this leaves out what stands in the lock file but is never built.
    let mut tree = process::cargo(&["tree", "--workspace", "--all-features", "--target", "all"]);
    tree.args(["--prefix", "none", "--format", "{p}|{l}"]);
    let crates = crates(&process::output(tree)?, &workspace.root.to_string_lossy());
    let problems: Vec<String> = crates.iter().filter_map(|found| problem(found, &rules)).collect();
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} of {} crates may not be used", problems.len(), crates.len());
    }
    println!("{} crates: licences, bans and sources are in order", crates.len());
    Ok(())
}

/// The crates in what `cargo tree` says: `name version (source) (proc-macro)|licence (*)` per line.
fn crates(tree: &str, root: &str) -> BTreeSet<Crate> {
    tree.lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(package, licence)| {
            let (name, rest) = package.split_once(' ').unwrap_or((package, ""));
            let mut sources = rest.split('(').skip(1).map(|source| source.trim_end().trim_end_matches(')'));
            Crate {
                name: name.to_owned(),
                at_home: sources.all(|source| source == "proc-macro" || source.starts_with(root)),
                licence: licence.trim_end_matches("(*)").trim().to_owned(),
            }
        })
        .collect()
}

/// What is wrong with a crate, if anything is.
fn problem(found: &Crate, rules: &Rules) -> Option<String> {
    let Crate { name, at_home, licence } = found;
    if rules.bans.deny.iter().any(|ban| ban.name == *name) {
        return Some(format!("{name} is banned"));
    }
    if !at_home {
        return Some(format!("{name} does not come from the registry"));
    }
    (!allowed(licence, &rules.licenses.allow)).then(|| format!("{name} is under `{licence}`"))
}

/// Whether an SPDX expression can be met with the allowed licences alone.
fn allowed(expression: &str, allow: &[String]) -> bool {
    // Old crates write "MIT/Apache-2.0" for a choice.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest, allow) == Some(true) && rest.is_empty()
}

/// `all { OR all }`; `None` if it is no expression.
fn any(rest: &mut &[&str], allow: &[String]) -> Option<bool> {
    let mut met = all(rest, allow)?;
    while let ["OR", tail @ ..] = *rest {
        *rest = tail;
        met |= all(rest, allow)?;
    }
    Some(met)
}

/// `one { AND one }`; it binds closer than OR.
fn all(rest: &mut &[&str], allow: &[String]) -> Option<bool> {
    let mut met = one(rest, allow)?;
    while let ["AND", tail @ ..] = *rest {
        *rest = tail;
        met &= one(rest, allow)?;
    }
    Some(met)
}

/// `( any )`, or a licence, perhaps WITH an exception.
fn one(rest: &mut &[&str], allow: &[String]) -> Option<bool> {
    match *rest {
        ["(", tail @ ..] => {
            *rest = tail;
            let met = any(rest, allow)?;
            let [")", tail @ ..] = *rest else { return None };
            *rest = tail;
            Some(met)
        }
        [licence, "WITH", exception, tail @ ..] => {
            *rest = tail;
            let whole = format!("{licence} WITH {exception}");
            Some(allow.contains(&whole))
        }
        [licence, tail @ ..] => {
            *rest = tail;
            Some(allow.iter().any(|allowed| allowed == licence))
        }
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(expression: &str) -> bool {
        allowed(expression, &["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned))
    }

    #[test]
    fn a_choice_needs_one_allowed_licence_and_a_union_needs_all() {
        assert!(permits("MIT"));
        assert!(permits("GPL-3.0 OR MIT"));
        assert!(permits("GPL-3.0/MIT"));
        assert!(permits("ISC AND (GPL-3.0 OR MIT)"));
        assert!(permits("GPL-3.0 AND ISC OR MIT"));
        assert!(!permits("GPL-3.0"));
        assert!(!permits("ISC AND GPL-3.0"));
        assert!(!permits("MIT AND (GPL-3.0 OR LGPL-3.0)"));
    }

    #[test]
    fn an_exception_is_part_of_the_licence() {
        assert!(permits("Apache-2.0 WITH LLVM-exception OR GPL-3.0"));
        assert!(!permits("Apache-2.0"));
        assert!(!permits("MIT WITH Something"));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for broken in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND"] {
            assert!(!permits(broken), "{broken:?}");
        }
    }

    #[test]
    fn a_banned_crate_one_from_git_and_one_without_a_licence_are_refused() {
        let rules: Rules =
            toml::from_str("licenses = { allow = [\"MIT\"] }\nbans = { deny = [{ crate = \"ring\" }] }")
                .unwrap();
        let tree = "\
            model v0.1.0 (/work/crates/model)|MIT\n\
            good v1.0.0|MIT\n\
            good v1.0.0|MIT (*)\n\
            derive v1.0.0 (proc-macro)|MIT\n\
            ring v0.17.0|MIT\n\
            forked v1.0.0 (https://example.com/forked#1234)|MIT\n\
            bare v1.0.0|\n\
            foreign v1.0.0|GPL-3.0\n";
        let crates = crates(tree, "/work");
        assert_eq!(crates.len(), 7);
        let problems: Vec<String> = crates.iter().filter_map(|found| problem(found, &rules)).collect();
        assert_eq!(
            problems,
            [
                "bare is under ``",
                "foreign is under `GPL-3.0`",
                "forked does not come from the registry",
                "ring is banned"
            ]
        );
    }
}
