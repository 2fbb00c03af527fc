//! Every limit, at its edge and one past it. "A connection beyond
//! `--max-clients` is answered `err full …` in its own dialect and closed."

mod support;

use support::Broker;

/// One past the last place is refused; when somebody leaves, there is a place.
#[test]
fn max_clients() {
    let broker = Broker::with(|config| config.max_clients = 2);
    let mut alice = broker.client("alice");
    let mut bob = broker.client("bob");
    for (says, hears) in [
        ("hello\n", "err full *\nbye full\n"),
        (
            "{\"op\":\"ping\"}\n",
            "{*\"ok\":false,\"error\":{\"code\":\"full\",*}}\n{\"frame\":\"bye\",\"reason\":\"full\"}\n",
        ),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 *\r\n*\r\n\r\n{*\"code\":\"full\",*}*"),
        ("*1\r\n$4\r\nPING\r\n", "-ERR full *\r\n"),
        ("INIT,x\n", "ERR,full *;"),
    ] {
        let mut late = broker.connect("late");
        late.send_bytes(says.as_bytes());
        let heard = String::from_utf8(late.rest()).expect("UTF-8");
        assert!(support::matches(hears, &heard), "{says:?} is answered {heard:?}");
    }
    let mut late = broker.connect("late");
    late.send_bytes(b"\x16\x03\x01\x00\x05hello");
    // A fatal TLS alert.
    assert_eq!(late.rest()[..6], [21, 3, 3, 0, 2, 2]);
    // Those that are here notice nothing.
    alice.expect_nothing();
    bob.ask("quit", "bye quit");
    bob.expect_end();
    // Bob is out of the books a moment after his socket is closed.
    support::eventually("there is a place again", || {
        let mut carol = broker.connect("carol");
        carol.send("ping");
        carol.line().is_some_and(|line| line.starts_with("ok ping "))
    });
}

/// A refused client that says nothing is let go as well, with an answer that anybody
/// can read.
#[test]
fn who_is_refused_and_says_nothing_is_answered() {
    let broker = Broker::with(|config| config.max_clients = 1);
    let mut alice = broker.client("alice");
    let mut late = broker.connect("late");
    late.expect_all(&["err full *", "bye full"]);
    late.expect_end();
    alice.expect_nothing();
}

/// "UTF-8 lines at most 64 KiB by default": the length is without LF or CRLF.
/// A line past it is answered, and the connection goes on.
#[test]
fn max_line() {
    const MAX: usize = 1_000;
    let broker = Broker::with(|config| config.max_line = MAX);
    let mut alice = broker.member("alice", "ops");
    let longest = "x".repeat(MAX - "pub ops ".len());
    for end in ["\n", "\r\n"] {
        alice.send_bytes(format!("pub ops {longest}{end}").as_bytes());
        alice.expect("ok pub ops *");
        alice.expect(&format!("msg ops * alice {longest}"));
        alice.send_bytes(format!("pub ops {longest}x{end}ping{end}").as_bytes());
        alice.expect_all(&["err too-long *", "ok ping *"]);
    }
    // A comment is a line too; a blank line is none.
    alice.send_bytes(format!("#{}\n\n", "x".repeat(MAX - 1)).as_bytes());
    alice.expect_nothing();
    alice.ask(&format!("#{}", "x".repeat(MAX)), "err too-long *");
    alice.expect_nothing();
}

/// "Only `too-long` while still unterminated … close[s] the connection, after
/// `bye` with the reason." What came before is answered.
#[test]
fn a_line_without_an_end() {
    const MAX: usize = 1_000;
    let broker = Broker::with(|config| config.max_line = MAX);
    let mut alice = broker.client("alice");
    let mut line = b"ping\n".to_vec();
    line.resize(line.len() + MAX, b'x');
    alice.send_bytes(&line);
    alice.expect("ok ping *");
    alice.send_bytes(&[b'x'; 10]);
    alice.expect_all(&["err too-long *", "bye too-long"]);
    alice.expect_end();
}

/// One channel past the last is `full`; a dropped one makes room.
#[test]
fn max_channels() {
    let broker = Broker::with(|config| config.max_channels = 2);
    let mut alice = broker.client("alice");
    alice.ask("create one", "ok create one");
    alice.ask("sub two --create", "ok sub two *");
    alice.ask("create three", "err full *");
    alice.ask("sub three --create", "err full *");
    alice.ask("create one", "err exists *");
    alice.ask("create one --if-missing", "ok create one");
    alice.ask("drop two", "ok drop two");
    alice.expect("left two 2 alice 0 reason=dropped");
    alice.ask("create three", "ok create three");
    alice.ask("create two", "err full *");
    alice.expect_nothing();
}

/// `create --max N`, and the broker's own limit; observers take a place too.
#[test]
fn max_members() {
    let broker = Broker::with(|config| config.max_members = 3);
    let mut alice = broker.client("alice");
    let mut bob = broker.client("bob");
    let mut carol = broker.client("carol");
    alice.ask("create two --max 2", "ok create two");
    alice.ask("sub two", "ok sub two rank=0 *");
    bob.ask("sub two", "ok sub two rank=1 *");
    alice.expect("join two 2 bob 1");
    carol.ask("sub two", "err full *");
    carol.ask("sub two", "err full *");
    carol.ask("pub two hi", "ok pub two 3");
    alice.expect("msg two 3 carol hi");
    bob.expect("msg two 3 carol hi");
    alice.ask("unsub two", "ok unsub two");
    carol.ask("sub two", "ok sub two rank=1 *");
    // The broker's limit holds where the channel has none, or a higher one.
    let mut dave = broker.client("dave");
    dave.ask("create many --max 100", "ok create many");
    for client in [&mut alice, &mut carol, &mut dave] {
        client.send("sub many");
        client.until("ok sub many *");
    }
    bob.until("join two 5 carol 1");
    bob.ask("sub many", "err full *");
    bob.ask("create none --max 0", "err bad-request *");
    bob.expect_nothing();
}

/// One subscription past the last is `too-many`; one less makes room.
#[test]
fn max_subscriptions() {
    let broker = Broker::with(|config| config.max_subscriptions = 2);
    let mut alice = broker.client("alice");
    alice.ask("sub one --create", "ok sub one *");
    alice.ask("sub two --create --observe", "ok sub two *");
    alice.ask("create three", "ok create three");
    alice.ask("sub three", "err too-many *");
    alice.ask("sub three --observe", "err too-many *");
    alice.ask("unsub one", "ok unsub one");
    alice.ask("sub three", "ok sub three rank=0 *");
    alice.ask("sub one", "err too-many *");
    alice.expect_nothing();
}

/// "Names of channels and members: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 128
/// bytes."
#[test]
fn names() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    let longest = "n".repeat(128);
    alice.ask(&format!("create {longest}"), &format!("ok create {longest}"));
    alice.ask(&format!("create {longest}n"), "err too-long *");
    alice.ask(&format!("hello --name {longest}"), &format!("ok hello name={longest} *"));
    alice.ask(&format!("hello --name {longest}n"), "err too-long *");
    for good in ["a", "0", "A.b_c-d", "9..", "x-"] {
        alice.ask(&format!("create {good}"), &format!("ok create {good}"));
    }
    for bad in ["-", ".a", "_a", "'a b'", "a/b", "a*", "ä", "''", "a,b", "a=b"] {
        alice.ask(&format!("create -- {bad}"), "err bad-request *");
        alice.ask(&format!("hello --name={bad}"), "err bad-request *");
        alice.ask(&format!("sub --create -- {bad}"), "err *");
    }
    alice.send("channels");
    let rows = alice.until("ok channels *");
    assert_eq!(rows.len(), 7, "{rows:?}");
    alice.expect_nothing();
}

/// `--history N` keeps N entries: messages, and whatever else took a seq.
#[test]
fn history_is_exactly_as_long_as_asked_for() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.ask("create ops --history 3", "ok create ops");
    for n in 1..=3 {
        alice.ask(&format!("pub ops {n}"), &format!("ok pub ops {n}"));
    }
    alice.send("history ops");
    alice.expect_all(&["msg ops 1 alice 1", "msg ops 2 alice 2", "msg ops 3 alice 3"]);
    alice.expect("ok history ops 3");
    alice.ask("pub ops 4", "ok pub ops 4");
    alice.send("history ops");
    alice.expect_all(&["msg ops 2 alice 2", "msg ops 3 alice 3", "msg ops 4 alice 4"]);
    alice.expect("ok history ops 3");
    // One batch is one chunk of the log; the history is in entries all the same.
    alice.send("pub ops 5\npub ops 6\npub ops 7\npub ops 8\nhistory ops");
    alice.expect_all(&["ok pub ops 5", "ok pub ops 6", "ok pub ops 7", "ok pub ops 8"]);
    alice.expect_all(&["msg ops 6 alice 6", "msg ops 7 alice 7", "msg ops 8 alice 8"]);
    alice.expect("ok history ops 3");
    // None is kept where none is asked for.
    alice.ask("create none", "ok create none");
    alice.ask("pub none 1", "ok pub none 1");
    alice.ask("history none", "ok history none 0");
    alice.expect_nothing();
}

/// A few short requests may have very long replies. In every dialect, these wait until
/// what was answered before has been read, and so harm nobody.
#[test]
fn replies_that_nobody_reads() {
    const ASKED: usize = 2_000;
    let mut broker = Broker::process();
    let mut alice = broker.client("alice");
    alice.ask("create long --history 40", "ok create long");
    let message = "x".repeat(30_000);
    for seq in 1..=40 {
        alice.ask(&format!("pub long {message}"), &format!("ok pub long {seq}"));
    }
    let before = broker.child().peak_memory();
    let requests = [
        "history long\n",
        "{\"op\":\"history\",\"channel\":\"long\"}\n",
        "*2\r\n$7\r\nHISTORY\r\n$4\r\nlong\r\n",
    ];
    let unread: Vec<_> = requests
        .map(|request| {
            let mut client = broker.connect("unread");
            client.send_bytes(request.repeat(ASKED).as_bytes());
            client
        })
        .into();
    alice.ask("ping", "ok ping *");
    let grown = broker.child().peak_memory() - before;
    assert!(grown < 64 << 20, "it has grown by {grown} bytes");
    // A client that reads gets all of them, even after it has closed its sending half.
    drop(unread);
    let mut reader = broker.connect("reader");
    reader.send_bytes("history long --last 4\n".repeat(300).as_bytes());
    reader.half_close();
    let heard = String::from_utf8(reader.rest()).expect("UTF-8");
    assert_eq!(heard.matches("ok history long").count(), 300);
}

/// Observers that came and went are forgotten even where nobody publishes.
#[test]
fn observers_that_come_and_go_leave_nothing() {
    let mut broker = Broker::process();
    let mut alice = broker.member("alice", "ops");
    let mut bob = broker.member("bob", "ops");
    let mut carl = broker.member("carl", "ops");
    alice.expect_all(&["join ops 2 bob 1", "join ops 3 carl 2"]);
    bob.expect("join ops 3 carl 2");
    let session = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let mut olga = broker.connect("olga");
    olga.ask(&format!("hello --name olga --session {session}"), "ok hello *");
    let before = broker.child().peak_memory();
    for _ in 0..100 {
        olga.send_bytes("sub ops --observe\nunsub ops\n".repeat(2_000).as_bytes());
        for _ in 0..2_000 {
            olga.expect_all(&["ok sub ops *", "ok unsub ops"]);
        }
    }
    let grown = broker.child().peak_memory() - before;
    assert!(grown < 8 << 20, "it has grown by {grown} bytes");
    carl.expect_nothing();
}
