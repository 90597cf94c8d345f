use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{Blob, Storage};

/// Storage in memory that several handles share: drop the device, keep a handle, and the "disk" is
/// still there. For simulated devices and tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Clone, Debug)]
struct Disk {
    blobs: BTreeMap<Blob, Vec<u8>>,
    staged: Vec<u8>,
    synced: usize,
    capacity: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { blobs: BTreeMap::new(), staged: Vec::new(), synced: 0, capacity: u64::MAX }
    }
}

impl MemoryStorage {
    /// An empty disk without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk that stages at most `bytes`.
    pub fn with_capacity(bytes: u64) -> Self {
        let storage = Self::new();
        storage.disk().capacity = bytes;
        storage
    }

    /// A disk of its own with the same content.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { disk: Arc::new(Mutex::new(self.disk().clone())) }
    }

    /// What a power cut leaves: everything but the staged bytes that were not synced.
    pub fn cut_power(&self) {
        let mut disk = self.disk();
        let synced = disk.synced;
        disk.staged.truncate(synced);
    }

    /// Damages a blob as a failing flash would: its middle byte is flipped.
    pub fn damage(&self, blob: Blob) {
        if let Some(content) = self.disk().blobs.get_mut(&blob) {
            let middle = content.len() / 2;
            if let Some(byte) = content.get_mut(middle) {
                *byte ^= 0x5a;
            }
        }
    }

    /// Damages one staged byte.
    pub fn damage_staged(&self, offset: usize) {
        if let Some(byte) = self.disk().staged.get_mut(offset) {
            *byte ^= 0x5a;
        }
    }

    /// Lets it stage at most `bytes` from now on.
    pub fn set_capacity(&self, bytes: u64) {
        self.disk().capacity = bytes;
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // No call panics halfway through a change, so a poisoned disk is whole.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn read(&self, blob: Blob) -> io::Result<Option<Vec<u8>>> {
        Ok(self.disk().blobs.get(&blob).cloned())
    }

    fn write(&mut self, blob: Blob, content: &[u8]) -> io::Result<()> {
        self.disk().blobs.insert(blob, content.to_vec());
        Ok(())
    }

    fn remove(&mut self, blob: Blob) -> io::Result<()> {
        self.disk().blobs.remove(&blob);
        Ok(())
    }

    fn staged_bytes(&self) -> io::Result<u64> {
        Ok(self.disk().staged.len() as u64)
    }

    fn read_staged(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let disk = self.disk();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes =
            disk.staged.get(start..start.saturating_add(buffer.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn stage(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.staged.len() as u64 + bytes.len() as u64 > disk.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.staged.extend_from_slice(bytes);
        Ok(())
    }

    fn sync_staged(&mut self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.synced = disk.staged.len();
        Ok(())
    }

    fn cut_staged(&mut self, length: u64) -> io::Result<()> {
        let mut disk = self.disk();
        disk.staged.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        disk.synced = disk.synced.min(disk.staged.len());
        if length == 0 {
            disk.staged = Vec::new();
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = self.disk();
        Ok(disk.capacity.saturating_sub(disk.staged.len() as u64))
    }
}
