//! The walk-through of the README, with the exit codes that it promises.

use std::{fs, process::Command, time::Duration};

use crate::{
    fleet::Fleet,
    page,
    program::{Process, alone, program, run},
};

/// How long the whole walk may take.
const LONGEST: Duration = Duration::from_secs(180);

#[test]
fn the_walk_through_of_the_readme_ends_in_an_update_as_it_stands_there() {
    let _alone = alone();
    let readme = page::read("README.md");
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let port = page::free_port().to_string();
    fs::create_dir(dir.path().join("play")).expect("a temporary folder can be made");

    let scripts = terminals(&readme.replace("8443", &port), &port);
    let [mut first, mut second, mut third] = [1, 2, 3].map(|number: usize| {
        let script = dir.path().join(format!("terminal-{number}.sh"));
        fs::write(&script, &scripts[number - 1]).expect("a temporary file can be written");
        let mut bash = Command::new("bash");
        page::at_home(bash.arg("-eu").arg(&script), dir.path());
        bash
    });
    program("fleetseal-agent");
    let log = |name: &str| dir.path().join(name);
    let staying = [Process::start(&mut first, &log("1.log")), Process::start(&mut third, &log("3.log"))];
    let answer = run(second.arg("--"), LONGEST);
    drop(staying);

    let logs = ["1.log", "3.log"].map(|name| fs::read_to_string(log(name)).unwrap_or_default());
    assert_eq!(answer.code, Some(0), "{}\n{}\n{logs:#?}", answer.stdout, answer.stderr);
    let installed = fs::read(dir.path().join("play/slots/current/artifact"));
    let released = fs::read(dir.path().join("play/main-1.1.0")).expect("what was released is there");
    assert_eq!(installed.expect("the device installed it"), released);
    for said in ["finished: 1 succeeded", "press-4 main 1.1.0"] {
        assert!(answer.stdout.contains(said) || answer.stderr.contains(said), "nobody said `{said}`");
    }
}

/// What is typed into each of the three terminals. A step waits for those before it, except for what
/// the page says will stay or wait.
fn terminals(readme: &str, port: &str) -> [String; 3] {
    let (_, walk) = readme.split_once("## A real update by hand\n").expect("the walk-through is there");
    let (walk, _) = walk.split_once("### Three people").expect("the walk-through ends");
    let (_, everywhere) = walk.split_once("**In every terminal**").expect("there is what all need");
    let everywhere = page::blocks(everywhere.split("\n### ").next().unwrap_or_default());
    let mut scripts = [everywhere.clone(), everywhere.clone(), everywhere];
    let mut done: Vec<String> = Vec::new();
    let steps: Vec<&str> = walk.split("\n### ").skip(1).collect();
    assert!(steps.len() >= 9, "the steps are found: {steps:#?}");
    for (number, step) in steps.iter().enumerate() {
        let (_, terminal) = step.split_once("Terminal ").expect("a step says where");
        let script = &mut scripts[usize::from(terminal.as_bytes()[0] - b'1')];
        done.iter().for_each(|done| script.push_str(done));
        script.push_str(&page::blocks(step));
        if step.contains("stays there") {
            done.push(format!("until (: <>/dev/tcp/127.0.0.1/{port}) 2> /dev/null; do sleep 0.05; done\n"));
        } else if !step.contains("waits for somebody") {
            script.push_str(&format!("touch done-{number}\n"));
            done.push(format!("until [ -e done-{number} ]; do sleep 0.05; done\n"));
        }
    }
    scripts
}

#[test]
fn what_cannot_be_done_ends_with_the_exit_code_of_the_readme() {
    let _alone = alone();
    let fleet = Fleet::found();
    let release = fleet.propose("1.1.0", &fleet.write("main-1.1.0", "the next one"), &[]);
    let refused = |arguments: &[&str], exit: i32, code: &str| {
        let answer = fleet.run(arguments);
        assert_eq!(answer.code, Some(exit), "{answer:?}");
        let body: serde_json::Value = serde_json::from_str(&answer.stderr).expect("errors are JSON");
        assert_eq!(body["code"], code, "{body}");
    };

    refused(&["release", "publish", &release], 5, "threshold_not_met");
    refused(&["rollout", "start", &release], 5, "precondition_failed");
    let last = if release.ends_with('0') { "1" } else { "0" };
    let unknown = format!("{}{last}", &release[..release.len() - 1]);
    refused(&["release", "show", &unknown], 4, "not_found");
    let usage = fleet.run(&["release", "show", "no-id"]);
    assert_eq!(usage.code, Some(2), "{usage:?}");
    let wrong = fleet.run_without_knowing(&["release", "sign", &release]);
    assert_eq!(wrong.code, Some(3), "{wrong:?}");
    assert!(wrong.stderr.contains("wrong_passphrase"), "{wrong:?}");
}
