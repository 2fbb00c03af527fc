//! Rows that could not be written, and wait until that is over.
//!
//! While the store fails, sessions come and go all the same. So of each row only
//! the last state waits, and of one that the disk has never had nothing, once it is
//! removed: what waits is as large as what is alive, however long it takes.

use super::Table;
use super::disk::{Batch, Disk};
use super::queue::Op;
use std::collections::HashMap;

/// Rows by table and key. They are of other tables than what else there is to
/// write, so that only their own order matters: the last one wins.
#[derive(Default)]
pub struct Backlog(HashMap<Place, Waiting>);

type Place = (Table, Vec<u8>);

struct Waiting {
    /// What it is to be; `None` if it is to be removed.
    value: Option<Vec<u8>>,
    /// It was in a batch that failed: what the disk has of it nobody knows.
    tried: bool,
}

impl Backlog {
    /// Takes the rows that are among these changes.
    pub fn take(&mut self, ops: &mut Vec<Op>, disk: Option<&Disk>) {
        for op in ops.extract_if(.., |op| op.is_row()) {
            match op {
                Op::Put { table, key, value } => self.set((table, key), Some(value), disk),
                Op::Remove { table, key } => self.set((table, key), None, disk),
                Op::Create { .. } | Op::Drop { .. } | Op::Forget { .. } => {}
            }
        }
        if ops.is_empty() {
            // What was many may have been but rows.
            ops.shrink_to_fit();
        }
    }

    fn set(&mut self, place: Place, value: Option<Vec<u8>>, disk: Option<&Disk>) {
        let tried = self.0.get(&place).is_some_and(|row| row.tried);
        if value.is_none() && !tried && !may_have(disk, &place) {
            self.0.remove(&place);
        } else {
            self.0.insert(place, Waiting { value, tried });
        }
    }

    /// All of them were in a batch that failed.
    pub fn tried(&mut self) {
        self.0.values_mut().for_each(|row| row.tried = true);
    }

    /// The engine has been opened anew: what it has now is certain.
    pub fn settle(&mut self, disk: &Disk) {
        self.0.retain(|place, row| {
            row.tried = false;
            row.value.is_some() || may_have(Some(disk), place)
        });
    }

    /// Puts them into a batch.
    pub fn put_into(&self, batch: &mut Batch<'_>) {
        for ((table, key), row) in &self.0 {
            match &row.value {
                Some(value) => batch.put(*table, key, value.clone()),
                None => batch.remove(*table, key),
            }
        }
    }
}

/// Whether there may be such a row on disk: where nobody can look, there may.
fn may_have(disk: Option<&Disk>, (table, key): &Place) -> bool {
    disk.is_none_or(|disk| !matches!(disk.get(*table, key), Ok(None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: u8) -> Op {
        Op::Put { table: Table::Sessions, key: key.into(), value: vec![value] }
    }

    fn remove(key: &str) -> Op {
        Op::Remove { table: Table::Sessions, key: key.into() }
    }

    fn rows(disk: &Disk) -> Vec<(Vec<u8>, Vec<u8>)> {
        disk.all(Table::Sessions).map(|row| row.map(|(k, v)| (k, v.to_vec())).unwrap()).collect()
    }

    /// All that has come and gone since it failed left a row to write.
    #[test]
    fn of_what_comes_and_goes_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let mut batch = disk.batch();
        batch.put(Table::Sessions, b"old", vec![1]);
        batch.put(Table::Sessions, b"gone", vec![1]);
        batch.commit().unwrap();
        let mut backlog = Backlog::default();
        for n in 0..100 {
            let own = n.to_string();
            let mut ops = vec![put(&own, n), put("old", n), put("new", n), remove(&own)];
            ops.push(Op::Forget { id: 1 });
            ops.push(remove("gone"));
            backlog.take(&mut ops, Some(&disk));
            assert!(matches!(ops[..], [Op::Forget { id: 1 }]), "{ops:?}");
        }
        assert_eq!(backlog.0.len(), 3);
        let mut batch = disk.batch();
        backlog.put_into(&mut batch);
        batch.commit().unwrap();
        assert_eq!(rows(&disk), [(b"new".into(), vec![99]), (b"old".into(), vec![99])]);
    }

    /// A batch that failed may be there after all, when the engine is opened again.
    #[test]
    fn what_the_disk_may_have_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let mut backlog = Backlog::default();
        backlog.take(&mut vec![put("a", 1), put("b", 1)], Some(&disk));
        backlog.tried();
        backlog.take(&mut vec![remove("a"), remove("b"), put("c", 1)], Some(&disk));
        backlog.take(&mut vec![remove("d")], None);
        assert_eq!(backlog.0.len(), 4);
        // That is what it finds then.
        let mut batch = disk.batch();
        batch.put(Table::Sessions, b"a", vec![1]);
        batch.commit().unwrap();
        backlog.settle(&disk);
        assert_eq!(backlog.0.len(), 2);
        let mut batch = disk.batch();
        backlog.put_into(&mut batch);
        batch.commit().unwrap();
        assert_eq!(rows(&disk), [(b"c".into(), vec![1])]);
    }
}
