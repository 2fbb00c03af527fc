//! A terminal that somebody pastes a block into.

use super::blocks::Block;
use super::support::matches;
use expectrl::session::OsSession;
use expectrl::{ControlCode, Expect, Session};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longer than what a document lets anybody wait for.
const DEADLINE: Duration = Duration::from_secs(25);

pub struct Terminal {
    session: OsSession,
    /// All that it has shown.
    screen: Vec<u8>,
    /// How many lines of that have been looked at.
    seen: usize,
}

impl Terminal {
    /// A new terminal with this in it. It says `ended: 0` when all of it is over.
    pub fn run(block: &Block) -> Terminal {
        Terminal::script(&block.text)
    }

    pub fn script(script: &str) -> Terminal {
        Terminal::on("", script)
    }

    /// The same on a machine of that name.
    pub fn on(host: &str, script: &str) -> Terminal {
        const NAMED: &str = "[ -z \"$0\" ] || { hostname \"$0\"; export XDG_STATE_HOME=~/\"$0\"-state; }; bash -ec \"$1\"; printf '\\nended: %d\\n' $?";
        let mut command = Command::new("unshare");
        command.args(["--uts", "bash", "-c", NAMED, host, script]);
        command.env("TERM", "xterm").env("NO_COLOR", "1");
        let mut session = Session::spawn(command).unwrap();
        session.get_process_mut().set_window_size(250, 50).unwrap();
        Terminal { session, screen: Vec::new(), seen: 0 }
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        self.session.send(format!("{line}\r")).unwrap();
    }

    /// Presses Ctrl-C.
    pub fn interrupts(&mut self) {
        self.session.send(ControlCode::EndOfText).unwrap();
    }

    /// Waits for a line that is as the pattern says, where `…` stands for any
    /// text, behind what has been seen so far; gives it.
    #[track_caller]
    pub fn shows(&mut self, pattern: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.look();
            let screen = plain(&self.screen);
            let found = screen.lines().enumerate().skip(self.seen);
            if let Some((at, line)) = found.into_iter().find(|(_, line)| is_like(pattern, line)) {
                self.seen = at + 1;
                return line.to_owned();
            }
            let is_over = screen.lines().skip(self.seen).any(|line| line.starts_with("ended: "));
            let late = is_over || Instant::now() > deadline;
            assert!(!late, "it is to show\n  {pattern}\nand shows\n{screen}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Reads what has come.
    fn look(&mut self) {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = self.session.try_read(&mut piece) {
            self.screen.extend_from_slice(&piece[..count]);
        }
    }

    /// Waits for all these lines, one behind the other.
    #[track_caller]
    pub fn shows_all(&mut self, shown: &Block) {
        for line in shown.lines() {
            self.shows(line);
        }
    }

    /// Waits for lines that are as these patterns say, whichever comes first.
    #[track_caller]
    pub fn shows_in_any_order(&mut self, patterns: &[&str]) {
        let (from, mut last) = (self.seen, self.seen);
        for pattern in patterns {
            self.seen = from;
            self.shows(pattern);
            last = last.max(self.seen);
        }
        self.seen = last;
    }

    /// Waits until all is over, and well.
    #[track_caller]
    pub fn ends(&mut self) {
        let said = self.shows("ended: …");
        assert_eq!(said, "ended: 0", "{}", plain(&self.screen));
    }
}

/// Runs a block to its end, and looks whether it shows that.
#[track_caller]
pub fn session(block: &Block, shown: Option<Block>) {
    let mut terminal = Terminal::run(block);
    if let Some(shown) = shown {
        terminal.shows_all(&shown);
    }
    terminal.ends();
}

/// What stands on a screen, without colours and the like; a line that is written
/// over counts as one more.
fn plain(screen: &[u8]) -> String {
    let screen = String::from_utf8_lossy(screen);
    let (mut text, mut chars) = (String::new(), screen.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '\x1b' if chars.next_if_eq(&'[').is_some() => {
                while chars.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
            }
            '\r' => text.push('\n'),
            c => text.push(c),
        }
    }
    text
}

/// Whether a line is as a pattern says, in which `…` stands for any text.
fn is_like(pattern: &str, line: &str) -> bool {
    let (pattern, mut line) = (pattern.trim().replace('*', "\u{1}"), line.trim().to_owned());
    line = line.replace('*', "\u{1}");
    matches(&pattern.replace('…', "*"), &line)
}

#[test]
fn lines_are_like_patterns() {
    for (pattern, line) in [("a b", "a b"), ("a … c", "a bb c"), ("a…", "abc"), ("… c", "x c")]
    {
        assert!(is_like(pattern, line), "{pattern} {line}");
    }
    for (pattern, line) in [("a", "ab"), ("a … c", "a b d"), ("b…", "abc"), ("*", "x")] {
        assert!(!is_like(pattern, line), "{pattern} {line}");
    }
    assert_eq!(plain(b"\x1b[1mbold\x1b[0m\r\nnext"), "bold\n\nnext");
}
