//! "The term of rank 0 only ever grows, so it is the fencing token to hand to
//! databases and scripts."

mod support;

use support::{Broker, Dice, field, number};

/// "With `--term`, only if T is still rank 0's term, else `err fenced`." A member that
/// was rank 0, and does not know that it no longer is, is refused.
#[test]
fn what_is_sent_under_an_old_term_is_refused() {
    let broker = Broker::start();
    let [mut alice, mut bob, mut carol] = broker.team("ops", ["alice", "bob", "carol"]);
    alice.ask("pub --term 1 ops by alice", "ok pub ops 4");
    alice.expect("msg ops 4 alice by alice");
    // Alice yields and publishes under her old term, all in one write.
    alice.send("pub ops --term=1 again\nyield ops\npub --term 1 ops late\npub ops plain");
    alice.expect_all(&["ok pub ops 5", "ok yield ops rank=2 view=6"]);
    alice.expect_all(&["err fenced *", "ok pub ops 7"]);
    alice.expect_unordered(&[
        "msg ops 5 alice again",
        "rank ops 2 6 6",
        "move ops 6 alice 0 2",
        "msg ops 7 alice plain",
    ]);
    for client in [&mut bob, &mut carol] {
        let lines = client.until("msg ops 7 alice plain");
        assert!(lines.iter().all(|line| !line.contains("late")), "{lines:?}");
    }
    bob.ask("pub --term 6 ops mine", "ok pub ops 8");
    bob.expect("msg ops 8 bob mine");
    // Neither a term that never was, nor one to come.
    for term in ["0", "2", "5", "7", "18446744073709551615"] {
        bob.ask(&format!("pub ops --term {term} x"), "err fenced *");
    }
    bob.ask("pub --term -1 ops x", "err bad-request *");
    bob.ask("pub --term ops x", "err bad-request *");
    bob.ask("pub ops after", "ok pub ops 9");
}

/// It is the term that counts, not who says it: rank 0 may hand it to a worker
/// that is no member at all.
#[test]
fn a_term_may_be_handed_to_others() {
    let broker = Broker::start();
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    let mut worker = broker.client("worker");
    worker.ask("pub --term 1 ops done", "ok pub ops 3");
    for client in [&mut alice, &mut bob] {
        client.expect("msg ops 3 worker done");
    }
    alice.ask("unsub ops", "ok unsub ops");
    worker.ask("pub --term 1 ops late", "err fenced *");
    bob.send("unsub ops");
    bob.until("ok unsub ops");
    worker.ask("pub --term 4 ops nobody is in command", "err fenced *");
    worker.ask("pub --term 0 ops nobody is in command", "err fenced *");
}

/// "`check CH TERM`: is TERM still rank 0's term? → `ok check CH current=yes
/// term=T view=V`"
#[test]
fn check_tells_whether_a_term_is_current() {
    let broker = Broker::start();
    let mut worker = broker.client("worker");
    worker.ask("check ops 1", "err no-channel *");
    worker.ask("create ops", "ok create ops");
    worker.ask("check ops 0", "ok check ops current=no term=0 view=0");
    let [mut alice, mut bob] = broker.team("ops", ["alice", "bob"]);
    worker.ask("check ops 1", "ok check ops current=yes term=1 view=2");
    worker.ask("check ops 2", "ok check ops current=no term=1 view=2");
    alice.ask("yield", "ok yield ops rank=1 view=3");
    worker.ask("check ops 1", "ok check ops current=no term=3 view=3");
    worker.ask("check ops 3", "ok check ops current=yes term=3 view=3");
    alice.until("move *");
    alice.close();
    bob.until("left *");
    worker.ask("check ops 3", "ok check ops current=yes term=3 view=4");
    bob.close();
    support::eventually("nobody is in command", || {
        worker.send("check ops 3");
        worker.line().is_some_and(|line| line.starts_with("ok check ops current=no "))
    });
}

/// "Rank 0's term never decreases: across leave, crash, yield, promote"; it is
/// another one whenever rank 0 is another member, and "in every view exactly
/// one member holds rank 0". A random walk, the same for the same seed.
#[test]
fn the_term_of_rank_0_never_falls() {
    const SEED: u64 = 7;
    let broker = Broker::start();
    let mut dice = Dice(SEED);
    let mut olga = broker.client("olga");
    olga.ask("create ops", "ok create ops");
    let mut members = Vec::new();
    let (mut newcomers, mut last_term, mut last_top) = (0, 0, String::new());
    for step in 0..300 {
        if members.len() < 2 || (members.len() < 6 && dice.roll(4) == 0) {
            newcomers += 1;
            members.push(broker.member(&format!("m{newcomers}"), "ops"));
        }
        let at = dice.roll(members.len());
        let other =
            format!("{} {}", members[dice.roll(members.len())].label, dice.roll(members.len()));
        let request = match dice.roll(6) {
            0 => "yield ops".to_owned(),
            1 => "unsub ops".to_owned(),
            2 | 3 => format!("promote ops {other}"),
            4 => format!("kick ops {other}"),
            _ => "quit".to_owned(),
        };
        members[at].send(&request);
        // Whatever comes of it: an answer, or the end.
        while let Some(line) = members[at].line() {
            if line.starts_with("ok ") || line.starts_with("err ") || line.starts_with("bye ") {
                break;
            }
        }
        olga.send("ranks ops");
        let mut rows = olga.until("ok ranks ops *");
        let (last, count) = (rows.pop().unwrap_or_default(), rows.len());
        assert_eq!(number(&last, 3), u64::try_from(count).unwrap_or(0));
        for (rank, row) in rows.iter().enumerate() {
            assert!(row.starts_with(&format!("member ops {rank} ")), "step {step}: no gaps: {row}");
        }
        // Whoever has left is no client of this test any more.
        members
            .retain(|client| rows.iter().any(|row| row.contains(&format!(" {} ", client.label))));
        let Some(top) = rows.first() else { continue };
        let (term, name) = (field(top, "term").parse::<u64>(), top.split(' ').nth(3));
        let (term, name) = (term.unwrap_or(0), name.unwrap_or_default());
        let said = olga.ask(&format!("check ops {term}"), "ok check ops current=yes *");
        assert_eq!(field(&said, "term"), term.to_string());
        let fits = if name == last_top { term == last_term } else { term > last_term };
        assert!(fits, "step {step}: {last_top} had {last_term}, now {name} has {term}");
        (last_term, last_top) = (term, name.to_owned());
    }
    assert!(last_term > 50, "there was some walking: {last_term}");
}
