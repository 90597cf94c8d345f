//! The command table: everything that the application can be asked, declared once.
//!
//! A command is a type with a name, an access rule, a request and a response. Hosts (the command
//! line, the desktop, a test) either run it typed, through [`App::run`], or by name with JSON,
//! through [`dispatch`]. A command without a handler does not compile.

use model::Role;
use serde::{Serialize, de::DeserializeOwned};

use crate::{App, Error, dto::*};

/// Who may run a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Whoever has the workspace: it touches this computer alone.
    Local,
    /// Every member of the fleet.
    Member,
    /// Members with one of these roles.
    Roles(&'static [Role]),
}

impl Access {
    /// Whether somebody with `roles` may.
    pub fn allows(self, roles: &[Role]) -> bool {
        match self {
            Self::Local => true,
            Self::Member => !roles.is_empty(),
            Self::Roles(wanted) => wanted.iter().any(|role| roles.contains(role)),
        }
    }
}

/// One command of the table.
pub trait Command {
    /// Its name: `area.verb`.
    const NAME: &'static str;
    /// Who may run it.
    const ACCESS: Access;
    /// What it takes.
    type Request: DeserializeOwned + Send;
    /// What it gives.
    type Response: Serialize + Send;
}

/// The implementation of one command.
pub trait Handle<C: Command> {
    /// Carries it out. Access was checked before.
    fn handle(&self, request: C::Request) -> impl Future<Output = Result<C::Response, Error>> + Send;
}

macro_rules! commands {
    ($($command:ident $name:literal $access:expr, $request:ty => $response:ty;)*) => {
        $(
            #[doc = concat!("`", $name, "`")]
            #[derive(Debug, Clone, Copy)]
            pub struct $command;

            impl Command for $command {
                const NAME: &'static str = $name;
                const ACCESS: Access = $access;
                type Request = $request;
                type Response = $response;
            }
        )*

        /// Every command with its access rule, in the order of the table.
        pub const TABLE: &[(&str, Access)] = &[$(($name, $access)),*];

        /// Runs the command called `name` on JSON.
        ///
        /// # Errors
        /// There is no such command, the request cannot be read, or what the command itself says.
        pub async fn dispatch(app: &App, name: &str, request: serde_json::Value) -> Result<serde_json::Value, Error> {
            match name {
                $($name => {
                    let request = serde_json::from_value(request).map_err(|source| Error::request(name, &source))?;
                    let response = app.run::<$command>(request).await?;
                    serde_json::to_value(response).map_err(|source| Error::internal("failed to write the answer", source))
                })*
                _ => Err(Error::unknown_command(name)),
            }
        }

        /// The TypeScript of the table: each name with the types of its request and response.
        pub fn typescript(config: &ts_rs::Config) -> String {
            use ts_rs::TS;
            let mut text = String::from("export interface Commands {\n");
            $(
                text.push_str(&format!(
                    "  {:?}: {{ request: {}; response: {} }};\n",
                    $name, <$request as TS>::inline(config), <$response as TS>::name(config),
                ));
            )*
            text.push_str("}\n");
            text
        }
    };
}

const ADMIN: Access = Access::Roles(&[Role::Admin]);
const RELEASE: Access = Access::Roles(&[Role::Admin, Role::ReleaseManager]);
const PROVISION: Access = Access::Roles(&[Role::Admin, Role::Station]);
const OPERATE: Access = Access::Roles(&[Role::Admin, Role::Operator]);
const AUDIT: Access = Access::Roles(&[Role::Admin, Role::Auditor]);

commands! {
    VaultCreate "vault.create" Access::Local, CreateVault => VaultStatus;
    VaultShow "vault.show" Access::Local, Nothing => VaultStatus;
    VaultUnlock "vault.unlock" Access::Local, Passphrase => VaultStatus;
    VaultLock "vault.lock" Access::Local, Nothing => VaultStatus;
    VaultBackup "vault.backup" Access::Local, BackupVault => VaultStatus;
    VaultTestRestore "vault.test_restore" Access::Local, TestRestore => VaultStatus;
    VaultCard "vault.card" Access::Local, Nothing => MemberCard;

    FleetFound "fleet.found" Access::Local, FoundFleet => FoundingStatus;
    FleetSign "fleet.sign" Access::Local, FoundingFile => FoundingStatus;
    FleetJoin "fleet.join" Access::Local, FoundingFile => FoundingStatus;
    FleetShow "fleet.show" Access::Member, Nothing => FleetSummary;
    FleetPeople "fleet.people" ADMIN, Nothing => Vec<Person>;
    FleetAddPerson "fleet.add_person" ADMIN, AddPerson => Person;
    FleetRemovePerson "fleet.remove_person" ADMIN, RemovePerson => Done;
    FleetAlarms "fleet.alarms" Access::Member, PageRequest => Page<AlarmRow>;
    FleetAudit "fleet.audit" AUDIT, PageRequest => Page<AuditRow>;

    DeviceToken "device.token" PROVISION, MakeToken => EnrolmentTokenText;
    DeviceEnrolments "device.enrolments" PROVISION, Nothing => Vec<Enrolment>;
    DeviceApprove "device.approve" PROVISION, ApproveEnrolments => ApprovedEnrolments;
    DeviceList "device.list" Access::Member, ListDevices => Page<DeviceRow>;
    DeviceShow "device.show" Access::Member, DeviceName => DeviceDetail;
    DeviceTimeline "device.timeline" Access::Member, DeviceTimelineRequest => Page<TimelineEntry>;
    DeviceRevokePreview "device.revoke_preview" ADMIN, DeviceName => Preview;
    DeviceRevoke "device.revoke" ADMIN, RevokeDevice => Done;

    ReleasePropose "release.propose" RELEASE, ProposeArtifact => ReleaseDetail;
    ReleaseList "release.list" Access::Member, PageRequest => Page<ReleaseRow>;
    ReleaseShow "release.show" Access::Member, ReleaseName => ReleaseDetail;
    ReleaseReview "release.review" RELEASE, ReviewRelease => ReleaseDetail;
    ReleaseSign "release.sign" RELEASE, ReleaseName => ReleaseDetail;
    ReleaseSeal "release.seal" RELEASE, SealRelease => ReleaseDetail;
    ReleasePublishPreview "release.publish_preview" RELEASE, ReleaseName => Preview;
    ReleasePublish "release.publish" RELEASE, Commit<ReleaseName> => ReleaseDetail;
    ReleaseWithdrawPreview "release.withdraw_preview" RELEASE, ReleaseName => Preview;
    ReleaseWithdraw "release.withdraw" RELEASE, Commit<ReleaseName> => ReleaseDetail;

    RolloutPreview "rollout.preview" OPERATE, PlanRollout => RolloutPlan;
    RolloutStart "rollout.start" OPERATE, Commit<PlanRollout> => RolloutDetail;
    RolloutList "rollout.list" Access::Member, PageRequest => Page<RolloutRow>;
    RolloutShow "rollout.show" Access::Member, RolloutName => RolloutDetail;
    RolloutDeployments "rollout.deployments" Access::Member, ListDeployments => Page<DeploymentRow>;
    RolloutPause "rollout.pause" OPERATE, RolloutName => RolloutDetail;
    RolloutResume "rollout.resume" OPERATE, RolloutName => RolloutDetail;
    RolloutOpen "rollout.open_after" OPERATE, OpenAfter => RolloutDetail;
    RolloutRenew "rollout.renew" OPERATE, RolloutName => RenewedTickets;
    RolloutHold "rollout.hold" OPERATE, RolloutName => RenewedTickets;
    RolloutAbortPreview "rollout.abort_preview" OPERATE, RolloutName => Preview;
    RolloutAbort "rollout.abort" OPERATE, Commit<RolloutName> => RolloutDetail;

    LinkList "link.list" Access::Member, ListLinks => Page<LinkRow>;
    LinkRevoke "link.revoke" OPERATE, LinkName => Done;
    LinkReissue "link.reissue" OPERATE, LinkName => Done;
}

impl App {
    /// Runs a command, if the caller's role allows it.
    ///
    /// # Errors
    /// The role does not allow it, or what the command itself says.
    pub async fn run<C: Command>(&self, request: C::Request) -> Result<C::Response, Error>
    where
        Self: Handle<C>,
    {
        self.check_access(C::NAME, C::ACCESS).await?;
        self.handle(request).await
    }
}
