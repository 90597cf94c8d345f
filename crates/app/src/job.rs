//! How a piece of long work says how far it has come, and hears that it should end.

use std::sync::Arc;

use protocol::ErrorCode;

use crate::{Error, Shutdown};

tokio::task_local! {
    static WATCHED: Watched;
}

/// Told how far work has come: what is done, so many of so many.
pub(crate) type Watch = Arc<dyn Fn(&'static str, u64, u64) + Send + Sync>;

#[derive(Clone)]
struct Watched {
    watch: Watch,
    cancel: Shutdown,
}

/// Carries out `work`, whose steps are told to `watch`, and which ends at its next step once `cancel`
/// is set.
pub(crate) async fn watched<T>(watch: Watch, cancel: Shutdown, work: impl Future<Output = T>) -> T {
    WATCHED.scope(Watched { watch, cancel }, work).await
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
    (watched.watch)(what, done, total);
    Ok(())
}
