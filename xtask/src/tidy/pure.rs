//! Pure crates know no runtime, file, socket, clock, thread or environment.

use super::{File, Problem, rust};
use crate::workspace::Package;

/// The pure crates, by their folders.
const PURE: &[&str] = &["model", "pki", "envelope", "protocol"];

/// What a pure crate never depends on.
const IMPURE: &[&str] =
    &["tokio", "hyper", "axum", "reqwest", "rusqlite", "rustix", "getrandom", "mio", "libc", "tempfile"];

/// The parts of `std` that a pure crate never names.
const WORLD: &[&str] =
    &["fs", "net", "env", "thread", "process", "os", "time::SystemTime", "time::Instant", "time::UNIX_EPOCH"];

/// Parts of those that are mere values.
const VALUES: &[&str] = &["net::IpAddr", "net::Ipv4Addr", "net::Ipv6Addr", "net::SocketAddr"];

/// Every dependency of a pure crate on the world, its tests apart.
pub(super) fn dependencies(packages: &[Package]) -> Vec<Problem> {
    let pure = packages.iter().filter(|package| PURE.contains(&package.folder()));
    pure.flat_map(|package| {
        let impure = package
            .dependencies
            .iter()
            .filter(|dependency| !dependency.for_tests() && IMPURE.contains(&dependency.name.as_str()));
        impure.map(|dependency| {
            Problem::new(package.folder(), format!("is pure and may not depend on {}", dependency.name))
        })
    })
    .collect()
}

/// Every mention of the world in the sources of a pure crate, its tests and examples apart.
pub(super) fn sources(files: &[File]) -> Vec<Problem> {
    let pure = files.iter().filter(|file| {
        PURE.iter().any(|name| file.path.starts_with(&format!("crates/{name}/src/")))
            && file.is_rust()
            && !file.path.ends_with("/tests.rs")
            && !file.path.contains("/tests/")
    });
    pure.flat_map(|file| {
        let code = rust::without_tests(&rust::code(&file.text));
        let paths = rust::std_paths(&code).into_iter().filter(|(_, path)| of_the_world(path));
        paths
            .map(|(line, path)| Problem::on_line(file, line, format!("pure code may not use std::{path}")))
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Whether a path below `std` leads into the world, or hides whether it does.
fn of_the_world(path: &str) -> bool {
    let under =
        |part: &&str| path.strip_prefix(*part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let hidden = matches!(path, "*" | "time" | "time::self" | "time::*");
    hidden || (WORLD.iter().any(under) && !VALUES.iter().any(under))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        sources(&[file]).into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn pure_code_cannot_reach_the_world() {
        for (code, what) in [
            ("use std::fs;", "fs"),
            ("use std::fs::File;", "fs::File"),
            ("use std::{fmt, net::{IpAddr, TcpStream}};", "net::TcpStream"),
            ("use std::time::{Duration, Instant};", "time::Instant"),
            ("use std::time;", "time"),
            ("use std::time::*;", "time::*"),
            ("fn f() { let x = std::env::var(\"A\"); }", "env::var"),
            ("fn f() { ::std::thread::sleep(d) }", "thread::sleep"),
        ] {
            let found = found("crates/envelope/src/x.rs", code);
            assert!(found.contains(&format!("pure code may not use std::{what}")), "{code}: {found:?}");
        }
    }

    #[test]
    fn pure_code_may_use_the_rest_of_std_and_speak_of_the_world() {
        let fine = "//! Like std::fs::read.\nuse std::{fmt, net::IpAddr, time::Duration};\n\
                    const S: &str = \"std::net\";\nuse std::fslike;";
        assert_eq!(found("crates/pki/src/x.rs", fine), [""; 0]);
    }

    #[test]
    fn tests_examples_and_other_crates_may_reach_the_world() {
        let code = "use std::fs;";
        for path in [
            "crates/envelope/src/tuf/tests.rs",
            "crates/model/src/planner/tests/world.rs",
            "crates/envelope/examples/emit.rs",
            "crates/store/src/lib.rs",
        ] {
            assert_eq!(found(path, code), [""; 0], "{path}");
        }
        let module = "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert_eq!(found("crates/pki/src/x.rs", module), [""; 0]);
        assert_eq!(found("crates/pki/src/x.rs", &format!("{module}use std::net;\n")).len(), 1);
    }

    #[test]
    fn a_pure_crate_depends_on_no_runtime_but_for_its_tests() {
        let package = |name: &str, kind: Option<&str>| -> Package {
            serde_json::from_value(json!({
                "name": name, "rust_version": null,
                "dependencies": [{ "name": "tokio", "kind": kind }, { "name": "serde", "kind": null }],
                "targets": [], "manifest_path": format!("/r/crates/{name}/Cargo.toml"),
            }))
            .unwrap()
        };
        assert_eq!(dependencies(&[package("backend", None), package("pki", Some("dev"))]), []);
        assert_eq!(
            dependencies(&[package("pki", None)]),
            [Problem::new("pki", "is pure and may not depend on tokio")]
        );
    }
}
