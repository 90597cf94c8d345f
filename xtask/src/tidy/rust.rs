//! Just enough of Rust's grammar to tell code from comments, texts and tests.

/// The code alone: comments, and what stands in string and character literals, become spaces.
/// Lines keep their numbers.
pub(super) fn code(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at..] {
            ['/', '/', ..] => line_end(&chars, at),
            ['/', '*', ..] => comment_end(&chars, at),
            ['r', '"' | '#', ..] if !follows_word(&chars, at) => match raw_end(&chars, at + 1) {
                Some(end) => end,
                None => at,
            },
            ['b', 'r', '"' | '#', ..] if !follows_word(&chars, at) => raw_end(&chars, at + 2).unwrap_or(at),
            ['"', ..] => quoted_end(&chars, at, '"'),
            ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted_end(&chars, at, '\''),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// `code` without the items that only tests see: those after `#[cfg(test)]`.
pub(super) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        out += &rest[..start];
        let item = &rest[start..];
        let end = item_end(&item[MARK.len()..]).map_or(item.len(), |end| end + MARK.len());
        out.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    out + rest
}

/// Every path below `std`, with its line; the branches of a `use` tree one by one.
pub(super) fn std_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("std") {
        let before = code[..start].chars().next_back();
        let rest = code[start + 3..].trim_start();
        if before.is_some_and(|c| is_word(c) || c == '.') || !rest.starts_with("::") {
            continue;
        }
        let line = code[..start].matches('\n').count() + 1;
        let mut paths = Vec::new();
        branch(&mut rest[2..].trim_start(), String::new(), &mut paths);
        found.extend(paths.into_iter().map(|path| (line, path)));
    }
    found
}

/// Reads one branch of a `use` tree, or a path in code, and adds what it names to `paths`.
fn branch(rest: &mut &str, mut path: String, paths: &mut Vec<String>) {
    loop {
        *rest = rest.trim_start();
        if let Some(tail) = rest.strip_prefix('{') {
            *rest = tail.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let before = rest.len();
                branch(rest, path.clone(), paths);
                *rest = rest.trim_start().trim_start_matches(',').trim_start();
                if rest.len() == before {
                    return;
                }
            }
            *rest = rest.strip_prefix('}').unwrap_or(rest);
            return;
        }
        let length = rest.find(|c| !is_word(c) && c != '*').unwrap_or(rest.len());
        let (name, tail) = rest.split_at(length);
        path += name;
        *rest = tail;
        match tail.trim_start().strip_prefix("::") {
            Some(next) if !next.trim_start().starts_with('<') => {
                path += "::";
                *rest = next;
            }
            Some(_) | None => break,
        }
    }
    // Past a renaming, to the comma or brace that ends the branch.
    if let Some(renamed) = rest.trim_start().strip_prefix("as ") {
        *rest = renamed.trim_start().trim_start_matches(is_word);
    }
    paths.push(path);
}

/// Where an item ends: after its block, or after its semicolon.
fn item_end(item: &str) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, c) in item.char_indices() {
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => {
                depth = depth.saturating_sub(1);
                if c == '}' && depth == 0 {
                    return Some(at + 1);
                }
            }
            ';' if depth == 0 => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at > 0 && is_word(chars[at - 1])
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |length| at + length)
}

/// After a block comment; they nest.
fn comment_end(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_u32);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// After a literal in these quotes, in which a backslash escapes.
fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// After a raw string whose hashes begin at `start`; nothing if it is a raw identifier.
fn raw_end(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start..].iter().take_while(|c| **c == '#').count();
    if chars.get(start + hashes) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = start + hashes + 1;
    let length = chars[body..].windows(close.len()).position(|window| window == close)?;
    Some(body + length + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_no_code_and_lines_keep_their_numbers() {
        let source = "a // b\n/* c /* d */ e */ f \"g \\\" h\" i\nr#\"j \" k\"# l 'm' '\\'' 'n: o br\"p\" q";
        let code = code(source);
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "f", "i", "l", "'n:", "o", "q"]);
        assert_eq!(code.lines().count(), source.lines().count());
    }

    #[test]
    fn what_is_never_closed_ends_with_the_file() {
        for open in ["\"a", "/* a", "r#\"a", "'\\", "\"\\"] {
            assert_eq!(code(open).chars().count(), open.chars().count(), "{open:?}");
        }
    }

    #[test]
    fn a_use_tree_is_read_branch_by_branch() {
        let code = "use std::{a, b::{self, c as d}, e::*};\nlet x = std::f::<u8>::g;\nmystd::h; use std ::i;";
        let paths: Vec<String> = std_paths(code).into_iter().map(|(_, path)| path).collect();
        assert_eq!(paths, ["a", "b::self", "b::c", "e::*", "f", "i"]);
    }

    #[test]
    fn only_the_item_under_cfg_test_is_left_out() {
        let code =
            "a;\n#[cfg(test)]\nmod tests;\nb;\n#[cfg(test)]\n#[path = \"x\"]\nmod tests { fn f() { } }\nc;";
        let left = without_tests(code);
        assert_eq!(left.split_whitespace().collect::<String>(), "a;b;c;");
        assert_eq!(left.lines().count(), code.lines().count());
    }
}
