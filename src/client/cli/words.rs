//! Frames in plain words, for people.

use crate::client::event::{Command, Frame, MemberResult, Outcome};
use crate::client::memory::quote;
use crate::printed::steers;
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// What a client answers, with code 0, to a command that it has no program for.
pub(super) const SHOWN_ONLY: &str = "shown only: no program for it here";

/// How the parts of a line look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Palette {
    place: Style,
    name: Style,
    order: Style,
    bad: Style,
    aside: Style,
}

impl Palette {
    /// With colours, or without.
    pub fn new(colour: bool) -> Self {
        if !colour {
            return Palette::default();
        }
        Palette {
            place: Style::new().dimmed(),
            name: AnsiColor::Cyan.on_default().bold(),
            order: AnsiColor::Yellow.on_default().bold(),
            bad: AnsiColor::Red.on_default(),
            aside: Style::new().dimmed(),
        }
    }
}

/// A line for people: a frame in plain words, a reply or row as it is. Nothing
/// in it can move the cursor.
pub fn say(line: &str, palette: Palette) -> String {
    if line.starts_with("err ") {
        return paint(palette.bad, &harmless(line));
    }
    if line == "ok" || line.starts_with("ok ") {
        return paint(palette.aside, &harmless(line));
    }
    let frame = Frame::parse(line);
    match &frame {
        Frame::Message { channel, seq, from, payload } => {
            let from = paint(palette.name, &harmless(from));
            format!("{} {from}: {}", place(channel, *seq, palette), harmless(payload))
        }
        Frame::Command(command) => format!(
            "{} {} (rank {}) commands: {}",
            place(&command.channel, command.seq, palette),
            paint(palette.name, &harmless(&command.from)),
            command.from_rank,
            paint(palette.order, &order(command)),
        ),
        Frame::Result { channel, seq, result } => {
            format!("{} {}", place(channel, *seq, palette), outcome(result, palette))
        }
        Frame::Done { channel, seq, ok, sent } => {
            format!("{} done: {ok} of {sent} with code 0", place(channel, *seq, palette))
        }
        Frame::Rank { channel, rank, term, .. } => {
            let commander = if *rank == 0 { ": you command this channel" } else { "" };
            let text = format!("your rank in {} is now {rank}", harmless(channel));
            format!("{}{commander} (term {term})", paint(palette.order, &text))
        }
        Frame::Gap { channel, from, to } => {
            let text = format!(
                "{}: you were too slow; entries {from} to {to} are gone",
                harmless(channel)
            );
            paint(palette.bad, &text)
        }
        Frame::Tell { from, text } => {
            format!("{} tells you: {}", paint(palette.name, &harmless(from)), harmless(text))
        }
        Frame::Broadcast { from, text } => {
            format!("{} tells everyone: {}", paint(palette.name, &harmless(from)), harmless(text))
        }
        Frame::Job { id, state, text } => {
            let colon = if text.is_empty() { "" } else { ": " };
            let verb = if *state == "failed" { "has" } else { "is" };
            format!("job {} {verb} {}{colon}{}", harmless(id), harmless(state), harmless(text))
        }
        Frame::Bye { reason } => {
            // A user who has asked for it need not be alarmed.
            let style = if reason == "quit" { palette.aside } else { palette.bad };
            paint(style, &format!("the broker closes the connection: {}", harmless(reason)))
        }
        _ => roster(&frame, palette).unwrap_or_else(|| harmless(line)),
    }
}

fn roster(frame: &Frame, palette: Palette) -> Option<String> {
    let (channel, seq, member, text) = match frame {
        Frame::Joined { channel, seq, member, rank } => {
            (channel, seq, member, format!("joined with rank {rank}"))
        }
        Frame::Left { channel, seq, member, rank, reason } => {
            let rank = rank.map(|rank| format!(" (rank {rank})")).unwrap_or_default();
            (
                channel,
                seq,
                member,
                format!("{rank} left: {}", harmless(reason)).trim_start().to_owned(),
            )
        }
        Frame::Moved { channel, seq, member, old, new } => {
            (channel, seq, member, format!("moved from rank {old} to rank {new}"))
        }
        _ => return None,
    };
    let member = paint(palette.name, &harmless(member));
    Some(format!("{} {member} {text}", place(channel, *seq, palette)))
}

fn outcome(result: &MemberResult, palette: Palette) -> String {
    let mut line =
        format!("{} (rank {}) ", paint(palette.name, &harmless(&result.member)), result.rank);
    if matches!(result.outcome, Outcome::Code(0)) && result.text == SHOWN_ONLY {
        return line + SHOWN_ONLY;
    }
    line.push_str(&match result.outcome {
        Outcome::Code(0) => "executed it".to_owned(),
        Outcome::Code(code) => paint(palette.bad, &format!("failed with code {code}")),
        Outcome::Timeout => paint(palette.bad, "did not answer in time"),
        Outcome::Left => paint(palette.bad, "left before it answered"),
    });
    if !result.text.is_empty() {
        line.push_str(": ");
        line.push_str(&harmless(&result.text));
    }
    line
}

/// A command as a user would type it.
pub fn order(command: &Command) -> String {
    let words = std::iter::once(&command.name).chain(&command.args);
    harmless(&words.map(|word| quote(word)).collect::<Vec<_>>().join(" "))
}

fn place(channel: &str, seq: u64, palette: Palette) -> String {
    paint(palette.place, &format!("[{} {seq}]", harmless(channel)))
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Escapes control characters and those that steer bidirectional text, so that the text
/// cannot move the cursor, change colours, or show itself in another order than it has.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || steers(c) => {
                // Writing to a string cannot fail.
                let _ = if c.is_ascii() {
                    write!(out, "\\x{:02x}", u32::from(c))
                } else {
                    write!(out, "\\u{{{:x}}}", u32::from(c))
                };
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_in_plain_words() {
        for (line, words) in [
            ("msg n 7 alice hi there", "[n 7] alice: hi there"),
            (
                "cmd ops 9 alice 0 4 restart 'web 1'",
                "[ops 9] alice (rank 0) commands: restart 'web 1'",
            ),
            ("ack ops 9 bob 1 0 fine", "[ops 9] bob (rank 1) executed it: fine"),
            ("ack ops 9 bob 1 3 ", "[ops 9] bob (rank 1) failed with code 3"),
            ("ack ops 9 bob 1 timeout ", "[ops 9] bob (rank 1) did not answer in time"),
            ("done ops 9 1/2", "[ops 9] done: 1 of 2 with code 0"),
            (
                "ack ops 9 bob 1 0 shown only: no program for it here",
                "[ops 9] bob (rank 1) shown only: no program for it here",
            ),
            ("join ops 4 bob 2", "[ops 4] bob joined with rank 2"),
            ("left ops 5 bob 2 reason=quit", "[ops 5] bob (rank 2) left: quit"),
            ("left ops 5 bob - reason=dropped", "[ops 5] bob left: dropped"),
            ("move ops 6 bob 2 0", "[ops 6] bob moved from rank 2 to rank 0"),
            ("rank ops 0 8 9", "your rank in ops is now 0: you command this channel (term 8)"),
            ("gap ops 3 7", "ops: you were too slow; entries 3 to 7 are gone"),
            ("tell bob hi", "bob tells you: hi"),
            ("ok pub n 7", "ok pub n 7"),
            ("member ops 0 alice term=1", "member ops 0 alice term=1"),
        ] {
            assert_eq!(say(line, Palette::new(false)), words);
        }
        assert!(say("msg n 7 alice hi", Palette::new(true)).contains("\x1b["));
        // Only an end that nobody asked for is alarming.
        let palette = Palette::new(true);
        let style_of_bad = palette.bad.to_string();
        assert!(!say("bye quit", palette).contains(&style_of_bad));
        assert!(say("bye shutdown", palette).contains(&style_of_bad));
    }

    #[test]
    fn nothing_received_moves_the_cursor_or_turns_the_text_round() {
        for line in [
            "msg n 7 alice \\x1b[2J\\r\\n\\x07",
            "msg n 7 alice \x1b[2J\x07\u{9b}31m\u{202e}gpj\u{2066}",
            "err x \x1b]0;title\x07",
            "ok \x1b[2J",
            "\x1b[2J \u{200f}",
            "bye \u{2028}",
            "cmd ops 9 alice 0 4 go '\u{202e}\x1b[2J'",
            "left ops 5 bob 2 reason=\x1b[2J",
        ] {
            let said = say(line, Palette::new(false));
            assert!(!said.chars().any(|c| c.is_control() || steers(c)), "{said:?}");
        }
        assert_eq!(harmless("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(harmless("👨‍👩‍👧 naïve"), "👨‍👩‍👧 naïve");
    }
}
