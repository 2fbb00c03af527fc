//! Source files as the rules want them: without comments, strings and tests.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
pub(crate) struct Source {
    /// Its path from the project's root, with `/`.
    pub(crate) path: String,
    /// Its code; what stood in comments and literals is blank, lines are kept.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Source { path: path.to_string(), code: blanked(text) }
    }

    /// Whether the whole file is tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.ends_with("_tests.rs")
            || self.path.ends_with("/tests.rs")
    }

    /// The code before its tests, which stand at the end of a file. A module of
    /// tests that is a file of its own does not begin them.
    pub(crate) fn code_before_tests(&self) -> &str {
        if self.is_test() {
            return "";
        }
        let begins = |(at, _): &(usize, &str)| {
            let module = self.code[*at..].lines().find(|line| line.starts_with("mod "));
            module.is_some_and(|line| line.trim_end().ends_with('{'))
        };
        let end = self.code.match_indices("#[cfg(test)]\n").find(begins);
        &self.code[..end.map_or(self.code.len(), |(at, _)| at)]
    }
}

/// Every Rust file under these folders of the project.
pub(crate) fn sources(root: &Path, folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The text with blanks for everything in comments and in string and character
/// literals; line ends stay where they are.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = skipped(&text[at..], out.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        if length == 0 {
            let c = text[at..].chars().next().unwrap();
            out.push(c);
            at += c.len_utf8();
        } else {
            out.extend(text[at..at + length].chars().map(|c| if c == '\n' { c } else { ' ' }));
            at += length;
        }
    }
    out
}

/// How long the comment or literal is that begins here; 0 if none does.
fn skipped(rest: &str, after_word: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    let raw = if after_word { rest } else { rest.trim_start_matches(['b', 'r']) };
    let prefix = rest.len() - raw.len();
    if prefix <= 2 && (prefix == 0 || raw.starts_with(['"', '#', '\''])) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') && rest[..prefix].ends_with('r') {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = &raw[hashes + 1..];
            let length = body.find(&close).map_or(body.len(), |end| end + close.len());
            return prefix + hashes + 1 + length;
        }
        if raw.starts_with('"') {
            return prefix + quoted(raw, '"');
        }
        // 'a' and '\n' are characters, 'a without an end is a lifetime.
        let mut chars = raw.chars();
        if chars.next() == Some('\'') {
            let escaped = chars.next() == Some('\\');
            if escaped || chars.next() == Some('\'') {
                return prefix + quoted(raw, '\'');
            }
        }
    }
    0
}

/// How long the literal is that begins and ends with `quote`.
fn quoted(literal: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in literal.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    literal.len()
}

#[test]
fn comments_and_literals_are_blank_and_lines_are_kept() {
    for (text, left) in [
        ("a // b \"\nc", "a c"),
        ("a /* b\n */ c", "a c"),
        (r#"f("a\"b // c") + 1"#, "f( ) + 1"),
        ("r#\"a\"b\"# x", "x"),
        ("br\"a\\\" x", "x"),
        ("b'x' y 'z' '\\'' w", "y w"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("for r in rb", "for r in rb"),
    ] {
        let blank = blanked(text);
        assert_eq!(blank.split_whitespace().collect::<Vec<_>>().join(" "), left, "{text}");
        assert_eq!(blank.len(), text.len(), "{text}");
        assert_eq!(blank.lines().count(), text.lines().count(), "{text}");
    }
}

#[test]
fn the_tests_of_a_file_are_not_its_code() {
    let inside = "use a;\n#[cfg(test)]\nmod tests {\n use b;\n}\n";
    assert_eq!(Source::new("src/a.rs", inside).code_before_tests(), "use a;\n");
    let beside = "#[cfg(test)]\nmod a_tests;\nuse a;\n";
    assert_eq!(Source::new("src/a.rs", beside).code_before_tests(), beside);
    assert_eq!(Source::new("src/a_tests.rs", beside).code_before_tests(), "");
}
