//! Issues tickets on one core and compares with the floor: what the same signatures, sealings and batch
//! verification take on their own (performance goal P12). Then issues all tickets of a rollout, in the
//! batches that a workstation hands over, and says how many core-seconds that took.
//!
//! `cargo run --release -p fleetseal-envelope --example bench_ticket -- [DEVICES]`

use std::{
    error::Error,
    hint::black_box,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::signature::Ed25519KeyPair;
use ed25519_dalek::{Signature, VerifyingKey};
use envelope::{
    Action, ContentKey, Ed25519Key, Identity, Installation, KemSecret, PublicKey, SealedPayload, Signer,
    Statement, SystemRandom, Target, Ticket, sha256, ticket::issue_many,
};
use model::{DeviceId, FleetId, Random, RolloutId, SecurityCounter, SpkiDigest, UnixTime};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as HPKE_4,
    hpke::{Hpke, HpkePublicKey},
};

const TICKETS: usize = 1_000;
const ROUNDS: usize = 15;
/// How many tickets a workstation hands over at a time.
const BATCH: usize = 500;
/// How many devices the goal speaks of.
const GOAL: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let devices: usize = std::env::args().nth(1).map_or(Ok(GOAL), |text| text.parse())?;
    let random = &mut SystemRandom;
    let mut seed = [0; 32];
    random.fill(&mut seed);
    let key = Ed25519Key::from_seed(&seed);
    let content = Arc::new(ContentKey::generate(random));
    let fleet = FleetId::random(random);
    let rollout = RolloutId::random(random);
    let now = UnixTime::from_secs(1_800_000_000);
    let mut tickets = Vec::with_capacity(TICKETS);
    let mut recipients = Vec::with_capacity(TICKETS);
    for seq in 0..TICKETS as u64 {
        let kem = KemSecret::generate(random)?.public();
        let statement = Statement {
            fleet,
            device: DeviceId::random(random),
            identity: Some(Identity { spki: SpkiDigest::new([1; 32]), kem: kem.id() }),
            rollout,
            component: "main".parse()?,
            seq,
            issued_at: now,
            not_before: now,
            not_after: UnixTime::from_secs(1_800_604_800),
            action: Action::Install(Box::new(Installation {
                target: Target {
                    name: "pump/firmware-1.4.0.bin".parse()?,
                    version: "1.4.0+12".parse()?,
                    security_counter: SecurityCounter(7),
                    length: 4_000_000,
                    sha256: sha256(b"artifact"),
                    model: "pump".parse()?,
                    hardware_revision: "b2".parse()?,
                    installer: "slots".parse()?,
                },
                min_targets_version: 3,
                payload: SealedPayload {
                    header: [0; 32],
                    length: 4_001_024,
                    segment_list: sha256(b"segments"),
                },
                deputy: None,
            })),
        };
        tickets.push(Ticket::new(statement, Some(Arc::clone(&content)))?);
        recipients.push(kem);
    }

    let PublicKey::Ed25519(public) = key.public_key() else {
        return Err("an Ed25519 key has another".into());
    };
    let public = VerifyingKey::from_bytes(&public)?;
    let mut whole = Duration::MAX;
    let mut parts = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        black_box(issue_many(&tickets, &key, &recipients)?);
        whole = whole.min(start.elapsed());

        let bare = Ed25519KeyPair::from_seed_unchecked(&seed)?;
        let message = [7; 560];
        let start = Instant::now();
        let signatures = (0..2 * TICKETS)
            .map(|_| Signature::from_slice(bare.sign(black_box(&message)).as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        let signed = start.elapsed();
        for kem in &recipients {
            let to = HpkePublicKey(kem.0.to_vec());
            black_box(HPKE_4.seal(&[], &message[..60], &message, &to)?);
        }
        let sealed = start.elapsed();
        let messages = vec![message.as_slice(); signatures.len()];
        ed25519_dalek::verify_batch(&messages, &signatures, &vec![public; messages.len()])?;
        let verified = start.elapsed();
        for (part, took) in parts.iter_mut().zip([signed, sealed - signed, verified - sealed]) {
            *part = (*part).min(took);
        }
    }

    let each = |time: Duration, n: usize| time.as_secs_f64() * 1e6 / n as f64;
    let [sign, seal, verify] = parts;
    let floor = sign + seal + verify;
    writeln!(
        std::io::stdout(),
        "floor {:.1} µs (sign {:.1} x 2, seal {:.1}, verify {:.1} x 2), issued in {:.1} µs: {:.3} of the floor",
        each(floor, TICKETS),
        each(sign, 2 * TICKETS),
        each(seal, TICKETS),
        each(verify, 2 * TICKETS),
        each(whole, TICKETS),
        floor.as_secs_f64() / whole.as_secs_f64(),
    )?;
    all_tickets(devices, &tickets[0], &content, &key)
}

/// One ticket for each of so many devices: made, signed, sealed, labelled and verified, as rows in memory.
fn all_tickets(
    devices: usize,
    template: &Statement,
    content: &Arc<ContentKey>,
    key: &Ed25519Key,
) -> Result<(), Box<dyn Error>> {
    let random = &mut SystemRandom;
    let keys = (0..devices).map(|_| Ok(KemSecret::generate(random)?.public()));
    let keys = keys.collect::<Result<Vec<_>, envelope::Error>>()?;
    let before = busy()?;
    let mut bytes = 0;
    for keys in keys.chunks(BATCH) {
        let of = |kem: &envelope::KemPublicKey| {
            let identity = Some(Identity { spki: SpkiDigest::new([1; 32]), kem: kem.id() });
            let statement = Statement { device: DeviceId::random(random), identity, ..template.clone() };
            Ticket::new(statement, Some(Arc::clone(content)))
        };
        let tickets = keys.iter().map(of).collect::<Result<Vec<_>, _>>()?;
        let issued = issue_many(&tickets, key, keys)?;
        bytes += issued.iter().map(|issued| issued.sealed.len() + issued.label.len()).sum::<usize>();
    }
    let took = (busy()? - before).as_secs_f64();
    let part = if devices == GOAL { "" } else { ", a fraction of the goal's 1,000,000" };
    writeln!(
        std::io::stdout(),
        "tickets for a rollout to {devices} devices{part}: {took:.1} core-s, {:.1} µs and {} bytes a device \
         (goal: 120 µs, which is 120 core-s for 1,000,000)",
        took * 1e6 / devices as f64,
        bytes / devices.max(1),
    )?;
    Ok(())
}

/// The processor time of this thread.
fn busy() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = stat.split_whitespace().next().ok_or("the kernel keeps no times")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}
