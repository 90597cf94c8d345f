use std::collections::BTreeSet;

use super::{Error, slice};

/// An archive for SWUpdate: a cpio in `newc` form whose first file is `sw-description`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SwuImage<'a> {
    files: Vec<SwuFile<'a>>,
    description: &'a [u8],
}

/// One file in the archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwuFile<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where its content begins, in bytes from the beginning of the archive.
    pub offset: usize,
    /// Its length in bytes.
    pub len: usize,
}

const DESCRIPTION: &str = "sw-description";
const HEADER_LEN: usize = 110;
/// More files than any archive has.
const MAX_FILES: usize = 4_096;
/// A longer description than any archive has, in bytes.
const MAX_DESCRIPTION: usize = 4 << 20;

impl<'a> SwuImage<'a> {
    /// The archive that these bytes are, or nothing if they are no cpio or one without a description,
    /// such as an initial RAM disk.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Error> {
        if !has_magic(bytes) {
            return Ok(None);
        }
        let files = match entries(bytes) {
            Ok(files) => files,
            // A broken archive is reported as one only if it is meant for SWUpdate.
            Err(error) if name_at(bytes, 0) == Some(DESCRIPTION) => return Err(error),
            Err(_) => return Ok(None),
        };
        if !files.iter().any(|file| file.name == DESCRIPTION) {
            return Ok(None);
        }
        let [first, rest @ ..] = &files[..] else { return Ok(None) };
        if first.name != DESCRIPTION || rest.iter().any(|file| file.name == DESCRIPTION) {
            return Err(Error::Malformed {
                what: "order of the archive: sw-description must come first, once",
            });
        }
        if first.len > MAX_DESCRIPTION {
            return Err(Error::Malformed { what: "sw-description" });
        }
        let description =
            slice(bytes, first.offset, first.len).ok_or(Error::Truncated { what: "sw-description" })?;
        Ok(Some(Self { description, files }))
    }

    /// The files, `sw-description` first.
    pub fn files(&self) -> &[SwuFile<'a>] {
        &self.files
    }

    /// Whether a signature stands beside the description. Nothing here verifies it.
    pub fn is_signed(&self) -> bool {
        self.files.iter().any(|file| file.name == "sw-description.sig")
    }

    /// The description, if it is text; an encrypted one is not.
    pub fn description(&self) -> Option<&'a str> {
        std::str::from_utf8(self.description).ok()
    }

    /// The hardware revisions that the description names as compatible, for all boards together.
    /// An entry that begins with `#RE:` is a regular expression.
    pub fn hardware_compatibility(&self) -> Vec<String> {
        let mut found = Vec::new();
        let tokens = tokens(self.description().unwrap_or_default());
        for (at, token) in tokens.iter().enumerate() {
            let names = matches!(
                token,
                Token::Word("hardware-compatibility") | Token::Text("hardware-compatibility")
            );
            let (true, Some(Token::Sign(':' | '=')), Some(Token::Sign('[' | '('))) =
                (names, tokens.get(at + 1), tokens.get(at + 2))
            else {
                continue;
            };
            for token in &tokens[at + 3..] {
                match *token {
                    Token::Text(text) => found.push(text.to_owned()),
                    Token::Sign(',') => {}
                    Token::Sign(_) | Token::Word(_) => break,
                }
            }
        }
        let mut known = BTreeSet::new();
        found.retain(|revision| known.insert(revision.clone()));
        found
    }
}

/// What libconfig and JSON have in common.
enum Token<'a> {
    Text(&'a str),
    Word(&'a str),
    Sign(char),
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let line = rest.find('\n').unwrap_or(rest.len());
        let len = if first == '#' || rest.starts_with("//") {
            line
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            let end = closing_quote(rest);
            tokens.push(Token::Text(&rest[1..end]));
            rest.len().min(end + 1)
        } else if is_word(first) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(&rest[..len]));
            len
        } else {
            tokens.push(Token::Sign(first));
            first.len_utf8()
        };
        rest = rest[len..].trim_start();
    }
    tokens
}

/// Where the text that begins with a quote ends; escaped quotes belong to it.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at,
            b'\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '*'
}

fn has_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(b"070701") || bytes.starts_with(b"070702")
}

/// All files of a cpio in `newc` form (with or without checksums), up to its trailer.
fn entries(bytes: &[u8]) -> Result<Vec<SwuFile<'_>>, Error> {
    let cut = |what| Error::Truncated { what };
    let mut files: Vec<SwuFile<'_>> = Vec::new();
    let mut at = 0_usize;
    loop {
        let header = slice(bytes, at, HEADER_LEN).ok_or(cut("a file's header"))?;
        if !has_magic(header) {
            return Err(Error::Malformed { what: "file's header" });
        }
        let len = field(header, 6)?;
        let name_len = field(header, 11)?;
        let name = name_at(bytes, at).ok_or(Error::Malformed { what: "file's name" })?;
        if name == "TRAILER!!!" {
            return Ok(files);
        }
        let offset = aligned(at + HEADER_LEN, name_len).ok_or(cut("a file's name"))?;
        let end = aligned(offset, len).ok_or(cut("a file"))?;
        if offset.checked_add(len).is_none_or(|end| end > bytes.len()) {
            return Err(cut("a file"));
        }
        if files.len() == MAX_FILES || files.iter().any(|file| file.name == name) {
            return Err(Error::Count { what: "a file" });
        }
        files.push(SwuFile { name, offset, len });
        at = end;
    }
}

/// The name of the file whose header stands at `at`.
fn name_at(bytes: &[u8], at: usize) -> Option<&str> {
    let header = slice(bytes, at, HEADER_LEN)?;
    let len = field(header, 11).ok()?;
    let (nul, name) = slice(bytes, at.checked_add(HEADER_LEN)?, len)?.split_last()?;
    let name = std::str::from_utf8(name).ok()?;
    (*nul == 0 && !name.is_empty() && !name.contains('\0')).then_some(name)
}

/// The number in the header's field `index`: eight hexadecimal digits.
fn field(header: &[u8], index: usize) -> Result<usize, Error> {
    let malformed = Error::Malformed { what: "file's header" };
    let digits = slice(header, 6 + 8 * index, 8).ok_or(malformed.clone())?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(malformed);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| malformed.clone())?;
    usize::from_str_radix(digits, 16).map_err(|_| malformed)
}

/// The next multiple of four after `start` and `len` more.
fn aligned(start: usize, len: usize) -> Option<usize> {
    start.checked_add(len)?.checked_next_multiple_of(4)
}
