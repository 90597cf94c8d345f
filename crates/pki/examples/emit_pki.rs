//! Writes one of everything that is issued, in DER, for other programs to judge: `emit_pki DIR`.

use std::{error::Error, fs, path::Path};

use aws_lc_rs::{
    rand::{self, SystemRandom},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use model::{DeviceId, Random, Seconds, UnixTime};
use pki::{
    Ca, CaCertificate, CaKind, CaProfile, Csr, DeviceProfile, IdentityCsr, P256PublicKey, P256Signer,
    PersonProfile, Revoked, RootProfile, ServerProfile, SignError, crl, request, self_signed,
};

struct Key(EcdsaKeyPair);

struct System;

impl Random for System {
    fn fill(&mut self, bytes: &mut [u8]) {
        rand::fill(bytes).expect("the provider's generator stops the process rather than fail");
    }
}

impl Key {
    fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| "no key")?))
    }

    fn public(&self) -> Result<P256PublicKey, pki::Error> {
        P256PublicKey::from_sec1(self.public_key_sec1())
    }
}

impl P256Signer for Key {
    fn public_key_sec1(&self) -> [u8; 65] {
        self.0.public_key().as_ref().try_into().expect("a point on P-256 has 65 bytes")
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let failed = || SignError::Failed { reason: "the provider refused".into() };
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| failed())?;
        signature.as_ref().try_into().map_err(|_| failed())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: emit_pki DIR")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    let write = |name: &str, der: &[u8]| fs::write(folder.join(name), der);
    // Before the judges' today, and well within the lives below.
    let now = UnixTime::from_secs(1_767_225_600);
    let years = |count: u64| now + Seconds::days(365 * count);
    let random = &mut System;

    let root_key = Key::new()?;
    let root = RootProfile { organization: "Sample Works".parse()? }.issue(&root_key, random, now)?;
    write("root.der", &root)?;
    let root = CaCertificate::parse(&root)?;
    let root = Ca::new(&root, &root_key)?;

    let issue_ca = |name: &str, kind: CaKind, not_after: UnixTime| -> Result<_, Box<dyn Error>> {
        let key = Key::new()?;
        let profile = CaProfile { kind, domain: "fleet.example.com".parse()?, not_after };
        let der = profile.issue(&key.public()?, &root, &mut System, now)?;
        write(&format!("ca-{name}.der"), &der)?;
        Ok((key, CaCertificate::parse(&der)?))
    };
    let (station_key, station) = issue_ca("devices", CaKind::Devices("Line-1".parse()?), UnixTime::MAX)?;
    let (people_key, people) = issue_ca("people", CaKind::People, years(10))?;
    let (servers_key, servers) = issue_ca("servers", CaKind::Servers, years(10))?;
    issue_ca("gateways", CaKind::Gateways, years(10))?;
    let station = Ca::new(&station, &station_key)?;

    let mut kem = [0; 32];
    kem[0] = 9;
    for (name, serial, not_after) in [("birth", "SN-0001", UnixTime::MAX), ("short", "SN_0002.b", years(1))] {
        let key = Key::new()?;
        let mut device = [0; 16];
        random.fill(&mut device);
        // A UUID of version 4 and variant 1 (RFC 9562).
        device[6] = device[6] & 0x0f | 0x40;
        device[8] = device[8] & 0x3f | 0x80;
        let csr = request::build(&key, &kem, Some(&serial.parse()?))?;
        write(&format!("csr-{name}.der"), &csr)?;
        let mut certificate_serial = [0; 16];
        random.fill(&mut certificate_serial);
        let profile = DeviceProfile {
            device: DeviceId::new(device),
            serial: serial.parse()?,
            model: "GW-200".parse()?,
            not_after,
            certificate_serial,
        };
        let der = profile.issue(&Csr::parse(&csr)?, &station, now)?;
        write(&format!("devices-{name}.der"), &der)?;
    }

    let key = Key::new()?;
    let csr = request::build_identity(&key)?;
    write("csr-identity.der", &csr)?;
    let csr = IdentityCsr::parse(&csr)?;
    let profile = PersonProfile { person: "Ada Sample".parse()?, not_after: years(1) };
    write("people-person.der", &profile.issue(&csr, &Ca::new(&people, &people_key)?, random, now)?)?;
    let profile = ServerProfile {
        dns_names: vec!["updates.example.com".into(), "updates.sample.example".into()],
        addresses: vec!["127.0.0.1".parse()?, "::1".parse()?],
        not_after: years(1),
    };
    write("servers-server.der", &profile.issue(&csr, &Ca::new(&servers, &servers_key)?, random, now)?)?;

    write("enrolment.der", &self_signed(&key, random)?)?;
    let mut serial = [0x41; 16];
    serial[15] = 7;
    let revoked = Revoked { serial, revoked_at: now };
    write("crl-devices.der", &crl(&station, &[revoked], 1, now, years(1))?)?;
    write("crl-devices-empty.der", &crl(&station, &[], 2, now, years(1))?)?;
    Ok(())
}
