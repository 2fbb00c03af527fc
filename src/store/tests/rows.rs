//! Rows that wait for a disk that is slow, or takes nothing.

use super::*;

/// A disk that is slow, or does not answer any more, does not fill the memory.
#[test]
fn of_each_row_one_state_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _, fake) = filled(dir.path(), record("c"), 1);
    store.put(Table::Sessions, b"gone", vec![1]);
    store.sync().wait().unwrap();
    let asked = lock(&fake.state).asked;
    fake.shut(true);
    dirty(&store, &fake);
    while lock(&fake.state).asked == asked {
        std::thread::yield_now();
    }
    for n in 0..100 {
        store.put(Table::Sessions, b"here", vec![n]);
        store.put(Table::Sessions, b"gone", vec![n]);
        store.remove(Table::Sessions, b"gone");
    }
    assert_eq!(store.shared.queue.rows_waiting(), 2);
    fake.shut(false);
    assert_eq!(store.all(Table::Sessions), Ok(vec![(b"here".to_vec(), vec![99])]));
    store.close(vec![]);
}

/// A disk that can only be read is read, and what is to be written waits.
#[test]
fn where_nothing_can_be_written_it_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (id, ..) = store.create(record("c"));
    let fake = Fake::new(id);
    fake.append(0, 1, 1);
    dirty(&store, &fake).wait().unwrap();
    store.put(Table::Sessions, b"a", vec![1]);
    store.sync().wait().unwrap();
    let commits = dir.path().join("commits");
    let _ = std::fs::remove_file(&commits);
    std::fs::create_dir(&commits).unwrap();
    store.shared.health.failed("no");
    for n in 0..100 {
        store.put(Table::Sessions, b"b", vec![n]);
        store.put(Table::Sessions, b"c", vec![n]);
        store.remove(Table::Sessions, b"c");
        store.sync().wait().unwrap_err();
    }
    store.remove(Table::Sessions, b"a");
    store.sync().wait().unwrap_err();
    assert_eq!(fetch(&store, id, 1, 1, usize::MAX).chunks.len(), 1);
    std::fs::remove_dir(&commits).unwrap();
    assert_eq!(store.all(Table::Sessions), Ok(vec![(b"b".to_vec(), vec![99])]));
    assert_eq!(store.state(), "well");
    store.close(vec![]);
}
