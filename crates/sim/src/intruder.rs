//! Somebody with a device's keys, or with keys of their own, and a TLS library.

use std::{io, sync::Arc};

use agent::{Blob, MemoryStorage, Storage as _, SystemClock, SystemRandom};
use envelope::{P256Key, PublicKey, Signer as _};
use pki::{P256Signer, SignError};
use protocol::Base64;
use serde::Deserialize;
use tls::{CertificateDer, ClientTls, Identity, Time};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Sends whatever it likes as whoever it is.
#[derive(Debug)]
pub struct Intruder {
    tls: ClientTls,
    address: String,
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Whether the other end refused the handshake. Anything else that went wrong refuses nobody.
pub fn is_refusal(error: &io::Error) -> bool {
    tls::is_alert(error)
}

/// The part of a device's identity that anybody who has its disk can read.
#[derive(Deserialize)]
struct Stolen {
    address: String,
    chain: Vec<Base64>,
    roots: Vec<Base64>,
}

impl Intruder {
    /// Takes over the identity on a device's disk.
    ///
    /// # Errors
    /// There is none.
    pub fn with_disk_of(storage: &MemoryStorage) -> io::Result<Self> {
        let key = storage.read(Blob::IdentityKey)?.ok_or_else(missing)?;
        let stolen = Stolen::from_disk_of(storage)?;
        stolen.with(&stolen.chain.iter().map(der).collect::<Vec<_>>(), &key)
    }

    /// Finds the way to the backend on a device's disk, and goes there with a certificate over a key of
    /// its own that nobody issued.
    ///
    /// # Errors
    /// The device is not enrolled.
    pub fn stranger(storage: &MemoryStorage) -> io::Result<Self> {
        let key = P256Key::generate().map_err(io::Error::other)?;
        let pkcs8 = key.to_pkcs8().map_err(io::Error::other)?;
        let certificate = pki::self_signed(&Own(key), &mut SystemRandom).map_err(io::Error::other)?;
        Stolen::from_disk_of(storage)?.with(&[certificate], &pkcs8)
    }

    /// Gets a path.
    ///
    /// # Errors
    /// Nothing came back: the handshake was refused, or the connection closed.
    pub async fn get(&self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address), b"")
            .await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, path: &str, body: &[u8]) -> io::Result<Answer> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            body.len(),
        );
        self.send(&head, body).await
    }

    async fn send(&self, head: &str, body: &[u8]) -> io::Result<Answer> {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let stream = TcpStream::connect(&self.address).await?;
        let mut stream = self.tls.connect(host.trim_matches(['[', ']']), stream).await.map_err(|error| {
            if let tls::Error::Handshake(source) = error { source } else { io::Error::other(error) }
        })?;
        let request = [head.as_bytes(), body].concat();
        // Whoever is refused may find the line closed before all was said; the reason still waits there.
        let said = async { stream.write_all(&request).await.and(stream.flush().await) }.await;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer).await {
            // Some close without saying goodbye; what came counts.
            Err(error) if answer.is_empty() => return Err(error),
            Ok(0) => said?,
            Ok(_) | Err(_) => {}
        }
        parse(&answer)
    }
}

impl Stolen {
    fn from_disk_of(storage: &MemoryStorage) -> io::Result<Self> {
        let stolen = storage.read(Blob::Identity)?.ok_or_else(missing)?;
        serde_json::from_slice(&stolen).map_err(io::Error::other)
    }

    fn with(&self, chain: &[CertificateDer<'static>], pkcs8: &[u8]) -> io::Result<Intruder> {
        let roots: Vec<_> = self.roots.iter().map(der).collect();
        let identity = Identity::from_pkcs8(chain.to_vec(), pkcs8).map_err(io::Error::other)?;
        let time = Time::Clock(Arc::new(SystemClock));
        let tls = ClientTls::fleet(&identity, &roots, time).map_err(io::Error::other)?;
        Ok(Intruder { tls, address: self.address.clone() })
    }
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the device is not enrolled")
}

fn der(bytes: &Base64) -> CertificateDer<'static> {
    CertificateDer::from(bytes.0.clone())
}

/// A key of the intruder's own.
struct Own(P256Key);

impl P256Signer for Own {
    fn public_key_sec1(&self) -> [u8; 65] {
        match self.0.public_key() {
            PublicKey::P256(point) => point,
            PublicKey::Ed25519(_) => unreachable!("a P-256 key has a P-256 public half"),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.0.sign(message).map_err(|source| SignError::Failed { reason: source.to_string() })
    }
}

fn parse(answer: &[u8]) -> io::Result<Answer> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer came back");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(broken)?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    let body = &answer[end + 4..];
    let body = if head.contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_vec() };
    Ok(Answer { status, body })
}

/// Joins chunks (RFC 9112, 7.1), as far as they came.
fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end])
            .ok()
            .and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let Some(size @ 1..) = size else { break };
        let from = end + 2;
        let to = (from + size).min(body.len());
        joined.extend_from_slice(&body[from..to]);
        body = body.get(to + 2..).unwrap_or_default();
    }
    joined
}
