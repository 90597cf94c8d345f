//! How fast an artifact is sealed, file to file, against one core's SHA-256:
//! `bench_seal [MIB] [ROUNDS] [FOLDER]`.
//!
//! Hashing and sealing take turns, and medians are compared. Reading, hashing, encrypting, hashing and
//! writing are in the figure, syncing is not; the artifact is in the page cache, as after a download. On
//! two cores the share is to be at least 0.8, wall clock (P13). Processor time is printed beside it: it
//! tells what the share would be if nothing else ran on the machine.

#![expect(clippy::print_stdout, reason = "an example that prints what it measured")]

use std::{error::Error, hint::black_box, io::Write as _, path::PathBuf, time::Instant};

use envelope::{ContentKey, SystemRandom, sha256};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mib: usize = arguments.next().map_or(Ok(512), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(9), |text| text.parse())?;
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);

    let plaintext: Vec<u8> = (0..mib << 20).map(|at| (at ^ (at >> 8)) as u8).collect();
    let mut from = tempfile::NamedTempFile::new_in(&folder)?;
    from.write_all(&plaintext)?;
    from.as_file().sync_all()?;
    let expected = sha256(&plaintext);
    let (mut hashed, mut sealed) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        hashed.push(timed(|| black_box(sha256(black_box(&plaintext)))).1);
        let to = tempfile::tempfile_in(&folder)?;
        let key = ContentKey::generate(&mut SystemRandom);
        let (file, took) = timed(|| app::seal_file(from.path(), &to, &key, &mut SystemRandom));
        if file?.plaintext != expected {
            return Err("the plaintext has another digest".into());
        }
        sealed.push(took);
    }

    println!("{mib} MiB, medians of {rounds} rounds on {} cores", std::thread::available_parallelism()?);
    let gigabytes = plaintext.len() as f64 / 1e9;
    let median = |of: &mut Vec<Took>, by: fn(&Took) -> f64| {
        of.sort_by(|a, b| by(a).total_cmp(&by(b)));
        by(&of[of.len() / 2])
    };
    let wall = [&mut hashed, &mut sealed].map(|times| median(times, |took| took.wall));
    let busy = [&mut hashed, &mut sealed].map(|times| median(times, |took| took.busy));
    println!("SHA-256, one core:  {:.3} GB/s, {:.3} core-s/GB", gigabytes / wall[0], busy[0] / gigabytes);
    println!(
        "sealed:             {:.3} GB/s, {:.3} core-s/GB, share {:.2} (goal 0.80)",
        gigabytes / wall[1],
        busy[1] / gigabytes,
        wall[0] / wall[1],
    );
    println!("bound of two cores by processor time: share {:.2}", 2.0 * busy[0] / busy[1]);
    Ok(())
}

/// Seconds on the clock, and of this process's processor time.
struct Took {
    wall: f64,
    busy: f64,
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Took) {
    let busy = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let (start, before) = (Instant::now(), busy());
    let value = work();
    (value, Took { wall: start.elapsed().as_secs_f64(), busy: busy() - before })
}
