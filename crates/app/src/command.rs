//! The command table: everything that the application can be asked, declared once.
//!
//! A command is a type with a name, an access rule, a request and a response. Hosts (the command
//! line, the desktop, a test) either run it typed, through [`App::run`], or by name with JSON,
//! through [`dispatch`]. A command without a handler does not compile.

use model::Role;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    App, Error,
    dto::{self, *},
};

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

/// Through which window a command may come, where there are windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ts_rs::TS)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Through any.
    Open,
    /// Whoever wants it asks for it; the vault's window shows what it is about, and gives it or does not.
    Consent,
    /// Through the vault's window alone: it carries a secret, or gives consent.
    Secret,
}

/// Declares a table: the receiver that carries its commands out, then one row for each. A row may end
/// with its [`Way`]; without one it is [`Way::Open`].
macro_rules! table {
    ($receiver:ty: $($command:ident $name:literal $access:expr, $request:ty => $response:ty $(, $way:ident)?;)*) => {
        $(
            #[doc = concat!("`", $name, "`")]
            #[derive(Debug, Clone, Copy)]
            pub struct $command;

            impl $crate::command::Command for $command {
                const NAME: &'static str = $name;
                const ACCESS: $crate::command::Access = $access;
                type Request = $request;
                type Response = $response;
            }
        )*

        /// Every command with its access rule, in the order of the table.
        pub const TABLE: &[(&str, $crate::command::Access)] = &[$(($name, $access)),*];

        /// Through which window each of them may come, in the same order.
        pub const WAYS: &[(&str, $crate::command::Way)] = &[$(($name, $crate::command::way!($($way)?))),*];

        /// Runs the command called `name` on JSON.
        ///
        /// # Errors
        /// There is no such command, the request cannot be read, or what the command itself says.
        pub async fn dispatch(
            to: &$receiver,
            name: &str,
            request: serde_json::Value,
        ) -> Result<serde_json::Value, $crate::Error> {
            match name {
                $($name => {
                    let read = || {
                        serde_json::from_value(request)
                            .map_err(|source| $crate::Error::request(name, &source))
                    };
                    let response = to.run_read::<$command>(read).await?;
                    serde_json::to_value(response)
                        .map_err(|source| $crate::Error::internal("failed to write the answer", source))
                })*
                _ => Err($crate::Error::unknown_command(name)),
            }
        }

        /// Writes the TypeScript of the table's types, and adds its rows and their imports.
        pub(crate) fn describe(
            config: &ts_rs::Config,
            imports: &mut std::collections::BTreeSet<String>,
            rows: &mut String,
        ) -> Result<(), ts_rs::ExportError> {
            use ts_rs::TS;
            $(
                <$request>::export_all(config)?;
                <$response>::export_all(config)?;
                let (request, response) = (<$request as TS>::name(config), <$response as TS>::name(config));
                let names = $crate::command::identifiers(&request);
                imports.extend(names.chain($crate::command::identifiers(&response)).map(str::to_owned));
                rows.push_str(&format!("  {:?}: {{ request: {request}; response: {response} }};\n", $name));
            )*
            Ok(())
        }
    };
}

macro_rules! way {
    () => {
        $crate::command::Way::Open
    };
    ($way:ident) => {
        $crate::command::Way::$way
    };
}

pub(crate) use {table, way};

const ADMIN: Access = Access::Roles(&[Role::Admin]);
const RELEASE: Access = Access::Roles(&[Role::Admin, Role::ReleaseManager]);
const PROVISION: Access = Access::Roles(&[Role::Admin, Role::Station]);
const OPERATE: Access = Access::Roles(&[Role::Admin, Role::Operator]);
const AUDIT: Access = Access::Roles(&[Role::Admin, Role::Auditor]);

table! { App:
    VaultCreate "vault.create" Access::Local, CreateVault => VaultStatus, Secret;
    VaultShow "vault.show" Access::Local, Nothing => VaultStatus;
    VaultUnlock "vault.unlock" Access::Local, Passphrase => VaultStatus, Secret;
    VaultMeasure "vault.measure_passphrase" Access::Local, MeasurePassphrase => PassphraseStrength, Secret;
    VaultSlots "vault.slots" Access::Local, Nothing => VaultSlotList;
    VaultChangePassphrase "vault.change_passphrase" Access::Local, ChangePassphrase => VaultStatus, Secret;
    VaultAddPassphrase "vault.add_passphrase" Access::Local, AddPassphrase => VaultSlot, Secret;
    VaultAddKeyring "vault.add_keyring" Access::Local, AddKeyring => VaultSlot, Secret;
    VaultAddTokenSlot "vault.add_token_slot" Access::Local, AddTokenSlot => VaultSlot, Secret;
    VaultRemoveSlotPreview "vault.remove_slot_preview" Access::Local, SlotName => Preview;
    VaultRemoveSlot "vault.remove_slot" Access::Local, Commit<SlotName> => VaultStatus, Secret;
    VaultRestore "vault.restore" Access::Local, RestoreVault => VaultStatus, Secret;
    VaultMakeShares "vault.make_shares" Access::Local, MakeShares => VaultSlot, Secret;
    VaultTestShares "vault.test_shares" Access::Local, TestShares => VaultSlot, Secret;
    VaultRestoreShares "vault.restore_shares" Access::Local, RestoreShares => VaultStatus, Secret;
    VaultTokens "vault.tokens" Access::Local, ListTokens => TokenList, Secret;
    VaultEnterPin "vault.enter_pin" Access::Local, EnterPin => VaultStatus, Secret;
    VaultInitTokenKey "vault.init_token_key" Access::Local, InitTokenKey => VaultStatus, Secret;
    VaultAdoptTokenKey "vault.adopt_token_key" Access::Local, AdoptTokenKey => VaultStatus, Secret;
    VaultForgetPins "vault.forget_wrong_pins" Access::Local, TokenName => VaultStatus, Secret;
    VaultLock "vault.lock" Access::Local, Nothing => VaultStatus;
    VaultBackup "vault.backup" Access::Local, BackupVault => VaultStatus;
    VaultTestRestore "vault.test_restore" Access::Local, TestRestore => VaultStatus, Secret;
    VaultCard "vault.card" Access::Local, Nothing => MemberCard;

    FleetFound "fleet.found" Access::Local, FoundFleet => FoundingStatus, Consent;
    FleetSign "fleet.sign" Access::Local, FoundingFile => FoundingStatus, Consent;
    FleetJoin "fleet.join" Access::Local, FoundingFile => FoundingStatus;
    FleetShow "fleet.show" Access::Member, Nothing => FleetSummary;
    FleetOverview "fleet.overview" Access::Member, Nothing => dto::FleetOverview;
    FleetPeople "fleet.people" ADMIN, Nothing => Page<Person>;
    FleetAddPerson "fleet.add_person" ADMIN, AddPerson => AddedPerson, Consent;
    FleetSetRoles "fleet.set_roles" ADMIN, SetRoles => Person;
    FleetRenewPerson "fleet.renew_person" ADMIN, RenewPerson => Person, Consent;
    FleetRemovePersonPreview "fleet.remove_person_preview" ADMIN, RemovePerson => Preview;
    FleetRemovePerson "fleet.remove_person" ADMIN, Commit<RemovePerson> => RemovedPerson;
    FleetKeys "fleet.keys" Access::Member, Nothing => crate::dto::FleetKeys;
    FleetDraftChangePreview "fleet.draft_change_preview" ADMIN, DraftChange => Preview;
    FleetDraftChange "fleet.draft_change" ADMIN, DraftChange => DraftedChange;
    FleetExpiries "fleet.expiries" Access::Member, Nothing => Page<Expiry>;
    FleetRenewServer "fleet.renew_server" ADMIN, Nothing => Done, Consent;
    FleetConfirmJump "fleet.confirm_jump" ADMIN, Nothing => Done;
    FleetAlarms "fleet.alarms" Access::Member, PageRequest => Page<AlarmRow>;
    FleetAcknowledgeAlarm "fleet.acknowledge_alarm" OPERATE, AlarmNumber => Done;
    FleetRecoverBackendPreview "fleet.recover_backend_preview" ADMIN, Nothing => Preview;
    FleetRecoverBackend "fleet.recover_backend" ADMIN, Commit<Nothing> => Recovered, Consent;

    AuditList "audit.list" AUDIT, PageRequest => Page<AuditRow>;
    AuditCosign "audit.cosign" Access::Member, Nothing => CosignedHeads;
    AuditExport "audit.export" AUDIT, AuditFile => ExportedAudit;
    AuditVerify "audit.verify" Access::Local, AuditFile => VerifiedAudit;

    DeviceToken "device.token" PROVISION, MakeToken => EnrolmentTokenText, Consent;
    DeviceEnrolments "device.enrolments" PROVISION, Nothing => Page<Enrolment>;
    DeviceApprove "device.approve" PROVISION, ApproveEnrolments => ApprovedEnrolments, Consent;
    DeviceList "device.list" Access::Member, ListDevices => Page<DeviceRow>;
    DeviceShow "device.show" Access::Member, DeviceName => DeviceDetail;
    DeviceWhy "device.why" Access::Member, DeviceName => Why;
    DeviceTimeline "device.timeline" Access::Member, DeviceTimelineRequest => Page<TimelineEntry>;
    DeviceRevokePreview "device.revoke_preview" ADMIN, DeviceName => Preview;
    DeviceRevoke "device.revoke" ADMIN, RevokeDevice => RevokedDevice, Consent;
    DeviceRetirePreview "device.retire_preview" ADMIN, DeviceName => Preview;
    DeviceRetire "device.retire" ADMIN, RevokeDevice => RevokedDevice, Consent;
    DeviceReplacePreview "device.replace_preview" ADMIN, DeviceName => Preview;
    DeviceReplace "device.replace" ADMIN, ReplaceDevice => EnrolmentTokenText, Consent;
    DeviceClearClonedPreview "device.clear_cloned_preview" ADMIN, DeviceName => Preview;
    DeviceClearCloned "device.clear_cloned" ADMIN, ClearCloned => Done;

    ModelList "model.list" Access::Member, Nothing => Page<DeviceModel>;
    ModelPut "model.put" RELEASE, DeviceModel => DeviceModel;

    ReleaseCheck "release.check" RELEASE, ProposeRelease => Checks;
    ReleasePropose "release.propose" RELEASE, ProposeRelease => ReleaseDetail;
    ReleaseRepropose "release.repropose" RELEASE, ReleaseName => ReleaseDetail;
    ReleaseList "release.list" Access::Member, PageRequest => Page<ReleaseRow>;
    ReleaseShow "release.show" Access::Member, ReleaseName => ReleaseDetail;
    ReleaseReview "release.review" RELEASE, ReviewRelease => ReleaseDetail;
    ReleaseSeal "release.seal" RELEASE, SealRelease => ReleaseDetail, Consent;
    ReleasePublishPreview "release.publish_preview" RELEASE, ReleaseName => Preview;
    ReleasePublish "release.publish" RELEASE, Commit<ReleaseName> => ReleaseDetail;
    ReleaseWithdrawPreview "release.withdraw_preview" RELEASE, ReleaseName => Preview;
    ReleaseWithdraw "release.withdraw" RELEASE, Commit<WithdrawRelease> => ReleaseDetail;

    RequestList "request.list" Access::Member, Nothing => Page<SignatureRequest>;
    RequestShow "request.show" Access::Member, RequestName => Statement;
    RequestSign "request.sign" RELEASE, SignRequest => SignatureRequest, Consent;
    RequestExport "request.export" RELEASE, ExportRequest => Statement;
    RequestRead "request.read" Access::Local, RequestFileName => Statement;
    RequestSignFile "request.sign_file" Access::Local, SignRequestFile => SignatureFile, Consent;
    RequestAddSignature "request.add_signature" RELEASE, AddSignatureFile => SignatureRequest;
    RequestRenew "request.renew" RELEASE, Nothing => SignatureRequest;
    RequestPublish "request.publish" RELEASE, RequestName => SignatureRequest;
    RequestClose "request.close" RELEASE, RequestName => SignatureRequest;

    RolloutPreview "rollout.preview" OPERATE, PlanRollout => RolloutPlan;
    RolloutStart "rollout.start" OPERATE, Commit<PlanRollout> => RolloutDetail, Consent;
    RolloutList "rollout.list" Access::Member, PageRequest => Page<RolloutRow>;
    RolloutShow "rollout.show" Access::Member, RolloutName => RolloutDetail;
    RolloutProgress "rollout.progress" Access::Member, RolloutName => RolloutLive;
    RolloutDeployments "rollout.deployments" Access::Member, ListDeployments => Page<DeploymentRow>;
    RolloutPause "rollout.pause" OPERATE, RolloutName => RolloutDetail;
    RolloutResume "rollout.resume" OPERATE, RolloutName => RolloutDetail;
    RolloutOpen "rollout.open_after" OPERATE, OpenAfter => RolloutDetail;
    RolloutRenew "rollout.renew" OPERATE, RolloutName => RenewedTickets, Consent;
    RolloutAddPreview "rollout.add_preview" OPERATE, AddToRollout => Preview;
    RolloutAdd "rollout.add" OPERATE, Commit<AddToRollout> => RenewedTickets, Consent;
    RolloutHold "rollout.hold" OPERATE, RolloutName => RenewedTickets, Consent;
    RolloutAbortPreview "rollout.abort_preview" OPERATE, RolloutName => Preview;
    RolloutAbort "rollout.abort" OPERATE, Commit<RolloutName> => RolloutDetail;

    LinkList "link.list" Access::Member, ListLinks => Page<LinkRow>;
    LinkEvents "link.events" Access::Member, ListLinkEvents => Page<LinkEvent>;
    LinkRevoke "link.revoke" OPERATE, LinkName => Done;
    LinkReissue "link.reissue" OPERATE, LinkName => Done;

    BenchList "bench.list" Access::Local, BenchPorts => Page<BenchDevice>;
    BenchShow "bench.show" Access::Local, BenchPort => BenchInventory;
    BenchDoctor "bench.doctor" Access::Local, BenchPorts => Page<BenchFinding>;
    BenchBundle "bench.bundle" OPERATE, MakeBundle => BundleSummary, Consent;
    BenchLayOut "bench.lay_out" OPERATE, BundleFile => Done;
    BenchOpen "bench.open" Access::Local, BundleFile => BundleSummary;
    BenchUpdate "bench.update" Access::Local, UpdateDevices => VisitList, Consent;
    BenchStop "bench.stop" Access::Local, PortName => Done;
    BenchBundles "bench.bundles" Access::Local, Nothing => BundleLibrary;
    BenchKeep "bench.keep" Access::Local, BundleFile => BundleRow;
    BenchDrop "bench.drop" Access::Local, BundleFile => Done;
    BenchReports "bench.reports" Access::Local, Nothing => Page<VisitReport>;
    BenchReport "bench.report" Access::Local, WriteReport => Done;
    BenchReceipts "bench.receipts" Access::Local, Nothing => ReceiptQueue;
    BenchSync "bench.sync" Access::Member, Nothing => ReceiptQueue;
}

/// Writes the TypeScript of everything that a screen can ask and be told: every type in a file of its
/// own, and in `commands.ts` each name with the types of its request and response.
///
/// # Errors
/// A file cannot be written.
pub fn export_typescript(dir: &std::path::Path) -> Result<(), ts_rs::ExportError> {
    use ts_rs::TS;
    let config = ts_rs::Config::new().with_out_dir(dir).with_large_int("number");
    let mut imports = std::collections::BTreeSet::from(["Way".to_owned()]);
    let mut rows = String::new();
    crate::host::table::describe(&config, &mut imports, &mut rows)?;
    describe(&config, &mut imports, &mut rows)?;
    Way::export_all(&config)?;
    protocol::ErrorBody::export_all(&config)?;
    crate::host::HostEvent::export_all(&config)?;
    let imports: String =
        imports.iter().map(|name| format!("import type {{ {name} }} from \"./{name}\";\n")).collect();
    let ways: String = crate::host::table::WAYS
        .iter()
        .chain(WAYS)
        .filter(|(_, way)| *way != Way::Open)
        .map(|(name, way)| format!("  {name:?}: {:?},\n", format!("{way:?}").to_lowercase()))
        .collect();
    let text = format!(
        "{imports}\nexport interface Commands {{\n{rows}}}\n\n/** Commands that are not open to every window. */\n\
         export const WAYS: Partial<Record<keyof Commands, Way>> = {{\n{ways}}};\n"
    );
    std::fs::write(dir.join("commands.ts"), text).map_err(ts_rs::ExportError::Io)
}

/// The names of declared types in a type such as `Page<DeviceRow>` or `Array<Person>`.
pub(crate) fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()) && *name != "Array")
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
        self.run_read::<C>(|| Ok(request)).await
    }

    /// As [`Self::run`], with a request that is read only from somebody who may make it.
    pub(crate) async fn run_read<C: Command>(
        &self,
        read: impl FnOnce() -> Result<C::Request, Error>,
    ) -> Result<C::Response, Error>
    where
        Self: Handle<C>,
    {
        self.check_access(C::NAME, C::ACCESS).await?;
        let request = read()?;
        // What changes something begins and ends with a look at the logs; what recovers them is free to.
        let watched = matches!(C::ACCESS, Access::Roles(_))
            && !C::NAME.starts_with("fleet.recover_backend")
            && !C::NAME.starts_with("audit.");
        if watched {
            self.watch_logs(false).await?;
        }
        let response = self.handle(request).await?;
        if watched {
            self.watch_logs(true).await?;
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::*;

    /// Compares with a file of the repository, or writes it anew if `FLEETSEAL_BLESS` is set.
    fn golden(path: &Path, now: &str) {
        if std::env::var_os("FLEETSEAL_BLESS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, now).unwrap();
        }
        let then = fs::read_to_string(path).unwrap_or_default();
        assert!(
            then == now,
            "{} is not up to date: run the tests once with FLEETSEAL_BLESS=1",
            path.display()
        );
    }

    fn files(dir: &Path, below: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, below, found);
            } else {
                let name = path.strip_prefix(below).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn the_screens_types_are_those_of_the_table() {
        let dir = tempfile::tempdir().unwrap();
        export_typescript(dir.path()).unwrap();
        let mut now = BTreeMap::new();
        files(dir.path(), dir.path(), &mut now);
        assert!(now.contains_key("commands.ts"));
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/src/generated");
        for (name, text) in &now {
            golden(&committed.join(name), text);
        }
        let mut then = BTreeMap::new();
        files(&committed, &committed, &mut then);
        let gone: Vec<_> = then.keys().filter(|name| !now.contains_key(*name)).collect();
        assert!(gone.is_empty(), "no command uses {gone:?} any more: delete them");
    }

    #[test]
    fn every_role_may_run_exactly_the_commands_of_the_golden_table() {
        let mut table = String::from(
            "# command: the roles that may run it (- is nobody in particular: this computer alone)\n",
        );
        for (name, access) in TABLE {
            let roles: Vec<_> =
                Role::ALL.iter().filter(|role| access.allows(&[**role])).map(|role| role.as_str()).collect();
            let roles = if *access == Access::Local { "-".to_owned() } else { roles.join(" ") };
            table.push_str(&format!("{name}: {roles}\n"));
        }
        golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/roles.txt"), &table);
    }

    #[test]
    fn nobody_may_do_anything_in_a_fleet_that_gave_them_no_role() {
        for (name, access) in TABLE {
            assert!(*access == Access::Local || !access.allows(&[]), "{name}");
        }
    }
}
