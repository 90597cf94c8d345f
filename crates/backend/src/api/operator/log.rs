use std::sync::Arc;

use axum::{
    Json as Reply,
    extract::{Path, State},
    http::StatusCode,
};
use envelope::log::{LogName, SignedCheckpoint};
use protocol::{
    Base64, ErrorCode,
    operator::{
        Cosigned, LogHead, LogLeaf, LogProof, LogSpan, Page, PageRequest, Recover, Recovered, RecoveryState,
        VaultHead,
    },
};
use serde::Deserialize;

use crate::{
    extract::{Caller, Json, Name, Params},
    refusal::{Answer, Refusal},
    server::Server,
};

/// Which head.
#[derive(Deserialize)]
pub(super) struct At {
    size: Option<u64>,
}

/// Where the log ends, or ended when it had so many entries, signed.
pub(super) async fn head(
    State(server): State<Arc<Server>>,
    Params(at): Params<At>,
) -> Answer<Reply<LogHead>> {
    Ok(Reply(LogHead { checkpoint: server.checkpoint(at.size).await?.to_string() }))
}

/// A head of this log, cosigned by a vault.
pub(super) async fn take_head(
    State(server): State<Arc<Server>>,
    Json(request): Json<LogHead>,
) -> Answer<StatusCode> {
    server.take_cosigned(&note(&request.checkpoint)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn growth(
    State(server): State<Arc<Server>>,
    Params(span): Params<LogSpan>,
) -> Answer<Reply<LogProof>> {
    Ok(Reply(LogProof { path: server.store.prove_audit_growth(span.from, span.to).await? }))
}

pub(super) async fn entry(
    State(server): State<Arc<Server>>,
    Path((number, size)): Path<(u64, u64)>,
) -> Answer<Reply<LogProof>> {
    Ok(Reply(LogProof { path: server.store.prove_audit_entry(number, size).await? }))
}

/// The entries as they are hashed, oldest first. Its pages go on after a number.
pub(super) async fn leaves(
    State(server): State<Arc<Server>>,
    Params(request): Params<PageRequest>,
) -> Answer<Reply<Page<LogLeaf>>> {
    let after = request.after.as_deref().map_or(Ok(0), str::parse);
    let after = after.map_err(|_| Refusal::new(ErrorCode::InvalidRequest, "There is no such page."))?;
    let limit = request.rows();
    let entries = server.store.audit_entries(after, limit).await?;
    let last = entries.last().map(|entry| entry.seq.to_string());
    let next = last.filter(|_| entries.len() == limit as usize);
    let row = |audit: store::AuditEntry| LogLeaf {
        number: audit.seq,
        bytes: Base64(audit.entry.bytes(audit.seq, audit.previous)),
    };
    Ok(Reply(Page { rows: entries.into_iter().map(row).collect(), next }))
}

pub(super) async fn cosigned(State(server): State<Arc<Server>>) -> Answer<Reply<Cosigned>> {
    let [backend, vaults] = server.cosigned().await?;
    let recoveries = server.statements().await?.into_iter().map(Base64).collect();
    Ok(Reply(Cosigned { backend, vaults, recoveries }))
}

/// The last head of a vault's log that this backend cosigned.
pub(super) async fn vault(
    State(server): State<Arc<Server>>,
    Name(id): Name<String>,
) -> Answer<Reply<LogHead>> {
    let nothing = || Refusal::not_found("vault");
    let name: LogName = format!("fleetseal/vault/{id}").parse().map_err(|_| nothing())?;
    let head = server.vault_head(&name).await?.ok_or_else(nothing)?;
    Ok(Reply(LogHead { checkpoint: head.to_string() }))
}

/// The next head of a vault's log, to be cosigned.
pub(super) async fn take_vault(
    State(server): State<Arc<Server>>,
    Json(request): Json<VaultHead>,
) -> Answer<Reply<LogHead>> {
    let cosigned = server.witness(&note(&request.checkpoint)?, &request.path).await?;
    Ok(Reply(LogHead { checkpoint: cosigned.to_string() }))
}

pub(super) async fn recovery(State(server): State<Arc<Server>>) -> Answer<Reply<RecoveryState>> {
    Ok(Reply(server.recovery_state().await?))
}

pub(super) async fn recover(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(request): Json<Recover>,
) -> Answer<Reply<Recovered>> {
    Ok(Reply(server.recover(caller.spki, request).await?))
}

fn note(text: &str) -> Answer<SignedCheckpoint> {
    Ok(text.parse::<SignedCheckpoint>()?)
}
