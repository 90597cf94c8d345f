use std::sync::Arc;

use axum::{Json as Reply, extract::State, http::StatusCode};
use model::SpkiDigest;
use protocol::{
    Base64, ErrorCode,
    operator::{Person, PutPerson},
};

use crate::{
    extract::{Caller, Json, Name},
    founding::person_of,
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

pub(super) async fn list(State(server): State<Arc<Server>>) -> Answer<Reply<Vec<Person>>> {
    let people = server.store.people().await?;
    Ok(Reply(people.iter().map(|person| row(person)).collect()))
}

pub(super) async fn put(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(request): Json<PutPerson>,
) -> Answer<Reply<Person>> {
    let mut person = person_of(&server.fleet(), &request, server.now())?;
    if caller.spki == person.spki && !person.roles.contains(&model::Role::Admin) {
        return Err(Refusal::new(ErrorCode::Conflict, "You cannot take the role of admin from yourself."));
    }
    if let Some(known) = server.store.person(person.spki).await? {
        person.added_at = known.added_at;
        person.revoked_at = known.revoked_at;
    }
    let roles: Vec<_> = person.roles.iter().map(|role| role.as_str()).collect();
    let reason = format!("{}: {}", person.name, roles.join(", "));
    let entry = Record::of(caller.spki, Operation::PutPerson, &person.spki).because(&reason);
    let answer = row(&person);
    server.audited(entry, server.store.put_person(person)).await?;
    Ok(Reply(answer))
}

pub(super) async fn revoke(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(spki): Name<SpkiDigest>,
) -> Answer<StatusCode> {
    if caller.spki == spki {
        return Err(Refusal::new(ErrorCode::Conflict, "You cannot end your own access."));
    }
    let entry = Record::of(caller.spki, Operation::RevokePerson, &spki);
    server.audited(entry, server.store.revoke_person(spki, server.now())).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn row(person: &store::Person) -> Person {
    Person {
        spki: person.spki,
        name: person.name.clone(),
        roles: person.roles.iter().copied().collect(),
        certificate: Some(Base64(person.certificate.clone())),
        revoked_at: person.revoked_at,
    }
}
