use crate::{Error, Result};

/// Where a list goes on: opaque to everybody but the store that gave it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor(String);

/// Which part of a list is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// After what; from the beginning without it.
    pub after: Option<Cursor>,
    /// At most so many rows, 1 to [`PageRequest::MOST`]; other numbers are moved into that range.
    pub limit: u32,
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The rows, in the order of the list.
    pub rows: Vec<T>,
    /// Where the list goes on, if it does.
    pub next: Option<Cursor>,
}

impl Cursor {
    /// The cursor of this text, which may have traveled; whether it is one shows when it is used.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The cursor as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PageRequest {
    /// The longest page.
    pub const MOST: u32 = 1_000;

    /// The first `limit` rows.
    pub const fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }

    /// The `limit` rows after `cursor`.
    pub const fn after(cursor: Cursor, limit: u32) -> Self {
        Self { after: Some(cursor), limit }
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.limit.clamp(1, Self::MOST) as usize
    }

    /// How many rows to look for: one more shows whether the list goes on.
    pub(crate) fn look(&self) -> i64 {
        i64::from(self.limit.clamp(1, Self::MOST)) + 1
    }

    /// The row number after which a list goes on that is sorted by it; `start` without a cursor.
    pub(crate) fn number(&self, start: i64) -> Result<i64> {
        self.after.as_ref().map_or(Ok(start), |cursor| {
            cursor.as_str().parse().map_err(|_| Error::Invalid { what: "cursor" })
        })
    }

    /// The page of what was found, each row with the cursor that stands behind it.
    pub(crate) fn page<T>(&self, mut found: Vec<(impl ToString, T)>) -> Page<T> {
        let more = found.len() > self.rows();
        found.truncate(self.rows());
        let next = found.last().filter(|_| more).map(|(place, _)| Cursor(place.to_string()));
        Page { rows: found.into_iter().map(|(_, row)| row).collect(), next }
    }
}
