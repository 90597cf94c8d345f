//! Jobs: long work that goes on while a screen shows something else.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use model::{JobId, UnixTime};
use protocol::{ErrorBody, ErrorCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

use crate::{
    Error, Shutdown,
    workspace::{read_json, write_json},
};

/// How many ended jobs are remembered.
const ENDED_MOST: usize = 50;

/// A job in the tray.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, TS)]
pub struct JobRow {
    /// The job.
    pub id: JobId,
    /// Which command it carries out.
    pub command: String,
    /// In which workspace.
    pub workspace: String,
    /// How it stands.
    pub state: JobState,
    /// What it is at.
    pub what: String,
    /// So many of it are done ...
    #[ts(type = "number")]
    pub done: u64,
    /// ... of so many; 0 while that is not known.
    #[ts(type = "number")]
    pub total: u64,
    /// When it began.
    pub started_at: UnixTime,
    /// When it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub ended_at: Option<UnixTime>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub error: Option<ErrorBody>,
    /// What the command answered. It is not kept when the program ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub result: Option<Value>,
}

/// How a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It is at work, or waits for consent.
    Running,
    /// Done.
    Succeeded,
    /// It failed.
    Failed,
    /// Somebody ended it.
    Canceled,
    /// The program ended before it did. Ask for it again: what it had done is done.
    Interrupted,
}

/// Starts a command as a job.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct StartJob {
    /// Which.
    pub command: String,
    /// Its request.
    #[ts(type = "unknown")]
    pub request: Value,
}

/// One job.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, TS)]
pub struct JobName {
    /// Its id.
    pub job: JobId,
}

/// All jobs of this computer's user. They are on the disk before they begin and when they end.
#[derive(Debug)]
pub(crate) struct Jobs {
    file: PathBuf,
    all: Mutex<BTreeMap<JobId, Job>>,
}

#[derive(Debug)]
struct Job {
    row: JobRow,
    cancel: Shutdown,
}

impl Jobs {
    /// Those of the last time; what ran then was interrupted.
    pub(crate) fn open(file: PathBuf) -> Self {
        let rows: Vec<JobRow> = if file.exists() { read_json(&file).unwrap_or_default() } else { Vec::new() };
        let all = rows.into_iter().map(|mut row| {
            if row.state == JobState::Running {
                row.state = JobState::Interrupted;
            }
            (row.id, Job { row, cancel: Shutdown::new() })
        });
        Self { file, all: Mutex::new(all.collect()) }
    }

    pub(crate) fn rows(&self) -> Vec<JobRow> {
        let mut rows: Vec<_> = self.lock().values().map(|job| job.row.clone()).collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.started_at, row.id)));
        rows
    }

    /// Puts a job on record before it begins.
    ///
    /// # Errors
    /// The disk takes no more: the job does not begin.
    pub(crate) fn begin(&self, row: JobRow) -> Result<Shutdown, Error> {
        let cancel = Shutdown::new();
        let id = row.id;
        self.lock().insert(id, Job { row, cancel: cancel.clone() });
        self.save().inspect_err(|_| drop(self.lock().remove(&id)))?;
        Ok(cancel)
    }

    /// Says how far it has come.
    pub(crate) fn step(&self, id: JobId, what: &str, done: u64, total: u64) -> Option<JobRow> {
        let mut all = self.lock();
        let row = &mut all.get_mut(&id)?.row;
        what.clone_into(&mut row.what);
        (row.done, row.total) = (done, total);
        Some(row.clone())
    }

    /// Says how it ended.
    pub(crate) fn end(&self, id: JobId, outcome: Result<Value, Error>, now: UnixTime) -> Option<JobRow> {
        let row = {
            let mut all = self.lock();
            let row = &mut all.get_mut(&id)?.row;
            row.ended_at = Some(now);
            match outcome {
                Ok(result) => {
                    row.state = JobState::Succeeded;
                    row.result = Some(result);
                }
                Err(error) => {
                    let canceled = error.code() == ErrorCode::Canceled;
                    row.state = if canceled { JobState::Canceled } else { JobState::Failed };
                    row.error = Some(error.body().clone());
                }
            }
            row.clone()
        };
        self.forget_old();
        if let Err(error) = self.save() {
            tracing::warn!(%error, job_id = %id, "the end of a job was not written down");
        }
        Some(row)
    }

    /// Asks a job to end at its next step.
    pub(crate) fn cancel(&self, id: JobId) -> Result<JobRow, Error> {
        let all = self.lock();
        let job = all.get(&id).ok_or_else(no_job)?;
        job.cancel.cancel();
        Ok(job.row.clone())
    }

    /// Takes an ended job out of the tray.
    pub(crate) fn dismiss(&self, id: JobId) -> Result<(), Error> {
        {
            let mut all = self.lock();
            if all.get(&id).ok_or_else(no_job)?.row.state == JobState::Running {
                return Err(
                    Error::new(ErrorCode::Conflict, "the job is still at work").hint("cancel it first")
                );
            }
            all.remove(&id);
        }
        self.save()
    }

    fn forget_old(&self) {
        let mut all = self.lock();
        let mut ended: Vec<_> =
            all.values().filter_map(|job| Some((job.row.ended_at?, job.row.id))).collect();
        ended.sort_unstable();
        let many = ended.len().saturating_sub(ENDED_MOST);
        for (_, id) in ended.drain(..many) {
            all.remove(&id);
        }
    }

    /// Without results: what a command answered is for whoever asked.
    fn save(&self) -> Result<(), Error> {
        let rows: Vec<JobRow> =
            self.lock().values().map(|job| JobRow { result: None, ..job.row.clone() }).collect();
        write_json(&self.file, &rows)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Job>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_job() -> Error {
    Error::new(ErrorCode::NotFound, "there is no such job")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u8, state: JobState) -> JobRow {
        JobRow {
            id: JobId::new([number; 16]),
            command: "release.seal".into(),
            workspace: "work".into(),
            state,
            what: String::new(),
            done: 0,
            total: 0,
            started_at: UnixTime::EPOCH,
            ended_at: None,
            error: None,
            result: None,
        }
    }

    #[test]
    fn a_job_that_the_program_did_not_outlive_is_shown_as_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("jobs.json");
        Jobs::open(file.clone()).begin(row(1, JobState::Running)).unwrap();
        let jobs = Jobs::open(file);
        assert_eq!(jobs.rows()[0].state, JobState::Interrupted);
        jobs.dismiss(JobId::new([1; 16])).unwrap();
        assert_eq!(jobs.rows(), []);
    }

    #[test]
    fn a_job_that_cannot_be_written_down_does_not_begin() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(dir.path().join("missing/jobs.json"));
        assert!(jobs.begin(row(1, JobState::Running)).is_err());
        assert_eq!(jobs.rows(), []);
    }

    #[test]
    fn what_a_command_answered_is_not_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("jobs.json");
        let jobs = Jobs::open(file.clone());
        jobs.begin(row(1, JobState::Running)).unwrap();
        let ended = jobs.end(JobId::new([1; 16]), Ok("answer".into()), UnixTime::EPOCH).unwrap();
        assert_eq!((ended.state, ended.result), (JobState::Succeeded, Some("answer".into())));
        assert!(!std::fs::read_to_string(file).unwrap().contains("answer"));
    }
}
