//! Records that are put and removed by key.

use super::{Store, Table};
use crate::sync;

/// A key and its record.
pub type KeyedRecord = (Vec<u8>, Vec<u8>);

/// What is put is on disk soon; to know for certain, there is [`Store::sync`].
impl Store {
    /// Puts a record in place of the one with this key, if there is one.
    pub fn put(&self, table: Table, key: &[u8], record: Vec<u8>) {
        self.set(table, key, Some(record));
    }

    /// Removes the record with this key, if there is one.
    pub fn remove(&self, table: Table, key: &[u8]) {
        self.set(table, key, None);
    }

    fn set(&self, table: Table, key: &[u8], record: Option<Vec<u8>>) {
        let key = key.to_vec();
        self.shared.queue.add(false, |work| work.rows.set(table, key, record));
    }

    /// All keys with their records, in the order of the keys.
    ///
    /// # Errors
    /// What was in the way, in words.
    pub fn all(&self, table: Table) -> Result<Vec<KeyedRecord>, String> {
        self.sync().wait().map_err(|reason| reason.to_string())?;
        let disk = sync::read(&self.shared.disk);
        let disk = disk.as_ref().ok_or("the store is closed")?;
        disk.all(table).map(|row| row.map(|(k, v)| (k, v.to_vec()))).collect()
    }
}
