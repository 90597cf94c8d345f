use std::{collections::BTreeSet, sync::Arc};

use model::{Role, SpkiDigest, UnixTime};
use rusqlite::{Connection, Row, params};

use super::{
    SqliteStore,
    memory::{Effect, Memory},
    sql::{Sql, blob, maybe, secs, text, time},
};
use crate::{Answer, Error, People, Person, Result};

const PERSON: &str = "SELECT spki, name, roles, station, certificate, added_at, revoked_at FROM person";

/// Reads everybody into memory.
pub(super) fn load(connection: &Connection, memory: &Memory) -> Result<()> {
    memory.apply(connection.all(PERSON, [], |row| Ok(Effect::Person(Arc::new(person(row)?))))?);
    Ok(())
}

impl People for SqliteStore {
    fn put_person(&self, new: Person) -> Answer<'_, ()> {
        self.write(move |tx| {
            let roles: Vec<_> = new.roles.iter().map(|role| role.as_str()).collect();
            tx.run(
                "INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET name = excluded.name, roles = excluded.roles,
                    station = excluded.station, certificate = excluded.certificate,
                    revoked_at = coalesce(revoked_at, excluded.revoked_at)",
                params![
                    new.spki.as_bytes(),
                    new.name.as_str(),
                    roles.join(" "),
                    new.station.as_ref().map(|station| station.as_str()),
                    new.certificate,
                    secs(new.added_at),
                    new.revoked_at.map(secs),
                ],
            )?;
            remember(tx, &new.spki)
        })
    }

    fn person(&self, spki: SpkiDigest) -> Answer<'_, Option<Arc<Person>>> {
        Box::pin(async move { Ok(self.memory.person(&spki)) })
    }

    fn people(&self) -> Answer<'_, Vec<Arc<Person>>> {
        Box::pin(async move {
            let mut people = self.memory.people();
            people.sort_by(|a, b| (&a.name, &a.spki).cmp(&(&b.name, &b.spki)));
            Ok(people)
        })
    }

    fn revoke_person(&self, spki: SpkiDigest, at: UnixTime) -> Answer<'_, ()> {
        self.write(move |tx| {
            tx.run(
                "UPDATE person SET revoked_at = coalesce(revoked_at, ?) WHERE spki = ?",
                params![secs(at), spki.as_bytes()],
            )?;
            remember(tx, &spki)
        })
    }

    fn remove_person(&self, spki: SpkiDigest) -> Answer<'_, bool> {
        self.write(move |tx| {
            tx.then(Effect::PersonGone(spki));
            Ok(tx.run("DELETE FROM person WHERE spki = ?", [spki.as_bytes()])? > 0)
        })
    }
}

fn remember(tx: &mut super::Tx<'_>, spki: &SpkiDigest) -> Result<()> {
    let person = tx
        .one(&format!("{PERSON} WHERE spki = ?"), [spki.as_bytes()], person)?
        .ok_or(Error::NotFound { what: "person" })?;
    tx.then(Effect::Person(Arc::new(person)));
    Ok(())
}

fn person(row: &Row<'_>) -> Result<Person> {
    let words = row.get_ref(2)?.as_str().unwrap_or_default();
    let roles: BTreeSet<Role> =
        Role::ALL.into_iter().filter(|role| words.split(' ').any(|word| word == role.as_str())).collect();
    Ok(Person {
        spki: blob(row, 0)?,
        name: text(row, 1)?,
        roles,
        station: maybe(row, 3, text)?,
        certificate: row.get(4)?,
        added_at: time(row, 5)?,
        revoked_at: maybe(row, 6, time)?,
    })
}
