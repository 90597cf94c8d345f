use std::{path::PathBuf, sync::Arc, time::Duration};

use model::Seconds;
use tls::{Clock, SystemClock};

use crate::Error;

/// How one backend runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Keys, database and artifacts: a folder that nobody else reads.
    pub data_dir: PathBuf,
    /// Where devices and people reach it, as it stands in links: `https://host:port`.
    pub origin: String,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// How long a device without a push stream waits before it asks again. Each is told a little more
    /// or less, so that a fleet does not ask at once.
    pub poll_after: Seconds,
    /// How often an idle push stream shows that it is alive.
    pub ping: Duration,
    /// How often timeouts, links and rollouts are looked after when nothing else happens.
    pub tick: Duration,
    /// What each connection is granted.
    pub limits: Limits,
}

/// What connections and requests are granted, so that no client holds up the others.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a request's head may take, and how long a connection may wait for its next one.
    pub head: Duration,
    /// How long the body of a JSON request may take.
    pub body: Duration,
    /// How long the other end may take no bytes that wait for it, and how long an upload may pause.
    pub stall: Duration,
    /// How long requests may take to finish once the backend shuts down.
    pub drain: Duration,
    /// How much ciphertext it keeps, in bytes; as much as the disk holds if there is no limit.
    pub ciphertext_bytes: Option<u64>,
}

impl Config {
    /// The defaults, with the computer's own clock.
    pub fn new(data_dir: impl Into<PathBuf>, origin: impl Into<String>) -> Self {
        Self {
            data_dir: data_dir.into(),
            origin: origin.into(),
            clock: Arc::new(SystemClock),
            poll_after: Seconds::minutes(5),
            ping: Duration::from_secs(25),
            tick: Duration::from_millis(500),
            limits: Limits::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let host = self.origin.strip_prefix("https://").unwrap_or_default();
        let sound = !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_graphic())
            && !host.contains(['/', '?', '#', '@']);
        if sound { Ok(()) } else { Err(Error::Origin { origin: self.origin.clone() }) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(60),
            body: Duration::from_secs(20),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            ciphertext_bytes: None,
        }
    }
}
