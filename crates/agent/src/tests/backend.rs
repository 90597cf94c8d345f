use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use envelope::{
    Identity, KemPublicKey, Proof, PublicKey, Report, SealedCertificate, SystemRandom, Verified, sha256,
};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    body::{Body, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use model::{DeploymentState, DeviceId, LinkId, Random as _, Seconds, UnixTime};
use pki::{Csr, DeviceProfile};
use protocol::{
    ErrorBody, ErrorCode,
    device::{
        CheckInRequest, CheckInResponse, EnrolRequest, EnrolStatus, Offer, ProofRequest, PushEvent,
        RenewRequest, ReportsRequest, ReportsResponse,
    },
};
use tls::ServerTls;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};

use super::fleet::{Fleet, Recipient, Release, Repository};
use crate::{Clock, Dial, Pending, Stream};

/// A clock that stands, until it is moved.
#[derive(Debug)]
pub(super) struct StoppedClock(AtomicU64);

impl StoppedClock {
    pub(super) fn at(now: UnixTime) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(now.as_secs())))
    }

    pub(super) fn pass(&self, time: Seconds) {
        self.0.fetch_add(time.0, Ordering::Relaxed);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// A backend: what it holds, what it heard, and how it misbehaves.
pub(super) struct Backend {
    pub(super) fleet: Arc<Fleet>,
    tls: ServerTls,
    world: Mutex<World>,
    /// Bytes that the wire still carries before it breaks; negative for ever.
    wire: AtomicI64,
}

pub(super) struct World {
    pub(super) repository: Repository,
    pub(super) token: Option<(model::TokenId, [u8; 32])>,
    /// How often a request for a certificate is told to wait.
    pub(super) undecided: u32,
    pub(super) issued: Option<(Vec<u8>, SealedCertificate, Csr)>,
    pub(super) proven: bool,
    /// When the certificates that it issues lapse.
    pub(super) not_after: UnixTime,
    /// Issues to another device than asked.
    pub(super) renames: bool,
    pub(super) offers: Vec<Offer>,
    pub(super) links: BTreeMap<LinkId, Release>,
    pub(super) counters: Vec<u64>,
    pub(super) reports: BTreeMap<u64, Report>,
    pub(super) requests: Vec<String>,
    pub(super) served_bytes: u64,
    pub(super) down: bool,
    /// Serves no payload.
    pub(super) starves: bool,
    /// Flips a byte in every range that is served.
    pub(super) corrupt: bool,
    pub(super) no_push: bool,
    pub(super) push: Vec<mpsc::UnboundedSender<PushEvent>>,
    /// Pushed on the open streams as soon as so many payload bytes were served.
    pub(super) push_at: Option<(u64, PushEvent)>,
}

impl Backend {
    pub(super) fn new(fleet: &Arc<Fleet>, repository: Repository) -> Arc<Self> {
        let clock = StoppedClock::at(fleet.now);
        let tls = ServerTls::new(&fleet.server, std::slice::from_ref(&fleet.ca.certificate), clock).unwrap();
        let world = World {
            repository,
            token: None,
            undecided: 0,
            issued: None,
            proven: false,
            not_after: UnixTime::MAX,
            renames: false,
            offers: Vec::new(),
            links: BTreeMap::new(),
            counters: Vec::new(),
            reports: BTreeMap::new(),
            requests: Vec::new(),
            served_bytes: 0,
            down: false,
            starves: false,
            corrupt: false,
            no_push: false,
            push: Vec::new(),
            push_at: None,
        };
        let fleet = Arc::clone(fleet);
        Arc::new(Self { fleet, tls, world: Mutex::new(world), wire: AtomicI64::new(-1) })
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// A backend of the same fleet that knows the same device, with nothing on offer.
    pub(super) fn fork(&self, repository: Repository) -> Arc<Self> {
        let fork = Self::new(&self.fleet, repository);
        fork.world().issued = self.world().issued.clone();
        fork
    }

    /// Lets the wire carry so many bytes more, then breaks each connection once.
    pub(super) fn cut_wire_after(&self, bytes: i64) {
        self.wire.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn recipient(&self) -> Recipient {
        let world = self.world();
        let (_, issued, csr) = world.issued.as_ref().unwrap();
        let kem = KemPublicKey(*csr.kem_public());
        let identity = Identity { spki: csr.spki_digest(), kem: kem.id() };
        Recipient { device: issued.device, identity, kem }
    }

    /// Offers a release by a ticket of this `seq`.
    pub(super) fn offer(&self, release: &Release, seq: u64) -> Offer {
        let (offer, link) = self.fleet.offer(release, self.recipient(), seq);
        let mut world = self.world();
        world.links.insert(link, release.clone());
        world.offers.push(offer.clone());
        offer
    }

    /// The states that were reported, in the order of their counters.
    pub(super) fn reported(&self) -> Vec<(DeploymentState, Option<String>)> {
        self.world().reports.values().map(|report| (report.state, report.code.clone())).collect()
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self: Arc<Self>, inner: Box<dyn Stream>) {
        let Ok((stream, peer)) = self.tls.accept(Leaky { inner, backend: Arc::clone(&self) }).await else {
            return;
        };
        let issued = self.world().issued.clone();
        let device = issued
            .filter(|(_, issued, _)| sha256(&issued.chain[0]) == peer.certificate_sha256)
            .map(|(_, issued, _)| issued.device);
        let answer = service_fn(move |request| Arc::clone(&self).answer(device, request));
        // A device that goes away in the middle is what these tests are about.
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await.ok();
    }

    async fn answer(self: Arc<Self>, device: Option<DeviceId>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let range = request.headers().get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let mut world = self.world();
        world.requests.push(path.clone());
        if world.down {
            return refuse(ErrorCode::Busy);
        }
        if let Some(name) = path.strip_prefix("/v1/tuf/") {
            return match world.repository.file(name) {
                Some(file) => bytes(StatusCode::OK, file.clone()),
                None => refuse(ErrorCode::NotFound),
            };
        }
        if let Some(link) = path.strip_prefix("/v1/links/") {
            if world.starves {
                return refuse(ErrorCode::Busy);
            }
            return self.payload(&mut world, link, range.as_deref());
        }
        match path.as_str() {
            "/v1/enrol" => {
                let request: EnrolRequest = serde_json::from_slice(&body).unwrap();
                json(&self.enrol(&mut world, &request))
            }
            "/v1/renew" => {
                let request: RenewRequest = serde_json::from_slice(&body).unwrap();
                if world.undecided > 0 {
                    return json(&EnrolStatus::Pending { retry_after: Seconds(5) });
                }
                json(&self.issue(&mut world, &request.csr))
            }
            "/v1/enrol/proof" => {
                let request: ProofRequest = serde_json::from_slice(&body).unwrap();
                let (_, issued, csr) = world.issued.clone().unwrap();
                let certificate = sha256(&issued.chain[0]);
                let expected = Proof { device: issued.device, certificate, challenge: issued.challenge };
                let key = PublicKey::P256(*csr.key().sec1());
                Proof::verify(&request.proof, &expected, &key).unwrap();
                world.proven = true;
                json(&())
            }
            "/v1/check-in" => {
                let request: CheckInRequest = serde_json::from_slice(&body).unwrap();
                world.counters.push(request.counter);
                let device = device.unwrap();
                json(&CheckInResponse {
                    check_in: self.fleet.check_in(device, &request.nonce).into(),
                    poll_after: Seconds(60),
                    offers: world.offers.clone(),
                })
            }
            "/v1/reports" => {
                let request: ReportsRequest = serde_json::from_slice(&body).unwrap();
                let key = PublicKey::P256(*world.issued.as_ref().unwrap().2.key().sec1());
                for report in &request.reports {
                    let report: Verified<Report> = Report::verify(report, device.unwrap(), &key).unwrap();
                    self.heard(&mut world, report.into_inner());
                }
                json(&ReportsResponse { refused: vec![None; request.reports.len()] })
            }
            "/v1/push" if !world.no_push => {
                let (sender, events) = mpsc::unbounded_channel();
                sender.send(PushEvent::Hello { server_time: self.fleet.now }).unwrap();
                world.push.push(sender);
                Ok(Response::new(BoxBody::new(Lines(events))))
            }
            _ => refuse(ErrorCode::NotFound),
        }
    }

    /// Takes a report, and ends what a deployment's end ends: it is on offer no longer. A repeat changes
    /// nothing.
    fn heard(&self, world: &mut World, report: Report) {
        if let Some(known) = world.reports.get(&report.counter) {
            assert_eq!(*known, report, "two reports of one counter");
            return;
        }
        if report.state.ended() {
            world.offers.retain(|offer| Some(offer.deployment) != report.deployment);
        }
        world.reports.insert(report.counter, report);
    }

    fn payload(&self, world: &mut World, link: &str, range: Option<&str>) -> Answer {
        let (link, list) = match link.strip_suffix("/segments") {
            Some(link) => (link, true),
            None => (link, false),
        };
        let Some(release) = link.parse().ok().and_then(|link: LinkId| world.links.get(&link)) else {
            return refuse(ErrorCode::LinkGone);
        };
        if list {
            return bytes(StatusCode::OK, release.segments.clone());
        }
        let (first, last) = range.unwrap().strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let mut part = release.ciphertext[first..=last].to_vec();
        let total = release.ciphertext.len();
        if world.corrupt {
            part[0] ^= 1;
        }
        world.served_bytes += part.len() as u64;
        if let Some((_, event)) = world.push_at.take_if(|(at, _)| world.served_bytes >= *at) {
            for stream in &world.push {
                stream.send(event.clone()).ok();
            }
        }
        let mut answer = bytes(StatusCode::PARTIAL_CONTENT, part)?;
        let content_range = format!("bytes {first}-{last}/{total}").parse().unwrap();
        answer.headers_mut().insert(header::CONTENT_RANGE, content_range);
        Ok(answer)
    }

    fn enrol(&self, world: &mut World, request: &EnrolRequest) -> EnrolStatus {
        let (token, secret) = world.token.unwrap();
        let secret = envelope::TokenSecret::from_bytes(&secret);
        if token != request.token || !secret.verifies(&request.csr, &request.mac) {
            return EnrolStatus::Refused { error: ErrorBody::new(ErrorCode::TokenRefused, "no such token") };
        }
        if world.undecided > 0 {
            world.undecided -= 1;
            return EnrolStatus::Pending { retry_after: Seconds(5) };
        }
        self.issue(world, &request.csr)
    }

    fn issue(&self, world: &mut World, der: &[u8]) -> EnrolStatus {
        let random = &mut SystemRandom;
        let csr = Csr::parse(der).unwrap();
        let known = world.issued.as_ref().filter(|(.., known)| known.spki_digest() == csr.spki_digest());
        let known = known.map(|(_, issued, _)| issued.device).filter(|_| !world.renames);
        let device = known.unwrap_or_else(|| DeviceId::random(random));
        let mut certificate_serial = [0x40; 16];
        random.fill(&mut certificate_serial[1..]);
        let profile = DeviceProfile {
            certificate_serial,
            device,
            serial: "P4-1".parse().unwrap(),
            model: "press-4".parse().unwrap(),
            not_after: world.not_after,
        };
        let certificate = self.fleet.devices.with(|ca| profile.issue(&csr, ca, self.fleet.now).unwrap());
        let chain = vec![certificate.to_vec(), self.fleet.devices.certificate.to_vec()];
        let issued = SealedCertificate { device, chain, challenge: [7; 32] };
        let sealed = issued.seal(&KemPublicKey(*csr.kem_public())).unwrap();
        world.issued = Some((der.to_vec(), issued, csr));
        EnrolStatus::Issued { sealed_certificate: sealed.into() }
    }
}

type Answer = Result<Response<BoxBody<Bytes, Infallible>>, Infallible>;

fn bytes(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(BoxBody::new(Full::new(body.into())));
    *answer.status_mut() = status;
    Ok(answer)
}

fn json(body: &impl serde::Serialize) -> Answer {
    bytes(StatusCode::OK, serde_json::to_vec(body).unwrap())
}

fn refuse(code: ErrorCode) -> Answer {
    let body = serde_json::to_vec(&ErrorBody::new(code, "no")).unwrap();
    bytes(StatusCode::from_u16(code.status()).unwrap(), body)
}

/// The push stream: a line for each event.
struct Lines(mpsc::UnboundedReceiver<PushEvent>);

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| {
            let mut line = serde_json::to_vec(&event?).unwrap();
            line.push(b'\n');
            Some(Ok(Frame::data(Bytes::from(line))))
        })
    }
}

/// The far end of a wire, which breaks when the backend says so.
struct Leaky {
    inner: Box<dyn Stream>,
    backend: Arc<Backend>,
}

impl AsyncRead for Leaky {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Leaky {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let left = self.backend.wire.load(Ordering::Relaxed);
        if left == 0 {
            self.backend.wire.store(-1, Ordering::Relaxed);
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let some = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let written = std::task::ready!(Pin::new(&mut self.inner).poll_write(context, &bytes[..some]))?;
        if left > 0 {
            self.backend.wire.fetch_sub(written as i64, Ordering::Relaxed);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A wire to the backend, within this process.
pub(super) struct Wire(pub(super) Arc<Backend>);

impl Dial for Wire {
    fn dial<'a>(&'a self, _address: &'a str) -> Pending<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            if self.0.world().down {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (near, far) = tokio::io::duplex(64 * 1024);
            tokio::spawn(Arc::clone(&self.0).serve(Box::new(far)));
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }
}
