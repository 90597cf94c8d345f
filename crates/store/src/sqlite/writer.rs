//! The one writer: a thread that commits whatever is waiting as one group.
//!
//! Each operation runs in a savepoint of its own, so that one that fails takes no other with it, and is
//! answered only after the group's commit has reached the disk.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    memory::{Effect, Memory},
    sql::Sql,
};
use crate::{Error, Result};

/// Operations that wait at most; whoever comes later waits for a place.
const WAITING_MOST: usize = 4_096;
/// A group is closed when it holds so many operations ...
const GROUP_MOST: usize = 2_048;
/// ... or was open for so long.
const GROUP_OPEN: Duration = Duration::from_millis(20);

/// An open transaction, as an operation sees it.
pub(super) struct Tx<'a> {
    connection: &'a Connection,
    effects: Vec<Effect>,
}

impl Tx<'_> {
    /// What shall become of the memory once this is durable.
    pub(super) fn then(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

impl Sql for Tx<'_> {
    fn connection(&self) -> &Connection {
        self.connection
    }
}

/// Where operations are handed in.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Box<dyn Operation>>);

impl Writer {
    /// Starts the thread. It ends, and closes the connection, when every writer is dropped.
    pub(super) fn start(
        connection: Connection,
        memory: Arc<Memory>,
    ) -> std::io::Result<(Self, thread::JoinHandle<()>)> {
        let (sender, waiting) = mpsc::channel(WAITING_MOST);
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write_groups(connection, waiting, &memory))?;
        Ok((Self(sender), thread))
    }

    /// Runs an operation in the next group; its value, once it is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let pending = Pending { work: Some(work), value: None, reply };
        self.0.send(Box::new(pending)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

/// An operation whose types are forgotten.
trait Operation: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()>;
    fn answer(self: Box<Self>, outcome: Result<()>);
}

struct Pending<F, T> {
    work: Option<F>,
    value: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Operation for Pending<F, T>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let work = self.work.take().ok_or(Error::Closed)?;
        self.value = Some(work(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let Self { value, reply, .. } = *self;
        // Whoever asked may have gone; the operation is done all the same.
        drop(reply.send(outcome.and_then(|()| value.ok_or(Error::Closed))));
    }
}

/// What one group did so far.
struct Group {
    done: Vec<Box<dyn Operation>>,
    effects: Vec<Effect>,
}

fn write_groups(connection: Connection, mut waiting: mpsc::Receiver<Box<dyn Operation>>, memory: &Memory) {
    while let Some(first) = waiting.blocking_recv() {
        write_group(&connection, first, &mut waiting, memory);
    }
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "could not fold the log into the store on closing");
    }
}

fn write_group(
    connection: &Connection,
    first: Box<dyn Operation>,
    waiting: &mut mpsc::Receiver<Box<dyn Operation>>,
    memory: &Memory,
) {
    if let Err(error) = connection.run("BEGIN IMMEDIATE", []) {
        return first.answer(Err(error));
    }
    let opened = Instant::now();
    let mut group = Group { done: Vec::new(), effects: Vec::new() };
    let mut next = Some(first);
    while let Some(mut operation) = next {
        match run_one(connection, operation.as_mut()) {
            Ok(effects) => {
                group.done.push(operation);
                group.effects.extend(effects);
            }
            Err(error) if connection.is_autocommit() => {
                // SQLite gave up the whole transaction, as it may when the disk is full.
                group.fail(&error);
                return operation.answer(Err(error));
            }
            Err(error) => operation.answer(Err(error)),
        }
        let open = group.done.len() < GROUP_MOST && opened.elapsed() < GROUP_OPEN;
        next = if open { waiting.try_recv().ok() } else { None };
    }
    match connection.run("COMMIT", []) {
        Ok(_) => {
            memory.apply(group.effects);
            group.done.into_iter().for_each(|operation| operation.answer(Ok(())));
        }
        Err(error) => {
            tracing::error!(%error, "could not commit");
            if !connection.is_autocommit()
                && let Err(error) = connection.run("ROLLBACK", [])
            {
                tracing::error!(%error, "could not roll back");
            }
            group.fail(&error);
        }
    }
}

/// Runs one operation in a savepoint; its effects.
fn run_one(connection: &Connection, operation: &mut dyn Operation) -> Result<Vec<Effect>> {
    connection.run("SAVEPOINT operation", [])?;
    let mut tx = Tx { connection, effects: Vec::new() };
    match operation.run(&mut tx) {
        Ok(()) => {
            let effects = tx.effects;
            connection.run("RELEASE operation", [])?;
            Ok(effects)
        }
        Err(error) => {
            if !connection.is_autocommit() {
                connection.run("ROLLBACK TO operation", [])?;
                connection.run("RELEASE operation", [])?;
            }
            Err(error)
        }
    }
}

impl Group {
    fn fail(self, error: &Error) {
        self.done.into_iter().for_each(|operation| operation.answer(Err(again(error))));
    }
}

/// The same error for another operation of the group.
fn again(error: &Error) -> Error {
    match error {
        Error::Full => Error::Full,
        Error::Busy => Error::Busy,
        other => Error::Damaged { reason: format!("the group was not committed: {other}") },
    }
}
