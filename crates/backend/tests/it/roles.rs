//! Every role at every address.

use backend::roles::Operation::{self, *};
use bytes::Bytes;
use hyper::Method;
use model::Role;
use protocol::{ErrorCode, operator::path};
use testkit::Running;

/// Each operation with a request that leads to it. The bodies are none that anybody takes: what is
/// allowed fails later, and changes nothing.
fn requests() -> Vec<(Operation, Method, String)> {
    let below = |list: &str, rest: &str| format!("{list}/none{rest}");
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    vec![
        (ReadFleet, get.clone(), path::FLEET.into()),
        (ReadBackend, get.clone(), path::BACKEND.into()),
        (ReadAlarms, get.clone(), path::ALARMS.into()),
        (AcknowledgeAlarm, post.clone(), below(path::ALARMS, "/acknowledge")),
        (ReadAudit, get.clone(), path::AUDIT.into()),
        (ReadAudit, get.clone(), path::AUDIT_LEAVES.into()),
        (ReadAudit, get.clone(), path::audit_entry(1, 1)),
        (ReadLogHead, get.clone(), path::AUDIT_HEAD.into()),
        (CosignLog, post.clone(), path::AUDIT_HEAD.into()),
        (ReadLogHead, get.clone(), path::AUDIT_GROWTH.into()),
        (ReadLogHead, get.clone(), path::AUDIT_COSIGNED.into()),
        (ReadLogHead, get.clone(), path::vault_head("none")),
        (CosignLog, post.clone(), path::AUDIT_VAULTS.into()),
        (ReadRecovery, get.clone(), path::RECOVERY.into()),
        (RecoverBackend, post.clone(), path::RECOVERY.into()),
        (ReadPeople, get.clone(), path::PEOPLE.into()),
        (PutPerson, put.clone(), path::PEOPLE.into()),
        (RevokePerson, post.clone(), below(path::PEOPLE, "/revoke")),
        (PutCa, put.clone(), path::CAS.into()),
        (PutServerCertificate, put.clone(), path::SERVER_CERTIFICATE.into()),
        (ReadEnrolments, get.clone(), path::ENROLMENTS.into()),
        (AnnounceToken, post.clone(), path::TOKENS.into()),
        (Reserve, post.clone(), below(path::ENROLMENTS, "/reserve")),
        (IssueCertificate, post.clone(), below(path::ENROLMENTS, "/issue")),
        (RefuseEnrolment, post.clone(), below(path::ENROLMENTS, "/refuse")),
        (ConfirmProof, post.clone(), below(path::ENROLMENTS, "/proven")),
        (ReadDevices, get.clone(), path::DEVICES.into()),
        (ReadDevices, get.clone(), below(path::DEVICES, "")),
        (ReadDevices, get.clone(), below(path::DEVICES, "/timeline")),
        (RevokeDevice, post.clone(), below(path::DEVICES, "/revoke")),
        (ClearCloned, post.clone(), below(path::DEVICES, "/clear-cloned")),
        (PublishMetadata, post.clone(), path::METADATA.into()),
        (RenewSnapshot, post.clone(), path::SNAPSHOT.into()),
        (ReadReleases, get.clone(), path::RELEASES.into()),
        (ReadReleases, get.clone(), below(path::RELEASES, "")),
        (ProposeRelease, post.clone(), path::RELEASES.into()),
        (ReviewRelease, post.clone(), below(path::RELEASES, "/reviews")),
        (ReadModels, get.clone(), path::MODELS.into()),
        (PutModel, put.clone(), path::MODELS.into()),
        (ReadRequests, get.clone(), path::REQUESTS.into()),
        (ReadRequests, get.clone(), below(path::REQUESTS, "")),
        (MakeRequest, post.clone(), path::REQUESTS.into()),
        (SignRequest, post.clone(), below(path::REQUESTS, "/signatures")),
        (PublishMetadata, post.clone(), below(path::REQUESTS, "/publish")),
        (CloseRequest, post.clone(), below(path::REQUESTS, "/close")),
        (UploadSealed, post.clone(), below(path::RELEASES, "/sealed")),
        (UploadSealed, put, below(path::BLOBS, "")),
        (ReadCiphertext, get.clone(), below(path::BLOBS, "/part")),
        (HandInReceipt, post.clone(), path::RECEIPTS.into()),
        (LayOutBundle, post.clone(), path::BUNDLES.into()),
        (ReadBundle, get.clone(), below(path::DEVICES, "/bundle")),
        (PublishRelease, post.clone(), below(path::RELEASES, "/publish")),
        (WithdrawRelease, post.clone(), below(path::RELEASES, "/withdraw")),
        (ReadRollouts, get.clone(), path::ROLLOUTS.into()),
        (ReadRollouts, get.clone(), below(path::ROLLOUTS, "")),
        (ReadRollouts, get.clone(), below(path::ROLLOUTS, "/deployments")),
        (ReadRollouts, get.clone(), below(path::ROLLOUTS, "/signed")),
        (ReadRollouts, get.clone(), below(path::ROLLOUTS, "/progress")),
        (PlanRollout, post.clone(), path::ROLLOUTS.into()),
        (AddDeployments, post.clone(), below(path::ROLLOUTS, "/deployments")),
        (StepRollout, post.clone(), below(path::ROLLOUTS, "/step")),
        (ReadLinks, get.clone(), path::LINKS.into()),
        (ReadLinks, get, path::LINK_EVENTS.into()),
        (RevokeLink, post.clone(), below(path::LINKS, "/revoke")),
        (ReissueLink, post, below(path::LINKS, "/reissue")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_asks_for_the_role_that_the_table_names() {
    let running = Running::start().await;
    let requests = requests();
    for operation in Operation::ALL {
        let covered = requests.iter().any(|(other, _, _)| other == operation);
        assert!(covered || *operation == ReadEvents, "{operation:?} has no request here");
    }
    for role in Role::ALL {
        let (_, mut line) = running.member(role.as_str(), &[role]).await;
        for (operation, method, path) in &requests {
            let body = if *method == Method::GET { Bytes::new() } else { Bytes::from_static(b"[0]") };
            let answer = line.request(method.clone(), path, &[], body).await.unwrap();
            let forbidden = !answer.status.is_success() && answer.code() == ErrorCode::Forbidden;
            assert_eq!(!forbidden, operation.allowed([role]), "{role:?} {method} {path}");
            assert_ne!(answer.status, 500, "{role:?} {method} {path}");
        }
        let events = line.stream(path::EVENTS).await;
        drop(events);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_says_nothing_about_roles() {
    let running = Running::start().await;
    let claims = running.fleet.member("admin", &[Role::Admin]);
    let mut line = running.connect(&claims.identity).await.unwrap();
    assert_eq!(line.get(path::FLEET).await.code(), ErrorCode::Forbidden, "nobody let this key in");
    let (_, mut auditor) = running.member("ann", &[Role::Auditor]).await;
    let put = auditor.put(path::PEOPLE, &claims.put).await;
    assert_eq!(put.code(), ErrorCode::Forbidden);
}
