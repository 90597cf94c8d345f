//! Which bytes of a file were served at least once.

/// Ranges of bytes, sorted, apart from one another.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Coverage(Vec<(u64, u64)>);

impl Coverage {
    /// Kept at most. A client that asks for more scattered pieces has its smallest ones forgotten, which
    /// only ever counts too little.
    const RANGES_MOST: usize = 1_024;

    /// Adds the bytes from `from` up to, but without, `to`.
    pub(crate) fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let begin = self.0.partition_point(|(_, end)| *end < from);
        let end = self.0.partition_point(|(start, _)| *start <= to);
        let (mut low, mut high) = (from, to);
        if let Some((start, _)) = self.0.get(begin..end).and_then(<[_]>::first) {
            low = low.min(*start);
        }
        if let Some((_, stop)) = self.0.get(begin..end).and_then(<[_]>::last) {
            high = high.max(*stop);
        }
        self.0.splice(begin..end.max(begin), [(low, high)]);
        if self.0.len() > Self::RANGES_MOST
            && let Some(smallest) = (0..self.0.len()).min_by_key(|at| self.0[*at].1 - self.0[*at].0)
        {
            self.0.remove(smallest);
        }
    }

    /// How many bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// Pairs of numbers, 8 bytes each, big-endian.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(from, to)| [from.to_be_bytes(), to.to_be_bytes()]).flatten().collect()
    }

    /// Reads [`Self::to_bytes`]; nothing of what was not written by it.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut coverage = Self::default();
        for pair in bytes.chunks_exact(16) {
            let (from, to) = pair.split_at(8);
            if let (Ok(from), Ok(to)) = (from.try_into(), to.try_into()) {
                coverage.add(u64::from_be_bytes(from), u64::from_be_bytes(to));
            }
        }
        coverage
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_count_what_a_set_of_bytes_counts(ranges in prop::collection::vec((0_u64..64, 0_u64..64), 0..24)) {
            let mut coverage = Coverage::default();
            let mut bytes = BTreeSet::new();
            for (from, to) in ranges {
                coverage.add(from, to);
                bytes.extend(from..to.max(from));
                prop_assert_eq!(coverage.bytes(), bytes.len() as u64);
                prop_assert!(coverage.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
                prop_assert_eq!(&Coverage::from_bytes(&coverage.to_bytes()), &coverage);
            }
        }
    }

    #[test]
    fn scattered_pieces_cannot_grow_a_row_without_end() {
        let mut coverage = Coverage::default();
        (0..5_000).for_each(|n| coverage.add(n * 2, n * 2 + 1));
        assert!(coverage.to_bytes().len() <= 16 * Coverage::RANGES_MOST);
    }
}
