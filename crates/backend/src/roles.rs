//! Who may do what: the one table.

use model::Role::{self, Admin, Auditor, Operator, ReleaseManager, Station, Technician};

macro_rules! operations {
    ($($name:ident = $text:literal, $roles:expr;)*) => {
        /// Something that the operator API does.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Operation {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl Operation {
            /// Every operation, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The operation as it stands in the audit trail.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Who may do it: whoever has one of these roles.
            pub const fn roles(self) -> &'static [Role] {
                match self { $(Self::$name => $roles,)* }
            }
        }
    };
}

const EVERYBODY: &[Role] = &Role::ALL;

operations! {
    ReadFleet = "read_fleet", EVERYBODY;
    ReadBackend = "read_backend", EVERYBODY;
    ReadEvents = "read_events", EVERYBODY;
    ReadAlarms = "read_alarms", EVERYBODY;
    AcknowledgeAlarm = "acknowledge_alarm", &[Admin, Operator];
    ReadAudit = "read_audit", &[Admin, Auditor];
    ReadLogHead = "read_log_head", EVERYBODY;
    CosignLog = "cosign_log", &[Admin, ReleaseManager, Operator, Station];
    ReadRecovery = "read_recovery", &[Admin, Auditor];
    RecoverBackend = "recover_backend", &[Admin];

    ReadPeople = "read_people", &[Admin, Auditor];
    PutPerson = "put_person", &[Admin];
    RevokePerson = "revoke_person", &[Admin];
    PutCa = "put_ca", &[Admin];
    PutServerCertificate = "put_server_certificate", &[Admin];

    ReadEnrolments = "read_enrolments", &[Admin, Station, Auditor];
    AnnounceToken = "announce_token", &[Admin, Station];
    Reserve = "reserve", &[Admin, Station];
    IssueCertificate = "issue_certificate", &[Admin, Station];
    RefuseEnrolment = "refuse_enrolment", &[Admin, Station];
    ConfirmProof = "confirm_proof", &[Admin, Station];

    ReadDevices = "read_devices", EVERYBODY;
    RevokeDevice = "revoke_device", &[Admin];
    ClearCloned = "clear_cloned", &[Admin];

    PublishMetadata = "publish_metadata", &[Admin, ReleaseManager];
    RenewSnapshot = "renew_snapshot", &[Admin];

    ReadModels = "read_models", EVERYBODY;
    PutModel = "put_model", &[Admin, ReleaseManager];

    ReadRequests = "read_requests", EVERYBODY;
    MakeRequest = "make_request", &[Admin, ReleaseManager];
    SignRequest = "sign_request", &[Admin, ReleaseManager];
    CloseRequest = "close_request", &[Admin, ReleaseManager];

    ReadReleases = "read_releases", EVERYBODY;
    ProposeRelease = "propose_release", &[Admin, ReleaseManager];
    ReviewRelease = "review_release", &[Admin, ReleaseManager];
    UploadSealed = "upload_sealed", &[Admin, ReleaseManager];
    PublishRelease = "publish_release", &[Admin, ReleaseManager];
    WithdrawRelease = "withdraw_release", &[Admin, ReleaseManager];

    ReadRollouts = "read_rollouts", EVERYBODY;
    PlanRollout = "plan_rollout", &[Admin, Operator];
    AddDeployments = "add_deployments", &[Admin, Operator];
    StepRollout = "step_rollout", &[Admin, Operator];

    ReadCiphertext = "read_ciphertext", &[Admin, Operator, Technician];
    LayOutBundle = "lay_out_bundle", &[Admin, Operator];
    ReadBundle = "read_bundle", &[Admin, Operator, Technician];
    HandInReceipt = "hand_in_receipt", &[Admin, Operator, Technician];

    ReadLinks = "read_links", EVERYBODY;
    RevokeLink = "revoke_link", &[Admin, Operator];
    ReissueLink = "reissue_link", &[Admin, Operator];
}

impl Operation {
    /// Whether a backend that was restored from a backup does it: whatever changes nothing, and its recovery.
    pub const fn serves_while_locked(self) -> bool {
        matches!(
            self,
            Self::RecoverBackend
                | Self::ReadFleet
                | Self::ReadBackend
                | Self::ReadEvents
                | Self::ReadAlarms
                | Self::ReadAudit
                | Self::ReadLogHead
                | Self::ReadRecovery
                | Self::ReadPeople
                | Self::ReadEnrolments
                | Self::ReadDevices
                | Self::ReadReleases
                | Self::ReadRequests
                | Self::ReadModels
                | Self::ReadRollouts
                | Self::ReadLinks
        )
    }

    /// Whether somebody with these roles may do it.
    pub fn allowed(self, roles: impl IntoIterator<Item = Role>) -> bool {
        roles.into_iter().any(|role| self.roles().contains(&role))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_table_of_roles_is_what_was_decided() {
        let mut listing = String::new();
        for operation in Operation::ALL {
            let roles: Vec<_> = operation.roles().iter().map(|role| role.as_str()).collect();
            writeln!(listing, "{}: {}", operation.as_str(), roles.join(" ")).unwrap();
        }
        assert_eq!(listing, include_str!("roles.golden"));
    }

    #[test]
    fn nobody_without_a_role_may_do_anything_and_a_technician_reads_and_hands_in_receipts() {
        for operation in Operation::ALL {
            assert!(!operation.allowed([]), "{operation:?}");
            let reads = operation.as_str().starts_with("read_");
            assert!(reads || !operation.allowed([Role::Auditor]), "{operation:?}");
            let hands_in = *operation == Operation::HandInReceipt;
            assert!(reads || hands_in || !operation.allowed([Role::Technician]), "{operation:?}");
        }
    }
}
