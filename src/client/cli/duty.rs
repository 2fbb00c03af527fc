//! Which commands are to be executed: each at most once, and only those that
//! are meant for this client, now.
//!
//! The rows of a `history` reply look exactly like commands, and replies
//! overtake the log: such a row may even come before the command itself. So
//! while a `history` request is the oldest unanswered one, commands wait; its
//! `ok` says how many rows it had, and the rows are what came last. What came
//! before them was live.

use crate::client::event::Command;
use std::collections::HashMap;

/// Decides which commands are to be executed. Pure.
#[derive(Debug, Default)]
pub struct Duty {
    /// For each channel where the client has a rank: the seq above which commands are
    /// new.
    floors: HashMap<String, u64>,
    /// Commands, or rows, with the number of the line on which they came.
    undecided: Vec<(u64, Command)>,
}

impl Duty {
    /// The client joined a channel (with a rank) at this seq. A command with a lower
    /// seq was for others, or for an earlier membership.
    pub fn joined(&mut self, channel: &str, seq: u64) {
        self.floors.insert(channel.to_owned(), seq);
    }

    /// The client is no longer a member of the channel.
    pub fn left(&mut self, channel: &str) {
        self.floors.remove(channel);
    }

    /// The connection is gone, and with it every membership.
    pub fn lost(&mut self) {
        self.floors.clear();
        self.undecided.clear();
    }

    /// Takes the command of a `cmd` line; returns it if it is to be executed now.
    pub fn heard(&mut self, line: u64, command: Command, in_history: bool) -> Option<Command> {
        if in_history {
            self.undecided.push((line, command));
            return None;
        }
        self.live(command)
    }

    /// A `history` request was answered on this line, with so many rows before it.
    /// Returns the commands to be executed among those that waited.
    pub fn history_ended(&mut self, line: u64, rows: u64) -> Vec<Command> {
        let first_row = line.saturating_sub(rows);
        let held = std::mem::take(&mut self.undecided);
        let before_rows = held.into_iter().filter(|(at, _)| *at < first_row);
        before_rows.filter_map(|(_, command)| self.live(command)).collect()
    }

    fn live(&mut self, command: Command) -> Option<Command> {
        let floor = self.floors.get_mut(&command.channel)?;
        if command.seq <= *floor {
            return None;
        }
        *floor = command.seq;
        Some(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::event::Frame;

    fn command(seq: u64) -> Command {
        match Frame::parse(&format!("cmd ops {seq} alice 0 1 go")) {
            Frame::Command(command) => command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_is_executed_once_and_only_by_a_member() {
        let mut duty = Duty::default();
        assert_eq!(duty.heard(1, command(4), false), None, "not a member");
        duty.joined("ops", 5);
        assert_eq!(duty.heard(2, command(5), false), None, "from before it joined");
        assert_eq!(duty.heard(3, command(6), false), Some(command(6)));
        assert_eq!(duty.heard(4, command(6), false), None, "once is enough");
        duty.left("ops");
        assert_eq!(duty.heard(5, command(7), false), None);
        duty.joined("ops", 2);
        assert_eq!(duty.heard(6, command(3), false), Some(command(3)), "the log began anew");
    }

    #[test]
    fn the_rows_of_a_history_are_not_executed_but_what_came_before_them_is() {
        let mut duty = Duty::default();
        duty.joined("ops", 1);
        // Line 10 is live; 11 and 12 are rows, of which 8 was not yet sent.
        assert_eq!(duty.heard(10, command(7), true), None);
        assert_eq!(duty.heard(11, command(7), true), None);
        assert_eq!(duty.heard(12, command(8), true), None);
        assert_eq!(duty.history_ended(13, 2), [command(7)]);
        assert_eq!(duty.heard(14, command(8), false), Some(command(8)));
    }

    #[test]
    fn a_history_that_fails_had_no_rows() {
        let mut duty = Duty::default();
        duty.joined("ops", 1);
        assert_eq!(duty.heard(10, command(7), true), None);
        assert_eq!(duty.history_ended(11, 0), [command(7)]);
    }
}
