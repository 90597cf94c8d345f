//! Mapping immutable files: the one place in the store with unsafe code.
#![expect(unsafe_code, reason = "a map of a file that never changes is the measured way to serve it")]

use std::{fs::File, io};

use bytes::Bytes;
use memmap2::{Advice, Mmap};

/// The whole of a file as bytes that share one mapping.
///
/// The file must never be written to or cut again: it was synced before it got its name, it is named by
/// its digest and has lost its write permission. Unlinking it is fine; the mapping keeps it.
pub(super) fn map(file: &File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: as stated above, nobody changes the file while it is mapped.
    let map = unsafe { Mmap::map(file)? };
    // Only a hint: a kernel that does not take it reads page by page.
    drop(map.advise(Advice::WillNeed));
    Ok(Bytes::from_owner(map))
}
