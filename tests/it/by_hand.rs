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
    let [port, other] = [(); 2].map(|()| page::free_port().to_string());
    fs::create_dir(dir.path().join("play")).expect("a temporary folder can be made");

    let scripts = terminals(&readme.replace("8443", &port).replace("8444", &other), &port);
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
    assert_eq!(answer.stdout.matches("1.1.0 is published").count(), 2, "by one, then by two of three");
    assert!(answer.stdout.contains("signatures 2/2"), "{}", answer.stdout);
}

/// What is typed into each of the three terminals. A step waits for those before it, except for what
/// the page says will stay or wait.
fn terminals(readme: &str, port: &str) -> [String; 3] {
    let (_, walk) = readme.split_once("## A real update by hand\n").expect("the walk-through is there");
    let (walk, three) = walk.split_once("### Three people").expect("one person comes first");
    let (three, _) = three.split_once("\n## ").expect("the walk-through ends");
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
    scripts[1].push_str(&page::blocks(three));
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
        assert!(body["hint"].as_str().is_some_and(|next| !next.is_empty()), "it says what next: {body}");
    };
    let missing = fleet.path("nothing").display().to_string();
    let garbage = fleet.write("garbage", "{\"neither\": ").display().to_string();

    refused(&["release", "publish", &release], 5, "threshold_not_met");
    refused(&["rollout", "start", &release], 5, "precondition_failed");
    refused(&["fleet", "join", &missing], 4, "not_found");
    refused(&["fleet", "join", &garbage], 6, "invalid_request");
    refused(&["audit", "verify", &garbage], 6, "invalid_request");
    refused(&["vault", "test-restore", &missing], 4, "not_found");
    refused(&["vault", "test-restore", &garbage], 6, "invalid_request");
    let token = ["device", "token", "--serial", "P4-1", "--model", "press-4"];
    refused(&[&token[..], &["--life", "91d"]].concat(), 6, "invalid_request");
    refused(&[&token[..], &["--station", "moon"]].concat(), 4, "not_found");
    let last = if release.ends_with('0') { "1" } else { "0" };
    let unknown = format!("{}{last}", &release[..release.len() - 1]);
    refused(&["release", "show", &unknown], 4, "not_found");
    let usage = fleet.run(&["release", "show", "no-id"]);
    assert_eq!(usage.code, Some(2), "{usage:?}");
    let backup = fleet.path("alice.vault").display().to_string();
    refused(&["vault", "restore", &backup], 5, "conflict");
    fleet.json(&["vault", "restore", &backup, "--replace"]);
    let wrong = fleet.run_without_knowing(&["release", "sign", &release]);
    assert_eq!(wrong.code, Some(3), "{wrong:?}");
    assert!(wrong.stderr.contains("wrong_passphrase"), "{wrong:?}");
}

#[test]
fn a_device_is_in_one_rollout_at_a_time_and_whoever_watches_learns_how_it_ended() {
    let _alone = alone();
    let fleet = Fleet::found();
    // It never runs: what it is offered waits.
    let device = fleet.enrol("P4-1");
    let token = ["device", "token", "--serial", "P4-1", "--model", "press-4"];
    let taken = fleet.run(&token);
    assert!(taken.code == Some(5) && taken.stderr.contains("serial_taken"), "{taken:?}");

    let release = fleet.publish("1.1.0", &fleet.write("main-1.1.0", "the next one"));
    let rollout = fleet.roll_out(&release);
    let second = fleet.run(&["rollout", "start", &release]);
    assert_eq!(second.code, Some(5), "{second:?}");
    assert!(second.stderr.contains(&rollout), "it names the rollout that it is in: {second:?}");
    let rollouts = fleet.json(&["rollout", "list"]);
    assert_eq!(rollouts["rows"].as_array().map(Vec::len), Some(1), "no empty one was made: {rollouts}");

    let (watching, abort) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| fleet.run(&["rollout", "watch", &rollout]));
        let abort = fleet.run(&["rollout", "abort", &rollout]);
        (watching.join().expect("watching ends"), abort)
    });
    assert_eq!((abort.code, watching.code), (Some(0), Some(11)), "{abort:?} {watching:?}");

    let data = fleet.path("backend").display().to_string();
    let serve = ["serve", "--data", &data, "--bind", "127.0.0.1:0", "--origin", "https://127.0.0.1:1"];
    let served = run(Command::new(program("fleetseal")).args(serve), LONGEST);
    assert_eq!(served.code, Some(8), "{served:?}");
    assert!(served.stderr.contains("(busy)") && !served.stderr.contains("serving https"), "{served:?}");
    drop(device);
}

#[test]
fn a_reader_that_went_away_ends_no_command_with_a_panic() {
    let gone = || {
        let (reader, writer) = std::io::pipe().expect("there are pipes");
        drop(reader);
        writer
    };
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let fleetseal = |arguments: &[&str]| {
        let mut command = Command::new(program("fleetseal"));
        command.arg("--workspace").arg(dir.path()).args(arguments).stdout(gone()).stderr(gone());
        command.status().expect("a program that is there starts").code()
    };
    assert_eq!(fleetseal(&["completions", "bash"]), Some(0));
    assert_eq!(fleetseal(&["audit", "verify", "nothing"]), Some(4));
    assert_eq!(fleetseal(&["fleet", "show"]), Some(5));
}

#[test]
fn what_would_fail_late_or_write_over_something_is_refused_at_once() {
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let fleetseal = |arguments: &[&str]| run(Command::new(program("fleetseal")).args(arguments), LONGEST);
    let few = fleetseal(&["demo", "--devices", "5"]);
    assert!(few.code == Some(2) && few.stderr.contains("12"), "{few:?}");

    let (data, file) = (path("backend"), path("backend.json"));
    let init = ["serve", "--data", &data, "--origin", "https://127.0.0.1:1", "--init", &file];
    assert_eq!(fleetseal(&init).code, Some(0));
    let written = fs::read(&file).expect("the public halves were written");
    let again = fleetseal(&init);
    assert!(again.code == Some(5) && again.stderr.contains("conflict"), "{again:?}");
    assert_eq!(fs::read(&file).ok(), Some(written));
}
