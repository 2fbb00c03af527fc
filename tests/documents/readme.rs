//! What README.md says that one can do.

use super::blocks::{Block, Part, ROOT};
use super::support::eventually;
use super::terminal::{Terminal, session};
use std::process::Command;

/// A broker, as the README starts it.
pub fn broker() -> Terminal {
    let mut broker = Terminal::script("broker");
    broker.shows("… event=listening addr=127.0.0.1:7700 …");
    broker
}

/// Sends a signal to the one process whose command line contains this.
#[track_caller]
pub fn kill(signal: &str, pattern: &str) {
    // The oldest: the client, and not what it has started.
    let done = Command::new("pkill").args(["-o", "-f", signal, "--", pattern]).status().unwrap();
    assert!(done.success(), "no process {pattern}");
}

/// What a client that only looks on is answered to this line.
pub fn says(line: &str) -> String {
    let output = Command::new("broker-client").args(["-c", line]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until the roster of a channel has these members.
#[track_caller]
pub fn has_members(channel: &str, members: &[&str]) {
    eventually(&format!("{channel} has {members:?}"), || {
        let roster = says(&format!("ranks {channel}"));
        let there =
            roster.lines().filter_map(|line| line.strip_prefix("member ")?.split(' ').nth(2));
        there.eq(members.iter().copied())
    });
}

/// Opens a page in a browser that shows what it logs.
pub fn browser(arguments: &str) -> Terminal {
    Terminal::script(&format!("exec node {ROOT}/tests/page/paste.mjs {arguments}"))
}

pub fn try_it(part: &mut Part) {
    part.excuse("cargo run --release", "it makes a release build; the programs are here");
    part.excuse("cargo install --path .", "the same");
    let mut broker = Terminal::script("broker");
    broker.shows("broker … listening on 127.0.0.1:7700");
    session(&part.next("sh"), Some(part.next("text")));
}

pub fn one_machine_at_a_time(part: &mut Part) {
    let _broker = broker();
    let hold = part.next("sh");
    let mut first = Terminal::run(&hold);
    // What the two processes say may come in either order.
    first.shows_in_any_order(&part.next("text").lines().collect::<Vec<_>>());
    let mut second = Terminal::run(&hold);
    second.shows_all(&part.next("text"));
    let mut third = Terminal::run(&hold);
    third.shows("broker-client: waiting rank=2 …");
    kill("-KILL", "^broker-client hold jobs");
    second
        .shows_in_any_order(&["broker-client: running rank=0 term=4 …", "in charge since term 4"]);
    // "End a client in an orderly way, and the next one runs at once."
    second.interrupts();
    third.shows("broker-client: running rank=0 …");
    let (table, guarded) = (part.next("sql").text, part.next("sql").text);
    let payments = "CREATE TABLE payments (what TEXT, sum INTEGER);";
    for (term, paid) in [("7", "1"), ("6", "1"), ("8", "2")] {
        let made = if term == "7" { format!("{table}{payments}") } else { String::new() };
        // What a program does that looks at the number of rows.
        let (update, rest) = guarded.split_once("-- 0 rows").unwrap();
        let rest = rest.split_once('\n').unwrap().1;
        let script = format!("{made}{}", update.replace(":term", term));
        let is_current = sqlite(&format!("{script}SELECT changes(); COMMIT;")).trim() == "1";
        assert_eq!(is_current, term != "6");
        if is_current {
            sqlite(&format!("BEGIN;\n{rest}"));
        }
        assert_eq!(sqlite("SELECT count(*) FROM payments;").trim(), paid);
    }
}

fn sqlite(script: &str) -> String {
    let output = Command::new("sqlite3").args(["guard.db", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn a_chain_of_command(part: &mut Part) {
    let _broker = broker();
    let block = part.next("sh");
    let mut alice = Terminal::run(&block);
    alice.shows("alice>…");
    for line in block.typed() {
        alice.types(&line);
    }
    alice.shows("alice@ops#0>…");
    let mut bob = Terminal::run(&part.next("sh"));
    bob.shows("bob@ops#1>…");
    alice.types("/uptime -p");
    alice.shows_all(&part.next("text"));
    bob.types("/uptime");
    bob.shows("err rank nobody ranks below you in ops");
    kill("-KILL", "^broker-client --name alice");
    bob.shows_all(&part.next("text"));
}

pub fn json(part: &mut Part) {
    let _broker = broker();
    session(&part.next("sh"), Some(part.next("json")));
}

pub fn clients_of_redis(part: &mut Part) {
    let _broker = broker();
    let mut once = Terminal::run(&part.next("sh"));
    once.shows("\"1-0\"");
    once.shows("…\"unit\"");
    once.shows("…0");
    once.ends();
    let mut subscriber = Terminal::run(&part.next("sh"));
    subscriber.shows("…subscribe…");
    says("pub news from text");
    subscriber.shows("…\"from text\"");
    let block = part.next("sh");
    let mut ranked = Terminal::run(&block);
    let typed = block.typed();
    for (line, reply) in typed.iter().zip(["OK", "…\"term\" => (integer) 1", "…"]) {
        ranked.shows("127.0.0.1:7700>…");
        ranked.types(line);
        ranked.shows(reply);
    }
    ranked.shows("…the nightly job has run…");
    assert_eq!(typed.len(), 3);
}

pub fn http(part: &mut Part) {
    let _broker = broker();
    // In one terminal, one after the other.
    let all = [part.next("sh"), part.next("sh"), part.next("sh")].map(|block| block.text);
    let mut terminal = Terminal::script(&all.concat());
    for shown in [
        "…\"seq\":1…it is raining…",
        "…\"lease\":8000…",
        "…\"name\":\"restart\"…",
        "…\"text\":\"done\"…",
    ] {
        terminal.shows(shown);
    }
    terminal.ends();
    assert_eq!(says("ranks crew").lines().count(), 3);
}

pub fn web_pages(part: &mut Part) {
    let _broker = broker();
    let mut pages = ["socket.js", "events.js"].map(|name| {
        std::fs::write(name, part.next("js").text).unwrap();
        let mut page = browser(&format!("http://127.0.0.1:7700/ {name}"));
        page.shows("opened");
        page
    });
    pages[0].shows("sub …");
    let mut curl = Terminal::run(&part.next("sh"));
    curl.shows("retry: …");
    let mut boss = Terminal::script("broker-client --name boss --sub news");
    boss.shows("boss@news#1>…");
    boss.types("promote news boss");
    // Only rank 0 promotes; below it, one is commanded.
    boss.shows("err …");
    boss.types("pub news good day");
    for page in &mut pages {
        page.shows("…good day…");
    }
    curl.shows("data: …good day…");
}

pub fn rust(part: &mut Part) {
    let _broker = broker();
    let block = part.next("rust");
    let here = include_str!("readme.rs");
    for line in block.lines().filter(|line| !line.starts_with("use ")) {
        assert!(here.contains(line.trim()), "what stands there is compiled here: {line}");
    }
    futures::executor::block_on(async { library().await.unwrap() });
}

/// As it stands in the README.
async fn library() -> Result<(), ranked_broker::client::Error> {
    use futures::StreamExt;
    use ranked_broker::client::{Client, Frame};

    let (client, mut frames) = Client::connect("127.0.0.1", 7700, "worker").await?;
    client.create("jobs").await?;
    let seat = client.subscribe("jobs").await?;
    client.publish("jobs", "ready").await?;
    while let Some(frame) = frames.next().await {
        println!("{frame:?}");
        if matches!(frame, Frame::Message { .. }) {
            assert_eq!(seat.rank, Some(0));
            return Ok(());
        }
    }
    panic!("nothing came")
}

pub fn shell_scripts(part: &mut Part) {
    let _broker = broker();
    says("create news");
    let scripts = part.next("sh");
    let mut terminal = Terminal::run(&scripts);
    terminal.shows("somebody else is in charge by now");
    let mut others = [part.next("sh"), part.next("sh")].map(|block| Terminal::run(&block));
    for other in &mut others {
        other.shows("ok sub news observer…");
    }
    terminal.shows("ok sub news observer…");
    for text in ["one", "two", "three"] {
        says(&format!("pub news {text}"));
    }
    terminal.shows("…three");
    terminal.shows("channel news …");
    terminal.ends();
    for other in &mut others {
        other.shows("…three");
    }
}

pub fn jobs(part: &mut Part) {
    let _broker = broker();
    let block = part.next("sh");
    let shown = part.next("text");
    let mut alice = Terminal::run(&block);
    alice.shows("alice>…");
    for line in block.typed() {
        alice.types(&line);
    }
    // There is no network here, so that the job in the middle fails. They run side by
    // side: which of them ends first is their own affair.
    alice.shows_in_any_order(&shown.lines().filter(|line| *line != "…").collect::<Vec<_>>());
}

pub fn number_sequences(part: &mut Part) {
    let _broker = broker();
    session(&part.next("sh"), Some(part.next("text")));
    let mut typed = Terminal::run(&part.next("sh"));
    typed.shows("…");
    typed.ends();
}

pub fn nothing_lost(part: &mut Part) {
    let start = part.next("sh");
    let mut first = Terminal::run(&start);
    first.shows("… event=listening …");
    let script = part.next("sh");
    let (before, after) = script.text.split_once("broker-client -c 'history").unwrap();
    let mut terminal = Terminal::script(before);
    terminal.shows("ok pub log 2");
    terminal.ends();
    first.shows("ended: 137");
    let mut second = Terminal::run(&start);
    second.shows("… event=listening …");
    let history = Block { text: format!("broker-client -c 'history{after}"), ..script.clone() };
    session(&history, Some(part.next("text")));
    part.excuse("> hello --name alice", "what goes over the wire; tests/sessions.rs says it");
}
