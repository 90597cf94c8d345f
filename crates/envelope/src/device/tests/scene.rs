use model::{Component, Seconds, TargetName, UnixTime};

use crate::{
    Action, Ed25519Key, Identity, Installation, KemSecret, Link, PublicKey, Recipient, Signer, Statement,
    SystemRandom, TargetBytes, Ticket, Verified,
    cose::Object,
    device::{
        Basis, Clock, ComponentState, Install, Offer, OfferedLink, Order, Refusal, State, verify_offer,
    },
    fixture::{Fleet, NOW, content_key},
    otap, seal,
    tuf::{
        Bundled, Client, Fetched, Role, Root, Signed, Snapshot, TargetCustom, TargetFile, Targets,
        TargetsView, Timestamp, TrustedState,
    },
};

pub(super) const ORIGIN: &str = "https://updates.example:8443";
pub(super) const ARTIFACT: &str = "pump/firmware-1.4.0.bin";

/// An offer that a device accepts, every part of which a test may spoil.
pub(super) struct Scene {
    pub(super) fleet: Fleet,
    pub(super) targets: Targets,
    pub(super) state: State,
    pub(super) statement: Statement,
    pub(super) signer: Ed25519Key,
    pub(super) sealed_to: KemSecret,
    pub(super) kem: KemSecret,
    pub(super) deputy: bool,
    pub(super) spoil_signature: bool,
    pub(super) link: Link,
    pub(super) link_signer: Ed25519Key,
    pub(super) link_sealed_to: KemSecret,
    pub(super) clock: Clock,
    pub(super) free_bytes: u64,
    pub(super) offline: bool,
}

impl Scene {
    pub(super) fn new() -> Self {
        let fleet = Fleet::new();
        let mut statement = fleet.statement();
        let custom = edit(&mut statement, |installation| {
            let header = otap::Header::new(installation.target.length, &mut SystemRandom).unwrap();
            installation.payload.header = header.encode();
            installation.payload.length = header.layout().ciphertext_len();
            let target = &installation.target;
            TargetCustom {
                model: target.model.clone(),
                hardware_revisions: vec!["b1".parse().unwrap(), target.hardware_revision.clone()],
                component: "main".parse().unwrap(),
                version: target.version.clone(),
                security_counter: target.security_counter,
                installer: target.installer.clone(),
                release: model::ReleaseId::new([1; 16]),
                requires: [(component("boot"), "2.0.0".parse().unwrap())].into(),
                must_pass: false,
            }
        });
        let installation = statement.action.installation().unwrap().clone();
        let mut file = TargetFile::of(b"", Some(custom));
        file.length = installation.target.length;
        file.hashes.sha256 = installation.target.sha256;
        let mut targets = Targets::new(NOW);
        targets.version = installation.min_targets_version;
        targets.targets.insert(name(ARTIFACT), file);

        let running = |version: &str| ComponentState {
            confirmed: Some(version.parse().unwrap()),
            security_counter: model::SecurityCounter(6),
            seq: 5,
            ..ComponentState::default()
        };
        let state = State::new(
            fleet.me.fleet,
            fleet.me.device,
            fleet.me.identity,
            fleet.me.model.clone(),
            installation.target.hardware_revision.clone(),
            [(component("main"), running("1.3.0")), (component("boot"), running("2.0.0"))],
        );
        let link_expiry = NOW + Seconds::hours(2);
        let link = Link {
            id: model::LinkId::random(link_expiry, &mut SystemRandom),
            origin: ORIGIN.into(),
            path: "/v1/payload".into(),
            device: fleet.me.device,
            spki: fleet.me.identity.unwrap().spki,
            segment_list: installation.payload.segment_list,
            not_before: NOW,
            not_after: link_expiry,
        };
        Self {
            signer: again(&fleet.ticket_key),
            sealed_to: same_kem(&fleet.device_kem),
            kem: same_kem(&fleet.device_kem),
            deputy: false,
            spoil_signature: false,
            link,
            link_signer: again(&fleet.link_key),
            link_sealed_to: same_kem(&fleet.device_kem),
            clock: Clock { floor: NOW, own: None, hint: None },
            free_bytes: installation.payload.length,
            offline: false,
            fleet,
            targets,
            state,
            statement,
        }
    }

    pub(super) fn custom(&mut self) -> &mut TargetCustom {
        self.targets.targets.get_mut(&name(ARTIFACT)).unwrap().custom.as_mut().unwrap()
    }

    /// Puts another release of the same kind among the targets, which no device may jump over.
    pub(super) fn must_pass(&mut self, version: &str) {
        let mut file = self.targets.targets[&name(ARTIFACT)].clone();
        let custom = file.custom.as_mut().unwrap();
        custom.version = version.parse().unwrap();
        custom.must_pass = true;
        self.targets.targets.insert(name(&format!("gw/{version}")), file);
    }

    pub(super) fn installation<T>(&mut self, change: impl FnOnce(&mut Installation) -> T) -> T {
        edit(&mut self.statement, change)
    }

    pub(super) fn component(&mut self, change: impl FnOnce(&mut ComponentState)) {
        self.edit_component("main", change);
    }

    pub(super) fn edit_component(&mut self, name: &str, change: impl FnOnce(&mut ComponentState)) {
        let state = &self.state;
        let mut components = state.components().clone();
        change(components.get_mut(&component(name)).unwrap());
        self.state = State::new(
            self.fleet.me.fleet,
            state.device(),
            self.fleet.me.identity,
            state.model().clone(),
            state.hardware_revision().clone(),
            components,
        );
    }

    /// The ticket sealed as the statement now says.
    pub(super) fn ticket(&self) -> Vec<u8> {
        let key = self.statement.action.installation().map(|_| content_key());
        let ticket = Ticket::new(self.statement.clone(), key).unwrap();
        let mut signed = ticket.sign(&self.signer).unwrap();
        if self.spoil_signature {
            let last = signed.len() - 1;
            signed[last] ^= 1;
        }
        let recipient = match self.statement.deputy() {
            Some(bench) => Recipient::Key(bench),
            None => Recipient::Device(self.fleet.me.device),
        };
        seal::seal(Ticket::TYP, &self.sealed_to.public(), recipient, &signed).unwrap()
    }

    pub(super) fn sealed_link(&self) -> Vec<u8> {
        let signed = self.link.sign(&self.link_signer).unwrap();
        let recipient = Recipient::Device(self.fleet.me.device);
        seal::seal(Link::TYP, &self.link_sealed_to.public(), recipient, &signed).unwrap()
    }

    /// Offers the ticket as it now is, with its link.
    pub(super) fn offer(&self) -> Result<Order, Refusal> {
        self.offer_ticket(&self.ticket())
    }

    pub(super) fn offer_ticket(&self, ticket: &[u8]) -> Result<Order, Refusal> {
        let sealed = self.sealed_link();
        let link = (!self.offline).then_some(OfferedLink { sealed: &sealed, origin: ORIGIN });
        self.offer_bytes(ticket, link)
    }

    pub(super) fn offer_bytes(&self, ticket: &[u8], link: Option<OfferedLink<'_>>) -> Result<Order, Refusal> {
        let offer = Offer { ticket, link };
        verify_offer(&self.state, &self.basis()?, offer, &self.kem, self.deputy, self.clock, self.free_bytes)
    }

    /// The code of the refusal.
    pub(super) fn refused(&self) -> &'static str {
        match self.offer() {
            Ok(_) => "accepted",
            Err(refusal) => refusal.code(),
        }
    }

    pub(super) fn install(&self, ticket: &[u8]) -> Box<Verified<Install>> {
        match self.offer_ticket(ticket).unwrap() {
            Order::Install(install) => install,
            Order::Hold(_) => panic!("an installation was offered"),
        }
    }

    pub(super) fn basis(&self) -> Result<Basis, Refusal> {
        let keys = self.fleet.trust.encode();
        let mut targets = self.targets.clone();
        targets.targets.insert(name("trust/keys.cbor"), TargetFile::of(&keys, None));
        let targets = in_force(&targets, self.offline);
        Basis::new(targets, &Verified::new(TargetBytes::new(name("trust/keys.cbor"), keys)))
    }
}

/// The targets as a real refresh, or a bundle, brings them into force.
pub(super) fn in_force(targets: &Targets, offline: bool) -> Verified<TargetsView> {
    let mut root = Root::new(NOW + Role::Root.life());
    let roles = [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp];
    let keys = [1, 2, 3, 4].map(|seed| Ed25519Key::from_seed(&[seed; 32]));
    for (role, key) in roles.into_iter().zip(&keys) {
        if let PublicKey::Ed25519(public) = key.public_key() {
            root.add_key(role, &public);
        }
    }
    let mut root = Signed::new(root).unwrap();
    root.sign(&keys[0]).unwrap();
    let mut targets = Signed::new(targets.clone()).unwrap();
    targets.sign(&keys[1]).unwrap();
    let mut snapshot = Signed::new(Snapshot::new(1, NOW, &targets)).unwrap();
    snapshot.sign(&keys[2]).unwrap();
    let mut timestamp = Signed::new(Timestamp::new(1, NOW, &snapshot)).unwrap();
    timestamp.sign(&keys[3]).unwrap();

    let mut state = TrustedState::bootstrap(root.raw()).unwrap();
    if offline {
        let bundle = Bundled { issued_at: NOW, expires: NOW + Seconds::days(30) };
        return state.accept_bundle(&[], targets.raw(), bundle).unwrap();
    }
    let mut client = Client::new(state, NOW);
    client.feed(Fetched::NotFound).unwrap();
    for file in [timestamp.raw(), snapshot.raw(), targets.raw()] {
        client.feed(Fetched::Bytes(file)).unwrap();
    }
    client.targets().unwrap()
}

pub(super) fn component(text: &str) -> Component {
    text.parse().unwrap()
}

pub(super) fn name(text: &str) -> TargetName {
    text.parse().unwrap()
}

pub(super) fn stranger() -> KemSecret {
    KemSecret::generate(&mut SystemRandom).unwrap()
}

pub(super) fn same_kem(secret: &KemSecret) -> KemSecret {
    KemSecret::from_bytes(&secret.to_bytes()).unwrap()
}

pub(super) fn again(key: &Ed25519Key) -> Ed25519Key {
    Ed25519Key::from_seed(&key.seed())
}

pub(super) fn other(identity: Option<Identity>) -> Identity {
    Identity { spki: model::SpkiDigest::new([9; 32]), ..identity.unwrap() }
}

pub(super) fn after(seconds: u64) -> UnixTime {
    NOW + Seconds(seconds)
}

fn edit<T>(statement: &mut Statement, change: impl FnOnce(&mut Installation) -> T) -> T {
    match &mut statement.action {
        Action::Install(installation) | Action::Reinstall(installation) => change(installation),
        Action::Hold => panic!("a hold installs nothing"),
    }
}
