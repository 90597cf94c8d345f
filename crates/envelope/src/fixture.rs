//! A small fleet with throwaway keys, for the tests of this crate.

use std::{collections::BTreeSet, sync::Arc};

use model::{
    Component, DeviceId, Digest, FleetId, KemKeyId, ModelName, RolloutId, SecurityCounter, UnixTime,
};

use crate::{
    Action, Addressee, ContentKey, Ed25519Key, Error, Identity, Installation, KemSecret, KeyRole, P256Key,
    SealedPayload, Signer, Statement, SystemRandom, Target, Ticket, TrustKeys, Verified,
    cbor::value::{Fields, Value},
    cose::{self, Object},
    trust::{KeyMaterial, Models, Scope, TrustedKey},
};

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub(crate) const LATER: UnixTime = UnixTime::from_secs(1_800_604_800);
/// When the trust in every key ends.
pub(crate) const END: UnixTime = UnixTime::from_secs(1_900_000_000);

pub(crate) struct Fleet {
    pub(crate) ticket_key: Ed25519Key,
    pub(crate) seal_key: Ed25519Key,
    pub(crate) grant_key: Ed25519Key,
    pub(crate) link_key: Ed25519Key,
    pub(crate) device_key: P256Key,
    pub(crate) device_kem: KemSecret,
    pub(crate) member_kem: KemSecret,
    pub(crate) bench_kem: KemSecret,
    pub(crate) trust: Verified<TrustKeys>,
    pub(crate) me: Addressee,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let random = &mut SystemRandom;
        let [ticket_key, seal_key, grant_key, link_key] = [(); 4].map(|()| Ed25519Key::generate(random));
        let [device_kem, member_kem, bench_kem] = [(); 3].map(|()| KemSecret::generate(random).unwrap());
        let device_key = P256Key::generate().unwrap();
        let signer = |role, key: &Ed25519Key| trusted(role, KeyMaterial::Signer(key.public_key()));
        let recipient = |role, key: &KemSecret| trusted(role, KeyMaterial::Recipient(key.public()));
        let trust = TrustKeys::new(vec![
            signer(KeyRole::Ticket, &ticket_key),
            signer(KeyRole::Seal, &seal_key),
            signer(KeyRole::Grant, &grant_key),
            signer(KeyRole::Link, &link_key),
            recipient(KeyRole::Member, &member_kem),
            recipient(KeyRole::Bench, &bench_kem),
        ]);
        let identity =
            Identity { spki: device_key.public_key().spki_digest(), kem: device_kem.public().id() };
        let me = Addressee {
            fleet: FleetId::new([0xf1; 16]),
            device: DeviceId::new([0xd1; 16]),
            model: model("pump"),
            identity: Some(identity),
            deputy: None,
        };
        Self {
            ticket_key,
            seal_key,
            grant_key,
            link_key,
            device_key,
            device_kem,
            member_kem,
            bench_kem,
            trust: Verified::new(trust.unwrap()),
            me,
        }
    }

    pub(crate) fn statement(&self) -> Statement {
        Statement {
            fleet: self.me.fleet,
            device: self.me.device,
            identity: self.me.identity,
            rollout: RolloutId::new([0x70; 16]),
            component: "main".parse::<Component>().unwrap(),
            seq: 1_800_000_000_123,
            issued_at: NOW,
            not_before: NOW,
            not_after: LATER,
            action: Action::Install(Box::new(installation(None))),
        }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        Ticket::new(self.statement(), Some(content_key())).unwrap()
    }

    /// A ticket key's trust, changed by `change`.
    pub(crate) fn trust_with(&self, change: impl Fn(&mut TrustedKey)) -> Verified<TrustKeys> {
        let mut keys = self.trust.entries().to_vec();
        keys.iter_mut().for_each(change);
        Verified::new(TrustKeys::new(keys).unwrap())
    }
}

/// Trusted for pumps until [`END`].
pub(crate) fn trusted(role: KeyRole, material: KeyMaterial) -> TrustedKey {
    let scope = Scope { models: Models::Only(BTreeSet::from([model("pump")])), not_after: END };
    TrustedKey { role, material, scope, holder: "Ada Example".parse().unwrap() }
}

pub(crate) fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

pub(crate) fn content_key() -> Arc<ContentKey> {
    Arc::new(ContentKey::from_bytes(&[0xce; 32]))
}

pub(crate) fn installation(deputy: Option<KemKeyId>) -> Installation {
    Installation {
        target: Target {
            name: "pump/firmware-1.4.0.bin".parse().unwrap(),
            version: "1.4.0+12".parse().unwrap(),
            security_counter: SecurityCounter(7),
            length: 4_000_000,
            sha256: Digest::new([0xa1; 32]),
            model: model("pump"),
            hardware_revision: "b2".parse().unwrap(),
            installer: "slots".parse().unwrap(),
        },
        min_targets_version: 3,
        payload: SealedPayload {
            header: [0x0a; 32],
            length: 4_001_024,
            segment_list: Digest::new([0x5e; 32]),
        },
        deputy,
    }
}

/// A COSE_Sign1 over any payload with any algorithm number: what a hostile signer might sign.
pub(crate) fn sign1(algorithm: i64, key: &dyn Signer, payload: &[u8]) -> Vec<u8> {
    let header =
        Value::map([(1, Value::Int(algorithm)), (4, Value::bytes(key.public_key().id().as_bytes()))]);
    let protected = Value::bytes(&header.encode());
    let payload = Value::bytes(payload);
    let signed = [Value::text("Signature1"), protected.clone(), Value::bytes(&[]), payload.clone()];
    let signature = key.sign(&Value::Array(signed.into()).encode()).unwrap();
    let parts = [protected, Value::map([]), payload, Value::bytes(&signature)];
    [&[0xd2][..], &Value::Array(parts.into()).encode()].concat()
}

/// The map of an object, changed by `change`, signed by `key` as `alg`.
pub(crate) fn forged<T: Object>(object: &T, key: &Ed25519Key, change: impl FnOnce(&mut Fields)) -> Vec<u8> {
    let mut fields = Value::decode(&cose::encode(object).unwrap()).into_fields();
    change(&mut fields);
    sign1(-19, key, &Value::Map(fields).encode())
}

/// What an error says, to compare with.
pub(crate) fn said<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(Error::Encoding { source }) => source.to_string(),
        Err(error) => error.to_string(),
    }
}
