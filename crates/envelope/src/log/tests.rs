use std::convert::Infallible;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::{Digest, UnixTime};
use proptest::prelude::*;

use super::*;
use crate::{Ed25519Key, Signer, sha256};

/// The inputs of the reference implementation of RFC 6962 (certificate-transparency, `merkle_tree_test`).
const LEAVES: [&[u8]; 8] = [
    &[],
    &[0x00],
    &[0x10],
    &[0x20, 0x21],
    &[0x30, 0x31],
    &[0x40, 0x41, 0x42, 0x43],
    &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
    &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
];

/// The roots after each of them, from the same place.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn digest(hex: &str) -> Digest {
    hex.parse().unwrap()
}

fn tree(leaves: u64) -> Tree {
    let mut tree = Tree::default();
    (0..leaves).for_each(|n| tree.push(leaf_hash(&n.to_be_bytes())));
    tree
}

/// MTH as the RFC defines it, by recursion.
fn mth(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(mth(left), mth(right))
        }
    }
}

#[test]
fn roots_are_those_of_the_reference_tree_of_rfc_6962() {
    let mut frontier = Frontier::new();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(frontier.root(), digest(empty));
    for (leaf, root) in LEAVES.iter().zip(ROOTS) {
        frontier.push(leaf_hash(leaf));
        assert_eq!(frontier.root(), digest(root));
    }
}

#[test]
fn inclusion_proofs_are_those_of_the_reference_tree_of_rfc_6962() {
    let mut tree = Tree::default();
    LEAVES.iter().for_each(|leaf| tree.push(leaf_hash(leaf)));
    // Of leaf 6 of 8, in the numbering from one: index 5.
    let path = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(tree.prove_inclusion(5, 8).unwrap(), path.map(digest));
    let path = ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"];
    assert_eq!(tree.prove_inclusion(2, 3).unwrap(), path.map(digest));
}

#[test]
fn consistency_proofs_are_those_of_the_reference_tree_of_rfc_6962() {
    let mut tree = Tree::default();
    LEAVES.iter().for_each(|leaf| tree.push(leaf_hash(leaf)));
    let one_to_eight = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(tree.prove_consistency(1, 8).unwrap(), one_to_eight.map(digest));
    let six_to_eight = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(tree.prove_consistency(6, 8).unwrap(), six_to_eight.map(digest));
    let two_to_five = [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ];
    assert_eq!(tree.prove_consistency(2, 5).unwrap(), two_to_five.map(digest));
}

#[test]
fn a_log_that_got_shorter_says_so() {
    let tree = tree(9);
    let head = |size| (size, tree.root_at(size).unwrap());
    let refused = verify_consistency(head(9), head(5), &[]).unwrap_err();
    assert!(matches!(refused, Error::Shorter { known: 9, found: 5 }));
}

proptest! {
    #[test]
    fn the_root_is_that_of_the_definition(size in 0u64..300) {
        let leaves: Vec<_> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        prop_assert_eq!(tree(size).root_at(size).unwrap(), mth(&leaves));
    }

    #[test]
    fn a_log_that_grew_proves_it_and_one_that_was_changed_cannot(
        old in 0u64..400, more in 0u64..400, changed in 0u64..400,
    ) {
        let new = old + more;
        let mut grown = tree(new);
        let known = (old, grown.root_at(old).unwrap());
        let path = grown.prove_consistency(old, new).unwrap();
        verify_consistency(known, (new, grown.root_at(new).unwrap()), &path).unwrap();

        let mut other = Tree::default();
        (0..new).for_each(|n| other.push(leaf_hash(&(n + u64::from(n == changed)).to_be_bytes())));
        let path = other.prove_consistency(old, new).unwrap();
        let kept = verify_consistency(known, (new, other.root_at(new).unwrap()), &path).is_ok();
        prop_assert_eq!(kept, changed >= old, "only what comes after the known head may be anything");
        grown.push(leaf_hash(b"more"));
        prop_assert!(grown.prove_consistency(old, new + 2).is_none());
    }

    #[test]
    fn a_tampered_proof_is_refused(
        old in 1u64..300, more in 1u64..300, at in any::<prop::sample::Index>(), bit in 0usize..256, what in 0..3,
    ) {
        let new = old + more;
        let tree = tree(new);
        let tamper = |path: &mut Vec<Digest>| match what {
            0 if !path.is_empty() => {
                let at = at.index(path.len());
                let mut bytes = *path[at].as_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                path[at] = Digest::new(bytes);
            }
            1 if !path.is_empty() => {
                path.remove(at.index(path.len()));
            }
            _ => path.push(leaf_hash(b"extra")),
        };
        let head = |size| (size, tree.root_at(size).unwrap());
        let mut path = tree.prove_consistency(old, new).unwrap();
        tamper(&mut path);
        prop_assert!(verify_consistency(head(old), head(new), &path).is_err());

        let index = old - 1;
        let leaf = leaf_hash(&index.to_be_bytes());
        let mut path = tree.prove_inclusion(index, new).unwrap();
        let root = tree.root_at(new).unwrap();
        verify_inclusion(leaf, index, new, root, &path).unwrap();
        prop_assert!(verify_inclusion(leaf, index + 1, new, root, &path).is_err());
        tamper(&mut path);
        prop_assert!(verify_inclusion(leaf, index, new, root, &path).is_err());
    }

    #[test]
    fn an_edge_read_back_goes_on_as_the_one_that_was_kept(size in 0u64..300, more in 0u64..40) {
        let mut nodes = std::collections::BTreeMap::new();
        let mut kept = Frontier::new();
        (0..size).for_each(|n| nodes.extend(kept.push(leaf_hash(&n.to_be_bytes()))));
        let mut again = Frontier::read(size, |node| Ok::<_, Infallible>(nodes[&node])).unwrap();
        prop_assert_eq!(&again, &kept);
        for n in 0..more {
            let leaf = leaf_hash(&n.to_be_bytes());
            prop_assert_eq!(again.push(leaf), kept.push(leaf));
        }
        prop_assert_eq!(again.root(), kept.root());
    }
}

fn log(name: &str, seed: u8) -> (LogKey, Ed25519Key) {
    let key = Ed25519Key::from_seed(&[seed; 32]);
    (LogKey::new(name.parse().unwrap(), key.public_key()).unwrap(), key)
}

fn signed() -> (LogKey, Ed25519Key, SignedCheckpoint) {
    let (log, key) = log("example.com/log", 1);
    let checkpoint = Checkpoint { origin: log.name().clone(), size: 42, root: sha256(b"root") };
    let signed = checkpoint.sign(&key).unwrap();
    (log, key, signed)
}

#[test]
fn a_checkpoint_reads_back_and_has_one_form() {
    let (log, _, signed) = signed();
    let text = signed.to_string();
    let lines: Vec<_> = text.split('\n').collect();
    let root = "SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=";
    assert_eq!(lines[..4], ["example.com/log", "42", root, ""]);
    let again: SignedCheckpoint = text.parse().unwrap();
    assert_eq!(*again.verify(&log).unwrap(), *signed.unverified());
    let others = [
        text.replace("\n42\n", "\n042\n"),
        text.replace("\n42\n", "\n+42\n"),
        text.replace("\n42\n", "\n-1\n"),
        text.replace("\n\n", "\nextra\n\n"),
        text.replace("log\n", "lo g\n"),
        text.replace(root, &root[..40]),
        text.replace("— ", "- "),
        text.trim_end().to_owned(),
        text.replacen("\n\n", "\n", 1),
        format!("{text}\n"),
        format!("{text}{}", text.lines().last().map(|line| format!("{line}\n")).unwrap().repeat(64)),
        String::new(),
    ];
    for other in others {
        assert!(other.parse::<SignedCheckpoint>().is_err(), "{other}");
    }
}

#[test]
fn the_example_of_the_signed_note_specification_verifies() {
    // The key of golang.org/x/mod/sumdb/note's examples, type byte first.
    let text = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key: [u8; 33] = STANDARD.decode(text).unwrap().try_into().unwrap();
    let key = crate::PublicKey::Ed25519(key[1..].try_into().unwrap());
    let log = LogKey::new("PeterNeumann".parse().unwrap(), key).unwrap();
    assert_eq!(log.verifier_key(), format!("PeterNeumann+c74f20a3+{text}"));
    let body = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n";
    let line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    let signature = STANDARD.decode(line).unwrap();
    key.verify(body.as_bytes(), signature[4..].try_into().unwrap()).unwrap();
    assert_eq!(signature[..4], [0xc7, 0x4f, 0x20, 0xa3], "a note's key id is ours");
}

#[test]
fn only_the_logs_own_key_signs_its_checkpoints() {
    let (log, _, signed) = signed();
    let text = signed.to_string();
    let (other_key, _) = self::log("example.com/log", 2);
    assert!(matches!(signed.verify(&other_key), Err(Error::Unsigned { .. })));
    let (other_name, _) = self::log("example.com/other", 1);
    assert!(matches!(signed.verify(&other_name), Err(Error::Origin { .. })));
    let longer: SignedCheckpoint = text.replace("\n42\n", "\n43\n").parse().unwrap();
    assert!(matches!(longer.verify(&log), Err(Error::Signature { .. })));
}

#[test]
fn a_cosignature_counts_for_its_witness_checkpoint_and_time_alone() {
    let (_, key, signed) = signed();
    let (witness, witness_key) = log("example.com/witness", 3);
    let at = UnixTime::from_secs(1_800_000_000);
    let cosigned = signed.clone().with(signed.cosign(witness.name().clone(), &witness_key, at).unwrap());
    let again: SignedCheckpoint = cosigned.to_string().parse().unwrap();
    assert_eq!(again.cosigned_at(&witness).unwrap(), at);
    assert!(matches!(signed.cosigned_at(&witness), Err(Error::Unsigned { .. })));
    let longer: SignedCheckpoint = cosigned.to_string().replace("\n42\n", "\n43\n").parse().unwrap();
    assert!(matches!(longer.cosigned_at(&witness), Err(Error::Signature { .. })));
    let line = cosigned.cosignature(&witness).unwrap().to_string();
    assert_eq!(signed.clone().with(line.parse().unwrap()), cosigned);
    let later = signed.cosign(witness.name().clone(), &witness_key, UnixTime::from_secs(1_800_000_001));
    assert_eq!(cosigned.with(later.unwrap()).to_string().lines().count(), 6, "the later one takes its place");
    drop(key);
}

#[test]
fn nobody_is_a_witness_of_themselves() {
    let (log, key, signed) = signed();
    let at = UnixTime::from_secs(1);
    let own = signed.cosign(log.name().clone(), &key, at);
    assert!(matches!(own, Err(Error::OwnWitness { .. })));
    let under_another_name = signed.cosign("example.com/friend".parse().unwrap(), &key, at);
    assert!(matches!(under_another_name, Err(Error::OwnWitness { .. })));
    let (friend, _) = self::log("example.com/friend", 1);
    assert!(matches!(signed.cosigned_at(&friend), Err(Error::OwnWitness { .. })));
}

#[test]
fn names_are_visible_and_without_a_plus_sign() {
    for name in ["", "a b", "a+b", "a\n", "é", &"a".repeat(256)] {
        assert!(name.parse::<LogName>().is_err(), "{name:?}");
    }
    let vault = LogName::vault(&[0xab; 16], Digest::new([0xcd; 32]));
    assert_eq!(vault.as_str(), format!("fleetseal/vault/{}.{}", "ab".repeat(16), "cd".repeat(8)));
    assert_eq!(vault.as_str().parse::<LogName>().unwrap(), vault);
}
