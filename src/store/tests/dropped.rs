//! What is left of channels that were dropped, and for how long.

use super::*;

#[test]
fn a_channel_that_was_dropped_leaves_only_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (store, id, fake) = filled(dir.path(), record("c"), 10);
    assert_eq!(store.drop_channel(fake.clone(), "c", 11).wait(), Ok(()));
    // A member that still reads may go on.
    assert_eq!(fetch(&store, id, 1, 10, usize::MAX).chunks.len(), 10);
    store.close(vec![]);
    let (store, recovered) = open(dir.path());
    assert!(recovered.channels.is_empty());
    while !fetch(&store, id, 1, 10, usize::MAX).chunks.is_empty() {
        store.sync().wait().unwrap();
    }
    let (again, after, ticket) = store.create(record("c"));
    assert_eq!((again > id, after, ticket.wait()), (true, 11, Ok(())));
    store.close(vec![]);
}

/// Old entries are removed in the very commit that drops the channel, and a channel
/// is made and dropped in one.
#[test]
fn of_a_channel_that_was_dropped_no_row_is_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let record_of_c = ChannelRecord { history: Some(10), ..record("c") };
    let (store, _, fake) = filled(dir.path(), record_of_c, 3_000);
    assert_eq!(store.drop_channel(fake.clone(), "c", 3_001).wait(), Ok(()));
    assert_eq!(store.all(Table::Extents), Ok(vec![]));
    let (brief, ..) = store.create(record("brief"));
    assert_eq!(store.drop_channel(Fake::new(brief), "brief", 1).wait(), Ok(()));
    for table in [Table::Channels, Table::Extents, Table::Rosters] {
        assert_eq!(store.all(table), Ok(vec![]), "{table:?}");
    }
    store.close(vec![]);
}

/// Dropped channels were cleared away one at a time, ten a second.
#[test]
fn many_channels_that_were_dropped_are_gone_in_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let ids = (0..1_000).map(|n| {
        let (id, ..) = store.create(record(&n.to_string()));
        let fake = Fake::new(id);
        fake.append(0, 1, 1);
        store.dirty(fake);
        id
    });
    let ids: Vec<ChannelId> = ids.collect();
    store.sync().wait().unwrap();
    for (n, id) in ids.iter().enumerate() {
        store.drop_channel(Fake::new(*id), &n.to_string(), 1);
        store.forget(*id);
    }
    store.sync().wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !store.all(Table::Entries).unwrap().is_empty() {
        assert!(Instant::now() < deadline, "{}", store.all(Table::Entries).unwrap().len());
        std::thread::sleep(Duration::from_millis(200));
    }
    store.close(vec![]);
}
