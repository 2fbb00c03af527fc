//! `pub`, the one request whose text may stand verbatim, and the one that must
//! be quick.

use super::options::{Known, Words, flag, key, value};
use super::words;
use crate::error::Fault;
use crate::payload::Payload;
use crate::request::Publish;
use crate::wire::rules::{bad, json};
use std::borrow::Cow;
use std::ops::Range;

/// The fast path: `pub CH MESSAGE` without options, quotes and backslashes, in
/// canonical form. `None` for every other line, which `decode` reads.
pub(super) fn decode_plain(line: &[u8]) -> Option<Publish<'_>> {
    let rest = line.strip_prefix(b"pub ")?;
    // Only the characters of names: `decode` would read a quote, backslash or tab
    // within the word differently. Names are short, so looking at each byte is as
    // quick as looking for the blank.
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let (channel, text) = rest.split_at(rest.iter().position(|b| !is_name(b))?);
    let text = text.strip_prefix(b" ")?;
    if !channel.first().is_some_and(u8::is_ascii_alphanumeric) || !is_plain_text(text) {
        return None;
    }
    let channel = Cow::Borrowed(std::str::from_utf8(channel).ok()?);
    Some(Publish { channel, term: None, key: None, payload: Payload::Plain(text) })
}

/// The text of a plain `pub` line that begins with `opening`: all that preceded the
/// text of an earlier line that `decode_plain` has read. `None` if the line begins
/// differently or is not plain.
pub fn plain_text<'a>(opening: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    let text = line.strip_prefix(opening).filter(|_| !opening.is_empty())?;
    is_plain_text(text).then_some(text)
}

fn is_plain_text(text: &[u8]) -> bool {
    !text.starts_with(b"--") && words::is_plain(text)
}

const OPTIONS: &[Known] = &[value("term"), value("key"), flag("raw"), flag("json")];

/// A `pub` line, in any of its forms.
pub(super) fn decode(line: &str) -> Result<Publish<'_>, Fault> {
    if let Some(Verbatim { options, channel, text }) = Verbatim::read(line) {
        let words = options.into_iter().flat_map(words::unquoted).map(str::to_owned);
        let mut words = Words::sort("pub", words, OPTIONS, 0)?;
        let payload = match (words.has("raw"), words.has("json")) {
            (true, true) => return Err(bad("--raw and --json exclude each other")),
            (_, true) => Payload::Json(json(text)?.into()),
            _ => Payload::Text(text.into()),
        };
        let (term, key) = (words.number("term")?, key(&mut words)?);
        return Ok(Publish { channel: channel.into(), term, key, payload });
    }
    let words = words::split(line)?.into_iter().skip(1);
    let mut words = Words::sort("pub", words, OPTIONS, 1)?;
    let channel = words.need("CH")?.into();
    if words.has("raw") || words.has("json") {
        return Err(bad("--raw and --json, and what is before them, stand without quotes"));
    }
    let (term, key) = (words.number("term")?, key(&mut words)?);
    let missing = words.missing("MESSAGE");
    let text = words.into_text();
    if text.is_empty() {
        return Err(missing);
    }
    Ok(Publish { channel, term, key, payload: Payload::Text(text.join(" ").into()) })
}

/// A `pub` that came as separate words: each is taken as it is, and those of the
/// message are joined by one blank.
pub(super) fn of_words(words: Vec<String>) -> Result<Publish<'static>, Fault> {
    let mut words = Words::sort("pub", words, OPTIONS, 1)?;
    let channel = words.need("CH")?.into();
    let (term, key) = (words.number("term")?, key(&mut words)?);
    let (is_raw, is_json) = (words.has("raw"), words.has("json"));
    let missing = words.missing("MESSAGE");
    let text = words.into_text();
    let payload = match text.join(" ") {
        _ if is_raw && is_json => return Err(bad("--raw and --json exclude each other")),
        _ if text.is_empty() => return Err(missing),
        text if is_json => {
            json(&text)?;
            Payload::Json(text.into())
        }
        text => Payload::Text(text.into()),
    };
    Ok(Publish { channel, term, key, payload })
}

/// A `pub` line whose text is verbatim.
struct Verbatim<'a> {
    /// Its options, before the channel and after it.
    options: [&'a str; 2],
    channel: &'a str,
    /// Everything after the channel and one blank, or after the `--raw` or `--json`
    /// behind the channel.
    text: &'a str,
}

impl<'a> Verbatim<'a> {
    /// Reads a line; `None` for one whose text is split into words.
    fn read(line: &'a str) -> Option<Self> {
        let start = "pub".len();
        let (mut is_verbatim, mut word) = (false, after_options(line, start));
        while asks_for_verbatim(&line[word.clone()]) {
            (is_verbatim, word) = (true, after_options(line, word.end));
        }
        let have_ended = &line[word.clone()] == "--";
        let channel = if have_ended { next_word(line, word.end) } else { word };
        let (mut after, mut end) = ("", channel.end);
        if !is_verbatim {
            let word = after_options(line, channel.end);
            if have_ended || !asks_for_verbatim(&line[word.clone()]) {
                return None;
            }
            (after, end) = (&line[channel.end..word.end], word.end);
        }
        // Quoted words need the shell's rules.
        if line[start..end].contains(['"', '\'', '\\']) {
            return None;
        }
        let text = line.get(end + 1..).unwrap_or_default();
        let options = [&line[start..channel.start], after];
        Some(Verbatim { options, channel: &line[channel], text })
    }
}

fn asks_for_verbatim(word: &str) -> bool {
    matches!(word, "--raw" | "--json")
}

/// The first word from here on that is not an option, or asks for a verbatim
/// text. Empty at the end of the line.
fn after_options(line: &str, mut from: usize) -> Range<usize> {
    loop {
        let place = next_word(line, from);
        from = match &line[place.clone()] {
            // Its value is the next word.
            "--term" | "--key" => next_word(line, place.end).end,
            word if word.len() > 2 && word.starts_with("--") && !asks_for_verbatim(word) => {
                place.end
            }
            _ => return place,
        };
    }
}

/// Where the next word is; only blanks separate words here.
fn next_word(line: &str, from: usize) -> Range<usize> {
    let rest = line[from..].trim_start_matches([' ', '\t']);
    let length = rest.find([' ', '\t']).unwrap_or(rest.len());
    let start = line.len() - rest.len();
    start..start + length
}
