//! Jobs as their clients see them, in workers that are this very program.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use support::{Broker, Child, Client, SESSION, Site, field, matches, number};

fn broker(settings: &[&str]) -> Broker {
    Broker::from_child(Child::with(settings))
}

/// Asks for a job and waits until it runs. Returns its number.
#[track_caller]
fn running(client: &mut Client, request: &str) -> u64 {
    let job = number(&client.ask(request, "ok job *"), 2);
    client.expect(&format!("job {job} queued *"));
    client.expect(&format!("job {job} running"));
    job
}

/// Asks for a job. Returns what came of it.
#[track_caller]
fn result(client: &mut Client, request: &str) -> String {
    let job = running(client, request);
    let last = client.line().expect("what came of it");
    last.strip_prefix(&format!("job {job} ")).expect("the same job").to_owned()
}

/// A job that runs until it is ended: it asks somebody who does not answer.
fn endless(client: &mut Client, web: &Site) -> u64 {
    running(client, &format!("url {}", web.url("/silence")))
}

const ALLOWED: [&str; 2] = ["--allow-url", "127.0.0.1/32"];

#[test]
fn fib_is_exact_and_long_results_are_short_in_text_and_whole_in_json() {
    let broker = broker(&[]);
    let mut alice = broker.client("alice");
    assert_eq!(result(&mut alice, "fib 0"), "done 0");
    assert_eq!(result(&mut alice, "fib 100"), "done 354224848179261915075");
    let short = result(&mut alice, "fib 100000");
    assert!(
        matches("done 25974069347221724166*…(20699 more)…*49895374653428746875", &short),
        "{short}"
    );
    assert_eq!(short.chars().count(), "done ".len() + 200 + "…(20699 more)…".chars().count());

    let mut bob = broker.connect("bob");
    bob.send("{\"op\":\"fib\",\"n\":100000,\"id\":1}");
    bob.expect("{\"reply\":\"job\",\"ok\":true,\"job\":4,\"id\":1}");
    bob.expect("{\"frame\":\"job\",\"job\":4,\"state\":\"queued\",\"text\":\"0 before it\"}");
    bob.expect("{\"frame\":\"job\",\"job\":4,\"state\":\"running\",\"text\":\"\"}");
    let whole = bob
        .expect("{\"frame\":\"job\",\"job\":4,\"state\":\"done\",\"text\":\"2597406*3428746875\"}");
    assert_eq!(whole.chars().filter(char::is_ascii_digit).count(), 20_899 + 1);
    bob.send("{\"op\":\"fib\",\"n\":\"7\"}");
    bob.until("{\"frame\":\"job\",\"job\":5,\"state\":\"done\",\"text\":\"13\"}");
    bob.send("{\"op\":\"fib\"}");
    bob.expect("*\"bad-request\",\"message\":\"n is missing\"*");
    bob.send("{\"op\":\"fib\",\"n\":[1]}");
    bob.expect("*\"bad-request\",\"message\":\"n must be a string or a number, not *");
}

#[test]
fn what_is_no_job_is_refused_before_there_is_one() {
    let broker = broker(&[]);
    let mut alice = broker.client("alice");
    for (request, reply) in [
        ("fib", "err bad-request *N*"),
        ("fib 1 2", "err bad-request *"),
        ("fib -1", "err bad-request n takes a whole number from 0 to 5000000, not \"-1\""),
        ("fib 5000001", "err bad-request n takes *"),
        ("fib --to nobody 5", "err no-member nobody called \"nobody\" is here"),
        ("fib --from x 5", "err bad-request unknown option *"),
        ("url ftp://example.org/", "err bad-request only http and https *"),
        ("url http://me:secret@example.org/", "err bad-request *"),
        ("numbers 65536", "err bad-request count takes *"),
        ("numbers 5 --batch 0", "err bad-request batch takes *"),
        ("numbers --to alice 5", "err bad-request unknown option *"),
        ("cancel", "err bad-request *JOB*"),
        ("cancel x", "err bad-request *"),
        ("cancel 1", "err gone job 1 neither waits nor runs"),
        ("jobs now", "err bad-request *"),
        ("jobs", "ok jobs 0"),
    ] {
        alice.ask(request, reply);
    }
    // Nothing was started for any of that.
    alice.ask("stats", "* jobs-waiting=0 jobs-running=0 workers=0*");
}

/// An embedded broker would start the wrong program for its workers.
#[test]
fn a_broker_within_another_program_has_no_workers() {
    let broker = Broker::start();
    broker.client("alice").ask("fib 1", "err unavailable *");
}

/// "With `--to`, the result goes to that member, and the asker is told
/// `delivered`; an unknown member is refused before the job starts."
#[test]
fn a_result_goes_to_another_member() {
    let broker = broker(&[]);
    let (mut alice, mut bob) = (broker.client("alice"), broker.client("bob"));
    let mut carol = broker.connect("carol");
    carol.send("{\"op\":\"hello\",\"name\":\"carol\"}");
    carol.expect("{\"reply\":\"hello\",*");
    assert_eq!(result(&mut alice, "fib --to bob 10"), "done delivered");
    bob.expect("job 1 done 55");
    assert_eq!(result(&mut alice, "fib --to carol 11"), "done delivered");
    carol.expect(
        "{\"frame\":\"job\",\"job\":2,\"state\":\"done\",\"text\":\"89\",\"from\":\"alice\"}",
    );
    // What fails is the asker's affair.
    assert!(
        result(&mut alice, "url --to bob http://127.0.0.1:9/")
            .starts_with("failed refused-address")
    );
    bob.expect_nothing();
}

#[test]
fn who_is_gone_gets_nothing_and_the_asker_is_told() {
    let web = Site::silent();
    let broker = broker(&[&ALLOWED[..], &["--workers", "1"]].concat());
    let mut alice = broker.client("alice");
    let mut bob = broker.client("bob");
    let first = endless(&mut alice, &web);
    let job = number(&alice.ask("fib --to bob 10", "ok job *"), 2);
    alice.expect(&format!("job {job} queued 0 before it"));
    bob.ask("quit", "bye quit");
    bob.expect_end();
    alice.ask(&format!("cancel {first}"), "ok cancel *");
    alice.expect(&format!("job {first} cancelled"));
    alice.expect(&format!("job {job} running"));
    alice.expect(&format!("job {job} failed bob is gone"));
}

/// Jobs of one client run in their order, and the clients take turns.
#[test]
fn clients_take_turns() {
    let web = Site::silent();
    let broker = broker(&[&ALLOWED[..], &["--workers", "1"]].concat());
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|name| broker.client(name));
    let blocker = endless(&mut carol, &web);
    for n in [1, 3, 4, 5] {
        alice.ask(&format!("fib --to carol {n}"), "ok job *");
        alice.expect("job * queued *");
    }
    bob.ask("fib --to carol 6", "ok job *");
    carol.ask(&format!("cancel {blocker}"), "ok cancel *");
    carol.expect(&format!("job {blocker} cancelled"));
    carol.expect_all(&[
        "job 2 done 1",
        "job 6 done 8",
        "job 3 done 2",
        "job 4 done 3",
        "job 5 done 5",
    ]);
}

#[test]
fn the_queue_is_bounded() {
    let web = Site::silent();
    let broker = broker(&[&ALLOWED[..], &["--workers", "1", "--job-queue", "2"]].concat());
    let mut alice = broker.client("alice");
    let first = endless(&mut alice, &web);
    for before in [0, 1] {
        alice.ask("fib 1", "ok job *");
        alice.expect(&format!("job * queued {before} before it"));
    }
    alice.ask("fib 1", "err busy 2 jobs wait already: try again later");
    broker.client("bob").ask("fib 1", "err busy *");
    alice.send("jobs");
    alice.expect_all(&[
        "job 1 running url since=*",
        "job 2 queued fib since=*",
        "job 3 queued fib since=*",
        "ok jobs 3",
    ]);
    alice.ask(&format!("cancel {first}"), "ok cancel 1");
    let lines = alice.until("job 3 done 1");
    assert!(lines.contains(&"job 1 cancelled".to_owned()), "{lines:?}");
}

#[test]
fn another_clients_job_is_not_yours_to_cancel() {
    let web = Site::silent();
    let broker = broker(&ALLOWED);
    let (mut alice, mut bob) = (broker.client("alice"), broker.client("bob"));
    let job = endless(&mut alice, &web);
    bob.ask(&format!("cancel {job}"), "err denied job 1 is not yours");
    bob.ask("jobs", "ok jobs 0");
    alice.ask("jobs", "job 1 running url since=*");
    alice.expect("ok jobs 1");
    alice.ask(&format!("cancel {job}"), "ok cancel 1");
    alice.expect("job 1 cancelled");
    alice.ask(&format!("cancel {job}"), "err gone *");
}

/// "numbers as a job gives the same as a stream … with the checksum in done", and
/// what it was can be fetched once more in the dialect of that name.
#[test]
fn numbers_come_batch_by_batch_and_can_be_fetched_again() {
    let broker = broker(&["--numseq-timeout", "60s"]);
    let mut alice = broker.client("alice");
    let job = running(&mut alice, "numbers 12 --batch 5");
    let first = alice.expect(&format!("job {job} running client-id=* count=12 batches=3"));
    let id = field(&first, "client-id");
    let batches = [0, 1, 2].map(|index| {
        let line = alice.expect(&format!("job {job} running batch={index} *"));
        line.rsplit(' ').next().unwrap().to_owned()
    });
    let last = alice.expect(&format!("job {job} done checksum=* sum=* client-id={id}"));
    let sum = batches.iter().flat_map(|batch| batch.split(':')).map(|n| n.parse::<u64>().unwrap());
    assert_eq!(field(&last, "sum"), sum.sum::<u64>().to_string());

    let mut talk = TcpStream::connect(broker.addr).unwrap();
    talk.write_all(format!("CONT,{id};RECV,2;RECV,0;RECV,1;FIN;").as_bytes()).unwrap();
    let mut heard = String::new();
    talk.read_to_string(&mut heard).unwrap();
    let [a, b, c] = batches;
    assert_eq!(heard, format!("ACK;NUM,{c};NUM,{a};NUM,{b};FAC,{};", field(&last, "checksum")));
}

/// "resumable with the session": what came while nobody was there comes later.
#[test]
fn a_lost_connection_costs_no_news_of_a_job() {
    let broker = broker(&[]);
    let (mut alice, resume) = broker.owner("alice");
    alice.send("numbers 65535 --batch 1");
    alice.expect("ok job 1");
    alice.reset();
    let mut alice = broker.connect("alice again");
    alice.ask(&resume, "ok hello * resumed=yes *");
    let lines = alice.until("job 1 done *");
    // Some of it may have been on its way to the connection that broke.
    let batches: Vec<&String> = lines.iter().filter(|line| line.contains(" batch=")).collect();
    assert!(batches.last().unwrap().starts_with("job 1 running batch=65534 "), "{batches:?}");
    for pair in batches.windows(2) {
        let index = |line: &str| field(line, "batch").parse::<u64>().unwrap();
        assert_eq!(index(pair[0]) + 1, index(pair[1]), "in order, without a hole");
    }
}

/// The jobs of a client that leaves for good are ended.
#[test]
fn jobs_of_one_who_left_are_ended() {
    let web = Site::silent();
    let broker = broker(&[&ALLOWED[..], &["--workers", "1"]].concat());
    let mut alice = broker.client("alice");
    endless(&mut alice, &web);
    alice.ask("quit", "bye quit");
    alice.expect_end();
    // The one worker is free for others.
    assert_eq!(result(&mut broker.client("bob"), "fib 10"), "done 55");
}

/// A client with a job cannot resume a session: the job's news would go to a client
/// that is nobody any more, or the job would end unheard.
#[test]
fn who_has_a_job_does_not_go_on_as_somebody_else() {
    let (broker, web) = (broker(&ALLOWED), Site::silent());
    let hello = format!("hello --session {SESSION}");
    let mut alice = broker.connect("alice");
    let reply = alice.ask(&hello, "ok hello * resumed=no *");
    let again = format!("{hello} --secret {}", field(&reply, "secret"));
    let mut guest = broker.connect("guest");
    let job = endless(&mut guest, &web);
    guest.ask(&again, "err bad-request *");
    guest.ask(&format!("cancel {job}"), &format!("ok cancel {job}"));
    guest.expect(&format!("job {job} cancelled"));
    guest.ask(&again, "ok hello * resumed=yes *");
}
