//! The process is killed at any moment, again and again; whatever it had acknowledged must be there.
//!
//! The same program is parent and child: `crash child <folder>` issues and redeems links and says what
//! it was told. So it has no test harness.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program of its own"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use model::{
    ArtifactId, DeploymentId, DeviceId, Digest, FailureThreshold, Gate, LinkId, Percent, Phase, Policy,
    ReleaseId, RolloutId, Seconds, SpkiDigest, UnixTime,
};
use store::{
    Basis, Certificate, Deployments, Devices, Links, NewDeployment, NewRollout, Offer, Releases, Reservation,
    RolloutStep, Rollouts, SealedArtifact, SqliteStore, Ticket, TicketAction,
};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const WORKERS: u8 = 8;
const ROUNDS: u32 = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child", folder, round] => child(Path::new(folder), round.parse().unwrap()),
        // What nextest asks first: the tests, and then those that are ignored.
        ref asked if asked.contains(&"--list") => {
            if !asked.contains(&"--ignored") {
                println!("acknowledged_redeems_survive: test");
            }
        }
        // A filter that names another test.
        [filter, ..] if !filter.starts_with('-') && !"acknowledged_redeems_survive".contains(filter) => {}
        _ => parent(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

/// Kills a child in each round and checks what it said against what is there.
fn parent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    runtime().block_on(prepare(&path));
    let (mut redeemed, mut issued) = (BTreeSet::new(), 0_u64);
    let mut seed = u64::from(std::process::id());
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", folder.path().to_str().unwrap(), &round.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("ready"));
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let lives = Duration::from_micros(2_000 + seed % 30_000);
        let born = Instant::now();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(lives.saturating_sub(born.elapsed()));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        // What each link was last said to be.
        let mut said = BTreeMap::new();
        for line in lines {
            // A line that the kill cut short says nothing.
            if let Some((word, link)) = line.split_once(' ')
                && let Ok(link) = link.parse::<LinkId>()
            {
                issued += u64::from(word == "issued");
                said.insert(link, word.to_owned());
            }
        }
        killer.join().unwrap();
        redeemed.extend(said.iter().filter(|(_, word)| *word == "redeemed").map(|(link, _)| *link));
        runtime().block_on(check(&path, &said, &redeemed));
    }
    assert!(redeemed.len() as u32 > ROUNDS, "only {} links were redeemed", redeemed.len());
    println!(
        "test acknowledged_redeems_survive ... ok ({ROUNDS} kills, {issued} links, {} redeemed)",
        redeemed.len()
    );
}

async fn check(path: &Path, said: &BTreeMap<LinkId, String>, redeemed: &BTreeSet<LinkId>) {
    let store = SqliteStore::open(path).unwrap();
    for (link, word) in said {
        let there = store.link(*link, NOW).await.unwrap().is_some();
        match word.as_str() {
            "issued" => assert!(there, "{link} was issued and is not there"),
            "redeemed" => assert!(!there, "{link} was redeemed and is there"),
            // It was killed while it asked: either is right.
            "redeeming" => {}
            other => panic!("the child said {other}"),
        }
    }
    let again = store.consume(redeemed.iter().copied().collect(), NOW).await.unwrap();
    assert!(again.iter().all(|won| !won), "a link was redeemed twice");
    let counts = store.link_counts(None).await.unwrap();
    let open =
        store.links(store::LinkFilter::default(), NOW, store::PageRequest::first(1_000)).await.unwrap();
    assert_eq!(counts.issued + counts.active, open.rows.len() as u64);
    // The next child begins without open links.
    store.revoke_links(store::LinkChoice::All, NOW).await.unwrap();
}

/// Issues a link, redeems it, and so on, in each of a few tasks.
fn child(folder: &Path, round: u32) {
    runtime().block_on(async move {
        let store = Arc::new(SqliteStore::open(folder.join("store.db")).unwrap());
        say("ready");
        let workers = (0..WORKERS).map(|worker| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0_u32.. {
                    let link = link(round, worker, n);
                    let offer = Offer { deployment: deployment(worker), link, not_before: NOW };
                    assert_eq!(store.reissue(vec![offer], NOW).await.unwrap(), [true]);
                    say(&format!("issued {link}"));
                    say(&format!("redeeming {link}"));
                    assert_eq!(store.consume(vec![link], NOW).await.unwrap(), [true]);
                    say(&format!("redeemed {link}"));
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
    });
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).is_err() {
        eprintln!("nobody listens");
        std::process::exit(1);
    }
}

fn link(round: u32, worker: u8, n: u32) -> LinkId {
    let mut bytes = *LinkId::floor(NOW + Seconds::days(1)).as_bytes();
    bytes[8..12].copy_from_slice(&round.to_be_bytes());
    bytes[12] = worker;
    bytes[20..].copy_from_slice(&n.to_be_bytes());
    LinkId::new(bytes)
}

fn deployment(worker: u8) -> DeploymentId {
    DeploymentId::new([worker; 16])
}

/// A running rollout with one offered deployment for each worker.
async fn prepare(path: &Path) {
    let store = SqliteStore::open(path).unwrap();
    let artifact = ArtifactId::new([1; 16]);
    let sealed = SealedArtifact {
        id: artifact,
        artifact: Digest::new([1; 32]),
        record: vec![1],
        ciphertext: Digest::new([2; 32]),
        length_bytes: 1_000,
        segment_list: Digest::new([3; 32]),
        segments: 1,
        at: NOW,
    };
    store.put_sealed(sealed).await.unwrap();
    let phase =
        Phase { devices: WORKERS.into(), success: Percent::ALL, soak: Seconds(0), gate: Gate::Continue };
    let rollout = NewRollout {
        id: RolloutId::new([1; 16]),
        release: ReleaseId::new([1; 16]),
        component: "main".parse().unwrap(),
        name: "crash".into(),
        policy: Policy {
            phases: vec![phase],
            failure: FailureThreshold { share: Percent::ALL, minimum_sample: 1 },
            device_timeout: Seconds::days(1),
            retries: 0,
            rate: None,
            window: None,
            link_life: Seconds::days(1),
        },
        not_before: vec![NOW],
        detail: "{}".into(),
        created_by: SpkiDigest::new([0; 32]),
        at: NOW,
    };
    let id = rollout.id;
    store.create_rollout(rollout).await.unwrap();
    store.step_rollout(id, RolloutStep::Start, NOW).await.unwrap();
    for worker in 0..WORKERS {
        let device = DeviceId::new([worker; 16]);
        let reservation = Reservation {
            basis: Basis::Enrol,
            device,
            serial: format!("S{worker}").parse().unwrap(),
            model: "GW-200".parse().unwrap(),
            hardware_revision: "b".parse().unwrap(),
            station: "line-1".parse().unwrap(),
            spki: SpkiDigest::new([worker; 32]),
            kem: [worker; 32],
            certificate_serial: [worker; 16],
            at: NOW,
        };
        store.reserve(vec![reservation]).await.unwrap();
        let sha256 = Digest::new([worker; 32]);
        let certificate = Certificate { device, serial: [worker; 16], der: vec![worker], sha256, at: NOW };
        store.certify(vec![certificate]).await.unwrap();
        let ticket = Ticket {
            label: vec![],
            sealed: vec![],
            action: TicketAction::Install,
            seq: 1,
            not_before: NOW,
            not_after: NOW + Seconds::days(14),
        };
        let new = NewDeployment { id: deployment(worker), device, phase: 0, artifact, ticket: Some(ticket) };
        assert_eq!(store.add_deployments(id, vec![new], false, NOW).await.unwrap(), []);
        let first =
            Offer { deployment: deployment(worker), link: link(u32::MAX, worker, 0), not_before: NOW };
        assert_eq!(store.offer(vec![first], NOW).await.unwrap(), [true]);
    }
    store.revoke_links(store::LinkChoice::All, NOW).await.unwrap();
}
