//! The line being typed. Pure: keys in, text and cursor out.

use super::complete::{Vocabulary, common_prefix};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::VecDeque;
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};
use unicode_width::UnicodeWidthStr;

/// Lines that the history keeps.
const HISTORY_MAX: usize = 1000;

/// What a key asks for, beyond a change of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Show the line anew.
    Redraw,
    /// The line is finished.
    Submit(String),
    /// Several completions are possible.
    Show(Vec<String>),
    /// Clear the screen.
    Clear,
    /// Ctrl-C on a line: it is given up.
    Discard(String),
    /// Ctrl-C on an empty line.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
    /// Ctrl-Z.
    Suspend,
}

/// The line being typed, and the lines before it.
#[derive(Debug, Default)]
pub struct Editor {
    text: String,
    /// A byte offset into the text, between graphemes.
    cursor: usize,
    history: VecDeque<String>,
    /// The line of the history that is shown, and the line typed before.
    browsing: Option<(usize, String)>,
}

impl Editor {
    /// The line so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Handles a key.
    pub fn key(&mut self, key: KeyEvent, vocabulary: &Vocabulary) -> Action {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            // Ctrl-Alt is how some keyboards make ordinary characters.
            KeyCode::Char(c) if ctrl && !alt => return self.control(c),
            KeyCode::Char('b') if alt && !ctrl => self.cursor = self.word_left(),
            KeyCode::Char('f') if alt && !ctrl => self.cursor = self.word_right(),
            KeyCode::Char('d') if alt && !ctrl => self.delete(self.cursor, self.word_right()),
            // Any other Alt key means nothing here, and inserts nothing.
            KeyCode::Char(_) if alt && !ctrl => {}
            KeyCode::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Enter => return self.submit(),
            KeyCode::Tab => return self.complete(vocabulary),
            KeyCode::Backspace if alt => self.delete(self.word_left(), self.cursor),
            KeyCode::Backspace => self.delete(self.left(), self.cursor),
            KeyCode::Delete => self.delete(self.cursor, self.right()),
            KeyCode::Left if ctrl || alt => self.cursor = self.word_left(),
            KeyCode::Right if ctrl || alt => self.cursor = self.word_right(),
            KeyCode::Left => self.cursor = self.left(),
            KeyCode::Right => self.cursor = self.right(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            KeyCode::Up => self.browse_back(),
            KeyCode::Down => self.browse_on(),
            _ => {}
        }
        Action::Redraw
    }

    fn control(&mut self, c: char) -> Action {
        match c {
            'a' => self.cursor = 0,
            'e' => self.cursor = self.text.len(),
            'b' => self.cursor = self.left(),
            'f' => self.cursor = self.right(),
            'h' => self.delete(self.left(), self.cursor),
            'k' => self.delete(self.cursor, self.text.len()),
            'u' => self.delete(0, self.cursor),
            'w' => self.delete(self.word_left(), self.cursor),
            'p' => self.browse_back(),
            'n' => self.browse_on(),
            'l' => return Action::Clear,
            'z' => return Action::Suspend,
            'c' if self.text.is_empty() => return Action::Interrupt,
            'c' => return self.discard(),
            'd' if self.text.is_empty() => return Action::End,
            'd' => self.delete(self.cursor, self.right()),
            // A line feed, where a paste holds one.
            'j' => return self.submit(),
            _ => {}
        }
        Action::Redraw
    }

    /// Inserts pasted text; gives the lines that it finished. A tab counts as a
    /// blank, other control characters are left out.
    pub fn paste(&mut self, text: &str) -> Vec<String> {
        let text = text.replace("\r\n", "\n").replace(['\r'], "\n");
        let mut lines = Vec::new();
        for (at, piece) in text.split('\n').enumerate() {
            if at > 0
                && let Action::Submit(line) = self.submit()
            {
                lines.push(line);
            }
            let piece: String = piece
                .chars()
                .map(|c| if c == '\t' { ' ' } else { c })
                .filter(|c| !c.is_control())
                .collect();
            self.insert(&piece);
        }
        lines
    }

    fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
        // What was inserted may have joined with its neighbours.
        let mut graphemes = GraphemeCursor::new(self.cursor, self.text.len(), true);
        if graphemes.is_boundary(&self.text, 0) != Ok(true) {
            self.cursor = self.right();
        }
    }

    fn delete(&mut self, from: usize, to: usize) {
        self.text.drain(from..to);
        self.cursor = from;
    }

    fn submit(&mut self) -> Action {
        let line = std::mem::take(&mut self.text);
        self.cursor = 0;
        self.browsing = None;
        if !line.trim().is_empty() && self.history.back() != Some(&line) {
            self.history.push_back(line.clone());
            if self.history.len() > HISTORY_MAX {
                self.history.pop_front();
            }
        }
        Action::Submit(line)
    }

    fn discard(&mut self) -> Action {
        self.cursor = 0;
        self.browsing = None;
        Action::Discard(std::mem::take(&mut self.text))
    }

    fn complete(&mut self, vocabulary: &Vocabulary) -> Action {
        let (begin, candidates) = vocabulary.complete(&self.text[..self.cursor]);
        let (typed, common) = (&self.text[begin..self.cursor], common_prefix(&candidates));
        match common.strip_prefix(typed) {
            Some(more) if candidates.len() == 1 => {
                let more = format!("{more} ");
                self.insert(&more);
            }
            Some(more) if !more.is_empty() => {
                let more = more.to_owned();
                self.insert(&more);
            }
            _ if candidates.len() > 1 => return Action::Show(candidates),
            _ => {}
        }
        Action::Redraw
    }

    fn browse_back(&mut self) {
        let (at, typed) = match self.browsing.take() {
            Some((at, typed)) => (at.saturating_sub(1), typed),
            None if self.history.is_empty() => return,
            None => (self.history.len() - 1, self.text.clone()),
        };
        self.show(at, typed);
    }

    fn browse_on(&mut self) {
        match self.browsing.take() {
            Some((at, typed)) if at + 1 < self.history.len() => self.show(at + 1, typed),
            Some((_, typed)) => {
                self.cursor = typed.len();
                self.text = typed;
            }
            None => {}
        }
    }

    fn show(&mut self, at: usize, typed: String) {
        self.text = self.history.get(at).cloned().unwrap_or_default();
        self.cursor = self.text.len();
        self.browsing = Some((at, typed));
    }

    fn left(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn right(&self) -> usize {
        let mut graphemes = GraphemeCursor::new(self.cursor, self.text.len(), true);
        graphemes.next_boundary(&self.text, 0).ok().flatten().unwrap_or(self.text.len())
    }

    fn word_left(&self) -> usize {
        let before = self.text[..self.cursor].trim_end_matches(' ');
        before.rfind(' ').map_or(0, |at| at + 1)
    }

    fn word_right(&self) -> usize {
        let after = &self.text[self.cursor..];
        let blanks = after.len() - after.trim_start_matches(' ').len();
        after[blanks..].find(' ').map_or(self.text.len(), |at| self.cursor + blanks + at)
    }

    /// Returns the part of the line that fits into so many columns, and the cursor's
    /// column. The line is never wrapped but moved sideways, so it is one row whatever
    /// the terminal does.
    pub fn view(&self, columns: usize) -> (&str, usize) {
        let before = self.text[..self.cursor].grapheme_indices(true).rev();
        let (mut begin, mut at) = (self.cursor, 0);
        for (offset, grapheme) in before {
            let width = grapheme.width();
            if at + width >= columns {
                break;
            }
            (begin, at) = (offset, at + width);
        }
        let (mut end, mut width) = (self.cursor, at);
        for (offset, grapheme) in self.text[self.cursor..].grapheme_indices(true) {
            if width + grapheme.width() >= columns {
                break;
            }
            width += grapheme.width();
            end = self.cursor + offset + grapheme.len();
        }
        (&self.text[begin..end], at)
    }
}

#[cfg(test)]
#[path = "editor_tests.rs"]
mod tests;
