//! Writes sealed payloads of awkward lengths for another program to judge: `emit_otap DIR`.
//!
//! For each length: `N.plain`, `N.otap`, `N.segments` (the segment list) and a line in `index.json`.

use std::{error::Error, fs, path::Path};

use envelope::{
    ContentKey, SystemRandom,
    otap::{CHUNK_LEN, Header, SEGMENT_LEN, Sealing},
};
use model::Random;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: emit_otap DIR")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    let lengths = [
        0,
        1,
        CHUNK_LEN - 1,
        CHUNK_LEN,
        CHUNK_LEN + 1,
        3 * CHUNK_LEN,
        SEGMENT_LEN - 1,
        SEGMENT_LEN,
        SEGMENT_LEN + 1,
        2 * SEGMENT_LEN + 5 * CHUNK_LEN + 1234,
    ];
    let mut index = Vec::new();
    for len in lengths {
        let mut plaintext = vec![0; len];
        SystemRandom.fill(&mut plaintext);
        // Nothing is sealed for anyone with this key, so that it may be shown.
        let key = ContentKey::generate(&mut SystemRandom);
        let header = Header::new(len as u64, &mut SystemRandom)?;
        let layout = header.layout();

        let mut sealing = Sealing::new(&key, header)?;
        let mut ciphertext = vec![0; usize::try_from(layout.ciphertext_len())?];
        let mut rest = &mut ciphertext[..];
        for segment in 0..layout.segments() {
            let sealed = layout.segment_range(segment)?;
            let (out, tail) = rest.split_at_mut(usize::try_from(sealed.end - sealed.start)?);
            let plain = layout.segment_plaintext(segment)?;
            sealing.segment(&plaintext[usize::try_from(plain.start)?..usize::try_from(plain.end)?], out)?;
            rest = tail;
        }
        let sealed = sealing.finish()?;

        fs::write(folder.join(format!("{len}.plain")), &plaintext)?;
        fs::write(folder.join(format!("{len}.otap")), &ciphertext)?;
        fs::write(folder.join(format!("{len}.segments")), sealed.segments.encode())?;
        index.push(json!({
            "length": len,
            "content_key": model::Digest::new(*key.as_bytes()).to_string(),
            "commitment": key.commitment().to_string(),
            "plaintext_sha256": sealed.plaintext.to_string(),
            "segment_list_sha256": sealed.segments.digest().to_string(),
        }));
    }
    fs::write(folder.join("index.json"), serde_json::to_vec_pretty(&index)?)?;
    Ok(())
}
