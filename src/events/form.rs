//! The forms of a log line: for people, as logfmt, or as JSON.

use super::Line;
use super::fields::fields;
use crate::config::LogFormat;
use crate::printed::steers;
use anstyle::{AnsiColor, Style};
use log::Level;
use rustix::fs::fstat;
use std::fmt::Write as _;
use std::io;

/// The form of the lines, and what reads them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) format: LogFormat,
    /// Whether the journal reads them: it notes the time itself, and takes the
    /// level from a number before the line.
    pub(super) journal: bool,
    pub(super) colour: bool,
}

impl Form {
    /// The form that suits standard error.
    pub(super) fn of_stderr(format: LogFormat) -> Form {
        let choice = anstream::AutoStream::choice(&io::stderr());
        Form { format, journal: is_journal(), colour: choice != anstream::ColorChoice::Never }
    }

    /// Appends the line to `out`, with its end.
    pub(super) fn write(self, line: &Line, out: &mut String) {
        let (time, level) = (format_args!("{:.3}", line.at), level(line.level));
        // Writing to a string cannot fail.
        if self.journal {
            let _ = write!(out, "<{}>", priority(line.level));
        }
        match self.format {
            LogFormat::Text => {
                if !self.journal {
                    let _ = write!(out, "{time} ");
                }
                let style = if self.colour { colour(line.level) } else { Style::new() };
                let level = level.to_ascii_uppercase();
                let _ = write!(out, "{style}{level:5}{style:#} ");
                one_line(&line.text, out);
            }
            LogFormat::Logfmt => {
                if !self.journal {
                    let _ = write!(out, "time={time} ");
                }
                let _ = write!(out, "level={level}");
                for (key, value) in fields(&line.text) {
                    let _ = write!(out, " {key}=");
                    logfmt_value(&value, out);
                }
            }
            LogFormat::Json => {
                out.push('{');
                if !self.journal {
                    let _ = write!(out, "\"time\":\"{time}\",");
                }
                let _ = write!(out, "\"level\":\"{level}\"");
                for (key, value) in fields(&line.text) {
                    let _ = write!(out, ",\"{key}\":");
                    json_value(value, out);
                }
                out.push('}');
            }
        }
        out.push('\n');
    }
}

/// Whether the standard error goes to the journal of systemd. The variable alone
/// does not say so: it is handed on to programs whose standard error goes
/// elsewhere.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// The number of a level in syslog.
const fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

const fn colour(level: Level) -> Style {
    match level {
        Level::Error => AnsiColor::Red.on_default().bold(),
        Level::Warn => AnsiColor::Yellow.on_default(),
        Level::Info => AnsiColor::Green.on_default(),
        Level::Debug => AnsiColor::Blue.on_default(),
        Level::Trace => AnsiColor::Cyan.on_default(),
    }
}

/// Whether a character is escaped, so that what a stranger sends can neither begin
/// a second event, nor move a terminal's cursor, nor turn the text round.
fn is_written_out(c: char) -> bool {
    c.is_control() || steers(c)
}

/// Appends the text as one line.
fn one_line(text: &str, out: &mut String) {
    for c in text.chars() {
        if is_written_out(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
}

/// Appends a value as a JSON string.
fn json_value(value: String, out: &mut String) {
    for c in serde_json::Value::String(value).to_string().chars() {
        if is_written_out(c) { by_number(c, out) } else { out.push(c) }
    }
}

/// Appends a character as a JSON escape, or as two (a surrogate pair) beyond the
/// first 65,536.
fn by_number(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// Appends a value as logfmt: quoted, if need be, as in JSON.
fn logfmt_value(value: &str, out: &mut String) {
    let plain =
        |c: char| !c.is_whitespace() && !is_written_out(c) && !['"', '=', '\\'].contains(&c);
    if !value.is_empty() && value.chars().all(plain) {
        return out.push_str(value);
    }
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_written_out(c) => by_number(c, out),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn written(format: LogFormat, journal: bool, text: &str) -> String {
        let at = Timestamp::from_millisecond(1_700_000_000_050).unwrap();
        let line = Line { at, level: Level::Warn, text: text.into() };
        let mut out = String::new();
        Form { format, journal, colour: false }.write(&line, &mut out);
        out
    }

    const LINE: &str = r#"event=kicked channel=ops by=größer reason="a \"b\" \u{1b}[2J\n=""#;

    #[test]
    fn for_people() {
        let text = written(LogFormat::Text, false, LINE);
        assert_eq!(text, format!("2023-11-14T22:13:20.050Z WARN  {LINE}\n"));
        let forged = written(LogFormat::Text, false, "a\nb\r\tc\u{1b}[2J \u{9b}");
        assert!(forged.ends_with("WARN  a\\nb\\r\\tc\\u{1b}[2J \\u{9b}\n"), "{forged}");
    }

    #[test]
    fn logfmt() {
        let expected = "time=2023-11-14T22:13:20.050Z level=warn event=kicked channel=ops \
                        by=größer reason=\"a \\\"b\\\" \\u001b[2J\\n=\"\n";
        assert_eq!(written(LogFormat::Logfmt, false, LINE), expected);
        assert!(written(LogFormat::Logfmt, false, "event=x y=\"\"").ends_with("event=x y=\"\"\n"));
    }

    #[test]
    fn json() {
        let text = written(LogFormat::Json, false, LINE);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["time"], "2023-11-14T22:13:20.050Z");
        assert_eq!(value["level"], "warn");
        assert_eq!(value["event"], "kicked");
        assert_eq!(value["reason"], "a \"b\" \u{1b}[2J\n=");
        assert_eq!(text.lines().count(), 1);
    }

    /// U+009B begins an escape sequence of a terminal, U+202E turns text round,
    /// U+E0041 is invisible.
    #[test]
    fn nothing_hides_or_turns_the_text_round() {
        let (raw, value) = ("\u{9b}a\u{202e}b\u{200b}c\u{e0041}", "größer");
        let line = format!("event=x reason={raw:?} bare={raw} by={value} text={raw} end");
        for format in [LogFormat::Text, LogFormat::Logfmt, LogFormat::Json] {
            let text = written(format, false, &line);
            let seen = text.trim_end_matches('\n');
            assert!(!seen.chars().any(is_written_out) && seen.contains(value), "{text:?}");
        }
        let json = written(LogFormat::Json, false, &line);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&read["reason"], &read["bare"]), (&raw.into(), &raw.into()));
        let escaped = r"\u009ba\u202eb\u200bc\udb40\udc41";
        let logfmt = written(LogFormat::Logfmt, false, &line);
        assert!(logfmt.contains(&format!("reason=\"{escaped}\" ")), "{logfmt}");
    }

    #[test]
    fn for_the_journal_without_the_time() {
        let text = [LogFormat::Text, LogFormat::Logfmt, LogFormat::Json]
            .map(|format| written(format, true, "event=a"));
        let json = "<4>{\"level\":\"warn\",\"event\":\"a\"}\n";
        assert_eq!(text, ["<4>WARN  event=a\n", "<4>level=warn event=a\n", json]);
    }
}
