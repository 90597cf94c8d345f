//! Real handshakes over in-memory pipes, with throwaway certificates.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use model::{Digest, UnixTime};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tls::{CertificateDer, ClientTls, Clock, Error, Identity, PeerIdentity, ServerTls, Time};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex, split};

#[derive(Debug)]
struct FakeClock(AtomicU64);

impl Clock for FakeClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// 2026-06-01, within the life of every certificate here.
const NOW: u64 = 1_780_272_000;

struct Ca {
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2036, 1, 1);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { root, issuer: Issuer::new(params, key) }
    }

    /// A certificate for `usage` that holds from 2026 to the end of `until`.
    fn issue(&self, usage: ExtendedKeyUsagePurpose, until: i32) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Identity::from_pkcs8(vec![certificate, self.root.clone()], &key.serialize_der()).unwrap()
    }

    fn client(&self) -> Identity {
        self.issue(ExtendedKeyUsagePurpose::ClientAuth, 2036)
    }

    fn server(&self, clock: &Arc<FakeClock>) -> ServerTls {
        let identity = self.issue(ExtendedKeyUsagePurpose::ServerAuth, 2030);
        ServerTls::new(&identity, std::slice::from_ref(&self.root), Arc::clone(clock) as _).unwrap()
    }

    fn pin(&self) -> Digest {
        digest(&self.root)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(rcgen::DnType::CommonName, name);
    distinguished
}

fn digest(bytes: &[u8]) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    Digest::try_from(digest.as_ref()).unwrap()
}

fn self_signed() -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().der().clone();
    Identity::from_pkcs8(vec![certificate], &key.serialize_der()).unwrap()
}

fn clock(at: u64) -> Arc<FakeClock> {
    Arc::new(FakeClock(AtomicU64::new(at)))
}

/// What the server makes of the client, and the client of the server.
async fn shake(server: &ServerTls, client: &ClientTls) -> (Result<PeerIdentity, Error>, Result<bool, Error>) {
    let (near, far) = duplex(64 * 1024);
    let serve = async {
        let (mut stream, peer) = server.accept(far).await?;
        let _ = stream.write_all(b"x").await;
        let _ = stream.flush().await;
        // Until the client has read: it learns of a refusal, and of its ticket, only then.
        let _ = stream.read(&mut [0]).await;
        Ok(peer)
    };
    let connect = async {
        let mut stream = client.connect("localhost", near).await?;
        stream.read_u8().await.map_err(Error::Handshake)?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        stream.shutdown().await.map_err(Error::Handshake)?;
        Ok(resumed)
    };
    tokio::join!(serve, connect)
}

#[tokio::test]
async fn a_client_of_the_fleet_is_known_by_its_certificate() {
    let (fleet, clock) = (Ca::new("fleet"), clock(NOW));
    let server = fleet.server(&clock);
    let identity = fleet.client();
    let client = ClientTls::fleet(&identity, std::slice::from_ref(&fleet.root), Time::Clock(clock)).unwrap();
    let (peer, seen) = shake(&server, &client).await;
    let peer = peer.unwrap();
    assert_eq!(peer, PeerIdentity::of(identity.chain()[0].clone(), false).unwrap());
    assert_eq!(peer.certificate_sha256, digest(&identity.chain()[0]));
    assert!(!seen.unwrap());

    let (again, resumed) = shake(&server, &client).await;
    assert_eq!(again.unwrap(), peer, "a resumed session still says who is there");
    assert!(resumed.unwrap());
}

#[tokio::test]
async fn r1_the_normal_endpoint_takes_no_stranger() {
    let (fleet, clock) = (Ca::new("fleet"), clock(NOW));
    let server = fleet.server(&clock);
    let strangers = [
        ("self-signed", self_signed()),
        ("of another fleet", Ca::new("fleet").client()),
        ("a server's", fleet.issue(ExtendedKeyUsagePurpose::ServerAuth, 2036)),
        ("lapsed", fleet.issue(ExtendedKeyUsagePurpose::ClientAuth, 2026)),
    ];
    for (what, identity) in strangers {
        let client = ClientTls::fleet(
            &identity,
            std::slice::from_ref(&fleet.root),
            Time::Clock(Arc::clone(&clock) as _),
        )
        .unwrap();
        let (peer, seen) = shake(&server, &client).await;
        assert!(peer.is_err(), "{what}");
        assert!(matches!(&seen, Err(Error::Handshake(why)) if tls::is_alert(why)), "{what}: {seen:?}");
    }
}

#[tokio::test]
async fn r1_a_server_of_another_fleet_is_not_spoken_to() {
    let (fleet, clock) = (Ca::new("fleet"), clock(NOW));
    let impostors = [("of another fleet", Ca::new("fleet").server(&clock)), {
        let identity = fleet.client();
        let server = ServerTls::new(&identity, std::slice::from_ref(&fleet.root), Arc::clone(&clock) as _);
        ("a device that plays the server", server.unwrap())
    }];
    for (what, server) in impostors {
        let time = Time::Clock(Arc::clone(&clock) as _);
        let client = ClientTls::fleet(&fleet.client(), std::slice::from_ref(&fleet.root), time).unwrap();
        let (peer, seen) = shake(&server, &client).await;
        assert!(peer.is_err(), "{what}");
        assert!(matches!(&seen, Err(Error::Handshake(why)) if !tls::is_alert(why)), "{what}: {seen:?}");
    }
}

#[tokio::test]
async fn r2_whoever_relays_can_neither_read_nor_alter() {
    const SAID: &[u8] = b"what the backend and a device say to each other";
    let (fleet, clock) = (Ca::new("fleet"), clock(NOW));
    let server = fleet.server(&clock);
    let time = Time::Clock(Arc::clone(&clock) as _);
    let client = ClientTls::fleet(&fleet.client(), std::slice::from_ref(&fleet.root), time).unwrap();
    for alters in [false, true] {
        let ((near, near_relay), (far_relay, far)) = (duplex(64 * 1024), duplex(64 * 1024));
        let ((from_near, to_near), (from_far, to_far)) = (split(near_relay), split(far_relay));
        let (alter, never) = (AtomicBool::new(false), AtomicBool::new(false));
        let serve = async {
            let (mut stream, _) = server.accept(far).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            let mut heard = vec![0; SAID.len()];
            stream.read_exact(&mut heard).await.map(|_| heard)
        };
        let connect = async {
            let mut stream = client.connect("localhost", near).await.unwrap();
            stream.read_u8().await.unwrap();
            alter.store(alters, Ordering::Relaxed);
            stream.write_all(SAID).await.unwrap();
            stream.flush().await.unwrap();
            // Until the server is done.
            let _ = stream.read(&mut [0]).await;
        };
        let (heard, (), there, back) =
            tokio::join!(serve, connect, relay(from_near, to_far, &alter), relay(from_far, to_near, &never),);
        if alters {
            assert!(heard.is_err(), "it arrived as {heard:?}");
        } else {
            assert_eq!(heard.unwrap(), SAID);
        }
        assert!(there.len() > SAID.len() && back.len() > SAID.len(), "all of it went through the relay");
        for seen in [there, back] {
            assert!(!seen.windows(8).any(|eight| SAID.windows(8).any(|said| said == eight)));
        }
    }
}

/// Passes on what comes and remembers it; alters a byte of it where it is told to.
async fn relay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    alter: &AtomicBool,
) -> Vec<u8> {
    let (mut seen, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        if alter.swap(false, Ordering::Relaxed) {
            piece[count / 2] ^= 1;
        }
        seen.extend_from_slice(&piece[..count]);
        if to.write_all(&piece[..count]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
    seen
}

#[tokio::test]
async fn r1_a_client_without_a_certificate_gets_nothing() {
    let (fleet, clock) = (Ca::new("fleet"), clock(NOW));
    let server = fleet.server(&clock);
    for alpn in [tls::ALPN_HTTP, tls::ALPN_ENROL] {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(fleet.root.clone()).unwrap();
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let (near, far) = duplex(64 * 1024);
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let connect = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, near);
        let (peer, _) = tokio::join!(server.accept(far), connect);
        assert!(peer.is_err());
    }
}

#[tokio::test]
async fn an_enrolling_device_pins_the_root_of_its_token() {
    let (fleet, clock) = (Ca::new("fleet"), clock(NOW));
    let server = fleet.server(&clock);
    let identity = self_signed();
    // Its clock stands at its build time, years before the certificates.
    let floor = || Time::Floor(self::clock(1_500_000_000));
    let client = ClientTls::enrolment(&identity, fleet.pin(), floor()).unwrap();
    let (peer, seen) = shake(&server, &client).await;
    assert_eq!(peer.unwrap(), PeerIdentity::of(identity.chain()[0].clone(), true).unwrap());
    assert!(!seen.unwrap());

    let misled = ClientTls::enrolment(&identity, Ca::new("fleet").pin(), floor()).unwrap();
    assert!(shake(&server, &misled).await.1.is_err(), "another root");
    let leaf = ClientTls::enrolment(&identity, digest(&identity.chain()[0]), floor()).unwrap();
    assert!(shake(&server, &leaf).await.1.is_err(), "a digest of no root at all");
    let on_time =
        ClientTls::enrolment(&identity, fleet.pin(), Time::Clock(self::clock(1_500_000_000))).unwrap();
    assert!(shake(&server, &on_time).await.1.is_err(), "a clock is believed, other than a floor");
    let late = ClientTls::enrolment(&identity, fleet.pin(), Time::Floor(self::clock(1_900_000_000))).unwrap();
    assert!(shake(&server, &late).await.1.is_err(), "a floor beyond the server's certificate");
}

#[tokio::test]
async fn no_ticket_leads_from_the_enrolment_endpoint_to_the_other() {
    let (fleet, clock) = (Ca::new("fleet"), clock(NOW));
    let server = fleet.server(&clock);
    let identity = self_signed();
    let client = ClientTls::enrolment(&identity, fleet.pin(), Time::Clock(Arc::clone(&clock) as _)).unwrap();
    let mut config = (*client.config()).clone();
    config.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let sessions = config.resumption.clone();
    for alpn in [tls::ALPN_ENROL, tls::ALPN_HTTP] {
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = sessions.clone();
        let (near, far) = duplex(64 * 1024);
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config.clone()));
        let accept = async {
            let (mut stream, peer) = server.accept(far).await?;
            let _ = stream.write_all(b"x").await;
            let _ = stream.flush().await;
            Ok::<_, Error>(peer)
        };
        let connect = async {
            let mut stream = connector.connect(name, near).await?;
            stream.read_u8().await
        };
        let (peer, _) = tokio::join!(accept, connect);
        assert_eq!(peer.is_ok(), alpn == tls::ALPN_ENROL);
    }
}

#[tokio::test]
async fn a_lapsed_certificate_of_ours_reaches_the_enrolment_endpoint_and_no_other_does() {
    let (fleet, clock) = (Ca::new("fleet"), clock(NOW));
    let server = fleet.server(&clock);
    let roots = [fleet.root.clone()];
    let lapsed = fleet.issue(ExtendedKeyUsagePurpose::ClientAuth, 2026);
    let ours = ClientTls::renewal(&lapsed, &roots, Time::Clock(Arc::clone(&clock) as _)).unwrap();
    let peer = shake(&server, &ours).await.0.unwrap();
    assert!(peer.enrolling);

    let theirs = Ca::new("fleet").client();
    let theirs = ClientTls::renewal(&theirs, &roots, Time::Clock(clock)).unwrap();
    assert!(shake(&server, &theirs).await.0.is_err());
}

#[tokio::test]
async fn reloading_changes_the_roots_at_once_and_ends_old_sessions() {
    let (old, new, clock) = (Ca::new("old"), Ca::new("new"), clock(NOW));
    let server = old.server(&clock);
    let roots = [old.root.clone(), new.root.clone()];
    let client = ClientTls::fleet(&old.client(), &roots, Time::Clock(clock)).unwrap();
    assert!(shake(&server, &client).await.0.is_ok());
    let identity = new.issue(ExtendedKeyUsagePurpose::ServerAuth, 2030);
    server.reload(&identity, std::slice::from_ref(&new.root)).unwrap();
    assert!(shake(&server, &client).await.0.is_err(), "not even with a ticket of before");
    assert!(server.reload(&identity, &[]).is_err());
}

#[tokio::test]
async fn keys_off_the_curve_and_keys_of_others_make_no_identity() {
    let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&other).unwrap().der().clone();
    assert!(matches!(
        Identity::from_pkcs8(vec![certificate], &other.serialize_der()),
        Err(Error::Certificate { .. })
    ));
    let ours = self_signed();
    let foreign = KeyPair::generate().unwrap();
    assert!(matches!(
        Identity::from_pkcs8(ours.chain().to_vec(), &foreign.serialize_der()),
        Err(Error::Key(_))
    ));
    assert!(Identity::from_pkcs8(Vec::new(), &foreign.serialize_der()).is_err());
}

#[tokio::test]
async fn a_chain_that_held_is_not_believed_beyond_its_end() {
    let (fleet, clock) = (Ca::new("fleet"), clock(NOW));
    let server = fleet.server(&clock);
    let identity = fleet.issue(ExtendedKeyUsagePurpose::ClientAuth, 2027);
    let roots = [fleet.root.clone()];
    let connect = || ClientTls::fleet(&identity, &roots, Time::Clock(Arc::clone(&clock) as _)).unwrap();
    for _ in 0..2 {
        assert!(shake(&server, &connect()).await.0.is_ok());
    }
    // 2026-12-31T23:30:00Z, then an hour later.
    clock.0.store(1_798_759_800, Ordering::Relaxed);
    assert!(shake(&server, &connect()).await.0.is_ok());
    clock.0.store(1_798_763_400, Ordering::Relaxed);
    assert!(shake(&server, &connect()).await.0.is_err(), "within an hour of a good verdict");
}

#[tokio::test]
async fn a_remembered_certificate_is_worth_nothing_without_its_key() {
    let (fleet, clock) = (Ca::new("fleet"), clock(NOW));
    let server = fleet.server(&clock);
    let honest = fleet.client();
    let roots = [fleet.root.clone()];
    let connect = |identity: &Identity| {
        ClientTls::fleet(identity, &roots, Time::Clock(Arc::clone(&clock) as _)).unwrap()
    };
    assert!(shake(&server, &connect(&honest)).await.0.is_ok());
    let thief =
        Identity::new(honest.chain().to_vec(), Arc::new(Stolen(KeyPair::generate().unwrap()))).unwrap();
    assert!(shake(&server, &connect(&thief)).await.0.is_err());
}

/// A key that does not tell that it is another one than the certificate's.
#[derive(Debug)]
struct Stolen(KeyPair);

impl rustls::sign::SigningKey for Stolen {
    fn choose_scheme(&self, offered: &[rustls::SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let der = self.0.serialize_der();
        let key = rustls::pki_types::PrivateKeyDer::try_from(der).unwrap();
        rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&key).unwrap().choose_scheme(offered)
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        rustls::SignatureAlgorithm::ECDSA
    }
}
