use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::{body::Body, extract::State, response::Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use model::SpkiDigest;
use protocol::operator::Hint;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep_until, timeout},
};

use crate::{api::device::ndjson, extract::Caller, push::line, refusal::Answer, server::Server};

/// Hints of one such span are told once.
const SPAN: Duration = Duration::from_millis(250);

/// One person's stream.
struct Watcher {
    server: Arc<Server>,
    spki: SpkiDigest,
    hints: Receiver<Hint>,
    begun: bool,
}

pub(super) async fn stream(State(server): State<Arc<Server>>, caller: Caller) -> Answer<Response> {
    let hints = server.hints.subscribe();
    let watcher = Watcher { server, spki: caller.spki, hints, begun: false };
    let lines = stream::unfold(watcher, |mut watcher| async {
        let lines = watcher.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Frame::data(lines)), watcher))
    });
    Ok(ndjson(Body::new(StreamBody::new(lines))))
}

impl Watcher {
    /// What to tell next; nothing once the watcher may watch no longer or missed something, so that they
    /// ask anew.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            return Some(self.ping());
        }
        let first = tokio::select! {
            first = timeout(self.server.config.ping, self.hints.recv()) => first,
            () = self.server.closing.cancelled() => return None,
        };
        let Ok(first) = first else {
            return self.is_welcome().await.then(|| self.ping());
        };
        let mut told = HashSet::new();
        let mut lines = BytesMut::new();
        let mut tell = |hint: &Hint| {
            let line = line(hint);
            if told.insert(line.clone()) {
                lines.extend_from_slice(&line);
            }
        };
        tell(&first.ok()?);
        let end = Instant::now() + SPAN;
        loop {
            tokio::select! {
                () = sleep_until(end) => break,
                hint = self.hints.recv() => match hint {
                    Ok(hint) => tell(&hint),
                    Err(RecvError::Closed | RecvError::Lagged(_)) => return None,
                },
            }
        }
        if !self.is_welcome().await {
            return None;
        }
        Some(lines.freeze())
    }

    async fn is_welcome(&self) -> bool {
        let person = self.server.store.person(self.spki).await;
        person.is_ok_and(|person| person.is_some_and(|person| person.revoked_at.is_none()))
    }

    fn ping(&self) -> Bytes {
        line(&Hint::Ping { server_time: self.server.now() })
    }
}
