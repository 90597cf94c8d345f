//! How a piece of long work says how far it has come, and hears that it should end.

use std::sync::Arc;

use model::JobId;
use protocol::ErrorCode;

use crate::{
    Error, Shutdown,
    dto::{VisitLive, VisitRow},
};

tokio::task_local! {
    static WATCHED: Watched;
}

/// What long work tells.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// How far it has come: what is done, so many of so many.
    Step(&'static str, u64, u64),
    /// A visit on the bench went on.
    Visit(VisitLive),
    /// A visit on the bench at this place ended.
    Visited(String, Box<VisitRow>),
}

/// Told what work tells.
pub(crate) type Watch = Arc<dyn Fn(News) + Send + Sync>;

#[derive(Clone)]
struct Watched {
    job: JobId,
    watch: Watch,
    cancel: Shutdown,
}

/// Carries out `work` as this job, whose steps are told to `watch`, and which ends at its next step once `cancel`
/// is set.
pub(crate) async fn watched<T>(
    job: JobId,
    watch: Watch,
    cancel: Shutdown,
    work: impl Future<Output = T>,
) -> T {
    WATCHED.scope(Watched { job, watch, cancel }, work).await
}

/// The job that this is done for, if it is one.
pub(crate) fn current() -> Option<JobId> {
    WATCHED.try_with(|watched| watched.job).ok()
}

/// A point where work may end, with `done` of `total` done. Outside a job, nothing happens here.
///
/// # Errors
/// Somebody canceled the job.
pub(crate) fn step(what: &'static str, done: u64, total: u64) -> Result<(), Error> {
    let Ok(watched) = WATCHED.try_with(Clone::clone) else { return Ok(()) };
    if watched.cancel.is_cancelled() {
        return Err(Error::new(ErrorCode::Canceled, "the job was canceled").detail(format!("at {what}")));
    }
    (watched.watch)(News::Step(what, done, total));
    Ok(())
}

/// Tells more than a step. Outside a job, nobody hears.
pub(crate) fn tell(news: News) {
    if let Ok(watched) = WATCHED.try_with(Clone::clone) {
        (watched.watch)(news);
    }
}
