//! The page that a person looks at: its files, as they are in the binary.
//!
//! It talks to the broker through the WebSocket alone, as any other client
//! does, and there is nothing to build: what is here is what a browser runs.
//! `index.html` says how its parts go together, `main.js` how they work.

/// A file of the page.
#[derive(Debug)]
pub struct File {
    /// Its name, below `/page/`.
    pub name: &'static str,
    /// What it is, as HTTP says it.
    pub kind: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File { name: $name, kind: $kind, bytes: include_bytes!($name) }
    };
}

/// The page itself.
pub static INDEX: File = file!("index.html", "text/html; charset=utf-8");

/// What it is made of.
static FILES: &[File] = &[
    file!("icon.svg", "image/svg+xml"),
    file!("base.css", STYLE),
    file!("parts.css", STYLE),
    file!("main.js", SCRIPT),
    file!("view.js", SCRIPT),
    file!("link.js", SCRIPT),
    file!("watch.js", SCRIPT),
    file!("self.js", SCRIPT),
    file!("roster.js", SCRIPT),
    file!("words.js", SCRIPT),
    file!("channels.js", SCRIPT),
    file!("ladder.js", SCRIPT),
    file!("stream.js", SCRIPT),
    file!("composer.js", SCRIPT),
    file!("reigns.js", SCRIPT),
    file!("plots.js", SCRIPT),
    file!("vendor/preact.js", SCRIPT),
    file!("vendor/hooks.js", SCRIPT),
    file!("vendor/htm.js", SCRIPT),
    file!("vendor/uplot.js", SCRIPT),
    file!("vendor/uplot.css", STYLE),
    file!("vendor/LICENSES.txt", "text/plain; charset=utf-8"),
];

/// What the page may load and do, whatever it is made to show: its own files,
/// and connections to where it came from. Nothing that stands in the page as
/// text can become a script or a style, and nobody may put it in a frame.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The file of this name, below `/page/`.
pub fn find(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_file_of_the_page_is_in_the_binary() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page");
        let mut there = Vec::new();
        for folder in [root.clone(), root.join("vendor")] {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let name = entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                if entry.path().is_file() && name != "mod.rs" && name != INDEX.name {
                    there.push(name);
                }
            }
        }
        let mut here: Vec<&str> = FILES.iter().map(|file| file.name).collect();
        there.sort();
        here.sort_unstable();
        assert_eq!(there, here);
        assert!(find("main.js").is_some() && find("mod.rs").is_none() && find("").is_none());
    }

    #[test]
    fn the_page_asks_nobody_else_for_anything() {
        for file in FILES.iter().chain([&INDEX]).filter(|file| !file.name.starts_with("vendor/")) {
            let text = std::str::from_utf8(file.bytes).unwrap();
            let others = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!others.contains("http:") && !others.contains("https:"), "{}", file.name);
            for way in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "style=\""] {
                assert!(!text.contains(way), "{}: {way}", file.name);
            }
        }
    }

    #[test]
    fn the_page_is_as_tidy_as_the_rest() {
        for file in FILES.iter().filter(|file| !file.name.starts_with("vendor/")) {
            let lines = memchr::memchr_iter(b'\n', file.bytes).count();
            assert!(lines <= 400, "{}: {lines} lines, at most 400", file.name);
        }
    }
}
