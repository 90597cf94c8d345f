//! The SMP engine over lines that lose, flip, repeat and delay.

use std::time::Duration;

use bench::smp::{Cancel, Client, Destination, Error, Parameters, Selection};
use proptest::prelude::*;
use protocol::smp::Framing;
use sim::board::{Board, Buffers, Profile};

use crate::world::{Line, SimPort, World, image, lock, profile};

fn client_with(profile: Profile, line: Line, seed: u64) -> (Client, crate::world::Shared) {
    let framing = profile.framing;
    let board = Board::new(profile, image((1, 0, 0), 20_000).as_bytes());
    let world = World::new(vec![board], line, seed);
    lock(&world).advance(Duration::from_secs(2));
    let client = Client::new(SimPort::open(&world, 0), framing, Cancel::new());
    (client, world)
}

fn client(line: Line) -> (Client, crate::world::Shared) {
    client_with(profile("B-1"), line, 1)
}

fn upload(client: &mut Client, image: &bench::Image) -> Result<(), Error> {
    let parameters = client.parameters()?;
    let destination = Destination::Image { image: 0, sha256: envelope::sha256(image.as_bytes()) };
    client.upload(destination, image.as_bytes(), &parameters, &mut |_| {})
}

#[test]
fn a_board_tells_who_it_is_and_what_it_has() {
    let (mut client, _world) = client(Line::default());
    client.echo("hello").unwrap();
    assert_eq!(client.parameters().unwrap(), Parameters { buffer_bytes: 384, buffers: 4 });
    assert_eq!(client.groups().unwrap(), [0, 1, 3, 8, 10, 256]);
    assert_eq!(client.bootloader().unwrap().unwrap().name, "MCUboot");
    let slots = client.slots().unwrap();
    assert_eq!((slots.len(), slots[0].version.as_str()), (1, "1.0.0"));
    assert!(slots[0].active && slots[0].confirmed && !slots[0].pending);
}

#[test]
fn a_device_that_does_not_tell_its_buffers_gets_small_messages_one_by_one() {
    let silent = Profile { tells_buffers: false, ..profile("B-1") };
    let (mut client, world) = client_with(silent, Line::default(), 1);
    assert_eq!(client.parameters().unwrap(), Parameters::UNKNOWN);
    upload(&mut client, &image((1, 1, 0), 9_000)).unwrap();
    assert_eq!(lock(&world).boards[0].dropped(), 0);
}

#[test]
fn an_upload_fills_the_buffers_and_never_overruns_them() {
    for buffers in [(96, 2), (384, 4), (1024, 2), (2048, 8), (4096, 1)] {
        let profile = Profile { buffers: Buffers { bytes: buffers.0, count: buffers.1 }, ..profile("B-1") };
        let (mut client, world) = client_with(profile, Line { baud: Some(115_200), ..Line::default() }, 1);
        if buffers.0 < 128 {
            assert!(matches!(
                upload(&mut client, &image((1, 1, 0), 30_000)),
                Err(Error::BufferTooSmall { bytes: 96 })
            ));
            continue;
        }
        upload(&mut client, &image((1, 1, 0), 30_000)).unwrap();
        assert_eq!(lock(&world).boards[0].dropped(), 0, "{buffers:?}");
        assert_eq!(client.slots().unwrap()[1].version, "1.1.0");
    }
}

#[test]
fn more_than_one_piece_under_way_hides_the_lines_latency() {
    let took = |count| {
        let profile = Profile { buffers: Buffers { bytes: 384, count }, ..profile("B-1") };
        let line = Line { baud: Some(1_000_000), latency: Duration::from_millis(10), ..Line::default() };
        let (mut client, world) = client_with(profile, line, 1);
        client.erase().unwrap();
        let start = lock(&world).now;
        upload(&mut client, &image((1, 1, 0), 60_000)).unwrap();
        lock(&world).now - start
    };
    let (alone, pipelined) = (took(1), took(4));
    assert!(alone.as_secs_f64() > 2.2 * pipelined.as_secs_f64(), "{alone:?} {pipelined:?}");
}

#[test]
fn an_upload_goes_on_where_the_device_stands() {
    let (mut client, world) = client(Line::default());
    let image = image((1, 1, 0), 60_000);
    let cancel = Cancel::new();
    let mut first = Client::new(SimPort::open(&world, 0), Framing::Console, cancel.clone());
    let parameters = client.parameters().unwrap();
    let destination = Destination::Image { image: 0, sha256: envelope::sha256(image.as_bytes()) };
    let half = first.upload(destination.clone(), image.as_bytes(), &parameters, &mut |progress| {
        if progress.done_bytes > 30_000 {
            cancel.cancel();
        }
    });
    assert!(matches!(half, Err(Error::Canceled)));
    let mut earliest = u64::MAX;
    client
        .upload(destination, image.as_bytes(), &parameters, &mut |progress| {
            if progress.done_bytes > 0 {
                earliest = earliest.min(progress.done_bytes);
            }
        })
        .unwrap();
    assert!(earliest >= 30_000, "{earliest}");
}

#[test]
fn a_lost_first_piece_costs_a_moment_and_not_the_patience_for_erasing() {
    let (mut client, world) = client(Line::default());
    let parameters = client.parameters().unwrap();
    // Every byte of the next seconds is lost, with the first piece among them.
    lock(&world).line.drops = 1_000_000;
    let image = image((1, 1, 0), 5_000);
    let destination = Destination::Image { image: 0, sha256: envelope::sha256(image.as_bytes()) };
    let start = lock(&world).now;
    let shared = std::sync::Arc::clone(&world);
    client
        .upload(destination, image.as_bytes(), &parameters, &mut |progress| {
            if progress.at > start + Duration::from_millis(500) {
                lock(&shared).line.drops = 0;
            }
        })
        .unwrap();
    let took = lock(&world).now - start;
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn nobody_there_is_said_soon_and_clearly() {
    let (mut client, world) = client(Line::default());
    lock(&world).line.drops = 1_000_000;
    assert!(matches!(client.echo("hello"), Err(Error::NoAnswer { what: "echo" })));
    assert!(lock(&world).now < Duration::from_secs(40));
}

#[test]
fn a_refusal_is_told_with_its_group_and_result() {
    let (mut client, _world) = client(Line::default());
    let unknown = model::Digest::new([9; 32]);
    assert!(matches!(
        client.select(Selection::Test(unknown)),
        Err(Error::Refused { group: 1, code: 24, .. })
    ));
    assert!(client.setting("none").is_err());
}

#[test]
fn settings_and_files_come_back_as_they_were_written() {
    let (mut client, _world) = client(Line { baud: Some(115_200), ..Line::default() });
    client.set_setting("fleet/endpoint", b"https://example.org").unwrap();
    client.save_settings().unwrap();
    assert_eq!(client.setting("fleet/endpoint").unwrap(), b"https://example.org");
    let parameters = client.parameters().unwrap();
    let content: Vec<u8> = (0..10_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let destination = Destination::File { path: "/lfs1/config".to_owned() };
    client.upload(destination, &content, &parameters, &mut |_| {}).unwrap();
    let hash = client.file_hash("/lfs1/config").unwrap();
    assert_eq!((hash.bytes, hash.sha256), (10_000, envelope::sha256(&content)));
    assert_eq!(client.download("/lfs1/config", 20_000).unwrap(), content);
    assert!(client.download("/lfs1/config", 9_999).is_err());
}

#[test]
fn a_device_makes_its_keys_once_proves_them_and_locks_itself() {
    let (mut client, _world) = client(Line::default());
    let info = client.provisioning_info().unwrap().unwrap();
    assert_eq!((info.hardware_id.as_str(), info.lifecycle), ("B-1", bench::smp::Lifecycle::Blank));
    let key = client.keygen(&[1; 32]).unwrap();
    assert_eq!(client.keygen(&[2; 32]).unwrap(), key);
    let csr = client.csr(&[3; 32]).unwrap();
    assert!(csr.windows(key.len()).any(|window| window == key));
    // What stands for a certificate here is whatever holds the key.
    let certificate = [b"certificate of ".to_vec(), key].concat();
    assert!(client.write_certificate(bench::smp::CertificateKind::Leaf, b"another key's", 100).is_err());
    client.write_certificate(bench::smp::CertificateKind::Leaf, &certificate, 50).unwrap();
    assert_eq!(client.prove(&[4; 32]).unwrap().len(), 64);
    client.lock(&envelope::sha256(&certificate)).unwrap();
    assert!(client.keygen(&[5; 32]).is_err());
    assert!(client.set_setting("a", b"b").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Never a wrong "uploaded": when an upload says that it is done, and the device's own hash says so
    /// too, the device has the image, byte for byte; and an upload that is not done says so.
    #[test]
    fn an_upload_over_a_bad_line_is_right_or_says_that_it_is_not(
        seed in any::<u64>(),
        flips in 0_u64..400,
        drops in 0_u64..200,
        repeats in 0_u64..10,
        delays in 0_u64..10,
        raw in any::<bool>(),
    ) {
        // Raw framing has no CRC: it is for lines that do not flip.
        let flips = if raw { 0 } else { flips };
        let line = Line {
            baud: Some(115_200), latency: Duration::from_millis(2), flips, drops, repeats, delays,
        };
        let framing = if raw { Framing::Raw } else { Framing::Console };
        let (mut client, world) = client_with(Profile { framing, ..profile("B-1") }, line, seed);
        let image = image((1, 1, 0), 12_000);
        if upload(&mut client, &image).is_ok() {
            lock(&world).line = Line::default();
            // What is under way still arrives.
            client.drain(Duration::from_secs(10)).unwrap();
            if client.slots().unwrap().iter().any(|slot| slot.hash == Some(image.hash())) {
                client.select(Selection::Test(image.hash())).unwrap();
                client.reset(bench::smp::BootMode::Normal).unwrap();
                let until = lock(&world).now + Duration::from_secs(30);
                lock(&world).advance(until);
                prop_assert_eq!(lock(&world).boards[0].running().map(|r| r.hash), Some(image.hash()));
            }
        }
    }
}
