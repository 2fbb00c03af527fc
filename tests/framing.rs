//! However the network cuts the bytes up, the transcript is the same.

mod support;

use support::{Broker, Dice};

/// A bit of everything, with line ends of both kinds.
const REQUESTS: &str = "hello --name alice --session f81d4fae-7dec-11d0-a765-00a0c91e6bf6\nsub ops --create\r\npub ops one\n\n# comment\r\n\
    pub ops 'two  words'\r\npub --raw ops it's\npub --json ops {\"a\":[1,2]}\nnonsense\n\
    pub ops grün € 😀\npub ops 'open\ncreate ops\ncheck ops 1\npub --term 1 ops fenced\n\
    pub --term 2 ops fenced\nrank\npub ops last of all\nunsub ops\npub ops to nobody\nquit\n";

/// Everything the broker says to these bytes, sent in these pieces; replies and
/// entries apart, because one lane may overtake the other.
fn transcript<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Vec<String>) {
    let broker = Broker::start();
    let mut alice = broker.connect("alice");
    for piece in pieces {
        alice.send_bytes(piece);
    }
    let mut lines = Vec::new();
    while let Some(line) = alice.line() {
        // The only thing that is made up anew each time.
        let (before, after) = line.split_once("secret=").unwrap_or((&line, ""));
        lines.push(format!("{before}{}", after.split_once(' ').unwrap_or_default().1));
    }
    lines.into_iter().partition(|line| line.starts_with("msg "))
}

#[test]
fn all_at_once_and_byte_by_byte() {
    let whole = transcript(std::iter::once(REQUESTS.as_bytes()));
    assert_eq!(whole.0.len(), 7, "{:?}", whole.0);
    assert_eq!(whole.1.last().map(String::as_str), Some("bye quit"));
    assert_eq!(whole.1.len(), 18, "{:?}", whole.1);
    assert_eq!(transcript(REQUESTS.as_bytes().chunks(1)), whole);
}

#[test]
fn at_random_places() {
    let whole = transcript(std::iter::once(REQUESTS.as_bytes()));
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let mut rest = REQUESTS.as_bytes();
        let longest = 1 + dice.roll(60);
        let pieces = std::iter::from_fn(|| {
            let len = (1 + dice.roll(longest)).min(rest.len());
            let piece;
            (piece, rest) = rest.split_at(len);
            (!piece.is_empty()).then_some(piece)
        });
        assert_eq!(transcript(pieces), whole, "seed {seed}");
    }
}
