use model::{DeviceId, TokenId, UnixTime};
use rusqlite::{Row, params};

use super::{
    SqliteStore, Tx, journal,
    sql::{Sql, blob, maybe, secs, text, time, word},
};
use crate::{
    Alarm, Answer, Enrolment, EnrolmentRequest, EnrolmentState, Enrolments, Error, Page, PageRequest,
    Requested, Result, Token, TokenChoice, TokenRecord, TokenState,
};

const TOKEN: &str = "SELECT n, id, serial, model, hardware_revision, expires_at, note, issued_by, issued_at, \
                     state, bound_spki FROM token";
const ENROLMENT: &str = "SELECT t.n, t.id, t.serial, t.model, t.hardware_revision, t.expires_at, t.note, \
    t.issued_by, t.issued_at, e.n, e.spki, e.csr, e.mac, e.received_at, e.state, e.changed_at, e.refusal, \
    e.device, e.sealed_certificate, e.proof FROM enrolment e JOIN token t ON t.n = e.token";

impl Enrolments for SqliteStore {
    fn put_tokens(&self, tokens: Vec<Token>) -> Answer<'_, ()> {
        self.write(move |tx| {
            for token in &tokens {
                match record(tx, &token.id)? {
                    Some((_, known)) if known.token == *token => {}
                    Some(_) => return Err(Error::Conflict { what: "token id" }),
                    None => insert(tx, token)?,
                }
            }
            Ok(())
        })
    }

    fn token(&self, id: TokenId) -> Answer<'_, Option<TokenRecord>> {
        self.read(move |db| Ok(record(db, &id)?.map(|(_, record)| record)))
    }

    fn tokens(&self, state: Option<TokenState>, page: PageRequest) -> Answer<'_, Page<TokenRecord>> {
        self.read(move |db| {
            let of_state = if state.is_some() { "state = ?3" } else { "?3 IS NULL" };
            let rows = db.all(
                &format!("{TOKEN} WHERE {of_state} AND n < ?1 ORDER BY n DESC LIMIT ?2"),
                params![page.number(i64::MAX)?, page.look(), state.map(TokenState::as_str)],
                |row| Ok((row.get::<_, i64>(0)?, token_record(row)?)),
            )?;
            Ok(page.page(rows))
        })
    }

    fn cancel_tokens(&self, which: TokenChoice) -> Answer<'_, u64> {
        self.write(move |tx| {
            let canceled = match &which {
                TokenChoice::All => tx.run("UPDATE token SET state = 'canceled' WHERE state = 'open'", [])?,
                TokenChoice::These(ids) => {
                    let mut canceled = 0;
                    for id in ids {
                        canceled += tx.run(
                            "UPDATE token SET state = 'canceled' WHERE id = ? AND state = 'open'",
                            [id.as_bytes()],
                        )?;
                    }
                    canceled
                }
            };
            Ok(canceled as u64)
        })
    }

    fn request_enrolment(&self, request: EnrolmentRequest) -> Answer<'_, Requested> {
        self.write(move |tx| {
            let Some((token, known)) = record(tx, &request.token)? else {
                return Ok(Requested::NoToken);
            };
            match (known.state, known.bound_spki) {
                (TokenState::Canceled, _) => return Ok(Requested::NoToken),
                (TokenState::Open, _) if known.token.expires_at <= request.at => {
                    return Ok(Requested::NoToken);
                }
                (TokenState::Open, _) => begin(tx, token, &request)?,
                (TokenState::Bound, Some(spki)) if spki == request.spki => {
                    tx.run(
                        "UPDATE enrolment SET csr = ?, mac = ? WHERE token = ? AND state = 'pending'",
                        params![request.csr, request.mac, token],
                    )?;
                }
                (TokenState::Bound, _) => {
                    let detail = format!("{} was shown with the key {}", request.token, request.spki);
                    journal::raise(tx, Alarm::TOKEN_REUSED, None, &detail, request.at)?;
                    return Ok(Requested::OtherKey);
                }
            }
            let enrolment = enrolment(tx, &request.token)?.ok_or(Error::NotFound { what: "enrolment" })?;
            Ok(Requested::Taken(Box::new(enrolment)))
        })
    }

    fn enrolment(&self, token: TokenId) -> Answer<'_, Option<Enrolment>> {
        self.read(move |db| enrolment(db, &token))
    }

    fn enrolments(&self, state: Option<EnrolmentState>, page: PageRequest) -> Answer<'_, Page<Enrolment>> {
        self.read(move |db| {
            let of_state = if state.is_some() { "e.state = ?3" } else { "?3 IS NULL" };
            let rows = db.all(
                &format!("{ENROLMENT} WHERE {of_state} AND e.n > ?1 ORDER BY e.n LIMIT ?2"),
                params![page.number(0)?, page.look(), state.map(EnrolmentState::as_str)],
                |row| Ok((row.get::<_, i64>(9)?, enrolment_row(row)?)),
            )?;
            Ok(page.page(rows))
        })
    }

    fn issue_enrolment(
        &self,
        token: TokenId,
        device: DeviceId,
        sealed_certificate: Vec<u8>,
        at: UnixTime,
    ) -> Answer<'_, ()> {
        self.write(move |tx| {
            let known = must_exist(tx, &token)?;
            let issued = [EnrolmentState::Issued, EnrolmentState::Proven, EnrolmentState::Confirmed]
                .contains(&known.state);
            if issued && known.device == Some(device) {
                return Ok(());
            }
            step(tx, &token, known.state, EnrolmentState::Pending, EnrolmentState::Issued, at)?;
            tx.run(
                "UPDATE enrolment SET device = ?, sealed_certificate = ?
                 WHERE token = (SELECT n FROM token WHERE id = ?)",
                params![device.as_bytes(), sealed_certificate, token.as_bytes()],
            )?;
            Ok(())
        })
    }

    fn refuse_enrolment(&self, token: TokenId, reason: String, at: UnixTime) -> Answer<'_, ()> {
        self.write(move |tx| {
            let known = must_exist(tx, &token)?;
            if known.state == EnrolmentState::Refused {
                return Ok(());
            }
            step(tx, &token, known.state, EnrolmentState::Pending, EnrolmentState::Refused, at)?;
            tx.run(
                "UPDATE enrolment SET refusal = ? WHERE token = (SELECT n FROM token WHERE id = ?)",
                params![reason, token.as_bytes()],
            )?;
            Ok(())
        })
    }

    fn prove_enrolment(&self, token: TokenId, proof: Vec<u8>, at: UnixTime) -> Answer<'_, ()> {
        self.write(move |tx| {
            let known = must_exist(tx, &token)?;
            if matches!(known.state, EnrolmentState::Proven | EnrolmentState::Confirmed) {
                return Ok(());
            }
            step(tx, &token, known.state, EnrolmentState::Issued, EnrolmentState::Proven, at)?;
            tx.run(
                "UPDATE enrolment SET proof = ? WHERE token = (SELECT n FROM token WHERE id = ?)",
                params![proof, token.as_bytes()],
            )?;
            Ok(())
        })
    }

    fn confirm_enrolment(&self, token: TokenId, at: UnixTime) -> Answer<'_, ()> {
        self.write(move |tx| {
            let known = must_exist(tx, &token)?;
            if known.state == EnrolmentState::Confirmed {
                return Ok(());
            }
            step(tx, &token, known.state, EnrolmentState::Proven, EnrolmentState::Confirmed, at)
        })
    }

    fn enrolment_of(&self, device: DeviceId) -> Answer<'_, Option<Enrolment>> {
        self.read(move |db| {
            let best = format!("{ENROLMENT} WHERE e.device = ? ORDER BY e.proof IS NULL, e.n DESC LIMIT 1");
            db.one(&best, [device.as_bytes()], enrolment_row)
        })
    }
}

fn insert(tx: &Tx<'_>, token: &Token) -> Result<()> {
    tx.run(
        "INSERT INTO token (id, serial, model, hardware_revision, expires_at, note, issued_by, issued_at, state)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open')",
        params![
            token.id.as_bytes(),
            token.serial.as_str(),
            token.model.as_str(),
            token.hardware_revision.as_str(),
            secs(token.expires_at),
            token.note,
            token.issued_by.as_bytes(),
            secs(token.issued_at),
        ],
    )?;
    Ok(())
}

/// Binds an open token to the key that shows it, and takes the request on record.
fn begin(tx: &Tx<'_>, token: i64, request: &EnrolmentRequest) -> Result<()> {
    tx.run(
        "UPDATE token SET state = 'bound', bound_spki = ? WHERE n = ?",
        params![request.spki.as_bytes(), token],
    )?;
    tx.run(
        "INSERT INTO enrolment (token, spki, csr, mac, received_at, state, changed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?5)",
        params![token, request.spki.as_bytes(), request.csr, request.mac, secs(request.at)],
    )?;
    Ok(())
}

fn step(
    tx: &Tx<'_>,
    token: &TokenId,
    from: EnrolmentState,
    expected: EnrolmentState,
    to: EnrolmentState,
    at: UnixTime,
) -> Result<()> {
    if from != expected {
        return Err(Error::Illegal { what: "an enrolment", from: from.as_str(), to: to.as_str() });
    }
    tx.run(
        "UPDATE enrolment SET state = ?, changed_at = ? WHERE token = (SELECT n FROM token WHERE id = ?)",
        params![to.as_str(), secs(at), token.as_bytes()],
    )?;
    Ok(())
}

fn must_exist(tx: &Tx<'_>, token: &TokenId) -> Result<Enrolment> {
    enrolment(tx, token)?.ok_or(Error::NotFound { what: "enrolment" })
}

fn record(db: &impl Sql, id: &TokenId) -> Result<Option<(i64, TokenRecord)>> {
    db.one(&format!("{TOKEN} WHERE id = ?"), [id.as_bytes()], |row| Ok((row.get(0)?, token_record(row)?)))
}

fn enrolment(db: &impl Sql, token: &TokenId) -> Result<Option<Enrolment>> {
    db.one(&format!("{ENROLMENT} WHERE t.id = ?"), [token.as_bytes()], enrolment_row)
}

fn token(row: &Row<'_>) -> Result<Token> {
    Ok(Token {
        id: blob(row, 1)?,
        serial: text(row, 2)?,
        model: text(row, 3)?,
        hardware_revision: text(row, 4)?,
        expires_at: time(row, 5)?,
        note: row.get(6)?,
        issued_by: blob(row, 7)?,
        issued_at: time(row, 8)?,
    })
}

fn token_record(row: &Row<'_>) -> Result<TokenRecord> {
    Ok(TokenRecord {
        token: token(row)?,
        state: word(row, 9, &TokenState::ALL, TokenState::as_str)?,
        bound_spki: maybe(row, 10, blob)?,
    })
}

fn enrolment_row(row: &Row<'_>) -> Result<Enrolment> {
    Ok(Enrolment {
        token: token(row)?,
        spki: blob(row, 10)?,
        csr: row.get(11)?,
        mac: row.get(12)?,
        received_at: time(row, 13)?,
        state: word(row, 14, &EnrolmentState::ALL, EnrolmentState::as_str)?,
        changed_at: time(row, 15)?,
        refusal: row.get(16)?,
        device: maybe(row, 17, blob)?,
        sealed_certificate: row.get(18)?,
        proof: row.get(19)?,
    })
}
