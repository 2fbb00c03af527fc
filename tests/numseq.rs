//! The number-sequence dialect, through raw sockets.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use support::{Broker, Child, DEADLINE, eventually};

const ID: &str = "123e4567-e89b-12d3-a456-426614174000";

/// A connection whose messages end with `;`.
struct Talk(TcpStream);

impl Talk {
    fn with(addr: SocketAddr) -> Talk {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Talk(stream)
    }

    fn say(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).unwrap();
    }

    /// The next message, with its end; nothing at the end of the connection.
    fn hear(&mut self) -> String {
        let mut message = String::new();
        let mut byte = [0];
        while !message.ends_with(';') && self.0.read(&mut byte).unwrap() == 1 {
            message.push(byte[0].into());
        }
        message
    }

    #[track_caller]
    fn ask(&mut self, message: &str, answer: &str) {
        self.say(message);
        assert_eq!(self.hear(), answer, "to {message}");
    }

    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

/// A broker that cuts nobody off.
fn patient() -> Broker {
    Broker::with(|config| config.numseq_timeout = Duration::from_secs(600))
}

fn numbers(answer: &str) -> Vec<u64> {
    let list = answer.strip_prefix("NUM,").and_then(|rest| rest.strip_suffix(';')).unwrap();
    list.split(':').map(|number| number.parse().unwrap()).collect()
}

/// The count; a batch, and the numbers in it; the checksum; the sum.
const VECTORS: [(u64, u64, &str, &str, u64); 3] = [
    (5, 0, "6:41:81:68:68", "f90b20dae8c9b7d7be2a5fb7cc856e8b", 264),
    (10, 1, "41:10:40:78:98", "9b14501c5359fb4eac96df9e874348b2", 531),
    (10_000, 630, "54:94:94:19:96", "589f9ca74cb5ea9a32eddd14840d5b64", 504_721),
];

#[test]
fn under_test_mode_the_numbers_are_those_of_cpython() {
    for (count, index, batch, checksum, sum) in VECTORS {
        // All sequences have the same id, and so each has a broker of its own.
        let settings = ["--numseq-timeout", "60s"];
        let broker = Child::with_environment(&settings, &[("TEST_MODE", "1")]);
        let mut talk = Talk::with(broker.addr());
        talk.ask(&format!("INIT,{ID},{count},5;"), "ACK;");
        talk.ask(&format!("RECV,{index};"), &format!("NUM,{batch};"));
        let total: u64 = (0..count / 5)
            .map(|index| {
                talk.say(&format!("RECV,{index};"));
                numbers(&talk.hear()).iter().sum::<u64>()
            })
            .sum();
        assert_eq!(total, sum);
        if count == 10_000 {
            talk.ask("RECV,1999;", "NUM,40:53:59:98:3;");
        }
        talk.ask("FIN;", &format!("FAC,{checksum};"));
        assert_eq!(talk.rest(), "", "the connection ends");
    }
}

#[test]
fn without_it_they_cannot_be_foretold_and_are_in_range() {
    let broker = patient();
    let mut talk = Talk::with(broker.addr);
    talk.ask(&format!("INIT,{ID},65535,65535;"), "ACK;");
    talk.say("RECV,0;");
    let all = numbers(&talk.hear());
    assert_eq!(all.len(), 65_535);
    assert_ne!(all[..5], [6, 41, 81, 68, 68]);
    assert_eq!((all.iter().min(), all.iter().max()), (Some(&0), Some(&100)));
    talk.ask("RECV,1;", "ERR,Invalid batch index requested: 1;");
}

/// "any index in any order"; "the same numbers come whichever connection asks"
#[test]
fn any_batch_in_any_order_from_any_connection() {
    let broker = patient();
    let mut first = Talk::with(broker.addr);
    first.ask(&format!("INIT,{ID},12,5;"), "ACK;");
    let hear = |talk: &mut Talk, index: u64| {
        talk.say(&format!("RECV,{index};"));
        numbers(&talk.hear())
    };
    let batches: Vec<_> = [2, 0, 1, 0].map(|index| hear(&mut first, index)).into();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 5, 5, 5]);
    assert_eq!(batches[1], batches[3]);
    first.say("FIN;");
    let checksum = first.hear();

    let mut second = Talk::with(broker.addr);
    second.ask(&format!("INIT,{ID},12,5;"), &format!("ERR,{ID} already exist;"));
    second.ask(&format!("CONT,{};", ID.to_uppercase()), "ACK;");
    assert_eq!([2, 0, 1, 0].map(|index| hear(&mut second, index)).to_vec(), batches);
    second.ask("FIN;", &checksum);
    // It is kept until its time is up, whoever has finished with it.
    Talk::with(broker.addr).ask(&format!("CONT,{ID};"), "ACK;");
}

#[test]
fn what_cannot_be_had_is_answered_err_and_nothing_is_lost() {
    let broker = patient();
    let mut talk = Talk::with(broker.addr);
    talk.ask(&format!("CONT,{ID};"), &format!("ERR,Client-id: {ID} does not exist;"));
    let first = "ERR,which sequence? send INIT or CONT first;";
    talk.ask("RECV,0;", first);
    talk.ask("FIN;", first);
    talk.ask(&format!("INIT,{ID},0,1;"), "ACK;");
    for index in ["0", "1", "-1", "18446744073709551616"] {
        let answer = format!("ERR,Invalid batch index requested: {index};");
        talk.ask(&format!("RECV,{index};"), &answer);
    }
    for (message, why) in [
        ("HELLO;", "it is none of INIT, CONT, RECV and FIN"),
        (";", "it is none of INIT, CONT, RECV and FIN"),
        ("INIT,x,1,1;", "the client id must be a UUID"),
        ("RECV,one;", "the index of a batch is a whole number"),
        ("INIT,1;", "write INIT,<client id>,<count>,<batch>"),
        (&format!("INIT,{ID},65536,1;"), "the count is a whole number from 0 to 65535"),
        (&format!("INIT,{ID},1,0;"), "the size of a batch is a whole number from 1 up"),
    ] {
        talk.ask(message, &format!("ERR,malformed message: {why};"));
    }
    let too_long = "ERR,a message has at most 128 bytes;";
    talk.ask(&format!("RECV,{};", "1".repeat(124)), too_long);
    // A message that is too long is complained of before it ends, and once.
    talk.ask(&"x".repeat(100_000), too_long);
    talk.ask(&format!("{};FIN;", "x".repeat(100_000)), "FAC,d751713988987e9331980363e24189ce;");
    assert_eq!(talk.rest(), "");
}

#[test]
fn a_message_may_come_in_pieces_and_many_at_once() {
    let broker = patient();
    let mut talk = Talk::with(broker.addr);
    for byte in format!("INIT,{ID},3,1;RECV,0;").as_bytes() {
        talk.0.write_all(&[*byte]).unwrap();
        talk.0.flush().unwrap();
    }
    assert_eq!(talk.hear(), "ACK;");
    let first = talk.hear();
    talk.say(&"RECV,0;\r\n".repeat(1_000));
    for _ in 0..1_000 {
        assert_eq!(talk.hear(), first);
    }
}

/// Answers are written before more requests are looked at: a client cannot make the
/// broker keep a thousand whole sequences that it does not read.
#[test]
fn answers_that_are_not_read_are_not_made() {
    let broker = patient();
    let mut talk = Talk::with(broker.addr);
    talk.ask(&format!("INIT,{ID},65535,65535;"), "ACK;");
    talk.say(&"RECV,0;".repeat(200));
    talk.0.shutdown(Shutdown::Write).unwrap();
    let answers = talk.rest();
    assert_eq!(answers.matches("NUM,").count(), 200);
    assert!(answers.ends_with(';'));
}

/// "A connection is given 1 second, then closed; the client continues with
/// `CONT`"; a message that never ended is answered, and loses nothing.
#[test]
fn a_connection_has_its_time_and_no_more() {
    let broker = Broker::with(|config| config.numseq_timeout = Duration::from_millis(300));
    let mut silent = Talk::with(broker.addr);
    silent.say(&format!("INIT,{ID},5,5;"));
    assert_eq!(silent.rest(), "ACK;");
    let mut endless = Talk::with(broker.addr);
    endless.say(&format!("CONT,{ID};RECV,"));
    assert_eq!(endless.rest(), "ACK;ERR,the message did not end;");
    let mut half_closed = Talk::with(broker.addr);
    half_closed.say(&format!("CONT,{ID};RECV"));
    half_closed.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(half_closed.rest(), "ACK;ERR,the message did not end;");
    let mut again = Talk::with(broker.addr);
    again.ask(&format!("CONT,{ID};"), "ACK;");
    again.say("RECV,0;");
    assert_eq!(numbers(&again.hear()).len(), 5);
}

/// "then purged, with the log line `Purging client info for: <uuid>`"
#[test]
fn who_comes_too_late_is_forgotten_and_the_log_says_so() {
    let mut broker = Child::with(&["--numseq-retention", "200ms"]);
    let unknown = format!("ERR,Client-id: {ID} does not exist;");
    Talk::with(broker.addr()).ask(&format!("INIT,{ID},5,5;"), "ACK;");
    eventually("the sequence is purged", || {
        let mut talk = Talk::with(broker.addr());
        talk.say(&format!("CONT,{ID};"));
        talk.hear() == unknown
    });
    Talk::with(broker.addr()).ask(&format!("INIT,{ID},5,5;"), "ACK;");
    broker.signal("TERM");
    let said = broker.complaint();
    assert!(said.contains(&format!("\"Purging client info for: {ID}\"\n")), "{said}");
}

#[test]
fn the_same_numbers_come_after_the_broker_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let settings = ["--data", dir.path().to_str().unwrap(), "--numseq-retention", "1h"];
    let all = |addr| {
        let mut talk = Talk::with(addr);
        talk.ask(&format!("CONT,{ID};"), "ACK;");
        talk.say("RECV,1;FIN;");
        talk.rest()
    };
    let mut first = Child::with(&settings);
    // The moment it is acknowledged it is on disk.
    Talk::with(first.addr()).ask(&format!("INIT,{ID},1000,7;"), "ACK;");
    let before = all(first.addr());
    first.kill();
    let second = Child::with(&settings);
    assert_eq!(all(second.addr()), before);
    Talk::with(second.addr()).ask(&format!("INIT,{ID},1,1;"), &format!("ERR,{ID} already exist;"));
}

/// A thousand clients, all connected before the first is answered, each with a
/// sequence of its own; one more than may be kept is told so.
#[test]
fn a_storm_of_a_thousand_clients() {
    const CLIENTS: usize = 1_000;
    let broker = Broker::with(|config| {
        config.numseq_timeout = Duration::from_secs(600);
        config.numseq_clients = CLIENTS;
    });
    let id = |n: usize| format!("00000000-0000-4000-8000-{n:012}");
    let mut talks: Vec<_> = (0..CLIENTS).map(|_| Talk::with(broker.addr)).collect();
    for (n, talk) in talks.iter_mut().enumerate() {
        talk.say(&format!("INIT,{},100,7;", id(n)));
    }
    for talk in &mut talks {
        assert_eq!(talk.hear(), "ACK;");
        talk.say("RECV,14;RECV,0;FIN;");
    }
    let mut checksums: Vec<String> = Vec::new();
    for talk in &mut talks {
        assert_eq!(numbers(&talk.hear()).len(), 2);
        assert_eq!(numbers(&talk.hear()).len(), 7);
        checksums.push(talk.hear());
        assert_eq!(talk.rest(), "");
    }
    checksums.sort_unstable();
    checksums.dedup();
    assert_eq!(checksums.len(), CLIENTS, "no two have the same numbers");
    let full = "ERR,too many sequences are kept: try again later;";
    Talk::with(broker.addr).ask(&format!("INIT,{ID},1,1;"), full);
}
