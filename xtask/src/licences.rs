//! Licences, bans and sources of everything that we depend on, by the rules in `deny.toml`.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::{Package, Workspace};

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

/// Holds every dependency, on any platform, against `deny.toml`.
///
/// # Errors
/// One of them has a licence that is not allowed, is banned, or does not come from the registry.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let text =
        std::fs::read_to_string(workspace.root.join("deny.toml")).context("failed to read deny.toml")?;
    let rules: Rules = toml::from_str(&text).context("failed to read deny.toml")?;
    let packages = Workspace::with_dependencies()?.packages;
    let problems: Vec<String> = packages.iter().filter_map(|package| problem(package, &rules)).collect();
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} of {} crates may not be used", problems.len(), packages.len());
    }
    println!("{} crates: licences, bans and sources are in order", packages.len());
    Ok(())
}

/// What is wrong with a crate, if anything is.
fn problem(package: &Package, rules: &Rules) -> Option<String> {
    let Package { name, version, .. } = package;
    if rules.bans.deny.iter().any(|ban| ban.name == *name) {
        return Some(format!("{name} {version} is banned"));
    }
    if package.source.as_ref().is_some_and(|source| !source.starts_with("registry+")) {
        return Some(format!("{name} {version} does not come from the registry"));
    }
    let Some(license) = &package.license else {
        return Some(format!("{name} {version} names no licence"));
    };
    (!allowed(license, &rules.licenses.allow)).then(|| format!("{name} {version} is under {license}"))
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
    fn a_banned_crate_and_a_crate_from_git_are_refused() {
        let rules: Rules =
            toml::from_str("licenses = { allow = [\"MIT\"] }\nbans = { deny = [{ crate = \"ring\" }] }")
                .unwrap();
        let package = |name: &str, source: &str| -> Package {
            serde_json::from_value(serde_json::json!({
                "name": name, "version": "1.0.0", "source": source, "license": "MIT", "rust_version": null,
                "dependencies": [], "targets": [], "manifest_path": "/x/Cargo.toml",
            }))
            .unwrap()
        };
        assert_eq!(problem(&package("good", "registry+x"), &rules), None);
        assert!(problem(&package("ring", "registry+x"), &rules).unwrap().contains("banned"));
        assert!(problem(&package("good", "git+x"), &rules).unwrap().contains("registry"));
    }
}
