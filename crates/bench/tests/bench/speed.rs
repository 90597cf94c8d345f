//! How much of a line an upload uses, in simulated time, against what the line could carry.

use std::time::Duration;

use bench::smp::{Cancel, Client, Destination, Parameters};
use protocol::smp::Framing;
use sim::board::{Board, Buffers, FlashTiming, Profile};

use crate::world::{Line, SimPort, World, image, lock, profile};

/// A line and a device's buffers.
#[derive(Clone, Copy, Debug)]
struct Cell {
    baud: u32,
    /// There and back, the line's own time apart.
    turnaround: Duration,
    buffers: Buffers,
}

/// The bytes of the program that is sent.
const PROGRAM: usize = 100_000;
/// The least around the data of a piece: header and CBOR.
const AROUND: usize = 8 + 18;
/// The answer to a piece, as a message.
const ANSWER: usize = 8 + 12;

impl Cell {
    /// A device that costs no time itself, so that only the line does.
    fn profile(self) -> Profile {
        Profile {
            buffers: self.buffers,
            flash: FlashTiming { erase: Duration::ZERO, write: Duration::ZERO },
            answer: Duration::ZERO,
            ..profile("B-1")
        }
    }

    /// How long an upload takes, with as many pieces under way as `buffers` of the device are believed in.
    fn took(self, buffers: u64) -> Duration {
        let line = Line { baud: Some(self.baud), latency: self.turnaround / 2, ..Line::default() };
        let board = Board::new(self.profile(), image((1, 0, 0), 5_000).as_bytes());
        let world = World::new(vec![board], line, 1);
        lock(&world).advance(Duration::from_secs(2));
        let mut client = Client::new(SimPort::open(&world, 0), Framing::Console, Cancel::new());
        let image = image((1, 1, 0), PROGRAM);
        let destination = Destination::Image { image: 0, sha256: envelope::sha256(image.as_bytes()) };
        let parameters = Parameters { buffers, ..client.parameters().unwrap() };
        client.erase().unwrap();
        let start = lock(&world).now;
        client.upload(destination, image.as_bytes(), &parameters, &mut |_| {}).unwrap();
        assert_eq!(lock(&world).boards[0].dropped(), 0, "{self:?}");
        lock(&world).now - start
    }

    /// The least that it can take with `window` pieces under way.
    fn bound(self, window: u64) -> Duration {
        let byte = 10.0 / f64::from(self.baud);
        let on_wire = |message: usize| Framing::Console.wire_bytes(message) as f64 * byte;
        // A buffer holds the message with its length and CRC.
        let data = self.buffers.bytes - 4 - AROUND;
        let piece = on_wire(data + AROUND);
        let round = piece + on_wire(ANSWER) + self.turnaround.as_secs_f64();
        let each = piece.max(round / window as f64);
        Duration::from_secs_f64(each * PROGRAM as f64 / data as f64)
    }
}

fn cells() -> impl Iterator<Item = Cell> {
    [115_200, 1_000_000].into_iter().flat_map(|baud| {
        [0, 5, 20].into_iter().flat_map(move |turnaround| {
            [(384, 4), (1024, 4), (2048, 4)].into_iter().map(move |(bytes, count)| Cell {
                baud,
                turnaround: Duration::from_millis(turnaround),
                buffers: Buffers { bytes, count },
            })
        })
    })
}

#[test]
fn an_upload_uses_what_line_and_buffers_allow_in_every_cell() {
    for cell in cells() {
        let (took, bound) = (cell.took(4), cell.bound(3));
        let share = bound.as_secs_f64() / took.as_secs_f64();
        assert!(share >= 0.93, "{cell:?}: {took:?}, {share:.3} of what {bound:?} would be");
    }
}

#[test]
fn pieces_under_way_at_once_are_twice_as_fast_as_one_by_one_on_a_quick_line_with_a_long_way() {
    let quick = |cell: &Cell| cell.baud == 1_000_000 && cell.turnaround.as_millis() == 20;
    // A longer piece takes more of the line than the way takes: there the line itself is the limit.
    for cell in cells().filter(|cell| quick(cell) && cell.buffers.bytes <= 1024) {
        let (alone, together) = (cell.took(1), cell.took(4));
        assert!(alone >= together * 2, "{cell:?}: {alone:?} {together:?}");
    }
}
