//! Promise 4: durable means durable. And promise 5 with a restart in between:
//! seqs and terms never go back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use sha2::{Digest, Sha256};
use support::{
    Broker, Child, Client, SESSION, Small, eventually, field, inject, number, with_failures,
};

/// A broker on this directory whose members from before have lost their seats.
fn vacant(dir: &std::path::Path) -> Broker {
    let broker = Broker::keeping(dir, &["--restart-grace", "1ms"]);
    let mut witness = broker.connect("witness");
    eventually("all seats are given up", || {
        witness.send("channels");
        let rows = witness.until("ok channels *");
        rows[..rows.len() - 1].iter().all(|row| field(row, "members") == "0")
    });
    broker
}

/// All rows of `history`, without its last line.
fn history(client: &mut Client, request: &str) -> Vec<String> {
    client.send(request);
    let mut rows = client.until("ok history *");
    rows.pop();
    rows
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = Broker::keeping(dir.path(), &[]);
    let mut alice = before.client("alice");
    alice.ask("create log --durable", "ok create log");
    let mut sender = alice.sender();
    let flood = std::thread::spawn(move || {
        for n in 0..20_000 {
            sender.send(&format!("pub log message {n}"));
        }
    });
    let mut acknowledged = 0;
    while acknowledged < 3_000 {
        let line = alice.expect("ok pub log *");
        assert_eq!(number(&line, 3), acknowledged + 1);
        acknowledged += 1;
    }
    before.child().kill();
    // The flood ends with the connection.
    let _ = flood.join();
    drop(before);

    let after = Broker::keeping(dir.path(), &[]);
    let mut bob = after.client("bob");
    let rows = history(&mut bob, "history log");
    assert!(rows.len() >= 3_000, "{} of 3000 are there", rows.len());
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(*row, format!("msg log {} alice message {n}", n + 1));
    }
    let next = rows.len() + 1;
    bob.ask("pub log more", &format!("ok pub log {next}"));
}

#[test]
fn seqs_and_terms_never_go_back_also_where_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Broker::keeping(dir.path(), &[]);
    let mut alice = first.client("alice");
    alice.ask("sub plain --create --no-echo", "ok sub plain rank=0 term=1 *");
    alice.ask("create kept --durable", "ok create kept");
    alice.ask("sub kept --no-echo", "ok sub kept rank=0 term=1 *");
    for n in 2..10 {
        alice.ask("pub plain x", &format!("ok pub plain {n}"));
        alice.ask("pub kept x", &format!("ok pub kept {n}"));
    }
    first.child().kill();
    let mut second = vacant(dir.path());
    let mut bob = second.client("bob");
    // The channel was lost, so its first seq is far above whatever was given out.
    let joined = bob.ask("sub plain --no-echo", "ok sub plain rank=0 *");
    assert!(field(&joined, "term").parse::<u64>().unwrap() > 1 << 20, "{joined}");
    let joined = bob.ask("sub kept --no-echo", "ok sub kept rank=0 *");
    assert!(field(&joined, "term").parse::<u64>().unwrap() >= 10, "{joined}");
    let published = bob.ask("pub plain x", "ok pub plain *");
    let seq = number(&published, 3);
    // After a stop in order, it goes on where it was.
    second.child().signal("TERM");
    second.child().ended();
    let third = vacant(dir.path());
    let mut carol = third.client("carol");
    let published = carol.ask("pub plain x", "ok pub plain *");
    assert!((seq + 1..seq + 6).contains(&number(&published, 3)), "{seq} then {published}");
    // A channel that was dropped does not begin again at 1 either.
    carol.ask("sub kept --no-echo", "ok sub kept rank=0 *");
    let last = number(&carol.ask("pub kept y", "ok pub kept *"), 3);
    carol.ask("drop kept", "ok drop kept");
    carol.until("left kept *");
    carol.ask("create kept --durable", "ok create kept");
    let again = number(&carol.ask("pub kept z", "ok pub kept *"), 3);
    assert!(again > last, "{again} after {last}");
}

#[test]
fn a_reader_goes_from_disk_to_memory_without_a_seam() {
    let dir = tempfile::tempdir().unwrap();
    // Memory holds a few hundred of these.
    let broker = Broker::keeping(dir.path(), &["--log-bytes", "64KiB"]);
    let mut alice = broker.client("alice");
    alice.ask("create log --durable", "ok create log");
    let mut sender = alice.sender();
    let count = 20_000;
    let flood = std::thread::spawn(move || {
        for n in 1..=count {
            sender.send(&format!("pub log {n}-{}", "x".repeat(100)));
        }
    });
    for n in 1..=count / 2 {
        alice.expect(&format!("ok pub log {n}"));
    }
    // It begins on disk, while more comes.
    let mut bob = broker.client("bob");
    bob.ask("sub log --observe --from first", "ok sub log *");
    for n in 1..=count {
        let line = bob.expect("msg log *");
        assert_eq!((number(&line, 2), line.contains(&format!(" {n}-x"))), (n, true), "{line}");
    }
    for n in count / 2 + 1..=count {
        alice.expect(&format!("ok pub log {n}"));
    }
    flood.join().unwrap();
    alice.ask("pub log last", &format!("ok pub log {}", count + 1));
    bob.expect(&format!("msg log {} alice last", count + 1));
    // From the middle, and the last of it.
    let mut carol = broker.client("carol");
    carol.ask("sub log --from 7000 --observe", "ok sub log *");
    for n in 7_000..=count + 1 {
        assert_eq!(number(&carol.expect("msg log *"), 2), n);
    }
    let rows = history(&mut carol, "history log --last 15000");
    assert_eq!(rows.len(), 15_000);
    assert_eq!(number(&rows[0], 2), count + 1 - 14_999);
}

#[test]
fn nothing_is_seen_that_could_be_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = Broker::keeping(dir.path(), &[]);
    let mut alice = before.client("alice");
    let mut bob = before.client("bob");
    alice.ask("create log --durable", "ok create log");
    bob.ask("sub log", "ok sub log rank=0 term=1 *");
    let mut sender = alice.sender();
    let flood = std::thread::spawn(move || {
        for n in 0..20_000 {
            sender.send(&format!("pub log {n}"));
        }
    });
    let mut seen = Vec::new();
    while seen.len() < 2_000 {
        seen.push(bob.expect("msg log *"));
    }
    before.child().kill();
    let _ = flood.join();
    // What was on its way to bob by then counts as well.
    while let Some(line) = bob.line() {
        seen.push(line);
    }
    let after = Broker::keeping(dir.path(), &[]);
    let mut carol = after.client("carol");
    let rows = history(&mut carol, "history log --from 2");
    for (row, line) in rows.iter().zip(&seen) {
        assert_eq!(row, line);
    }
    assert!(rows.len() >= seen.len(), "{} of {} that were seen", rows.len(), seen.len());
}

/// The digest of the messages `a\b 1`, `a\b 2`, … with these numbers.
fn digest_of(numbers: std::ops::RangeInclusive<u32>) -> String {
    let mut sum = Sha256::new();
    numbers.for_each(|n| sum.update(format!("a\\b {n}\n")));
    format!("{:x}", sum.finalize())
}

#[test]
fn a_digest_is_the_same_from_disk_and_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &["--log-bytes", "64KiB"]);
    let mut alice = broker.client("alice");
    alice.ask("create log --durable", "ok create log");
    alice.ask("create plain --history 100000", "ok create plain");
    for n in 1..=3_000 {
        alice.send(&format!("pub log a\\\\b {n}"));
    }
    alice.until("ok pub log 3000");
    for n in 1..=300 {
        alice.send(&format!("pub plain a\\\\b {n}"));
    }
    alice.until("ok pub plain 300");
    let of_plain = alice.ask("digest plain 1 300", "ok digest plain 1 300 count=300 sha256=*");
    let of_log = alice.ask("digest log 1 300", "ok digest log 1 300 count=300 sha256=*");
    assert_eq!(field(&of_plain, "sha256"), field(&of_log, "sha256"));
    assert_eq!(field(&of_log, "sha256"), digest_of(1..=300));
    let two = alice.ask("digest plain 1 2", "ok digest plain 1 2 count=2 sha256=*");
    // What `printf 'a\\b 1\na\\b 2\n' | sha256sum` says.
    let sum = "92fae903cd26c59a8c110794d9c5299d2107a3ca6c528a97711a64b4bc6e2944";
    assert_eq!(field(&two, "sha256"), sum);
    let rest = alice.ask("digest log 2 9000", "ok digest log 2 3000 count=2999 sha256=*");
    assert_eq!(field(&rest, "sha256"), digest_of(2..=3_000));
    alice.ask("digest log 5 4", "err bad-request *");
}

#[test]
fn what_is_kept_is_as_much_as_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &["--log-bytes", "64KiB"]);
    let mut alice = broker.client("alice");
    alice.ask("create few --durable --history 100", "ok create few");
    alice.ask("create all --durable", "ok create all");
    alice.ask("create small --durable --history-bytes 20000", "ok create small");
    for name in ["few", "all", "small"] {
        for n in 1..=2_000 {
            alice.send(&format!("pub {name} {n} {}", "x".repeat(50)));
            if n % 100 == 0 {
                alice.until(&format!("ok pub {name} {n}"));
            }
        }
    }
    assert_eq!(history(&mut alice, "history few").len(), 100);
    assert_eq!(history(&mut alice, "history all").len(), 2_000);
    let small = history(&mut alice, "history small").len();
    assert!((100..1_900).contains(&small), "{small}");
    let mut bob = broker.client("bob");
    bob.ask("sub few --from 1 --observe", "ok sub few *");
    let gap = bob.expect("gap few 1 *");
    assert_eq!(number(&bob.expect("msg few *"), 2), number(&gap, 3) + 1);
    alice.ask("channels", "channel all members=0 seq=2000 history=all durable=yes");
}

#[test]
fn a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Broker::keeping(dir.path(), &[]);
    let mut second = Child::run(&["127.0.0.1", "0", "--data", dir.path().to_str().unwrap()]);
    assert!(!second.ended().success());
    let complaint = second.complaint();
    assert!(complaint.contains("is in use by another broker"), "{complaint}");
    assert!(complaint.contains(dir.path().to_str().unwrap()), "{complaint}");
}

#[test]
fn a_full_disk_stops_durable_channels_only_and_only_while_it_is_full() {
    let Some(disk) = Small::mount() else { return };
    let dir = disk.path().join("data");
    let mut before = Broker::keeping(&dir, &[]);
    let mut alice = before.client("alice");
    alice.ask("create log --durable", "ok create log");
    alice.ask("create plain", "ok create plain");
    alice.ask("pub log 1", "ok pub log 1");
    // Nothing is left, not even the margin: writes fail in earnest.
    disk.fill();
    let mut acknowledged = vec![1];
    let refused = loop {
        let n = acknowledged.len() + 1;
        alice.send(&format!("pub log {} {}", n, "x".repeat(20_000)));
        let line = alice.line().unwrap();
        if !line.starts_with("ok pub") {
            break line;
        }
        acknowledged.push(number(&line, 3));
    };
    assert!(refused.starts_with("err unavailable "), "{refused}");
    assert!(refused.contains("room") || refused.contains("space"), "{refused}");
    alice.ask("pub plain works on", "ok pub plain 1");
    let rows = history(&mut alice, "history log");
    assert_eq!(rows.len(), acknowledged.len());
    disk.make_room();
    support::eventually("it heals", || {
        alice.send("pub log healed");
        alice.line().unwrap().starts_with("ok pub log")
    });
    before.child().kill();
    let after = Broker::keeping(&dir, &[]);
    let mut bob = after.client("bob");
    let rows = history(&mut bob, "history log");
    let seqs: Vec<u64> = rows.iter().map(|row| number(row, 2)).collect();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
    assert!(acknowledged.iter().all(|seq| seqs.contains(seq)), "{acknowledged:?}");
    assert!(rows.last().unwrap().ends_with(" healed"), "{rows:?}");
}

/// Regression: all that had come and gone while nothing could be written was to be
/// written afterwards, at once, and that was more than there was room for.
#[test]
fn sessions_that_have_come_and_gone_keep_no_store_from_healing() {
    const KEYS: usize = 4_000;
    let Some(disk) = Small::mount() else { return };
    let broker = Broker::keeping(&disk.path().join("data"), &[]);
    let mut alice = broker.client("alice");
    alice.ask("create log --durable", "ok create log");
    alice.ask("create plain", "ok create plain");
    disk.fill();
    let mut is_taken = |text: &str| {
        alice.send(&format!("pub log {text}"));
        alice.line().unwrap().starts_with("ok pub log")
    };
    while is_taken(&"x".repeat(20_000)) {}
    let key = "k".repeat(110);
    for session in 0..30 {
        let mut bob = broker.connect("bob");
        bob.ask(&format!("hello --session {:032x}", session + 1), "ok hello *");
        let lines = (0..KEYS).map(|n| format!("pub plain --key {key}{n} x\n"));
        bob.send_bytes(lines.collect::<String>().as_bytes());
        bob.until(&format!("ok pub plain {}", (session + 1) * KEYS));
        bob.ask("quit", "bye quit");
    }
    disk.make_room();
    eventually("it heals", || is_taken("healed"));
}

#[test]
fn too_little_room_is_noticed_before_it_is_too_late() {
    let Some(disk) = Small::mount() else { return };
    let broker = Broker::keeping(&disk.path().join("data"), &["--data-free", "1G"]);
    let mut alice = broker.client("alice");
    alice.ask("create log --durable", "ok create log");
    alice.ask("pub log 1", "ok pub log 1");
    let ballast = std::fs::File::create(disk.path().join("ballast")).unwrap();
    // A tenth of 24 MiB is to stay free.
    std::io::Write::write_all(&mut &ballast, &vec![1; 22 * 1024 * 1024]).unwrap();
    drop(ballast);
    support::eventually("it notices", || {
        alice.send("pub log more");
        alice.line().unwrap().contains("err unavailable the data directory has too little room")
    });
    alice.ask("create plain", "ok create plain");
    alice.ask("sub plain", "ok sub plain *");
    disk.make_room();
    support::eventually("it heals", || {
        alice.send("pub log more");
        alice.line().unwrap().starts_with("ok pub log")
    });
}

#[test]
fn after_a_failed_fsync_nothing_is_acknowledged_until_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut before, control)) = with_failures(dir.path(), &[]) else { return };
    let mut alice = before.client("alice");
    alice.ask("create log --durable", "ok create log");
    alice.ask("create plain", "ok create plain");
    for n in 1..=10 {
        alice.ask("pub log x", &format!("ok pub log {n}"));
    }
    let pid = before.child().id();
    inject(&control, "enable name=posix/io/sync/*", pid);
    alice.ask("pub log lost?", "err unavailable it is not known to be on disk: *");
    inject(&control, "disable name=posix/io/sync/*", pid);
    for _ in 0..3 {
        alice.ask("pub log refused", "err unavailable the disk did not confirm a write *restart*");
    }
    alice.ask("pub plain works on", "ok pub plain 1");
    before.child().kill();
    let after = Broker::keeping(&dir.path().join("data"), &[]);
    let mut bob = after.client("bob");
    let rows = history(&mut bob, "history log");
    assert!((10..=11).contains(&rows.len()), "{rows:?}");
    bob.ask("pub log x", &format!("ok pub log {}", rows.len() + 1));
}

#[test]
fn a_failed_write_is_made_good() {
    let dir = tempfile::tempdir().unwrap();
    let Some((mut before, control)) = with_failures(dir.path(), &[]) else { return };
    let mut alice = before.client("alice");
    let mut bob = before.client("bob");
    alice.ask("create log --durable", "ok create log");
    bob.ask("sub log --observe", "ok sub log *");
    alice.ask("pub log 1", "ok pub log 1");
    let pid = before.child().id();
    // The broker's sockets use send and writev; only files are written so.
    inject(&control, "enable name=posix/io/rw/write,failinfo=28", pid);
    alice.ask("pub log 2", "err unavailable it is not known to be on disk: *");
    inject(&control, "disable name=posix/io/rw/write", pid);
    support::eventually("it heals", || {
        alice.send("pub log 3");
        alice.line().unwrap().starts_with("ok pub log 3")
    });
    // An entry that has got a seq keeps it.
    bob.expect_all(&["msg log 1 alice 1", "msg log 2 alice 2", "msg log 3 alice 3"]);
    before.child().kill();
    let after = Broker::keeping(&dir.path().join("data"), &[]);
    let rows = history(&mut after.client("carol"), "history log");
    assert_eq!(rows, ["msg log 1 alice 1", "msg log 2 alice 2", "msg log 3 alice 3"]);
}

#[test]
fn a_session_goes_on_from_the_disk_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &["--log-bytes", "64KiB"]);
    let mut alice = broker.client("alice");
    alice.ask("create log --durable --hold 60", "ok create log");
    let mut bob = broker.connect("bob");
    let session = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let hello = bob.ask(&format!("hello --name bob --session {session}"), "ok hello name=bob *");
    let secret = field(&hello, "secret");
    bob.ask("sub log", "ok sub log rank=0 term=1 *");
    alice.ask("pub log 2", "ok pub log 2");
    bob.expect("msg log 2 alice 2");
    bob.reset();
    for n in 3..=5_000 {
        alice.send(&format!("pub log {n} {}", "x".repeat(100)));
    }
    alice.until("ok pub log 5000");
    let mut bob = broker.connect("bob");
    let resume = format!("hello --session {session} --secret {secret} --seen log=2");
    bob.ask(&resume, "ok hello *resumed=yes *missed=0*");
    for n in 3..=5_000 {
        let line = loop {
            let line = bob.line().unwrap();
            if !line.starts_with("rank ") {
                break line;
            }
        };
        assert!(line.starts_with(&format!("msg log {n} alice {n} ")), "{n}: {line}");
    }
    alice.ask("pub log last", "ok pub log 5001");
    bob.expect("msg log 5001 alice last");
}

#[test]
fn who_quits_still_gets_what_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &["--log-bytes", "64KiB"]);
    let mut alice = broker.client("alice");
    alice.ask("create log --durable", "ok create log");
    for n in 1..=5_000 {
        alice.send(&format!("pub log {n} {}", "x".repeat(100)));
    }
    alice.until("ok pub log 5000");
    let mut bob = broker.client("bob");
    bob.send_bytes(b"sub log --from first\npub log mine\nhistory log --last 2\nquit\n");
    let lines: Vec<String> = std::iter::from_fn(|| bob.line()).collect();
    let (replies, entries): (Vec<&String>, Vec<&String>) =
        lines.iter().partition(|line| line.starts_with("ok ") || line.starts_with("bye "));
    let replies: Vec<&str> = replies.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(replies, ["ok", "ok", "ok", "bye"]);
    assert_eq!(lines.last().map(String::as_str), Some("bye quit"));
    // Besides the two rows of the history: all that came, but its own join.
    let of_log = entries.iter().filter(|line| line.starts_with("msg log ")).count();
    assert!((5_002..=5_004).contains(&of_log), "{of_log}");
}

/// Once all that is due is out, nothing is waited for: the broker's drain is longer than
/// any deadline here.
#[test]
fn those_who_quit_together_are_let_go_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &["--drain", "60s"]);
    broker.client("alice").ask("create kept --durable", "ok create kept");
    for channel in ["plain", "kept"] {
        for round in 0..3 {
            let names = (0..20).map(|n| format!("{channel}-{round}-{n}"));
            let mut team: Vec<Client> = names.map(|name| broker.member(&name, channel)).collect();
            for client in &mut team {
                client.send("quit");
            }
            for client in &mut team {
                client.until("bye quit");
            }
        }
    }
}

#[test]
fn commands_are_kept_and_their_results_come_after_the_reply() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = Broker::keeping(dir.path(), &[]);
    let mut alice = before.client("alice");
    alice.ask("create log --durable", "ok create log");
    alice.ask("sub log", "ok sub log rank=0 *");
    let mut bob = before.client("bob");
    bob.ask("sub log", "ok sub log rank=1 *");
    alice.expect("join log 2 bob 1");
    for n in 0..50 {
        let seq = 3 + n;
        alice.send("/go now");
        alice.expect(&format!("ok cmd log {seq} to=1"));
        bob.expect(&format!("cmd log {seq} alice 0 1 go now"));
        bob.send(&format!("ack log {seq} done"));
        bob.expect(&format!("ok ack log {seq}"));
        alice.expect(&format!("ack log {seq} bob 1 0 done"));
        alice.expect(&format!("done log {seq} 1/1"));
    }
    before.child().kill();
    let after = Broker::keeping(dir.path(), &[]);
    let rows = history(&mut after.client("carol"), "history log");
    assert!(rows.iter().filter(|row| row.starts_with("cmd log ")).count() >= 48, "{rows:?}");
}

/// Publishers that want no `ok` once waited for ever: when their withheld
/// replies had gone, nothing was written, and so nobody read on.
#[test]
fn quiet_publishers_go_on_when_their_replies_have_gone() {
    const CHANNELS: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &[]);
    let mut alice = broker.client("alice");
    for channel in 0..CHANNELS {
        alice.ask(&format!("create c{channel} --durable"), &format!("ok create c{channel}"));
    }
    alice.ask("hello --quiet", "ok hello *");
    let lines = (0..12_000).map(|n| format!("pub c{} {n}\n", n % CHANNELS));
    alice.send_bytes(lines.collect::<String>().as_bytes());
    alice.ask("ping", "ok ping *");
    alice.ask("info c0", "channel c0 members=0 seq=120 *");
}

/// Of several channels that a member is far behind on, one is read from the disk at a
/// time. It gets the commands of each that were for it at the time.
#[test]
fn a_rank_is_found_in_each_channel_that_is_read_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &["--log-bytes", "64KiB", "--session-grace", "1h"]);
    let session = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let mut team: Vec<Client> = Vec::new();
    let mut secret = String::new();
    for name in ["alice", "bob", "mary", "dora", "eve"] {
        let mut client = broker.connect(name);
        let named = if name == "mary" { format!(" --session {session}") } else { String::new() };
        let hello = client.ask(&format!("hello --name {name}{named}"), "ok hello *");
        if name == "mary" {
            secret = field(&hello, "secret");
        }
        for channel in ["p", "q"] {
            client.ask(
                &format!("create {channel} --durable --hold 3600"),
                if team.is_empty() { "ok create *" } else { "err exists *" },
            );
            client.send(&format!("sub {channel}"));
            client.until(&format!("ok sub {channel} *"));
        }
        team.push(client);
    }
    let [_, mut bob, mary, mut dora, _] = <[Client; 5]>::try_from(team).ok().unwrap();
    mary.reset();
    eventually("mary is away", || {
        dora.send("ranks p");
        dora.until("ok ranks p *").iter().any(|row| row.contains("mary") && row.contains("yes"))
    });
    for channel in ["p", "q"] {
        // The first command is for mary, who is below bob. The second is not: she is
        // above dora.
        bob.send(&format!("cmd {channel} --timeout 600 wanted"));
        bob.until(&format!("ok cmd {channel} 6 to=3"));
        bob.send(&format!("yield {channel}"));
        bob.until(&format!("ok yield {channel} rank=4 *"));
        dora.send(&format!("cmd {channel} --timeout 600 unwanted"));
        dora.until(&format!("ok cmd {channel} 8 to=2"));
        for _ in 0..1_000 {
            dora.send(&format!("pub {channel} {}", "x".repeat(200)));
        }
        dora.until(&format!("ok pub {channel} 1008"));
    }
    let mut mary = broker.connect("mary");
    mary.send(&format!("hello --session {session} --secret {secret} --seen p=5 --seen q=5"));
    let mut ends = 0;
    let mut commands = Vec::new();
    while ends < 2 {
        let line = mary.line().unwrap();
        ends += usize::from(line.starts_with("msg p 1008 ") || line.starts_with("msg q 1008 "));
        if line.starts_with("cmd ") {
            commands.push(line);
        }
    }
    commands.sort();
    assert_eq!(commands, ["cmd p 6 bob 1 2 wanted", "cmd q 6 bob 1 2 wanted"]);
}

/// A client has one read from the disk at a time. If it leaves a channel in the middle
/// of one, the reads of its other channels go on.
#[test]
fn who_leaves_while_it_catches_up_goes_on_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &["--log-bytes", "128KiB"]);
    let mut alice = broker.client("alice");
    let text = "x".repeat(1_000);
    let mut fill = |channel: &str, from: usize, to: usize| {
        for _ in from..to {
            alice.send(&format!("pub {channel} {text}"));
        }
        alice.until(&format!("ok pub {channel} {}", to - 1));
        alice.send("ping");
        alice.until("ok ping *");
    };
    let mut maker = broker.client("maker");
    maker.ask("create d --durable", "ok create d");
    maker.ask("create e --durable", "ok create e");
    fill("d", 1, 10_001);
    fill("e", 1, 1_001);
    let mut bob = broker.client("bob");
    bob.send_bytes(b"sub d --from first\nunsub d\n");
    maker.send("ping");
    maker.until("ok ping *");
    eventually("bob has left", || {
        maker.send("info d");
        maker.until("ok info d").iter().any(|row| row.contains("members=0 seq=10002"))
    });
    fill("d", 10_003, 14_003);
    bob.send("sub e --observe --from first");
    bob.until("msg e 1000 *");
    fill("e", 1_001, 1_201);
    bob.until("msg e 1200 *");
}

/// "On one connection a reply comes before the frames that its own request causes
/// there": even if the reply waits behind one that waits for the disk.
#[test]
fn a_message_does_not_overtake_a_reply_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &[]);
    let mut alice = broker.client("alice");
    alice.ask("create kept --durable", "ok create kept");
    alice.ask("sub plain --create", "ok sub plain rank=0 *");
    for round in 0..20 {
        let (kept, plain) = (2 * round + 1, 2 * round + 2);
        alice.send("pub kept one\npub plain two\npub kept three\npub plain four");
        alice.expect(&format!("ok pub kept {kept}"));
        alice.expect(&format!("ok pub plain {plain}"));
        // What comes next may come in either order.
        alice.expect_unordered(&[
            &format!("ok pub kept {}", kept + 1),
            &format!("ok pub plain {}", plain + 1),
            &format!("msg plain {plain} alice two"),
            &format!("msg plain {} alice four", plain + 1),
        ]);
    }
    alice.expect_nothing();
}

/// The same for changes of a roster: neither the entry nor the new rank overtakes the
/// reply.
#[test]
fn a_change_does_not_overtake_a_reply_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &[]);
    let mut alice = broker.client("alice");
    alice.ask("create kept --durable", "ok create kept");
    alice.ask("sub plain --create", "ok sub plain rank=0 *");
    let mut bob = broker.client("bob");
    bob.ask("sub plain", "ok sub plain rank=1 *");
    alice.expect("join plain 2 bob 1");
    for round in 0..10 {
        let seq = 2 * round + 3;
        alice.send("pub kept one\nyield plain");
        alice.expect_all(&["ok pub kept *", &format!("ok yield plain rank=1 view={seq}")]);
        alice.expect_unordered(&["rank plain 1 *", &format!("move plain {seq} alice 0 1")]);
        bob.until(&format!("move plain {seq} alice 0 1"));
        bob.send("pub kept two\npromote plain alice");
        bob.expect("ok pub kept *");
        bob.expect(&format!("ok promote plain alice rank=0 view={}", seq + 1));
        bob.until(&format!("move plain {} alice 1 0", seq + 1));
        alice.until(&format!("move plain {} alice 1 0", seq + 1));
    }
    alice.send("pub kept one\nkick plain bob");
    alice.expect_all(&["ok pub kept *", "ok kick plain bob", "left plain * bob 1 reason=kicked"]);
    alice.expect_nothing();
}

/// A client that resumes a session hears nothing before the `ok` of its `hello`, even
/// if that has to wait for the disk.
#[test]
fn nothing_comes_before_a_hello_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &[]);
    let mut bob = broker.client("bob");
    bob.ask("create kept --durable", "ok create kept");
    let mut alice = broker.connect("alice");
    let mut hello = format!("hello --name alice --session {SESSION}");
    alice.ask(&hello, "ok hello *");
    alice.ask("sub kept", "ok sub kept *");
    alice.ask("sub --pattern v*", "ok sub v* matched=0");
    hello = format!("hello --session {SESSION}");
    for round in 0..10 {
        alice.reset();
        eventually("her connection is lost", || {
            bob.send("who");
            let rows = bob.until("ok who *");
            !rows.iter().any(|row| row.starts_with("client alice "))
        });
        let channel = format!("v{round}");
        bob.ask(&format!("sub {channel} --create"), "ok sub *");
        bob.ask(&format!("pub {channel} hi"), "ok pub *");
        bob.expect(&format!("msg {channel} 2 bob hi"));
        bob.ask("tell alice hi", "ok tell alice");
        alice = broker.connect("alice");
        alice.ask(&hello, "ok hello name=alice * resumed=yes *");
        let heard = alice.until(&format!("msg {channel} 2 bob hi"));
        assert!(heard.contains(&format!("join {channel} 1 bob 0")), "{heard:?}");
    }
}

/// Nothing comes after a good-bye, not even the rest of an answer that is read from the
/// disk.
#[test]
fn nothing_comes_after_the_good_bye_of_a_session_that_goes_on_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &["--log-bytes", "64KiB"]);
    let mut bob = broker.client("bob");
    bob.ask("create log --durable --history 200", "ok create log");
    let text = "x".repeat(60_000);
    for seq in 1..=200 {
        bob.ask(&format!("pub log {text}"), &format!("ok pub log {seq}"));
    }
    let mut alice = broker.connect_narrow("alice");
    let reply = alice.ask(&format!("hello --name alice --session {SESSION}"), "ok hello *");
    alice.send("history log\nping");
    alice.expect("msg log 1 bob *");
    let hello = format!("hello --session {SESSION} --secret {}", field(&reply, "secret"));
    broker.connect("heir").ask(&hello, "ok hello * resumed=yes *");
    let rest = String::from_utf8(alice.rest()).unwrap();
    let last = rest.lines().last().unwrap();
    assert_eq!(last, "bye taken-over", "{}", &last[..last.len().min(80)]);
}

/// A client that takes a session over gets the results that waited behind a reply which
/// waited for the disk. Each comes once, on the old connection or on the new one.
#[test]
fn results_that_wait_behind_a_reply_go_where_the_session_goes() {
    const COMMANDS: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::keeping(dir.path(), &[]);
    let mut bob = broker.client("bob");
    bob.ask("create log --durable", "ok create log");
    let mut alice = broker.connect("alice");
    let reply = alice.ask(&format!("hello --name alice --session {SESSION}"), "ok hello *");
    alice.ask("create ops --hold 60", "ok create ops");
    alice.ask("sub ops", "ok sub ops *");
    bob.ask("sub ops", "ok sub ops *");
    alice.expect("join ops 2 bob 1");
    let given: Vec<u64> =
        (0..COMMANDS).map(|_| number(&alice.ask("cmd ops go", "ok cmd *"), 3)).collect();
    bob.until(&format!("cmd ops {} *", given[COMMANDS - 1]));
    let mut heir = broker.connect("heir");
    alice.send(&[&*format!("pub log {}", "x".repeat(50_000)); 30].join("\n"));
    let (before, after) = given.split_at(COMMANDS / 10);
    for seq in before {
        bob.ask(&format!("ack ops {seq}"), "ok ack *");
    }
    heir.send(&format!("hello --session {SESSION} --secret {}", field(&reply, "secret")));
    for seq in after {
        bob.send(&format!("ack ops {seq}"));
    }
    bob.send("ping");
    bob.until("ok ping*");
    let mut heard = heir.until("ok hello * resumed=yes *");
    heir.send("ping");
    heard.extend(heir.until("ok ping*"));
    heard.extend(String::from_utf8(alice.rest()).unwrap().lines().map(str::to_owned));
    for seq in given {
        let done = heard.iter().filter(|line| line.starts_with(&format!("done ops {seq} ")));
        assert_eq!(done.count(), 1, "of command {seq}");
    }
}

/// The session is resumed whatever becomes of the disk, so the client is not told
/// otherwise.
#[test]
fn a_session_is_resumed_though_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::keeping(dir.path(), &[]);
    let mut bob = broker.client("bob");
    bob.ask("create log --durable --hold 3600", "ok create log");
    let mut alice = broker.connect("alice");
    alice.ask(&format!("hello --name alice --session {SESSION}"), "ok hello *");
    alice.ask("sub log", "ok sub log rank=0 *");
    alice.reset();
    let pid = broker.child().id().to_string();
    let limited =
        std::process::Command::new("prlimit").args(["--pid", &pid, "--fsize=0:"]).status();
    assert!(limited.expect("prlimit is there").success());
    bob.ask("pub log x", "err unavailable *");
    eventually("the broker knows that she is gone", || {
        bob.send("who");
        !bob.until("ok who *").iter().any(|row| row.starts_with("client alice "))
    });
    let mut alice = broker.connect("alice");
    let hello = format!("hello --session {SESSION}");
    alice.ask(&hello, "ok hello name=alice * resumed=yes * channels=1 missed=0 rank=0");
}
