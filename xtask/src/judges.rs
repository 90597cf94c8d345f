//! Independent programs that judge the bytes we write: other people's TUF, COSE, X.509 and MCUboot.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{process, workspace::Workspace};

/// A judge: a script in `tests/judges`, and what it needs.
#[derive(Debug)]
struct Judge {
    script: &'static str,
    input: Input,
}

/// What a judge is given as its argument.
#[derive(Debug)]
enum Input {
    /// The folder that this example wrote into.
    WrittenBy(&'static str),
    /// The path of this example, which the judge runs itself.
    Program(&'static str),
}

const JUDGES: &[Judge] = &[
    Judge { script: "cose_judge.py", input: Input::WrittenBy("emit_cose") },
    Judge { script: "mcuboot_judge.py", input: Input::Program("inspect_container") },
    Judge { script: "otap_judge.py", input: Input::WrittenBy("emit_otap") },
    Judge { script: "smp_judge.py", input: Input::Program("bench_smp") },
    Judge { script: "tuf_client_judge.py", input: Input::Program("tuf_client") },
    Judge { script: "tuf_judge.py", input: Input::WrittenBy("emit_tuf") },
    Judge { script: "x509_judge.py", input: Input::WrittenBy("emit_pki") },
];

/// Lets every judge judge.
///
/// # Errors
/// A judge or what it needs is missing, a script stands in the folder that nobody calls, or a
/// judge found something.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let folder = workspace.root.join("tests").join("judges");
    complete(&scripts(&folder)?)?;
    let python = python(workspace, &folder)?;
    let examples = examples()?;
    let work = workspace.target_directory.join("judged");
    let failed: Vec<&str> = JUDGES
        .iter()
        .filter_map(|judge| {
            println!("\n{}", judge.script);
            let outcome = judge.judge(&folder, &python, &examples, &work);
            outcome.inspect_err(|error| println!("failed: {error:#}")).err().map(|_| judge.script)
        })
        .collect();
    if !failed.is_empty() {
        bail!("{} of {} judges found something: {}", failed.len(), JUDGES.len(), failed.join(", "));
    }
    Ok(())
}

impl Judge {
    fn judge(
        &self,
        folder: &Path,
        python: &Path,
        examples: &BTreeMap<String, PathBuf>,
        work: &Path,
    ) -> Result<()> {
        let (Input::WrittenBy(example) | Input::Program(example)) = self.input;
        let program = examples.get(example).with_context(|| format!("there is no example `{example}`"))?;
        let argument = match self.input {
            Input::WrittenBy(_) => {
                let written = work.join(example);
                if written.exists() {
                    std::fs::remove_dir_all(&written).context("failed to remove what was judged before")?;
                }
                std::fs::create_dir_all(&written).context("failed to make a folder to judge")?;
                let mut emit = Command::new(program);
                emit.arg(&written);
                process::run(emit)?;
                written
            }
            Input::Program(_) => program.clone(),
        };
        let mut judge = Command::new(python);
        judge.arg(folder.join(self.script)).arg(argument);
        // Tools that come with the judges' packages, such as imgtool, are found beside their Python.
        let beside = python.parent().unwrap_or(Path::new(""));
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(beside.to_owned()).chain(std::env::split_paths(&others));
        judge.env("PATH", std::env::join_paths(path).context("failed to extend PATH")?);
        process::run(judge)
    }
}

/// The scripts in the judges' folder.
fn scripts(folder: &Path) -> Result<BTreeSet<String>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names = names.collect::<Result<Vec<String>>>()?;
    Ok(names.into_iter().filter(|name| name.ends_with("_judge.py")).collect())
}

/// Refuses a judge that is missing, and one that nobody would call.
fn complete(scripts: &BTreeSet<String>) -> Result<()> {
    let called: BTreeSet<String> = JUDGES.iter().map(|judge| judge.script.to_owned()).collect();
    if let Some(missing) = called.difference(scripts).next() {
        bail!("tests/judges/{missing} is missing");
    }
    if let Some(unknown) = scripts.difference(&called).next() {
        bail!("tests/judges/{unknown} is called by nobody: add it to xtask/src/judges.rs");
    }
    Ok(())
}

/// A Python with the judges' packages, exactly as locked; made anew when the lock or the Python changed.
fn python(workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
    let place = workspace.target_directory.join("judges-venv");
    let python = place.join("bin").join("python");
    let stamp = place.join("made-from");
    let lock = folder.join("requirements.txt");
    let mut version = Command::new("python3");
    version.args(["-c", "import sys; print(sys.executable, sys.version)"]);
    let made_from = process::output(version)?
        + &std::fs::read_to_string(&lock).with_context(|| format!("failed to read {}", lock.display()))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == made_from) {
        return Ok(python);
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&place);
    process::run(venv)?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
    install.arg("--requirement").arg(&lock);
    process::run(install)?;
    std::fs::write(&stamp, made_from).context("failed to note what the judges' Python was made from")?;
    Ok(python)
}

/// Every example of the workspace, by name, built as the tests built it.
fn examples() -> Result<BTreeMap<String, PathBuf>> {
    let said = process::output(process::cargo(&[
        "build",
        "--workspace",
        "--examples",
        "--message-format",
        "json-render-diagnostics",
    ]))?;
    Ok(executables(&said))
}

/// The executables of all examples among cargo's messages, one JSON object per line.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["kind"][0] == "example")
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?;
            Some((name.to_owned(), PathBuf::from(message["executable"].as_str()?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_judge_and_one_that_nobody_calls_are_both_refused() {
        let mut scripts: BTreeSet<String> = JUDGES.iter().map(|judge| judge.script.to_owned()).collect();
        assert!(complete(&scripts).is_ok());
        scripts.insert("new_judge.py".to_owned());
        assert!(complete(&scripts).unwrap_err().to_string().contains("called by nobody"));
        scripts.clear();
        assert!(complete(&scripts).unwrap_err().to_string().contains("is missing"));
    }

    #[test]
    fn examples_are_read_from_what_cargo_says() {
        let said = concat!(
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"model"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["example"],"name":"emit"},"executable":"/t/emit"}"#,
            "\nnot json\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executables(said), BTreeMap::from([("emit".to_owned(), PathBuf::from("/t/emit"))]));
    }
}
