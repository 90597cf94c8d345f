//! Whole visits: what the technician's one button does.

use std::{io, time::Duration};

use bench::{
    Image, Visit,
    smp::Cancel,
    visit::{Failure, FileJournal, Interrupted, Journal, Notice, Record, Step},
};
use envelope::Ed25519Key;
use protocol::smp::Framing;
use sim::board::{Board, Firmware, Profile};

use crate::world::{Event, Line, Shared, SimLocator, World, image, lock, place, profile};

/// A journal in memory, which dies at the save of this number.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) kept: Option<Record>,
    pub(crate) dies_at: Option<u32>,
    pub(crate) saves: u32,
}

impl Journal for Memory {
    fn save(&mut self, record: &Record) -> io::Result<()> {
        self.saves += 1;
        self.kept = Some(record.clone());
        if self.dies_at == Some(self.saves) { Err(io::Error::other("killed")) } else { Ok(()) }
    }
}

pub(crate) fn visit(image: &Image) -> Visit<'_> {
    Visit {
        image,
        framing: Framing::Console,
        may_recover: true,
        trial: Duration::from_secs(3),
        patience: Duration::from_secs(60),
        cancel: Cancel::new(),
    }
}

pub(crate) fn board(serial: &str) -> Board {
    Board::new(profile(serial), image((1, 0, 0), 20_000).as_bytes())
}

fn record(image: &Image) -> Record {
    Record::new(place(0), Some("B-1".to_owned()), image.hash())
}

fn run(world: &Shared, image: &Image) -> Result<Record, Interrupted> {
    let mut locator = SimLocator(std::sync::Arc::clone(world));
    visit(image).run(record(image), &mut locator, &mut Memory::default(), &mut |_| {})
}

fn verdict(board: Board, image: &Image) -> (Step, Shared) {
    let world = World::new(vec![board], Line::default(), 1);
    let step = run(&world, image).unwrap().step;
    (step, world)
}

#[test]
fn a_visit_transfers_boots_on_trial_looks_and_confirms() {
    let image = image((1, 1, 0), 40_000);
    let world = World::new(vec![board("B-1")], Line::default(), 1);
    let mut steps = Vec::new();
    let mut locator = SimLocator(std::sync::Arc::clone(&world));
    let done = visit(&image)
        .run(record(&image), &mut locator, &mut Memory::default(), &mut |notice| {
            if let Notice::Step(step) = notice {
                steps.push(step);
            }
        })
        .unwrap();
    assert_eq!(
        steps,
        [Step::Transferring, Step::Activating, Step::Rebooting, Step::Confirming, Step::Passed]
    );
    assert_eq!((done.before.as_deref(), done.hardware_id.as_deref()), (Some("1.0.0"), Some("B-1")));
    let running = lock(&world).boards[0].running().unwrap();
    assert!(running.confirmed);
    assert_eq!((running.hash, running.version.as_str()), (image.hash(), "1.1.0"));
}

#[test]
fn a_device_that_runs_the_image_already_is_left_alone() {
    let image = image((1, 0, 0), 20_000);
    let (step, world) = verdict(board("B-1"), &image);
    assert_eq!(step, Step::Passed);
    // What the factory wrote, and nothing since.
    assert_eq!(lock(&world).boards[0].flash_operations(), 1);
}

#[test]
fn an_image_that_crashes_is_taken_back_and_the_visit_says_so() {
    let payload = [Firmware::CRASHES, &[1; 9_000]].concat();
    let firmware = Firmware { version: (1, 1, 0), security_counter: 1, payload };
    let image = Image::new(firmware.sign(&crate::world::key()).unwrap(), &[]).unwrap();
    // It answers for a moment before its watchdog bites.
    let (step, world) = verdict(board("B-1"), &image);
    assert_eq!(step, Step::Failed(Failure::RolledBack));
    lock(&world).advance(Duration::from_secs(600));
    assert_eq!(lock(&world).boards[0].running().unwrap().version, "1.0.0");
}

#[test]
fn an_image_that_the_bootloader_does_not_trust_ends_in_a_clear_refusal() {
    let other = Ed25519Key::from_seed(&[8; 32]);
    let signed = Firmware::new((1, 1, 0), 1, 9_000).sign(&other).unwrap();
    let image = Image::new(signed, &[]).unwrap();
    let (step, world) = verdict(board("B-1"), &image);
    assert_eq!(step, Step::Failed(Failure::BootloaderRefused));
    assert_eq!(lock(&world).boards[0].running().unwrap().version, "1.0.0");
}

#[test]
fn a_device_that_says_it_confirmed_and_did_not_is_asked_three_times_and_fails() {
    let image = image((1, 1, 0), 16_000);
    let liar = Profile { confirms: false, ..profile("B-1") };
    let board = Board::new(liar, crate::world::image((1, 0, 0), 20_000).as_bytes());
    let world = World::new(vec![board], Line::default(), 1);
    let mut journal = Memory::default();
    let mut locator = SimLocator(std::sync::Arc::clone(&world));
    let done = visit(&image).run(record(&image), &mut locator, &mut journal, &mut |_| {}).unwrap();
    assert_eq!((done.step, done.confirms), (Step::Failed(Failure::Unconfirmed), 3));
    // Transfer, activation, boot, three confirmations and the verdict: no more than that is kept.
    assert_eq!(journal.saves, 7);
}

#[test]
fn a_lower_security_counter_ends_in_a_clear_refusal() {
    let newer = Board::new(profile("B-1"), image((1, 5, 0), 20_000).as_bytes());
    let (step, world) = verdict(newer, &image((1, 4, 0), 20_000));
    assert_eq!(step, Step::Failed(Failure::BootloaderRefused));
    assert_eq!(lock(&world).boards[0].running().unwrap().version, "1.5.0");
}

#[test]
fn an_image_signed_by_none_of_the_models_keys_is_not_sent() {
    let signed = Firmware::new((1, 1, 0), 1, 100).sign(&Ed25519Key::from_seed(&[8; 32])).unwrap();
    let keys = [envelope::Signer::public_key(&crate::world::key())];
    assert!(Image::new(signed, &keys).is_err());
}

#[test]
fn an_image_that_does_not_fit_is_not_sent() {
    let (step, world) = verdict(board("B-1"), &image((1, 1, 0), 300_000));
    assert_eq!(step, Step::Failed(Failure::TooLarge));
    assert_eq!(lock(&world).boards[0].flash_operations(), 1);
}

#[test]
fn a_device_in_recovery_whose_application_lives_is_brought_out_and_updated() {
    let image = image((1, 1, 0), 20_000);
    let world = World::new(vec![board("B-1")], Line::default(), 1);
    lock(&world).boards[0].power_on_in_recovery(Duration::ZERO);
    let done = run(&world, &image).unwrap();
    // Out of recovery first, then through the second slot: so it could have gone back.
    assert_eq!((done.step, done.reboots, done.trials), (Step::Passed, 1, 1));
}

#[test]
fn a_device_whose_application_is_dead_is_updated_from_its_recovery_and_leaves_it() {
    let image = image((1, 1, 0), 20_000);
    let mut broken = image_bytes();
    broken[5_000] ^= 1;
    let world = World::new(vec![Board::new(profile("B-1"), &broken)], Line::default(), 1);
    let done = run(&world, &image).unwrap();
    assert_eq!((done.step, done.transfers, done.trials), (Step::Passed, 1, 0));
    let running = lock(&world).boards[0].running().unwrap();
    assert!(running.confirmed && running.hash == image.hash());
    // And where that is not allowed, nothing is written.
    let world = World::new(vec![Board::new(profile("B-1"), &broken)], Line::default(), 1);
    let mut locator = SimLocator(std::sync::Arc::clone(&world));
    let careful = Visit { may_recover: false, ..visit(&image) };
    let done = careful.run(record(&image), &mut locator, &mut Memory::default(), &mut |_| {}).unwrap();
    assert_eq!((done.step, done.transfers), (Step::Failed(Failure::InRecovery), 0));
}

fn image_bytes() -> Vec<u8> {
    image((1, 0, 0), 20_000).as_bytes().to_vec()
}

#[test]
fn another_device_at_the_place_is_never_taken_for_the_first() {
    let image = image((1, 1, 0), 20_000);
    let (step, world) = verdict(board("B-2"), &image);
    assert_eq!(step, Step::Failed(Failure::AnotherDevice));
    assert_eq!(lock(&world).boards[0].flash_operations(), 1);
}

#[test]
fn two_devices_with_one_serial_number_are_told_apart_by_their_places() {
    let image = image((1, 1, 0), 20_000);
    let world = World::new(vec![board("B-1"), board("B-1")], Line::default(), 1);
    assert_eq!(run(&world, &image).unwrap().step, Step::Passed);
    assert_eq!(lock(&world).boards[0].running().unwrap().version, "1.1.0");
    assert_eq!(lock(&world).boards[1].running().unwrap().version, "1.0.0");
}

#[test]
fn a_pulled_cable_is_waited_for_and_the_transfer_goes_on_within_three_seconds() {
    let image = image((1, 1, 0), 60_000);
    let world = World::new(vec![board("B-1")], Line { baud: Some(115_200), ..Line::default() }, 1);
    lock(&world).events = vec![(40_000, Event::Pull(Duration::from_secs(5)))];
    let mut locator = SimLocator(std::sync::Arc::clone(&world));
    let mut resumed = None;
    let shared = std::sync::Arc::clone(&world);
    let done = visit(&image)
        .run(record(&image), &mut locator, &mut Memory::default(), &mut |notice| {
            let plugged = lock(&shared).last_plug;
            if let (Notice::Progress(progress), true) = (notice, plugged > Duration::ZERO) {
                resumed.get_or_insert(progress.at - plugged);
            }
        })
        .unwrap();
    assert_eq!(done.step, Step::Passed);
    assert!(resumed.unwrap() < Duration::from_secs(3), "{resumed:?}");
}

#[test]
fn two_devices_that_swap_their_sockets_never_swap_their_verdicts() {
    let image = image((1, 1, 0), 60_000);
    let world = World::new(vec![board("B-1"), board("B-2")], Line::default(), 1);
    lock(&world).events = vec![(40_000, Event::Swap(Duration::from_secs(1)))];
    assert_eq!(run(&world, &image).unwrap().step, Step::Failed(Failure::AnotherDevice));
    let world = lock(&world);
    assert!(world.boards.iter().all(|board| board.running().unwrap().version == "1.0.0"));
}

#[test]
fn a_device_that_stays_away_interrupts_the_visit_which_goes_on_when_it_is_back() {
    let image = image((1, 1, 0), 20_000);
    let world = World::new(vec![board("B-1")], Line::default(), 1);
    lock(&world).events = vec![(9_000, Event::Pull(Duration::from_secs(300)))];
    let mut locator = SimLocator(std::sync::Arc::clone(&world));
    let mut journal = Memory::default();
    let gone = visit(&image).run(record(&image), &mut locator, &mut journal, &mut |_| {});
    assert!(matches!(gone, Err(Interrupted::Gone)), "{gone:?}");
    lock(&world).advance(Duration::from_secs(400));
    let kept = journal.kept.take().unwrap();
    assert_eq!(kept.step, Step::Transferring);
    assert_eq!(visit(&image).run(kept, &mut locator, &mut journal, &mut |_| {}).unwrap().step, Step::Passed);
}

#[test]
fn a_bench_that_dies_at_any_step_goes_on_from_its_journal() {
    let image = image((1, 1, 0), 20_000);
    for dies_at in 1..=5 {
        let world = World::new(vec![board("B-1")], Line::default(), 1);
        let mut locator = SimLocator(std::sync::Arc::clone(&world));
        let mut journal = Memory { dies_at: Some(dies_at), ..Memory::default() };
        let died = visit(&image).run(record(&image), &mut locator, &mut journal, &mut |_| {});
        assert!(matches!(died, Err(Interrupted::Journal(_))), "{dies_at}");
        let kept = journal.kept.take().unwrap();
        let done = visit(&image).run(kept, &mut locator, &mut journal, &mut |_| {}).unwrap();
        assert_eq!(done.step, Step::Passed, "{dies_at}");
        assert!(lock(&world).boards[0].running().unwrap().confirmed);
    }
}

#[test]
fn a_power_cut_at_every_flash_operation_ends_well() {
    let image = image((1, 1, 0), 20_000);
    let small = Profile { slot_sectors: 12, ..profile("B-1") };
    let factory = Board::new(small.clone(), image_bytes().as_slice());
    let (_, world) = verdict(factory, &image);
    let operations = lock(&world).boards[0].flash_operations();
    assert!(operations > 50, "{operations}");
    for at in 1..operations {
        let mut board = Board::new(small.clone(), image_bytes().as_slice());
        board.cut_power_in(at);
        let (step, world) = verdict(board, &image);
        assert_eq!(step, Step::Passed, "cut at {at}");
        let running = lock(&world).boards[0].running().unwrap();
        assert!(running.confirmed && running.hash == image.hash(), "cut at {at}");
    }
}

#[test]
fn a_record_in_a_folder_is_whole_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = FileJournal::new(folder.path()).unwrap();
    let record = record(&image((1, 1, 0), 100));
    assert_eq!(journal.load(&place(0)).unwrap(), None);
    journal.save(&record).unwrap();
    assert_eq!(journal.load(&place(0)).unwrap(), Some(record));
    assert_eq!(journal.load(&place(1)).unwrap(), None);
}
