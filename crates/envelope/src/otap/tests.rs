use model::Random;
use proptest::prelude::*;

use super::*;
use crate::sha256;

/// Counts up, so that what it gives is known and never twice the same.
struct Counter(u8);

impl Random for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
    }
}

fn key() -> ContentKey {
    ContentKey::from_bytes(&[7; 32])
}

fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn slice(bytes: &[u8], range: std::ops::Range<u64>) -> &[u8] {
    &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
}

fn seal(plaintext: &[u8]) -> (Vec<u8>, Sealed) {
    let header = Header::new(plaintext.len() as u64, &mut Counter(1)).unwrap();
    let layout = header.layout();
    let mut sealing = Sealing::new(&key(), header).unwrap();
    let mut ciphertext = Vec::new();
    for segment in 0..layout.segments() {
        let range = layout.segment_range(segment).unwrap();
        let mut out = vec![0; usize::try_from(range.end - range.start).unwrap()];
        sealing.segment(slice(plaintext, layout.segment_plaintext(segment).unwrap()), &mut out).unwrap();
        ciphertext.extend_from_slice(&out);
    }
    (ciphertext, sealing.finish().unwrap())
}

/// What a device does: the header from the ticket, segments from the file, the digest from the target.
fn open(
    ciphertext: &[u8],
    key: &ContentKey,
    header: Header,
    segments: &SegmentList,
    expected: &model::Digest,
) -> Result<Vec<u8>, Error> {
    let opener = Opener::new(key, header)?;
    let mut opening = Opening::new(&opener, segments);
    let mut plaintext = Vec::new();
    let mut rest = ciphertext;
    for segment in 0..header.layout().segments() {
        let range = header.layout().segment_range(segment)?;
        let len = usize::try_from(range.end - range.start).unwrap().min(rest.len());
        let (head, tail) = rest.split_at(len);
        rest = tail;
        opening.segment(&mut head.to_vec(), |chunk| {
            plaintext.extend_from_slice(chunk);
            Ok::<_, Error>(())
        })?;
    }
    if !rest.is_empty() {
        return Err(Error::SegmentList);
    }
    opening.finish(expected)?;
    Ok(plaintext)
}

const BORDERS: [usize; 12] = [
    0,
    1,
    15,
    CHUNK_LEN - 1,
    CHUNK_LEN,
    CHUNK_LEN + 1,
    2 * CHUNK_LEN,
    SEGMENT_LEN - 1,
    SEGMENT_LEN,
    SEGMENT_LEN + 1,
    SEGMENT_LEN + CHUNK_LEN,
    2 * SEGMENT_LEN + 5,
];

#[test]
fn a_payload_of_any_length_opens_to_what_was_sealed() {
    for len in BORDERS {
        let plaintext = plaintext(len);
        let (ciphertext, sealed) = seal(&plaintext);
        let layout = sealed.header.layout();
        assert_eq!(ciphertext.len() as u64, layout.ciphertext_len(), "{len}");
        assert_eq!(sealed.plaintext, sha256(&plaintext));
        assert_eq!(sealed.segments.segments().len(), len.div_ceil(SEGMENT_LEN).max(1));
        let opened = open(&ciphertext, &key(), sealed.header, &sealed.segments, &sealed.plaintext);
        assert_eq!(opened.as_deref(), Ok(&*plaintext), "{len}");

        let list = sealed.segments.encode();
        let read = SegmentList::parse(&list, layout, &sealed.segments.digest());
        assert_eq!(read.as_ref(), Ok(&sealed.segments));
        let header = Header::parse(ciphertext.first_chunk().unwrap());
        assert_eq!(header, Ok(sealed.header));
    }
}

#[test]
fn the_bytes_are_those_of_the_specification() {
    let (ciphertext, sealed) = seal(b"fleet");
    let salt: [u8; 16] = std::array::from_fn(|at| at as u8 + 1);
    assert_eq!(ciphertext[..8], *b"OTAP\x01\x01\x10\x04");
    assert_eq!(ciphertext[8..24], salt);
    assert_eq!(ciphertext[24..32], 5_u64.to_be_bytes());

    // The same once more by hand: extract and expand are HMACs (RFC 5869).
    use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
    let prk = sign(&Key::new(HMAC_SHA256, &salt), &[7; 32]);
    let expand = |info: &str| {
        let message = [info.as_bytes(), &[1]].concat();
        sign(&Key::new(HMAC_SHA256, prk.as_ref()), &message).as_ref().to_vec()
    };
    let key = UnboundKey::new(&AES_256_GCM, &expand("fleetseal-otap/1 key")).unwrap();
    let nonce = [&expand("fleetseal-otap/1 nonce")[..7], &[0, 0, 0, 0], &[1]].concat();
    let mut chunk = ciphertext[32..].to_vec();
    let opened = LessSafeKey::new(key)
        .open_in_place(
            Nonce::try_assume_unique_for_key(&nonce).unwrap(),
            aws_lc_rs::aead::Aad::from(&ciphertext[..32]),
            &mut chunk,
        )
        .unwrap();
    assert_eq!(opened, b"fleet");
    assert_eq!(sealed.segments.segments(), [sha256(&ciphertext)]);
}

#[test]
fn any_chunk_opens_on_its_own_in_any_order() {
    let plaintext = plaintext(SEGMENT_LEN + 3 * CHUNK_LEN + 100);
    let (ciphertext, sealed) = seal(&plaintext);
    let layout = sealed.header.layout();
    let opener = Opener::new(&key(), sealed.header).unwrap();
    for index in (0..u32::try_from(layout.chunks()).unwrap()).rev() {
        let mut chunk = slice(&ciphertext, layout.ciphertext_range(index).unwrap()).to_vec();
        let expected = slice(&plaintext, layout.plaintext_range(index).unwrap());
        assert_eq!(opener.open_chunk(index, &mut chunk).unwrap(), expected, "{index}");
    }
    let chunks = u32::try_from(layout.chunks()).unwrap();
    let beyond = Error::OutOfRange { what: "chunk", index: chunks.into() };
    assert_eq!(opener.open_chunk(chunks, &mut [0; 16]).unwrap_err(), beyond);
}

#[test]
fn segments_sealed_apart_are_the_same_as_those_sealed_in_a_row() {
    let plaintext = plaintext(2 * SEGMENT_LEN + 77);
    let (ciphertext, sealed) = seal(&plaintext);
    let layout = sealed.header.layout();
    let sealer = Sealer::new(&key(), sealed.header).unwrap();
    for index in [2, 0, 1] {
        let range = layout.segment_range(index).unwrap();
        let mut out = vec![0; usize::try_from(range.end - range.start).unwrap()];
        let part = slice(&plaintext, layout.segment_plaintext(index).unwrap());
        for ((_, place), chunk) in layout.places(index, &mut out).unwrap().1.zip(part.chunks(CHUNK_LEN)) {
            place[..chunk.len()].copy_from_slice(chunk);
        }
        let digest = sealer.seal_segment(index, &mut out).unwrap();
        assert_eq!(out, slice(&ciphertext, range));
        assert_eq!(digest, sealed.segments.segments()[index as usize]);
    }
    for short in [SEGMENT_LEN - 1, 0] {
        assert!(matches!(sealer.seal_segment(0, &mut vec![0; short]), Err(Error::Length { .. })));
        let mut sealing = Sealing::new(&key(), sealed.header).unwrap();
        assert!(matches!(sealing.segment(&plaintext[..short], &mut []), Err(Error::Length { .. })));
    }
    assert!(matches!(sealer.seal_segment(3, &mut []), Err(Error::OutOfRange { .. })));
}

#[test]
fn a_download_resumes_after_the_last_whole_segment() {
    let plaintext = plaintext(2 * SEGMENT_LEN + 9);
    let (ciphertext, sealed) = seal(&plaintext);
    let layout = sealed.header.layout();
    for cut in [0, 31, 32, 1000, SEGMENT_LEN, SEGMENT_LEN + 300, ciphertext.len() - 1, ciphertext.len()] {
        let whole = layout.whole_segments(cut as u64);
        for index in 0..whole {
            let range = layout.segment_range(index).unwrap();
            assert!(range.end <= cut as u64);
            sealed.segments.verify_segment(index, slice(&ciphertext, range)).unwrap();
        }
        match layout.segment_range(whole) {
            Ok(next) => assert!(next.end > cut as u64, "{cut}"),
            Err(_) => assert_eq!(cut, ciphertext.len()),
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused_by_the_list_and_by_the_chunk_alike() {
    let plaintext = plaintext(SEGMENT_LEN + CHUNK_LEN + 10);
    let (ciphertext, sealed) = seal(&plaintext);
    let layout = sealed.header.layout();
    let opener = Opener::new(&key(), sealed.header).unwrap();
    let chunk = |index| layout.ciphertext_range(index).unwrap().start as usize;
    let end = ciphertext.len();
    // Magic, version, algorithm, sizes, salt, length; bodies and tags of first, middle and last chunk.
    let header = [0, 4, 5, 6, 7, 8, 23, 24, 31];
    let bodies =
        [chunk(0), chunk(1) - 1, chunk(7) + 5, chunk(16), chunk(17) - 1, chunk(17), end - 16, end - 1];
    for at in header.into_iter().chain(bodies) {
        for bit in [0x01, 0x80] {
            let mut altered = ciphertext.clone();
            altered[at] ^= bit;
            let refused = open(&altered, &key(), sealed.header, &sealed.segments, &sealed.plaintext);
            assert!(matches!(refused, Err(Error::Segment { .. })), "{at}");

            // Without the list: the chunks themselves, and the header by comparison.
            let index = u32::from(at >= layout.segment_range(1).unwrap().start as usize);
            let mut segment = slice(&altered, layout.segment_range(index).unwrap()).to_vec();
            let refused = opener.open_segment(index, &mut segment, |_| Ok::<_, Error>(()));
            match at < Header::LEN {
                true => assert!(matches!(refused, Err(Error::Header { .. })), "{at}"),
                false => assert!(matches!(refused, Err(Error::Open { .. })), "{at}"),
            }
        }
    }
}

#[test]
fn a_header_with_any_bit_flipped_is_refused_or_opens_nothing() {
    let (ciphertext, _) = seal(b"fleet");
    for bit in 0..Header::LEN * 8 {
        let mut header: [u8; 32] = *ciphertext.first_chunk().unwrap();
        header[bit / 8] ^= 1 << (bit % 8);
        if let Ok(header) = Header::parse(&header) {
            let opener = Opener::new(&key(), header).unwrap();
            assert!(opener.open_chunk(0, &mut ciphertext[32..].to_vec()).is_err(), "{bit}");
        } else {
            assert!(!(64..24 * 8).contains(&bit), "only the salt is free");
        }
    }
}

#[test]
fn what_is_cut_extended_swapped_or_repeated_does_not_open() {
    let plaintext = plaintext(3 * CHUNK_LEN);
    let (ciphertext, sealed) = seal(&plaintext);
    let layout = sealed.header.layout();
    let opener = Opener::new(&key(), sealed.header).unwrap();
    let chunk = |index| slice(&ciphertext, layout.ciphertext_range(index).unwrap());

    for (at, other) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0)] {
        let refused = opener.open_chunk(at, &mut chunk(other).to_vec()).unwrap_err();
        assert_eq!(refused, Error::Open { index: at });
    }
    let refuse = |ciphertext: &[u8]| {
        assert!(open(ciphertext, &key(), sealed.header, &sealed.segments, &sealed.plaintext).is_err());
    };
    refuse(&ciphertext[..ciphertext.len() - 1]);
    refuse(&ciphertext[..ciphertext.len() - SEALED_CHUNK_LEN]);
    refuse(&[&ciphertext[..], b"x"].concat());
    refuse(&[&ciphertext[..], chunk(2)].concat());
    refuse(&[&ciphertext[..32], chunk(1), chunk(0), chunk(2)].concat());
    refuse(&[]);

    // Cut at a chunk's end and with a header that says so: the chunk was not sealed as the last, and
    // under another header.
    let mut shorter = sealed.header.encode();
    shorter[24..].copy_from_slice(&(2 * CHUNK_LEN as u64).to_be_bytes());
    let opener = Opener::new(&key(), Header::parse(&shorter).unwrap()).unwrap();
    assert!(opener.open_chunk(0, &mut chunk(0).to_vec()).is_err());
    assert!(opener.open_chunk(1, &mut chunk(1).to_vec()).is_err());
}

#[test]
fn another_key_header_list_or_artifact_opens_nothing() {
    let (ciphertext, sealed) = seal(&plaintext(1000));
    let other = ContentKey::from_bytes(&[8; 32]);
    let refused = open(&ciphertext, &other, sealed.header, &sealed.segments, &sealed.plaintext);
    assert_eq!(refused, Err(Error::Open { index: 0 }));

    let header = Header::new(1000, &mut Counter(99)).unwrap();
    let refused = open(&ciphertext, &key(), header, &sealed.segments, &sealed.plaintext);
    assert!(matches!(refused, Err(Error::Header { .. })));

    let refused = open(&ciphertext, &key(), sealed.header, &sealed.segments, &sha256(b"another"));
    assert_eq!(refused, Err(Error::Plaintext));

    let list = sealed.segments.encode();
    let layout = sealed.header.layout();
    let digest = sealed.segments.digest();
    for (bytes, digest) in [
        (&list[..31], digest),
        (&[&list[..], &list[..]].concat()[..], digest),
        (&[&list[..], &list[..]].concat(), sha256(&[&list[..], &list[..]].concat())),
        (&list[..], sha256(b"another")),
        (&[], sha256(b"")),
    ] {
        assert_eq!(SegmentList::parse(bytes, layout, &digest), Err(Error::SegmentList));
    }
}

#[test]
fn an_unfinished_pass_is_no_pass() {
    let (ciphertext, sealed) = seal(&plaintext(SEGMENT_LEN + 1));
    let opener = Opener::new(&key(), sealed.header).unwrap();
    let mut opening = Opening::new(&opener, &sealed.segments);
    let mut first = slice(&ciphertext, sealed.header.layout().segment_range(0).unwrap()).to_vec();
    opening.segment(&mut first, |_| Ok::<_, Error>(())).unwrap();
    assert_eq!(opening.finish(&sealed.plaintext), Err(Error::Incomplete { expected: 2, found: 1 }));

    let sealing = Sealing::new(&key(), sealed.header).unwrap();
    assert_eq!(sealing.finish(), Err(Error::Incomplete { expected: 2, found: 0 }));
}

#[test]
fn the_longest_payload_has_a_layout_and_a_longer_one_has_none() {
    let longest = (CHUNK_LEN as u64) << 32;
    let layout = Layout::new(longest).unwrap();
    assert_eq!((layout.chunks(), layout.segments()), (1 << 32, 1 << 28));
    assert!(layout.is_last(u32::MAX));
    assert_eq!(layout.ciphertext_range(u32::MAX).unwrap().end, layout.ciphertext_len());
    assert_eq!(layout.segment_range((1 << 28) - 1).unwrap().end, layout.ciphertext_len());
    assert_eq!(layout.whole_segments(u64::MAX), layout.segments());
    assert_eq!(Layout::new(longest + 1), Err(Error::TooLong { len: longest + 1 }));

    let mut header = *b"OTAP\x01\x01\x10\x04................\xff\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(Header::parse(&header), Err(Error::Header { what: "length" }));
    header[24..].copy_from_slice(&longest.to_be_bytes());
    assert_eq!(Header::parse(&header).unwrap().encode(), header);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lengths_around_every_border_survive_the_round(
        border in proptest::sample::select(vec![0, CHUNK_LEN, 2 * CHUNK_LEN, SEGMENT_LEN, 2 * SEGMENT_LEN]),
        off in 0_usize..40,
        below in any::<bool>(),
    ) {
        let len = if below { border.saturating_sub(off) } else { border + off };
        let plaintext = plaintext(len);
        let (ciphertext, sealed) = seal(&plaintext);
        let opened = open(&ciphertext, &key(), sealed.header, &sealed.segments, &sealed.plaintext);
        prop_assert_eq!(opened, Ok(plaintext));
    }

    #[test]
    fn ranges_cover_every_byte_once(len in 0_u64..=(1 << 48)) {
        let layout = Layout::new(len).unwrap();
        let last = layout.segments() - 1;
        prop_assert_eq!(layout.segment_range(0).unwrap().start, 0);
        prop_assert_eq!(layout.segment_range(last).unwrap().end, layout.ciphertext_len());
        prop_assert_eq!(layout.segment_plaintext(last).unwrap().end, len);
        prop_assert_eq!(layout.segment_chunks(last).unwrap().end, layout.chunks());
        for index in [0, last / 2, last.saturating_sub(1)] {
            if index < last {
                let next = layout.segment_range(index + 1).unwrap();
                prop_assert_eq!(layout.segment_range(index).unwrap().end, next.start);
                prop_assert_eq!(layout.whole_segments(next.start), index + 1);
                prop_assert_eq!(layout.whole_segments(next.start - 1), index);
            }
        }
    }
}
