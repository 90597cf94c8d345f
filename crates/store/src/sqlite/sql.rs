//! Statements and values: how the model's types stand in columns.

use std::str::FromStr;

use model::{KemKeyId, UnixTime};
use rusqlite::{Connection, Params, Row, ffi::ErrorCode, types::ValueRef};

use crate::{Error, Result, digest};

/// Statements, prepared once per connection.
pub(super) trait Sql {
    fn connection(&self) -> &Connection;

    /// Runs a statement without rows; how many rows it changed.
    fn run(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.connection().prepare_cached(sql)?.execute(params)?)
    }

    /// The first row, if there is one.
    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    }

    /// All rows.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(read(row)?);
        }
        Ok(all)
    }
}

impl Sql for Connection {
    fn connection(&self) -> &Connection {
        self
    }
}

/// An id, a digest, a key.
pub(super) fn blob<T: for<'a> TryFrom<&'a [u8]>>(row: &Row<'_>, column: usize) -> Result<T> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => T::try_from(bytes).map_err(|_| unreadable(column)),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => {
            Err(unreadable(column))
        }
    }
}

/// A name or a version.
pub(super) fn text<T: FromStr>(row: &Row<'_>, column: usize) -> Result<T> {
    match row.get_ref(column)? {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| unreadable(column)),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => {
            Err(unreadable(column))
        }
    }
}

/// A number that is never negative.
pub(super) fn uint<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> Result<T> {
    T::try_from(row.get(column)?).map_err(|_| unreadable(column))
}

/// An instant.
pub(super) fn time(row: &Row<'_>, column: usize) -> Result<UnixTime> {
    uint(row, column).map(UnixTime::from_secs)
}

/// One of a closed set of words.
pub(super) fn word<T: Copy>(
    row: &Row<'_>,
    column: usize,
    all: &[T],
    as_str: impl Fn(T) -> &'static str,
) -> Result<T> {
    let text = row.get_ref(column)?.as_str().map_err(|_| unreadable(column))?;
    all.iter().copied().find(|one| as_str(*one) == text).ok_or_else(|| unreadable(column))
}

/// JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    row.get_ref(column)?
        .as_str()
        .ok()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| unreadable(column))
}

/// What may be null.
pub(super) fn maybe<T>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(&Row<'_>, usize) -> Result<T>,
) -> Result<Option<T>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => {
            read(row, column).map(Some)
        }
    }
}

/// An instant as a column's value.
pub(super) fn secs(at: UnixTime) -> i64 {
    i64::try_from(at.as_secs()).expect("capped at the year 9999")
}

/// A number as a column's value.
pub(super) fn int(n: u64, what: &'static str) -> Result<i64> {
    i64::try_from(n).map_err(|_| Error::Invalid { what })
}

/// JSON as a column's value.
pub(super) fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|_| Error::Invalid { what: "value" })
}

/// How sealed objects name a KEM key.
pub(super) fn kem_id(kem: &[u8; 32]) -> KemKeyId {
    let digest = digest::sha256(kem);
    let (head, _) = digest.as_bytes().split_at(8);
    KemKeyId::new(head.try_into().expect("split at eight bytes"))
}

fn unreadable(column: usize) -> Error {
    Error::Damaged { reason: format!("column {column} of a row is unreadable") }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { reason: source.to_string() }
            }
            Some(_) | None => Self::Database { source },
        }
    }
}

/// Whether a statement failed because a unique value is taken.
pub(super) fn taken<T>(result: Result<T>, what: &'static str) -> Result<T> {
    match result {
        Err(Error::Database { source })
            if source.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) =>
        {
            Err(Error::Conflict { what })
        }
        other => other,
    }
}
