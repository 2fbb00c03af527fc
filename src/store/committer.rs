//! The committing thread: it writes one batch after the other, each with all that
//! has come by then.

use super::disk::{Disk, Failure, WriteBatch};
use super::known::{Known, take};
use super::queue::{Op, Work};
use super::record::{self, ChannelId, Extent};
use super::recover::{Recovered, clear};
use super::retention::{self, Offer};
use super::room::Room;
use super::ticket::Ticket;
use super::{Handover, Shared, TICK, Table};
use crate::sync::{self, lock};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often channels that keep entries for a time only are looked at.
const AGE_PAUSE: Duration = Duration::from_secs(15);

pub struct Committer {
    shared: Arc<Shared>,
    channels: HashMap<ChannelId, Known>,
    /// Removed channels whose entries can go.
    garbage: VecDeque<ChannelId>,
    /// What could not be written, and is to be written once that is possible again.
    left: Work,
    aged: Instant,
    /// When channels were last told what of them is within their bounds.
    told: Instant,
}

/// What a commit will have changed once it is on disk.
#[derive(Default)]
struct Effects {
    extents: HashMap<ChannelId, Extent>,
    views: HashMap<ChannelId, u64>,
    /// Channels that end with this commit: whoever still reads one needs its extent
    /// in memory, but the disk does not.
    dropped: HashSet<ChannelId>,
    entries: u64,
}

impl Committer {
    pub fn new(shared: Arc<Shared>, recovered: &Recovered) -> Self {
        let known = |channel: &super::RecoveredChannel| {
            let offer = channel.offer.clone();
            (channel.id, Known::new(&channel.record, channel.saved_view, offer))
        };
        Committer {
            channels: recovered.channels.iter().map(known).collect(),
            garbage: recovered.garbage.iter().copied().collect(),
            shared,
            left: Work::default(),
            aged: Instant::now(),
            told: Instant::now(),
        }
    }

    /// Commits until the last.
    pub fn run(mut self) {
        loop {
            let work = self.shared.queue.take();
            let is_last = work.last.is_some();
            self.commit(work);
            if is_last {
                return;
            }
            self.drop_garbage();
        }
    }

    fn commit(&mut self, work: Work) {
        let ticket = work.ticket.clone();
        self.absorb(work);
        if !self.is_writable() {
            let reason = self.shared.health.failure().unwrap_or_default();
            ticket.decide(Err(reason));
            return self.put_off(&ticket, false);
        }
        self.look_for_aged();
        let result = self.write(&ticket);
        match result {
            Ok(effects) => {
                self.tell_offers(&effects);
                // Before anybody knows of the commit, or a next request might fail.
                self.shared.health.writes();
                // All that is on disk becomes visible at once: a reply that says so,
                // and what it tells of.
                ticket.decide(Ok(()));
                self.succeed(&effects);
                ticket.wake();
                self.look_for_room();
            }
            Err(failure) => {
                self.shared.health.note(&failure);
                let (Failure::Write(error) | Failure::Sync(error)) = failure;
                ticket.decide(Err(error.into()));
                self.put_off(&ticket, true);
            }
        }
    }

    /// Keeps what is not written until it can be.
    fn put_off(&mut self, ticket: &Ticket, was_tried: bool) {
        self.give_back(None);
        ticket.wake();
        if self.shared.health.is_broken() {
            // It never can be.
            self.left = Work::default();
        } else if was_tried {
            self.left.rows.tried();
        }
    }

    /// Adds work to what is left from before.
    fn absorb(&mut self, work: Work) {
        if self.shared.health.failure().is_none() {
            self.left.rows.extend(work.rows);
        } else if !self.shared.health.is_broken() {
            self.left.rows.put_off(work.rows, sync::read(&self.shared.disk).as_ref());
        }
        self.left.ops.extend(work.ops);
        self.left.sources.extend(work.sources);
        self.left.last = work.last;
        // Each source once is enough.
        let mut seen = HashSet::new();
        self.left.sources.retain(|source| seen.insert(source.id()));
    }

    /// Whether there is a point in writing; opens the engine anew if need be.
    fn is_writable(&mut self) -> bool {
        if self.shared.health.failure().is_none() {
            return true;
        }
        if self.shared.health.is_broken() || !self.look_for_room() {
            return false;
        }
        match self.reopen() {
            Ok(()) => true,
            Err(error) => {
                self.shared.health.failed(&error);
                false
            }
        }
    }

    /// Whether there is room; keeps the health up to date as far as room is
    /// concerned.
    fn look_for_room(&self) -> bool {
        let options = &self.shared.options;
        match Room::look(&options.dir, options.margin) {
            Ok(room) if room.is_enough() => {
                if self.shared.health.failure().is_none() {
                    self.shared.health.well();
                }
                true
            }
            Ok(room) => {
                if self.shared.health.failure().is_none() {
                    self.shared.health.full(room);
                }
                false
            }
            Err(e) => {
                self.shared.health.failed(&e.to_string());
                false
            }
        }
    }

    /// Opens the engine anew: after a write that failed it takes nothing until then.
    /// What it has on disk by then may be more than was confirmed.
    fn reopen(&mut self) -> Result<(), String> {
        let mut place = sync::write(&self.shared.disk);
        // Where nothing can be written the engine would not open; as it is, it can
        // still be read.
        place.as_ref().map_or(Ok(()), Disk::try_to_write)?;
        // Close it first, or the directory is in use.
        drop(place.take());
        let disk = Disk::open(&self.shared.options.dir).map_err(|e| e.to_string())?;
        let mut extents = lock(&self.shared.extents);
        for (id, extent) in extents.iter_mut() {
            if let Some(row) = disk.get(Table::Extents, &id.to_be_bytes())? {
                *extent = record::decode(&row).map_err(|e| e.to_string())?;
            }
        }
        self.left.rows.settle(&disk);
        *place = Some(disk);
        log::info!("event=store-reopened");
        Ok(())
    }

    fn write(&mut self, ticket: &Ticket) -> Result<Effects, Failure> {
        let place = sync::read(&self.shared.disk);
        let Some(disk) = place.as_ref() else { return Err(Failure::Write("it is closed".into())) };
        let mut batch = disk.batch();
        let mut effects = Effects::default();
        // The entries first, then the rows: rows that were put before an entry are
        // written with it, or before it.
        let handed: Vec<_> =
            self.left.sources.iter().map(|source| source.hand_over(ticket)).collect();
        self.left.rows.extend(self.shared.queue.take_rows());
        self.left.rows.put_into(&mut batch);
        for op in &self.left.ops {
            apply(op, &mut batch, &mut self.channels, &mut effects);
        }
        let unix_ms = Timestamp::now().as_millisecond();
        for (source, handover) in self.left.sources.iter().zip(handed) {
            let id = source.id();
            let Some(known) = self.channels.get_mut(&id) else { continue };
            known.source = Some(Arc::downgrade(source));
            let before = effects.extents.get(&id).or(lock(&self.shared.extents).get(&id)).copied();
            write_channel(id, known, before, &handover, &mut batch, &mut effects, unix_ms);
        }
        for (id, last_seq) in self.left.last.iter().flatten() {
            effects.extents.insert(*id, Extent::after(*last_seq));
        }
        for (id, extent) in effects.extents.iter().filter(|(id, _)| !effects.dropped.contains(id)) {
            batch.put(Table::Extents, &id.to_be_bytes(), record::encode(extent));
        }
        if batch.is_empty() {
            return Ok(effects);
        }
        let bytes = batch.bytes() as u64;
        let began = Instant::now();
        batch.commit()?;
        let figures = &self.shared.figures;
        figures.commit_time.note(began.elapsed());
        figures.commits.fetch_add(1, Ordering::Relaxed);
        figures.bytes.fetch_add(bytes, Ordering::Relaxed);
        figures.entries.fetch_add(effects.entries, Ordering::Relaxed);
        Ok(effects)
    }

    fn succeed(&mut self, effects: &Effects) {
        for (id, view) in &effects.views {
            if let Some(known) = self.channels.get_mut(id) {
                known.view = *view;
            }
        }
        lock(&self.shared.extents).extend(&effects.extents);
        for op in std::mem::take(&mut self.left.ops) {
            match op {
                Op::Drop { id, .. } => drop(self.channels.remove(&id)),
                Op::Forget { id } => {
                    lock(&self.shared.extents).remove(&id);
                    self.garbage.push_back(id);
                }
                Op::Create { .. } => {}
            }
        }
        self.give_back(Some(()));
        self.left = Work::default();
    }

    /// Tells the sources what became of what they handed over. Sources for which
    /// it failed are asked again.
    fn give_back(&self, done: Option<()>) {
        for source in &self.left.sources {
            let extent = done.and_then(|()| lock(&self.shared.extents).get(&source.id()).copied());
            source.settled(extent);
        }
    }

    /// Tells channels what of them is within their bounds now: those that this commit
    /// wrote to, and now and then those that keep entries for a time only, or whose
    /// bounds have not been looked at to the end. Now and then it also notes how far
    /// the commits have got, and what everything takes on disk.
    fn tell_offers(&mut self, effects: &Effects) {
        let place = sync::read(&self.shared.disk);
        let Some(disk) = place.as_ref() else { return };
        let unix_ms = Timestamp::now().as_millisecond();
        for (id, extent) in &effects.extents {
            if let Some(known) = self.channels.get_mut(id) {
                known.tell_offer(disk, *id, extent, unix_ms);
            }
        }
        if self.told.elapsed() < TICK && self.left.last.is_none() {
            return;
        }
        self.told = Instant::now();
        disk.note_commits();
        self.shared.figures.disk_bytes.store(disk.bytes(), Ordering::Relaxed);
        for (id, known) in self.channels.iter_mut().filter(|(_, known)| known.looks_again()) {
            let extent = lock(&self.shared.extents).get(id).copied();
            if let Some(extent) = extent.filter(|_| !effects.extents.contains_key(id)) {
                known.tell_offer(disk, *id, &extent, unix_ms);
            }
        }
    }

    /// Asks channels that keep entries for a time only to hand over, even if they are
    /// quiet.
    fn look_for_aged(&mut self) {
        if self.aged.elapsed() < AGE_PAUSE {
            return;
        }
        self.aged = Instant::now();
        let aging = self.channels.values().filter(|known| known.ages());
        let sources = aging.filter_map(|known| known.source.as_ref()?.upgrade());
        self.left.sources.extend(sources);
    }

    /// Removes some of the entries of removed channels.
    fn drop_garbage(&mut self) {
        if self.garbage.is_empty() || self.shared.health.failure().is_some() {
            return;
        }
        let place = sync::read(&self.shared.disk);
        let Some(disk) = place.as_ref() else { return };
        let mut batch = disk.batch();
        let done = clear(&mut batch, self.garbage.iter().copied());
        let result = if batch.is_empty() { Ok(()) } else { batch.commit() };
        drop(place);
        match result {
            Ok(()) => drop(self.garbage.drain(..done)),
            Err(failure) => return self.shared.health.note(&failure),
        }
        if !self.garbage.is_empty() {
            self.shared.queue.add(false, |_| {});
        }
    }
}

fn apply(
    op: &Op,
    batch: &mut WriteBatch<'_>,
    channels: &mut HashMap<ChannelId, Known>,
    effects: &mut Effects,
) {
    match op {
        Op::Create { id, record, extent } => {
            batch.put(Table::Channels, &id.to_be_bytes(), record::encode(record));
            channels.entry(*id).or_insert_with(|| Known::new(record, 0, Offer::of(record)));
            effects.extents.insert(*id, *extent);
        }
        Op::Drop { id, marks } => {
            effects.dropped.insert(*id);
            for table in [Table::Channels, Table::Extents, Table::Rosters] {
                batch.remove(table, &id.to_be_bytes());
            }
            for (table, key, value) in marks {
                match value {
                    Some(value) => batch.put(*table, key, value.clone()),
                    None => batch.remove(*table, key),
                }
            }
        }
        Op::Forget { .. } => {}
    }
}

/// Writes what a channel has handed over, and removes what it does not keep.
fn write_channel(
    id: ChannelId,
    known: &mut Known,
    before: Option<Extent>,
    handover: &Handover,
    batch: &mut WriteBatch<'_>,
    effects: &mut Effects,
    unix_ms: i64,
) {
    let mut extent = before.unwrap_or(Extent::after(0));
    effects.entries += take(id, handover, batch, &mut extent, unix_ms);
    if let Some(roster) = &handover.roster {
        batch.put(Table::Rosters, &id.to_be_bytes(), record::encode(roster));
        effects.views.insert(id, roster.view);
    }
    let view = effects.views.get(&id).copied().unwrap_or(known.view);
    let trimmed = known.keep.map_or(Ok(0), |keep| {
        if handover.roster.is_some() {
            retention::trim_changes(batch, id, extent.first_seq.min(view + 1))?;
        }
        retention::trim(batch, id, &mut extent, keep, view, unix_ms)
    });
    match trimmed {
        Ok(bytes) => known.trimmed(bytes, &extent),
        Err(error) => {
            // Damage to its past is no reason to refuse writes, to this or any other
            // channel.
            known.keep = None;
            log::error!(
                "event=store-damaged channel-number={id} error={error:?} \
                 advice=\"it keeps all its entries until a restart; restore the data directory from a copy\""
            );
        }
    }
    if before != Some(extent) {
        effects.extents.insert(id, extent);
    }
}
