//! A page of the documentation, played command by command as it stands there.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::program::{Answer, program, run};

/// How long the whole of a page may take.
const LONGEST: Duration = Duration::from_secs(480);

/// What the commands of a page came to, and the folder they were typed in.
pub(crate) struct Played {
    dir: TempDir,
    answer: Answer,
}

/// Plays a page that lies here below `docs`, with `$BIND` for its backend.
pub(crate) fn play(page: &str) -> Played {
    let commands = blocks(&read(&format!("docs/{page}")));
    assert!(commands.lines().count() > 40, "the page's commands are found:\n{commands}");
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let script = dir.path().join("page.sh");
    fs::write(&script, commands).expect("a temporary file can be written");
    program("fleetseal-agent");
    let mut play = Command::new("timeout");
    play.args(["--signal=TERM", &(LONGEST.as_secs() - 10).to_string(), "bash", "-euxo", "pipefail"]);
    at_home(play.arg(&script), dir.path());
    play.env("BIND", format!("127.0.0.1:{}", free_port()));
    let answer = run(&mut play, LONGEST);
    Played { dir, answer }
}

impl Played {
    /// Insists that every command ended as the page says; these logs tell more where one did not.
    pub(crate) fn ended_well(&self, logs: &[&str]) {
        let Answer { code, stdout, stderr } = &self.answer;
        let log = |name: &&str| fs::read_to_string(self.path(name)).unwrap_or_default();
        let logs: String = logs.iter().map(log).collect();
        assert_eq!(*code, Some(0), "{stdout}\n{stderr}\n{logs}");
    }

    /// Insists that this was printed.
    pub(crate) fn said(&self, words: &str) {
        let Answer { stdout, stderr, .. } = &self.answer;
        assert!(
            stdout.contains(words) || stderr.contains(words),
            "nobody said `{words}`\n{stdout}\n{stderr}"
        );
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A page of this repository.
pub(crate) fn read(page: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The shell commands of a page, or of a part of one.
pub(crate) fn blocks(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1);
    blocks.filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect()
}

/// Lets a shell work in a folder, with the programs under test before all others.
pub(crate) fn at_home<'a>(shell: &'a mut Command, dir: &Path) -> &'a mut Command {
    let programs = program("fleetseal").with_file_name("");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("there is a PATH"));
    shell.current_dir(dir).env("PATH", path).env_remove("FLEETSEAL_WORKSPACE")
}

pub(crate) fn free_port() -> u16 {
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    port.expect("there is a free port").port()
}
