//! Links in Markdown files lead to files that exist.

use std::collections::BTreeSet;

use super::{File, Problem};

/// Every link to a file or folder of this repository that is not there.
pub(super) fn resolve(files: &[File]) -> Vec<Problem> {
    let known: BTreeSet<&str> = files
        .iter()
        .flat_map(|file| {
            let folders = file.path.match_indices('/').map(|(at, _)| &file.path[..at]);
            folders.chain([file.path.as_str(), ""])
        })
        .collect();
    let documents = files.iter().filter(|file| file.path.ends_with(".md"));
    documents
        .flat_map(|file| {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            targets(file)
                .into_iter()
                .filter_map(|(line, target)| {
                    let path = target.split('#').next().unwrap_or_default();
                    let outside = target.contains("://") || target.starts_with("mailto:");
                    let missing = !outside
                        && !path.is_empty()
                        && !join(folder, path).is_some_and(|path| known.contains(path.as_str()));
                    missing.then(|| Problem::on_line(file, line, format!("`{target}` leads nowhere")))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Every link's target, with its line: `[text](target)` and `[name]: target`, outside of code.
fn targets(file: &File) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect();
        let inline = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        let named =
            prose.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target.trim());
        found.extend(inline.chain(named).map(|target| (number, target.trim_matches(['<', '>']).to_owned())));
    }
    found
}

/// `path` as seen from `folder`; nothing if it leaves the repository.
fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let files = [file(path, text), file("README.md", ""), file("docs/adr/0001-a.md", "")];
        resolve(&files).into_iter().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_in_order() {
        let text = "[a](adr/0001-a.md#why) [b](../README.md) ![c](adr) [d](https://example.com) [e](#here)\n\
                    `[code](x.md)`\n```\n[code](y.md)\n```\n[f]: adr/0001-a.md\n";
        assert_eq!(problems("docs/page.md", text), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_refused() {
        assert_eq!(
            problems("docs/page.md", "see\n[a](adr/0002-b.md) and [b](../../outside.md)\n[c]: gone.md\n"),
            [
                "docs/page.md:2: `adr/0002-b.md` leads nowhere",
                "docs/page.md:2: `../../outside.md` leads nowhere",
                "docs/page.md:3: `gone.md` leads nowhere"
            ]
        );
    }
}
