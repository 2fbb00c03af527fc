//! The fenced blocks of the documents.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What stands between two fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The heading that it stands under.
    pub heading: String,
    /// `sh`, `text`, …
    pub language: String,
    pub text: String,
}

impl Block {
    /// What the comment `# then type:` says, and the lines of comment that go on with it.
    pub fn typed(&self) -> Vec<String> {
        let mut typed = Vec::new();
        for line in self.text.lines() {
            if let Some((_, first)) = line.split_once("# then type:") {
                typed.push(first.trim().to_owned());
            } else if let (false, Some(more)) = (typed.is_empty(), line.trim().strip_prefix("#   "))
            {
                typed.push(more.trim().to_owned());
            }
        }
        typed
    }

    /// Its lines, except blank ones.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| !line.trim().is_empty())
    }
}

/// All blocks of a document, in their order.
pub fn blocks(document: &str) -> Vec<Block> {
    let (mut found, mut heading, mut open) = (Vec::new(), String::new(), None::<Block>);
    for line in document.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some("")) => found.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, Some(language)) => {
                let (heading, language) = (heading.clone(), language.to_owned());
                open = Some(Block { heading, language, text: String::new() });
            }
            (None, None) if line.starts_with('#') => {
                line.trim_start_matches('#').trim().clone_into(&mut heading);
            }
            (None, None) => {}
        }
    }
    assert_eq!(open, None, "a fence is not closed");
    found
}

/// The documents of the project, by their paths in it.
pub fn documents() -> Vec<String> {
    let root = Path::new(ROOT);
    let mut paths = vec![root.join("README.md")];
    for folder in ["docs", "docs/decisions"] {
        let files = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        paths.extend(files.filter(|path: &PathBuf| path.extension().is_some_and(|e| e == "md")));
    }
    paths.sort();
    let name = |path: PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    paths.into_iter().map(name).collect()
}

pub fn blocks_of(document: &str) -> Vec<Block> {
    blocks(&fs::read_to_string(Path::new(ROOT).join(document)).unwrap())
}

/// The blocks under one heading, each to be taken once.
pub struct Part(VecDeque<Block>);

impl Part {
    pub fn of(document: &str, heading: &str) -> Part {
        let all = blocks_of(document).into_iter();
        let part: VecDeque<_> = all.filter(|block| block.heading == heading).collect();
        assert!(!part.is_empty(), "{document} has no block under {heading:?}");
        Part(part)
    }

    /// The next block, which must be in this language.
    #[track_caller]
    pub fn next(&mut self, language: &str) -> Block {
        let block = self.0.pop_front().unwrap_or_else(|| panic!("there is no further {language}"));
        assert_eq!(block.language, language, "{}", block.text);
        block
    }

    /// Passes over the next block, which begins like this.
    #[track_caller]
    pub fn excuse(&mut self, start: &str, _reason: &str) {
        let block = self.0.pop_front().unwrap_or_else(|| panic!("there is no further {start}"));
        assert!(block.text.starts_with(start), "{}", block.text);
    }

    #[track_caller]
    pub fn end(self) {
        assert_eq!(self.0, [], "nobody runs this");
    }
}

#[test]
fn blocks_are_found_with_what_is_to_be_typed() {
    let document = "# A\n```sh\nx   # then type:  one\n    #             two\n# not this\n```\n\
                    ## B c\ntext\n```\ny\n# z\n```\n";
    let found = blocks(document);
    assert_eq!(found.len(), 2);
    assert_eq!((&*found[0].heading, &*found[0].language), ("A", "sh"));
    assert_eq!(found[0].typed(), ["one", "two"]);
    assert_eq!((&*found[1].heading, &*found[1].text), ("B c", "y\n# z\n"));
}
