//! What must survive a power cut at any instant: each record is stored as two copies, written one
//! after the other, and the newest that is whole wins.

use crate::sha256;

const MAGIC: &[u8; 8] = b"FSRECORD";
const HEAD: usize = MAGIC.len() + 1 + 8;
const SUM: usize = 32;

/// Both copies of a record are damaged or missing. The device fails closed: what it must not go
/// back behind is unknown, so it reports the loss and is bootstrapped again by token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("both copies of the stored state are damaged")]
pub struct StateLost;

/// What kind of record a copy holds, so that one is never read as the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Trusted = 1,
    Device = 2,
}

/// One copy: magic, kind, generation, content and the SHA-256 of all that.
pub(crate) fn write(kind: Kind, generation: u64, content: &[u8]) -> Vec<u8> {
    let mut copy = Vec::with_capacity(HEAD + content.len() + SUM);
    copy.extend_from_slice(MAGIC);
    copy.push(kind as u8);
    copy.extend_from_slice(&generation.to_be_bytes());
    copy.extend_from_slice(content);
    copy.extend_from_slice(sha256(&copy).as_bytes());
    copy
}

/// The newest copy that is whole and that `read` (generation, content) understands.
pub(crate) fn choose<T>(
    kind: Kind,
    copies: [Option<&[u8]>; 2],
    read: impl Fn(u64, &[u8]) -> Option<T>,
) -> Result<T, StateLost> {
    let mut whole: Vec<_> = copies.into_iter().flatten().filter_map(|copy| open(kind, copy)).collect();
    whole.sort_by_key(|(generation, _)| std::cmp::Reverse(*generation));
    whole.into_iter().find_map(|(generation, content)| read(generation, content)).ok_or(StateLost)
}

fn open(kind: Kind, copy: &[u8]) -> Option<(u64, &[u8])> {
    let (rest, sum) = copy.split_at_checked(copy.len().checked_sub(SUM)?)?;
    let (head, content) = rest.split_at_checked(HEAD)?;
    let (magic, head) = head.split_at(MAGIC.len());
    let generation = u64::from_be_bytes(head[1..].try_into().ok()?);
    let whole = magic == MAGIC && head[0] == kind as u8 && sha256(rest).as_bytes() == sum;
    whole.then_some((generation, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(a: Option<&[u8]>, b: Option<&[u8]>) -> Result<Vec<u8>, StateLost> {
        choose(Kind::Trusted, [a, b], |_, content| Some(content.to_vec()))
    }

    #[test]
    fn the_newest_whole_copy_wins_and_none_is_a_loss() {
        let old = write(Kind::Trusted, 7, b"old");
        let new = write(Kind::Trusted, 8, b"new");
        assert_eq!(pick(Some(&old), Some(&new)), Ok(b"new".to_vec()));
        assert_eq!(pick(Some(&new), Some(&old)), Ok(b"new".to_vec()));
        assert_eq!(pick(Some(&old), None), Ok(b"old".to_vec()));
        assert_eq!(pick(None, None), Err(StateLost));
        let other = write(Kind::Device, 9, b"other");
        assert_eq!(pick(Some(&other), Some(&old)), Ok(b"old".to_vec()));
        for at in 0..new.len() {
            let mut bad = new.clone();
            bad[at] ^= 1;
            assert_eq!(pick(Some(&bad), Some(&old)), Ok(b"old".to_vec()), "byte {at}");
            assert_eq!(pick(Some(&bad), Some(&bad)), Err(StateLost), "byte {at}");
            assert_eq!(pick(Some(&new[..at]), None), Err(StateLost), "cut at {at}");
        }
    }
}
