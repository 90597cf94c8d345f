//! Read-only connections, used on the blocking pool.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use crate::{Error, Result};

/// A few connections that read beside the writer, each from the newest committed state.
#[derive(Clone)]
pub(super) struct Readers(Arc<Pool>);

struct Pool {
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    pub(super) fn open(path: &Path, count: usize) -> Result<Self> {
        let idle = (0..count).map(|_| connect(path)).collect::<Result<Vec<_>>>()?;
        Ok(Self(Arc::new(Pool { idle: Mutex::new(idle), permits: Semaphore::new(count) })))
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _permit = self.0.permits.acquire().await.map_err(|_| Error::Closed)?;
        let pool = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let connection = pool.take().ok_or(Error::Busy)?;
            let value = work(&connection);
            pool.put_back(connection);
            value
        })
        .await
        .map_err(|_| Error::Closed)?
    }
}

impl Pool {
    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection
        .execute_batch("PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY; PRAGMA query_only = ON;")?;
    super::settle(&connection, 128)?;
    Ok(connection)
}
