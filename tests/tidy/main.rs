//! What reviewers would otherwise have to look for: sizes, the direction of
//! imports, and documents that keep up with the code.
//!
//! Each rule is a function from text to complaints, tested on a small bad
//! example beside it, and run over the project here.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests, but not in their helpers

mod documents;
mod imports;
mod rules;
mod source;

use std::fs;
use std::path::Path;

use ranked_broker::config::{Config, SETTINGS};
use ranked_broker::request::VERBS;
use source::{Source, sources};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file of the project; a missing one is an empty one, and what should stand
/// in it is complained of.
fn document(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_default()
}

#[track_caller]
fn no_complaints(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn complaints_about(folders: &[&str], rule: fn(&Source) -> Vec<String>) -> Vec<String> {
    let sources = sources(Path::new(ROOT), folders);
    assert!(sources.len() >= folders.len(), "found no sources in {folders:?}");
    sources.iter().flat_map(rule).collect()
}

#[test]
fn files_are_short() {
    no_complaints(&complaints_about(&["src", "bin"], rules::too_long));
}

#[test]
fn imports_point_one_way() {
    no_complaints(&complaints_about(&["src", "bin"], imports::wrong_way));
}

#[test]
fn every_module_is_in_the_map_of_the_parts() {
    no_complaints(&documents::off_the_map("src/lib.rs", &document("src/lib.rs")));
}

#[test]
fn only_the_runtime_names_the_runtime() {
    no_complaints(&complaints_about(&["src", "bin"], rules::names_async_std));
}

#[test]
fn nothing_is_left_undone_or_ignored() {
    no_complaints(&complaints_about(&["src", "bin", "tests"], rules::unfinished));
}

#[test]
fn every_dependency_has_its_reason() {
    let dependencies = documents::dependencies(&document("Cargo.toml"));
    assert!(dependencies.len() > 10, "read only {dependencies:?}");
    let reasons = document("docs/decisions/dependencies.md");
    no_complaints(&documents::missing("docs/decisions/dependencies.md", &reasons, dependencies));
}

#[test]
fn every_setting_and_its_default_is_in_the_readme() {
    let rows = SETTINGS.iter().map(|setting| {
        let default = match (setting.name, setting.show(&Config::default())) {
            ("restart-grace", _) => "lease + guard".into(),
            (_, none) if none.is_empty() => "none".into(),
            (_, value) => value,
        };
        let flag = if setting.is_positional() {
            setting.value_name.into()
        } else {
            format!("--{} {}", setting.name, setting.value_name)
        };
        documents::Setting { flag, variable: setting.variable(), default }
    });
    no_complaints(&documents::wrong_settings("README.md", &document("README.md"), rows));
}

#[test]
fn every_event_is_in_the_operations_manual_and_no_other() {
    let (mut logged, mut complaints) = (Vec::new(), Vec::new());
    // The client has no log to speak of; its lines are for people.
    let broker =
        |path: &str| !path.starts_with("src/client/") && !path.starts_with("bin/broker-client/");
    for source in sources(Path::new(ROOT), &["src", "bin"]).iter().filter(|s| broker(&s.path)) {
        let (events, others) = documents::events(&source.path, &document(&source.path));
        logged.extend(events);
        complaints.extend(others);
    }
    assert!(logged.len() > 10, "read only {logged:?}");
    let manual = document("docs/operations.md");
    let listed = documents::listed_events(&manual);
    let gone = listed.iter().filter(|name| !logged.contains(name));
    complaints.extend(gone.map(|name| format!("docs/operations.md: nothing logs `{name}`")));
    let missing = logged.iter().filter(|name| !listed.contains(name));
    complaints.extend(missing.map(|name| format!("docs/operations.md: `{name}` is not listed")));
    no_complaints(&complaints);
}

#[test]
fn every_error_code_and_verb_is_in_the_protocol() {
    let protocol = document("docs/protocol.md");
    let codes = documents::error_codes(&document("src/error.rs"));
    assert!(codes.len() > 10, "read only {codes:?}");
    no_complaints(&documents::missing("docs/protocol.md", &protocol, codes));
    let verbs = VERBS.iter().map(|usage| usage.verb.to_string());
    no_complaints(&documents::missing("docs/protocol.md", &protocol, verbs));
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let guarantees = document("docs/guarantees.md");
    let tests = documents::tests_named(&guarantees);
    assert!(tests.len() > 20, "read only {tests:?}");
    let missing = tests.iter().filter(|(file, test)| {
        let source = document(&format!("tests/{file}.rs"));
        !source.contains(&format!("#[test]\nfn {test}("))
    });
    let complaints =
        missing.map(|(file, test)| format!("docs/guarantees.md: no test {file}::{test}"));
    no_complaints(&complaints.collect::<Vec<_>>());
}
