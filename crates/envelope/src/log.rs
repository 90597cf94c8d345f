//! Append-only logs: Merkle trees (RFC 6962), signed checkpoints and cosignatures (C2SP `tlog-checkpoint`,
//! `signed-note` and `tlog-cosignature`).
//!
//! Vault and backend keep a log each and cosign the other's head, so neither can cut, rewrite or reorder
//! its own unnoticed. Nothing here stores anything: whoever keeps a log keeps its complete [`Node`]s and
//! lends them to the proofs.

mod checkpoint;
mod proof;
mod tree;

pub use checkpoint::{Checkpoint, Cosignature, LogKey, LogName, SignedCheckpoint};
pub use proof::{prove_consistency, prove_inclusion, verify_consistency, verify_inclusion};
pub use tree::{Frontier, Node, Tree, leaf_hash, node_hash, root_at};

/// Why a log, a checkpoint or a proof was not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that is no checkpoint, or not in its one encoding.
    #[error("not a signed checkpoint: {reason}")]
    Encoding {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that no log can have: 1 to 255 visible ASCII characters, no plus sign.
    #[error("not the name of a log")]
    Name,
    /// A key that is no Ed25519 key.
    #[error("not a key that signs checkpoints")]
    Key,
    /// A checkpoint of another log.
    #[error("a checkpoint of `{found}`, not of `{expected}`")]
    Origin {
        /// The log that was asked for.
        expected: LogName,
        /// The log that the checkpoint is of.
        found: LogName,
    },
    /// No signature of this name and key stands below the checkpoint.
    #[error("the checkpoint is not signed by `{name}`")]
    Unsigned {
        /// Who should have signed.
        name: LogName,
    },
    /// The signature does not verify.
    #[error("the signature of `{name}` below the checkpoint does not verify")]
    Signature {
        /// Whose it claims to be.
        name: LogName,
    },
    /// A log that would cosign its own head, or a cosignature with the log's own key.
    #[error("`{name}` cannot be a witness of itself")]
    OwnWitness {
        /// The log.
        name: LogName,
    },
    /// The log has fewer entries than it had.
    #[error("the log has {found} entries, but had {known} before")]
    Shorter {
        /// How many it had.
        known: u64,
        /// How many it has.
        found: u64,
    },
    /// The later head does not follow on the earlier one: entries were rewritten, reordered or removed.
    #[error("the log's head at {found} entries does not follow on the one at {known}")]
    Fork {
        /// The size of the earlier head.
        known: u64,
        /// The size of the later one.
        found: u64,
    },
    /// The entry is not where it is claimed to be.
    #[error("entry {index} is not in the log of {size} entries")]
    NotIncluded {
        /// Its index, from 0.
        index: u64,
        /// The size of the log.
        size: u64,
    },
    /// The key that should have signed did not.
    #[error("nothing was signed")]
    Sign {
        /// What it said.
        #[from]
        source: crate::SignError,
    },
}

#[cfg(test)]
mod tests;
