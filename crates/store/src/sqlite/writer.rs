//! The one writer: a thread that commits whatever is waiting as one group.
//!
//! An operation is answered only after the group's commit has reached the disk. Operations follow one
//! another without savepoints, whose journals cost more than the operations; should one fail after it
//! has written something, the group is rolled back and run again, each operation in a savepoint. So an
//! operation may run twice, and must do the same thing each time.

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
            .spawn(move || write_groups(&connection, waiting, &memory))?;
        Ok((Self(sender), thread))
    }

    /// Runs an operation in the next group; its value, once it is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let pending = Pending { work, value: None, reply };
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
    work: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Operation for Pending<F, T>
where
    F: Fn(&mut Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        self.value = Some((self.work)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let Self { value, reply, .. } = *self;
        // Whoever asked may have gone; the operation is done all the same.
        drop(reply.send(outcome.and_then(|()| value.ok_or(Error::Closed))));
    }
}

/// What one group did so far.
#[derive(Default)]
struct Group {
    done: Vec<Box<dyn Operation>>,
    effects: Vec<Effect>,
}

fn write_groups(connection: &Connection, mut waiting: mpsc::Receiver<Box<dyn Operation>>, memory: &Memory) {
    while let Some(first) = waiting.blocking_recv() {
        write_group(connection, first, &mut waiting, memory);
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
    let mut group = Group::default();
    let mut next = Some(first);
    while let Some(mut operation) = next {
        let before = connection.total_changes();
        match run(connection, operation.as_mut()) {
            Ok(effects) => {
                group.done.push(operation);
                group.effects.extend(effects);
            }
            Err(_) if connection.is_autocommit() || connection.total_changes() != before => {
                group.done.push(operation);
                return write_apart(connection, group.done, memory);
            }
            Err(error) => operation.answer(Err(error)),
        }
        let open = group.done.len() < GROUP_MOST && opened.elapsed() < GROUP_OPEN;
        next = if open { waiting.try_recv().ok() } else { None };
    }
    group.commit(connection, memory);
}

/// Runs the operations of a group again, each in a savepoint, so that those that fail leave the others
/// be.
fn write_apart(connection: &Connection, operations: Vec<Box<dyn Operation>>, memory: &Memory) {
    if let Err(error) = roll_back(connection).and_then(|()| connection.run("BEGIN IMMEDIATE", []).map(drop)) {
        return Group { done: operations, effects: Vec::new() }.fail(&error);
    }
    let mut group = Group::default();
    let mut waiting = operations.into_iter();
    while let Some(mut operation) = waiting.next() {
        match run_in_savepoint(connection, operation.as_mut()) {
            Ok(effects) => {
                group.done.push(operation);
                group.effects.extend(effects);
            }
            Err(_) if connection.is_autocommit() => {
                // SQLite gave up the whole transaction, as it may when the disk is full.
                let given_up = group.done.into_iter().chain([operation]).chain(waiting);
                return given_up.for_each(|operation| write_alone(connection, operation, memory));
            }
            Err(error) => operation.answer(Err(error)),
        }
    }
    group.commit(connection, memory);
}

/// Runs one operation in a transaction of its own.
fn write_alone(connection: &Connection, mut operation: Box<dyn Operation>, memory: &Memory) {
    let ran = connection.run("BEGIN IMMEDIATE", []).and_then(|_| run(connection, operation.as_mut()));
    match ran {
        Ok(effects) => Group { done: vec![operation], effects }.commit(connection, memory),
        Err(error) => {
            if let Err(error) = roll_back(connection) {
                tracing::error!(%error, "could not roll back");
            }
            operation.answer(Err(error));
        }
    }
}

fn run(connection: &Connection, operation: &mut dyn Operation) -> Result<Vec<Effect>> {
    let mut tx = Tx { connection, effects: Vec::new() };
    operation.run(&mut tx)?;
    Ok(tx.effects)
}

fn run_in_savepoint(connection: &Connection, operation: &mut dyn Operation) -> Result<Vec<Effect>> {
    connection.run("SAVEPOINT operation", [])?;
    let ran = run(connection, operation);
    if !connection.is_autocommit() {
        if ran.is_err() {
            connection.run("ROLLBACK TO operation", [])?;
        }
        connection.run("RELEASE operation", [])?;
    }
    ran
}

fn roll_back(connection: &Connection) -> Result<()> {
    if !connection.is_autocommit() {
        connection.run("ROLLBACK", [])?;
    }
    Ok(())
}

impl Group {
    /// Makes the group durable, and only then changes the memory and answers.
    fn commit(self, connection: &Connection, memory: &Memory) {
        match connection.run("COMMIT", []) {
            Ok(_) => {
                memory.apply(self.effects);
                self.done.into_iter().for_each(|operation| operation.answer(Ok(())));
            }
            Err(error) => {
                tracing::error!(%error, "could not commit");
                if let Err(error) = roll_back(connection) {
                    tracing::error!(%error, "could not roll back");
                }
                self.fail(&error);
            }
        }
    }

    fn fail(self, error: &Error) {
        self.done.into_iter().for_each(|operation| operation.answer(Err(again(error))));
    }
}

/// The same error for another operation of the group.
fn again(error: &Error) -> Error {
    if matches!(error, Error::Full) {
        Error::Full
    } else if matches!(error, Error::Busy) {
        Error::Busy
    } else {
        Error::Damaged { reason: format!("the group was not committed: {error}") }
    }
}
