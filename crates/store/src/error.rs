use std::{io, path::PathBuf};

/// What the store answers with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store did not do what it was asked to. Nothing of a failed operation is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such thing.
    #[error("no such {what}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// Something else has that place already.
    #[error("{what} is taken by something else")]
    Conflict {
        /// Which unique value.
        what: &'static str,
    },
    /// A state machine does not allow the step.
    #[error("{what} that is {from} cannot become {to}")]
    Illegal {
        /// What should have changed.
        what: &'static str,
        /// Where it stands.
        from: &'static str,
        /// Where it was asked to go.
        to: &'static str,
    },
    /// A signed document would go backwards, or change under one version number.
    #[error("`{name}` has version {stored} already")]
    Stale {
        /// The document.
        name: String,
        /// The version that is stored.
        stored: u64,
    },
    /// An argument that no caller should have passed on.
    #[error("{what} is not valid")]
    Invalid {
        /// Which.
        what: &'static str,
    },
    /// The bytes are not those that the digest names.
    #[error("the bytes do not have the digest that they were announced with")]
    WrongDigest,
    /// An upload goes on at another offset than the caller believes.
    #[error("the upload goes on at byte {offset}")]
    WrongOffset {
        /// How many bytes are there.
        offset: u64,
    },
    /// The disk, or the quota, is full. Nothing was lost; nothing was added.
    #[error("no space is left")]
    Full,
    /// Somebody else holds the file. Trying again may help.
    #[error("the store is busy")]
    Busy,
    /// The file is no intact database.
    #[error("the store is damaged: {reason}")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// The store was written by a newer program.
    #[error("the store has format {found}, this program knows formats up to {known}")]
    Newer {
        /// Its format.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A file could not be read or written.
    #[error("failed to access `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database refused a statement.
    #[error("the database refused")]
    Database {
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}
