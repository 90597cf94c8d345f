//! Who may import whom.

use super::Problem;
use crate::workspace::{Dependency, Package};

/// Each crate, by its folder, and whom it may import. Crates of one layer never import one another,
/// but where it says so here.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("pki", &["model"]),
    ("envelope", &["model"]),
    ("protocol", &["model"]),
    ("vault", &["model", "pki", "envelope", "protocol"]),
    ("store", &["model", "pki", "envelope", "protocol"]),
    ("tls", &["model", "pki", "envelope", "protocol"]),
    // None of these three ever holds a person's key: no vault.
    ("backend", &["model", "pki", "envelope", "protocol", "store", "tls"]),
    ("gateway", &["model", "pki", "envelope", "protocol", "store", "tls"]),
    // A small tree: no store.
    ("agent", &["model", "pki", "envelope", "protocol", "tls"]),
    ("sim", &["model", "pki", "envelope", "protocol", "vault", "store", "tls", "agent"]),
    ("bench", &["model", "pki", "envelope", "protocol", "vault", "store", "tls"]),
    ("station", &["model", "pki", "envelope", "protocol", "vault", "store", "tls", "bench"]),
    (
        "app",
        &[
            "model", "pki", "envelope", "protocol", "vault", "store", "tls", "backend", "gateway", "agent",
            "sim", "bench", "station",
        ],
    ),
    ("cli", &["model", "protocol", "app"]),
    ("src-tauri", &["model", "protocol", "app"]),
    ("xtask", &[]),
];

/// Crates that exist for tests: they import anything, and no program imports them.
const FOR_TESTS: &[&str] = &["testkit", "tests"];

/// Every import between our crates that the layers do not allow, and `tauri` outside its shell.
/// What only the tests of a crate need is free.
pub(super) fn forbidden(packages: &[Package]) -> Vec<Problem> {
    packages
        .iter()
        .filter(|package| !FOR_TESTS.contains(&package.folder()))
        .flat_map(|package| match MAY_IMPORT.iter().find(|(name, _)| *name == package.folder()) {
            Some((name, allowed)) => package
                .dependencies
                .iter()
                .filter(|dependency| !dependency.for_tests())
                .filter_map(|dependency| problem(name, allowed, dependency))
                .collect(),
            None => {
                vec![Problem::new(package.folder(), "stands in no layer: add it to xtask/src/tidy/edges.rs")]
            }
        })
        .collect()
}

fn problem(name: &str, allowed: &[&str], dependency: &Dependency) -> Option<Problem> {
    match dependency.folder() {
        Some(import) if FOR_TESTS.contains(&import) => {
            Some(Problem::new(name, format!("may import {import} for its tests only")))
        }
        Some(import) if !allowed.contains(&import) => {
            Some(Problem::new(name, format!("may not import {import}")))
        }
        Some(_) => None,
        None => (dependency.name.starts_with("tauri") && name != "src-tauri")
            .then(|| Problem::new(name, format!("may not name {}: only src-tauri may", dependency.name))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A crate in `folder` that imports one of our crates.
    fn importing(folder: &str, import: &str, kind: Option<&str>) -> Vec<Problem> {
        problems(folder, &json!({ "name": import, "kind": kind, "path": format!("/r/crates/{import}") }))
    }

    fn problems(folder: &str, dependency: &serde_json::Value) -> Vec<Problem> {
        let package = serde_json::from_value(json!({
            "name": folder, "rust_version": null,
            "dependencies": [dependency], "manifest_path": format!("/r/crates/{folder}/Cargo.toml"),
        }));
        forbidden(&[package.unwrap()])
    }

    #[test]
    fn a_layer_imports_what_is_below_it_and_nothing_else() {
        assert_eq!(importing("envelope", "model", None), []);
        assert_eq!(importing("app", "vault", None), []);
        for (from, to) in [
            ("model", "envelope"),
            ("envelope", "pki"),
            ("vault", "store"),
            ("sim", "backend"),
            ("cli", "vault"),
            ("store", "app"),
        ] {
            assert_eq!(importing(from, to, None), [Problem::new(from, format!("may not import {to}"))]);
            assert_eq!(importing(from, to, Some("build")).len(), 1);
        }
    }

    #[test]
    fn backend_gateway_and_agent_cannot_import_the_vault() {
        for name in ["backend", "gateway", "agent"] {
            assert_eq!(importing(name, "vault", None), [Problem::new(name, "may not import vault")]);
        }
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        assert_eq!(importing("backend", "testkit", Some("dev")), []);
        assert_eq!(importing("tests", "testkit", None), []);
        assert_eq!(
            importing("app", "testkit", None),
            [Problem::new("app", "may import testkit for its tests only")]
        );
    }

    #[test]
    fn tauri_is_named_in_its_shell_alone() {
        let tauri = json!({ "name": "tauri", "kind": null });
        assert_eq!(problems("app", &tauri).len(), 1);
        assert_eq!(problems("src-tauri", &tauri), []);
    }

    #[test]
    fn a_crate_without_a_layer_is_refused() {
        assert!(importing("helpers", "model", None)[0].what.contains("no layer"));
    }
}
