//! Taking over a fleet, once: everything that its founders hand over is verified first.

use envelope::{Signer, tuf::TrustedState};
use model::{Role, UnixTime};
use pki::{PersonCertificate, ServerCertificate, Usage};
use protocol::operator::{Adopt, PutPerson};
use store::{Document, Person};

use crate::{
    Config, Error,
    fleet::Fleet,
    keys::Keys,
    metadata::{self, Publication, TUF_PREFIX, Unpublished},
    server::{Record, fleet_document, load_fleet, open_store},
};

pub(crate) async fn adopt(config: &Config, adopt: &Adopt) -> Result<(), Error> {
    let keys = Keys::load(&config.data_dir)?;
    let (store, _) = open_store(config)?;
    let now = config.clock.now();
    let fleet = Fleet {
        id: adopt.fleet,
        ca_root: adopt.ca_root.clone(),
        issuing_cas: adopt.issuing_cas.clone(),
        server_certificate: adopt.server_certificate.clone(),
    };
    if let Some(known) = load_fleet(&*store).await? {
        return if known.id == fleet.id && known.ca_root == fleet.ca_root {
            Ok(())
        } else {
            Err(Error::founding("this backend serves another fleet"))
        };
    }
    check_certificates(&fleet, &keys, now)?;
    let people =
        adopt.people.iter().map(|person| person_of(&fleet, person, now)).collect::<Result<Vec<_>, _>>()?;
    if !people.iter().any(|person| person.roles.contains(&Role::Admin)) {
        return Err(Error::founding("nobody of the first people is an admin"));
    }
    let documents = first_documents(adopt, &fleet, &keys, now)?;
    // The record of the fleet comes last: without it, the founding is repeated.
    store.append_audit(vec![Record::own("adopt", &fleet.id, "").at(now)]).await?;
    for person in people {
        store.put_person(person).await?;
    }
    store.put_documents(documents).await?;
    let record = fleet_document(&*store, &fleet, now).await?;
    store.put_documents(vec![record]).await?;
    tracing::info!(fleet_id = %fleet.id, "adopted by a fleet");
    Ok(())
}

/// A person as the backend records them, after their certificate was verified.
pub(crate) fn person_of(fleet: &Fleet, person: &PutPerson, now: UnixTime) -> Result<Person, Error> {
    fleet.verify(&person.certificate, now, Usage::Person)?;
    let certificate = PersonCertificate::parse(&person.certificate)?;
    if *certificate.person() != person.name {
        return Err(Error::founding(format!("the certificate is not {}'s", person.name)));
    }
    if person.roles.is_empty() {
        return Err(Error::founding(format!("{} would have no role", person.name)));
    }
    let is_station = person.roles.contains(&Role::Station);
    Ok(Person {
        spki: certificate.certificate().spki_digest(),
        name: person.name.clone(),
        roles: person.roles.iter().copied().collect(),
        station: if is_station { person.name.as_str().parse().ok() } else { None },
        certificate: person.certificate.0.clone(),
        added_at: now,
        revoked_at: None,
    })
}

pub(crate) fn check_server_certificate(fleet: &Fleet, keys: &Keys, now: UnixTime) -> Result<(), Error> {
    fleet.server_chain(now)?;
    let server = ServerCertificate::parse(&fleet.server_certificate)?;
    let key = server.certificate().key();
    if key.sec1() != keys.tls.public_key().as_bytes() {
        return Err(Error::founding("the server's certificate is over another key"));
    }
    Ok(())
}

fn check_certificates(fleet: &Fleet, keys: &Keys, now: UnixTime) -> Result<(), Error> {
    let mut checked = Fleet { issuing_cas: Vec::new(), ..fleet.clone() };
    for ca in &fleet.issuing_cas {
        if !checked.add_ca(ca)? {
            return Err(Error::founding("an issuing CA stands there twice"));
        }
    }
    check_server_certificate(fleet, keys, now)
}

fn first_documents(adopt: &Adopt, fleet: &Fleet, keys: &Keys, now: UnixTime) -> Result<Vec<Document>, Error> {
    let state = TrustedState::bootstrap(&adopt.root)?;
    if !state.root().signed().is_complete() {
        return Err(Error::founding("a role of the TUF root has fewer keys than its threshold"));
    }
    let root = Document {
        name: format!("{TUF_PREFIX}{}.root.json", state.root().signed().version),
        version: 1,
        bytes: adopt.root.0.clone(),
        at: now,
    };
    let new = Publication {
        targets: Some(adopt.targets.0.clone()),
        trust_keys: Some(adopt.trust_keys.0.clone()),
        ..Publication::default()
    };
    let published = metadata::publish(&state, &[], new, keys, now).map_err(|error| match error {
        Unpublished::Metadata(error) => Error::Metadata(error),
        Unpublished::TrustKeys(error) => Error::Envelope(error),
        Unpublished::Jump(_) | Unpublished::Sign(_) | Unpublished::Unfit(_) => {
            Error::founding(error.to_string())
        }
    })?;
    if !published.trust.roots(now).iter().any(|root| **root == *fleet.ca_root) {
        return Err(Error::founding("the trust keys do not name the X.509 root"));
    }
    Ok(std::iter::once(root).chain(published.documents).collect())
}
