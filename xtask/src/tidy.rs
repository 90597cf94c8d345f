//! The rules that no compiler checks. Each is a function from what it looks at to the problems that
//! it found, and has a test that breaks it on purpose.

mod edges;
mod files;
mod invariants;
mod links;
mod pure;
mod rust;
mod tree;

use std::{fmt, path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{process, workspace::Workspace};

/// A file of the repository.
#[derive(Clone, Debug)]
struct File {
    /// Its path below the top folder, with `/`.
    path: String,
    /// What it says; nothing if it is no text.
    text: String,
}

/// A rule over the files.
type Rule = fn(&[File]) -> Vec<Problem>;

/// Something that breaks a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Problem {
    /// Where: a path, or a crate.
    at: String,
    /// The line, counted from 1, where there is one.
    line: Option<usize>,
    /// What is wrong.
    what: String,
}

impl Problem {
    fn new(at: &str, what: impl Into<String>) -> Self {
        Self { at: at.to_owned(), line: None, what: what.into() }
    }

    fn on_line(file: &File, line: usize, what: impl Into<String>) -> Self {
        Self { at: file.path.clone(), line: Some(line), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.at, self.what),
            None => write!(f, "{}: {}", self.at, self.what),
        }
    }
}

impl File {
    /// The lines, counted from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Prints every problem.
///
/// # Errors
/// There is one.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let files = files_of(&workspace.root)?;
    let problems = problems(workspace, &files)?;
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} problems", problems.len());
    }
    println!("{} crates and {} files are tidy", workspace.packages.len(), files.len());
    Ok(())
}

fn problems(workspace: &Workspace, files: &[File]) -> Result<Vec<Problem>> {
    let rules: [Rule; 11] = [
        pure::sources,
        files::long,
        files::thick_shell,
        files::vaguely_named,
        files::unfinished,
        files::allowing_lints,
        files::without_lints,
        files::ignoring_tests,
        files::unsafe_code,
        invariants::guarded,
        links::resolve,
    ];
    let mut problems = edges::forbidden(&workspace.packages);
    problems.extend(pure::dependencies(&workspace.packages));
    problems.extend(rules.into_iter().flat_map(|rule| rule(files)));
    problems.extend(tree::grown()?);
    problems.sort();
    Ok(problems)
}

/// Every file that is, or may become, part of the repository.
fn files_of(root: &Path) -> Result<Vec<File>> {
    let mut command = Command::new("git");
    command.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let names = process::output(command)?;
    let present = names.split_terminator('\0').filter(|path| root.join(path).is_file());
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    Ok(present.map(|path| File { path: path.to_owned(), text: read(path) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let workspace = Workspace::load().unwrap();
        let files = files_of(&workspace.root).unwrap();
        assert!(files.iter().any(|file| file.path == "xtask/src/tidy.rs"));
        let problems = problems(&workspace, &files).unwrap();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}
