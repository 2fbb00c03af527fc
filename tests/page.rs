//! The page in a real browser: Chromium, driven by `tests/page/*.mjs`, which
//! click, type, look, and say what is wrong.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod drivers;
mod support;

use drivers::{Dialect, Member};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::Broker;

/// The longest message of these brokers: more than a megabyte.
const LINE_BYTES_MAX: usize = 2 * 1024 * 1024;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page")
}

/// What is missing here to run a script, if anything.
fn missing(needs_browser: bool) -> Option<&'static str> {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !runs("node") {
        return Some("Node.js (Debian: nodejs)");
    }
    if needs_browser && !runs(&chromium()) {
        return Some("Chromium (Debian: chromium)");
    }
    let is_installed = folder().join("node_modules/playwright-core").is_dir();
    (needs_browser && !is_installed).then_some("playwright-core (npm ci --prefix tests/page)")
}

fn chromium() -> String {
    std::env::var("CHROMIUM").unwrap_or("/usr/bin/chromium".into())
}

/// Runs a script; says so if it cannot, and fails if it had to.
#[track_caller]
fn run(script: &str, arguments: &[&str]) {
    if let Some(missing) = missing(!arguments.is_empty()) {
        return support::skip(&format!("{missing} is not installed"));
    }
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    let mut node = Command::new("node");
    node.arg(folder().join(script)).args(arguments);
    node.env("CHROMIUM", chromium()).env("PICTURES", &pictures);
    let output = node.output().expect("node runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complaint) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}{complaint}\npictures: {}", pictures.display());
    assert!(said.contains(": passed"), "it has come to its end: {said}");
    for skipped in said.lines().filter(|line| line.contains("SKIPPED")) {
        eprintln!("{skipped}");
    }
}

/// Runs a check on a broker of its own.
#[track_caller]
fn check(name: &str) {
    let broker = Broker::with(|config| config.max_line = LINE_BYTES_MAX);
    run("run.mjs", &[name, &broker.addr.to_string()]);
}

#[test]
fn the_ladder_moves_when_a_member_is_killed() {
    check("roster_moves");
}

#[test]
fn nothing_moves_for_those_who_want_it_still() {
    check("without_motion");
}

#[test]
fn who_is_away_and_for_how_long_nobody_was_in_command() {
    check("rank_0_is_vacant");
}

#[test]
fn a_message_that_is_typed_arrives_at_a_text_member() {
    check("message_arrives");
}

#[test]
fn results_of_a_command_fill_in() {
    check("results_fill_in");
}

#[test]
fn the_keyboard_is_enough() {
    check("with_keys_alone");
}

#[test]
fn on_a_phone_in_the_dark_and_for_everybody() {
    check("small_dark_and_for_everybody");
}

#[test]
fn nothing_that_is_published_runs() {
    check("nothing_published_runs");
}

#[test]
fn it_comes_back_after_a_lost_connection() {
    check("comes_back");
}

#[test]
fn what_is_gone_is_told() {
    check("what_is_gone_is_told");
}

#[test]
fn what_is_too_fast_to_read_is_shown_in_parts() {
    check("too_fast_to_read");
}

#[test]
fn a_channel_is_made_and_dropped_and_a_member_removed() {
    check("from_nothing_to_nothing");
}

#[test]
fn a_channel_that_is_dropped_and_made_again_is_another_one() {
    check("dropped_and_made_again");
}

/// Two brokers, the second of which takes the first one's place.
#[test]
fn nothing_of_a_broker_is_left_in_the_next() {
    let [first, second] = [Broker::start(), Broker::start()];
    run("run.mjs", &["another_broker", &first.addr.to_string(), &second.addr.to_string()]);
}

#[test]
fn whoever_loads_the_page_again_is_who_it_was() {
    check("the_same_after_a_reload");
}

#[test]
fn a_slash_makes_a_command_of_this_line_and_no_other() {
    check("each_line_for_itself");
}

#[test]
fn the_next_line_is_written_while_one_is_on_its_way() {
    check("the_next_line_is_written_meanwhile");
}

#[test]
fn much_of_one_thing_leaves_room_for_the_others() {
    check("nothing_is_squeezed_out");
}

#[test]
fn what_others_say_to_the_user_is_kept() {
    // For the job: its workers are the broker's own program.
    let broker = Broker::process();
    run("run.mjs", &["what_others_say_is_kept", &broker.addr.to_string()]);
}

/// "An HTTP member with a call-back above a text member above a browser": the
/// scenario's other members, and a person who looks at the page.
#[test]
fn a_browser_below_a_call_back_and_text() {
    let broker = Broker::with(|config| {
        config.allow_callback = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let [mut alice, mut bob] = [(Dialect::CallBack, "alice"), (Dialect::Text, "bob")]
        .map(|(dialect, name)| dialect.enter(&broker, name));
    alice.does("create", json!({}));
    alice.joins_with_rank(0);
    bob.joins_with_rank(1);
    std::thread::scope(|scope| {
        let address = broker.addr.to_string();
        let check = scope.spawn(move || run("run.mjs", &["below_a_call_back_and_text", &address]));
        // Without a browser, the script has ended already, and nobody joins.
        if missing(true).is_none() {
            above_a_browser(&mut alice, &mut bob);
        }
        check.join().expect("the check passes");
    });
}

fn above_a_browser<'b>(alice: &mut Member<'b>, bob: &mut Member<'b>) {
    for member in [&mut *alice, &mut *bob] {
        member.hears("join carol 2");
    }
    let command = alice.commands(json!({"name": "reload"}), 2);
    bob.obeys(command, 0, "at once");
    let results = alice.gets_results(command);
    assert_eq!(results, [r#"1 "bob" 0 at once"#, r#"2 "carol" 0 done by hand"#]);
    alice.publishes("from alice");
    bob.publishes("from bob");
    for member in [&mut *alice, &mut *bob] {
        member.hears("msg from carol");
    }
    let last = |member: &Member<'_>| {
        let messages = member.record.iter().filter(|entry| entry.what.starts_with("msg "));
        messages.cloned().collect::<Vec<_>>()
    };
    assert_eq!(last(alice), last(bob));
    let seq = bob.record.last().and_then(|entry| entry.seq).expect("a seq");
    alice.leaves(seq);
    bob.hears("left alice 0 quit");
    bob.has_rank(0, seq + 1);
    let command = bob.commands(json!({"name": "report"}), 1);
    assert_eq!(bob.gets_results(command), [r#"1 "carol" 0 done by hand"#]);
    bob.leaves(command);
}

#[test]
fn its_files_are_there_to_be_kept_and_checked() {
    let broker = Broker::start();
    let web = broker.web();
    let page = web.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.body.starts_with("<!doctype html>"), "{}", page.body);
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    for (header, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-cache")] {
        assert_eq!(page.header(header), Some(value));
    }
    let tag = page.header("etag").expect("a tag").to_owned();
    let again = web.with("If-None-Match", &tag).get("/");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let head = web.ask("HEAD", "/", None);
    assert_eq!((head.status, head.header("etag")), (200, Some(tag.as_str())));
    // Whatever the page names is there.
    let named = page.body.split('"').filter(|text| text.starts_with("/page/"));
    assert_eq!(named.map(|path| web.get(path).status).collect::<Vec<_>>(), [200; 5]);
    for path in ["/page/nothing.js", "/page/vendor/main.js", "/page/..%2Fmod.rs", "/page/mod.rs"] {
        web.get(path).problem(404, "unknown-command");
    }
    web.post("/", "{}").problem(405, "unknown-command");
}

#[test]
fn its_words_and_its_roster_without_a_browser() {
    run("words.mjs", &[]);
}
