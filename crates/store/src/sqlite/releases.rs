use model::{ArtifactId, Digest, ReleaseId, ReleaseState, SpkiDigest, UnixTime};
use rusqlite::{Row, params};

use super::{
    SqliteStore, Tx,
    sql::{Sql, blob, int, secs, time, uint, word},
};
use crate::{
    Answer, Comment, Error, Page, PageRequest, Release, ReleaseContent, Releases, Result, SealedArtifact,
};

const RELEASE: &str = "SELECT n, id, name, notes, state, author, targets, artifacts, detail, created_at, \
                       changed_at FROM release";
const SEALED: &str =
    "SELECT id, artifact, record, ciphertext, length_bytes, segment_list, segments, at FROM sealed";
const STATES: [ReleaseState; 6] = [
    ReleaseState::Draft,
    ReleaseState::Proposed,
    ReleaseState::Approved,
    ReleaseState::Signed,
    ReleaseState::Published,
    ReleaseState::Withdrawn,
];

impl Releases for SqliteStore {
    fn create_release(
        &self,
        id: ReleaseId,
        author: SpkiDigest,
        content: ReleaseContent,
        at: UnixTime,
    ) -> Answer<'_, ()> {
        self.write(move |tx| {
            if let Some(known) = find(tx, &id)? {
                let same = known.author == author && known.created_at == at && known.content() == content;
                return if same { Ok(()) } else { Err(Error::Conflict { what: "release id" }) };
            }
            tx.run(
                "INSERT INTO release (id, name, notes, state, author, targets, artifacts, detail, created_at,
                    changed_at) VALUES (?1, ?2, ?3, 'draft', ?4, ?5, ?6, ?7, ?8, ?8)",
                params![
                    id.as_bytes(),
                    content.name,
                    content.notes,
                    author.as_bytes(),
                    content.targets,
                    join(&content.artifacts),
                    content.detail,
                    secs(at)
                ],
            )?;
            Ok(())
        })
    }

    fn amend_release(&self, id: ReleaseId, content: ReleaseContent, at: UnixTime) -> Answer<'_, ()> {
        self.write(move |tx| {
            let (n, state) = stands(tx, &id)?;
            if state != ReleaseState::Draft {
                return Err(illegal(state, ReleaseState::Draft));
            }
            tx.run(
                "UPDATE release SET name = ?, notes = ?, targets = ?, artifacts = ?, detail = ?, changed_at = ?
                 WHERE n = ?",
                params![
                    content.name,
                    content.notes,
                    content.targets,
                    join(&content.artifacts),
                    content.detail,
                    secs(at),
                    n
                ],
            )?;
            Ok(())
        })
    }

    fn step_release(&self, id: ReleaseId, to: ReleaseState, at: UnixTime) -> Answer<'_, ()> {
        self.write(move |tx| {
            let (n, from) = stands(tx, &id)?;
            if from == to {
                return Ok(());
            }
            from.step(to).map_err(|_| illegal(from, to))?;
            tx.run(
                "UPDATE release SET state = ?, changed_at = ? WHERE n = ?",
                params![to.as_str(), secs(at), n],
            )?;
            Ok(())
        })
    }

    fn comment_release(&self, id: ReleaseId, comment: Comment) -> Answer<'_, ()> {
        self.write(move |tx| {
            let (n, _) = stands(tx, &id)?;
            tx.run(
                "INSERT INTO release_comment (release, by, at, verdict, text) VALUES (?, ?, ?, ?, ?)",
                params![n, comment.by.as_bytes(), secs(comment.at), comment.verdict, comment.text],
            )?;
            changed(tx, n, comment.at)
        })
    }

    fn release(&self, id: ReleaseId) -> Answer<'_, Option<Release>> {
        self.read(move |db| find(db, &id))
    }

    fn releases(&self, state: Option<ReleaseState>, page: PageRequest) -> Answer<'_, Page<Release>> {
        self.read(move |db| {
            let of_state = if state.is_some() { "state = ?3" } else { "?3 IS NULL" };
            let mut rows = db.all(
                &format!("{RELEASE} WHERE {of_state} AND n < ?1 ORDER BY n DESC LIMIT ?2"),
                params![page.number(i64::MAX)?, page.look(), state.map(ReleaseState::as_str)],
                |row| Ok((row.get::<_, i64>(0)?, release(row)?)),
            )?;
            for (n, release) in &mut rows {
                complete(db, *n, release)?;
            }
            Ok(page.page(rows))
        })
    }

    fn put_sealed(&self, new: SealedArtifact) -> Answer<'_, ()> {
        self.write(move |tx| {
            let known = tx.one(&format!("{SEALED} WHERE id = ?"), [new.id.as_bytes()], sealed)?;
            if let Some(known) = known {
                let same = SealedArtifact { at: new.at, ..known } == new;
                return if same { Ok(()) } else { Err(Error::Conflict { what: "artifact id" }) };
            }
            tx.run(
                "INSERT INTO sealed (id, artifact, record, ciphertext, length_bytes, segment_list, segments, at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    new.id.as_bytes(),
                    new.artifact.as_bytes(),
                    new.record,
                    new.ciphertext.as_bytes(),
                    int(new.length_bytes, "length")?,
                    new.segment_list.as_bytes(),
                    new.segments,
                    secs(new.at)
                ],
            )?;
            Ok(())
        })
    }

    fn sealed(&self, id: ArtifactId) -> Answer<'_, Option<SealedArtifact>> {
        self.read(move |db| db.one(&format!("{SEALED} WHERE id = ?"), [id.as_bytes()], sealed))
    }

    fn sealed_of(&self, artifact: Digest) -> Answer<'_, Vec<SealedArtifact>> {
        self.read(move |db| {
            db.all(&format!("{SEALED} WHERE artifact = ? ORDER BY n DESC"), [artifact.as_bytes()], sealed)
        })
    }
}

impl Release {
    fn content(&self) -> ReleaseContent {
        ReleaseContent {
            name: self.name.clone(),
            notes: self.notes.clone(),
            targets: self.targets.clone(),
            artifacts: self.artifacts.clone(),
            detail: self.detail.clone(),
        }
    }
}

fn find(db: &impl Sql, id: &ReleaseId) -> Result<Option<Release>> {
    let found = db.one(&format!("{RELEASE} WHERE id = ?"), [id.as_bytes()], |row| {
        Ok((row.get::<_, i64>(0)?, release(row)?))
    })?;
    let Some((n, mut release)) = found else {
        return Ok(None);
    };
    complete(db, n, &mut release)?;
    Ok(Some(release))
}

fn stands(tx: &Tx<'_>, id: &ReleaseId) -> Result<(i64, ReleaseState)> {
    tx.one("SELECT n, state FROM release WHERE id = ?", [id.as_bytes()], |row| {
        Ok((row.get(0)?, word(row, 1, &STATES, ReleaseState::as_str)?))
    })?
    .ok_or(Error::NotFound { what: "release" })
}

fn changed(tx: &Tx<'_>, n: i64, at: UnixTime) -> Result<()> {
    tx.run("UPDATE release SET changed_at = max(changed_at, ?) WHERE n = ?", params![secs(at), n])?;
    Ok(())
}

fn illegal(from: ReleaseState, to: ReleaseState) -> Error {
    Error::Illegal { what: "a release", from: from.as_str(), to: to.as_str() }
}

/// Adds comments.
fn complete(db: &impl Sql, n: i64, release: &mut Release) -> Result<()> {
    release.comments = db.all(
        "SELECT by, at, verdict, text FROM release_comment WHERE release = ? ORDER BY n",
        [n],
        |row| Ok(Comment { by: blob(row, 0)?, at: time(row, 1)?, verdict: row.get(2)?, text: row.get(3)? }),
    )?;
    Ok(())
}

fn release(row: &Row<'_>) -> Result<Release> {
    Ok(Release {
        id: blob(row, 1)?,
        name: row.get(2)?,
        notes: row.get(3)?,
        state: word(row, 4, &STATES, ReleaseState::as_str)?,
        author: blob(row, 5)?,
        targets: row.get(6)?,
        artifacts: split(&row.get::<_, Vec<u8>>(7)?)?,
        detail: row.get(8)?,
        comments: Vec::new(),
        created_at: time(row, 9)?,
        changed_at: time(row, 10)?,
    })
}

fn sealed(row: &Row<'_>) -> Result<SealedArtifact> {
    Ok(SealedArtifact {
        id: blob(row, 0)?,
        artifact: blob(row, 1)?,
        record: row.get(2)?,
        ciphertext: blob(row, 3)?,
        length_bytes: uint(row, 4)?,
        segment_list: blob(row, 5)?,
        segments: uint(row, 6)?,
        at: time(row, 7)?,
    })
}

fn join(digests: &[Digest]) -> Vec<u8> {
    digests.iter().flat_map(|digest| *digest.as_bytes()).collect()
}

fn split(bytes: &[u8]) -> Result<Vec<Digest>> {
    bytes
        .chunks(32)
        .map(|chunk| {
            Digest::try_from(chunk).map_err(|_| Error::Damaged { reason: "a list of digests is cut".into() })
        })
        .collect()
}
