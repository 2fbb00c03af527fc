//! A data directory that has been damaged, and then opened by a broker.
//!
//! The input is a list of mutations. Whatever they do, the broker either refuses with a
//! message that names the directory, or reads what was written, entry by entry, and
//! says what is missing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ranked_broker::broker::Broker;
use ranked_broker::config::Config;
use ranked_broker::runtime;
use ranked_broker::server::Server;
use ranked_broker::store::{self, Fetch, Fetched, OpenError, Options, Recovered, Store, Table};
use ranked_broker::wire::text::TextEncoder;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};

/// Bytes of the input that make one mutation, and how many of them count.
const MUTATION_BYTES: usize = 8;
const MUTATIONS_MAX: usize = 8;

/// The files of the template by path, each without the zeros at its end.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What a broker finds of a channel: its extent, its roster, its entries.
#[derive(Debug, Default, PartialEq)]
struct Found {
    extent: (u64, u64),
    roster: Vec<(String, u64, u64)>,
    entries: BTreeMap<u64, Vec<u8>>,
}

/// All that a broker finds: channels by name, and rows of sessions and drops.
#[derive(Debug, Default, PartialEq)]
struct State {
    channels: BTreeMap<String, Found>,
    rows: Vec<(Table, Vec<u8>, Vec<u8>)>,
}

enum Outcome {
    Opened(State),
    Refused(OpenError),
}

struct Template {
    files: Files,
    truth: State,
}

/// The directory that is being opened, and where its outcome goes.
static WAITING: Mutex<Option<(PathBuf, Sender<Outcome>)>> = Mutex::new(None);
static TEMPLATE: LazyLock<Template> = LazyLock::new(make);

fuzz_target!(init: prepare(), |input: &[u8]| {
    let (mut files, mut may_lose) = (TEMPLATE.files.clone(), false);
    for bytes in input.chunks(MUTATION_BYTES).take(MUTATIONS_MAX) {
        let mut mutation = [1; MUTATION_BYTES];
        mutation[..bytes.len()].copy_from_slice(bytes);
        may_lose |= mutate(&mut files, &mutation);
    }
    match open(&files) {
        Outcome::Refused(error) => {
            let text = error.to_string();
            assert!(text.contains("the data directory "), "{text}");
            // The message is for people: one line, and it ends.
            assert!(!text.contains('\n') && text.len() < 4096, "{text}");
        }
        Outcome::Opened(state) => compare(&state, &TEMPLATE.truth, may_lose),
    }
});

/// Turns a panic of the storage engine into the refusal that it is in a broker's
/// process. All other panics are finds.
fn prepare() {
    let crash = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let waiting = WAITING.lock().unwrap_or_else(|e| e.into_inner()).take();
        match waiting.and_then(|(dir, tx)| Some((store::engine_panic(&dir, info)?, tx))) {
            Some((error, tx)) => drop(tx.send(Outcome::Refused(error))),
            // A further panic of an engine whose first one has been dealt with.
            None if store::engine_panic(Path::new(""), info).is_some() => {}
            None => crash(info),
        }
    }));
    LazyLock::force(&TEMPLATE);
}

fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

/// Changes a file as eight bytes say. Returns whether the entries written last may be
/// missing as a result without anybody being able to tell.
fn mutate(files: &mut Files, mutation: &[u8]) -> bool {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
    let paths: Vec<PathBuf> = files.keys().cloned().collect();
    let Some(path) = paths.get(mutation[1] as usize % paths.len().max(1)).cloned() else {
        return false;
    };
    let Some(content) = files.get_mut(&path) else { return false };
    let at = number(&mutation[2..5]) % content.len().max(1);
    let is_journal = path.extension().is_some_and(|end| end == "jnl");
    match mutation[0] % 6 {
        0 | 1 => {
            for (byte, change) in content.iter_mut().skip(at).zip(&mutation[5..8]) {
                *byte ^= change;
            }
            // A change in the last batch looks as if that had been half written.
            is_journal && at + 4096 > content.len()
        }
        2 => {
            content.truncate(at);
            is_journal
        }
        3 => {
            let length = number(&mutation[5..7]) * 16;
            content.resize(content.len() + length, mutation[7]);
            false
        }
        4 => {
            files.remove(&path);
            is_journal
        }
        _ => {
            let content = content.clone();
            let other = paths[mutation[5] as usize % paths.len()].clone();
            let to = match mutation[6] % 4 {
                0 => path.with_extension("copy"),
                1 => path.with_file_name(mutation[7].to_string()),
                2 => path.with_file_name(format!("{}.jnl", mutation[7])),
                _ => other,
            };
            let is_over = to.extension().is_some_and(|end| end == "jnl");
            files.insert(to, content);
            is_over
        }
    }
}

/// Opens a directory with these files, on a thread of its own, which is left behind if
/// it waits in vain for a thread of the engine's that has panicked.
fn open(files: &Files) -> Outcome {
    let folder = folder();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
    let dir = folder.path().to_owned();
    let (tx, rx) = channel();
    *WAITING.lock().unwrap_or_else(|e| e.into_inner()) = Some((dir.clone(), tx.clone()));
    std::thread::spawn(move || {
        let outcome = match look(&dir) {
            Ok(Some(state)) => Outcome::Opened(state),
            Ok(None) => return,
            Err(error) => Outcome::Refused(error),
        };
        drop(tx.send(outcome));
    });
    let outcome = rx.recv().expect("it ends");
    WAITING.lock().unwrap_or_else(|e| e.into_inner()).take();
    outcome
}

/// All that a store, and then a broker, finds there; `None` if the engine panicked on
/// the way.
fn look(dir: &Path) -> Result<Option<State>, OpenError> {
    let (store, recovered) = Store::open(Options { dir: dir.to_owned(), margin: 0 })?;
    let Some(channels) = channels(&store, &recovered) else { return Ok(None) };
    store.close(Vec::new());
    let config = Config { data: Some(dir.to_owned()), data_free: 0, ..Config::default() };
    let broker = Broker::open(config, Box::new(TextEncoder))?;
    let store = broker.store().expect("it has a directory");
    let mut rows = Vec::new();
    for table in [Table::Sessions, Table::Sequences, Table::Dropped] {
        let Ok(all) = store.all(table) else { return Ok(None) };
        rows.extend(all.into_iter().map(|(key, row)| (table, key, row)));
    }
    broker.close_store();
    Ok(Some(State { channels, rows }))
}

fn channels(store: &Store, recovered: &Recovered) -> Option<BTreeMap<String, Found>> {
    let mut channels = BTreeMap::new();
    for channel in &recovered.channels {
        let seats = channel.roster.seats.iter();
        let roster = seats.map(|seat| (seat.name.clone(), seat.term, seat.joined)).collect();
        let extent = (channel.extent.first_seq, channel.extent.last_seq);
        let mut found = Found { extent, roster, ..Found::default() };
        let mut from = extent.0;
        while channel.record.durable && from <= extent.1 {
            let fetched = fetch(store, channel.id, from, extent.1)?;
            if fetched.error.is_some() {
                break;
            }
            assert!(fetched.to >= from, "a fetch goes on: {fetched:?}");
            for (_, chunk) in &fetched.chunks {
                for index in 0..usize::try_from(chunk.entries()).expect("it is in memory") {
                    let bytes = chunk.bytes[chunk.entry_at(index)].to_vec();
                    let seq = chunk.first_seq + index as u64;
                    assert!(found.entries.insert(seq, bytes).is_none(), "{seq} twice");
                }
            }
            from = fetched.to + 1;
        }
        channels.insert(channel.record.name.clone(), found);
    }
    Some(channels)
}

fn fetch(store: &Store, channel_id: u64, from: u64, to: u64) -> Option<Fetched> {
    let (tx, rx) = channel();
    let then = Box::new(move |fetched| drop(tx.send(fetched)));
    let (channel, wanted) = (channel_id, Box::new(|| true));
    store.fetch(Fetch { channel, from, to, bytes_max: 4096, rank: None, wanted, then });
    rx.recv().ok()
}

fn compare(state: &State, truth: &State, may_lose: bool) {
    for (name, found) in &state.channels {
        let Some(there) = truth.channels.get(name) else {
            // At an earlier commit, `gone` had not been dropped yet.
            assert!(may_lose && name == "gone", "channel {name:?} never was");
            continue;
        };
        for (seq, entry) in &found.entries {
            assert_eq!(there.entries.get(seq), Some(entry), "{name} {seq}");
        }
        if !may_lose {
            assert_eq!((found.extent, &found.roster), (there.extent, &there.roster), "{name}");
        }
    }
    if !may_lose {
        assert_eq!(state.channels.len(), truth.channels.len(), "channels");
        assert_eq!(state.rows, truth.rows, "sessions");
    }
}

/// A directory with a bit of everything, made by a broker.
fn make() -> Template {
    let folder = folder();
    let config = Config {
        port: 0,
        data: Some(folder.path().to_owned()),
        data_free: 0,
        ..Config::default()
    };
    let server = Server::start(config).expect("it starts");
    let connect = || {
        let stream = TcpStream::connect(server.addr).expect("it listens");
        BufReader::new(stream)
    };
    let ask = |client: &mut BufReader<TcpStream>, request: &str| {
        client.get_mut().write_all(format!("{request}\n").as_bytes()).expect("it reads");
        let mut line = String::new();
        while !line.starts_with("ok ") {
            assert!(!line.starts_with("err "), "{request}: {line}");
            line.clear();
            client.read_line(&mut line).expect("it answers");
        }
    };
    let (mut alice, mut bob) = (connect(), connect());
    ask(&mut alice, "hello --name alice --session 00000000-0000-4000-8000-000000000001");
    ask(&mut bob, "hello --name bob --session 00000000-0000-4000-8000-000000000002");
    for request in ["create log --durable", "create few --durable --history 5", "create plain"] {
        ask(&mut alice, request);
    }
    for channel in ["log", "few", "plain"] {
        ask(&mut alice, &format!("sub {channel} --no-echo"));
        ask(&mut bob, &format!("sub {channel} --no-echo"));
    }
    for number in 0..120 {
        let text = format!("{number} {}", "x".repeat(number * 7 % 300));
        ask(&mut alice, &format!("pub --key {number} log {text}"));
        if number % 10 == 0 {
            ask(&mut bob, "pub few f");
            ask(&mut bob, "pub plain p");
            ask(&mut alice, "yield log");
            ask(&mut bob, "yield log");
        }
    }
    ask(&mut alice, "create gone --durable");
    ask(&mut alice, "sub gone --no-echo");
    ask(&mut alice, "drop gone");
    runtime::block_on(server.stop());
    let mut files = Files::new();
    read_folder(folder.path(), Path::new(""), &mut files);
    // An opening itself changes some of it, and does so once: the truth is what it finds.
    let Outcome::Opened(truth) = open(&files) else { panic!("the template is refused") };
    assert_eq!(truth.channels["log"].entries.len() as u64, truth.channels["log"].extent.1);
    Template { files, truth }
}

fn read_folder(root: &Path, under: &Path, files: &mut Files) {
    for file in fs::read_dir(root.join(under)).expect("it is there") {
        let file = file.expect("it can be read");
        let path = under.join(file.file_name());
        if file.path().is_dir() {
            read_folder(root, &path, files);
            continue;
        }
        let mut content = fs::read(file.path()).expect("it can be read");
        if path.extension().is_some_and(|end| end == "jnl") {
            let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            content.truncate(used);
        }
        files.insert(path, content);
    }
}
