//! What the host itself can be asked, beside the commands of the application: workspaces, the embedded
//! backend, jobs, consent.

use crate::{
    command::{Access, table},
    dto::{BenchPlace, BenchPorts, Done, FoundingStatus, Nothing, Page},
    host::{
        Host,
        backend::FoundHere,
        ceremony::{Ceremony, CeremonyName},
        job::{JobName, JobRow, StartJob},
        registry::{CreateWorkspace, WorkspaceName, WorkspaceRow},
        status::HostStatus,
    },
};

table! { Host:
    HostShow "host.show" Access::Local, Nothing => HostStatus;

    WorkspaceList "workspace.list" Access::Local, Nothing => Page<WorkspaceRow>;
    WorkspaceCreate "workspace.create" Access::Local, CreateWorkspace => WorkspaceRow;
    WorkspaceSwitch "workspace.switch" Access::Local, WorkspaceName => WorkspaceRow;

    BackendFound "backend.found" Access::Local, FoundHere => FoundingStatus, Consent;
    BackendAdopt "backend.adopt" Access::Local, Nothing => FoundingStatus;

    JobStart "job.start" Access::Local, StartJob => JobRow;
    JobList "job.list" Access::Local, Nothing => Page<JobRow>;
    JobCancel "job.cancel" Access::Local, JobName => JobRow;
    JobDismiss "job.dismiss" Access::Local, JobName => Done;

    BenchPlaces "bench.places" Access::Local, BenchPorts => Page<BenchPlace>;

    CeremonyList "ceremony.list" Access::Local, Nothing => Page<Ceremony>;
    CeremonyGive "ceremony.give" Access::Local, CeremonyName => Done, Secret;
    CeremonyRefuse "ceremony.refuse" Access::Local, CeremonyName => Done, Secret;
}
