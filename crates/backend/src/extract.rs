//! What handlers take out of a request; whatever does not fit is refused in the one form.

use std::{collections::BTreeSet, str::FromStr, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::request::Parts,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::{DeviceId, Role, SpkiDigest};
use protocol::{ErrorCode, MAX_JSON_BYTES, operator::AlarmKind};
use serde::de::DeserializeOwned;
use store::{DeviceState, Identity};

pub(crate) use crate::http::Peer;

use crate::{
    refusal::{Answer, Refusal},
    roles::Operation,
    server::Server,
};

/// A device of the fleet that is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device(pub(crate) Identity);

/// Somebody who may use the operator API.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) spki: SpkiDigest,
    pub(crate) roles: BTreeSet<Role>,
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

/// The one parameter of a path.
pub(crate) struct Name<T>(pub(crate) T);

/// The parameters behind the question mark.
pub(crate) struct Params<T>(pub(crate) T);

impl Peer {
    pub(crate) fn of(parts: &Parts) -> Answer<&Self> {
        let missing = || Refusal::new(ErrorCode::Internal, "The connection has no identity.");
        parts.extensions.get::<Self>().ok_or_else(missing)
    }
}

impl Server {
    /// The device with this key, if it is served: asked at every request, so that a revocation counts
    /// from the next one on.
    pub(crate) async fn device_of(&self, spki: SpkiDigest) -> Answer<Identity> {
        let unknown = || Refusal::new(ErrorCode::DeviceUnrecognized, "No device of this key is known.");
        let identity = self.store.identity(spki).await?.ok_or_else(unknown)?;
        if identity.spki != spki {
            return Err(Refusal::new(ErrorCode::Revoked, "The device has other keys by now."));
        }
        match identity.state {
            DeviceState::Active if identity.cloned => Err(Refusal::new(
                ErrorCode::DeviceCloned,
                "The device's counter forked: its disk was copied.",
            )),
            DeviceState::Active => Ok(identity),
            DeviceState::Reserved => Err(unknown()),
            DeviceState::Revoked => {
                self.came_back(identity.device).await?;
                Err(Refusal::new(ErrorCode::Revoked, "The device was revoked."))
            }
            DeviceState::Retired => Err(Refusal::new(ErrorCode::Revoked, "The device was retired.")),
            DeviceState::Replaced => {
                Err(Refusal::new(ErrorCode::Revoked, "Another key took the device's place."))
            }
        }
    }

    async fn came_back(&self, device: DeviceId) -> Answer<()> {
        if self.is_first_of_minute(device) {
            self.alarm(AlarmKind::RevokedDevice, Some(device), "It was revoked and came back.".into())
                .await?;
        }
        Ok(())
    }
}

impl FromRequestParts<Arc<Server>> for Device {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Answer<Self> {
        let spki = Peer::of(parts)?.identity.spki;
        server.device_of(spki).await.map(Self)
    }
}

impl FromRequestParts<Arc<Server>> for Peer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Server>) -> Answer<Self> {
        Self::of(parts).cloned()
    }
}

impl Caller {
    /// Whoever asks, if their key is known and their roles allow `operation`.
    pub(crate) async fn allowed(server: &Server, parts: &Parts, operation: Operation) -> Answer<Self> {
        let forbidden = |why: &str| Refusal::new(ErrorCode::Forbidden, why);
        let spki = Peer::of(parts)?.identity.spki;
        let person = server.store.person(spki).await?;
        let person = person.ok_or_else(|| forbidden("Nobody with this key is known here."))?;
        if person.revoked_at.is_some() {
            return Err(Refusal::new(ErrorCode::Revoked, "Your access has ended."));
        }
        if !operation.allowed(person.roles.iter().copied()) {
            return Err(forbidden("Your role does not allow this.").with(operation.as_str()));
        }
        Ok(Self { spki, roles: person.roles.clone() })
    }
}

/// It was put there by whoever checked the role; a handler that nobody checked for has none.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let missing = || Refusal::new(ErrorCode::Forbidden, "Nobody was identified.");
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Server>> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, server: &Arc<Server>) -> Answer<Self> {
        let body = read(request.into_body(), MAX_JSON_BYTES, server.config.limits.body).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            Refusal::new(ErrorCode::InvalidRequest, "The request cannot be read.").with(&error)
        })
    }
}

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Name<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let nothing = || Refusal::not_found("thing");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| nothing())?;
        text.parse().map(Self).map_err(|_| nothing())
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let Query(params) = Query::from_request_parts(parts, state).await.map_err(|error| {
            Refusal::new(ErrorCode::InvalidRequest, "The parameters cannot be read.").with(&error.body_text())
        })?;
        Ok(Self(params))
    }
}

/// Reads a whole body of at most `most` bytes, within `limit`.
pub(crate) async fn read(body: Body, most: usize, limit: Duration) -> Answer<Bytes> {
    let read = tokio::time::timeout(limit, Limited::new(body, most).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal::new(ErrorCode::TooLarge, format!("The body has more than {most} bytes.")))
        }
        Ok(Err(_)) => Err(Refusal::new(ErrorCode::InvalidRequest, "The body broke off.")),
        Err(_) => Err(Refusal::new(ErrorCode::Timeout, "The body took too long.")),
    }
}
