//! Every invariant in `ARCHITECTURE.md` and every attack in `docs/attacks.md` names a test, and that test
//! exists.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, Problem, rust};

/// The document that lists the invariants.
const DOCUMENT: &str = "ARCHITECTURE.md";
/// The most lines that it may have.
const LINES: usize = 400;
/// Each document with a list that names tests, and what the names in it begin with.
const LISTS: &[(&str, &str)] = &[(DOCUMENT, "INV-"), ("docs/attacks.md", "BAD-")];

/// An invariant is a paragraph, list item or table row that begins with `INV-n`, an attack one that
/// begins with `BAD-n`; each name of a test in it stands in backticks, with its path or without.
pub(super) fn guarded(files: &[File]) -> Vec<Problem> {
    let tests: BTreeSet<String> = files.iter().filter(|file| file.is_rust()).flat_map(tests_in).collect();
    let listed = LISTS.iter().filter_map(|(path, prefix)| {
        let document = files.iter().find(|file| file.path == *path)?;
        Some(problems_in(document, prefix, &tests))
    });
    let mut problems: Vec<Problem> = listed.flatten().collect();
    let lines = files.iter().find(|file| file.path == DOCUMENT).map_or(0, |file| file.text.lines().count());
    if lines > LINES {
        problems.push(Problem::new(DOCUMENT, format!("has {lines} lines; {LINES} are enough")));
    }
    problems
}

fn problems_in(document: &File, prefix: &str, tests: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut first_lines = BTreeMap::new();
    for (line, name, text) in invariants(document, prefix) {
        let named = named_tests(&text);
        if named.is_empty() {
            problems.push(Problem::on_line(document, line, format!("{name} names no test")));
        }
        for test in named.difference(tests) {
            problems.push(Problem::on_line(
                document,
                line,
                format!("{name} names `{test}`, which is no test"),
            ));
        }
        if let Some(first) = first_lines.insert(name.clone(), line) {
            problems.push(Problem::on_line(document, line, format!("{name} already stands on line {first}")));
        }
    }
    problems
}

/// Each invariant: its first line, its name and its text.
fn invariants(document: &File, prefix: &str) -> Vec<(usize, String, String)> {
    let mut found: Vec<(usize, String, String)> = Vec::new();
    let mut within = false;
    for (number, line) in document.lines() {
        let start = line.trim_start_matches(|c: char| c.is_whitespace() || "-*|#>`".contains(c));
        let digits: Option<String> =
            start.strip_prefix(prefix).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect());
        match digits {
            Some(digits) if !digits.is_empty() => {
                found.push((number, format!("{prefix}{digits}"), line.to_owned()));
                within = true;
            }
            Some(_) | None if line.trim().is_empty() => within = false,
            Some(_) | None => {
                if let (true, Some((_, _, text))) = (within, found.last_mut()) {
                    *text += "\n";
                    *text += line;
                }
            }
        }
    }
    found
}

/// What stands in backticks and has a test's name: a sentence of at least three words.
fn named_tests(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let last = quoted.map(|quoted| quoted.rsplit("::").next().unwrap_or(quoted));
    last.filter(|name| {
        name.matches('_').count() >= 2
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
    .map(str::to_owned)
    .collect()
}

/// The names of all functions under a `#[test]`, of whichever kind, and of those in a conformance suite,
/// which a macro makes tests of.
fn tests_in(file: &File) -> Vec<String> {
    let code = rust::code(&file.text);
    let suite = file.path.contains("/conformance/");
    let mut names = Vec::new();
    let mut marked = false;
    for line in code.lines().map(str::trim) {
        if line.starts_with("#[") && line.contains("test") && !line.contains("cfg(") {
            marked = true;
        }
        marked |= suite && line.starts_with("pub async fn ");
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let name = words.iter().position(|word| *word == "fn").and_then(|at| words.get(at + 1));
        if let (true, Some(name)) = (marked, name) {
            names.push((*name).to_owned());
            marked = false;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const TESTS: &str = "#[test]\nfn a_link_is_used_once() {}\n\n#[tokio::test(flavor = \"x\")]\nasync fn \
                         no_key_leaves_the_vault() {}\n\nfn not_a_test_at_all() {}\n";

    fn problems(document: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let files = [file(DOCUMENT, document), file("crates/a/src/lib.rs", TESTS)];
        guarded(&files).into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn an_attack_names_its_test_too() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let table =
            "| BAD-1 | twice | `a_link_is_used_once` |\n| BAD-2 | never | `nobody_plays_this_one` |\n";
        let suite = "pub async fn nobody_plays_this_one(subject: Subject) {}";
        let attacks = file("docs/attacks.md", table);
        let tests = file("crates/a/src/lib.rs", TESTS);
        let problems = guarded(&[attacks.clone(), tests.clone()]);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].what, "BAD-2 names `nobody_plays_this_one`, which is no test");
        let suite = file("crates/store/src/conformance/links.rs", suite);
        assert_eq!(guarded(&[attacks, tests, suite]), []);
    }

    #[test]
    fn an_invariant_with_its_test_is_in_order() {
        let document = "- **INV-1** Links end (`a::tests::a_link_is_used_once`).\n- INV-2: keys stay,\n  see \
                        `no_key_leaves_the_vault`.\n\n| INV-3 | both | `a_link_is_used_once` |\n\nSee INV-9.\n";
        assert_eq!(problems(document), [""; 0]);
    }

    #[test]
    fn an_invariant_without_a_test_or_with_one_that_is_gone_is_refused() {
        assert_eq!(problems("INV-1 holds, in `plan`.\n\n`a_link_is_used_once`\n"), ["INV-1 names no test"]);
        assert_eq!(
            problems("INV-1 `not_a_test_at_all`\nINV-2 `a_link_is_used_once` and `it_was_renamed_since`\n"),
            [
                "INV-1 names `not_a_test_at_all`, which is no test",
                "INV-2 names `it_was_renamed_since`, which is no test"
            ]
        );
    }

    #[test]
    fn a_number_stands_for_one_invariant_and_the_document_is_short() {
        let twice = "INV-1 `a_link_is_used_once`\nINV-1 `no_key_leaves_the_vault`\n";
        assert_eq!(problems(twice), ["INV-1 already stands on line 1"]);
        assert_eq!(problems(&"x\n".repeat(LINES + 1)).len(), 1);
    }
}
