//! How many certificates one core checks and issues in a second: `bench_issue [COUNT]` (P14, without
//! the store).

#![expect(clippy::print_stdout, reason = "an example that prints what it measured")]

use std::{error::Error, time::Instant};

use aws_lc_rs::{
    rand::{self, SystemRandom},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use model::{DeviceId, Random, UnixTime};
use pki::{
    Ca, CaCertificate, CaKind, CaProfile, Csr, DeviceProfile, P256PublicKey, P256Signer, RootProfile,
    SignError, Usage, request, verify_chain,
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
    let count: usize = std::env::args().nth(1).map_or(Ok(5_000), |text| text.parse())?;
    let now = UnixTime::from_secs(1_795_000_000);
    let root_key = Key::new()?;
    let root = RootProfile { organization: "Sample Works".parse()? }.issue(&root_key, &mut System, now)?;
    let root_certificate = CaCertificate::parse(&root)?;
    let key = Key::new()?;
    let profile = CaProfile {
        kind: CaKind::Devices("line-1".parse()?),
        domain: "fleet.example.com".parse()?,
        not_after: UnixTime::MAX,
    };
    let public = P256PublicKey::from_sec1(key.public_key_sec1())?;
    let station = profile.issue(&public, &Ca::new(&root_certificate, &root_key)?, &mut System, now)?;
    let station_certificate = CaCertificate::parse(&station)?;
    let ca = Ca::new(&station_certificate, &key)?;

    let mut kem = [0; 32];
    kem[0] = 9;
    let mut requests = Vec::new();
    for _ in 0..count {
        requests.push(request::build(&Key::new()?, &kem, None)?);
    }

    let start = Instant::now();
    let mut certificates = Vec::new();
    for der in &requests {
        let csr = Csr::parse(der)?;
        let profile = DeviceProfile {
            device: DeviceId::random(&mut System),
            serial: "SN-1".parse()?,
            model: "GW-200".parse()?,
            not_after: UnixTime::MAX,
            certificate_serial: *DeviceId::random(&mut System).as_bytes(),
        };
        certificates.push(profile.issue(&csr, &ca, now)?);
    }
    let issued = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let (intermediates, roots) = ([station], [root]);
    for certificate in &certificates {
        verify_chain(certificate, &intermediates, &roots, Some(now), Usage::Device)?;
    }
    let verified = start.elapsed().as_secs_f64();
    println!("checked and issued: {:.0} certificates/s", count as f64 / issued);
    println!("chains verified:    {:.0} certificates/s", count as f64 / verified);
    Ok(())
}
