use proptest::prelude::*;

use super::*;

fn message(body: Body) -> Message {
    Message { op: Op::Write, version: Header::VERSION_2, group: group::IMAGE, command: 1, sequence: 7, body }
}

#[test]
fn the_crc_is_xmodems() {
    assert_eq!(crc16(b"123456789"), 0x31c3);
}

#[test]
fn an_echo_is_header_and_map() {
    // Version 1, a write to the OS group, nine bytes of body, sequence 1, command 0; then the map.
    let echo = Message {
        op: Op::Write,
        version: 0,
        group: group::OS,
        command: group::os::ECHO,
        sequence: 1,
        body: Body::new().with("d", "hello"),
    };
    assert_eq!(echo.encode(), b"\x02\0\0\x09\0\0\x01\0\xa1\x61d\x65hello");
    let wire = Framing::Console.encode(&echo.encode());
    assert_eq!(&wire[..2], [6, 9]);
    assert_eq!(wire.last(), Some(&b'\n'));
}

#[test]
fn a_full_line_is_127_bytes_and_carries_93() {
    assert_eq!(LINE_PAYLOAD_BYTES, 93);
    let wire = Framing::Console.encode(&[0; 89]);
    assert_eq!(wire.len(), 127);
}

#[test]
fn bodies_of_indefinite_length_are_read() {
    let body = Body::decode(b"\xbf\x63off\x18\x20\x62rc\x00\x61l\x9f\x01\xf5\xff\xff").unwrap();
    assert_eq!((body.uint("off"), body.uint("rc")), (Some(32), Some(0)));
    assert_eq!(body.list("l"), Some(&[Value::Uint(1), Value::Bool(true)][..]));
}

#[test]
fn a_body_that_is_no_map_or_too_deep_or_followed_is_refused() {
    assert_eq!(Body::decode(b"\x01"), Err(BodyError));
    assert_eq!(Body::decode(b"\xa0\x00"), Err(BodyError));
    assert_eq!(Body::decode(b"\xa1\x01\x01"), Err(BodyError));
    let deep = [b"\xa1\x61a".repeat(40), b"\xa0".to_vec()].concat();
    assert_eq!(Body::decode(&deep), Err(BodyError));
    let many = [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(Body::decode(&[&b"\xa1\x61a"[..], &many].concat()), Err(BodyError));
}

#[test]
fn a_message_survives_a_console_that_talks_between_its_lines() {
    let message = message(Body::new().with("data", &[7; 300][..])).encode();
    let mut wire = Vec::new();
    for line in Framing::Console.encode(&message).split_inclusive(|byte| *byte == b'\n') {
        wire.extend_from_slice(b"*** Booting ***\r\n[00:00:01] <inf> main: \x06 hello");
        wire.extend_from_slice(line);
    }
    assert_eq!(Deframer::new(Framing::Console).push_all(&wire), [message]);
}

proptest! {
    #[test]
    fn what_is_framed_comes_out_however_it_is_cut(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 1..5),
        cut in 1_usize..50,
        raw in any::<bool>(),
    ) {
        let framing = if raw { Framing::Raw } else { Framing::Console };
        let messages: Vec<Vec<u8>> =
            payloads.iter().map(|data| message(Body::new().with("data", &data[..])).encode()).collect();
        let wire: Vec<u8> = messages.iter().flat_map(|message| framing.encode(message)).collect();
        let expected: usize = messages.iter().map(|message| framing.wire_bytes(message.len())).sum();
        prop_assert_eq!(wire.len(), expected);
        let mut deframer = Deframer::new(framing);
        let found: Vec<Vec<u8>> = wire.chunks(cut).flat_map(|part| deframer.push_all(part)).collect();
        prop_assert_eq!(found, messages);
    }

    #[test]
    fn one_damaged_byte_never_makes_another_message(
        data in prop::collection::vec(any::<u8>(), 0..400),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let sent = message(Body::new().with("data", &data[..])).encode();
        let mut wire = Framing::Console.encode(&sent);
        let at = at.index(wire.len());
        wire[at] ^= flip;
        let mut deframer = Deframer::new(Framing::Console);
        for found in deframer.push_all(&wire) {
            prop_assert_eq!(&found, &sent);
        }
        // And the line is fit for use again at once.
        prop_assert_eq!(deframer.push_all(&Framing::Console.encode(&sent)), vec![sent]);
    }

    #[test]
    fn nothing_that_arrives_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..2000), raw in any::<bool>()) {
        let mut deframer = Deframer::new(if raw { Framing::Raw } else { Framing::Console });
        for found in deframer.push_all(&bytes) {
            let _decoded = Message::decode(&found);
        }
        let _decoded = Body::decode(&bytes);
    }
}
