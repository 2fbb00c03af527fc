//! What must stand in a document.

/// Complains of each term that does not begin a `…` of the document, alone or
/// with more words after it.
pub(crate) fn missing(
    name: &str,
    document: &str,
    terms: impl IntoIterator<Item = String>,
) -> Vec<String> {
    let quoted = |term: &String| {
        [" ", "=", "`"].iter().any(|end| document.contains(&format!("`{term}{end}")))
    };
    let missing = terms.into_iter().filter(|term| !quoted(term));
    missing.map(|term| format!("{name}: `{term}` is not in it")).collect()
}

/// What the row of a setting must hold.
pub(crate) struct Setting {
    pub(crate) flag: String,
    pub(crate) variable: String,
    pub(crate) default: String,
}

/// Complains of each setting without a row that begins with its flag, its variable,
/// and its default, which may be followed by what that means.
pub(crate) fn wrong_settings(
    name: &str,
    document: &str,
    settings: impl IntoIterator<Item = Setting>,
) -> Vec<String> {
    let has_row = |Setting { flag, variable, default }: &Setting| {
        document.lines().any(|line| {
            let mut cells = line.split(" | ");
            let is_flag = |cell: &str| {
                let rest = cell.strip_prefix(&format!("| `{flag}`"));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
            };
            let is_default = |cell: &str| {
                let rest = cell.strip_prefix(default.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
            };
            cells.next().is_some_and(is_flag)
                && cells.next() == Some(&*format!("`{variable}`"))
                && cells.next().is_some_and(is_default)
        })
    };
    let wrong = settings.into_iter().filter(|setting| !has_row(setting));
    let complain = |Setting { flag, variable, default }: Setting| {
        format!("{name}: no row begins with | `{flag}` | `{variable}` | {default} |")
    };
    wrong.map(complain).collect()
}

/// The names of all dependencies in a Cargo.toml, of whatever kind.
pub(crate) fn dependencies(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let mut tables = vec![&manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let found = tables.iter().flat_map(|table| kinds.map(|kind| table.get(kind)));
    found.flatten().filter_map(toml::Value::as_table).flat_map(toml::Table::keys).cloned().collect()
}

/// The events that a source file logs, and a complaint about each line that is
/// none; its tests do not count.
pub(crate) fn events(path: &str, text: &str) -> (Vec<String>, Vec<String>) {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let name = |text: &str| -> String {
        text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect()
    };
    let logged = code.split("\"event=").skip(1).map(name).collect();
    let mut complaints = Vec::new();
    for level in ["error", "warn", "info", "debug", "trace"] {
        for call in code.split(&format!("log::{level}!(")).skip(1) {
            if !call.trim_start().starts_with("\"event=") {
                complaints
                    .push(format!("{path}: a line for the log that is no `event=`: {call:.40}"));
            }
        }
    }
    (logged, complaints)
}

/// The events in the first column of the tables of a document's section.
pub(crate) fn listed_events(document: &str) -> Vec<String> {
    let section = document.split("### Events\n").nth(1).unwrap_or_default();
    let section = section.split("\n#").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    rows.flat_map(|cell| cell.split(", ")).map(|name| name.trim().replace('`', "")).collect()
}

/// Complains of each module of a library that its own documentation does not name
/// exactly once under `# The parts`.
pub(crate) fn off_the_map(name: &str, source: &str) -> Vec<String> {
    let map = source.split("//! # The parts").nth(1).unwrap_or_default();
    let map = map.split("\n//! # ").next().unwrap_or_default();
    let modules = source.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    let times = |module: &str| map.matches(&format!("`{module}`")).count();
    let off = modules.filter(|module| times(module) != 1);
    off.map(|module| {
        format!("{name}: `{module}` stands {} times under `# The parts`, not once", times(module))
    })
    .collect()
}

/// The codes of `Code::as_str` in `src/error.rs`.
pub(crate) fn error_codes(source: &str) -> Vec<String> {
    let arms = source.lines().filter_map(|line| line.trim().strip_prefix("Code::"));
    arms.filter_map(|arm| Some(arm.split_once("=> \"")?.1.split_once('"')?.0.to_string())).collect()
}

/// The tests that a document names as `file::test`.
pub(crate) fn tests_named(document: &str) -> Vec<(&str, &str)> {
    let quoted = document.split('`').skip(1).step_by(2);
    let is_word = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    quoted
        .filter_map(|text| text.split_once("::"))
        .filter(|(file, test)| is_word(file) && is_word(test))
        .collect()
}

#[test]
fn tests_are_found_and_nothing_else() {
    let document = "| it is so. | `a_b::c_1` | and `x y::z`, `--flag`, `d::e` |";
    assert_eq!(tests_named(document), [("a_b", "c_1"), ("d", "e")]);
}

#[test]
fn a_word_in_passing_and_a_part_of_a_longer_one_do_not_count() {
    let terms = || ["rank", "--stall", "sub"].map(String::from);
    let there = missing("d.md", "`rank` and `--stall TIME`, `sub CH`", terms());
    assert_eq!(there, Vec::<String>::new());
    assert_eq!(
        missing("d.md", "rank, `ranks`, `--stall-time`, sub, `unsub`", terms()),
        ["d.md: `rank` is not in it", "d.md: `--stall` is not in it", "d.md: `sub` is not in it"]
    );
}

#[test]
fn rows_of_settings_are_compared() {
    let setting = |flag: &str, default: &str| Setting {
        flag: flag.into(),
        variable: "V".into(),
        default: default.into(),
    };
    let document = "| `--a N` | `V` | 5 | x |\n| `H` (`h`) | `V` | 0: all | x |\n";
    let right = [setting("--a N", "5"), setting("H", "0")];
    assert_eq!(wrong_settings("d.md", document, right), Vec::<String>::new());
    let wrong = [setting("--a", "5"), setting("--a N", "50"), setting("H", "0: al")];
    assert_eq!(wrong_settings("d.md", document, wrong).len(), 3);
}

#[test]
fn dependencies_of_every_kind_are_read() {
    let manifest = "[package]\nname = 'x'\n[dependencies]\na = '1'\n[dev-dependencies.b]\nversion = '1'\n\
                    [target.'cfg(unix)'.dependencies]\nc = '1'\n[lints.rust]\nd = 'warn'\n";
    assert_eq!(dependencies(manifest), ["a", "b", "c"]);
}

#[test]
fn events_are_read() {
    let source = "log::info!(\"event=a-b x={x}\");\nlog::warn!(\n \"event=c\");\n#[cfg(test)]\nmod tests {\n\"event=d\"";
    assert_eq!(events("f", source), (vec!["a-b".into(), "c".into()], vec![]));
    let (_, complaints) = events("f", "log::debug!(\"words\")");
    assert_eq!(complaints, ["f: a line for the log that is no `event=`: \"words\")"]);
    let document =
        "| `x` | y |\n### Events\n\n| event |\n| --- |\n| `a`, `b` | c `d` |\n## Next\n| `e` |\n";
    assert_eq!(listed_events(document), ["a", "b"]);
}

#[test]
fn modules_that_are_missing_or_twice_on_the_map_are_found() {
    let source = "//! # The parts\n//! [`a`], `b::x` and\n//! `c`, [`c`]\n//!\n//! # More\n//! [`b`]\n\n\
                  pub mod a;\nmod b;\n#[doc(hidden)]\npub mod c;\nmod tests {\n";
    let times = |module, times| {
        format!("l.rs: `{module}` stands {times} times under `# The parts`, not once")
    };
    assert_eq!(off_the_map("l.rs", source), [times("b", 0), times("c", 2)]);
    assert_eq!(off_the_map("l.rs", "mod a;\n"), [times("a", 0)]);
}

#[test]
fn codes_are_read() {
    let source =
        "  Code::BadRequest => \"bad-request\",\n  Code::Rank => \"rank\",\n  Code::Rank;\n";
    assert_eq!(error_codes(source), ["bad-request", "rank"]);
}
