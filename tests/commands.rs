//! "A command goes from a member to every member ranked below it, never to one
//! ranked above. Authority is judged once, at the command's own seq; the set of
//! recipients is frozen there, and every accepted command ends exactly once,
//! with one result per recipient."

mod support;

use support::Broker;

/// `cmd CH SEQ FROM FROM-RANK FROM-TERM NAME ARG…` to those below; to the
/// sender `ack CH SEQ MEMBER RANK RESULT TEXT`, then `done CH SEQ OK/SENT`.
#[test]
fn a_command_goes_down_and_its_results_come_back() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    alice.ask("/restart web 3", "ok cmd ops 4 to=2");
    bob.expect("cmd ops 4 alice 0 1 restart web 3");
    carol.expect("cmd ops 4 alice 0 1 restart web 3");
    carol.ask("ack ops 4 all  'is well'", "ok ack ops 4");
    alice.expect("ack ops 4 carol 2 0 all is well");
    alice.expect_nothing();
    bob.ask("ack ops 4 --code 17 no such unit", "ok ack ops 4");
    alice.expect_all(&["ack ops 4 bob 1 17 no such unit", "done ops 4 1/2"]);
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

/// Never to one ranked above, and not to the sender.
#[test]
fn nobody_above_sees_a_command() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    bob.ask("cmd ops go", "ok cmd ops 4 to=1");
    carol.expect("cmd ops 4 bob 1 2 go");
    carol.ask("ack ops 4 --code=-1", "ok ack ops 4");
    bob.expect_all(&["ack ops 4 carol 2 -1 ", "done ops 4 0/1"]);
    alice.ask("ack ops 4", "err *");
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

/// `rank`: "you do not outrank them, or nobody ranks below you". "A request
/// that fails changes nothing": no entry, no seq, and nobody sees a thing.
#[test]
fn a_command_without_authority_changes_nothing() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    carol.ask("/go", "err rank *");
    carol.ask("cmd ops go", "err rank *");
    bob.ask("cmd ops --to alice go", "err rank *");
    bob.ask("cmd ops --to bob go", "err rank *");
    bob.ask("cmd ops --to nobody go", "err no-member *");
    let mut olga = broker.client("olga");
    olga.ask("cmd ops go", "err not-member *");
    bob.ask("cmd ops --to olga go", "err no-member *");
    bob.ask("cmd other go", "err no-channel *");
    alice.ask("pub ops next", "ok pub ops 4");
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect("msg ops 4 alice next");
        client.expect_nothing();
    }
}

/// "`--to` one member."
#[test]
fn a_command_to_one_member_is_seen_by_that_one() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    alice.ask("cmd --to=carol ops go -v --fast", "ok cmd ops 4 to=1");
    carol.expect("cmd ops 4 alice 0 1 go -v --fast");
    bob.ask("ack ops 4", "err *");
    carol.ask("ack ops 4", "ok ack ops 4");
    alice.expect_all(&["ack ops 4 carol 2 0 ", "done ops 4 1/1"]);
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

/// Whoever joins, rises or falls after the command's seq changes nothing about
/// who gets it: here all of it happens before anybody can have read it.
#[test]
fn recipients_are_frozen_at_the_seq_of_the_command() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    // In one write, and so in one read of the broker.
    bob.send("/go\nyield ops");
    bob.expect_all(&["ok cmd ops 4 to=1", "ok yield ops rank=2 view=5"]);
    bob.expect_unordered(&["rank ops 2 5 5", "move ops 5 bob 1 2"]);
    carol.expect_unordered(&["cmd ops 4 bob 1 2 go", "rank ops 1 5 5", "move ops 5 bob 1 2"]);
    alice.expect("move ops 5 bob 1 2");
    // Alice is above at its seq, and below right after it.
    alice.send("promote ops carol\npromote ops carol");
    alice.expect_all(&["ok promote ops carol rank=0 view=6", "err rank *"]);
    alice.expect_unordered(&["rank ops 1 6 6", "move ops 6 carol 1 0"]);
    carol.expect_unordered(&["rank ops 0 6 6", "move ops 6 carol 1 0"]);
    bob.expect("move ops 6 carol 1 0");
    let mut dave = broker.client("dave");
    dave.ask("sub ops", "ok sub ops rank=3 term=7 *");
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect("join ops 7 dave 3");
    }
    dave.ask("ack ops 4", "err denied *");
    alice.ask("ack ops 4", "err denied *");
    // The result bears the rank that carol had.
    carol.ask("ack ops 4 done", "ok ack ops 4");
    bob.expect_all(&["ack ops 4 carol 2 0 done", "done ops 4 1/1"]);
    for client in [&mut alice, &mut bob, &mut carol, &mut dave] {
        client.expect_nothing();
    }
}

/// RESULT is "its code, or `timeout`, or `left`"; a late answer is refused.
#[test]
fn who_does_not_answer_in_time_is_a_timeout() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    alice.ask("cmd ops --timeout 1 go", "ok cmd ops 4 to=2");
    bob.expect("cmd ops 4 alice 0 1 go");
    carol.expect("cmd ops 4 alice 0 1 go");
    carol.ask("ack ops 4", "ok ack ops 4");
    alice.expect("ack ops 4 carol 2 0 ");
    alice.expect_all(&["ack ops 4 bob 1 timeout ", "done ops 4 1/2"]);
    bob.ask("ack ops 4", "err gone *");
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

/// Whoever leaves, however it leaves, is one result.
#[test]
fn who_leaves_is_a_result() {
    let broker = Broker::start();
    let [mut alice, mut bob, carol, mut dave, mut erin] =
        broker.team("ops", ["alice", "bob", "carol", "dave", "erin"]);
    alice.ask("/go", "ok cmd ops 6 to=4");
    alice.expect_nothing();
    bob.expect("cmd ops 6 alice 0 1 go");
    bob.ask("unsub ops", "ok unsub ops");
    alice.expect_unordered(&["ack ops 6 bob 1 left ", "left ops 7 bob 1 reason=unsub"]);
    carol.reset();
    alice.expect_unordered(&["ack ops 6 carol 2 left ", "left ops 8 carol 1 reason=lost"]);
    dave.send("quit");
    alice.expect_unordered(&["ack ops 6 dave 3 left ", "left ops 9 dave 1 reason=quit"]);
    alice.send("kick ops erin");
    alice.expect_unordered(&[
        "ok kick ops erin",
        "ack ops 6 erin 4 left ",
        "done ops 6 0/4",
        "left ops 10 erin 1 reason=kicked",
    ]);
    // Coming back is not answering.
    erin.until("left ops 10 erin 1 reason=kicked");
    erin.ask("sub ops", "ok sub ops rank=1 *");
    erin.ask("ack ops 6", "err gone *");
    alice.expect("join ops 11 erin 1");
    alice.expect_nothing();
}

/// The end of a channel is the end of its commands.
#[test]
fn a_dropped_channel_ends_its_commands() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    alice.ask("/go", "ok cmd ops 4 to=2");
    alice.ask("drop ops", "ok drop ops");
    alice.expect_unordered(&[
        "ack ops 4 bob 1 left ",
        "ack ops 4 carol 2 left ",
        "done ops 4 0/2",
        "left ops 5 alice 0 reason=dropped",
    ]);
    // What was there before is still due.
    bob.expect_all(&["cmd ops 4 alice 0 1 go", "left ops 5 bob 1 reason=dropped"]);
    carol.expect_all(&["cmd ops 4 alice 0 1 go", "left ops 5 carol 2 reason=dropped"]);
    alice.expect_nothing();
}

/// "Every accepted command ends exactly once", whatever becomes of its sender:
/// it need not be above any more, nor in the channel.
#[test]
fn the_sender_gets_its_results_wherever_it_stands() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    alice.ask("/one", "ok cmd ops 4 to=2");
    alice.ask("yield ops", "ok yield ops rank=2 view=5");
    alice.expect_unordered(&["rank ops 2 5 5", "move ops 5 alice 0 2"]);
    bob.until("move ops 5 alice 0 2");
    bob.ask("ack ops 4", "ok ack ops 4");
    alice.expect("ack ops 4 bob 1 0 ");
    alice.ask("unsub ops", "ok unsub ops");
    carol.until("left ops 6 alice 2 reason=unsub");
    carol.ask("ack ops 4", "ok ack ops 4");
    alice.expect_all(&["ack ops 4 carol 2 0 ", "done ops 4 2/2"]);
    alice.expect_nothing();
    // A sender that is gone harms nobody.
    bob.until("left ops 6 alice 2 reason=unsub");
    bob.ask("/two", "ok cmd ops 7 to=1");
    bob.close();
    carol.until("left ops 8 bob 0 reason=lost");
    carol.ask("ack ops 7", "ok ack ops 7");
    carol.expect_nothing();
}

/// One result for each recipient: the first.
#[test]
fn a_second_answer_is_refused() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    alice.ask("/go", "ok cmd ops 4 to=2");
    bob.expect("cmd ops 4 alice 0 1 go");
    bob.ask("ack ops 4 --code 3", "ok ack ops 4");
    bob.ask("ack ops 4", "err denied *");
    carol.expect("cmd ops 4 alice 0 1 go");
    carol.ask("ack ops 4", "ok ack ops 4");
    carol.ask("ack ops 4", "err gone *");
    // Nobody answers one's own command, an entry that is no command, or one yet to come.
    alice.expect_all(&["ack ops 4 bob 1 3 ", "ack ops 4 carol 2 0 ", "done ops 4 1/2"]);
    alice.ask("ack ops 4", "err *");
    bob.ask("ack ops 1", "err *");
    bob.ask("ack ops 5", "err *");
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

/// "An observer sees everything, commands nobody and obeys nobody."
#[test]
fn observers_see_commands_and_take_no_part() {
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    let mut olga = broker.client("olga");
    olga.ask("sub ops --observe", "ok sub ops *");
    olga.ask("/go", "err rank *");
    alice.ask("cmd ops --to olga go", "err *");
    alice.ask("/go", "ok cmd ops 3 to=1");
    olga.expect("cmd ops 3 alice 0 1 go");
    olga.ask("ack ops 3", "err *");
    bob.expect("cmd ops 3 alice 0 1 go");
    bob.ask("ack ops 3", "ok ack ops 3");
    alice.expect_all(&["ack ops 3 bob 1 0 ", "done ops 3 1/1"]);
    for client in [&mut alice, &mut bob, &mut olga] {
        client.expect_nothing();
    }
}

/// "`sub`: CH becomes the current channel"; "`use CH`: makes CH the current
/// channel for `/…` lines."
#[test]
fn a_slash_goes_to_the_current_channel() {
    let broker = Broker::start();
    let mut alice = broker.client("alice");
    alice.ask("/go", "err bad-request *");
    alice.ask("sub one --create", "ok sub one *");
    alice.ask("sub two --create", "ok sub two *");
    let mut bob = broker.client("bob");
    bob.ask("sub one", "ok sub one *");
    bob.ask("sub two", "ok sub two *");
    alice.expect_all(&["join one 2 bob 1", "join two 2 bob 1"]);
    alice.ask("/go", "ok cmd two 3 to=1");
    bob.expect("cmd two 3 alice 0 1 go");
    alice.ask("use one", "ok use one");
    alice.ask("/go on", "ok cmd one 3 to=1");
    bob.expect("cmd one 3 alice 0 1 go on");
    alice.ask("use three", "err no-channel *");
    bob.ask("create three", "ok create three");
    alice.ask("use three", "err not-member *");
    // The current channel is still the same one; there is none once that is left.
    alice.ask("/go", "ok cmd one 4 to=1");
    bob.expect("cmd one 4 alice 0 1 go");
    alice.ask("unsub one", "ok unsub one");
    alice.ask("/go", "err bad-request *");
    alice.expect_nothing();
}

/// "A request line is split into words as a POSIX shell splits them"; in the
/// frame "the arguments are shell-quoted", so a shell reads the same words.
#[test]
fn arguments_arrive_as_they_were_given() {
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    for (line, words) in [
        (r#"/say "two  words" it\'s '' plain"#, vec!["say", "two  words", "it's", "", "plain"]),
        (
            r#"/say '$HOME' `id` "\"" a;b '\n' #1 *"#,
            vec!["say", "$HOME", "`id`", "\"", "a;b", "\\n", "#1", "*"],
        ),
        (r#""/the name" grün €"#, vec!["the name", "grün", "€"]),
        ("cmd ops -- --go --to x", vec!["--go", "--to", "x"]),
    ] {
        let seq = support::number(&alice.ask(line, "ok cmd ops * to=1"), 3);
        let frame = bob.expect(&format!("cmd ops {seq} alice 0 1 *"));
        let rest = frame.split(' ').skip(6).collect::<Vec<_>>().join(" ");
        assert_eq!(shlex::split(&rest).unwrap_or_default(), words, "{frame}");
    }
    alice.ask("cmd ops", "err bad-request *");
    alice.ask("/", "err bad-request *");
    alice.expect_nothing();
    bob.expect_nothing();
}

/// "`quit` → everything still due to this connection": that includes the results of
/// commands that the client gave, although it is no member any more. The same holds for
/// a client that only closes its sending half.
#[test]
fn results_come_before_the_good_bye() {
    let broker = Broker::start();
    for (quits, channel) in [(true, "ops"), (false, "war")] {
        let [mut alice, mut bob] = broker.team(channel, ["alice", "bob"]);
        alice.ask("/go", &format!("ok cmd {channel} 3 to=1"));
        bob.expect(&format!("cmd {channel} 3 alice 0 1 go"));
        if quits {
            alice.send("quit");
        } else {
            alice.half_close();
        }
        bob.until(&format!("left {channel} 4 alice 0 *"));
        bob.ask(&format!("ack {channel} 3 done it"), "ok ack *");
        alice.expect_all(&[
            &format!("ack {channel} 3 bob 1 0 done it"),
            &format!("done {channel} 3 1/1"),
        ]);
        if quits {
            alice.expect("bye quit");
        }
        alice.expect_end();
        bob.ask("quit", "bye quit");
    }
}

/// A good-bye waits for results no longer than the broker drains.
#[test]
fn results_that_do_not_come_do_not_keep_the_good_bye_for_ever() {
    let broker = Broker::with(|config| config.drain = std::time::Duration::from_millis(100));
    let [mut alice, _bob] = broker.team("ops", ["alice", "bob"]);
    alice.ask("/go", "ok cmd ops 3 to=1");
    alice.send("quit");
    alice.expect("bye quit");
    alice.expect_end();
}
