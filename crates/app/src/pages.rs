//! Lists that a backend hands out page by page, and hints that it sends line by line: neither goes on for ever.

use std::{collections::BTreeSet, mem};

use protocol::{ErrorCode, operator::Hint};
use reqwest::Response;

use crate::{Error, client::unreachable};

/// How many pages a list may have: ten million rows, of 500 each.
const MOST_PAGES: usize = 20_000;
/// How long a hint may be, in bytes.
const MOST_OF_A_HINT: usize = 64 << 10;

/// Where one is in a list of pages.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    after: Option<String>,
    seen: BTreeSet<String>,
}

impl Cursor {
    /// What to ask for next.
    pub(crate) fn after(&self) -> Option<String> {
        self.after.clone()
    }

    /// Goes on to the page that the last one named, and says whether there is one.
    ///
    /// # Errors
    /// The backend leads in a circle, or without end.
    pub(crate) fn advance(&mut self, next: Option<String>) -> Result<bool, Error> {
        self.after = next;
        if let Some(next) = &self.after
            && (self.seen.len() >= MOST_PAGES || !self.seen.insert(next.clone()))
        {
            return Err(Error::new(ErrorCode::Untrusted, "the backend's list does not come to an end")
                .detail(format!("after {} pages it goes on at `{next}`", self.seen.len())));
        }
        Ok(self.after.is_some())
    }
}

/// What the backend says as it happens, hint by hint.
pub(crate) struct Hints {
    stream: Response,
    buffer: Vec<u8>,
}

impl Hints {
    pub(crate) fn new(stream: Response) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next hint; none once the backend has ended the stream.
    ///
    /// # Errors
    /// The backend cannot be reached any more, or sends a line without end.
    pub(crate) async fn next(&mut self) -> Result<Option<Hint>, Error> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let line = mem::replace(&mut self.buffer, rest);
                // A hint that this program does not know is no reason to miss the others.
                if let Ok(hint) = serde_json::from_slice(&line) {
                    return Ok(Some(hint));
                }
            }
            if self.buffer.len() > MOST_OF_A_HINT {
                return Err(Error::new(ErrorCode::Untrusted, "the backend sends a line that does not end"));
            }
            match self.stream.chunk().await.map_err(unreachable)? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn hints(chunks: Vec<&'static [u8]>) -> Hints {
        let chunks = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, Infallible>));
        Hints::new(http::Response::new(reqwest::Body::wrap_stream(chunks)).into())
    }

    #[test]
    fn a_list_is_followed_to_its_end_and_never_in_a_circle() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.after(), None);
        assert!(cursor.advance(Some("a".into())).unwrap() && cursor.advance(Some("b".into())).unwrap());
        assert_eq!(cursor.after().as_deref(), Some("b"));
        assert!(!cursor.advance(None).unwrap());
        for circle in [["a", "a"].as_slice(), &["a", "b", "c", "a"], &["a", "b", "b"]] {
            let mut cursor = Cursor::default();
            let (last, before) = circle.split_last().unwrap();
            assert!(before.iter().all(|next| cursor.advance(Some((*next).into())).unwrap()), "{circle:?}");
            let refused = cursor.advance(Some((*last).into())).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::Untrusted, "{circle:?}");
        }
    }

    #[test]
    fn a_list_of_ever_new_pages_is_given_up() {
        let mut cursor = Cursor::default();
        let refused = (0..).find_map(|page: usize| cursor.advance(Some(page.to_string())).err()).unwrap();
        assert_eq!((refused.code(), cursor.seen.len()), (ErrorCode::Untrusted, MOST_PAGES));
    }

    #[tokio::test]
    async fn hints_come_line_by_line_and_unknown_ones_are_passed_over() {
        let mut hints = hints(vec![
            b"{\"event\":\"tea\"}\nno json\n\n{\"event\":\"enrol",
            b"ment\"}\n{\"event\":\"enrolment\"}\n{\"event\":",
        ]);
        for _ in 0..2 {
            assert!(matches!(hints.next().await.unwrap(), Some(Hint::Enrolment)));
        }
        assert!(hints.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_hint_without_an_end_is_given_up() {
        let mut hints = hints(vec![&[b'x'; 1 << 12]; 1 << 12]);
        assert_eq!(hints.next().await.err().unwrap().code(), ErrorCode::Untrusted);
        assert!(hints.buffer.len() <= MOST_OF_A_HINT + (1 << 12), "{}", hints.buffer.len());
    }
}
