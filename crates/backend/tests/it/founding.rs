//! Taking over a fleet, and refusing to.

use std::os::unix::fs::PermissionsExt;

use backend::{Backend, Config, Error};
use envelope::Ed25519Key;
use model::Role;
use protocol::{
    Base64,
    operator::{Adopt, BackendIdentity},
};
use tempfile::TempDir;
use testkit::{FakeClock, Fleet};

struct Made {
    config: Config,
    identity: BackendIdentity,
    _data: TempDir,
}

fn made() -> Made {
    let data = tempfile::tempdir().unwrap();
    let mut config = Config::new(data.path(), "https://localhost:8443");
    config.clock = std::sync::Arc::new(FakeClock::default());
    let identity = Backend::init(&config).unwrap();
    Made { config, identity, _data: data }
}

fn fleet() -> Fleet {
    Fleet::of_one(FakeClock::START)
}

#[tokio::test]
async fn a_backend_is_adopted_once_and_says_so_as_often_as_it_is_asked() {
    let Made { config, identity, _data } = made();
    let fleet = fleet();
    let admin = fleet.member("ada", &[Role::Admin]);
    let adopt = fleet.adoption(&identity, &[&admin]);
    assert!(matches!(Backend::open(config.clone()).await, Err(Error::NotAdopted)));
    Backend::adopt(&config, &adopt).await.unwrap();
    Backend::adopt(&config, &adopt).await.unwrap();
    Backend::open(config.clone()).await.unwrap();
    let other = Fleet::of_one(FakeClock::START);
    let boss = other.member("bob", &[Role::Admin]);
    let theirs = other.adoption(&identity, &[&boss]);
    assert!(matches!(Backend::adopt(&config, &theirs).await, Err(Error::Founding { .. })));
}

#[tokio::test]
async fn what_is_handed_over_must_hold_together_and_be_for_this_backend() {
    let Made { config, identity, _data } = made();
    let fleet = fleet();
    let admin = fleet.member("ada", &[Role::Admin]);
    let good = fleet.adoption(&identity, &[&admin]);
    let foreign = |change: &dyn Fn(&mut BackendIdentity)| {
        let mut identity = identity.clone();
        change(&mut identity);
        fleet.adoption(&identity, &[&admin])
    };
    let key = || {
        Base64(
            envelope::Signer::public_key(&Ed25519Key::generate(&mut envelope::SystemRandom))
                .as_bytes()
                .to_vec(),
        )
    };
    let other = Fleet::of_one(FakeClock::START);
    let stranger = other.member("eve", &[Role::Admin]);
    let auditor = fleet.member("bob", &[Role::Auditor]);
    let mut renamed = admin.clone();
    renamed.put.name = "eve".parse().unwrap();
    let mut damaged = good.root.clone();
    let at = damaged.0.iter().position(|byte| *byte == b'"').unwrap() + 200;
    damaged.0[at] ^= 1;
    let cases: Vec<(&str, Adopt)> = vec![
        ("another snapshot key", foreign(&|identity| identity.snapshot = key())),
        ("another timestamp key", foreign(&|identity| identity.timestamp = key())),
        ("another link key", foreign(&|identity| identity.link = key())),
        ("another audit key", foreign(&|identity| identity.audit = key())),
        ("a server certificate over another key", {
            let made = made();
            Adopt { server_certificate: Base64(fleet.server_certificate(&made.identity.csr)), ..good.clone() }
        }),
        ("a server certificate of another fleet", {
            Adopt { server_certificate: Base64(other.server_certificate(&identity.csr)), ..good.clone() }
        }),
        ("another X.509 root", Adopt { ca_root: Base64(other.ca_root().to_vec()), ..good.clone() }),
        ("a damaged root", Adopt { root: damaged, ..good.clone() }),
        (
            "targets of another fleet",
            Adopt { targets: other.adoption(&identity, &[]).targets, ..good.clone() },
        ),
        ("other trust keys", Adopt { trust_keys: other.adoption(&identity, &[]).trust_keys, ..good.clone() }),
        ("nobody", fleet.adoption(&identity, &[])),
        ("no admin", fleet.adoption(&identity, &[&auditor])),
        ("a person of another fleet", fleet.adoption(&identity, &[&stranger])),
        ("a person by another name", fleet.adoption(&identity, &[&renamed])),
    ];
    for (what, adopt) in cases {
        assert!(Backend::adopt(&config, &adopt).await.is_err(), "{what}");
    }
    assert!(matches!(Backend::open(config.clone()).await, Err(Error::NotAdopted)));
    Backend::adopt(&config, &good).await.unwrap();
}

#[tokio::test]
async fn keys_are_made_once_and_read_by_their_owner_alone() {
    let Made { config, identity, _data } = made();
    let again = Backend::init(&config).unwrap();
    assert_eq!((&again.link, &again.snapshot), (&identity.link, &identity.snapshot));
    let keys = config.data_dir.join("keys");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&keys), 0o700);
    for key in std::fs::read_dir(&keys).unwrap() {
        assert_eq!(mode(&key.unwrap().path()), 0o600);
    }
    std::fs::set_permissions(keys.join("link"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Backend::open(config).await, Err(Error::KeyFile { .. })));
}

#[test]
fn an_origin_is_a_host_under_https_and_nothing_else() {
    for wrong in ["", "http://localhost:1", "https://", "https://host/path", "https://a@b", "https://a b"] {
        let data = tempfile::tempdir().unwrap();
        assert!(
            matches!(Backend::init(&Config::new(data.path(), wrong)), Err(Error::Origin { .. })),
            "{wrong}"
        );
    }
}

#[test]
fn tls_and_protocol_speak_of_the_same_endpoints() {
    assert_eq!(tls::ALPN_ENROL, protocol::ALPN_ENROL);
    assert_eq!(tls::ALPN_HTTP, protocol::ALPN_HTTP);
}
