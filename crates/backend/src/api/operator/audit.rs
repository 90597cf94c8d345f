use std::{collections::HashMap, sync::Arc};

use axum::{Json as Reply, extract::State};
use model::{PersonName, SpkiDigest};
use protocol::{
    ErrorCode,
    operator::{AuditRow, Page, PageRequest},
};

use crate::{
    extract::Params,
    refusal::{Answer, Refusal},
    server::Server,
};

/// The audit trail, oldest first. Its pages go on after a number.
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Params(request): Params<PageRequest>,
) -> Answer<Reply<Page<AuditRow>>> {
    let after = request.after.as_deref().map_or(Ok(0), str::parse);
    let after = after.map_err(|_| Refusal::new(ErrorCode::InvalidRequest, "There is no such page."))?;
    let limit = request.rows();
    let entries = server.store.audit_entries(after, limit).await?;
    let people = names(&server).await?;
    let last = entries.last().map(|entry| entry.seq.to_string());
    let next = last.filter(|_| entries.len() == limit as usize);
    let rows = entries.into_iter().map(|audit| AuditRow {
        number: audit.seq,
        at: audit.entry.at,
        actor: match audit.entry.actor {
            None => "backend".to_owned(),
            Some(spki) => people.get(&spki).map_or_else(|| spki.to_string(), ToString::to_string),
        },
        action: audit.entry.action,
        subject: audit.entry.subject,
        reason: audit.entry.reason,
    });
    Ok(Reply(Page { rows: rows.collect(), next }))
}

/// Everybody's name by key.
pub(super) async fn names(server: &Server) -> Answer<HashMap<SpkiDigest, PersonName>> {
    let people = server.store.people().await?;
    Ok(people.iter().map(|person| (person.spki, person.name.clone())).collect())
}
