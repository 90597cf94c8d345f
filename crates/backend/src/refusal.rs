use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{ErrorBody, ErrorCode};

use crate::metadata::Unpublished;

/// Why a request was not done, as it is told to whoever asked.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Box<ErrorBody>);

/// What a request is answered with.
pub(crate) type Answer<T> = Result<T, Refusal>;

tokio::task_local! {
    /// Finds the request at hand in the log.
    pub(crate) static TRACE: String;
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorBody::new(code, message)))
    }

    pub(crate) fn with(mut self, detail: &(impl ToString + ?Sized)) -> Self {
        self.0.detail = Some(detail.to_string());
        self
    }

    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.0.hint = Some(hint.to_owned());
        self
    }

    pub(crate) const fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// There is nothing of that name.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("There is no such {what}."))
    }

    /// Our fault: the log says more than the answer.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::new(ErrorCode::Internal, "The backend failed to do this.")
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        let code = match &error {
            E::NotFound { .. } => ErrorCode::NotFound,
            E::Conflict { .. } | E::Illegal { .. } | E::Stale { .. } | E::WrongOffset { .. } => {
                ErrorCode::Conflict
            }
            E::Invalid { .. } => ErrorCode::InvalidRequest,
            E::WrongDigest => ErrorCode::InvalidArtifact,
            E::Full => ErrorCode::StorageFull,
            E::Busy => ErrorCode::Busy,
            E::Damaged { .. } | E::Newer { .. } | E::Closed | E::Io { .. } | E::Database { .. } | _ => {
                return Self::internal(&error);
            }
        };
        Self::new(code, sentence(&error))
    }
}

impl From<envelope::Error> for Refusal {
    fn from(error: envelope::Error) -> Self {
        let detail = std::error::Error::source(&error).map(ToString::to_string);
        let refusal = Self::new(ErrorCode::InvalidObject, sentence(&error));
        detail.iter().fold(refusal, Self::with)
    }
}

impl From<envelope::request::Error> for Refusal {
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is wrong, it is the metadata")]
    fn from(error: envelope::request::Error) -> Self {
        use envelope::request::Error as E;
        let code = match error {
            E::Object(error) => return error.into(),
            E::Metadata(error) => return error.into(),
            E::Lapsed { .. } => ErrorCode::RequestExpired,
            E::Stale { .. } => ErrorCode::Conflict,
            E::KeyNotListed { .. } => ErrorCode::KeyNotListed,
            E::Signature => ErrorCode::InvalidObject,
            E::Spoken { .. } => ErrorCode::AlreadySigned,
            E::OtherContent => ErrorCode::OtherContent,
            _ => ErrorCode::InvalidMetadata,
        };
        Self::new(code, sentence(&error))
    }
}

impl From<envelope::log::Error> for Refusal {
    fn from(error: envelope::log::Error) -> Self {
        use envelope::log::Error as E;
        let forked = matches!(error, E::Shorter { .. } | E::Fork { .. });
        let code = if forked { ErrorCode::LogForked } else { ErrorCode::InvalidObject };
        Self::new(code, sentence(&error))
    }
}

impl From<envelope::tuf::Error> for Refusal {
    fn from(error: envelope::tuf::Error) -> Self {
        let unsigned = matches!(error, envelope::tuf::Error::ThresholdNotMet { .. });
        let code = if unsigned { ErrorCode::ThresholdNotMet } else { ErrorCode::InvalidMetadata };
        Self::new(code, sentence(&error))
    }
}

impl From<crate::Error> for Refusal {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::Store(error) => error.into(),
            crate::Error::Envelope(error) => error.into(),
            crate::Error::Metadata(error) => error.into(),
            crate::Error::Certificate(error) => error.into(),
            crate::Error::Founding { reason } => Self::new(ErrorCode::InvalidRequest, capital(&reason)),
            error @ (crate::Error::File { .. }
            | crate::Error::KeyFile { .. }
            | crate::Error::NotInitialised
            | crate::Error::NotAdopted
            | crate::Error::Origin { .. }
            | crate::Error::Tls(_)) => Self::internal(&error),
        }
    }
}

impl From<pki::Error> for Refusal {
    fn from(error: pki::Error) -> Self {
        Self::new(ErrorCode::InvalidObject, sentence(&error))
    }
}

impl From<pki::CsrError> for Refusal {
    fn from(error: pki::CsrError) -> Self {
        Self::new(ErrorCode::InvalidCsr, sentence(&error))
    }
}

impl From<Unpublished> for Refusal {
    fn from(error: Unpublished) -> Self {
        match error {
            Unpublished::Metadata(error) => error.into(),
            Unpublished::TrustKeys(error) => error.into(),
            Unpublished::Jump(jump) => Self::new(ErrorCode::PreconditionFailed, sentence(&jump))
                .hint("Check the backend's clock, then confirm it with `fleetseal fleet confirm-jump`."),
            Unpublished::Sign(error) => Self::internal(&error),
            Unpublished::Unfit(reason) => Self::new(ErrorCode::InvalidMetadata, capital(reason)),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = self.0;
        body.trace_id = TRACE.try_with(Clone::clone).unwrap_or_default();
        let status = StatusCode::from_u16(body.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let busy = body.code == ErrorCode::Busy;
        let mut response = (status, Json(body)).into_response();
        if busy {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

fn sentence(error: &dyn std::error::Error) -> String {
    capital(&error.to_string())
}

fn capital(fragment: &str) -> String {
    let mut letters = fragment.chars();
    letters.next().map_or_else(String::new, |first| {
        let mut sentence: String = first.to_uppercase().collect();
        sentence.push_str(letters.as_str());
        sentence.push('.');
        sentence
    })
}
