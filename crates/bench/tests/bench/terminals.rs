//! Over real pseudo terminals, with faults by seed: the same promises in real time.

use std::{thread, time::Duration};

use bench::{
    Locator as _, SerialLocator, Visit,
    visit::{Interrupted, Notice, Record, Step},
};
use sim::board::{Board, FlashTiming, Profile, Trouble, Wire, attach_pty};

use crate::{
    visits::{Memory, visit},
    world::{Random, image, profile},
};

/// How many seeds are tried, and how many at once: as many as a bench has sockets.
const RUNS: u64 = 48;
const AT_ONCE: u64 = 16;

fn run(seed: u64) -> (Step, u32) {
    let mut random = Random::new(seed);
    let mut pick = |from: [u32; 4]| from[random.below(4) as usize];
    let trouble = Trouble {
        seed,
        flips: pick([0, 0, 50, 200]),
        drops: pick([0, 0, 20, 100]),
        power_cut_within: pick([0, 0, 0, 300]),
    };
    let quick = Profile {
        flash: FlashTiming { erase: Duration::from_micros(200), write: Duration::from_micros(50) },
        boot: Duration::from_millis(40),
        ..profile("B-1")
    };
    let target = image((1, 1, 0), 16_000);
    let board = Board::new(quick, image((1, 0, 0), 20_000).as_bytes());
    let attached = attach_pty(board, Wire { trouble, ..Wire::default() }).unwrap();
    let mut locator = SerialLocator::new(1_000_000).with(attached.address());
    let place = locator.devices().unwrap().remove(0).place;
    let begin = || Record::new(place.clone(), None, target.hash());
    let visit =
        Visit { trial: Duration::from_millis(200), patience: Duration::from_secs(20), ..visit(&target) };
    let mut journal =
        Memory { dies_at: seed.is_multiple_of(3).then_some(1 + seed as u32 % 5), ..Memory::default() };
    let (mut record, mut interruptions) = (begin(), 0);
    let done = loop {
        match visit.run(record, &mut locator, &mut journal, &mut |_: Notice| {}) {
            Ok(done) => break done,
            Err(Interrupted::Journal(_) | Interrupted::Gone) => {
                interruptions += 1;
                assert!(interruptions < 8, "seed {seed}: it never ends");
                record = journal.kept.clone().unwrap_or_else(begin);
            }
            Err(other) => panic!("seed {seed}: {other}"),
        }
    };
    let board = attached.board();
    assert!(!board.is_bricked(), "seed {seed}: bricked");
    if done.step == Step::Passed {
        let running = board.running().unwrap_or_else(|| panic!("seed {seed}: passed, and nothing runs"));
        assert!(running.hash == target.hash() && running.confirmed, "seed {seed}: a wrong PASS: {running:?}");
    }
    (done.step, interruptions)
}

#[test]
fn sixteen_boards_at_once_on_real_terminals_come_to_no_wrong_verdict() {
    let mut outcomes = Vec::new();
    for first in (0..RUNS).step_by(AT_ONCE as usize) {
        let visits: Vec<_> = (first..first + AT_ONCE).map(|seed| thread::spawn(move || run(seed))).collect();
        outcomes.extend(visits.into_iter().map(|visit| visit.join().unwrap()));
    }
    let passed = outcomes.iter().filter(|(step, _)| *step == Step::Passed).count();
    let resumed = outcomes.iter().filter(|(step, times)| *step == Step::Passed && *times > 0).count();
    assert!(passed * 10 > outcomes.len() * 8, "{passed} of {}: {outcomes:?}", outcomes.len());
    assert!(resumed > 0, "none went on after the bench died");
}
