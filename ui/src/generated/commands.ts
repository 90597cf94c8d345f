import type { AddKeyring } from "./AddKeyring";
import type { AddPassphrase } from "./AddPassphrase";
import type { AddPerson } from "./AddPerson";
import type { AddSignatureFile } from "./AddSignatureFile";
import type { AddToRollout } from "./AddToRollout";
import type { AddTokenSlot } from "./AddTokenSlot";
import type { AddedPerson } from "./AddedPerson";
import type { AdoptTokenKey } from "./AdoptTokenKey";
import type { AlarmNumber } from "./AlarmNumber";
import type { AlarmRow } from "./AlarmRow";
import type { ApproveEnrolments } from "./ApproveEnrolments";
import type { ApprovedEnrolments } from "./ApprovedEnrolments";
import type { AuditFile } from "./AuditFile";
import type { AuditRow } from "./AuditRow";
import type { BackupVault } from "./BackupVault";
import type { BenchDevice } from "./BenchDevice";
import type { BenchFinding } from "./BenchFinding";
import type { BenchInventory } from "./BenchInventory";
import type { BenchPlace } from "./BenchPlace";
import type { BenchPort } from "./BenchPort";
import type { BenchPorts } from "./BenchPorts";
import type { BundleFile } from "./BundleFile";
import type { BundleLibrary } from "./BundleLibrary";
import type { BundleRow } from "./BundleRow";
import type { BundleSummary } from "./BundleSummary";
import type { Ceremony } from "./Ceremony";
import type { CeremonyName } from "./CeremonyName";
import type { ChangePassphrase } from "./ChangePassphrase";
import type { Checks } from "./Checks";
import type { ClearCloned } from "./ClearCloned";
import type { Commit } from "./Commit";
import type { CosignedHeads } from "./CosignedHeads";
import type { CreateVault } from "./CreateVault";
import type { CreateWorkspace } from "./CreateWorkspace";
import type { DeploymentRow } from "./DeploymentRow";
import type { DeviceDetail } from "./DeviceDetail";
import type { DeviceModel } from "./DeviceModel";
import type { DeviceName } from "./DeviceName";
import type { DeviceRow } from "./DeviceRow";
import type { DeviceTimelineRequest } from "./DeviceTimelineRequest";
import type { Done } from "./Done";
import type { DraftChange } from "./DraftChange";
import type { DraftedChange } from "./DraftedChange";
import type { Enrolment } from "./Enrolment";
import type { EnrolmentTokenText } from "./EnrolmentTokenText";
import type { EnterPin } from "./EnterPin";
import type { Expiry } from "./Expiry";
import type { ExportRequest } from "./ExportRequest";
import type { ExportedAudit } from "./ExportedAudit";
import type { FleetKeys } from "./FleetKeys";
import type { FleetOverview } from "./FleetOverview";
import type { FleetSummary } from "./FleetSummary";
import type { FoundFleet } from "./FoundFleet";
import type { FoundHere } from "./FoundHere";
import type { FoundingFile } from "./FoundingFile";
import type { FoundingStatus } from "./FoundingStatus";
import type { HostStatus } from "./HostStatus";
import type { InitTokenKey } from "./InitTokenKey";
import type { JobName } from "./JobName";
import type { JobRow } from "./JobRow";
import type { LinkEvent } from "./LinkEvent";
import type { LinkName } from "./LinkName";
import type { LinkRow } from "./LinkRow";
import type { ListDeployments } from "./ListDeployments";
import type { ListDevices } from "./ListDevices";
import type { ListLinkEvents } from "./ListLinkEvents";
import type { ListLinks } from "./ListLinks";
import type { ListTokens } from "./ListTokens";
import type { MakeBundle } from "./MakeBundle";
import type { MakeShares } from "./MakeShares";
import type { MakeToken } from "./MakeToken";
import type { MeasurePassphrase } from "./MeasurePassphrase";
import type { MemberCard } from "./MemberCard";
import type { Nothing } from "./Nothing";
import type { OpenAfter } from "./OpenAfter";
import type { Page } from "./Page";
import type { PageRequest } from "./PageRequest";
import type { Passphrase } from "./Passphrase";
import type { PassphraseStrength } from "./PassphraseStrength";
import type { Person } from "./Person";
import type { PlanRollout } from "./PlanRollout";
import type { PortName } from "./PortName";
import type { Preview } from "./Preview";
import type { ProposeRelease } from "./ProposeRelease";
import type { ReceiptQueue } from "./ReceiptQueue";
import type { Recovered } from "./Recovered";
import type { ReleaseDetail } from "./ReleaseDetail";
import type { ReleaseName } from "./ReleaseName";
import type { ReleaseRow } from "./ReleaseRow";
import type { RemovePerson } from "./RemovePerson";
import type { RemovedPerson } from "./RemovedPerson";
import type { RenewPerson } from "./RenewPerson";
import type { RenewedTickets } from "./RenewedTickets";
import type { ReplaceDevice } from "./ReplaceDevice";
import type { RequestFileName } from "./RequestFileName";
import type { RequestName } from "./RequestName";
import type { RestoreShares } from "./RestoreShares";
import type { RestoreVault } from "./RestoreVault";
import type { ReviewRelease } from "./ReviewRelease";
import type { RevokeDevice } from "./RevokeDevice";
import type { RevokedDevice } from "./RevokedDevice";
import type { RolloutDetail } from "./RolloutDetail";
import type { RolloutLive } from "./RolloutLive";
import type { RolloutName } from "./RolloutName";
import type { RolloutPlan } from "./RolloutPlan";
import type { RolloutRow } from "./RolloutRow";
import type { SealRelease } from "./SealRelease";
import type { SetRoles } from "./SetRoles";
import type { SignRequest } from "./SignRequest";
import type { SignRequestFile } from "./SignRequestFile";
import type { SignatureFile } from "./SignatureFile";
import type { SignatureRequest } from "./SignatureRequest";
import type { SlotName } from "./SlotName";
import type { StartJob } from "./StartJob";
import type { Statement } from "./Statement";
import type { TestRestore } from "./TestRestore";
import type { TestShares } from "./TestShares";
import type { TimelineEntry } from "./TimelineEntry";
import type { TokenList } from "./TokenList";
import type { TokenName } from "./TokenName";
import type { UpdateDevices } from "./UpdateDevices";
import type { VaultSlot } from "./VaultSlot";
import type { VaultSlotList } from "./VaultSlotList";
import type { VaultStatus } from "./VaultStatus";
import type { VerifiedAudit } from "./VerifiedAudit";
import type { VisitList } from "./VisitList";
import type { VisitReport } from "./VisitReport";
import type { Way } from "./Way";
import type { Why } from "./Why";
import type { WithdrawRelease } from "./WithdrawRelease";
import type { WorkspaceName } from "./WorkspaceName";
import type { WorkspaceRow } from "./WorkspaceRow";
import type { WriteReport } from "./WriteReport";

export interface Commands {
  "host.show": { request: Nothing; response: HostStatus };
  "workspace.list": { request: Nothing; response: Page<WorkspaceRow> };
  "workspace.create": { request: CreateWorkspace; response: WorkspaceRow };
  "workspace.switch": { request: WorkspaceName; response: WorkspaceRow };
  "backend.found": { request: FoundHere; response: FoundingStatus };
  "backend.adopt": { request: Nothing; response: FoundingStatus };
  "job.start": { request: StartJob; response: JobRow };
  "job.list": { request: Nothing; response: Page<JobRow> };
  "job.cancel": { request: JobName; response: JobRow };
  "job.dismiss": { request: JobName; response: Done };
  "bench.places": { request: BenchPorts; response: Page<BenchPlace> };
  "ceremony.list": { request: Nothing; response: Page<Ceremony> };
  "ceremony.give": { request: CeremonyName; response: Done };
  "ceremony.refuse": { request: CeremonyName; response: Done };
  "vault.create": { request: CreateVault; response: VaultStatus };
  "vault.show": { request: Nothing; response: VaultStatus };
  "vault.unlock": { request: Passphrase; response: VaultStatus };
  "vault.measure_passphrase": { request: MeasurePassphrase; response: PassphraseStrength };
  "vault.slots": { request: Nothing; response: VaultSlotList };
  "vault.change_passphrase": { request: ChangePassphrase; response: VaultStatus };
  "vault.add_passphrase": { request: AddPassphrase; response: VaultSlot };
  "vault.add_keyring": { request: AddKeyring; response: VaultSlot };
  "vault.add_token_slot": { request: AddTokenSlot; response: VaultSlot };
  "vault.remove_slot_preview": { request: SlotName; response: Preview };
  "vault.remove_slot": { request: Commit<SlotName>; response: VaultStatus };
  "vault.restore": { request: RestoreVault; response: VaultStatus };
  "vault.make_shares": { request: MakeShares; response: VaultSlot };
  "vault.test_shares": { request: TestShares; response: VaultSlot };
  "vault.restore_shares": { request: RestoreShares; response: VaultStatus };
  "vault.tokens": { request: ListTokens; response: TokenList };
  "vault.enter_pin": { request: EnterPin; response: VaultStatus };
  "vault.init_token_key": { request: InitTokenKey; response: VaultStatus };
  "vault.adopt_token_key": { request: AdoptTokenKey; response: VaultStatus };
  "vault.forget_wrong_pins": { request: TokenName; response: VaultStatus };
  "vault.lock": { request: Nothing; response: VaultStatus };
  "vault.backup": { request: BackupVault; response: VaultStatus };
  "vault.test_restore": { request: TestRestore; response: VaultStatus };
  "vault.card": { request: Nothing; response: MemberCard };
  "fleet.found": { request: FoundFleet; response: FoundingStatus };
  "fleet.sign": { request: FoundingFile; response: FoundingStatus };
  "fleet.join": { request: FoundingFile; response: FoundingStatus };
  "fleet.show": { request: Nothing; response: FleetSummary };
  "fleet.overview": { request: Nothing; response: FleetOverview };
  "fleet.people": { request: Nothing; response: Page<Person> };
  "fleet.add_person": { request: AddPerson; response: AddedPerson };
  "fleet.set_roles": { request: SetRoles; response: Person };
  "fleet.renew_person": { request: RenewPerson; response: Person };
  "fleet.remove_person_preview": { request: RemovePerson; response: Preview };
  "fleet.remove_person": { request: Commit<RemovePerson>; response: RemovedPerson };
  "fleet.keys": { request: Nothing; response: FleetKeys };
  "fleet.draft_change_preview": { request: DraftChange; response: Preview };
  "fleet.draft_change": { request: DraftChange; response: DraftedChange };
  "fleet.expiries": { request: Nothing; response: Page<Expiry> };
  "fleet.renew_server": { request: Nothing; response: Done };
  "fleet.confirm_jump": { request: Nothing; response: Done };
  "fleet.alarms": { request: PageRequest; response: Page<AlarmRow> };
  "fleet.acknowledge_alarm": { request: AlarmNumber; response: Done };
  "fleet.recover_backend_preview": { request: Nothing; response: Preview };
  "fleet.recover_backend": { request: Commit<Nothing>; response: Recovered };
  "audit.list": { request: PageRequest; response: Page<AuditRow> };
  "audit.cosign": { request: Nothing; response: CosignedHeads };
  "audit.export": { request: AuditFile; response: ExportedAudit };
  "audit.verify": { request: AuditFile; response: VerifiedAudit };
  "device.token": { request: MakeToken; response: EnrolmentTokenText };
  "device.enrolments": { request: Nothing; response: Page<Enrolment> };
  "device.approve": { request: ApproveEnrolments; response: ApprovedEnrolments };
  "device.list": { request: ListDevices; response: Page<DeviceRow> };
  "device.show": { request: DeviceName; response: DeviceDetail };
  "device.why": { request: DeviceName; response: Why };
  "device.timeline": { request: DeviceTimelineRequest; response: Page<TimelineEntry> };
  "device.revoke_preview": { request: DeviceName; response: Preview };
  "device.revoke": { request: RevokeDevice; response: RevokedDevice };
  "device.retire_preview": { request: DeviceName; response: Preview };
  "device.retire": { request: RevokeDevice; response: RevokedDevice };
  "device.replace_preview": { request: DeviceName; response: Preview };
  "device.replace": { request: ReplaceDevice; response: EnrolmentTokenText };
  "device.clear_cloned_preview": { request: DeviceName; response: Preview };
  "device.clear_cloned": { request: ClearCloned; response: Done };
  "model.list": { request: Nothing; response: Page<DeviceModel> };
  "model.put": { request: DeviceModel; response: DeviceModel };
  "release.check": { request: ProposeRelease; response: Checks };
  "release.propose": { request: ProposeRelease; response: ReleaseDetail };
  "release.repropose": { request: ReleaseName; response: ReleaseDetail };
  "release.list": { request: PageRequest; response: Page<ReleaseRow> };
  "release.show": { request: ReleaseName; response: ReleaseDetail };
  "release.review": { request: ReviewRelease; response: ReleaseDetail };
  "release.seal": { request: SealRelease; response: ReleaseDetail };
  "release.publish_preview": { request: ReleaseName; response: Preview };
  "release.publish": { request: Commit<ReleaseName>; response: ReleaseDetail };
  "release.withdraw_preview": { request: ReleaseName; response: Preview };
  "release.withdraw": { request: Commit<WithdrawRelease>; response: ReleaseDetail };
  "request.list": { request: Nothing; response: Page<SignatureRequest> };
  "request.show": { request: RequestName; response: Statement };
  "request.sign": { request: SignRequest; response: SignatureRequest };
  "request.export": { request: ExportRequest; response: Statement };
  "request.read": { request: RequestFileName; response: Statement };
  "request.sign_file": { request: SignRequestFile; response: SignatureFile };
  "request.add_signature": { request: AddSignatureFile; response: SignatureRequest };
  "request.renew": { request: Nothing; response: SignatureRequest };
  "request.publish": { request: RequestName; response: SignatureRequest };
  "request.close": { request: RequestName; response: SignatureRequest };
  "rollout.preview": { request: PlanRollout; response: RolloutPlan };
  "rollout.start": { request: Commit<PlanRollout>; response: RolloutDetail };
  "rollout.list": { request: PageRequest; response: Page<RolloutRow> };
  "rollout.show": { request: RolloutName; response: RolloutDetail };
  "rollout.progress": { request: RolloutName; response: RolloutLive };
  "rollout.deployments": { request: ListDeployments; response: Page<DeploymentRow> };
  "rollout.pause": { request: RolloutName; response: RolloutDetail };
  "rollout.resume": { request: RolloutName; response: RolloutDetail };
  "rollout.open_after": { request: OpenAfter; response: RolloutDetail };
  "rollout.renew": { request: RolloutName; response: RenewedTickets };
  "rollout.add_preview": { request: AddToRollout; response: Preview };
  "rollout.add": { request: Commit<AddToRollout>; response: RenewedTickets };
  "rollout.hold": { request: RolloutName; response: RenewedTickets };
  "rollout.abort_preview": { request: RolloutName; response: Preview };
  "rollout.abort": { request: Commit<RolloutName>; response: RolloutDetail };
  "link.list": { request: ListLinks; response: Page<LinkRow> };
  "link.events": { request: ListLinkEvents; response: Page<LinkEvent> };
  "link.revoke": { request: LinkName; response: Done };
  "link.reissue": { request: LinkName; response: Done };
  "bench.list": { request: BenchPorts; response: Page<BenchDevice> };
  "bench.show": { request: BenchPort; response: BenchInventory };
  "bench.doctor": { request: BenchPorts; response: Page<BenchFinding> };
  "bench.bundle": { request: MakeBundle; response: BundleSummary };
  "bench.lay_out": { request: BundleFile; response: Done };
  "bench.open": { request: BundleFile; response: BundleSummary };
  "bench.update": { request: UpdateDevices; response: VisitList };
  "bench.stop": { request: PortName; response: Done };
  "bench.bundles": { request: Nothing; response: BundleLibrary };
  "bench.keep": { request: BundleFile; response: BundleRow };
  "bench.drop": { request: BundleFile; response: Done };
  "bench.reports": { request: Nothing; response: Page<VisitReport> };
  "bench.report": { request: WriteReport; response: Done };
  "bench.receipts": { request: Nothing; response: ReceiptQueue };
  "bench.sync": { request: Nothing; response: ReceiptQueue };
}

/** Commands that are not open to every window. */
export const WAYS: Partial<Record<keyof Commands, Way>> = {
  "backend.found": "consent",
  "ceremony.give": "secret",
  "ceremony.refuse": "secret",
  "vault.create": "secret",
  "vault.unlock": "secret",
  "vault.measure_passphrase": "secret",
  "vault.change_passphrase": "secret",
  "vault.add_passphrase": "secret",
  "vault.add_keyring": "secret",
  "vault.add_token_slot": "secret",
  "vault.remove_slot": "secret",
  "vault.restore": "secret",
  "vault.make_shares": "secret",
  "vault.test_shares": "secret",
  "vault.restore_shares": "secret",
  "vault.tokens": "secret",
  "vault.enter_pin": "secret",
  "vault.init_token_key": "secret",
  "vault.adopt_token_key": "secret",
  "vault.forget_wrong_pins": "secret",
  "vault.test_restore": "secret",
  "fleet.found": "consent",
  "fleet.sign": "consent",
  "fleet.add_person": "consent",
  "fleet.renew_person": "consent",
  "fleet.renew_server": "consent",
  "fleet.recover_backend": "consent",
  "device.token": "consent",
  "device.approve": "consent",
  "device.revoke": "consent",
  "device.retire": "consent",
  "device.replace": "consent",
  "release.seal": "consent",
  "request.sign": "consent",
  "request.sign_file": "consent",
  "rollout.start": "consent",
  "rollout.renew": "consent",
  "rollout.add": "consent",
  "rollout.hold": "consent",
  "bench.bundle": "consent",
  "bench.update": "consent",
};
