//! What stands in the memory of the processes that draw pages. Linux only, as the windows' driver is.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::FileExt as _,
};

use memchr::memmem::Finder;

/// How much is read at once.
const PIECE: usize = 1 << 16;
/// What the kernel counts memory in.
const PAGE: usize = 1 << 12;
/// How much of the kernel's record of pages is read at once: eight bytes a page.
const ENTRIES: usize = 1 << 16;
/// In the last byte of a page's entry: it is in memory, or swapped out.
const THERE: u8 = 0xc0;
/// What a process that draws pages is called, as far as the kernel keeps names.
const DRAWS: &str = "WebKitWebProces";

/// The processes below this one that draw pages, and hold this text in memory that they write to.
pub(crate) fn holding(root: u32, text: &str) -> BTreeSet<u32> {
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let finders = [Finder::new(text.as_bytes()), Finder::new(&wide)];
    let longest = wide.len();
    let draws =
        |id: &u32| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim_end() == DRAWS);
    below(root).into_iter().filter(draws).filter(|id| holds(*id, &finders, longest)).collect()
}

/// All processes below this one.
fn below(root: u32) -> BTreeSet<u32> {
    let ids = fs::read_dir("/proc").expect("there is /proc").flatten();
    let all: Vec<(u32, u32)> = ids
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name stands in parentheses and may hold anything; state and parent follow.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect();
    let mut found = BTreeSet::from([root]);
    while all.iter().any(|(id, parent)| found.contains(parent) && found.insert(*id)) {}
    found.remove(&root);
    found
}

fn holds(id: u32, finders: &[Finder<'_>], longest: usize) -> bool {
    let open =
        |file: &str| File::open(format!("/proc/{id}/{file}")).expect("what a test started may be read");
    let (memory, pages) = (open("mem"), open("pagemap"));
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).unwrap_or_default();
    let written =
        maps.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|may| may.starts_with("rw")));
    let ranges = written.filter_map(|line| {
        let (from, to) = line.split_whitespace().next()?.split_once('-')?;
        Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
    });
    let (mut piece, mut map) = (vec![0; PIECE + longest], vec![0; ENTRIES]);
    let nothing = [0; ENTRIES];
    for (from, to) in ranges {
        let reach = ENTRIES / 8 * PAGE;
        for block in (from..to).step_by(reach) {
            let left = usize::try_from(to - block).unwrap_or(usize::MAX);
            let mapped = left.min(reach).div_ceil(PAGE) * 8;
            // Gigabytes are set aside and never touched: only what is there is read.
            let known = pages.read_at(&mut map[..mapped], block / PAGE as u64 * 8).unwrap_or(0);
            if map[..known] == nothing[..known] {
                continue;
            }
            for (n, pages) in map[..known].chunks(PIECE / PAGE * 8).enumerate() {
                if pages.chunks_exact(8).all(|page| page[7] & THERE == 0) {
                    continue;
                }
                let wanted = (left - n * PIECE).min(PIECE + longest);
                let read = memory.read_at(&mut piece[..wanted], block + (n * PIECE) as u64).unwrap_or(0);
                if finders.iter().any(|finder| finder.find(&piece[..read]).is_some()) {
                    return true;
                }
            }
        }
    }
    false
}
