//! Tracks how far a client has read in each channel, how much of that the broker was
//! told, and which entries must not be handed over again. Pure: time is an argument.

use super::event::Frame;
use super::ticket::Mark;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long after an entry the broker is told of it. A resume without positions of the
/// client's own brings again what the broker was not told.
const SAY_AFTER: Duration = Duration::from_secs(1);

/// Entries after which the broker is told before that time, so that it does not have to
/// keep a whole second of a fast stream.
const SAY_AFTER_ENTRIES: usize = 1000;

/// Bytes of positions that one introduction carries: with the rest of it, they must fit
/// into a line of 64 KiB. The broker knows the omitted ones from earlier `seen`
/// requests, and entries that come twice are left out here.
const OPTIONS_BYTES_MAX: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    mark: Mark,
    /// The last seq that came, which may still wait to be handed over.
    came: u64,
    /// The last seq that the broker was told of.
    said: u64,
    /// Up to here everything came before the session was resumed.
    floor: u64,
}

impl Position {
    fn new(mark: Mark) -> Self {
        Position { mark, came: mark.seen.unwrap_or(0), ..Position::default() }
    }
}

/// How far a client has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    positions: BTreeMap<String, Position>,
    /// Entries that came since the broker was told; at least 1 while some of them wait to
    /// be handed over.
    unsaid: usize,
    said_at: Option<Instant>,
}

impl Progress {
    pub(super) fn new(marks: &BTreeMap<String, Mark>) -> Self {
        let positions = marks.iter().map(|(channel, mark)| (channel.clone(), Position::new(*mark)));
        Progress { positions: positions.collect(), ..Progress::default() }
    }

    /// All positions.
    pub(super) fn marks(&self) -> BTreeMap<String, Mark> {
        let marks = self.positions.iter();
        marks.map(|(channel, position)| (channel.clone(), position.mark)).collect()
    }

    /// Starts the position in a new subscription: entries up to `seen` are not for this
    /// client. `None` if it asked for earlier entries.
    pub(super) fn began(&mut self, channel: &str, seen: Option<u64>, observer: bool) {
        let said = seen.unwrap_or(0);
        let position = Position { said, ..Position::new(Mark { seen, observer }) };
        self.positions.insert(channel.to_owned(), position);
    }

    /// No longer subscribed to a channel.
    pub(super) fn forget(&mut self, channel: &str) {
        self.positions.remove(channel);
    }

    /// Keeps only these channels.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.positions.retain(|channel, _| keep(channel));
    }

    /// The session goes on: whatever came before must not come again.
    pub(super) fn resumed(&mut self) {
        for position in self.positions.values_mut() {
            position.floor = position.came;
            position.said = position.mark.seen.unwrap_or(0);
        }
    }

    /// Records that an entry came; returns whether it is new.
    pub(super) fn admits(&mut self, channel: &str, seq: u64) -> bool {
        let Some(position) = self.positions.get_mut(channel) else {
            // It came by a pattern.
            self.began(channel, None, true);
            return self.admits(channel, seq);
        };
        if seq <= position.floor {
            return false;
        }
        position.came = position.came.max(seq);
        self.unsaid += 1;
        true
    }

    /// Records that an entry was handed over.
    pub(super) fn handed(&mut self, channel: &str, seq: u64) {
        // One that is further on than what came since is of an earlier subscription.
        if let Some(position) = self.positions.get_mut(channel).filter(|it| seq <= it.came) {
            position.mark.seen = position.mark.seen.max(Some(seq));
        }
    }

    /// Records that a frame was handed over.
    pub(super) fn took(&mut self, frame: &Frame) {
        if let Some((channel, seq)) = entry(frame) {
            self.handed(channel, seq);
        }
    }

    /// Records that a frame came. Returns it without what came before; `None` if nothing
    /// is left.
    pub(super) fn pass(&mut self, frame: Frame) -> Option<Frame> {
        if let Some((channel, seq)) = entry(&frame)
            && !self.admits(channel, seq)
        {
            return None;
        }
        Some(match frame {
            Frame::Gap { channel, from, to } => {
                let floor = self.positions.get(&channel).map_or(0, |position| position.floor);
                Frame::Gap { channel, from: from.max(floor + 1), to }
            }
            frame => frame,
        })
    }

    /// When the broker is to be told next.
    pub(super) fn due_at(&self, now: Instant) -> Option<Instant> {
        match (self.unsaid, self.said_at) {
            (0, _) => None,
            (SAY_AFTER_ENTRIES.., _) => Some(now),
            (_, None) => Some(now + SAY_AFTER),
            (_, Some(at)) => Some(at + SAY_AFTER),
        }
    }

    /// What the broker is to be told now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        if self.said_at.is_none() && self.unsaid > 0 {
            self.said_at = Some(now);
        }
        if self.due_at(now).is_none_or(|at| at > now) {
            return Vec::new();
        }
        let waits = |it: &Position| it.came > it.mark.seen.unwrap_or(0);
        self.unsaid = usize::from(self.positions.values().any(waits));
        self.said_at = Some(now);
        let moved = |position: &&mut Position| position.mark.seen.unwrap_or(0) > position.said;
        let mut lines = Vec::new();
        for (channel, position) in &mut self.positions {
            if let Some(position) = Some(position).filter(moved) {
                position.said = position.mark.seen.unwrap_or(0);
                lines.push(format!("seen {channel} {}", position.said));
            }
        }
        lines
    }

    /// Returns the positions as options of an introduction; those furthest ahead of
    /// what the broker was told come first.
    pub(super) fn options(&self) -> String {
        let with_seq = |(channel, position): (_, &Position)| {
            let seq = position.mark.seen?;
            Some((seq.saturating_sub(position.said), channel, seq))
        };
        let mut all: Vec<(u64, &String, u64)> =
            self.positions.iter().filter_map(with_seq).collect();
        all.sort_by_key(|(unsaid, _, _)| std::cmp::Reverse(*unsaid));
        let mut options = String::new();
        for (_, channel, seq) in all {
            let option = format!(" --seen {channel}={seq}");
            if options.len() + option.len() > OPTIONS_BYTES_MAX {
                break;
            }
            options.push_str(&option);
        }
        options
    }
}

/// The channel and the seq of the entry that a frame tells of.
fn entry(frame: &Frame) -> Option<(&str, u64)> {
    match frame {
        Frame::Message { channel, seq, .. }
        | Frame::Joined { channel, seq, .. }
        | Frame::Left { channel, seq, .. }
        | Frame::Moved { channel, seq, .. } => Some((channel, *seq)),
        Frame::Command(command) => Some((&command.channel, command.seq)),
        Frame::Gap { channel, to, .. } => Some((channel, *to)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame that comes and is handed over.
    fn pass(progress: &mut Progress, line: &str) -> Option<Frame> {
        let frame = progress.pass(Frame::parse(line));
        if let Some(frame) = &frame {
            progress.took(frame);
        }
        frame
    }

    /// The same for an entry.
    fn admits(progress: &mut Progress, channel: &str, seq: u64) -> bool {
        let is_new = progress.admits(channel, seq);
        progress.handed(channel, seq);
        is_new
    }

    #[test]
    fn what_came_and_was_not_handed_over_is_not_seen_and_does_not_come_again() {
        let begin = Instant::now();
        let mut progress = Progress::default();
        progress.began("n", Some(3), false);
        assert!(pass(&mut progress, "msg n 4 al hi").is_some());
        let waits = [5, 6].map(|seq| progress.pass(Frame::parse(&format!("msg n {seq} al hi"))));
        assert_eq!(progress.marks()["n"].seen, Some(4));
        assert_eq!(progress.due(begin), [""; 0]);
        assert_eq!(progress.due(begin + SAY_AFTER), ["seen n 4"]);
        assert_eq!(progress.due_at(begin), Some(begin + 2 * SAY_AFTER), "others are to follow");
        assert_eq!(progress.options(), " --seen n=4");
        progress.resumed();
        assert!(pass(&mut progress, "msg n 6 al hi").is_none());
        waits.iter().flatten().for_each(|frame| progress.took(frame));
        assert_eq!(progress.due(begin + 2 * SAY_AFTER), ["seen n 6"]);
        assert_eq!(progress.due_at(begin), None);
        // Of a channel that was made again since.
        progress.began("n", Some(2), false);
        waits.iter().flatten().for_each(|frame| progress.took(frame));
        assert_eq!(progress.marks()["n"].seen, Some(2));
    }

    #[test]
    fn what_was_handed_over_before_a_resume_is_not_handed_over_again() {
        let mut progress = Progress::default();
        progress.began("n", Some(3), false);
        assert!(pass(&mut progress, "msg n 4 al hi").is_some());
        assert!(pass(&mut progress, "join n 5 bob 1").is_some());
        progress.resumed();
        assert_eq!(progress.options(), " --seen n=5");
        assert!(pass(&mut progress, "msg n 4 al hi").is_none());
        assert!(pass(&mut progress, "gap n 2 5").is_none());
        assert_eq!(pass(&mut progress, "gap n 4 7"), Some(Frame::parse("gap n 6 7")));
        assert!(pass(&mut progress, "msg n 8 al hi").is_some());
        assert!(pass(&mut progress, "rank n 0 5 5").is_some(), "no entry, and no position");
        progress.forget("n");
        assert!(pass(&mut progress, "msg n 1 al the channel was made again").is_some());
    }

    #[test]
    fn who_asks_for_earlier_entries_gets_them() {
        let mut progress = Progress::default();
        progress.began("n", None, false);
        assert_eq!(progress.options(), "");
        assert!(pass(&mut progress, "msg n 2 al early").is_some());
        assert_eq!(progress.options(), " --seen n=2");
    }

    #[test]
    fn the_broker_is_told_each_second_or_each_thousand_entries_and_only_of_news() {
        let begin = Instant::now();
        let mut progress = Progress::default();
        progress.began("n", Some(0), false);
        progress.began("quiet", Some(7), false);
        assert_eq!(progress.due(begin), [""; 0]);
        assert!(admits(&mut progress, "n", 1));
        assert_eq!(progress.due(begin), [""; 0], "not at once");
        assert_eq!(progress.due_at(begin), Some(begin + SAY_AFTER));
        assert_eq!(progress.due(begin + SAY_AFTER), ["seen n 1"]);
        assert_eq!(progress.due_at(begin + SAY_AFTER), None);
        for seq in 2..2 + SAY_AFTER_ENTRIES as u64 {
            assert!(admits(&mut progress, "n", seq));
        }
        assert_eq!(progress.due(begin + SAY_AFTER), ["seen n 1001"]);
    }

    #[test]
    fn an_introduction_has_an_end() {
        let mut progress = Progress::default();
        for number in 0..5000 {
            progress.began(&format!("channel-{number}"), Some(number), false);
        }
        assert!(admits(&mut progress, "late", 9));
        let options = progress.options();
        assert!(options.len() <= OPTIONS_BYTES_MAX && options.starts_with(" --seen late=9 "));
    }
}
