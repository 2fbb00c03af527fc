//! The text dialect: "Every request gets exactly one final reply line, in
//! request order: `ok <verb> …` or `err <code> <text for people>`."

mod support;

use support::{Broker, Client, field};

/// Every row of the request table with its reply, word for word. What this
/// broker does not serve yet says so, and does not pretend to be misspelt.
#[test]
fn every_request_and_its_reply() {
    let broker = Broker::start();
    let mut bob = broker.client("bob");
    let mut alice = broker.connect("alice");
    for (request, reply) in [
        ("hello --name alice", "ok hello name=alice *resumed=no version=1"),
        ("create ops --max 5 --history 10 --on-close fast", "ok create ops"),
        ("create ops --if-missing", "ok create ops"),
        ("sub ops --no-echo", "ok sub ops rank=0 term=1 view=1 seq=1 members=1"),
        ("sub seen --observe --create", "ok sub seen * seq=0 members=0"),
        ("sub --pattern w*", "ok sub w* matched=0"),
        ("unsub w*", "ok unsub w*"),
        ("unsub seen", "ok unsub seen"),
        ("use ops", "ok use ops"),
        ("pub ops hello world", "ok pub ops 2"),
        ("pub --term 1 ops hello", "ok pub ops 3"),
        ("pub --json ops {\"a\": [1, 2]}", "ok pub ops 4"),
        ("pub --raw ops it's  \"so\"", "ok pub ops 5"),
        ("rank", "ok rank ops 0 term=1 view=1 members=1"),
        ("rank ops", "ok rank ops 0 term=1 view=1 members=1"),
        ("yield", "ok yield ops rank=0 view=1"),
        ("promote ops alice 0", "ok promote ops alice rank=0 view=1"),
        ("check ops 1", "ok check ops current=yes term=1 view=1"),
        ("tell bob good morning", "ok tell bob"),
        ("msg bob again", "ok tell bob"),
        ("broadcast good morning all", "ok broadcast 1"),
        ("version", "ok version *protocol=1*"),
        ("stats", "ok stats *clients=2*"),
        ("ping", "ok ping lease=8000"),
        ("pong 5", ""),
        ("drop seen", "err not-member *"),
        ("kick ops bob", "err no-member *"),
        ("ack ops 9", "err gone *"),
    ] {
        alice.send(request);
        if !reply.is_empty() {
            alice.expect(reply);
        }
    }
    bob.expect_all(&["tell alice good morning", "tell alice again"]);
    bob.expect("broadcast alice good morning all");
    bob.ask("sub ops", "ok sub ops rank=1 term=6 view=6 seq=6 members=2");
    alice.expect("join ops 6 bob 1");
    alice.ask("/restart now", "ok cmd ops 7 to=1");
    bob.expect("cmd ops 7 alice 0 1 restart now");
    bob.ask("ack ops 7 --code 1 not now", "ok ack ops 7");
    alice.expect_all(&["ack ops 7 bob 1 1 not now", "done ops 7 0/1"]);
    alice.ask("cmd ops --to bob --timeout 5 stop", "ok cmd ops 8 to=1");
    bob.expect("cmd ops 8 alice 0 1 stop");
    alice.ask("kick ops bob too slow", "ok kick ops bob");
    alice.expect_unordered(&["ack ops 8 bob 1 left *", "done ops 8 0/1", "left ops 9 bob 1 *"]);
    alice.ask("drop ops", "ok drop ops");
    alice.expect("left ops 10 alice 0 reason=dropped");
    alice.ask("quit", "bye quit");
    alice.expect_end();
}

/// "List replies put their rows before the final `ok`."
#[test]
fn every_list_and_its_rows() {
    let broker = Broker::start();
    let [mut alice, _bob] = broker.team("ops", ["alice", "bob"]);
    alice.ask("create news --history 5", "ok create news");
    alice.ask("pub news hi", "ok pub news 1");
    let table: &[(&str, &[&str], &str)] = &[
        (
            "channels",
            &[
                "channel news members=0 seq=1 history=5 durable=no",
                "channel ops members=2 seq=2 history=0 durable=no",
            ],
            "ok channels 2",
        ),
        ("info news", &["channel news members=0 seq=1 history=5 durable=no *"], "ok info news"),
        (
            "ranks ops",
            &[
                "member ops 0 alice term=1 away=no since=20*Z behind=*",
                "member ops 1 bob term=2 away=no since=20*Z behind=*",
            ],
            "ok ranks ops 2 view=2",
        ),
        ("history news", &["msg news 1 alice hi"], "ok history news 1"),
        (
            "who",
            &[
                "client alice 127.0.0.1:* dialect=text since=20*Z secs=* channels=ops",
                "client bob 127.0.0.1:* dialect=text since=20*Z secs=* channels=ops",
            ],
            "ok who 2",
        ),
        ("w news", &[], "ok who 0"),
        ("clients --history", &[], "ok clients 0"),
        ("help ping", &["help ping *"], "ok help 1"),
    ];
    for (request, rows, last) in table {
        alice.send(request);
        alice.expect_all(rows);
        alice.expect(last);
    }
    alice.expect_nothing();
}

/// `help` names every verb of the protocol that is served.
#[test]
fn help_names_what_can_be_asked() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.send("help");
    let rows = alice.until("ok help *");
    for verb in [
        "hello",
        "create",
        "drop",
        "sub",
        "unsub",
        "use",
        "pub",
        "/NAME",
        "cmd",
        "ack",
        "rank",
        "ranks",
        "yield",
        "promote",
        "check",
        "kick",
        "channels",
        "info",
        "history",
        "who",
        "clients",
        "tell",
        "broadcast",
        "stats",
        "version",
        "help",
        "ping",
        "quit",
    ] {
        let start = format!("help {verb} ");
        assert_eq!(rows.iter().filter(|row| row.starts_with(&start)).count(), 1, "{verb}");
    }
    assert_eq!(rows.last().map(String::as_str), Some(&*format!("ok help {}", rows.len() - 1)));
    alice.ask("help nonsense", "err unknown-command *");
}

/// Every error code that this version can be brought to say; `internal` would
/// be a fault of the broker's own, and `busy` is in `slow_member.rs`.
#[test]
fn every_error_code() {
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    for (request, code) in [
        ("pub", "bad-request"),
        ("pub ops", "bad-request"),
        ("pub ops 'open", "bad-request"),
        ("pub ops open\\", "bad-request"),
        ("pub --json ops {", "bad-request"),
        ("pub --json ops {} {}", "bad-request"),
        ("sub", "bad-request"),
        ("sub ops extra", "bad-request"),
        ("sub ops --nonsense", "bad-request"),
        ("sub ops --from", "bad-request"),
        ("sub ops --from yesterday", "bad-request"),
        ("sub ops --create=yes", "bad-request"),
        ("cmd ops --timeout 0 go", "bad-request"),
        ("cmd ops --timeout soon go", "bad-request"),
        ("check ops one", "bad-request"),
        ("ack ops -1", "bad-request"),
        ("tell bob", "bad-request"),
        ("broadcast", "bad-request"),
        ("clients", "bad-request"),
        ("nonsense", "unknown-command"),
        ("PING", "unknown-command"),
        ("pub nowhere hi", "no-channel"),
        ("sub nowhere", "no-channel"),
        ("unsub nowhere", "no-channel"),
        ("info nowhere", "no-channel"),
        ("ranks nowhere", "no-channel"),
        ("create ops", "exists"),
        ("sub ops", "already-member"),
        ("tell nobody hi", "no-member"),
        ("promote ops nobody", "no-member"),
        ("hello --name bobby", "already-member"),
        ("pub ops --term 7 x", "fenced"),
        ("ack ops 1", "gone"),
        ("seen other 1", "no-channel"),
        ("digest ops 1 2", "gone"),
        ("digest ops 2 1", "bad-request"),
        ("fib 30", "unavailable"),
        ("cancel 1", "gone"),
        ("create d --durable", "unavailable"),
    ] {
        alice.ask(request, &format!("err {code} *"));
    }
    alice.ask(&format!("create {}", "n".repeat(129)), "err too-long *");
    alice.send_bytes(b"pub ops \xff\xfe\n");
    alice.expect("err bad-request *");
    bob.ask("/go", "err rank *");
    alice.ask("create full --max 1", "ok create full");
    alice.ask("sub full", "ok sub full *");
    bob.ask("sub full", "err full *");
    bob.ask("rank full", "err not-member *");
    alice.ask("use ops", "ok use ops");
    alice.ask("/go", "ok cmd ops 3 to=1");
    bob.expect("cmd ops 3 alice 0 1 go");
    alice.ask("ack ops 3", "err denied *");
    for n in 0..64 {
        alice.ask(&format!("sub --pattern {n}*"), "ok sub * matched=0");
    }
    alice.ask("sub --pattern x*", "err too-many *");
    alice.ask("sub --pattern 1*", "err already-member *");
    // "A request that fails changes nothing."
    alice.expect_nothing();
    bob.expect_nothing();
}

/// "A request that fails changes nothing": it makes no channel for a client that may
/// not subscribe to it.
#[test]
fn a_sub_that_fails_makes_no_channel() {
    let broker = Broker::with(|config| config.max_subscriptions = 1);
    let mut alice = broker.member("alice", "a");
    alice.ask("sub b --create", "err too-many *");
    alice.ask("sub c --create --observe", "err too-many *");
    let mut json = broker.connect("json");
    json.ask(r#"{"op":"sub","channel":"a"}"#, "{*\"ok\":true*");
    alice.expect("join *");
    json.ask(r#"{"op":"sub","channel":"d","create":true}"#, "{*\"too-many\"*");
    let mut redis = broker.redis("redis");
    redis.ask("SUBSCRIBE a", "[subscribe a :1]");
    redis.ask("SUBSCRIBE e", "-ERR too-many *");
    redis.ask("SSUBSCRIBE f", "-ERR too-many *");
    alice.send("channels");
    alice.expect_all(&["channel a *", "ok channels 1"]);
    // A client whose pattern already takes a place for the channel is in.
    let mut olga = broker.client("olga");
    olga.ask("sub --pattern n*", "ok sub n* matched=0");
    olga.ask("sub news --create", "ok sub news rank=0 *");
    olga.ask("sub next --create", "err too-many *");
    olga.expect_nothing();
}

/// "An unknown option is `err bad-request` and says so."
#[test]
fn an_unknown_option_is_named() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.ask("sub ops --creat", "err bad-request *--creat*");
    alice.ask("ping --now", "err bad-request *--now*");
    alice.ask("pub ops --hello", "err bad-request *--hello*");
}

/// "Options may stand anywhere up to the free text; a bare `--` ends them."
#[test]
fn where_options_may_stand() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.ask("sub --create ops", "ok sub ops *");
    alice.ask("pub --term=1 ops a", "ok pub ops 2");
    alice.expect("msg ops 2 alice a");
    for (request, text) in [
        ("pub ops --term 1 b --term 9", "b --term 9"),
        ("pub --term 1 -- ops c", "c"),
        ("pub ops -- --hello", "--hello"),
        ("pub ops -- -- x", "-- x"),
        ("pub ops d -- e", "d -- e"),
        ("pub --raw --term 1 ops --f  'g", "--f  'g"),
        ("pub --json ops  \"h\" ", " \"h\" "),
    ] {
        alice.ask(request, "ok pub ops *");
        alice.expect(&format!("msg ops * alice {text}"));
    }
    alice.expect_nothing();
}

/// "A request line is split into words as a POSIX shell splits them", and "the
/// words [are] joined by one blank". "A line whose first non-blank character
/// is `#` is a comment; elsewhere `#` is an ordinary character. Blank lines are
/// ignored." Lines end in LF or CRLF.
#[test]
fn words_comments_and_blank_lines() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    for (request, text) in [
        ("pub ops   two \t words  ", "two words"),
        ("  pub ops indented", "indented"),
        ("pub ops 'two  blanks' \"it's\" a\\ b", "two  blanks it's a b"),
        ("pub ops # no comment #1", "# no comment #1"),
        ("pub ops grün 😀 'ü'", "grün 😀 ü"),
        ("pub ops ''", ""),
        ("pub ops carriage\r", "carriage"),
        ("pub ops $HOME `id` a;b > c & *", "$HOME `id` a;b > c & *"),
    ] {
        alice.ask(request, "ok pub ops *");
        alice.expect(&format!("msg ops * alice {text}"));
    }
    for ignored in ["", "   ", "\t", "\r", "# a comment", "  # one more 'open", "#"] {
        alice.send(ignored);
    }
    alice.expect_nothing();
}

/// One final reply for each request, in request order, however many are sent
/// at once; "on one connection a reply comes before the frames that its own
/// request causes there".
#[test]
fn replies_come_in_request_order() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.send("sub ops --create\npub ops one\nnonsense\npub ops two\n# nothing\n\npub no x\nrank");
    alice.send("pub ops three\nchannels\nunsub ops\npub ops four\nping");
    let mut replies = Vec::new();
    let mut frames = Vec::new();
    while replies.len() < 11 {
        let line = alice.line().expect("a line");
        if line.starts_with("ok ") || line.starts_with("err ") {
            replies.push(line);
        } else if line.starts_with("msg ") {
            let reply = format!("ok pub ops {}", support::number(&line, 2));
            assert!(replies.contains(&reply), "{line} before its reply");
            frames.push(line);
        }
    }
    let expected = [
        "ok sub ops *",
        "ok pub ops 2",
        "err unknown-command *",
        "ok pub ops 3",
        "err no-channel *",
        "ok rank ops 0 *",
        "ok pub ops 4",
        "ok channels 1",
        "ok unsub ops",
        "ok pub ops 6",
        "ok ping *",
    ];
    for (reply, pattern) in replies.iter().zip(expected) {
        assert!(support::matches(pattern, reply), "{reply} instead of {pattern}");
    }
    while frames.len() < 3 {
        frames.push(alice.line().expect("what was there before it left is due"));
    }
    assert_eq!(frames, ["msg ops 2 alice one", "msg ops 3 alice two", "msg ops 4 alice three"]);
    alice.expect_nothing();
}

/// "`--quiet` suppresses the `ok` of `pub` and `ack` only."
#[test]
fn quiet_leaves_out_two_replies_and_no_error() {
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    alice.ask("/go", "ok cmd ops 3 to=1");
    bob.expect("cmd ops 3 alice 0 1 go");
    bob.ask("hello --quiet", "ok hello name=bob *");
    bob.ask("pub ops hi", "msg ops 4 bob hi");
    bob.send("ack ops 3");
    bob.ask("ack ops 3", "err gone *");
    bob.ask("pub nowhere hi", "err no-channel *");
    alice.expect_unordered(&["msg ops 4 bob hi", "ack ops 3 bob 1 0 ", "done ops 3 1/1"]);
    bob.ask("rank", "ok rank ops 1 *");
    bob.expect_nothing();
}

/// "A member's name is unique on the broker; without `hello --name` it is
/// `guest-1`, `guest-2` …" A name is free again when its bearer has gone.
#[test]
fn names_are_unique() {
    let broker = Broker::start();
    let mut first = broker.connect("first");
    let name = field(&first.ask("hello", "ok hello name=guest-1 *"), "name");
    let mut second = broker.connect("second");
    second.ask("hello", "ok hello name=guest-2 *");
    second.ask(&format!("hello --name {name}"), "err name-taken *");
    second.ask("hello --name guest-3", "ok hello name=guest-3 *");
    let mut third: Client = broker.connect("third");
    let name = field(&third.ask("hello", "ok hello name=guest-*"), "name");
    assert_ne!(name, "guest-3", "somebody else has it");
    first.ask("hello --name alice", "ok hello name=alice *");
    third.ask("hello --name alice", "err name-taken *");
    first.ask("quit", "bye quit");
    support::eventually("the name is free", || {
        third.send("hello --name alice");
        third.line().is_some_and(|line| line.starts_with("ok hello name=alice "))
    });
    // Others know a member by its name: it keeps it.
    third.ask("sub ops --create", "ok sub ops *");
    third.ask("hello --name bob", "err *");
    third.ask("hello --name alice", "ok hello name=alice *");
}
