//! The terminal: a line being typed at the bottom, everything else above it.
//!
//! The line takes one row, whatever its length. To print, that row is erased,
//! the text written, and the row drawn again, in one write; so what is being
//! typed is never disturbed.

use super::complete::Vocabulary;
use super::editor::{Action, Editor};
use super::words::harmless;
use crate::sync::lock;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste, Event, KeyEventKind};
use crossterm::terminal::{Clear, ClearType, disable_raw_mode, enable_raw_mode, size};
use crossterm::{Command, cursor};
use futures::channel::mpsc;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Events handled before the line is drawn again.
const EVENTS_MAX: usize = 1024;

/// What came from the keyboard.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// A line.
    Line(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    End,
}

/// The terminal; clones are the same one.
#[derive(Clone, Debug)]
pub struct Terminal {
    state: Arc<Mutex<State>>,
    /// The names that can be completed.
    pub vocabulary: Arc<Mutex<Vocabulary>>,
}

#[derive(Debug)]
struct State {
    editor: Editor,
    prompt: String,
    columns: usize,
    open: bool,
}

impl Terminal {
    /// Takes over the terminal until [`Terminal::close`].
    ///
    /// # Errors
    /// Those of setting it up.
    pub fn open() -> io::Result<(Terminal, mpsc::UnboundedReceiver<Typed>)> {
        enable_raw_mode()?;
        let columns = size().map_or(80, |(columns, _)| columns.into());
        let state = State { editor: Editor::default(), prompt: "> ".into(), columns, open: true };
        let terminal = Terminal { state: Arc::new(Mutex::new(state)), vocabulary: Arc::default() };
        let mut out = String::new();
        ansi(&mut out, EnableBracketedPaste);
        lock(&terminal.state).draw(&mut out);
        write(&out)?;
        let (tx, rx) = mpsc::unbounded();
        let keys = terminal.clone();
        // Reading keys blocks; this thread ends with the program.
        std::thread::Builder::new().name("keys".into()).spawn(move || {
            while let Ok(events) = read_events() {
                if keys.handle(events, &tx).is_err() {
                    break;
                }
            }
            let _ = tx.unbounded_send(Typed::End);
        })?;
        Ok((terminal, rx))
    }

    /// Handles keys, pastes and new sizes, and draws the line once after them.
    fn handle(&self, events: Vec<Event>, tx: &mpsc::UnboundedSender<Typed>) -> io::Result<()> {
        let mut state = lock(&self.state);
        if !state.open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let (mut out, mut typed) = (String::new(), Vec::new());
        for event in events {
            match event {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    let action = state.editor.key(key, &lock(&self.vocabulary));
                    state.act(action, &mut out, &mut typed);
                }
                Event::Paste(text) => {
                    for line in state.editor.paste(&text) {
                        state.act(Action::Submit(line), &mut out, &mut typed);
                    }
                }
                Event::Resize(columns, _) => state.columns = columns.into(),
                _ => {}
            }
        }
        state.draw(&mut out);
        for typed in typed {
            if let Typed::Line(line) = &typed {
                lock(&self.vocabulary).typed(line);
            }
            // The receiver lives as long as the program runs.
            let _ = tx.unbounded_send(typed);
        }
        write(&out)
    }

    /// Prints whole lines above the line being typed, and shows this prompt.
    ///
    /// # Errors
    /// Those of the terminal.
    pub fn print(&self, lines: &str, prompt: &str) -> io::Result<()> {
        let mut state = lock(&self.state);
        if lines.is_empty() && state.prompt == prompt {
            return Ok(());
        }
        prompt.clone_into(&mut state.prompt);
        let mut out = String::with_capacity(lines.len() + 256);
        erase(&mut out);
        for line in lines.lines() {
            out.push_str(line);
            out.push_str("\r\n");
        }
        if state.open {
            state.draw(&mut out);
        }
        write(&out)
    }

    /// Gives the terminal back.
    pub fn close(&self) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.open, false) {
            let mut out = String::new();
            erase(&mut out);
            ansi(&mut out, DisableBracketedPaste);
            let _ = write(&out);
            let _ = disable_raw_mode();
        }
    }
}

impl State {
    fn act(&mut self, action: Action, out: &mut String, typed: &mut Vec<Typed>) {
        match action {
            Action::Redraw => {}
            Action::Submit(line) => {
                self.leave_behind(&line, "", out);
                typed.push(Typed::Line(line));
            }
            Action::Discard(line) => self.leave_behind(&line, "^C", out),
            Action::Show(candidates) => {
                erase(out);
                let shown = candidates.iter().take(super::complete::CANDIDATES_MAX);
                let names: Vec<String> = shown.map(|name| harmless(name)).collect();
                out.push_str(&names.join("  "));
                out.push_str("\r\n");
            }
            Action::Clear => {
                ansi(out, Clear(ClearType::All));
                ansi(out, cursor::MoveTo(0, 0));
            }
            Action::Suspend => self.suspend(out),
            Action::Interrupt => typed.push(Typed::Interrupt),
            Action::End => typed.push(Typed::End),
        }
    }

    /// Ctrl-Z: gives the terminal to the shell, and with it what is typed meanwhile.
    fn suspend(&mut self, out: &mut String) {
        erase(out);
        ansi(out, DisableBracketedPaste);
        // If writing or setting modes fails, there is no terminal to give back; if
        // nobody could continue this program, the system does not stop it.
        let _ = write(out);
        let _ = disable_raw_mode();
        let _ = rustix::process::kill_current_process_group(Signal::TSTP);
        std::thread::sleep(STOPS_WITHIN);
        let _ = enable_raw_mode();
        self.columns = size().map_or(self.columns, |(columns, _)| columns.into());
        out.clear();
        ansi(out, EnableBracketedPaste);
    }

    /// What was typed stays on the screen, as any terminal shows it.
    fn leave_behind(&self, line: &str, end: &str, out: &mut String) {
        erase(out);
        out.push_str(&harmless(&self.prompt));
        out.push_str(&harmless(line));
        out.push_str(end);
        out.push_str("\r\n");
    }

    /// Draws the prompt and the line in the cursor's row.
    fn draw(&self, out: &mut String) {
        erase(out);
        let mut prompt = harmless(&self.prompt);
        // A prompt that leaves no room to type in is left out.
        if prompt.width() + 10 > self.columns {
            prompt = "> ".into();
        }
        let prompt_columns = prompt.width();
        let (view, at) = self.editor.view(self.columns.saturating_sub(prompt_columns));
        out.push_str(&prompt);
        out.push_str(view);
        let column = u16::try_from(prompt_columns + at).unwrap_or(u16::MAX);
        ansi(out, cursor::MoveToColumn(column));
    }
}

/// How soon after another event one must come to be drawn with it. Zero would not do:
/// events that have been read already are not looked at then.
const TOGETHER: Duration = Duration::from_millis(1);

/// How long a signal that stops this program takes at most to reach whichever of its
/// threads hears it: only then it stops.
const STOPS_WITHIN: Duration = Duration::from_millis(50);

/// How often to check that the terminal is still there.
const LOOK: Duration = Duration::from_secs(5);

/// Waits for an event, and takes all that are there: a paste without brackets
/// is many keys, and drawing the line for each would be slow.
fn read_events() -> io::Result<Vec<Event>> {
    while !crossterm::event::poll(LOOK)? {
        if has_hung_up()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut events = vec![crossterm::event::read()?];
    while events.len() < EVENTS_MAX && crossterm::event::poll(TOGETHER)? {
        events.push(crossterm::event::read()?);
    }
    Ok(events)
}

/// Whether the terminal has hung up, without a signal or with one that is ignored:
/// nothing will ever be typed, and crossterm would poll for it without a pause.
fn has_hung_up() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::empty())];
    rustix::event::poll(&mut fds, Some(&Timespec::default()))?;
    Ok(fds[0].revents().contains(PollFlags::HUP))
}

fn erase(out: &mut String) {
    out.push('\r');
    ansi(out, Clear(ClearType::FromCursorDown));
}

fn ansi(out: &mut String, command: impl Command) {
    // Writing to a string cannot fail.
    let _ = command.write_ansi(out);
}

fn write(out: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(out.as_bytes())?;
    stdout.flush()
}
