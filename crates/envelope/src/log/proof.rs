use std::ops::Range;

use model::Digest;

use super::{Error, Node, node_hash};

/// The audit path (RFC 6962, 2.1.1) of leaf number `index` in the tree of the first `size` leaves, of which
/// `node` gives complete subtrees. Without such a leaf the path is empty, and proves nothing.
///
/// # Errors
/// What `node` says.
pub fn prove_inclusion<E>(
    index: u64,
    size: u64,
    mut node: impl FnMut(Node) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let mut path = Vec::new();
    let mut leaves = 0..size;
    while index < size && len(&leaves) > 1 {
        let middle = leaves.start + split(len(&leaves));
        let (inside, beside) = if index < middle {
            (leaves.start..middle, middle..leaves.end)
        } else {
            (middle..leaves.end, leaves.start..middle)
        };
        path.push(hash_of(beside, &mut node)?);
        leaves = inside;
    }
    path.reverse();
    Ok(path)
}

/// The proof (RFC 6962, 2.1.2) that the tree of the first `new` leaves follows on that of the first `old`, of
/// which `node` gives complete subtrees. Where nothing is to be proven (`old` is 0 or `new`), it is empty.
///
/// # Errors
/// What `node` says.
pub fn prove_consistency<E>(
    old: u64,
    new: u64,
    mut node: impl FnMut(Node) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let mut path = Vec::new();
    if old == 0 || old >= new {
        return Ok(path);
    }
    let mut leaves = 0..new;
    while leaves.end != old {
        let middle = leaves.start + split(len(&leaves));
        let (inside, beside) = if old <= middle {
            (leaves.start..middle, middle..leaves.end)
        } else {
            (middle..leaves.end, leaves.start..middle)
        };
        path.push(hash_of(beside, &mut node)?);
        leaves = inside;
    }
    // The old tree itself is known to whoever verifies.
    if leaves.start != 0 {
        path.push(hash_of(leaves, &mut node)?);
    }
    path.reverse();
    Ok(path)
}

/// Verifies an audit path as RFC 9162, 2.1.3.2, tells.
///
/// # Errors
/// [`Error::NotIncluded`].
pub fn verify_inclusion(
    leaf: Digest,
    index: u64,
    size: u64,
    root: Digest,
    path: &[Digest],
) -> Result<(), Error> {
    let refused = Error::NotIncluded { index, size };
    if index >= size {
        return Err(refused);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for beside in path {
        if last == 0 {
            return Err(refused);
        }
        if at % 2 == 1 || at == last {
            hash = node_hash(*beside, hash);
            skip_missing(&mut at, &mut last);
        } else {
            hash = node_hash(hash, *beside);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 && hash == root { Ok(()) } else { Err(refused) }
}

/// Verifies that a tree of `new.0` leaves with the root `new.1` follows on one of `old.0` with `old.1`, as
/// RFC 9162, 2.1.4.2, tells.
///
/// # Errors
/// [`Error::Shorter`], [`Error::Fork`].
pub fn verify_consistency(old: (u64, Digest), new: (u64, Digest), path: &[Digest]) -> Result<(), Error> {
    let ((known, known_root), (found, found_root)) = (old, new);
    if found < known {
        return Err(Error::Shorter { known, found });
    }
    let fork = Error::Fork { known, found };
    if known == 0 || known == found {
        let same = known == 0 || known_root == found_root;
        return if same && path.is_empty() { Ok(()) } else { Err(fork) };
    }
    let own_root = known.is_power_of_two().then_some(&known_root);
    let mut path = own_root.into_iter().chain(path);
    let Some(first) = path.next() else { return Err(fork) };
    let (mut at, mut last) = (known - 1, found - 1);
    while at % 2 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for beside in path {
        if last == 0 {
            return Err(fork);
        }
        if at % 2 == 1 || at == last {
            old_hash = node_hash(*beside, old_hash);
            new_hash = node_hash(*beside, new_hash);
            skip_missing(&mut at, &mut last);
        } else {
            new_hash = node_hash(new_hash, *beside);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 && old_hash == known_root && new_hash == found_root { Ok(()) } else { Err(fork) }
}

/// Goes up past the levels at which the right edge has no neighbour.
fn skip_missing(at: &mut u64, last: &mut u64) {
    while at.is_multiple_of(2) && *at != 0 {
        (*at, *last) = (*at >> 1, *last >> 1);
    }
}

/// The Merkle tree hash of a range of leaves that begins where a subtree of its size may begin.
fn hash_of<E>(leaves: Range<u64>, node: &mut impl FnMut(Node) -> Result<Digest, E>) -> Result<Digest, E> {
    let size = len(&leaves);
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return node(Node {
            level: u8::try_from(level).expect("a size has 64 bits"),
            index: leaves.start >> level,
        });
    }
    let middle = leaves.start + split(size);
    let left = hash_of(leaves.start..middle, node)?;
    Ok(node_hash(left, hash_of(middle..leaves.end, node)?))
}

fn len(leaves: &Range<u64>) -> u64 {
    leaves.end - leaves.start
}

/// The largest power of two below `size`, which is above one.
const fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}
