//! "Authority is judged once, at the command's own seq; the set of recipients
//! is frozen there": many members command each other while the roster turns
//! under them, and every one of them sees exactly the commands that were for
//! it. What is right follows from what an observer sees: the fold of the log.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use support::{Broker, Client, Dice, number};

const MEMBERS: usize = 6;
const COMMANDS: usize = 40;
const MOVES: usize = 120;

/// The roster and the commands, as an observer finds them in the log.
#[derive(Default)]
struct Model {
    roster: Vec<String>,
    /// Which commands are for whom.
    due: BTreeMap<String, Vec<u64>>,
    /// How many recipients each command has.
    to: BTreeMap<u64, u64>,
}

impl Model {
    fn fold(&mut self, entry: &str) {
        let words: Vec<&str> = entry.split(' ').collect();
        let seq = number(entry, 2);
        match words[..] {
            ["join", _, _, member, _] => self.roster.push(member.into()),
            ["move", _, _, member, old, new] => {
                let moved = self.roster.remove(old.parse().unwrap());
                assert_eq!(moved, member, "{entry}");
                self.roster.insert(new.parse().unwrap(), moved);
            }
            ["cmd", _, _, from, rank, ..] => {
                let rank: usize = rank.parse().unwrap();
                assert_eq!(self.roster[rank], from, "{entry}");
                let below = &self.roster[rank + 1..];
                for member in below {
                    self.due.entry(member.clone()).or_default().push(seq);
                }
                self.to.insert(seq, u64::try_from(below.len()).unwrap());
            }
            ["msg", ..] => {}
            _ => panic!("{entry}"),
        }
    }
}

/// Sends all requests at once and reads up to the end. Returns the seqs of the commands
/// that the client saw, and `to=` of those that it gave.
fn play(client: &mut Client, requests: &str) -> (Vec<u64>, BTreeMap<u64, u64>) {
    client.send(requests.trim_end());
    let (mut seen, mut given) = (Vec::new(), BTreeMap::new());
    for line in client.until("msg ops * olga the end") {
        if line.starts_with("cmd ") {
            seen.push(number(&line, 2));
        } else if line.starts_with("ok cmd ") {
            given.insert(number(&line, 3), support::field(&line, "to").parse().unwrap());
        } else if line.starts_with("err ") {
            assert!(line.starts_with("err rank "), "{line}");
        }
    }
    (seen, given)
}

/// Several games, because in some of them the moves come all before or all
/// after the commands.
#[test]
fn each_sees_exactly_the_commands_that_are_for_it() {
    (0..15).for_each(play_all);
}

fn play_all(game: u64) {
    let broker = Broker::start();
    let mut olga = broker.client("olga");
    olga.ask("create ops", "ok create ops");
    olga.ask("sub ops --observe", "ok sub ops *");
    // Rank 0 reorders the roster below it; all others give commands.
    let mut dice = Dice(game);
    let names: Vec<String> = (0..MEMBERS).map(|n| format!("m{n}")).collect();
    let team: Vec<Client> = names.iter().map(|name| broker.member(name, "ops")).collect();
    let scripts = names.iter().enumerate().map(|(at, _)| {
        let (mut script, last) = (String::new(), MEMBERS - 1);
        for _ in 0..if at == 0 { MOVES } else { COMMANDS } {
            let request = match at {
                0 => format!("promote ops m{} {}\n", 1 + dice.roll(last), 1 + dice.roll(last)),
                _ => "cmd ops go\n".to_owned(),
            };
            script.push_str(&request);
        }
        script + &format!("tell olga m{at} is through\n")
    });
    let scripts: Vec<String> = scripts.collect();
    let mut model = Model::default();
    let (mut all_given, mut all_seen) = (BTreeMap::new(), BTreeMap::new());
    std::thread::scope(|scope| {
        let playing: Vec<_> = team
            .into_iter()
            .zip(&scripts)
            .map(|(mut client, script)| {
                scope.spawn(move || (play(&mut client, script), client.label))
            })
            .collect();
        let mut playing_still = MEMBERS;
        loop {
            let line = olga.line().expect("olga keeps her connection");
            if line.starts_with("tell ") {
                playing_still -= 1;
                if playing_still == 0 {
                    olga.send("pub ops the end");
                }
            } else if !line.starts_with("ok pub ") {
                model.fold(&line);
                if line.ends_with(" the end") {
                    break;
                }
            }
        }
        for player in playing {
            let ((seen, given), name) = player.join().expect("a player comes through");
            all_given.extend(given);
            all_seen.insert(name, seen);
        }
    });
    for name in &names {
        let due = model.due.remove(name).unwrap_or_default();
        assert_eq!(all_seen[name], due, "{name}");
    }
    assert_eq!(all_given, model.to, "as many recipients as `to=` says");
    assert!(model.to.len() > COMMANDS, "there were commands");
}
