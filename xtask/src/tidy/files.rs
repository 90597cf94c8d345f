//! What a single file may not be, or hold.

use super::{File, Problem, rust};

/// The most lines that a Rust file may have.
const LINES: usize = 520;

/// Files that may be longer, each with its reason.
const LONG: &[(&str, &str)] = &[];

/// The desktop's shell, and the most lines of Rust that it may have: whatever thinks belongs into the
/// application.
const SHELL: &str = "src-tauri/";
const SHELL_LINES: usize = 1_500;

/// Names that say nothing of what is inside.
const VAGUE: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "shared"];

/// The one module that may hold unsafe code: it maps immutable artifacts.
const UNSAFE: &str = "crates/store/src/blob/map.rs";

/// What nobody lands. Written in two parts, so that this file may stand in the repository.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// Rust files that are too long to be about one thing.
pub(super) fn long(files: &[File]) -> Vec<Problem> {
    over(LONG, files)
}

fn over(excused: &[(&str, &str)], files: &[File]) -> Vec<Problem> {
    let rust = files.iter().filter(|file| file.is_rust());
    rust.filter_map(|file| {
        let lines = file.text.lines().count();
        let excused = excused.iter().any(|(path, _)| *path == file.path);
        match (lines > LINES, excused) {
            (true, false) => Some(Problem::new(&file.path, format!("has {lines} lines; {LINES} are enough"))),
            (false, true) => Some(Problem::new(&file.path, "needs no excuse for its length any more")),
            (true, true) | (false, false) => None,
        }
    })
    .collect()
}

/// A desktop's shell that has come to think for itself.
pub(super) fn thick_shell(files: &[File]) -> Vec<Problem> {
    let rust = files.iter().filter(|file| file.is_rust() && file.path.starts_with(SHELL));
    let lines: usize = rust.map(|file| file.text.lines().count()).sum();
    (lines >= SHELL_LINES)
        .then(|| Problem::new(SHELL, format!("has {lines} lines of Rust; it stays under {SHELL_LINES}")))
        .into_iter()
        .collect()
}

/// Rust files and folders whose name says nothing.
pub(super) fn vaguely_named(files: &[File]) -> Vec<Problem> {
    let vague = files.iter().filter(|file| {
        let words = file.path.strip_suffix(".rs").into_iter().flat_map(|path| path.split('/'));
        words.into_iter().any(|word| VAGUE.contains(&word))
    });
    vague.map(|file| Problem::new(&file.path, "has a name that does not say what it is about")).collect()
}

/// Marks of unfinished work, in any file.
pub(super) fn unfinished(files: &[File]) -> Vec<Problem> {
    lines_with(files.iter(), |line| {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        words.any(|word| UNFINISHED.contains(&word)).then_some("work is not finished here")
    })
}

/// Lints that are allowed, when they should be expected, with a reason.
pub(super) fn allowing_lints(files: &[File]) -> Vec<Problem> {
    lines_of_code(files, |line| {
        let code: String = line.split_whitespace().collect();
        (code.contains("#[allow(") || code.contains("#![allow(")).then_some("expect a lint, with a reason")
    })
}

/// Crates that do not take the lints of the workspace.
pub(super) fn without_lints(files: &[File]) -> Vec<Problem> {
    let crates = files.iter().filter(|file| {
        file.path.ends_with("/Cargo.toml")
            && !file.text.replace([' ', '\r'], "").contains("[lints]\nworkspace=true")
    });
    crates.map(|file| Problem::new(&file.path, "does not take the lints of the workspace")).collect()
}

/// Tests that are skipped.
pub(super) fn ignoring_tests(files: &[File]) -> Vec<Problem> {
    lines_of_code(files, |line| {
        let code: String = line.split_whitespace().collect();
        (code.contains("#[ignore]") || code.contains("#[ignore="))
            .then_some("a test that is skipped proves nothing")
    })
}

/// Unsafe code outside its one module.
pub(super) fn unsafe_code(files: &[File]) -> Vec<Problem> {
    let others: Vec<File> = files.iter().filter(|file| file.path != UNSAFE).cloned().collect();
    lines_of_code(&others, |line| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == "unsafe").then_some("unsafe code has one place, and this is not it")
    })
}

/// What `rule` says of the lines of code in Rust files: comments and texts are blank to it.
fn lines_of_code(files: &[File], rule: impl Fn(&str) -> Option<&'static str>) -> Vec<Problem> {
    let rust = files.iter().filter(|file| file.is_rust());
    let code: Vec<File> =
        rust.map(|file| File { path: file.path.clone(), text: rust::code(&file.text) }).collect();
    lines_with(code.iter(), rule)
}

/// What `rule` says of each line.
fn lines_with<'f>(
    files: impl Iterator<Item = &'f File>,
    rule: impl Fn(&str) -> Option<&'static str>,
) -> Vec<Problem> {
    files
        .flat_map(|file| file.lines().map(move |(number, line)| (file, number, line)))
        .filter_map(|(file, number, line)| Some(Problem::on_line(file, number, rule(line)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> [File; 1] {
        [File { path: path.to_owned(), text: text.to_owned() }]
    }

    #[test]
    fn a_long_file_needs_an_excuse_and_an_excuse_needs_a_long_file() {
        let (long, short) = (file("a.rs", &"x\n".repeat(LINES + 1)), file("a.rs", &"x\n".repeat(LINES)));
        let excuse = [("a.rs", "a table")];
        assert_eq!(over(&[], &long).len(), 1);
        assert_eq!(over(&excuse, &long), []);
        assert_eq!(over(&[], &short), []);
        assert_eq!(over(&excuse, &short).len(), 1);
        assert_eq!(over(&[], &file("a.md", &"x\n".repeat(LINES + 1))), []);
    }

    #[test]
    fn the_shell_stays_thin_over_all_its_files() {
        let lines = |path: &str, count| File { path: path.to_owned(), text: "x\n".repeat(count) };
        let half = SHELL_LINES / 2;
        let (one, rest) = (lines("src-tauri/src/a.rs", half), lines("src-tauri/src/b.rs", half - 1));
        assert_eq!(thick_shell(&[one.clone(), rest, lines("crates/app/src/a.rs", half)]), []);
        assert_eq!(thick_shell(&[one, lines("src-tauri/build.rs", half)]).len(), 1);
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        for path in ["crates/a/src/utils.rs", "crates/a/src/helpers.rs", "crates/a/src/common/x.rs"] {
            assert_eq!(vaguely_named(&file(path, "")).len(), 1, "{path}");
        }
        assert_eq!(vaguely_named(&file("crates/a/src/commonality.rs", "")), []);
    }

    #[test]
    fn unfinished_work_is_refused_in_any_file() {
        for mark in UNFINISHED {
            let problems = unfinished(&file("README.md", &format!("fine\n<!-- {mark}: later -->\n")));
            assert_eq!(
                problems,
                [Problem::on_line(&file("README.md", "")[0], 2, "work is not finished here")]
            );
        }
        assert_eq!(unfinished(&file("a.rs", "let todo_list = mastodon;")), []);
    }

    #[test]
    fn lints_are_expected_and_not_allowed() {
        assert_eq!(allowing_lints(&file("a.rs", "#[allow(dead_code)]\nfn f() {}")).len(), 1);
        assert_eq!(allowing_lints(&file("a.rs", "#![ allow(dead_code)]")).len(), 1);
        assert_eq!(
            allowing_lints(&file("a.rs", "// no #[allow(x)] here\n#[expect(dead_code, reason = \"r\")]")),
            []
        );
    }

    #[test]
    fn a_crate_takes_the_lints_of_the_workspace() {
        assert_eq!(
            without_lints(&file("crates/a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n")),
            []
        );
        assert_eq!(without_lints(&file("crates/a/Cargo.toml", "[package]\n[lints.rust]\n")).len(), 1);
        assert_eq!(without_lints(&file("Cargo.toml", "[workspace]\n")), []);
    }

    #[test]
    fn skipped_tests_are_refused() {
        assert_eq!(ignoring_tests(&file("a.rs", "#[test]\n#[ignore]\nfn f() {}")).len(), 1);
        assert_eq!(ignoring_tests(&file("a.rs", "#[ignore = \"slow\"]")).len(), 1);
        assert_eq!(ignoring_tests(&file("a.rs", "let ignore = \"#[ignore]\";")), []);
    }

    #[test]
    fn unsafe_code_has_one_place() {
        let code = "// unsafe\n#![expect(unsafe_code, reason = \"r\")]\nlet x = unsafe { y };";
        assert_eq!(unsafe_code(&file(UNSAFE, code)), []);
        assert_eq!(unsafe_code(&file("crates/store/src/lib.rs", code)).len(), 1);
    }
}
