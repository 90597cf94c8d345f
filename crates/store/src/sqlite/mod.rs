//! The store in one SQLite file.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use self::{
    memory::Memory,
    reader::Readers,
    writer::{Tx, Writer},
};
use crate::{Answer, Error, Result};

mod audit;
mod delivery;
mod deployments;
mod device_list;
mod devices;
mod documents;
mod enrolments;
mod journal;
mod link_events;
mod links;
mod memory;
mod people;
mod reader;
mod releases;
mod reports;
mod reservations;
mod rollouts;
mod schema;
mod sql;
mod steps;
mod writer;

/// The backend's state in one SQLite file, with its write-ahead log beside it.
///
/// Every write is durable when it answers (`synchronous = FULL`); what waits together is committed
/// together. One process at a time: a lock on the file `<path>.lock` says so, for what is held in memory
/// must not be changed behind its back.
pub struct SqliteStore {
    path: PathBuf,
    writer: Option<(Writer, JoinHandle<()>)>,
    readers: Readers,
    memory: Arc<Memory>,
    _lock: File,
}

/// How a store is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SqliteOptions {
    /// How many reads run at once.
    pub readers: usize,
    /// How large the file may grow; without a limit, as far as the disk goes.
    pub most_bytes: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 4, most_bytes: None }
    }
}

impl SqliteStore {
    /// Opens the store at `path`, or makes it; brings an older format up to date.
    ///
    /// # Errors
    /// [`Error::Busy`]: it is open elsewhere. [`Error::Newer`]: a newer program wrote it.
    /// [`Error::Damaged`]: it is no intact store. [`Error::Io`] and [`Error::Full`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, SqliteOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self> {
        let path = path.as_ref();
        let lock = lock(path)?;
        let mut connection = connect(path)?;
        schema::migrate(&mut connection)?;
        audit::plant(&mut connection)?;
        if let Some(most) = options.most_bytes {
            let pages = i64::try_from(most / PAGE_BYTES).map_err(|_| Error::Invalid { what: "limit" })?;
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        let memory = Arc::new(Memory::default());
        people::load(&connection, &memory)?;
        devices::load(&connection, &memory)?;
        let readers = Readers::open(path, options.readers.max(1))?;
        let writer = Writer::start(connection, Arc::clone(&memory))
            .map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), writer: Some(writer), readers, memory, _lock: lock })
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            let (writer, _) = self.writer.as_ref().ok_or(Error::Closed)?;
            writer.write(work).await
        })
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.readers.read(work))
    }
}

/// Waits for the writes that were handed in, and folds the log into the file.
impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Some((writer, thread)) = self.writer.take() {
            drop(writer);
            if thread.join().is_err() {
                tracing::error!("the store's writer panicked");
            }
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

const PAGE_BYTES: u64 = 4_096;

fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let failed = |source| Error::Io { path: path.clone(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Sub-journals of savepoints stay in memory; a checkpoint after 16 MiB of log keeps its pause short.
    connection.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536; PRAGMA foreign_keys = OFF;
         PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 67108864;",
    )?;
    settle(&connection, 256)?;
    Ok(connection)
}

/// Keeps plans and statements: without the planner's stability guarantee, SQLite prepares a statement
/// anew for each set of values.
fn settle(connection: &Connection, statements: usize) -> Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(statements);
    Ok(())
}
