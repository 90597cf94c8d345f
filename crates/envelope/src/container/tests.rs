use model::SecurityCounter;
use proptest::prelude::*;

use super::*;
use crate::{Ed25519Key, PublicKey, Signer, sha256};

const VENDOR: [u8; 16] = [0xaa; 16];

fn key() -> Ed25519Key {
    Ed25519Key::from_seed(&[5; 32])
}

fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(value.len() as u16).to_le_bytes(), value].concat()
}

fn area(magic: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let records = records.concat();
    [&magic.to_le_bytes()[..], &(records.len() as u16 + 4).to_le_bytes(), &records].concat()
}

/// An image in its parts, each as an attacker would have it.
struct Parts {
    flags: u32,
    header_bytes: u16,
    image: Vec<u8>,
    protected: Vec<Vec<u8>>,
    digest: bool,
    pure: bool,
    more: Vec<Vec<u8>>,
}

impl Parts {
    fn honest() -> Self {
        Self {
            flags: 0,
            header_bytes: 64,
            image: b"firmware".repeat(40),
            protected: vec![tlv(0x50, &7_u32.to_le_bytes()), tlv(0x74, &VENDOR), tlv(0x75, &[0xbb; 16])],
            digest: true,
            pure: false,
            more: vec![],
        }
    }

    fn build(&self) -> Vec<u8> {
        let protected = match self.protected.is_empty() {
            true => vec![],
            false => area(0x6908, &self.protected),
        };
        let mut covered = vec![0_u8; usize::from(self.header_bytes)];
        covered[..4].copy_from_slice(&0x96f3_b83d_u32.to_le_bytes());
        covered[8..10].copy_from_slice(&self.header_bytes.to_le_bytes());
        covered[10..12].copy_from_slice(&(protected.len() as u16).to_le_bytes());
        covered[12..16].copy_from_slice(&(self.image.len() as u32).to_le_bytes());
        covered[16..20].copy_from_slice(&self.flags.to_le_bytes());
        covered[20..28].copy_from_slice(&[1, 2, 3, 0, 4, 0, 0, 0]);
        covered.extend_from_slice(&self.image);
        covered.extend_from_slice(&protected);

        let digest = sha256(&covered);
        let message = if self.pure { &covered[..] } else { digest.as_bytes() };
        let signature = key().sign(message).unwrap();
        let mut records = vec![];
        if self.digest {
            records.push(tlv(0x10, digest.as_bytes()));
        }
        records.push(tlv(0x01, sha256(&key().public_key().spki()).as_bytes()));
        records.push(tlv(0x24, &signature));
        if self.pure {
            records.push(tlv(0x25, &[1]));
        }
        records.extend_from_slice(&self.more);
        [covered, area(0x6907, &records)].concat()
    }
}

fn parse(change: impl FnOnce(&mut Parts)) -> Result<(), Error> {
    let mut parts = Parts::honest();
    change(&mut parts);
    McubootImage::parse(&parts.build()).map(drop)
}

#[test]
fn an_mcuboot_image_says_what_it_is_and_who_signed_it() {
    let bytes = Parts::honest().build();
    let Ok(Container::Mcuboot(image)) = Container::recognise(&bytes) else { panic!("not recognised") };
    assert_eq!(image.version().to_string(), "1.2.3+4");
    assert_eq!(image.security_counter(), Some(SecurityCounter(7)));
    assert_eq!(image.vendor_id(), Some(VENDOR));
    assert_eq!(image.class_id(), Some([0xbb; 16]));
    assert_eq!((image.header_bytes(), image.image_bytes(), image.trailing_bytes()), (64, 320, 0));
    assert!(!image.is_encrypted());
    let kinds: Vec<_> = image.signatures().map(|signature| signature.kind).collect();
    assert_eq!(kinds, [SignatureKind::Ed25519]);
    image.verify(&key().public_key()).unwrap();

    let other = Ed25519Key::from_seed(&[6; 32]).public_key();
    assert_eq!(image.verify(&other), Err(Error::Signature));
    assert_eq!(image.verify(&PublicKey::P256([4; 65])), Err(Error::Signature));
}

#[test]
fn a_pure_signature_covers_the_image_itself() {
    let bytes = Parts { pure: true, ..Parts::honest() }.build();
    McubootImage::parse(&bytes).unwrap().verify(&key().public_key()).unwrap();
    // A signature over the image does not pass for one over its digest, nor the other way about.
    let mark = bytes.len() - 5;
    let mut unmarked = bytes;
    unmarked[mark] = 0xa0;
    let mut marked = Parts { more: vec![tlv(0xa0, &[1])], ..Parts::honest() }.build();
    marked[mark] = 0x25;
    for bytes in [unmarked, marked] {
        let image = McubootImage::parse(&bytes).unwrap();
        assert_eq!(image.verify(&key().public_key()), Err(Error::Signature));
    }
}

#[test]
fn an_image_carries_exactly_one_digest_of_its_length() {
    let missing = Err(Error::Count { what: "the digest" });
    assert_eq!(parse(|parts| parts.digest = false), missing);
    assert_eq!(parse(|parts| parts.more.push(tlv(0x10, &[0; 32]))), missing);
    assert_eq!(parse(|parts| parts.more.push(tlv(0x12, &[0; 64]))), missing);
    let malformed = Err(Error::Malformed { what: "digest" });
    assert_eq!(parse(|parts| parts.more.push(tlv(0x01, &[0; 4]))), malformed);
    for (kind, len) in [(0x10, 31), (0x11, 32), (0x12, 32)] {
        let short = parse(|parts| {
            parts.digest = false;
            parts.more.push(tlv(kind, &vec![0; len]));
        });
        assert_eq!(short, malformed);
    }
}

#[test]
fn padding_behind_an_image_is_counted_and_covered_by_nothing() {
    let bytes = [Parts::honest().build(), vec![0xff; 1000]].concat();
    let image = McubootImage::parse(&bytes).unwrap();
    assert_eq!(image.trailing_bytes(), 1000);
    image.verify(&key().public_key()).unwrap();
}

#[test]
fn a_changed_bit_in_an_image_is_found_before_it_is_proposed() {
    let honest = Parts::honest().build();
    let covered = 64 + 320 + 4 + 8 + 20 + 20;
    for at in 0..covered {
        let mut altered = honest.clone();
        altered[at] ^= 0x10;
        assert!(McubootImage::parse(&altered).is_err(), "{at}");
    }
    // The digest itself, the key's name and the signature.
    for at in [covered + 8, covered + 4 + 36 + 4, covered + 4 + 36 + 36 + 4] {
        let mut altered = honest.clone();
        altered[at] ^= 1;
        let refused = McubootImage::parse(&altered).and_then(|image| image.verify(&key().public_key()));
        assert!(refused.is_err(), "{at}");
    }
}

#[test]
fn sizes_and_records_that_mcuboot_would_misread_are_refused() {
    let malformed = |what| Err(Error::Malformed { what });
    parse(|_| {}).unwrap();
    assert_eq!(parse(|parts| parts.header_bytes = 32), Ok(()));
    assert_eq!(
        parse(|parts| parts.protected.push(tlv(0x50, &[0; 4]))),
        Err(Error::Count { what: "the security counter" })
    );
    // A counter that the digest does not cover.
    let counter = || tlv(0x50, &9_u32.to_le_bytes());
    assert_eq!(parse(|parts| parts.more.push(counter())), Err(Error::Count { what: "the security counter" }));
    let outside = parse(|parts| {
        parts.protected.remove(0);
        parts.more.push(counter());
    });
    assert_eq!(outside, malformed("the security counter"));
    assert_eq!(parse(|parts| parts.protected[0] = tlv(0x50, &[1])), malformed("the security counter"));
    assert_eq!(parse(|parts| parts.protected[1] = tlv(0x74, &[1])), malformed("the vendor's UUID"));
    assert_eq!(parse(|parts| parts.more.push(tlv(0x24, &[0; 63]))), malformed("the Ed25519 signature"));
    assert_eq!(parse(|parts| parts.more.push(vec![1, 2, 3])), malformed("records"));
    assert_eq!(parse(|parts| parts.more.push(vec![0xa0, 0, 0xff, 0xff])), malformed("records"));
    assert_eq!(parse(|parts| parts.more.push(tlv(0xa0, b"a maker's own"))), Ok(()));

    let honest = Parts::honest().build();
    for (offset, value, what) in [
        (8, &[16, 0][..], "a header shorter than its fields"),
        (10, &[0, 0], "protected records that the header denies"),
        (10, &[0xff, 0xff], "protected records that are shorter"),
        (12, &[0xff, 0xff, 0xff, 0xff], "an image of 4 GiB"),
        (12, &[0, 0, 0, 0], "no image"),
        (64 + 320, &[0x07, 0x69], "protected records under another magic number"),
        (64 + 320 + 2, &[3, 0], "records shorter than their head"),
        (64 + 320 + 52 + 2, &[0xff, 0xff], "records beyond the end"),
    ] {
        let mut altered = honest.clone();
        altered[offset..offset + value.len()].copy_from_slice(value);
        assert!(McubootImage::parse(&altered).is_err(), "{what}");
    }
    for len in 0..honest.len() {
        assert!(McubootImage::parse(&honest[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn an_encrypted_image_is_passed_through() {
    let parts = Parts { flags: 0x04, more: vec![tlv(0x32, &[0; 113])], ..Parts::honest() };
    let mut bytes = parts.build();
    bytes[70] ^= 1;
    let image = McubootImage::parse(&bytes).unwrap();
    assert!(image.is_encrypted());
    assert_eq!(image.verify(&key().public_key()), Err(Error::Signature));
}

fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in files.iter().chain([&("TRAILER!!!", &b""[..])]) {
        let mut header = b"070701".to_vec();
        for index in 0..13 {
            let value = match index {
                6 => content.len(),
                11 => name.len() + 1,
                _ => 0,
            };
            header.extend_from_slice(format!("{value:08x}").as_bytes());
        }
        out.extend_from_slice(&header);
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

const DESCRIPTION: &str = r##"software =
{
    version = "1.0.1";
    # hardware-compatibility: [ "commented" ];
    /* hardware-compatibility: [ "also commented" ]; */
    description = "a \"quoted\" text // with hardware-compatibility: [ \"no\" ]";
    board-a = {
        hardware-compatibility: [ "1.0", "1.2", "#RE:^rev-[0-9]+$" ];
        images: ( { filename = "rootfs"; device = "/dev/mmcblk0p2"; } );
    };
    board-b = { hardware-compatibility = [ "1.2", "2.0" ]; };
}"##;

#[test]
fn an_swu_archive_lists_its_files_and_the_hardware_it_is_for() {
    let bytes = cpio(&[
        ("sw-description", DESCRIPTION.as_bytes()),
        ("sw-description.sig", b"sig"),
        ("rootfs", b"root"),
    ]);
    let Ok(Container::Swu(image)) = Container::recognise(&bytes) else { panic!("not recognised") };
    let names: Vec<_> = image.files().iter().map(|file| file.name).collect();
    assert_eq!(names, ["sw-description", "sw-description.sig", "rootfs"]);
    let rootfs = image.files()[2];
    assert_eq!(&bytes[rootfs.offset..][..rootfs.len], b"root");
    assert!(image.is_signed());
    assert_eq!(image.hardware_compatibility(), ["1.0", "1.2", "#RE:^rev-[0-9]+$", "2.0"]);

    let json = br#"{ "software": { "version": "1", "hardware-compatibility": [ "3.0" ] } }"#;
    let bytes = cpio(&[("sw-description", json)]);
    let Ok(Container::Swu(image)) = Container::recognise(&bytes) else { panic!("not recognised") };
    assert_eq!(image.hardware_compatibility(), ["3.0"]);
    assert!(!image.is_signed());
}

#[test]
fn an_swu_archive_begins_with_its_description_and_ends_with_its_trailer() {
    let late = cpio(&[("rootfs", b"root"), ("sw-description", b"x")]);
    assert!(matches!(Container::recognise(&late), Err(Error::Malformed { .. })));
    let twice = cpio(&[("sw-description", b"x"), ("sw-description", b"y")]);
    assert!(matches!(Container::recognise(&twice), Err(Error::Count { .. })));
    let whole = cpio(&[("sw-description", b"x"), ("rootfs", b"root")]);
    // The trailer's last three bytes are padding.
    for len in 130..whole.len() - 3 {
        assert!(Container::recognise(&whole[..len]).is_err(), "cut at {len}");
    }
    let mut huge = whole;
    huge[6 + 8 * 6..6 + 8 * 7].copy_from_slice(b"ffffffff");
    assert_eq!(Container::recognise(&huge), Err(Error::Truncated { what: "a file" }));
    // A RAM disk is a cpio too, and is written as it is.
    assert_eq!(Container::recognise(&cpio(&[("init", b"#!/bin/sh")])), Ok(Container::Raw));
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&[tag, 0x82][..], &(content.len() as u16).to_be_bytes(), &content].concat()
}

fn rauc(kind: u8, content: Option<&[u8]>) -> Vec<u8> {
    let oid = |last| der(0x06, &[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, last]]);
    let octets = content.map(|content| der(0xa0, &[&der(0x04, &[content])]));
    let inner = der(0x30, &[&oid(1), &octets.unwrap_or_default()]);
    let signed = der(0x30, &[&[0x02, 0x01, 0x03], &der(0x31, &[]), &inner]);
    let cms = der(0x30, &[&oid(kind), &der(0xa0, &[&signed])]);
    [&b"hsqs"[..], &[0; 4092], &cms, &(cms.len() as u64).to_be_bytes()].concat()
}

#[test]
fn a_rauc_bundle_is_a_squashfs_with_its_signature_behind_it() {
    let recognise = |bytes: &[u8]| match Container::recognise(bytes) {
        Ok(Container::Rauc(bundle)) => bundle,
        other => panic!("{other:?}"),
    };
    let plain = recognise(&rauc(2, None));
    assert_eq!((plain.format, plain.manifest), (RaucFormat::Plain, None));

    let manifest = "[update]\ncompatible=Sample GW-200\nversion = 2026.11\n\n[bundle]\nformat=verity\n";
    let verity = recognise(&rauc(2, Some(manifest.as_bytes())));
    assert_eq!(verity.format, RaucFormat::Verity);
    let manifest = verity.manifest.unwrap();
    assert_eq!(manifest.compatible.as_deref(), Some("Sample GW-200"));
    assert_eq!(manifest.version.as_deref(), Some("2026.11"));

    assert_eq!(recognise(&rauc(2, Some(b"[bundle]\nformat=crypt"))).format, RaucFormat::Crypt);
    assert_eq!(recognise(&rauc(3, None)).format, RaucFormat::Crypt);

    // A bare squashfs, a size that is not the signature's, and one beyond the file are raw.
    for bytes in [
        [&b"hsqs"[..], &[0; 4092]].concat(),
        [&b"hsqs"[..], &[0; 100], &u64::MAX.to_be_bytes()].concat(),
        [&b"hsqs"[..], &[0x30; 100], &50_u64.to_be_bytes()].concat(),
        [&rauc(2, None)[..], b"x"].concat(),
        rauc(9, None),
    ] {
        assert_eq!(Container::recognise(&bytes), Ok(Container::Raw));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        magic in prop::sample::select(vec![&b""[..], &[0x3d, 0xb8, 0xf3, 0x96], b"hsqs", b"070701"]),
    ) {
        let bytes = [magic, &bytes].concat();
        if let Ok(Container::Mcuboot(image)) = Container::recognise(&bytes) {
            prop_assert!(image.verify(&key().public_key()).is_err());
        }
    }

    #[test]
    fn files_changed_anywhere_never_panic(
        which in 0_usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = match which {
            0 => Parts::honest().build(),
            1 => cpio(&[("sw-description", DESCRIPTION.as_bytes()), ("rootfs", b"root")]),
            _ => rauc(2, Some(b"[update]\ncompatible=x\n")),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            match Container::recognise(bytes) {
                Ok(Container::Swu(image)) => drop(image.hardware_compatibility()),
                Ok(Container::Mcuboot(image)) => drop((image.version(), image.verify(&key().public_key()))),
                Ok(Container::Rauc(_) | Container::Raw) | Err(_) => {}
            }
        }
    }
}
