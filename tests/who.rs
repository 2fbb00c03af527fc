//! Who is here, who was, and words between clients.

mod support;

use support::{Broker, field};

/// "`who` (or `w`) `[CH]`: rows `client NAME ADDR dialect=text since=RFC3339
/// secs=12 channels=a,b` → `ok who N`"
#[test]
fn who_lists_those_that_are_here() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "one");
    alice.ask("sub two --create", "ok sub two *");
    let mut olga = broker.client("olga");
    olga.ask("sub two --observe", "ok sub two *");
    let addr = olga.stream.local_addr().expect("an address");
    let row = |name, addr: &str, channels| {
        format!("client {name} {addr} dialect=text since=20*-*-*T*:*:*Z secs=* channels={channels}")
    };
    let alice_row = row("alice", "127.0.0.1:*", "one,two");
    let olga_row = row("olga", &addr.to_string(), "two");
    for (request, rows) in [
        ("who", vec![&alice_row, &olga_row]),
        ("w", vec![&alice_row, &olga_row]),
        ("who one", vec![&alice_row]),
        ("w two", vec![&alice_row, &olga_row]),
    ] {
        olga.send(request);
        for row in &rows {
            olga.expect(row);
        }
        olga.expect(&format!("ok who {}", rows.len()));
    }
    olga.ask("who nowhere", "err no-channel *");
    // A guest that has joined nothing has an empty list.
    let mut guest = broker.connect("guest");
    guest.send("who");
    let rows = guest.until("ok who 3");
    assert!(support::matches("client guest-* channels=", &rows[2]), "{rows:?}");
}

/// "`clients --history [--last N]`: past connections, rows `client NAME ADDR
/// since=… until=… secs=… reason=…`"
#[test]
fn past_connections_are_remembered_with_their_reason() {
    let broker = Broker::with(|config| config.max_line = 100);
    let mut alice = broker.client("alice");
    let mut past = 0;
    let mut is_over = |past: usize| {
        support::eventually("a connection is over", || {
            alice.send("clients --history");
            alice.until("ok clients *").len() == past + 1
        });
    };
    for (name, end) in [("quitter", 0), ("loser", 1), ("resetter", 2), ("talker", 3)] {
        let mut client = broker.client(name);
        match end {
            0 => drop(client.ask("quit", "bye quit")),
            1 => client.close(),
            2 => client.reset(),
            _ => client.send_bytes(&[b'x'; 200]),
        }
        past += 1;
        is_over(past);
    }
    alice.send("clients --history");
    for (name, reason) in
        [("quitter", "quit"), ("loser", "lost"), ("resetter", "lost"), ("talker", "too-long")]
    {
        alice
            .expect(&format!("client {name} 127.0.0.1:* since=*Z until=*Z secs=* reason={reason}"));
    }
    alice.expect("ok clients 4");
    alice.send("clients --history --last 2");
    alice.expect_all(&["client resetter *", "client talker *", "ok clients 2"]);
    alice.expect_nothing();
}

/// "`tell MEMBER TEXT…` (or `msg`): a private message." "`broadcast TEXT…`: to
/// every connected client but yourself → `ok broadcast N`"
#[test]
fn words_between_clients() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    let mut bob = broker.client("bob");
    let mut carol = broker.client("carol");
    alice.ask("tell bob good  'old  friend'", "ok tell bob");
    bob.expect("tell alice good old  friend");
    bob.ask("msg alice hi", "ok tell alice");
    alice.expect("tell bob hi");
    alice.ask("tell alice note to self", "ok tell alice");
    alice.expect("tell alice note to self");
    alice.ask("tell nobody hi", "err no-member *");
    carol.expect_nothing();
    carol.ask("broadcast lunch is ready", "ok broadcast 2");
    alice.expect("broadcast carol lunch is ready");
    bob.expect("broadcast carol lunch is ready");
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

/// The figures count what has happened.
#[test]
fn stats_count() {
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    for n in 0..5 {
        alice.ask(&format!("pub ops {n}"), "ok pub *");
        alice.expect("msg ops *");
        bob.expect("msg ops *");
    }
    alice.ask("/go", "ok cmd ops 8 to=1");
    bob.expect("cmd ops 8 *");
    bob.ask("nonsense", "err *");
    let stats = alice.ask("stats", "ok stats *");
    for (figure, count) in [
        ("clients", "2"),
        ("channels", "1"),
        ("connections", "2"),
        ("refused", "0"),
        ("published", "5"),
        ("commands", "1"),
        ("gaps", "0"),
        ("faults", "1"),
    ] {
        assert_eq!(field(&stats, figure), count, "{figure}");
    }
}

/// What is for one client alone reaches no other, even if its connection
/// breaks at the very moment. Once, the frames of such a connection were left
/// in a buffer that the next one on the same thread used, and were sent there.
#[test]
fn what_is_told_to_one_reaches_no_other() {
    let broker = Broker::start();
    let mut bob = broker.client("bob");
    let mut others: Vec<_> = (0..4).map(|n| broker.client(&format!("other{n}"))).collect();
    for round in 0..150 {
        let eve = broker.client(&format!("eve{round}"));
        let secrets = format!("tell eve{round} a secret\n").repeat(20);
        bob.send(&(secrets + "ping"));
        eve.reset();
        for other in &mut others {
            other.expect_nothing();
        }
        for line in bob.until("ok ping *") {
            let is_reply = ["ok tell eve", "err no-member ", "err busy ", "ok ping "];
            assert!(is_reply.iter().any(|start| line.starts_with(start)), "{line}");
        }
    }
}

/// A client that has heard the good-bye may come back at once under the same name,
/// however slowly the old connection dies.
#[test]
fn a_name_is_free_with_the_good_bye() {
    let broker = Broker::start();
    for _ in 0..50 {
        let mut alice = broker.client("alice");
        alice.ask("quit", "bye quit");
        let mut again = broker.client("alice");
        again.ask("quit", "bye quit");
        drop(alice);
    }
}
