use std::convert::Infallible;

use model::Digest;

use crate::Sha256;

/// The place of a complete subtree: `2^level` leaves, of which the first is number `index * 2^level`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Node {
    /// Its height; a leaf has 0.
    pub level: u8,
    /// Its place among those of its height, from 0.
    pub index: u64,
}

/// The right edge of a tree: all that is needed to append to it. Appending takes O(log n) time and memory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    /// The complete subtrees, largest first: one for each one-bit of `size`.
    complete: Vec<Digest>,
}

/// A whole tree in memory, for logs that are checked from end to end.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    levels: Vec<Vec<Digest>>,
    frontier: Frontier,
}

/// The hash of a leaf (RFC 6962, 2.1): SHA-256 of a zero byte and the entry.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    hash(&[&[0], entry])
}

/// The hash of two subtrees under one node (RFC 6962, 2.1): SHA-256 of a one byte and both hashes.
pub fn node_hash(left: Digest, right: Digest) -> Digest {
    hash(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The Merkle tree hash (RFC 6962, 2.1) of the first `size` leaves; `node` gives the hashes of complete
/// subtrees among them.
///
/// # Errors
/// What `node` says.
pub fn root_at<E>(size: u64, node: impl FnMut(Node) -> Result<Digest, E>) -> Result<Digest, E> {
    Ok(Frontier::read(size, node)?.root())
}

impl Frontier {
    /// The edge of an empty tree.
    pub const fn new() -> Self {
        Self { size: 0, complete: Vec::new() }
    }

    /// The edge of a tree of `size` leaves, of which `node` gives complete subtrees.
    ///
    /// # Errors
    /// What `node` says.
    pub fn read<E>(size: u64, mut node: impl FnMut(Node) -> Result<Digest, E>) -> Result<Self, E> {
        let complete = edge(size).map(&mut node).collect::<Result<_, _>>()?;
        Ok(Self { size, complete })
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash; gives the subtrees that it makes complete, itself first. Whoever keeps
    /// them can prove everything later.
    pub fn push(&mut self, leaf: Digest) -> Vec<(Node, Digest)> {
        let mut grown = (Node { level: 0, index: self.size }, leaf);
        let mut made = vec![grown];
        while grown.0.index % 2 == 1
            && let Some(left) = self.complete.pop()
        {
            let above = Node { level: grown.0.level + 1, index: grown.0.index / 2 };
            grown = (above, node_hash(left, grown.1));
            made.push(grown);
        }
        self.complete.push(grown.1);
        self.size += 1;
        made
    }

    /// The Merkle tree hash (RFC 6962, 2.1); of an empty tree, SHA-256 of nothing.
    pub fn root(&self) -> Digest {
        let smallest_first = self.complete.iter().rev().copied();
        smallest_first.reduce(|right, left| node_hash(left, right)).unwrap_or_else(|| hash(&[]))
    }
}

impl Tree {
    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Digest) {
        for (node, hash) in self.frontier.push(leaf) {
            let level = usize::from(node.level);
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
        }
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The hash of leaf number `index`, from 0, if there is one.
    pub fn leaf(&self, index: u64) -> Option<Digest> {
        self.levels.first()?.get(usize::try_from(index).ok()?).copied()
    }

    /// The Merkle tree hash of the first `size` leaves, if there are so many.
    pub fn root_at(&self, size: u64) -> Option<Digest> {
        (size <= self.size()).then(|| certain(root_at(size, |node| Ok(self.node(node)))))
    }

    /// The proof that leaf number `index` is among the first `size`, if it is.
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Option<Vec<Digest>> {
        let there = index < size && size <= self.size();
        there.then(|| certain(super::prove_inclusion(index, size, |node| Ok(self.node(node)))))
    }

    /// The proof that the first `new` leaves follow on the first `old`, if there are so many.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        let there = old <= new && new <= self.size();
        there.then(|| certain(super::prove_consistency(old, new, |node| Ok(self.node(node)))))
    }

    fn node(&self, node: Node) -> Digest {
        let level = &self.levels[usize::from(node.level)];
        level[usize::try_from(node.index).expect("a tree in memory has no more leaves than memory")]
    }
}

/// The complete subtrees of a tree of `size` leaves, largest first.
fn edge(size: u64) -> impl Iterator<Item = Node> {
    (0..64u8).rev().filter(move |level| size >> level & 1 == 1).map(move |level| Node {
        level,
        // What stands before it is made of larger subtrees.
        index: (size >> level) - 1,
    })
}

fn certain<T>(value: Result<T, Infallible>) -> T {
    let Ok(value) = value;
    value
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut sha256 = Sha256::new();
    parts.iter().for_each(|part| sha256.update(part));
    sha256.finish()
}
