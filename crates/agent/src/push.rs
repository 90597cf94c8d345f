use std::time::Duration;

use http::StatusCode;
use protocol::device::{PushEvent, path};

use crate::{
    Error,
    http::{Body, Endpoint, Http, get},
};

/// The longest line of the stream, in bytes: an offer has some ten thousand.
const MAX_LINE: usize = 256 * 1024;

/// The stream on which the backend speaks without being asked, on a connection of its own.
pub(crate) struct Push {
    // The stream ends with its connection.
    _http: Http,
    body: Body,
    read: Vec<u8>,
    silence: Duration,
}

impl Push {
    /// Opens the stream, which counts as broken when nothing came for as long as `silence`.
    pub(crate) async fn open(endpoint: Endpoint, silence: Duration) -> Result<Self, Error> {
        let mut http = Http::new(endpoint);
        let answer = http.send(get(path::PUSH, None)?, Duration::ZERO).await?;
        let (status, body) = http.success(answer).await?;
        if status != StatusCode::OK {
            return Err(Error::answer("the backend opens no push stream"));
        }
        Ok(Self { _http: http, body, read: Vec::new(), silence })
    }

    /// The next event. May be canceled without losing one.
    ///
    /// # Errors
    /// The stream broke, was silent for too long, or carries something else.
    pub(crate) async fn event(&mut self) -> Result<PushEvent, Error> {
        loop {
            if let Some(end) = self.read.iter().position(|&byte| byte == b'\n') {
                let event = serde_json::from_slice(&self.read[..end]);
                self.read.drain(..=end);
                return event.map_err(|_| Error::answer("the push stream carries something else"));
            }
            if self.read.len() > MAX_LINE {
                return Err(Error::answer("a line of the push stream is too long"));
            }
            match self.body.piece_within(self.silence).await? {
                Some(piece) => self.read.extend_from_slice(&piece),
                None => return Err(Error::answer("the push stream ended")),
            }
        }
    }
}
