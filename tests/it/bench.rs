//! The page of the service bench, command by command, as it stands there.

use std::{net::TcpListener, path::Path, process::Command, time::Duration};

use crate::program::{alone, program, run};

/// How long the whole of it may take.
const LONGEST: Duration = Duration::from_secs(300);

#[test]
fn a_technician_without_a_network_updates_a_board_and_the_receipt_comes_home() {
    let _alone = alone();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let commands: String = blocks.map(|(block, _)| block).collect();
    assert!(commands.lines().count() > 40, "the page's commands are found:\n{commands}");
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let script = dir.path().join("bench.sh");
    std::fs::write(&script, commands).expect("a temporary file can be written");
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());

    let fleetseal = program("fleetseal");
    let programs = fleetseal.parent().expect("a program lies in a folder").display();
    let path = format!("{programs}:{}", std::env::var("PATH").expect("there is a PATH"));
    let mut play = Command::new("timeout");
    play.args(["--signal=TERM", &(LONGEST.as_secs() - 10).to_string(), "bash", "-euxo", "pipefail"]);
    play.arg(&script).current_dir(dir.path()).env("PATH", path).env_remove("FLEETSEAL_WORKSPACE");
    play.env("BIND", port.expect("there is a free port").to_string());
    let answer = run(&mut play, LONGEST);

    let log = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let all = format!("{}\n{}\n{}{}", answer.stdout, answer.stderr, log("backend.log"), log("board.log"));
    assert_eq!(answer.code, Some(0), "{all}");
    // Offline it waits; what is altered, for another bench, sealed, false or replayed is refused.
    for said in [
        "the bundle's payload is not what was signed",
        "the bundle was made for another bench",
        "mode: sealed",
        "P4-000000 does not prove who it is",
        "the ticket was carried out before",
        "0 handed in, 1 waiting",
        "1 handed in, 0 waiting",
        "R-000000 was revoked",
    ] {
        let told = answer.stdout.contains(said) || answer.stderr.contains(said);
        assert!(told, "nobody said `{said}`\n{all}");
    }
}
