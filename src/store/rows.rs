//! Rows that wait to be written.
//!
//! Only the last state of each row waits: one that is put again and again while the
//! disk is slow is one row. While the store fails, sessions still come and go: then
//! nothing waits for a removed row that the disk has never had, so that what waits is
//! only as large as what is alive, however long it takes.

use super::Table;
use super::disk::{Disk, WriteBatch};
use std::collections::HashMap;

/// Rows by table and key. Nothing else that is written has these keys, so that only
/// their own order matters: the last state wins.
#[derive(Default)]
pub struct Rows(HashMap<Key, Waiting>);

type Key = (Table, Vec<u8>);

#[derive(Default)]
struct Waiting {
    /// The row's new value; `None` if it is to be removed.
    value: Option<Vec<u8>>,
    /// Whether it was in a batch that failed: nobody knows what the disk has of it.
    tried: bool,
}

impl Rows {
    /// Sets a row's new value, or has it removed, whatever was set before.
    pub fn set(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.0.entry((table, key)).or_default().value = value;
    }

    /// Adds rows that have come later.
    pub fn extend(&mut self, later: Rows) {
        if self.0.is_empty() {
            *self = later;
            return;
        }
        for ((table, key), row) in later.0 {
            self.set(table, key, row.value);
        }
    }

    /// Adds rows that have come later, while nothing can be written: a row that the
    /// disk has never had need not be removed from it.
    pub fn put_off(&mut self, later: Rows, disk: Option<&Disk>) {
        for (place, Waiting { value, .. }) in later.0 {
            let tried = self.0.get(&place).is_some_and(|row| row.tried);
            if value.is_none() && !tried && !may_have(disk, &place) {
                self.0.remove(&place);
            } else {
                self.0.insert(place, Waiting { value, tried });
            }
        }
    }

    /// Notes that all of them were in a batch that failed.
    pub fn tried(&mut self) {
        self.0.values_mut().for_each(|row| row.tried = true);
    }

    /// Drops removals that are not needed, now that the engine has been opened anew
    /// and what it has is certain.
    pub fn settle(&mut self, disk: &Disk) {
        self.0.retain(|place, row| {
            row.tried = false;
            row.value.is_some() || may_have(Some(disk), place)
        });
    }

    /// Puts them into a batch.
    pub fn put_into(&self, batch: &mut WriteBatch<'_>) {
        for ((table, key), row) in &self.0 {
            match &row.value {
                Some(value) => batch.put(*table, key, value.clone()),
                None => batch.remove(*table, key),
            }
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whether there may be such a row on disk; if it cannot be read, there may.
fn may_have(disk: Option<&Disk>, (table, key): &Key) -> bool {
    disk.is_none_or(|disk| !matches!(disk.get(*table, key), Ok(None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of sessions by key: put with a value, or removed.
    fn rows_of(changes: &[(&str, Option<u8>)]) -> Rows {
        let mut rows = Rows::default();
        for (key, value) in changes {
            rows.set(Table::Sessions, (*key).into(), value.map(|value| vec![value]));
        }
        rows
    }

    fn on_disk(disk: &Disk) -> Vec<(Vec<u8>, Vec<u8>)> {
        disk.all(Table::Sessions).map(|row| row.map(|(k, v)| (k, v.to_vec())).unwrap()).collect()
    }

    /// Every row that came and went while the store failed left one to write.
    #[test]
    fn of_what_comes_and_goes_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let mut batch = disk.batch();
        batch.put(Table::Sessions, b"old", vec![1]);
        batch.put(Table::Sessions, b"gone", vec![1]);
        batch.commit().unwrap();
        let mut rows = Rows::default();
        for n in 0..100 {
            let own = n.to_string();
            let later = [(&*own, Some(n)), ("old", Some(n)), ("new", Some(n)), (&*own, None)];
            rows.put_off(rows_of(&later), Some(&disk));
            rows.put_off(rows_of(&[("gone", None)]), Some(&disk));
        }
        assert_eq!(rows.len(), 3);
        let mut batch = disk.batch();
        rows.put_into(&mut batch);
        batch.commit().unwrap();
        assert_eq!(on_disk(&disk), [(b"new".into(), vec![99]), (b"old".into(), vec![99])]);
    }

    /// A batch that failed may be there after all, when the engine is opened again.
    #[test]
    fn what_the_disk_may_have_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let mut rows = rows_of(&[("a", Some(1)), ("b", Some(1))]);
        rows.tried();
        rows.put_off(rows_of(&[("a", None), ("c", Some(1))]), Some(&disk));
        rows.extend(rows_of(&[("b", None)]));
        rows.put_off(rows_of(&[("d", None)]), None);
        assert_eq!(rows.len(), 4);
        // The failed batch turns out to have written this row.
        let mut batch = disk.batch();
        batch.put(Table::Sessions, b"a", vec![1]);
        batch.commit().unwrap();
        rows.settle(&disk);
        assert_eq!(rows.len(), 2);
        let mut batch = disk.batch();
        rows.put_into(&mut batch);
        batch.commit().unwrap();
        assert_eq!(on_disk(&disk), [(b"c".into(), vec![1])]);
    }
}
