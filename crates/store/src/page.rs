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

    pub(crate) fn limit(&self) -> usize {
        self.limit.clamp(1, Self::MOST) as usize
    }
}
