//! The backend is taken over: first it shows a desktop keys of its own, then it lies to a device with
//! every online key that the real one has.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use agent::Event;
use envelope::{
    Ed25519Key, KemSecret, P256Key, SystemRandom,
    tuf::{Role, Signed, Snapshot, Targets, Timestamp},
};
use model::{DeploymentId, DeviceId, Gate, Percent, ReleaseId, Seconds, UnixTime};
use pki::{Ca, CaCertificate, CaKind, CaProfile, CertificateDer, Csr, DeviceProfile, RootProfile};
use protocol::{
    Base64, ErrorCode,
    device::{Offer, path as device_path},
};
use rusqlite::{Connection, params};
use sim::{SimDevice, TakenOver};
use tokio::sync::mpsc;

use super::{
    field::{ALPHA, BETA, CUT_OFF, DELTA, GAMMA, Running},
    rules::{Rule, Rules},
    stage::Stage,
    tampered,
};
use crate::{
    Error, Founding, Shutdown,
    command::{RolloutPreview, RolloutStart},
    dto::{Commit, ExclusionReason, PhaseSize, PlanRollout, Size},
    signer::Ecdsa,
    trust::untrusted,
    workspace::read_json,
};

/// Files below `/v1/tuf/`, by their path there.
type Files = BTreeMap<String, Vec<u8>>;
type Line<'a> = &'a (dyn Fn(String) + Send + Sync);

/// How long a device is watched for its answer to a lie.
const WATCH: Duration = Duration::from_secs(20);
/// How long a device is watched to do nothing.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) async fn play(
    stage: &mut Stage,
    mut field: Running,
    first: ReleaseId,
    rules: &Rules<'_>,
    line: Line<'_>,
) -> Result<(), Error> {
    field.stop().await;
    let before = metadata(stage).await?;
    let old_timestamp = timestamp(stage).await?;
    let file = stage.dir.join("small-update");
    fs::write(&file, b"a second update, signed for an hour from now\n")
        .map_err(|source| Error::file("write", &file, &source))?;
    let release = stage.release(&file, "1.2.0", rules, line).await?;
    let (alpha, beta) = (field.ids[ALPHA], field.ids[BETA]);
    let later = plan(release, vec![alpha, beta], Some(stage.alice.now() + Seconds::hours(1)));
    let preview = stage.alice.run::<RolloutPreview>(later.clone()).await?;
    stage.alice.run::<RolloutStart>(Commit { request: later, token: preview.token }).await?;
    line("a rollout of 1.2.0 is signed, to begin in an hour".into());
    tampered::sign(stage, &field, release).await?;
    line("another one to a single device, whose hours are not now".into());
    // One honest look at the new metadata.
    let device = Arc::clone(&field.devices[ALPHA]);
    watch(&device, |event| matches!(event, Event::CheckedIn { .. })).await;
    let now = metadata(stage).await?;

    stage.stop().await?;
    let tickets = tickets(stage)?;
    swap_keys(stage, &field, release, rules).await?;
    line("the backend is down; its keys and its disk are the attacker's".into());

    let founding: Founding = read_json(&stage.founding)?;
    let (chain, roots) = founding.server_chain();
    let taken = TakenOver::start(&stage.config.data, chain, &roots, stage.listen().await?, alpha)
        .map_err(|source| Error::internal("the backend could not be taken over", source))?;
    let attacker = Attacker { stage, taken: &taken, device: &device, published: AtomicU64::new(0) };

    // At first with the true metadata, for the offers themselves to be judged.
    attacker.publish(&now, &attacker.targets(&now)?)?;
    let greeted =
        watch(&device, |event| matches!(event, Event::CheckedIn { .. } | Event::Trouble { .. })).await;
    if !matches!(greeted, Some(Event::CheckedIn { .. })) {
        return Err(Error::new(
            ErrorCode::Internal,
            "the device does not even talk to the taken over backend",
        )
        .detail(said(greeted.as_ref())));
    }
    let ticket = |device: DeviceId, release: ReleaseId| {
        tickets
            .iter()
            .find(|ticket| ticket.device == device && ticket.release == release)
            .cloned()
            .ok_or_else(|| Error::new(ErrorCode::Internal, "the attacker found no ticket in the database"))
    };
    let lies: [(Rule, &str, Stored, &[&str]); 2] = [
        (
            Rule::R11,
            "hand a device the ticket of another",
            ticket(beta, release)?,
            &["ticket_undecipherable"],
        ),
        (
            Rule::R13,
            "hand a device a ticket that it has used",
            ticket(alpha, first)?,
            &["ticket_spent", "seq_replayed"],
        ),
    ];
    for (rule, tried, ticket, codes) in lies {
        taken.offer(vec![ticket.offer()]);
        let answer =
            watch(&device, |event| matches!(event, Event::Refused { .. } | Event::Deployment { .. })).await;
        let held = matches!(&answer, Some(Event::Refused { code, .. }) if codes.contains(&code.as_str()));
        rules.tried(rule, tried, held, said(answer.as_ref()));
    }

    // It is the device's own ticket, and true; only its hour has not come.
    taken.pretend(stage.alice.now() + Seconds::hours(2));
    taken.offer(vec![ticket(alpha, release)?.offer()]);
    let mut offered = false;
    let acted = watch_for(&device, PATIENCE, |event| {
        offered |= matches!(event, Event::CheckedIn { offers: 1.., .. });
        matches!(event, Event::Deployment { .. })
    })
    .await;
    let tried = "start a phase an hour before its signed time, with a clock that lies";
    let outcome = "the device holds the ticket and waits for the hour that is signed into it";
    rules.tried(Rule::R13, tried, offered && acted.is_none(), outcome);
    taken.offer(Vec::new());

    // With the true metadata still, for nothing but the bytes to be wrong.
    tampered::play(stage, &field, &taken, ticket(field.ids[DELTA], release)?, &attacker.key("link")?, rules)
        .await?;
    taken.offer(Vec::new());
    taken.talk_to(alpha);
    // The timestamp of yesterday: true, signed, and in time still.
    taken.serve(&format!("{}{}", device_path::TUF, Role::Timestamp.path(0)), old_timestamp);
    attacker.expect_untrusted(Rule::R13, "serve yesterday's timestamp, which is still in time", rules).await;

    // Fresh timestamps, made with the stolen keys, over metadata of yesterday.
    attacker.publish(&before, &attacker.targets(&before)?)?;
    let tried = "serve yesterday's targets under fresh timestamps, signed with stolen keys";
    attacker.expect_untrusted(Rule::R13, tried, rules).await;

    // A release that the attacker signed alone.
    let mut forged = attacker.targets(&now)?.signed().next(UnixTime::from_secs(stage.alice.now().as_secs()));
    forged.targets.retain(|name, _| name.as_str().starts_with("trust/"));
    let mut forged = Signed::new(forged).map_err(untrusted)?;
    forged.sign(&Ed25519Key::generate(&mut SystemRandom))?;
    attacker.publish(&now, &forged)?;
    let tried = "serve targets that no release key signed, with stolen timestamp keys";
    attacker.expect_untrusted(Rule::R10, tried, rules).await;

    taken.stop();
    Ok(())
}

/// What the attacker works with.
struct Attacker<'a> {
    stage: &'a Stage,
    taken: &'a TakenOver,
    device: &'a SimDevice,
    published: AtomicU64,
}

impl Attacker<'_> {
    /// Watches what the device makes of what is served: it must say itself that it does not trust it.
    async fn expect_untrusted(&self, rule: Rule, tried: &str, rules: &Rules<'_>) {
        let answer =
            watch(self.device, |event| matches!(event, Event::Trouble { .. } | Event::Deployment { .. }))
                .await;
        let held = matches!(answer, Some(Event::Trouble { code: ErrorCode::Untrusted }));
        rules.tried(rule, tried, held, said(answer.as_ref()));
    }

    /// The targets metadata among these files.
    fn targets(&self, files: &Files) -> Result<Signed<Targets>, Error> {
        let newest = files.iter().rfind(|(path, _)| path.ends_with(".targets.json"));
        let (_, bytes) = newest
            .ok_or_else(|| Error::new(ErrorCode::Internal, "there is no targets metadata to lie with"))?;
        Signed::parse(bytes).map_err(untrusted)
    }

    /// An online key of the backend, as it lies on its disk.
    fn key(&self, name: &str) -> Result<Ed25519Key, Error> {
        let path = self.stage.config.data.join("keys").join(name);
        let seed = fs::read(&path).map_err(|source| Error::file("read", &path, &source))?;
        let seed: [u8; 32] =
            seed.try_into().map_err(|_| Error::new(ErrorCode::Internal, "a stolen key cannot be read"))?;
        Ok(Ed25519Key::from_seed(&seed))
    }

    /// Serves these files, with `targets` under snapshot and timestamp that are as new as can be.
    fn publish(&self, files: &Files, targets: &Signed<Targets>) -> Result<(), Error> {
        let now = self.stage.alice.now();
        // Above every version that the device has seen.
        let version = now.as_secs() + 3_600 * (self.published.fetch_add(1, Ordering::Relaxed) + 1);
        let mut snapshot = Signed::new(Snapshot::new(version, now, targets)).map_err(untrusted)?;
        snapshot.sign(&self.key("snapshot")?)?;
        let mut timestamp = Signed::new(Timestamp::new(version, now, &snapshot)).map_err(untrusted)?;
        timestamp.sign(&self.key("timestamp")?)?;
        for (path, bytes) in files {
            self.taken.serve(&format!("{}{path}", device_path::TUF), bytes.clone());
        }
        let serve = |path: String, bytes: &[u8]| {
            self.taken.serve(&format!("{}{path}", device_path::TUF), bytes.to_vec());
        };
        serve(Role::Targets.path(targets.signed().version), targets.raw());
        serve(Role::Snapshot.path(version), snapshot.raw());
        serve(Role::Timestamp.path(version), timestamp.raw());
        tracing::debug!(serial = %self.device.plan().serial, "the attacker publishes");
        Ok(())
    }
}

/// What a device said, in words.
pub(crate) fn said(event: Option<&Event>) -> String {
    match event {
        Some(Event::Refused { code, .. }) => format!("the device refused: {code}"),
        Some(Event::Trouble { code }) => format!("the device takes none of it: {code}"),
        Some(Event::Deployment { state, code, .. }) => {
            let code = code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
            format!("the deployment came to {}{code}", state.as_str())
        }
        Some(Event::CheckedIn { .. }) => "the device checked in".to_owned(),
        Some(_) => "the device went on".to_owned(),
        None => "the device said nothing".to_owned(),
    }
}

/// Switches a device on and waits for something to happen on it.
pub(crate) async fn watch(device: &SimDevice, wanted: impl FnMut(&Event) -> bool) -> Option<Event> {
    watch_for(device, WATCH, wanted).await
}

async fn watch_for(
    device: &SimDevice,
    patience: Duration,
    mut wanted: impl FnMut(&Event) -> bool,
) -> Option<Event> {
    let (sender, mut events) = mpsc::unbounded_channel();
    let told = Shutdown::new();
    let observer = Box::new(move |event: &Event| drop(sender.send(event.clone())));
    let seen = async {
        while let Some(event) = events.recv().await {
            if wanted(&event) {
                return Some(event);
            }
        }
        None
    };
    let run = device.run(told.clone(), observer);
    tokio::select! {
        seen = tokio::time::timeout(patience, seen) => seen.ok().flatten(),
        _ = run => None,
    }
}

/// Every file of the metadata that is in force.
async fn metadata(stage: &Stage) -> Result<Files, Error> {
    let session = stage.alice.session().await?;
    let trust = stage.alice.trust().await?;
    let mut paths = vec![Role::Root.path(1)];
    paths.extend(trust.state.snapshot().map(|file| Role::Snapshot.path(file.signed().version)));
    paths.extend(trust.state.targets().map(|file| Role::Targets.path(file.signed().version)));
    let keys = envelope::TrustKeys::TARGET.parse().expect("a constant target name parses");
    // Devices and desktops look for targets in either place.
    paths.extend(
        trust
            .targets
            .target(&keys)
            .into_iter()
            .flat_map(|target| [target.path(), format!("targets/{}", target.path())]),
    );
    let mut files = Files::new();
    for path in paths {
        if let Some(bytes) = session.client.file(&format!("{}{path}", device_path::TUF), 1 << 22).await? {
            files.insert(path, bytes);
        }
    }
    Ok(files)
}

/// The timestamp that is in force.
async fn timestamp(stage: &Stage) -> Result<Vec<u8>, Error> {
    let path = format!("{}{}", device_path::TUF, Role::Timestamp.path(0));
    let file = stage.alice.session().await?.client.file(&path, 1 << 22).await?;
    file.ok_or_else(|| Error::new(ErrorCode::Internal, "the backend serves no timestamp"))
}

/// A ticket as it lies in the backend's database.
#[derive(Clone)]
pub(crate) struct Stored {
    device: DeviceId,
    release: ReleaseId,
    deployment: DeploymentId,
    label: Vec<u8>,
    sealed: Vec<u8>,
}

impl Stored {
    pub(crate) fn offer(self) -> Offer {
        Offer {
            deployment: self.deployment,
            sealed_ticket: Base64(self.sealed),
            label: Base64(self.label),
            sealed_link: None,
        }
    }
}

fn tickets(stage: &Stage) -> Result<Vec<Stored>, Error> {
    let file = database(stage)?;
    let sql = "SELECT device.id, rollout.release, deployment.id, ticket.label, ticket.sealed FROM ticket
               JOIN deployment ON deployment.n = ticket.deployment
               JOIN device ON device.n = deployment.device
               JOIN rollout ON rollout.n = deployment.rollout";
    let mut query = file.prepare(sql).map_err(failed)?;
    let rows = query.query_map([], |row| {
        Ok(Stored {
            device: DeviceId::new(row.get(0)?),
            release: ReleaseId::new(row.get(1)?),
            deployment: DeploymentId::new(row.get(2)?),
            label: row.get(3)?,
            sealed: row.get(4)?,
        })
    });
    rows.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

/// The backend hands out a device's certificate with a KEM key of its own in it, to read the content key.
async fn swap_keys(
    stage: &mut Stage,
    field: &Running,
    release: ReleaseId,
    rules: &Rules<'_>,
) -> Result<(), Error> {
    let device = field.ids[GAMMA];
    let plan_of = field.devices[GAMMA].plan().clone();
    let forged = forge(stage, device, &plan_of)?;
    let original = put_certificate(stage, device, &forged)?;
    let listener = stage.listen().await?;
    stage.start(listener);
    // Beside an honest device that no other rollout holds, so that there is something to plan.
    let preview =
        stage.alice.run::<RolloutPreview>(plan(release, vec![device, field.ids[CUT_OFF]], None)).await?;
    let untrusted = preview.excluded.iter().find(|exclusion| exclusion.reason == ExclusionReason::Untrusted);
    let held = untrusted.is_some_and(|exclusion| exclusion.examples == [device]) && preview.devices == 1;
    let outcome = if held {
        "the desktop does not trust it, and signs no ticket for it".to_owned()
    } else {
        format!("tickets would be signed for {} devices", preview.devices)
    };
    let tried = "hand a desktop a certificate with the backend's own KEM key, to read the update";
    rules.tried(Rule::R8, tried, held, outcome);
    stage.stop().await?;
    put_certificate(stage, device, &original).map(drop)
}

/// Puts a certificate in the place of a device's, and gives back the one before.
fn put_certificate(stage: &Stage, device: DeviceId, der: &[u8]) -> Result<Vec<u8>, Error> {
    let file = database(stage)?;
    let before = file
        .query_row(
            "SELECT der FROM certificate JOIN device ON device.n = certificate.device WHERE device.id = ?1",
            [device.as_bytes()],
            |row| row.get(0),
        )
        .map_err(failed)?;
    let sha256 = envelope::sha256(der);
    for sql in [
        "UPDATE certificate SET der = ?2, sha256 = ?3 WHERE device = (SELECT n FROM device WHERE id = ?1)",
        "UPDATE device SET certificate = ?3 WHERE id = ?1 AND ?2 IS NOT NULL",
    ] {
        file.execute(sql, params![device.as_bytes(), der, sha256.as_bytes()]).map_err(failed)?;
    }
    Ok(before)
}

/// A certificate that says all that the real one says, but by a CA of the attacker's own and with the
/// attacker's KEM key.
fn forge(stage: &Stage, device: DeviceId, plan: &sim::Plan) -> Result<Vec<u8>, Error> {
    let now = stage.alice.now();
    let random = &mut SystemRandom;
    let (root_key, ca_key, key) = (P256Key::generate()?, P256Key::generate()?, P256Key::generate()?);
    let organization = "Fleetseal Demo".parse()?;
    let root = RootProfile { organization }.issue(&Ecdsa(&root_key), random, now)?;
    let root = CaCertificate::parse(&root)?;
    let root_signer = Ecdsa(&root_key);
    let domain = "attacker.example".parse().map_err(|source| Error::internal("a constant domain", source))?;
    let kind = CaKind::Devices("line-1".parse().expect("a constant parses"));
    let point = pki::P256Signer::public_key_sec1(&Ecdsa(&ca_key));
    let profile = CaProfile { kind, domain, not_after: UnixTime::MAX };
    let ca =
        profile.issue(&pki::P256PublicKey::from_sec1(point)?, &Ca::new(&root, &root_signer)?, random, now)?;
    let ca = CaCertificate::parse(&ca)?;
    let kem = KemSecret::generate(random)?.public();
    let csr = pki::request::build(&Ecdsa(&key), &kem.0, Some(&plan.serial))
        .map_err(|source| Error::internal("the attacker's request could not be made", source))?;
    let profile = DeviceProfile {
        device,
        serial: plan.serial.clone(),
        model: plan.model.clone(),
        not_after: UnixTime::MAX,
        certificate_serial: pki::certificate_serial([9; 16]),
    };
    let ca_signer = Ecdsa(&ca_key);
    Ok(profile.issue(&Csr::parse(&csr)?, &Ca::new(&ca, &ca_signer)?, now)?.to_vec())
}

impl Founding {
    /// The backend's certificate chain and the fleet's roots, DER.
    pub(crate) fn server_chain(&self) -> (Vec<CertificateDer<'static>>, Vec<CertificateDer<'static>>) {
        let der = |bytes: &Base64| CertificateDer::from(bytes.0.clone());
        let servers = self.issuing_cas.iter().filter(|der| {
            CaCertificate::parse(der).is_ok_and(|ca| matches!(ca.role(), pki::CaRole::Servers))
        });
        let chain = std::iter::once(&self.server_certificate).chain(servers).chain([&self.ca_root]).map(der);
        (chain.collect(), vec![der(&self.ca_root)])
    }
}

pub(crate) fn plan(release: ReleaseId, devices: Vec<DeviceId>, start_at: Option<UnixTime>) -> PlanRollout {
    PlanRollout {
        release,
        target: None,
        devices,
        phases: vec![PhaseSize {
            size: Size::Rest,
            success: Percent::ALL,
            soak: Seconds(0),
            gate: Gate::Continue,
        }],
        failure: model::FailureThreshold { share: Percent::ALL, minimum_sample: 1 },
        device_timeout: Seconds::hours(1),
        retries: 0,
        rate: None,
        window: None,
        link_life: Seconds::minutes(10),
        ticket_life: Seconds::days(1),
        start_at,
    }
}

pub(crate) fn database(stage: &Stage) -> Result<Connection, Error> {
    Connection::open(stage.config.data.join("store.sqlite")).map_err(failed)
}

pub(crate) fn failed(source: rusqlite::Error) -> Error {
    Error::internal("the attacker could not use the database", source)
}
