//! Damage is reported, what is none is not, and neither takes anything else along.

use super::*;

/// Writes changes of rosters into a table of the engine, whose first bytes then go
/// bad.
fn damage_changes(dir: &Path, store: &Store, id: ChannelId) {
    for seq in 1..=40 {
        // Random enough not to be compressed much.
        let mut word: u64 = seq;
        let row = std::iter::repeat_with(|| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (word >> 56) as u8
        });
        store.put(Table::Changes, &record::key(id, seq), row.take(64 * 1024).collect());
    }
    store.sync().wait().unwrap();
    let folder = dir.join("keyspaces").join((Table::Changes as usize + 1).to_string());
    let deadline = Instant::now() + Duration::from_secs(30);
    while !folder.join("v1").exists() {
        assert!(Instant::now() < deadline, "no table of changes in {}", folder.display());
        store.sync().wait().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    for table in std::fs::read_dir(folder.join("tables")).unwrap() {
        use std::os::unix::fs::FileExt;
        let path = table.unwrap().path();
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&[0xff; 4096], 0).unwrap();
    }
}

#[test]
fn changes_that_cannot_be_read_are_no_reason_to_write_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (id, ..) = store.create(record("c"));
    damage_changes(dir.path(), &store, id);
    let fake = Fake::new(id);
    fake.append(0, 1, 50);
    let saved = RosterRecord { view: 50, seats: vec![seat(10, 1)] };
    lock(&fake.state).handover.roster = Some(saved);
    assert_eq!(dirty(&store, &fake).wait(), Ok(()));
    assert_eq!((store.check(), fake.extent().last_seq), (Ok(()), 50));
    store.close(vec![]);
}

#[test]
fn a_hole_is_read_over_and_a_lost_end_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, id, _) = filled(dir.path(), record("c"), 10);
    store.remove(Table::Entries, &record::key(id, 4));
    store.put(Table::Entries, &record::key(id, 5), b"nonsense".to_vec());
    store.sync().wait().unwrap();
    let fetched = fetch(&store, id, 1, 10, usize::MAX);
    assert_eq!((numbers(&fetched), fetched.to), (vec![0, 1, 2, 5, 6, 7, 8, 9], 10));
    store.remove(Table::Entries, &record::key(id, 10));
    store.close(vec![]);
    let error = refusal(dir.path()).to_string();
    assert!(error.contains("channel c should have entries 1 to 10, and has 1 to 9"), "{error}");
}

#[test]
fn what_is_missing_is_reported_once_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let (store, channel, _) = filled(dir.path(), record("c"), 10);
    store.put(Table::Entries, &record::key(channel, 3), b"nonsense".to_vec());
    store.remove(Table::Entries, &record::key(channel, 4));
    store.remove(Table::Entries, &record::key(channel, 7));
    store.put(Table::Entries, &record::key(channel, 10), b"nonsense".to_vec());
    store.sync().wait().unwrap();
    let (wanted, then) = (Box::new(|| true), Box::new(|_| {}));
    let (from, to, bytes_max, rank) = (1, 10, usize::MAX, None);
    let fetch = Fetch { channel, from, to, bytes_max, rank, wanted, then };
    let reported = Mutex::new(Vec::new());
    let report = |from, to, what: &str| lock(&reported).push((from, to, what.contains("missing")));
    let disk = sync::read(&store.shared.disk);
    fetch::read(disk.as_ref().unwrap(), &fetch, &report).unwrap();
    drop(disk);
    assert_eq!(*lock(&reported), [(3, 4, false), (7, 7, true), (10, 10, false)]);
    store.close(vec![]);
}

/// Twenty records, each in a commit of its own.
fn write_twenty(dir: &Path) {
    let (store, _) = open(dir);
    for n in 0..20_u8 {
        store.put(Table::Sessions, &[n], vec![n; 100]);
        store.sync().wait().unwrap();
    }
    store.close(vec![]);
}

#[test]
fn a_journal_with_a_bad_byte_in_it_is_refused_until_someone_has_seen_that() {
    let dir = tempfile::tempdir().unwrap();
    write_twenty(dir.path());
    let path = dir.path().join("0.jnl");
    let mut journal = std::fs::read(&path).unwrap();
    let mark = journal::Journals::mark(10);
    let at = journal.windows(mark.len()).position(|window| window == mark).unwrap();
    // The engine's own head of that batch, up to the mark's key.
    journal[at - 40..at - journal::KEY.len()].fill(0xff);
    std::fs::write(&path, journal).unwrap();
    for _ in 0..2 {
        let error = refusal(dir.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("commits after number 9"), "{error}");
    }
    std::fs::remove_file(dir.path().join("DAMAGED")).unwrap();
    let (store, _) = open(dir.path());
    assert_eq!(store.all(Table::Sessions).unwrap().len(), 8);
    store.close(vec![]);
}

#[test]
fn what_the_engine_would_take_for_whole_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_twenty(dir.path());
    let refused = |path: &str, change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let path = dir.path().join(path);
        let before = std::fs::read(&path).unwrap();
        let mut after = before.clone();
        change(&mut after);
        std::fs::remove_file(&path).unwrap();
        if !after.is_empty() {
            std::fs::write(&path, after).unwrap();
        }
        let error = refusal(dir.path()).to_string();
        assert!(error.contains("is damaged") && error.contains(expected), "{error}");
        std::fs::write(&path, before).unwrap();
    };
    let out_of_order = |journal: &mut Vec<u8>| {
        let mark = journal::Journals::mark(10);
        let at = journal.windows(mark.len()).position(|window| window == mark).unwrap();
        // The lowest byte of the place in order, before the first row.
        journal[at - 35] ^= 0x80;
    };
    refused("0.jnl", &out_of_order, "commit 1");
    refused("0.jnl", &Vec::clear, "journals are gone");
    refused("version", &Vec::clear, "version is gone");
    refused("version", &|version| version[0] ^= 1, "names no format that this broker knows");
    refused("keyspaces/0/current", &Vec::clear, "keyspaces/0/current cannot be read");
    refused("keyspaces/3/current", &|current| current[9] ^= 1, "is bad");
    refused("keyspaces/3/v0", &|list| list[0] ^= 1, "is bad");
    let (store, _) = open(dir.path());
    assert_eq!(store.all(Table::Sessions).unwrap().len(), 20, "nothing was touched");
    store.close(vec![]);
}

#[test]
fn a_batch_that_was_half_written_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    write_twenty(dir.path());
    let path = dir.path().join("0.jnl");
    let journal = std::fs::read(&path).unwrap();
    let end = journal.iter().rposition(|byte| *byte != 0).unwrap();
    std::fs::write(&path, &journal[..end - 50]).unwrap();
    // A commit that is noted was whole.
    std::fs::remove_file(dir.path().join("commits")).unwrap();
    let (store, _) = open(dir.path());
    assert_eq!(store.all(Table::Sessions).unwrap().len(), 19);
    store.close(vec![]);
}

/// A journal that has lost its end, as if that had never been written.
#[test]
fn a_journal_that_is_shorter_than_it_was_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (id, ..) = store.create(record("c"));
    let fake = Fake::new(id);
    for n in 0..10 {
        fake.append(n, n + 1, 1);
        dirty(&store, &fake).wait().unwrap();
    }
    store.close(vec![]);
    let (journal, note) = (dir.path().join("0.jnl"), dir.path().join("DAMAGED"));
    let whole = std::fs::read(&journal).unwrap();
    let zeroed = |from: usize| [&whole[..from], &vec![0; whole.len() - from]].concat();
    let commits = std::fs::read_to_string(dir.path().join("commits")).unwrap();
    let number: u64 = commits.trim().parse().unwrap();
    assert!(number > 10);
    // So many bytes of a batch come before its mark.
    let begin =
        |number| memchr::memmem::find(&whole, &journal::Journals::mark(number)).unwrap() - 40;
    let (last, middle) = (begin(number), begin(number / 2));
    let cut = |at: usize| whole[..at].to_vec();
    for content in [cut(last), cut(last + 60), cut(middle), zeroed(last), zeroed(middle), vec![]] {
        std::fs::write(&journal, &content).unwrap();
        std::fs::write(dir.path().join("commits"), &commits).unwrap();
        let error = refusal(dir.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(&format!("had {number} commits")), "{error}");
        // It is refused so until somebody removes the file to go on without.
        assert!(refusal(dir.path()).to_string().contains("DAMAGED"));
        std::fs::remove_file(&note).unwrap();
    }
}

/// An empty or missing table is reported as damage.
#[test]
fn a_table_that_is_empty_or_gone_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).0.close(vec![]);
    let tables = || std::fs::read_dir(dir.path().join("keyspaces/0/tables")).unwrap();
    let tables = || tables().map(|table| table.unwrap().path());
    assert!(tables().count() > 0);
    tables().for_each(|table| std::fs::write(table, "").unwrap());
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("keyspaces/0/tables/"), "{error}");
    tables().for_each(|table| std::fs::remove_file(table).unwrap());
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("is gone"), "{error}");
}

/// Where another user's broker ran, or a copy was put back as root.
#[test]
fn files_of_somebody_else_are_not_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    write_twenty(dir.path());
    let current = dir.path().join("keyspaces/1/current");
    std::fs::remove_file(&current).unwrap();
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let error = layout::unread(dir.path(), &current, &denied);
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
    let error = refusal(dir.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("while no broker ran on it"), "{error}");
}

#[test]
fn a_lock_that_somebody_has_removed_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    write_twenty(dir.path());
    std::fs::remove_file(dir.path().join("lock")).unwrap();
    let (store, _) = open(dir.path());
    assert_eq!(store.all(Table::Sessions).unwrap().len(), 20);
    assert!(matches!(refusal(dir.path()), OpenError::InUse { .. }));
    store.close(vec![]);
}
