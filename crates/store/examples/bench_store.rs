//! Measures the store: `bench_store [devices] [folder] [lists,updates,redeem,sweep]`, 100 000 devices by
//! default, all of it by default.
//!
//! P6: durable redeems, group commit against one transaction each, interleaved. P8: counts, pages and
//! serial prefixes with ten events per device. P9: a sweep with one lapsed link per device, and how long
//! a write beside it has to wait.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints what it measured")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use model::{
    ArtifactId, DeploymentId, DeviceId, Digest, FailureThreshold, Gate, LinkId, Percent, Phase, Policy,
    ReleaseId, RolloutId, Seconds, SecurityCounter, SpkiDigest, UnixTime,
};
use store::{
    Basis, Certificate, CheckIn, Deployments, DeviceFilter, DeviceState, Devices, Journal, Links,
    NewDeployment, NewEvent, NewRollout, Offer, PageRequest, Releases, Report, Reservation, RolloutStep,
    Rollouts, SWEEP_MOST, SealedArtifact, SqliteStore, Ticket, TicketAction, Timeline, VersionReport,
};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const BATCH: u64 = 1_000;
const DEVICES_AT_ONCE: u64 = 512;
const ROLLOUT: RolloutId = RolloutId::new([1; 16]);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let devices = arguments.next().map_or(100_000, |text| text.parse().unwrap());
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let parts = arguments.next().unwrap_or_else(|| "lists,updates,redeem,sweep".into());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(measure(&folder.path().join("store.db"), devices, &parts));
}

async fn measure(path: &Path, devices: u64, parts: &str) {
    let store = Arc::new(SqliteStore::open(path).unwrap());
    let wanted = |part: &str| parts.split(',').any(|one| one == part);
    populate(&store, devices, wanted("lists")).await;
    if wanted("lists") {
        lists(&store, devices).await;
    }
    if wanted("updates") {
        whole_updates(&store, devices.min(20_000)).await;
    }
    if wanted("redeem") {
        redeem(&store, devices).await;
    }
    if wanted("sweep") {
        sweep(&store, devices).await;
    }
    let opened = Instant::now();
    drop(store);
    println!("close {:?}, {} MB", opened.elapsed(), std::fs::metadata(path).unwrap().len() / 1_000_000);
    let opened = Instant::now();
    drop(SqliteStore::open(path).unwrap());
    println!("open with {devices} identities {:?}", opened.elapsed());
}

/// Devices, a started rollout with a deployment for each of them, and ten events each.
async fn populate(store: &SqliteStore, devices: u64, events: bool) {
    let timed = Instant::now();
    for batch in batches(devices) {
        store.reserve(batch.clone().map(reservation).collect()).await.unwrap();
        store.certify(batch.clone().map(certificate).collect()).await.unwrap();
    }
    rate("devices reserved and certified in batches", devices, timed.elapsed());
    for batch in batches(devices) {
        let told = batch.clone().map(|n| VersionReport {
            device: device(n),
            component: "main".parse().unwrap(),
            version: format!("1.{}.0", n % 7).parse().unwrap(),
            confirmed: Some(SecurityCounter(1)),
            at: NOW,
        });
        store.record_versions(told.collect()).await.unwrap();
        let canaries = batch.filter(|n| n % 20 == 0).map(device).collect();
        store.change_cohort("canary".into(), canaries, vec![]).await.unwrap();
    }
    let rare = (0..devices).step_by(5_000).map(device).collect();
    store.withdraw_devices(rare, DeviceState::Retired, "bench".into(), NOW).await.unwrap();
    let timed = Instant::now();
    for _ in 0..if events { 10 } else { 0 } {
        for batch in batches(devices) {
            let events = batch.map(|n| NewEvent {
                at: NOW,
                kind: "seen".into(),
                device: Some(device(n.wrapping_mul(7_919) % devices)),
                rollout: None,
                deployment: None,
                detail: None,
                raw: None,
            });
            store.append_events(events.collect()).await.unwrap();
        }
    }
    rate("events appended in batches", devices * 10, timed.elapsed());
    store.put_sealed(sealed()).await.unwrap();
    store.create_rollout(rollout(devices)).await.unwrap();
    store.step_rollout(ROLLOUT, RolloutStep::Start, NOW).await.unwrap();
    store.open_phase(ROLLOUT, 0, NOW).await.unwrap();
    let timed = Instant::now();
    for batch in batches(devices) {
        store.add_deployments(ROLLOUT, batch.map(new_deployment).collect(), false, NOW).await.unwrap();
    }
    rate("deployments with tickets added in batches", devices, timed.elapsed());
}

/// P8.
async fn lists(store: &SqliteStore, devices: u64) {
    let page = || PageRequest::first(100);
    let filter = DeviceFilter::default;
    let cohort = || Some("canary".to_owned());
    let version = || Some(("main".parse().unwrap(), "1.3.0".parse().unwrap()));
    let serial = |n: u64| Some(format!("S{:05}", n % (devices / 100 + 1)));
    let state = Some(DeviceState::Retired);
    quantiles("P8 counts", async |_| drop(store.device_counts().await.unwrap())).await;
    quantiles("P8 page of 100, newest", async |_| drop(store.devices(filter(), page()).await.unwrap())).await;
    quantiles("P8 page of 100, middle", async |n| {
        let after = store::Cursor::from_text((n * devices / 300).to_string());
        drop(store.devices(filter(), PageRequest::after(after, 100)).await.unwrap());
    })
    .await;
    quantiles("P8 page of 100, cohort and version", async |_| {
        let wanted = DeviceFilter { cohort: cohort(), version: version(), ..filter() };
        drop(store.devices(wanted, page()).await.unwrap());
    })
    .await;
    quantiles("P8 page of 100, rare state and version", async |_| {
        let wanted = DeviceFilter { state, version: version(), ..filter() };
        drop(store.devices(wanted, page()).await.unwrap());
    })
    .await;
    quantiles("P8 serial prefix, 100 rows", async |n| {
        let wanted = DeviceFilter { serial_prefix: serial(n * 37), ..filter() };
        drop(store.devices(wanted, page()).await.unwrap());
    })
    .await;
    quantiles("P8 serial prefix and rare state", async |n| {
        let wanted = DeviceFilter { serial_prefix: serial(n * 37), state, ..filter() };
        drop(store.devices(wanted, page()).await.unwrap());
    })
    .await;
    quantiles("P8 a device's timeline", async |n| {
        let whose = Timeline::Device(device(n * 3_571 % devices));
        drop(store.events(whose, PageRequest::first(50)).await.unwrap());
    })
    .await;
    quantiles("P8 a rollout observed", async |_| drop(store.observe(ROLLOUT, NOW).await.unwrap())).await;
    quantiles("P8 a rollout's deployments", async |_| {
        let of = store::DeploymentFilter { rollout: Some(ROLLOUT), ..Default::default() };
        drop(store.deployments(of, page()).await.unwrap());
    })
    .await;
    quantiles("   one device by id", async |n| drop(store.device(device(n)).await.unwrap())).await;
    quantiles("   one identity from memory", async |n| {
        assert!(store.identity(spki(n)).await.unwrap().is_some());
    })
    .await;
}

/// What the store adds to P10: check-in, offer, bytes, six reports, each handed in by itself.
async fn whole_updates(store: &Arc<SqliteStore>, updates: u64) {
    use model::DeploymentState::{Confirming, Downloaded, Downloading, Installing, Rebooting, Succeeded};
    let (timed, used) = (Instant::now(), cpu());
    let tasks = (0..DEVICES_AT_ONCE).map(|worker| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for n in (worker..updates).step_by(DEVICES_AT_ONCE as usize) {
                let check_in = CheckIn { device: device(n), counter: 1, nonce: [1; 16], at: NOW };
                store.check_in(vec![check_in]).await.unwrap();
                let link = link(n, 9_000);
                let offer = Offer { deployment: deployment(n), link, not_before: NOW };
                if store.offer(vec![offer], NOW).await.unwrap() != [true] {
                    continue;
                }
                store.link(link, NOW).await.unwrap().unwrap();
                let report = |state| Report {
                    deployment: deployment(n),
                    device: device(n),
                    state,
                    at: NOW,
                    code: None,
                    detail: None,
                    raw: vec![0; 200],
                    bytes: None,
                };
                store.report(vec![report(Downloading)]).await.unwrap();
                store
                    .note_served(vec![store::ServedRange { link, from: 0, to: 1_000_000 }], NOW)
                    .await
                    .unwrap();
                for state in [Downloaded, Installing, Rebooting, Confirming, Succeeded] {
                    store.report(vec![report(state)]).await.unwrap();
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    rate("P10 whole updates, the store's part, 512 devices at once", updates, timed.elapsed());
    println!(
        "P10 CPU per whole update, client included: {:?}",
        (cpu() - used) / u32::try_from(updates).unwrap()
    );
}

/// P6.
async fn redeem(store: &Arc<SqliteStore>, devices: u64) {
    let count = devices / 8;
    let first = devices.min(20_000);
    let links: Vec<LinkId> = (first..first + count).map(|n| link(n, 8_000)).collect();
    let offers = (first..first + count)
        .map(|n| Offer { deployment: deployment(n), link: link(n, 8_000), not_before: NOW })
        .collect::<Vec<_>>();
    for some in offers.chunks(1_000) {
        store.offer(some.to_vec(), NOW).await.unwrap();
    }
    let mut ratios = Vec::new();
    let mut left = links.as_slice();
    for _ in 0..5 {
        let (singles, rest) = left.split_at(60.min(left.len()));
        let timed = Instant::now();
        for link in singles {
            store.consume(vec![*link], NOW).await.unwrap();
        }
        let each = timed.elapsed() / 60;
        let (grouped, rest) = rest.split_at((count as usize / 6).min(rest.len()));
        let timed = Instant::now();
        let tasks = grouped.iter().map(|link| {
            let (store, link) = (Arc::clone(store), *link);
            tokio::spawn(async move { store.consume(vec![link], NOW).await.unwrap() })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let group = timed.elapsed() / u32::try_from(grouped.len().max(1)).unwrap();
        ratios.push(each.as_secs_f64() / group.as_secs_f64());
        println!("P6 redeem: one transaction each {each:?}, in groups {group:?}");
        left = rest;
    }
    ratios.sort_by(f64::total_cmp);
    println!("P6 group commit / one transaction each: {:.0} (median of {})", ratios[2], ratios.len());
}

/// P9.
async fn sweep(store: &Arc<SqliteStore>, devices: u64) {
    let timed = Instant::now();
    let mut made = 0;
    for batch in batches(devices) {
        let offers = batch
            .map(|n| Offer { deployment: deployment(n), link: link(n, 1_000), not_before: NOW })
            .collect();
        made += store.offer(offers, NOW).await.unwrap().into_iter().filter(|taken| *taken).count() as u64;
    }
    rate("links offered in batches", made, timed.elapsed());
    let over = Arc::new(AtomicBool::new(false));
    let beside = tokio::spawn({
        let (store, over) = (Arc::clone(store), Arc::clone(&over));
        async move {
            let mut longest = Duration::ZERO;
            let mut counter = 1;
            while !over.load(Ordering::Relaxed) {
                counter += 1;
                let check_in = CheckIn { device: device(1), counter, nonce: [1; 16], at: NOW };
                let timed = Instant::now();
                store.check_in(vec![check_in]).await.unwrap();
                longest = longest.max(timed.elapsed());
            }
            longest
        }
    });
    let (timed, used) = (Instant::now(), cpu());
    let (mut swept, mut longest) = (0, Duration::ZERO);
    loop {
        let one = Instant::now();
        let some = store.sweep(NOW + Seconds(2_000), SWEEP_MOST).await.unwrap().len();
        longest = longest.max(one.elapsed());
        if some == 0 {
            break;
        }
        swept += some as u64;
    }
    let (took, used) = (timed.elapsed(), cpu() - used);
    over.store(true, Ordering::Relaxed);
    println!(
        "P9 sweep of {swept} links {took:?} ({:.2} s per million, {:.2} s of CPU), longest sweep {longest:?}, longest wait of a write beside it {:?}",
        took.as_secs_f64() * 1e6 / swept.max(1) as f64,
        used.as_secs_f64() * 1e6 / swept.max(1) as f64,
        beside.await.unwrap()
    );
}

async fn quantiles(what: &str, ask: impl AsyncFn(u64)) {
    let mut times = Vec::new();
    for n in 0..300 {
        let timed = Instant::now();
        ask(n).await;
        times.push(timed.elapsed());
    }
    times.sort_unstable();
    println!("{what}: median {:?}, p95 {:?}", times[150], times[285]);
}

/// What all threads have run so far: on a busy machine the steadier figure.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let ran = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
    Duration::from_nanos(ran.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum())
}

fn rate(what: &str, count: u64, took: Duration) {
    println!("{what}: {:.0}/s ({count} in {took:.1?})", count as f64 / took.as_secs_f64());
}

fn batches(count: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..count).step_by(BATCH as usize).map(move |from| from..(from + BATCH).min(count))
}

/// Spread like something random, and told apart by number.
fn spread<const N: usize>(kind: u64, n: u64) -> [u8; N] {
    let mut bytes = [0; N];
    for (at, part) in bytes.chunks_mut(8).enumerate() {
        let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(kind + at as u64);
        let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        part.copy_from_slice(&mixed.to_le_bytes()[..part.len()]);
    }
    bytes
}

fn device(n: u64) -> DeviceId {
    DeviceId::new(spread(1 << 8, n))
}

fn deployment(n: u64) -> DeploymentId {
    DeploymentId::new(spread(2 << 8, n))
}

fn spki(n: u64) -> SpkiDigest {
    SpkiDigest::new(spread(3 << 8, n))
}

fn link(n: u64, life: u64) -> LinkId {
    let mut bytes = *LinkId::floor(NOW + Seconds(life)).as_bytes();
    bytes[8..].copy_from_slice(&spread::<16>(4 << 8, n));
    LinkId::new(bytes)
}

fn reservation(n: u64) -> Reservation {
    Reservation {
        basis: Basis::Enrol,
        device: device(n),
        serial: format!("S{n:07}").parse().unwrap(),
        model: format!("GW-{}", n % 5).parse().unwrap(),
        hardware_revision: "b".parse().unwrap(),
        station: "line-1".parse().unwrap(),
        spki: spki(n),
        kem: spread(5 << 8, n),
        certificate_serial: spread(6 << 8, n),
        at: NOW,
    }
}

fn certificate(n: u64) -> Certificate {
    let sha256 = Digest::new(spread(7 << 8, n));
    Certificate { device: device(n), serial: spread(6 << 8, n), der: vec![0x30; 700], sha256, at: NOW }
}

fn sealed() -> SealedArtifact {
    SealedArtifact {
        id: ArtifactId::new([1; 16]),
        artifact: Digest::new([1; 32]),
        record: vec![0; 1_000],
        ciphertext: Digest::new([2; 32]),
        length_bytes: 1_000_000,
        segment_list: Digest::new([3; 32]),
        segments: 1,
        at: NOW,
    }
}

fn new_deployment(n: u64) -> NewDeployment {
    let ticket = Ticket {
        label: vec![0; 300],
        sealed: vec![0; 600],
        action: TicketAction::Install,
        seq: 1,
        not_before: NOW,
        not_after: NOW + Seconds::days(14),
    };
    let artifact = ArtifactId::new([1; 16]);
    NewDeployment { id: deployment(n), device: device(n), phase: 0, artifact, ticket: Some(ticket) }
}

fn rollout(devices: u64) -> NewRollout {
    let devices = u32::try_from(devices).unwrap();
    NewRollout {
        id: ROLLOUT,
        release: ReleaseId::new([1; 16]),
        component: "main".parse().unwrap(),
        name: "bench".into(),
        policy: Policy {
            phases: vec![Phase { devices, success: Percent::ALL, soak: Seconds(0), gate: Gate::Continue }],
            failure: FailureThreshold { share: Percent::ALL, minimum_sample: 1 },
            device_timeout: Seconds::days(1),
            retries: 0,
            rate: None,
            window: None,
            link_life: Seconds::hours(1),
        },
        not_before: vec![NOW],
        detail: "{}".into(),
        created_by: SpkiDigest::new([0; 32]),
        at: NOW,
    }
}
