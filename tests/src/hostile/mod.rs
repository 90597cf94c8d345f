//! What anybody may send, fed to what reads it. Each target takes any bytes, answers whether they were
//! accepted, and panics where a promise is broken.
//!
//! The fuzzer drives them (`cargo xtask fuzz`, whose corpus is `fuzz/corpus`); a plain test feeds them
//! that corpus. What is signed or sealed is tried twice: as it comes, and with the input signed by a
//! key that counts, for nothing behind a signature would be reached otherwise.

mod fleet;
mod seeds;

use envelope::{
    Errand, Link, Ticket,
    bundle::Bundle,
    cbor,
    otap::{Header, Layout, Opener, SEGMENT_LEN, Sealing, SegmentList},
    request::{Request, RequestSignature},
    sha256,
    tuf::{
        Bundled, Client, Fetched, Metadata, Need, Root, Signed, Snapshot, Targets, Timestamp, TrustedState,
    },
};

pub use seeds::seeds;

use fleet::{Fleet, LATER, NOW, ORIGIN, SEGMENTS};

/// A target: its name, which is also that of its folder in the corpus, and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// Every target.
pub const TARGETS: &[Target] = &[
    ("bundle", bundle),
    ("cbor", cbor),
    ("csr", csr),
    ("link", link),
    ("otap", otap),
    ("request", request),
    ("ticket", ticket),
    ("tuf", tuf),
    ("vault", vault),
];

/// The beginning of an offline bundle, as it comes on a stick: its head, its index, and the map within.
pub fn bundle(input: &[u8]) -> bool {
    let fleet = Fleet::get();
    let headed = input.first_chunk().is_some_and(|head| Bundle::index_length(head).is_ok());
    let signed = fleet::sign1(&fleet.ticket_key, input);
    let accepted = Bundle::peek(&signed);
    if let Ok(index) = &accepted {
        let again = index.sign(&fleet.ticket_key).expect("what was read can be written");
        let again = &again[Bundle::HEAD..];
        assert!(again == signed || again.len() < signed.len(), "one meaning has two encodings");
        let nothing: Vec<Vec<u8>> = index.small().map(|_| Vec::new()).collect();
        let mut state = fleet.state.clone();
        let opened = Bundle::open(&signed, &nothing, fleet.me.fleet, &mut state, 0, NOW);
        assert!(opened.is_err(), "a bundle opens without what it names");
    }
    headed || accepted.is_ok() || Bundle::peek(input).is_ok()
}

/// Strict CBOR: what is taken, another reader takes, too, to the last byte.
pub fn cbor(input: &[u8]) -> bool {
    let check = |tag| cbor::check(input, &cbor::Limits { bytes: 4096, depth: 6, tag }).is_ok();
    let accepted = check(None) || check(Some(18));
    if accepted {
        let mut decoder = minicbor::Decoder::new(input);
        decoder.skip().expect("another reader takes it, too");
        assert_eq!(decoder.position(), input.len(), "another reader sees bytes behind it");
    }
    accepted
}

/// Certificate requests, of devices and of people and servers.
pub fn csr(input: &[u8]) -> bool {
    let device = pki::Csr::parse(input);
    let identity = pki::IdentityCsr::parse(input);
    assert!(device.is_err() || identity.is_err(), "one request is a device's and a person's");
    if let Ok(csr) = &device {
        assert_eq!(csr.spki_digest(), csr.key().spki_digest());
    }
    device.is_ok() || identity.is_ok()
}

/// Links: sealed, signed, and the map within.
pub fn link(input: &[u8]) -> bool {
    let fleet = Fleet::get();
    let errand = Errand { origin: ORIGIN, segment_list: SEGMENTS };
    let verify = |signed: &[u8]| Link::verify(signed, &fleet.me, errand, &fleet.trust, NOW);
    let sealed = Link::open(input, &fleet.kem, &fleet.me, errand, &fleet.trust, NOW).is_ok();
    let signed = fleet::sign1(&fleet.link_key, input);
    let accepted = verify(&signed);
    if let Ok(link) = &accepted {
        let again = link.sign(&fleet.link_key).expect("what was read can be written");
        assert!(again == signed || again.len() < signed.len(), "one meaning has two encodings");
    }
    sealed || accepted.is_ok() || verify(input).is_ok()
}

/// Tickets: sealed, signed, and the map within.
pub fn ticket(input: &[u8]) -> bool {
    let fleet = Fleet::get();
    let verify = |signed: &[u8]| Ticket::verify(signed, &fleet.me, &fleet.trust, NOW);
    let sealed = Ticket::open(input, &fleet.kem, &fleet.me, &fleet.trust, NOW).is_ok();
    let signed = fleet::sign1(&fleet.ticket_key, input);
    let accepted = verify(&signed);
    if let Ok(ticket) = &accepted {
        let again = ticket.sign(&fleet.ticket_key).expect("what was read can be written");
        assert!(*again == signed || again.len() < signed.len(), "one meaning has two encodings");
    }
    sealed || accepted.is_ok() || verify(input).is_ok()
}

/// Sealed payloads: a header and what follows it, as a ciphertext and as a segment list; and any bytes
/// as a plaintext, which comes back as it was.
pub fn otap(input: &[u8]) -> bool {
    let fleet = Fleet::get();
    comes_back(input);
    let Some((start, rest)) = input.split_first_chunk() else { return false };
    let Ok(header) = Header::parse(start) else { return false };
    assert_eq!(header.encode(), *start, "one header has two encodings");
    let layout = header.layout();
    tile(layout);
    let listed = SegmentList::parse(rest, layout, &sha256(rest));
    assert!(listed.is_err() || rest.len() as u64 == 32 * u64::from(layout.segments()));
    // A length is believed only as far as there are bytes.
    if layout.ciphertext_len() != input.len() as u64 {
        return listed.is_ok();
    }
    let opener = Opener::new(&fleet.content_key, header).expect("a header that was read has keys");
    let ends = (0..layout.segments()).map(|index| layout.segment_range(index).expect("it is one of them"));
    let opened = ends.enumerate().all(|(index, range)| {
        let mut segment = input[range.start as usize..range.end as usize].to_vec();
        opener.open_segment(index as u32, &mut segment, |_| Ok::<_, envelope::otap::Error>(())).is_ok()
    });
    opened || listed.is_ok()
}

/// Requests for a signature and the answers to them, as they come on a stick or as a QR code.
pub fn request(input: &[u8]) -> bool {
    let fleet = Fleet::get();
    if let Ok(answer) = RequestSignature::parse(input) {
        assert_eq!(answer.encode(), input, "one answer has two encodings");
        return true;
    }
    let Ok(request) = Request::parse(input) else { return false };
    let again = request.encode().expect("what was read can be written");
    assert_eq!(again, input, "one request has two encodings");
    // What is wrong with whose it is, and since when, shall not hide what is wrong with the rest.
    let mine = Request { fleet: fleet.me.fleet, made_at: NOW, expires_at: LATER, ..request };
    let Ok(checked) = mine.check(fleet.me.fleet, fleet.state.root(), NOW) else { return false };
    assert_eq!(checked.proposed.signing_bytes(), mine.payload, "something else would be signed");
    assert_eq!(checked.root.raw(), fleet.files[0], "a root counts that nobody signed");
    true
}

/// Metadata of each role: read, written, signed and offered to a client that knows better.
pub fn tuf(input: &[u8]) -> bool {
    let fleet = Fleet::get();
    let mut state = fleet.state.clone();
    let bundle = Bundled { issued_at: NOW, expires: LATER };
    drop(TrustedState::bootstrap(input));
    drop(TrustedState::choose(Some(input), None));
    drop(state.accept_bundle(&[input], input, bundle));
    let mut client = Client::new(fleet.state.clone(), NOW);
    while let Need::Fetch { max_bytes, .. } = client.next() {
        let taken = &input[..input.len().min(max_bytes as usize)];
        drop(client.feed(Fetched::Bytes(taken)));
    }
    let targets = sound::<Targets>(input);
    if let Some(mut file) = targets.clone() {
        file.sign(&fleet.root_key).expect("an Ed25519 key signs");
        if let Ok(view) = state.accept_bundle(&[], file.raw(), bundle) {
            for name in view.names() {
                let path = view.target(name).map(|target| target.path()).unwrap_or_default();
                assert!(!path.is_empty() && path.split('/').all(|part| part != ".."), "{path}");
            }
        }
    }
    targets.is_some()
        | sound::<Root>(input).is_some()
        | sound::<Snapshot>(input).is_some()
        | sound::<Timestamp>(input).is_some()
}

/// The vault's key file, which somebody may have edited.
pub fn vault(input: &[u8]) -> bool {
    vault::check_form(input).is_ok()
}

/// Reads metadata, and writes it so that it reads the same.
fn sound<T: Metadata + Clone>(input: &[u8]) -> Option<Signed<T>> {
    let file = Signed::<T>::parse(input).ok()?;
    let mut written = file.clone();
    written.attach(&[7; 32], &[7; 64]);
    let again = Signed::<T>::parse(written.raw());
    if let Ok(again) = &again {
        assert_eq!(again.signing_bytes(), file.signing_bytes(), "what is signed changed on its way");
    }
    Some(file)
}

/// Ranges follow one another without a gap, as far as a look is cheap.
fn tile(layout: Layout) {
    let mut end = 0;
    for index in (0..layout.segments()).take(64) {
        let range = layout.segment_range(index).expect("it is one of them");
        assert_eq!(range.start, end);
        end = range.end;
        assert_eq!(layout.whole_segments(end), index + 1);
        assert_eq!(layout.whole_segments(end - 1), index);
    }
    let last = layout.segment_range(layout.segments() - 1).expect("there is a last one");
    assert_eq!(last.end, layout.ciphertext_len());
    assert!(layout.segment_range(layout.segments()).is_err());
}

fn comes_back(plaintext: &[u8]) {
    let fleet = Fleet::get();
    let part = &plaintext[..plaintext.len().min(SEGMENT_LEN)];
    let header = Header::new(part.len() as u64, &mut envelope::SystemRandom).expect("it is short");
    let mut out = vec![0; header.layout().ciphertext_len() as usize];
    let mut sealing = Sealing::new(&fleet.content_key, header).expect("a new header has keys");
    sealing.segment(part, &mut out).expect("the buffers fit");
    let sealed = sealing.finish().expect("it was one segment");
    sealed.segments.verify_segment(0, &out).expect("it is the one that was sealed");
    let mut opened = Vec::new();
    let opener = Opener::new(&fleet.content_key, header).expect("a new header has keys");
    let each = |piece: &[u8]| {
        opened.extend_from_slice(piece);
        Ok::<_, envelope::otap::Error>(())
    };
    opener.open_segment(0, &mut out, each).expect("what was sealed opens");
    assert_eq!(opened, part);
}
