//! The direction of imports.
//!
//! `server → connection → http → session → broker → log, roster`, and beside it
//! `connection → wire → request, reply, frame`. What is below knows nothing of
//! what is above, so that it can be tested, and read, without it. The programs in
//! `bin` stand above the library, and see of it what is theirs.

use super::source::Source;

/// What a module, or a program, may name of the library, besides itself.
enum Reach {
    Only(&'static [&'static str]),
    AnyBut(&'static [&'static str]),
}
use Reach::{AnyBut, Only};

const NOT_OF_A_CLIENT: &[&str] =
    &["server", "connection", "http", "session", "broker", "store", "log", "roster"];

/// The first that fits counts; modules that are not here may name anything.
const RULES: &[(&str, Reach)] = &[
    ("service", AnyBut(&["client", "connection", "http", "session", "wire"])),
    ("server", AnyBut(&["client", "service"])),
    ("connection", AnyBut(&["client", "server"])),
    ("http", AnyBut(&["client", "server", "connection"])),
    ("webhook", AnyBut(&["client", "server", "connection", "http"])),
    ("resident", AnyBut(&["client", "server", "connection", "http"])),
    ("speaker", AnyBut(&["client", "server", "connection", "http", "resident"])),
    ("session", AnyBut(&["client", "server", "connection", "http", "resident", "speaker", "wire"])),
    (
        "broker",
        AnyBut(&[
            "client",
            "server",
            "connection",
            "http",
            "resident",
            "speaker",
            "session",
            "wire",
        ]),
    ),
    (
        "wire",
        AnyBut(&[
            "client",
            "server",
            "connection",
            "http",
            "resident",
            "speaker",
            "session",
            "broker",
            "store",
            "config",
            "runtime",
        ]),
    ),
    // It sees of a broker what any client sees, and measures others too.
    ("bin/broker-bench", Only(&["open_files"])),
    ("bin/broker-client", AnyBut(NOT_OF_A_CLIENT)),
    ("client", AnyBut(NOT_OF_A_CLIENT)),
    // Those who run jobs do not know what they are for, nor the other way round.
    ("workers", Only(&["error", "frame", "jobs", "runtime", "sync"])),
    ("jobs", Only(&["error", "outbound", "request", "runtime", "sequence"])),
    // What is said in each direction: data, some of which are the log's entries.
    ("request", Only(&["error", "payload", "reply", "frame", "log"])),
    ("reply", Only(&["error", "payload", "request", "frame", "log"])),
    ("frame", Only(&["error", "payload", "request", "reply", "log"])),
    // Knows what is kept, not what it means; others call it, it calls nobody.
    ("store", Only(&["figures", "log", "roster", "sync"])),
    // An entry holds a payload, or a change of the roster.
    ("log", Only(&["payload", "roster"])),
    ("roster", Only(&[])),
    ("sequence", Only(&[])),
    ("payload", Only(&[])),
    ("error", Only(&[])),
    ("sync", Only(&[])),
    ("rare", Only(&[])),
    ("manual", Only(&[])),
    ("printed", Only(&[])),
    ("figures", Only(&[])),
    ("metrics", Only(&["broker", "figures", "process", "store"])),
    ("moment", Only(&[])),
    ("config", Only(&["manual", "printed"])),
    ("events", Only(&["config", "printed", "sync"])),
    ("open_files", Only(&[])),
    // Knows URLs, addresses and bytes, and nothing of channels.
    ("outbound", Only(&["error", "hyper_io", "permits", "runtime"])),
    ("hyper_io", Only(&["figures", "runtime"])),
    ("farewell", Only(&["runtime"])),
    ("page", Only(&[])),
    ("permits", Only(&[])),
    ("process", Only(&[])),
    // Takes connections as they are, and knows nothing of what is said on them.
    ("tls", Only(&["config", "permits", "runtime", "sync"])),
    ("runtime", Only(&["sync"])),
];

/// Complains of every import that points the wrong way.
pub(crate) fn wrong_way(source: &Source) -> Vec<String> {
    let path = module_path(&source.path);
    let is_program = source.path.starts_with("bin/");
    // `session`, or `bin/broker-client`.
    let from = path[..path.len().min(if is_program { 2 } else { 1 })].join("/");
    let Some((_, reach)) = RULES.iter().find(|(name, _)| *name == from) else { return Vec::new() };
    let code = source.code_before_tests();
    let mut named = if is_program { of_library(code) } else { named(code, &path) };
    named.sort_unstable();
    named.dedup();
    let allowed = |to: &String| {
        *to == from
            || match reach {
                Only(allowed) => allowed.contains(&to.as_str()),
                AnyBut(denied) => !denied.contains(&to.as_str()),
            }
    };
    let wrong = named.iter().filter(|to| !allowed(to));
    wrong.map(|to| format!("{}: `{from}` must not name `{to}`", source.path)).collect()
}

/// `src/broker/channel/mod.rs` is `broker`, `channel`; `src/lib.rs` is nothing.
fn module_path(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<String> = inner.split('/').map(str::to_string).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

/// The crate's modules that the code names by a path from `crate` or `super`.
fn named(code: &str, path: &[String]) -> Vec<String> {
    let tokens = tokens(code);
    let mut named = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let mut depth = match tokens[at] {
            "crate" => 0,
            "super" => path.len().saturating_sub(1),
            _ => {
                at += 1;
                continue;
            }
        };
        at += 1;
        while tokens.get(at) == Some(&"::") && tokens.get(at + 1) == Some(&"super") {
            depth = depth.saturating_sub(1);
            at += 2;
        }
        // A path from the crate's root names other modules; any deeper one stays within
        // its own.
        if depth == 0 && tokens.get(at) == Some(&"::") {
            named.extend(first_names(&tokens[at + 1..]));
        }
    }
    named
}

/// The library's modules that the code of a program names.
fn of_library(code: &str) -> Vec<String> {
    let tokens = tokens(code);
    let paths = tokens.windows(2).enumerate().filter(|(_, path)| path == &["ranked_broker", "::"]);
    paths.flat_map(|(at, _)| first_names(&tokens[at + 2..])).collect()
}

/// The names that come next: one, or each that begins an item of a `{…}`.
fn first_names(tokens: &[&str]) -> Vec<String> {
    if tokens.first() != Some(&"{") {
        return tokens.first().map(|name| (*name).to_string()).into_iter().collect();
    }
    let (mut depth, mut begins, mut names) = (0, false, Vec::new());
    for token in tokens {
        match *token {
            "{" => {
                depth += 1;
                begins = depth == 1;
            }
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => begins = depth == 1,
            name if begins => {
                names.push(name.to_string());
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// Words, `::`, and every other character by itself.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

#[test]
fn every_way_of_naming_a_module_is_seen() {
    let path = module_path("src/broker/channel/mod.rs");
    assert_eq!(path, ["broker", "channel"]);
    for (code, expected) in [
        ("use crate::wire::text;", vec!["wire"]),
        ("use crate::{wire::{a, b}, log, session::Session};", vec!["wire", "log", "session"]),
        ("fn f(x: crate::server::Server) {}", vec!["server"]),
        ("use super::super::wire;", vec!["wire"]),
        ("use super::super::{wire, log};", vec!["wire", "log"]),
        ("use super::directory::Client;", vec![]),
        ("pub(crate) fn f() {} pub(super) fn g() {}", vec![]),
    ] {
        assert_eq!(named(code, &path), expected, "{code}");
    }
    assert_eq!(named("use super::wire;", &module_path("src/roster.rs")), ["wire"]);
}

#[test]
fn imports_that_point_the_wrong_way_are_found() {
    for (path, code, complaint) in [
        ("src/broker/mod.rs", "use crate::wire;", "`broker` must not name `wire`"),
        ("src/broker/a/b.rs", "use crate::session::S;", "`broker` must not name `session`"),
        ("src/wire/text/mod.rs", "use crate::broker::B;", "`wire` must not name `broker`"),
        ("src/roster.rs", "use crate::error::Code;", "`roster` must not name `error`"),
        ("src/log/mod.rs", "use crate::request::Request;", "`log` must not name `request`"),
        ("src/frame.rs", "use crate::{error, wire};", "`frame` must not name `wire`"),
        ("src/connection/a.rs", "use crate::server::S;", "`connection` must not name `server`"),
        (
            "bin/broker-bench/a.rs",
            "use ranked_broker::{log, open_files as f};",
            "`bin/broker-bench` must not name `log`",
        ),
        (
            "bin/broker-client/main.rs",
            "ranked_broker::broker::b()",
            "`bin/broker-client` must not name `broker`",
        ),
    ] {
        let found = wrong_way(&Source::new(path, code));
        assert_eq!(found, [format!("{path}: {complaint}")]);
    }
    for (path, code) in [
        ("src/server.rs", "use crate::{connection, broker};"),
        ("src/broker/mod.rs", "use crate::{log, roster, request};\n// use crate::wire;"),
        ("src/roster.rs", "#[cfg(test)]\nmod tests {\n    use crate::wire;\n}\n"),
        ("src/lib.rs", "use crate::broker;"),
        (
            "bin/broker-bench/a/b.rs",
            "use crate::log;\nuse super::broker;\nuse ranked_broker::open_files;",
        ),
        ("bin/broker.rs", "use ranked_broker::{config, service};"),
    ] {
        assert!(wrong_way(&Source::new(path, code)).is_empty(), "{path} {code}");
    }
}
