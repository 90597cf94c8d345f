//! The real program, over TCP and a real disk: killed in the middle, resumed, and never large.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

// What the shared modules find in their own crate.
use agent::{Clock, Dial, Pending, Stream};
use model::{DeploymentState, UnixTime};
use tempfile::TempDir;
use tokio::net::TcpListener;

#[expect(dead_code, reason = "shared with the tests of the library")]
#[path = "../src/tests/backend.rs"]
mod backend;
#[expect(dead_code, reason = "shared with the tests of the library")]
#[path = "../src/tests/fleet.rs"]
mod fleet;

use backend::Backend;
use fleet::{Fleet, Release};

/// The most that the program may ever have resident.
const RESIDENT_BYTES: u64 = 16 << 20;

const AGENT: &str = env!("CARGO_BIN_EXE_fleetseal-agent");

struct Site {
    backend: Arc<Backend>,
    dir: TempDir,
}

impl Site {
    async fn new(release: &Release) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let fleet = Arc::new(Fleet::at(UnixTime::from_secs(now), &address));
        let backend = Backend::new(&fleet, fleet.repository(&[release]));
        let serving = Arc::clone(&backend);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).serve(Box::new(stream)));
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "data_dir = '{0}/data'\nmodel = 'press-4'\nhardware_revision = 'b'\nserial = 'P4-1'\n\
             [[component]]\nname = 'app'\ninstaller = 'slots'\nversion = '1.0.0'\nslots.dir = '{0}/app'\n\
             slots.health.argv = ['test', '-s', '{{slot}}/artifact']\n",
            dir.path().display()
        );
        fs::write(dir.path().join("agent.toml"), config).unwrap();
        Self { backend, dir }
    }

    fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(AGENT);
        command.arg("--config").arg(self.dir.path().join("agent.toml")).args(arguments);
        command.env("FLEETSEAL_LOG", "warn").stdin(Stdio::null());
        command
    }

    /// Runs to its end; gives the exit code, and what was said.
    async fn say(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let mut command = self.agent(arguments);
        let input = input.to_owned();
        let output = tokio::task::spawn_blocking(move || {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        });
        let output = output.await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    async fn enrol(&self) {
        let token = {
            let mut world = self.backend.world();
            let token = self.backend.fleet.token(&world.repository);
            world.token = Some((token.id, *token.secret.as_bytes()));
            token.to_text().unwrap()
        };
        let (code, said) = self.say(&["enrol", "--token", "-"], &token).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.starts_with("dev_"), "{said}");
    }

    fn staged(&self) -> u64 {
        fs::metadata(self.dir.path().join("data/staging")).map_or(0, |staging| staging.len())
    }
}

/// The largest that a running process has been, in bytes.
fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

async fn until(child: &mut Child, mut done: impl FnMut() -> bool) {
    while !done() {
        assert!(child.try_wait().unwrap().is_none(), "the agent ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_killed_while_it_downloads_resumes_and_stays_small() {
    // More can be asked for, to measure with; what is resident does not depend on it.
    let mebibytes = std::env::var("FLEETSEAL_FOOTPRINT_MIB").map_or(48, |text| text.parse().unwrap());
    let mut release = Release::new("2.0.0", 7, mebibytes << 20);
    release.custom.installer = "slots".parse().unwrap();
    let site = Site::new(&release).await;

    let (code, said) = site.say(&["run"], "").await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("not enrolled") && said.contains("next: run `fleetseal-agent enrol`"), "{said}");
    site.enrol().await;

    site.backend.offer(&release, 1);
    let total = release.ciphertext.len() as u64;
    let mut agent = site.agent(&["run"]).spawn().unwrap();
    until(&mut agent, || site.staged() > total / 4).await;
    let (code, _) = site.say(&["status"], "").await;
    assert_eq!(code, Some(0), "a look does not disturb a running agent");
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(site.staged() < total);

    let mut agent = site.agent(&["run"]).spawn().unwrap();
    let ended = || site.backend.reported().last().is_some_and(|(state, _)| state.ended());
    until(&mut agent, ended).await;
    let resident = peak(&agent);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(site.backend.reported().pop().unwrap().0, DeploymentState::Succeeded);
    assert!(fs::read(site.dir.path().join("app/current/artifact")).unwrap() == release.plaintext);
    assert!(!Path::new(&site.dir.path().join("data/staging")).exists());
    let (_, said) = site.say(&["status", "--json"], "").await;
    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(status["components"]["app"]["version"], "2.0.0");
    println!("{resident} bytes were resident for {mebibytes} MiB");
    assert!(resident <= RESIDENT_BYTES, "{resident} bytes were resident for {mebibytes} MiB");
}
