use std::time::Duration;

use envelope::{Ed25519Key, Signer as _, container::McubootImage};
use protocol::smp::{Body, Deframer, Framing, Header, Message, Op, group};

use super::*;

fn board() -> Board {
    let key = Ed25519Key::from_seed(&[1; 32]);
    let image = Firmware::new((1, 2, 3), 4, 5_000).sign(&key).unwrap();
    Board::new(Profile::zephyr("B-1", key.public_key()), &image)
}

/// What a board answers to one request, by `until`.
fn ask(board: &mut Board, body: Body, until: Duration) -> Option<Message> {
    let request = Message {
        op: Op::Write,
        version: Header::VERSION_2,
        group: group::OS,
        command: 0,
        sequence: 9,
        body,
    };
    board.receive(until, &Framing::Console.encode(&request.encode()));
    let sent = board.take_output(until + Duration::from_secs(1));
    Deframer::new(Framing::Console).push_all(&sent).first().map(|packet| Message::decode(packet).unwrap())
}

#[test]
fn firmware_is_an_image_that_mcuboot_takes() {
    let key = Ed25519Key::from_seed(&[1; 32]);
    let image = Firmware::new((1, 2, 3), 4, 5_000).sign(&key).unwrap();
    let parsed = McubootImage::parse(&image).unwrap();
    assert_eq!(parsed.version().to_string(), "1.2.3");
    assert_eq!(parsed.security_counter().map(|counter| counter.0), Some(4));
    parsed.verify(&key.public_key()).unwrap();
    assert_eq!(parsed.trailing_bytes(), 0);
}

#[test]
fn a_board_is_silent_until_it_has_booted_and_answers_then() {
    let mut board = board();
    assert_eq!(ask(&mut board, Body::new().with("d", "?"), Duration::ZERO), None);
    board.power_on(Duration::ZERO);
    assert_eq!(ask(&mut board, Body::new().with("d", "?"), Duration::from_millis(100)), None);
    assert!(board.running().is_some());
    let answer = ask(&mut board, Body::new().with("d", "?"), Duration::from_secs(3)).unwrap();
    assert_eq!((answer.sequence, answer.body.text("r")), (9, Some("?")));
}

#[test]
fn what_no_buffer_has_room_for_is_dropped_without_a_word() {
    let mut board = board();
    board.power_on(Duration::ZERO);
    board.advance(Duration::from_secs(1));
    let long = "?".repeat(400);
    assert_eq!(ask(&mut board, Body::new().with("d", long.as_str()), Duration::from_secs(2)), None);
    assert_eq!(board.dropped(), 1);
}

#[test]
fn a_board_whose_image_is_damaged_and_that_has_no_recovery_is_bricked_and_says_so() {
    let key = Ed25519Key::from_seed(&[1; 32]);
    let mut image = Firmware::new((1, 2, 3), 4, 5_000).sign(&key).unwrap();
    image[100] ^= 1;
    let profile = Profile { recovery: false, ..Profile::zephyr("B-1", key.public_key()) };
    let mut board = Board::new(profile, &image);
    board.power_on(Duration::ZERO);
    board.advance(Duration::from_secs(1));
    assert!(board.is_bricked() && board.running().is_none());
}
