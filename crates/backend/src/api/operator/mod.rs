//! The operator API: each route names its operation, and who may do that stands in [`crate::roles`].

mod alarm;
mod audit;
mod blob;
mod bundle;
mod device;
pub(crate) mod enrolment;
mod event;
mod fleet;
mod link;
mod log;
mod metadata;
mod model;
mod overview;
mod people;
mod receipt;
mod release;
mod request;
mod rollout;
mod sealed;
mod withdrawal;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRequestParts, Request, State},
    handler::Handler,
    http::request::Parts,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter},
};
use protocol::operator::{Page, PageRequest, path};

use crate::{
    extract::Caller,
    recovery,
    refusal::Answer,
    roles::Operation::{self, *},
    server::Server,
};

/// All routes of the operator API.
pub(crate) fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    let below = |list: &str, rest: &str| format!("{list}/{{id}}{rest}");
    Routes(server, Router::new())
        .get(path::FLEET, ReadFleet, fleet::summary)
        .get(path::OVERVIEW, ReadFleet, overview::fleet)
        .get(path::BACKEND, ReadBackend, fleet::backend)
        .put(path::CAS, PutCa, fleet::put_ca)
        .put(path::SERVER_CERTIFICATE, PutServerCertificate, fleet::put_server_certificate)
        .get(path::EVENTS, ReadEvents, event::stream)
        .get(path::ALARMS, ReadAlarms, alarm::list)
        .post(&below(path::ALARMS, "/acknowledge"), AcknowledgeAlarm, alarm::acknowledge)
        .get(path::AUDIT, ReadAudit, audit::list)
        .get(&format!("{}/{{number}}/{{size}}", path::AUDIT), ReadAudit, log::entry)
        .get(path::AUDIT_LEAVES, ReadAudit, log::leaves)
        .get(path::AUDIT_HEAD, ReadLogHead, log::head)
        .post(path::AUDIT_HEAD, CosignLog, log::take_head)
        .get(path::AUDIT_GROWTH, ReadLogHead, log::growth)
        .get(path::AUDIT_COSIGNED, ReadLogHead, log::cosigned)
        .get(&below(path::AUDIT_VAULTS, ""), ReadLogHead, log::vault)
        .post(path::AUDIT_VAULTS, CosignLog, log::take_vault)
        .get(path::RECOVERY, ReadRecovery, log::recovery)
        .post(path::RECOVERY, RecoverBackend, log::recover)
        .get(path::PEOPLE, ReadPeople, people::list)
        .put(path::PEOPLE, PutPerson, people::put)
        .post(&below(path::PEOPLE, "/revoke"), RevokePerson, people::revoke)
        .post(path::TOKENS, AnnounceToken, enrolment::announce)
        .get(path::ENROLMENTS, ReadEnrolments, enrolment::list)
        .post(&below(path::ENROLMENTS, "/reserve"), Reserve, enrolment::reserve)
        .post(&below(path::ENROLMENTS, "/issue"), IssueCertificate, enrolment::issue)
        .post(&below(path::ENROLMENTS, "/refuse"), RefuseEnrolment, enrolment::refuse)
        .post(&below(path::ENROLMENTS, "/proven"), ConfirmProof, enrolment::proven)
        .get(path::DEVICES, ReadDevices, device::list)
        .get(&below(path::DEVICES, ""), ReadDevices, device::show)
        .get(&below(path::DEVICES, "/timeline"), ReadDevices, device::timeline)
        .post(&below(path::DEVICES, "/revoke"), RevokeDevice, device::revoke)
        .post(&below(path::DEVICES, "/clear-cloned"), ClearCloned, device::clear_cloned)
        .post(path::METADATA, PublishMetadata, metadata::publish)
        .post(path::SNAPSHOT, RenewSnapshot, metadata::renew)
        .get(path::MODELS, ReadModels, model::list)
        .put(path::MODELS, PutModel, model::put)
        .get(path::REQUESTS, ReadRequests, request::list)
        .post(path::REQUESTS, MakeRequest, request::make)
        .get(&below(path::REQUESTS, ""), ReadRequests, request::show)
        .post(&below(path::REQUESTS, "/signatures"), SignRequest, request::sign)
        .post(&below(path::REQUESTS, "/publish"), PublishMetadata, request::publish)
        .post(&below(path::REQUESTS, "/close"), CloseRequest, request::close)
        .get(path::RELEASES, ReadReleases, release::list)
        .post(path::RELEASES, ProposeRelease, release::propose)
        .get(&below(path::RELEASES, ""), ReadReleases, release::show)
        .post(&below(path::RELEASES, "/reviews"), ReviewRelease, release::review)
        .post(&below(path::RELEASES, "/sealed"), UploadSealed, sealed::upload)
        .post(&below(path::RELEASES, "/publish"), PublishRelease, release::publish)
        .post(&below(path::RELEASES, "/withdraw"), WithdrawRelease, withdrawal::withdraw)
        .put(&below(path::BLOBS, ""), UploadSealed, blob::put)
        .get(&below(path::BLOBS, "/part"), ReadCiphertext, blob::part_of)
        .post(path::RECEIPTS, HandInReceipt, receipt::take)
        .post(path::BUNDLES, LayOutBundle, bundle::lay_out)
        .get(&below(path::DEVICES, "/bundle"), ReadBundle, bundle::of_device)
        .get(path::ROLLOUTS, ReadRollouts, rollout::list)
        .post(path::ROLLOUTS, PlanRollout, rollout::plan)
        .get(&below(path::ROLLOUTS, ""), ReadRollouts, rollout::show)
        .get(&below(path::ROLLOUTS, "/deployments"), ReadRollouts, rollout::deployments)
        .post(&below(path::ROLLOUTS, "/deployments"), AddDeployments, rollout::add)
        .get(&below(path::ROLLOUTS, "/signed"), ReadRollouts, rollout::signed)
        .get(&below(path::ROLLOUTS, "/progress"), ReadRollouts, overview::rollout)
        .post(&below(path::ROLLOUTS, "/step"), StepRollout, rollout::step)
        .get(path::LINKS, ReadLinks, link::list)
        .get(path::LINK_EVENTS, ReadLinks, link::events)
        .post(&below(path::LINKS, "/revoke"), RevokeLink, link::revoke)
        .post(&below(path::LINKS, "/reissue"), ReissueLink, link::reissue)
        .1
}

/// Routes in the making: none can be added without its operation.
struct Routes<'a>(&'a Arc<Server>, Router<Arc<Server>>);

impl Routes<'_> {
    fn get<T: 'static>(self, at: &str, operation: Operation, handler: impl Handler<T, Arc<Server>>) -> Self {
        self.add(MethodFilter::GET, at, operation, handler)
    }

    fn put<T: 'static>(self, at: &str, operation: Operation, handler: impl Handler<T, Arc<Server>>) -> Self {
        self.add(MethodFilter::PUT, at, operation, handler)
    }

    fn post<T: 'static>(self, at: &str, operation: Operation, handler: impl Handler<T, Arc<Server>>) -> Self {
        self.add(MethodFilter::POST, at, operation, handler)
    }

    fn add<T: 'static>(
        self,
        method: MethodFilter,
        at: &str,
        operation: Operation,
        handler: impl Handler<T, Arc<Server>>,
    ) -> Self {
        let guard = from_fn_with_state((Arc::clone(self.0), operation), check_role);
        let guarded = MethodRouter::new().on(method, handler).layer(guard);
        Self(self.0, self.1.route(at, guarded))
    }
}

async fn check_role(
    State((server, operation)): State<(Arc<Server>, Operation)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match Caller::allowed(&server, &parts, operation).await {
        Ok(_) if server.lost().is_some() && !operation.serves_while_locked() => {
            recovery::restored().into_response()
        }
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Which page of a list, from the address.
pub(super) struct PageOf(store::PageRequest);

impl<S: Send + Sync> FromRequestParts<S> for PageOf {
    type Rejection = crate::refusal::Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let crate::extract::Params(page) =
            crate::extract::Params::<PageRequest>::from_request_parts(parts, state).await?;
        let after = page.after.as_deref().map(store::Cursor::from_text);
        Ok(Self(store::PageRequest { after, limit: page.rows() }))
    }
}

/// A page of the store as a page of the wire.
fn page<T, U>(page: store::Page<T>, row: impl FnMut(T) -> U) -> Page<U> {
    Page {
        rows: page.rows.into_iter().map(row).collect(),
        next: page.next.map(|next| next.as_str().to_owned()),
    }
}
