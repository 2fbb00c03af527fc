//! Records by key, in memory or on disk.

use super::Table;
use crate::sync::lock;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Mutex;

/// A key and its record.
pub type KeyedRecord = (Vec<u8>, Vec<u8>);

/// Records that somebody puts and takes away by key. What is put is there soon;
/// who must know for certain has the store's `sync`.
pub trait Shelf: Debug + Send + Sync {
    /// Puts a record in place of the one with this key, if there is one.
    fn put(&self, table: Table, key: &[u8], record: Vec<u8>);
    /// Removes the record with this key, if there is one.
    fn remove(&self, table: Table, key: &[u8]);
    /// All keys with their records, in the order of the keys.
    ///
    /// # Errors
    /// What was in the way, in words.
    fn all(&self, table: Table) -> Result<Vec<KeyedRecord>, String>;
}

/// A shelf that ends with the broker.
#[derive(Debug, Default)]
pub struct MemoryShelf(Mutex<BTreeMap<Place, Vec<u8>>>);

/// A table and a key.
type Place = (u8, Vec<u8>);

impl Shelf for MemoryShelf {
    fn put(&self, table: Table, key: &[u8], record: Vec<u8>) {
        lock(&self.0).insert((table as u8, key.to_vec()), record);
    }

    fn remove(&self, table: Table, key: &[u8]) {
        lock(&self.0).remove(&(table as u8, key.to_vec()));
    }

    fn all(&self, table: Table) -> Result<Vec<KeyedRecord>, String> {
        let all = lock(&self.0);
        let rows = all.iter().filter(|((of, _), _)| *of == table as u8);
        Ok(rows.map(|((_, key), record)| (key.clone(), record.clone())).collect())
    }
}
