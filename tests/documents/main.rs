//! Every command in the documents is run here, as it stands there: each block in
//! a fence belongs to a scene, which pastes it into a terminal, or to a list of
//! those that cannot be run, with the reason. A block that is in neither fails.
#![allow(clippy::unwrap_used, clippy::expect_used)] // clippy.toml allows it in tests, but not in their helpers

mod blocks;
mod cookbook;
mod machine;
mod operations;
mod readme;
#[path = "../support/mod.rs"]
mod support;
mod terminal;

/// A test for each part of a document that has blocks to run.
macro_rules! scenes {
    ($($document:literal { $($heading:literal => $file:ident::$name:ident,)* })*) => {
        const SCENES: &[(&str, &str)] = &[$($(($document, $heading),)*)*];
        $($(
            #[test]
            fn $name() {
                machine::play(stringify!($name), $document, $heading, $file::$name);
            }
        )*)*
    };
}

scenes! {
    "README.md" {
        "Try it" => readme::try_it,
        "One machine at a time" => readme::one_machine_at_a_time,
        "A chain of command" => readme::a_chain_of_command,
        "JSON, for programs" => readme::json,
        "Clients of Redis, as they are" => readme::clients_of_redis,
        "HTTP, with or without a connection that stays" => readme::http,
        "Web pages" => readme::web_pages,
        "Rust" => readme::rust,
        "Shell scripts" => readme::shell_scripts,
        "Jobs" => readme::jobs,
        "Number sequences" => readme::number_sequences,
        "Nothing lost" => readme::nothing_lost,
    }
    "docs/cookbook.md" {
        "A cron job that runs once, on whichever machine is in charge" => cookbook::a_cron_job,
        "A database with a standby" => cookbook::a_standby_database,
        "A chain of command for a fleet" => cookbook::a_fleet,
        "Live updates on a web page" => cookbook::live_updates,
        "From Python, with the Redis client you have" => cookbook::from_python,
        "From a shell script" => cookbook::from_a_shell_script,
        "Commands for a web server" => cookbook::commands_for_a_web_server,
    }
    "docs/operations.md" {
        "A demonstration" => operations::a_demonstration,
        "As a service" => operations::as_a_service,
        "Encryption" => operations::encryption,
        "Backup and upgrade" => operations::backup_and_upgrade,
        "Metrics" => operations::metrics,
    }
}

/// Parts that are not run, and why.
const EXCUSED: &[(&str, &str, &str)] = &[
    ("README.md", "Measure it yourself", "takes minutes; tests/bench.rs runs every workload"),
    ("README.md", "Building and testing", "this is a part of it"),
    ("README.md", "A new job", "a file for src/jobs, not a command"),
    ("docs/performance.md", "", "takes minutes; tests/bench.rs runs every workload"),
    (
        "docs/protocol.md",
        "",
        "shapes and dialogues; tests/requests.rs and others have each of them",
    ),
];

#[test]
fn every_block_is_run_or_excused() {
    let documents = blocks::documents();
    assert!(documents.len() > 10, "found only {documents:?}");
    let mut complaints = Vec::new();
    let mut headings = Vec::new();
    for document in &documents {
        for block in blocks::blocks_of(document) {
            let is_here = |there: &str, heading: &str| {
                there == document && (heading.is_empty() || heading == block.heading)
            };
            let is_run = SCENES.iter().any(|(there, heading)| is_here(there, heading));
            let is_excused = EXCUSED.iter().any(|(there, heading, _)| is_here(there, heading));
            if !is_run && !is_excused {
                complaints
                    .push(format!("{document}, {}: nobody runs\n{}", block.heading, block.text));
            }
            headings.push((document.clone(), block.heading));
        }
        let text = std::fs::read_to_string(format!("{}/{document}", blocks::ROOT)).unwrap();
        // Blocks without a fence would be passed over.
        let outside = text.split("```").step_by(2);
        let indented =
            outside.flat_map(|part| part.split("\n\n")).filter(|part| part.starts_with("    "));
        complaints.extend(indented.map(|part| format!("{document}: put a fence round\n{part}")));
    }
    for (document, heading, _) in EXCUSED {
        let is_there = headings
            .iter()
            .any(|(there, other)| there == document && (heading.is_empty() || heading == other));
        assert!(is_there, "{document} has no blocks under {heading:?} any more");
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
