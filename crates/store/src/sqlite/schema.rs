//! The tables, and how an older file becomes a newer one.
//!
//! Devices, deployments and the like have a random id for the world and a row number `n` for the file:
//! indexes on small rising numbers stay small, and lists sort by them. Counters are kept by triggers,
//! in the same transaction, so that no code path can forget one; those of links are not, because a
//! trigger would run for each of a million links that a sweep removes.

use rusqlite::{Connection, TransactionBehavior};

use crate::{Error, Result};

/// What each format adds to the one before. `PRAGMA user_version` counts how many were applied.
const STEPS: [&str; 4] = [FIRST, SECOND, THIRD, FOURTH];

/// Brings the file to the newest format.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = u32::try_from(STEPS.len()).expect("there are few formats");
    if found > known {
        return Err(Error::Newer { found, known });
    }
    for step in STEPS.iter().skip(found as usize) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", known)?;
    Ok(tx.commit()?)
}

const FIRST: &str = r"
CREATE TABLE person (
    spki BLOB PRIMARY KEY, name TEXT NOT NULL, roles TEXT NOT NULL, station TEXT, certificate BLOB NOT NULL,
    added_at INTEGER NOT NULL, revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, serial TEXT NOT NULL, model TEXT NOT NULL,
    hardware_revision TEXT NOT NULL, expires_at INTEGER NOT NULL, note BLOB NOT NULL, issued_by BLOB NOT NULL,
    issued_at INTEGER NOT NULL, state TEXT NOT NULL, bound_spki BLOB
) STRICT;
CREATE INDEX token_state ON token (state);

CREATE TABLE enrolment (
    n INTEGER PRIMARY KEY, token INTEGER NOT NULL UNIQUE REFERENCES token, spki BLOB NOT NULL, csr BLOB NOT NULL,
    mac BLOB NOT NULL, received_at INTEGER NOT NULL, state TEXT NOT NULL, changed_at INTEGER NOT NULL,
    refusal TEXT, device BLOB, sealed_certificate BLOB, proof BLOB
) STRICT;
CREATE INDEX enrolment_state ON enrolment (state);
CREATE INDEX enrolment_device ON enrolment (device) WHERE device IS NOT NULL;

CREATE TABLE device (
    n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, serial TEXT NOT NULL, model TEXT NOT NULL,
    hardware_revision TEXT NOT NULL, station TEXT NOT NULL, spki BLOB NOT NULL, kem BLOB NOT NULL,
    certificate_serial BLOB NOT NULL, certificate BLOB, state TEXT NOT NULL, cloned INTEGER NOT NULL DEFAULT 0,
    enrolled_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX device_unit ON device (serial) WHERE state <> 'replaced';
CREATE INDEX device_serial ON device (serial);
CREATE INDEX device_state ON device (state);
CREATE INDEX device_model ON device (model);
CREATE INDEX device_model_state ON device (model, state);
CREATE INDEX device_cloned ON device (cloned) WHERE cloned = 1;

-- Every key ever reserved. A key never moves to another device.
CREATE TABLE device_key (
    spki BLOB PRIMARY KEY, kem BLOB NOT NULL UNIQUE, device INTEGER NOT NULL REFERENCES device
) STRICT, WITHOUT ROWID;

CREATE TABLE certificate (
    serial BLOB NOT NULL UNIQUE, device INTEGER NOT NULL REFERENCES device, spki BLOB NOT NULL,
    reserved_at INTEGER NOT NULL, signed_at INTEGER, sha256 BLOB, der BLOB
) STRICT;
CREATE INDEX certificate_device ON certificate (device);

-- Apart from the device, because it changes with every check-in.
CREATE TABLE check_in (
    device INTEGER PRIMARY KEY REFERENCES device, counter INTEGER NOT NULL, nonce BLOB NOT NULL, at INTEGER NOT NULL
) STRICT;

CREATE TABLE device_version (
    device INTEGER NOT NULL REFERENCES device, component TEXT NOT NULL, reported TEXT NOT NULL, confirmed TEXT,
    security_counter INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (device, component)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_version_confirmed ON device_version (component, confirmed, device);

CREATE TABLE device_cohort (
    cohort TEXT NOT NULL, device INTEGER NOT NULL REFERENCES device, PRIMARY KEY (cohort, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_cohort_device ON device_cohort (device);

CREATE TABLE device_count (
    model TEXT NOT NULL, state TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (model, state)
) STRICT, WITHOUT ROWID;
CREATE TABLE station_count (station TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE cohort_count (cohort TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE version_count (
    component TEXT NOT NULL, version TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (component, version)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER device_added AFTER INSERT ON device BEGIN
    INSERT INTO device_count VALUES (NEW.model, NEW.state, 1) ON CONFLICT DO UPDATE SET count = count + 1;
    INSERT INTO station_count VALUES (NEW.station, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER device_stepped AFTER UPDATE OF state ON device WHEN OLD.state <> NEW.state BEGIN
    UPDATE device_count SET count = count - 1 WHERE model = OLD.model AND state = OLD.state;
    INSERT INTO device_count VALUES (NEW.model, NEW.state, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER cohort_joined AFTER INSERT ON device_cohort BEGIN
    INSERT INTO cohort_count VALUES (NEW.cohort, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER cohort_left AFTER DELETE ON device_cohort BEGIN
    UPDATE cohort_count SET count = count - 1 WHERE cohort = OLD.cohort;
END;
CREATE TRIGGER version_first AFTER INSERT ON device_version WHEN NEW.confirmed IS NOT NULL BEGIN
    INSERT INTO version_count VALUES (NEW.component, NEW.confirmed, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER version_moved AFTER UPDATE OF confirmed ON device_version WHEN OLD.confirmed IS NOT NEW.confirmed
BEGIN
    UPDATE version_count SET count = count - 1 WHERE component = OLD.component AND version = OLD.confirmed;
    INSERT INTO version_count SELECT NEW.component, NEW.confirmed, 1 WHERE NEW.confirmed IS NOT NULL
    ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TABLE event (
    n INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, device INTEGER, rollout INTEGER,
    deployment INTEGER, detail TEXT, raw BLOB
) STRICT;
CREATE INDEX event_device ON event (device) WHERE device IS NOT NULL;
CREATE INDEX event_rollout ON event (rollout) WHERE rollout IS NOT NULL;

CREATE TABLE alarm (
    n INTEGER PRIMARY KEY, kind TEXT NOT NULL, device INTEGER, detail TEXT NOT NULL, at INTEGER NOT NULL,
    last_at INTEGER NOT NULL, count INTEGER NOT NULL, acknowledged_by BLOB, acknowledged_at INTEGER
) STRICT;
CREATE INDEX alarm_open ON alarm (kind, device) WHERE acknowledged_at IS NULL;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor BLOB, action TEXT NOT NULL, subject TEXT NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER audit_remains BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit entries are never removed'); END;

CREATE TABLE document (
    name TEXT PRIMARY KEY, version INTEGER NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL
) STRICT;

CREATE TABLE release (
    n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, name TEXT NOT NULL, notes TEXT NOT NULL, state TEXT NOT NULL,
    author BLOB NOT NULL, targets BLOB NOT NULL, artifacts BLOB NOT NULL, detail TEXT NOT NULL,
    created_at INTEGER NOT NULL, changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX release_state ON release (state);
CREATE TABLE release_comment (
    n INTEGER PRIMARY KEY, release INTEGER NOT NULL REFERENCES release, by BLOB NOT NULL, at INTEGER NOT NULL,
    verdict INTEGER, text TEXT NOT NULL
) STRICT;
CREATE INDEX release_comment_release ON release_comment (release);

CREATE TABLE sealed (
    n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, artifact BLOB NOT NULL, record BLOB NOT NULL,
    ciphertext BLOB NOT NULL, length_bytes INTEGER NOT NULL, segment_list BLOB NOT NULL,
    segments INTEGER NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE INDEX sealed_artifact ON sealed (artifact);

CREATE TABLE rollout (
    n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, release BLOB NOT NULL, component TEXT NOT NULL,
    name TEXT NOT NULL, policy TEXT NOT NULL, detail TEXT NOT NULL, state TEXT NOT NULL, pause TEXT,
    created_by BLOB NOT NULL, created_at INTEGER NOT NULL, changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX rollout_state ON rollout (state);
CREATE TABLE rollout_phase (
    rollout INTEGER NOT NULL REFERENCES rollout, phase INTEGER NOT NULL, not_before INTEGER NOT NULL,
    opened_at INTEGER, gate_opened_at INTEGER, forgiven INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (rollout, phase)
) STRICT, WITHOUT ROWID;
-- Offers by second, for the rate limit.
CREATE TABLE offer_count (
    rollout INTEGER NOT NULL REFERENCES rollout, at INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (rollout, at)
) STRICT, WITHOUT ROWID;

-- open: 1 until it ends, then null. ready_at: the earliest time of a ticket that installs, while queued.
-- ticket_end: when the ticket lapses, 0 without one, null once nothing may replace it. redo: the attempts
-- of one that failed and may be queued again. link: the newest link; a sweep removes links and leaves it
-- dangling. unlinked_at: when another link shall be made. No index names the state but one, so that a
-- step touches few of them.
CREATE TABLE deployment (
    n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, rollout INTEGER NOT NULL REFERENCES rollout,
    device INTEGER NOT NULL REFERENCES device, component TEXT NOT NULL, phase INTEGER NOT NULL,
    artifact INTEGER NOT NULL REFERENCES sealed, state TEXT NOT NULL, open INTEGER, attempts INTEGER NOT NULL,
    changed_at INTEGER NOT NULL, offered_at INTEGER, deadline_at INTEGER, code TEXT,
    bytes INTEGER NOT NULL DEFAULT 0, ready_at INTEGER, ticket_end INTEGER, redo INTEGER, link BLOB,
    unlinked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX deployment_open ON deployment (device, component) WHERE open = 1;
CREATE INDEX deployment_device ON deployment (device);
CREATE INDEX deployment_state ON deployment (rollout, phase, state);
CREATE INDEX deployment_ready ON deployment (rollout, phase, ticket_end, ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX deployment_unsigned ON deployment (rollout, ticket_end) WHERE ticket_end IS NOT NULL;
CREATE INDEX deployment_deadline ON deployment (deadline_at) WHERE deadline_at IS NOT NULL;
CREATE INDEX deployment_unlinked ON deployment (unlinked_at) WHERE unlinked_at IS NOT NULL;
CREATE INDEX deployment_link ON deployment (rollout, link) WHERE link IS NOT NULL;
CREATE INDEX deployment_redo ON deployment (rollout, redo) WHERE redo IS NOT NULL;
CREATE INDEX deployment_code ON deployment (rollout, code) WHERE code IS NOT NULL;

CREATE TABLE ticket (
    deployment INTEGER PRIMARY KEY REFERENCES deployment, label BLOB NOT NULL, sealed BLOB NOT NULL,
    action TEXT NOT NULL, seq INTEGER NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL
) STRICT;
CREATE TABLE served (
    deployment INTEGER PRIMARY KEY REFERENCES deployment, ranges BLOB NOT NULL, bytes INTEGER NOT NULL
) STRICT;

CREATE TABLE deployment_count (
    rollout INTEGER NOT NULL REFERENCES rollout, phase INTEGER NOT NULL, state TEXT NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (rollout, phase, state)
) STRICT, WITHOUT ROWID;
CREATE TABLE failure_count (
    rollout INTEGER NOT NULL REFERENCES rollout, code TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (rollout, code)
) STRICT, WITHOUT ROWID;
CREATE TABLE progress (
    rollout INTEGER NOT NULL REFERENCES rollout, minute INTEGER NOT NULL, succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL, PRIMARY KEY (rollout, minute)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER deployment_added AFTER INSERT ON deployment BEGIN
    INSERT INTO deployment_count VALUES (NEW.rollout, NEW.phase, NEW.state, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER deployment_stepped AFTER UPDATE OF state ON deployment WHEN OLD.state <> NEW.state BEGIN
    UPDATE deployment_count SET count = count - 1
    WHERE rollout = OLD.rollout AND phase = OLD.phase AND state = OLD.state;
    INSERT INTO deployment_count VALUES (NEW.rollout, NEW.phase, NEW.state, 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
END;
-- Only a step that ends a deployment, or begins it anew, names the column open. And no IN, for which
-- SQLite would make a table each time.
CREATE TRIGGER deployment_failed AFTER UPDATE OF open ON deployment
WHEN NEW.state = 'failed' OR NEW.state = 'timed_out' OR NEW.state = 'rejected' OR NEW.state = 'rolled_back' BEGIN
    INSERT INTO failure_count VALUES (NEW.rollout, coalesce(NEW.code, ''), 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
    INSERT INTO progress VALUES (NEW.rollout, NEW.changed_at / 60, 0, 1)
    ON CONFLICT DO UPDATE SET failed = failed + 1;
END;
CREATE TRIGGER deployment_forgiven AFTER UPDATE OF open ON deployment
WHEN OLD.state = 'failed' OR OLD.state = 'timed_out' OR OLD.state = 'rejected' OR OLD.state = 'rolled_back' BEGIN
    UPDATE failure_count SET count = count - 1 WHERE rollout = OLD.rollout AND code = coalesce(OLD.code, '');
END;
CREATE TRIGGER deployment_succeeded AFTER UPDATE OF open ON deployment WHEN NEW.state = 'succeeded' BEGIN
    INSERT INTO progress VALUES (NEW.rollout, NEW.changed_at / 60, 1, 0)
    ON CONFLICT DO UPDATE SET succeeded = succeeded + 1;
END;

-- No index but its own order, which is that of expiry: a sweep is one range delete.
CREATE TABLE link (
    id BLOB PRIMARY KEY, deployment INTEGER NOT NULL, deployment_id BLOB NOT NULL, device_id BLOB NOT NULL,
    rollout INTEGER NOT NULL, not_before INTEGER NOT NULL, active INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE link_count (
    rollout INTEGER PRIMARY KEY REFERENCES rollout, issued INTEGER NOT NULL DEFAULT 0,
    active INTEGER NOT NULL DEFAULT 0, consumed INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0,
    revoked INTEGER NOT NULL DEFAULT 0, reissued INTEGER NOT NULL DEFAULT 0
) STRICT;
";

/// The complete subtrees of the Merkle tree over the audit log; they are filled in when the store is opened.
const SECOND: &str = r"
CREATE TABLE audit_node (
    level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_node_stays BEFORE UPDATE ON audit_node
BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER audit_node_remains BEFORE DELETE ON audit_node
BEGIN SELECT RAISE(ABORT, 'audit entries are never removed'); END;
";

/// The label of the last ticket that installed, which a hold leaves in place.
const THIRD: &str = r"
ALTER TABLE ticket ADD COLUMN installs BLOB;
UPDATE ticket SET installs = label WHERE action <> 'hold';
";

/// What became of links, newest first, without reading everything else that happened. A query must repeat
/// the condition word by word for SQLite to see that the index serves it.
const FOURTH: &str = r"
CREATE INDEX event_link ON event (kind) WHERE kind >= 'link' AND kind < 'linl';
";
