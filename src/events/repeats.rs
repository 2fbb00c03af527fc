//! Counts repeated lines instead of writing them.

use super::Line;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// For how long the same line is held back and counted.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// How many different lines are remembered at once.
const KINDS_MAX: usize = 64;

/// Events that an operator has asked for: the log reports the outcome every time.
const ASKED_FOR: [&str; 4] = ["reloaded", "reload-failed", "draining", "drain-ended"];

/// A line that has been written, and its repetitions since.
#[derive(Debug)]
struct Seen {
    /// The last of them, with its time.
    line: Line,
    /// How many have been held back.
    held: u64,
    until: Instant,
}

/// The lines of the last moments.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// In the order in which their windows end.
    seen: VecDeque<Seen>,
}

impl Repeats {
    /// Returns the lines to write at once: this one, unless it is a repetition, and
    /// the count of another that it displaces.
    pub(super) fn see(&mut self, line: Line, now: Instant) -> [Option<Line>; 2] {
        // A line about one connection is never repeated.
        let is_one_of_a_kind = line.text.contains(" addr=");
        let event = line.text.split(['=', ' ']).nth(1);
        if is_one_of_a_kind || event.is_some_and(|event| ASKED_FOR.contains(&event)) {
            return [None, Some(line)];
        }
        let same = |seen: &&mut Seen| seen.line.text == line.text && seen.line.level == line.level;
        if let Some(seen) = self.seen.iter_mut().find(same) {
            seen.held += 1;
            seen.line.at = line.at;
            return [None, None];
        }
        let displaced = (self.seen.len() == KINDS_MAX).then(|| self.seen.pop_front()).flatten();
        self.seen.push_back(Seen { line: line.clone(), held: 0, until: now + WINDOW });
        [displaced.and_then(Seen::counted), Some(line)]
    }

    /// When the next window ends.
    pub(super) fn next(&self) -> Option<Instant> {
        self.seen.front().map(|seen| seen.until)
    }

    /// Returns the next count that is due. Its line gets a new window, in which
    /// it is counted on.
    pub(super) fn due(&mut self, now: Instant) -> Option<Line> {
        while self.seen.front().is_some_and(|seen| seen.until <= now) {
            let seen = self.seen.pop_front()?;
            if seen.held > 0 {
                let line = seen.line.clone();
                self.seen.push_back(Seen { line, held: 0, until: now + WINDOW });
                return seen.counted();
            }
        }
        None
    }

    /// Returns all counts: there will be no more.
    pub(super) fn all(&mut self) -> impl Iterator<Item = Line> {
        self.seen.drain(..).filter_map(Seen::counted)
    }
}

impl Seen {
    /// The line with the count, if there were repetitions.
    fn counted(mut self) -> Option<Line> {
        self.line.text = format!("{} repeated={}", self.line.text, self.held);
        (self.held > 0).then_some(self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use log::Level;

    fn line(text: &str) -> Line {
        Line { at: Timestamp::UNIX_EPOCH, level: Level::Warn, text: text.into() }
    }

    fn texts(lines: impl IntoIterator<Item = Option<Line>>) -> Vec<String> {
        lines.into_iter().flatten().map(|line| line.text).collect()
    }

    #[test]
    fn the_first_is_written_at_once_and_the_rest_are_counted() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert_eq!(texts(repeats.see(line("event=a"), start)), ["event=a"]);
        for _ in 0..3 {
            assert!(texts(repeats.see(line("event=a"), start)).is_empty());
        }
        let other = Line { level: Level::Error, ..line("event=a") };
        assert_eq!(texts(repeats.see(other, start)), ["event=a"], "another level, another line");
        assert_eq!(repeats.next(), Some(start + WINDOW));
        assert_eq!(repeats.due(start), None);
        let end = start + WINDOW;
        assert_eq!(texts([repeats.due(end)]), ["event=a repeated=3"]);
        assert_eq!(repeats.due(end), None);
        // While it is repeated, it is counted on.
        assert!(texts(repeats.see(line("event=a"), end)).is_empty());
        assert_eq!(texts([repeats.due(end + WINDOW)]), ["event=a repeated=1"]);
        // When it has not been repeated, it counts as new.
        assert_eq!(repeats.due(end + 2 * WINDOW), None);
        assert_eq!(texts(repeats.see(line("event=a"), end + 2 * WINDOW)), ["event=a"]);
    }

    #[test]
    fn connections_are_not_counted() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for _ in 0..2 {
            let closed = line("event=closed addr=[::1]:7 reason=quit");
            assert_eq!(texts(repeats.see(closed, now)).len(), 1);
        }
    }

    #[test]
    fn what_was_asked_for_is_answered_every_time() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        let same = "event=reloaded changed=\"\"";
        for text in [same, same, "event=reload-failed error=\"x\"", "event=drain-ended", same] {
            assert_eq!(texts(repeats.see(line(text), now)), [text]);
        }
    }

    #[test]
    fn only_so_many_are_remembered_and_no_count_is_forgotten() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        repeats.see(line("event=first"), now);
        repeats.see(line("event=first"), now);
        for number in 1..KINDS_MAX {
            repeats.see(line(&format!("event=n number={number}")), now);
        }
        let written = texts(repeats.see(line("event=last"), now));
        assert_eq!(written, ["event=first repeated=1", "event=last"]);
        repeats.see(line("event=last"), now);
        assert_eq!(texts(repeats.all().map(Some)), ["event=last repeated=1"]);
        assert_eq!(repeats.next(), None);
    }
}
