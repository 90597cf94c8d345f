//! How fast two threads seal, against one core's SHA-256: `bench_otap [MIB] [ROUNDS]`.
//!
//! One thread reads and hashes the plaintext, which is one long chain; segments are sealed by whichever
//! thread is free. Everything stays in memory, so reading and writing are copies. The share is to be at
//! least 0.8, wall clock (P13).

#![expect(clippy::print_stdout, reason = "an example that prints what it measured")]

use std::{
    error::Error,
    sync::{
        Arc, Mutex,
        mpsc::{TrySendError, channel, sync_channel},
    },
    thread,
    time::Instant,
};

use envelope::{
    ContentKey, Sha256, SystemRandom,
    otap::{Error as OtapError, Header, SEGMENT_LEN, Sealed, Sealer, SegmentList},
    sha256,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mib: usize = arguments.next().map_or(Ok(512), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;

    let plaintext: Vec<u8> = (0..mib << 20).map(|at| (at ^ (at >> 8)) as u8).collect();
    let header = Header::new(plaintext.len() as u64, &mut SystemRandom)?;
    let mut ciphertext = vec![0_u8; usize::try_from(header.layout().ciphertext_len())?];
    println!("{mib} MiB, {rounds} rounds; the best of each");
    let (mut hash_best, mut one_best, mut two_best) = (f64::MAX, f64::MAX, f64::MAX);
    for _ in 0..rounds {
        let start = Instant::now();
        let expected = sha256(&plaintext);
        hash_best = hash_best.min(start.elapsed().as_secs_f64());

        let header = Header::new(plaintext.len() as u64, &mut SystemRandom)?;
        let sealer = Sealer::new(&ContentKey::generate(&mut SystemRandom), header)?;
        let start = Instant::now();
        let two = seal(&sealer, &plaintext, &mut ciphertext, true)?;
        two_best = two_best.min(start.elapsed().as_secs_f64());

        let start = Instant::now();
        let one = seal(&sealer, &plaintext, &mut ciphertext, false)?;
        one_best = one_best.min(start.elapsed().as_secs_f64());
        if two.plaintext != expected || two != one {
            return Err("the threads disagree".into());
        }
    }
    let rate = |seconds: f64| plaintext.len() as f64 / seconds / 1e9;
    println!("SHA-256, one core:    {:.3} GB/s", rate(hash_best));
    println!("sealed, one thread:   {:.3} GB/s, share {:.2}", rate(one_best), hash_best / one_best);
    println!("sealed, two threads:  {:.3} GB/s, share {:.2}", rate(two_best), hash_best / two_best);
    // What the same work takes when it is split evenly over two cores that do nothing else.
    println!(
        "bound of two cores:   {:.3} GB/s, share {:.2}",
        2.0 * rate(one_best),
        2.0 * hash_best / one_best
    );
    Ok(())
}

fn seal(sealer: &Sealer, plaintext: &[u8], ciphertext: &mut [u8], both: bool) -> Result<Sealed, OtapError> {
    let header = sealer.header();
    let layout = header.layout();
    let mut rest = ciphertext;
    let mut places = Vec::new();
    for index in 0..layout.segments() {
        let range = layout.segment_range(index)?;
        let (place, tail) = rest.split_at_mut((range.end - range.start) as usize);
        places.push(Mutex::new((place, None)));
        rest = tail;
    }
    // Seals into a buffer of its own and copies from there, as writing to a file would.
    let seal_one = &|index: u32, segment: &[u8], out: &mut Vec<u8>| -> Result<(), OtapError> {
        let mut place = places[index as usize].lock().expect("no thread panics");
        out.resize(place.0.len(), 0);
        place.1 = Some(sealer.seal_segment(index, segment, out)?);
        place.0.copy_from_slice(out);
        Ok(())
    };

    let mut hash = Sha256::new();
    thread::scope(|scope| {
        let (queue, waiting) = sync_channel::<(u32, Vec<u8>)>(8);
        let (spare, spares) = channel::<Vec<u8>>();
        let waiting = Arc::new(Mutex::new(waiting));
        let drain = move || -> Result<(), OtapError> {
            let mut out = Vec::new();
            loop {
                let next = waiting.lock().expect("no thread panics").recv();
                let Ok((index, segment)) = next else { return Ok(()) };
                seal_one(index, &segment, &mut out)?;
                // The reader takes no more once all is read.
                spare.send(segment).ok();
            }
        };
        let worker = both.then(|| scope.spawn(drain.clone()));
        let mut out = Vec::new();
        for (index, source) in (0..).zip(plaintext.chunks(SEGMENT_LEN)) {
            let mut segment = spares.try_recv().unwrap_or_default();
            segment.clear();
            segment.extend_from_slice(source);
            hash.update(&segment);
            if !both {
                seal_one(index, &segment, &mut out)?;
            } else if let Err(TrySendError::Full((index, segment))) = queue.try_send((index, segment)) {
                seal_one(index, &segment, &mut out)?;
            }
        }
        drop(queue);
        drain()?;
        worker.map_or(Ok(()), |worker| worker.join().expect("no thread panics"))
    })?;

    let digests = places.into_iter().map(|place| place.into_inner().expect("no thread panics").1);
    let digests = digests.collect::<Option<Vec<_>>>().ok_or(OtapError::SegmentList)?;
    Ok(Sealed { header, plaintext: hash.finish(), segments: SegmentList::new(layout, digests)? })
}
