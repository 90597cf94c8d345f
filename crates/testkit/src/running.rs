use std::{net::SocketAddr, path::PathBuf, time::Duration};

use backend::{Backend, Config};
use envelope::{
    Label, TargetBytes, TrustKeys, Verified,
    tuf::{Bundled, TRUST_KEYS_TARGET, TrustedState},
};
use model::{Role, Seconds, UnixTime};
use protocol::{
    Base64,
    device::{self, EnrolRequest, EnrolStatus, Offer},
    operator::{Adopt, Reservation, path},
};
use tempfile::TempDir;
use tls::{ClientTls, Clock, Identity, Time};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{Client, Device, FakeClock, Fleet, Member, device::reserved};

/// A backend of a fleet, on loopback, under a clock that is moved by hand.
#[derive(Debug)]
pub struct Running {
    /// Whose backend it is.
    pub fleet: Fleet,
    /// The clock of the backend and of everybody around it.
    pub clock: FakeClock,
    /// Where it is.
    pub address: SocketAddr,
    /// As it stands in links.
    pub origin: String,
    /// An admin, who may do everything but what a role alone may.
    pub admin: Member,
    adopted: Adopt,
    data: TempDir,
    shutdown: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl Running {
    /// A backend of a fleet whose releases take one signature.
    pub async fn start() -> Self {
        Self::with(Fleet::of_one(FakeClock::START), |_| {}).await
    }

    /// A backend of this fleet, set up otherwise than by default.
    pub async fn with(fleet: Fleet, set: impl Fn(&mut Config)) -> Self {
        let clock = FakeClock::default();
        let data = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = format!("https://localhost:{}", address.port());
        let config = config(data.path().to_owned(), &origin, &clock, set);
        let identity = Backend::init(&config).unwrap();
        let admin = fleet.member("admin", &[Role::Admin]);
        let adopted = fleet.adoption(&identity, &[&admin]);
        Backend::adopt(&config, &adopted).await.unwrap();
        let shutdown = CancellationToken::new();
        let serving = Some(serve(config, listener, shutdown.clone()).await);
        Self { fleet, clock, address, origin, admin, adopted, data, shutdown, serving }
    }

    /// Stops it, as a service is stopped, and starts it again over the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        let config = config(self.data.path().to_owned(), &self.origin, &self.clock, |_| {});
        self.shutdown = CancellationToken::new();
        self.serving = Some(serve(config, listener, self.shutdown.clone()).await);
    }

    /// Stops it and waits until it has.
    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(serving) = self.serving.take() {
            serving.await.unwrap();
        }
    }

    /// The time.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Where its data is.
    pub fn data_dir(&self) -> PathBuf {
        self.data.path().to_owned()
    }

    /// Connects to the normal endpoint.
    ///
    /// # Errors
    /// The handshake failed.
    pub async fn connect(&self, identity: &Identity) -> Result<Client, tls::Error> {
        Client::connect(self.address, &ClientTls::fleet(identity, &[self.fleet.ca_root()], self.time())?)
            .await
    }

    /// Connects to the enrolment endpoint, pinning the root.
    ///
    /// # Errors
    /// The handshake failed.
    pub async fn connect_to_enrol(&self, identity: &Identity) -> Result<Client, tls::Error> {
        let root = envelope::sha256(&self.fleet.ca_root());
        Client::connect(self.address, &ClientTls::enrolment(identity, root, self.time())?).await
    }

    /// A connection of the admin.
    pub async fn admin(&self) -> Client {
        self.connect(&self.admin.identity).await.unwrap()
    }

    /// Lets somebody in with these roles; their connection.
    pub async fn member(&self, name: &str, roles: &[Role]) -> (Member, Client) {
        let member = self.fleet.member(name, roles);
        self.admin().await.put(path::PEOPLE, &member.put).await.done();
        let client = self.connect(&member.identity).await.unwrap();
        (member, client)
    }

    /// Enrols a new device, all the way.
    pub async fn enrol(&self, serial: &str) -> Device {
        let mut device = Device::new(serial);
        let mut admin = self.admin().await;
        let (token, secret) = device.token(&self.fleet.station, self.now() + Seconds::days(1));
        admin.post(path::TOKENS, &token).await.done();
        let csr = device.csr();
        let request = EnrolRequest {
            token: token.token,
            mac: Base64(secret.mac(&csr).to_vec()),
            csr: Base64(csr),
            wait: Seconds(0),
        };
        let mut line = self.connect_to_enrol(&device.identity).await.unwrap();
        let status: EnrolStatus = line.post(device::path::ENROL, &request).await.ok();
        assert!(matches!(status, EnrolStatus::Pending { .. }), "{status:?}");
        let reserve = device.reserve();
        let reservation: Reservation = admin.post(&path::reserve(token.token), &reserve).await.ok();
        let id = reserved(&reservation);
        let certificate = device.certificate(&self.fleet, &reserve, id);
        admin.post(&path::issue(token.token), &certificate).await.done();
        device.take(&self.fleet, id, &certificate.certificate);
        device
    }

    /// The label of an offer, verified.
    pub fn label(&self, offer: &Offer, device: &Device) -> Verified<Label> {
        let label = Label::verify(&offer.label, &device.model, &self.trust(), self.now()).unwrap();
        assert!(label.fits(&offer.sealed_ticket));
        label
    }

    /// The keys that devices trust.
    pub fn trust(&self) -> Verified<TrustKeys> {
        let mut state = TrustedState::bootstrap(&self.adopted.root).unwrap();
        let bundle = Bundled { issued_at: self.fleet.founded_at, expires: UnixTime::MAX };
        let targets = state.accept_bundle(&[], &self.adopted.targets, bundle).unwrap();
        let target = targets.target(&TRUST_KEYS_TARGET.parse().unwrap()).unwrap();
        let bytes: Verified<TargetBytes> = target.verify(self.adopted.trust_keys.0.clone()).unwrap();
        TrustKeys::from_target(&bytes).unwrap()
    }

    /// What the backend was adopted with.
    pub const fn adopted(&self) -> &Adopt {
        &self.adopted
    }

    fn time(&self) -> Time {
        Time::Clock(std::sync::Arc::new(self.clock.clone()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn config(data_dir: PathBuf, origin: &str, clock: &FakeClock, set: impl Fn(&mut Config)) -> Config {
    let mut config = Config::new(data_dir, origin);
    config.clock = std::sync::Arc::new(clock.clone());
    config.tick = Duration::from_millis(20);
    config.limits.drain = Duration::from_secs(5);
    set(&mut config);
    config
}

async fn serve(config: Config, listener: TcpListener, shutdown: CancellationToken) -> JoinHandle<()> {
    let backend = Backend::open(config).await.unwrap();
    tokio::spawn(async move { backend.serve(listener, shutdown).await.unwrap() })
}
