//! A data directory that was damaged while no broker ran: a broker that is
//! started on it refuses and says what to do, or it has what was written, entry
//! by entry, and tells of every gap.
//!
//! `DAMAGE_ROUNDS=500` for more damage than by default, `DAMAGE_SEED=…` for
//! other.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use support::{Broker, Child, Dice, field, number};

/// Enough for the storage engine to have tables as well as journals.
const ENTRIES: u64 = 3_000;
const ENTRY_BYTES: usize = 4_000;

/// All files by path, without the zeros at the end of journals.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// A folder in memory, if the machine has a file system there.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn text(seq: u64) -> String {
    let letter = char::from(b'a' + u8::try_from(seq % 26).unwrap());
    format!("{seq}-{}", letter.to_string().repeat(ENTRY_BYTES))
}

/// The files that a killed broker has left.
fn template() -> Files {
    let folder = folder();
    let dir = folder.path().to_str().unwrap();
    let mut broker = Broker::keeping(dir.as_ref(), &["--data-free", "1KiB"]);
    let mut alice = broker.client("alice");
    alice.ask("create log --durable", "ok create log");
    alice.ask("create plain", "ok create plain");
    alice.ask("sub plain", "ok sub plain *");
    let mut sender = alice.sender();
    let flood = std::thread::spawn(move || {
        (1..=ENTRIES).for_each(|seq| sender.send(&format!("pub log {}", text(seq))));
    });
    for seq in 1..=ENTRIES {
        alice.expect(&format!("ok pub log {seq}"));
    }
    flood.join().unwrap();
    broker.child().kill();
    let mut files = Files::new();
    read_folder(folder.path(), Path::new(""), &mut files);
    files.sort();
    files
}

fn read_folder(root: &Path, under: &Path, files: &mut Files) {
    for file in fs::read_dir(root.join(under)).unwrap() {
        let file = file.unwrap();
        let path = under.join(file.file_name());
        if file.path().is_dir() {
            read_folder(root, &path, files);
            continue;
        }
        let mut content = fs::read(file.path()).unwrap();
        if is_journal(&path) {
            let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            content.truncate(used);
        }
        files.push((path, content));
    }
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "jnl")
}

/// Damages one file. Returns how, and whether the entries written last may be missing
/// as if they had never been written.
fn damage(files: &mut Files, dice: &mut Dice) -> (String, bool) {
    let large: Vec<usize> =
        (0..files.len()).filter(|file| files[*file].1.len() > ENTRY_BYTES).collect();
    // Most files are small, and most damage is where most bytes are.
    let file =
        if dice.roll(2) == 0 { large[dice.roll(large.len())] } else { dice.roll(files.len()) };
    let (path, content) = &mut files[file];
    let at = dice.roll(content.len().max(1));
    let of_journal = is_journal(path);
    let name = path.display().to_string();
    match dice.roll(8) {
        0..4 => {
            let bytes = dice.roll(16) + 1;
            let change = u8::try_from(dice.roll(255) + 1).unwrap();
            content.iter_mut().skip(at).take(bytes).for_each(|byte| *byte ^= change);
            let is_end = at + 8 * ENTRY_BYTES * 64 > content.len();
            (format!("{bytes} bytes of {name} at {at} changed"), of_journal && is_end)
        }
        4 => {
            content.truncate(at);
            (format!("{name} cut at {at}"), of_journal)
        }
        5 => {
            content.extend((0..dice.roll(5_000)).map(|_| 0xa5));
            (format!("{name} made longer"), false)
        }
        6 => {
            files.remove(file);
            (format!("{name} removed"), of_journal)
        }
        _ => {
            let (content, of_name) = (content.clone(), path.clone());
            let copies = ["copy", "7", "7.jnl", "v9"];
            let copy = of_name.with_file_name(copies[dice.roll(copies.len())]);
            files.push((copy.clone(), content));
            (format!("{name} copied to {}", copy.display()), is_journal(&copy))
        }
    }
}

enum Outcome {
    Refused,
    Read { gaps: u64 },
}

/// What comes of a broker on these files.
fn outcome(files: &Files, how: &str, may_lose: bool) -> Outcome {
    let folder = folder();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(content).unwrap();
    }
    println!("{how}");
    let dir = folder.path().to_str().unwrap();
    let mut child = Child::run(&["127.0.0.1", "0", "--data", dir, "--data-free", "1KiB"]);
    if !child.listens() {
        refused(&mut child, dir, how);
        return Outcome::Refused;
    }
    let mut broker = Broker::from_child(child);
    let mut bob = broker.client("bob");
    bob.send("info log");
    let Some(row) = bob.line().filter(|line| line.starts_with("channel log ")) else {
        assert!(may_lose, "{how}: the channel is gone, and nobody was told");
        return Outcome::Read { gaps: 0 };
    };
    let last = field(&row, "seq").parse::<u64>().unwrap();
    assert!(last == ENTRIES || may_lose && last < ENTRIES, "{how}: it ends at {last}");
    bob.until("ok info log*");
    bob.ask("sub log --observe --from first", "ok sub log *");
    let (mut next, mut gaps) = (1, 0);
    while next <= last {
        let Some(line) = bob.line() else {
            // The broker has noticed the damage while it read.
            drop(bob);
            refused(broker.child(), dir, how);
            return Outcome::Refused;
        };
        if line.starts_with("gap log ") {
            assert_eq!(number(&line, 2), next, "{how}: {line}");
            next = number(&line, 3) + 1;
            gaps += 1;
        } else {
            let told = format!("msg log {next} alice {}", text(next));
            assert!(line == told, "{how}: at {next}: {}", &line[..line.len().min(60)]);
            next += 1;
        }
    }
    Outcome::Read { gaps }
}

/// Asserts that the broker has ended with a message, and not with a bare panic.
fn refused(child: &mut Child, dir: &str, how: &str) {
    let code = child.ended().code();
    let complaint = child.complaint();
    let last = complaint.lines().last().unwrap_or_default();
    assert_eq!(code, Some(1), "{how}: {complaint}");
    assert!(last.starts_with("broker: ") && last.contains(dir), "{how}: {complaint}");
    assert!(last.contains("--data"), "{how}: what to do: {complaint}");
}

#[test]
fn damage_is_told_and_never_read_as_if_it_had_been_written() {
    let rounds = std::env::var("DAMAGE_ROUNDS").map_or(80, |rounds| rounds.parse().unwrap());
    let seed = std::env::var("DAMAGE_SEED").map_or(1, |seed| seed.parse().unwrap());
    let template = template();
    assert!(matches!(outcome(&template, "nothing", false), Outcome::Read { gaps: 0 }));
    let (mut refused, mut with_gaps) = (0, 0);
    for round in 0..rounds {
        let mut files = template.clone();
        let (how, may_lose) = damage(&mut files, &mut Dice(seed * 1_000_000 + round));
        match outcome(&files, &format!("round {round}: {how}"), may_lose) {
            Outcome::Refused => refused += 1,
            Outcome::Read { gaps } => with_gaps += u64::from(gaps > 0),
        }
    }
    println!("{rounds} rounds: {refused} refused, {with_gaps} read with gaps, the rest whole");
    assert!(refused > 0, "nothing was damaged: this proves nothing");
}
