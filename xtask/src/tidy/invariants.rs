//! Every invariant in `ARCHITECTURE.md`, and every rule and every attack in `docs/attacks.md`, names a test,
//! and that test exists where it says.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, Problem, rust};

/// The document that lists the invariants.
const DOCUMENT: &str = "ARCHITECTURE.md";
/// The most lines that it may have.
const LINES: usize = 400;
/// The document that lists the rules and the attacks.
const ATTACKS: &str = "docs/attacks.md";
/// How many rules there are.
const RULES: usize = 14;
/// Each document with a list that names tests, and what the names in it begin with.
const LISTS: &[(&str, &str)] = &[(DOCUMENT, "INV-"), (ATTACKS, "BAD-"), (ATTACKS, "R")];

/// An invariant is a paragraph, list item or table row that begins with `INV-n`, an attack one that
/// begins with `BAD-n`, a rule one with `Rn`; each name of a test in it stands in backticks, with its path or
/// without. Every rule has a row, with a test whose name begins with the rule's.
pub(super) fn guarded(files: &[File]) -> Vec<Problem> {
    let tests: Vec<String> = files.iter().filter(|file| file.is_rust()).flat_map(tests_in).collect();
    let listed = LISTS.iter().filter_map(|(path, prefix)| {
        let document = files.iter().find(|file| file.path == *path)?;
        Some(problems_in(document, prefix, &tests))
    });
    let mut problems: Vec<Problem> = listed.flatten().collect();
    problems.extend(files.iter().find(|file| file.path == ATTACKS).into_iter().flat_map(without_rules));
    let lines = files.iter().find(|file| file.path == DOCUMENT).map_or(0, |file| file.text.lines().count());
    if lines > LINES {
        problems.push(Problem::new(DOCUMENT, format!("has {lines} lines; {LINES} are enough")));
    }
    problems
}

/// The rules that have no row, or none with a test of their own.
fn without_rules(document: &File) -> Vec<Problem> {
    let rows = invariants(document, "R");
    let missing = (1..=RULES).filter(|number| {
        let own = format!("r{number}_");
        let row = rows.iter().find(|(_, name, _)| *name == format!("R{number}"));
        !row.is_some_and(|(_, _, text)| named_tests(text).iter().any(|test| last(test).starts_with(&own)))
    });
    missing.map(|number| Problem::new(ATTACKS, format!("no test of R{number} has a row"))).collect()
}

fn problems_in(document: &File, prefix: &str, tests: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut first_lines = BTreeMap::new();
    for (line, name, text) in invariants(document, prefix) {
        let named = named_tests(&text);
        if named.is_empty() {
            problems.push(Problem::on_line(document, line, format!("{name} names no test")));
        }
        for test in named.iter().filter(|named| !tests.iter().any(|test| leads_to(named, test))) {
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

/// What stands in backticks and has a test's name: a sentence of at least three words, perhaps after a path.
fn named_tests(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| is_test_name(last(quoted))).map(str::to_owned).collect()
}

fn is_test_name(name: &str) -> bool {
    name.matches('_').count() >= 2
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// Whether a path names this test: by its end, or by its crate and its end.
fn leads_to(named: &str, test: &str) -> bool {
    let ends = |end: &str| test.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with("::"));
    let of_crate = named.split_once("::").filter(|(krate, _)| test.split("::").next() == Some(krate));
    ends(named) || of_crate.is_some_and(|(_, rest)| ends(rest))
}

/// The paths of all functions under a `#[test]`, of whichever kind, of those in a conformance suite, which a
/// macro makes tests of, and of the rows of a macro that makes each a test.
fn tests_in(file: &File) -> Vec<String> {
    let code = rust::code(&file.text);
    let suite = file.path.contains("/conformance/");
    let makers = makers(&code);
    let file_path = module_path(&file.path);
    let (mut names, mut modules) = (Vec::new(), Vec::<(&str, usize)>::new());
    let (mut marked, mut depth, mut rows) = (false, 0_usize, None);
    for line in code.lines().map(str::trim) {
        if line.starts_with("#[") && line.contains("test") && !line.contains("cfg(") {
            marked = true;
        }
        marked |= suite && line.starts_with("pub async fn ");
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let after = |keyword: &str| {
            let at = words.iter().position(|word| *word == keyword)?;
            words.get(at + 1).copied()
        };
        let row = words.first().filter(|name| line[name.len()..].starts_with(':') && is_test_name(name));
        let found = match (rows, after("fn")) {
            (Some(within), _) if depth == within => row.copied(),
            (_, Some(name)) if marked => Some(name),
            _ => None,
        };
        // In a macro that makes tests, the name is its row's.
        if let Some(name) = found.filter(|name| !name.is_empty()) {
            let path = file_path.iter().copied().chain(modules.iter().map(|(name, _)| *name)).chain([name]);
            names.push(path.collect::<Vec<_>>().join("::"));
        }
        marked &= found.is_none();
        if makers.iter().any(|maker| line.starts_with(&format!("{maker}! {{"))) {
            rows = Some(depth + 1);
        }
        if let (Some(name), true) = (after("mod"), line.ends_with('{')) {
            modules.push((name, depth));
        }
        depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
        modules.retain(|(_, outside)| *outside < depth);
        rows = rows.filter(|within| *within <= depth);
    }
    names
}

/// The macros of a file that make tests of their rows.
fn makers(code: &str) -> Vec<&str> {
    let definitions = code.split("macro_rules! ").skip(1);
    let makes = |definition: &&str| {
        let body = definition.split("\n}").next().unwrap_or(definition);
        body.contains("#[test]") && body.contains("fn $")
    };
    definitions.filter(makes).filter_map(|definition| definition.split_whitespace().next()).collect()
}

/// Where the code of a file stands: its crate, then its modules.
fn module_path(path: &str) -> Vec<&str> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_prefix("crates/").unwrap_or(path);
    let mut parts: Vec<&str> =
        path.split('/').filter(|part| !matches!(*part, "src" | "mod" | "lib" | "main")).collect();
    // A program's crate is called as the program is.
    if let Some(first @ &mut "cli") = parts.first_mut() {
        *first = "fleetseal";
    }
    parts
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
        let mut known = tests_in(&tests);
        let problems = problems_in(&attacks, "BAD-", &known);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].what, "BAD-2 names `nobody_plays_this_one`, which is no test");
        known.extend(tests_in(&file("crates/store/src/conformance/links.rs", suite)));
        assert_eq!(problems_in(&attacks, "BAD-", &known), []);
    }

    #[test]
    fn a_test_is_named_by_where_it_is() {
        let test = "a::tests::it::a_link_is_used_once";
        for named in ["a_link_is_used_once", "it::a_link_is_used_once", "a::it::a_link_is_used_once", test] {
            assert!(leads_to(named, test), "{named}");
        }
        for named in ["b::a_link_is_used_once", "b::it::a_link_is_used_once", "link_is_used_once"] {
            assert!(!leads_to(named, test), "{named}");
        }
        assert_eq!(problems("INV-1 `a::a_link_is_used_once`, `no_key_leaves_the_vault`\n"), [""; 0]);
        assert_eq!(problems("INV-1 `b::a_link_is_used_once`\n").len(), 1);
    }

    #[test]
    fn the_modules_and_the_rows_of_a_macro_are_seen() {
        let text = "macro_rules! refused {\n    ($($name:ident: $code:literal;)*) => {$(\n        #[test]\n        \
                    fn $name() {\n        }\n    )*};\n}\n\nrefused! {\n    r4_a_link_of_another: \"no\",\n        \
                    |s| { s.not_a_row: 1 };\n}\n\nmod tests {\n    mod deep {\n        #[test]\n        fn \
                    one_two_three() {}\n    }\n\n    #[test]\n    fn four_five_six() {}\n}\n";
        let file = File { path: "crates/cli/src/a/mod.rs".into(), text: text.into() };
        assert_eq!(
            tests_in(&file),
            [
                "fleetseal::a::r4_a_link_of_another",
                "fleetseal::a::tests::deep::one_two_three",
                "fleetseal::a::tests::four_five_six"
            ]
        );
    }

    #[test]
    fn every_rule_has_a_row_with_a_test_of_its_own() {
        let row = |number: usize| format!("| R{number} | a rule | `r{number}_is_kept_by_all` |\n");
        let table: String = (1..=RULES).map(row).collect();
        let file = |text: String| File { path: ATTACKS.to_owned(), text };
        assert_eq!(without_rules(&file(table.clone())), []);
        for spoiled in [table.replace("| R7 |", "| BAD-7 |"), table.replace("`r7_", "`r6_")] {
            let problems = without_rules(&file(spoiled));
            assert_eq!(problems.len(), 1);
            assert_eq!(problems[0].what, "no test of R7 has a row");
        }
    }

    #[test]
    fn an_invariant_with_its_test_is_in_order() {
        let document = "- **INV-1** Links end (`a::a_link_is_used_once`).\n- INV-2: keys stay,\n  see \
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
