//! What is rolled out, how a device tells that it is well, and how anybody tells that it is there.

use std::{fs, path::Path, path::PathBuf, process::Command};

use protocol::ErrorCode;

use super::Options;
use crate::Error;

/// Less than this is found everywhere by chance.
const LEAST: usize = 32;
/// How much of it is looked for where its bytes are told apart easily ...
const PIECE: usize = 48;
/// ... and where they are not, such as in a file of zeros.
const LONG_PIECE: usize = 64 * 1024;

pub(crate) struct Artifact {
    pub(crate) file: PathBuf,
    content: Vec<u8>,
    /// What it prints when it is asked for its version, where it is a program that we know.
    prints: Option<String>,
}

impl Artifact {
    /// The file that was asked for, or else the agent's own program.
    pub(crate) fn of(options: &Options) -> Result<Self, Error> {
        let file = options.artifact.as_ref().unwrap_or(&options.agent);
        let content = fs::read(file).map_err(|source| Error::file("read", file, &source))?;
        if content.len() < LEAST {
            let why = format!("`{}` has {} bytes", file.display(), content.len());
            return Err(Error::new(ErrorCode::InvalidRequest, why)
                .hint(format!("choose a file of {LEAST} bytes or more, which can be looked for")));
        }
        let prints = match options.artifact {
            Some(_) => None,
            None => Some(version_of(file)?),
        };
        Ok(Self { file: file.clone(), content, prints })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.content.len() as u64
    }

    /// How an agent tells that it is well, in TOML: it says its version, or, where it may be anything, it is
    /// there.
    pub(crate) fn health(&self) -> String {
        match &self.prints {
            Some(version) => {
                format!("{{ argv = [\"{{slot}}/artifact\", \"--version\"], prints = {version:?} }}")
            }
            None => "{ argv = [\"/usr/bin/test\", \"-s\", \"{slot}/artifact\"] }".to_owned(),
        }
    }

    /// Whether these are its bytes, all of them.
    pub(crate) fn is(&self, content: &[u8]) -> bool {
        self.content == content
    }

    /// Looks for a piece of it in every file below a folder: how many there are, and how many have it.
    pub(crate) fn search(&self, dir: &Path) -> Result<(u32, u32), Error> {
        let failed = |source: std::io::Error| Error::file("search", dir, &source);
        let piece = self.piece();
        let (mut files, mut found) = (0, 0);
        for entry in fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                let below = self.search(&path)?;
                (files, found) = (files + below.0, found + below.1);
                continue;
            }
            let content = fs::read(&path).map_err(failed)?;
            files += 1;
            found += u32::from(contains(&content, piece));
        }
        Ok((files, found))
    }

    /// The most colourful of many pieces.
    fn piece(&self) -> &[u8] {
        let starts =
            (0..=self.content.len().saturating_sub(PIECE)).step_by((self.content.len() / 256).max(1));
        let pieces = starts.map(|from| &self.content[from..(from + PIECE).min(self.content.len())]);
        match pieces.max_by_key(|piece| colours(piece)) {
            Some(piece) if colours(piece) > LEAST / 2 => piece,
            _ => &self.content[..self.content.len().min(LONG_PIECE)],
        }
    }
}

/// How many different bytes there are.
fn colours(piece: &[u8]) -> usize {
    piece.iter().collect::<std::collections::BTreeSet<_>>().len()
}

fn contains(content: &[u8], piece: &[u8]) -> bool {
    let Some(first) = piece.first() else { return false };
    content.iter().enumerate().any(|(at, byte)| byte == first && content[at..].starts_with(piece))
}

fn version_of(program: &Path) -> Result<String, Error> {
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(|source| Error::file("start", program, &source))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || said.is_empty() {
        return Err(Error::new(
            ErrorCode::PreconditionFailed,
            format!("`{}` does not say its version", program.display()),
        ));
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(content: &[u8]) -> Artifact {
        Artifact { file: PathBuf::new(), content: content.to_vec(), prints: None }
    }

    #[test]
    fn it_is_found_where_it_lies_open_and_nowhere_else() {
        let noise: Vec<u8> =
            (0..100_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for content in [noise, vec![0; 100_000], b"a short text, though long enough to be known\n".to_vec()] {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("below")).unwrap();
            fs::write(dir.path().join("other"), vec![0; 4_096]).unwrap();
            let artifact = artifact(&content);
            assert_eq!(artifact.search(dir.path()).unwrap(), (1, 0));
            fs::write(dir.path().join("below/copy"), [b"before", &*content, b"after"].concat()).unwrap();
            assert_eq!(artifact.search(dir.path()).unwrap(), (2, 1));
        }
    }

    #[test]
    fn what_cannot_be_looked_for_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tiny");
        fs::write(&file, b"too little").unwrap();
        let options = Options { devices: 12, artifact: Some(file), data: None, agent: PathBuf::new() };
        let refused = Artifact::of(&options).err().map(|error| error.code());
        assert_eq!(refused, Some(ErrorCode::InvalidRequest));
    }
}
