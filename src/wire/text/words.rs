//! A line into words, as a POSIX shell splits it.

use crate::error::{Code, Fault};

/// Stands for `#` while shlex splits, for which an unquoted `#` begins a
/// comment where for us it is an ordinary character. No UTF-8 holds this byte.
const HASH: u8 = 0xff;

/// The words of a line.
///
/// # Errors
/// [`Code::BadRequest`] for a quote that is not closed and for a backslash at
/// the end.
pub fn split(line: &str) -> Result<Vec<String>, Fault> {
    if !line.bytes().any(|b| matches!(b, b'"' | b'\'' | b'\\')) {
        return Ok(unquoted(line).map(str::to_owned).collect());
    }
    let swap = |from, to| move |b: u8| if b == from { to } else { b };
    let line: Vec<u8> = line.bytes().map(swap(b'#', HASH)).collect();
    let mut shlex = shlex::bytes::Shlex::new(&line);
    let words: Vec<Vec<u8>> = shlex.by_ref().collect();
    if shlex.had_error {
        return Err(Fault::new(
            Code::BadRequest,
            "a quote is not closed, or a backslash ends the line; pub --raw takes text as it is",
        ));
    }
    let restored = words.into_iter().map(|word| word.into_iter().map(swap(HASH, b'#')).collect());
    // The line was UTF-8, shlex cuts it at ASCII only, and no byte of another
    // character was swapped: so each word is UTF-8 again.
    Ok(restored.map(|word: Vec<u8>| String::from_utf8_lossy(&word).into_owned()).collect())
}

/// The words of a text without quotes and backslashes.
pub fn unquoted(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t']).filter(|word| !word.is_empty())
}

/// Whether bytes are a text in canonical form: UTF-8 without quotes and
/// backslashes, without control characters, and with single blanks between its
/// words. Then splitting and joining it, and escaping it, give the same bytes.
///
/// Every published message passes through here.
pub fn is_plain(bytes: &[u8]) -> bool {
    let (Some(b'!'..), Some(b'!'..)) = (bytes.first(), bytes.last()) else { return false };
    let is_plain_ascii = match bytes.len() {
        17.. => !is_odd_by::<16>(bytes),
        9.. => !is_odd_by::<8>(bytes),
        _ => !is_odd_by::<1>(bytes),
    };
    is_plain_ascii
        || std::str::from_utf8(bytes).is_ok_and(|text| {
            let is_special = |c: char| c.is_control() || matches!(c, '"' | '\'' | '\\');
            !text.contains(is_special) && !text.contains("  ")
        })
}

/// Whether a byte is beyond ASCII or special, or two blanks stand together. Looks
/// at `N` bytes at a time, which the compiler makes vector instructions of: so
/// there is no early exit, and the last ones overlap those before instead of
/// being fewer. There must be more than `N` bytes, or `N` be 1.
fn is_odd_by<const N: usize>(bytes: &[u8]) -> bool {
    let (Some((last, firsts)), Some((_, seconds))) = (bytes.split_last(), bytes.split_first())
    else {
        return false;
    };
    let mut odd = [0; N];
    for (block, next) in firsts.as_chunks().0.iter().zip(seconds.as_chunks().0) {
        mark_odd(&mut odd, block, next);
    }
    if let (Some(block), Some(next)) = (firsts.last_chunk(), seconds.last_chunk()) {
        mark_odd(&mut odd, block, next);
    }
    let mut odd_last = [0];
    mark_odd(&mut odd_last, &[*last], b"!");
    odd != [0; N] || odd_last != [0]
}

/// Marks the odd bytes of `block`; `next` holds the byte that follows each of them.
#[inline]
fn mark_odd<const N: usize>(odd: &mut [u8; N], block: &[u8; N], next: &[u8; N]) {
    for ((odd, byte), next) in odd.iter_mut().zip(block).zip(next) {
        // One comparison for control characters, DEL and what is beyond ASCII:
        // as signed numbers with one added, they are all below the blank's.
        *odd |= u8::from(byte.wrapping_add(1).cast_signed() < (b' ' + 1).cast_signed())
            | u8::from(*byte == b'"')
            | u8::from(*byte == b'\'')
            | u8::from(*byte == b'\\')
            | u8::from(byte | next == b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        split(line).unwrap()
    }

    #[test]
    fn splits_as_a_shell_does() {
        assert_eq!(words("pub  news\thello "), ["pub", "news", "hello"]);
        assert_eq!(words(r#"a "b  c" 'd "e"' f\ g """#), ["a", "b  c", "d \"e\"", "f g", ""]);
        assert_eq!(words(r#"a'b'"c" "\$\x" '\n'"#), ["abc", "$\\x", "\\n"]);
        assert_eq!(words("$HOME `id` a;b & c|d *"), ["$HOME", "`id`", "a;b", "&", "c|d", "*"]);
    }

    #[test]
    fn a_hash_is_an_ordinary_character() {
        assert_eq!(words("pub news #1 a#b"), ["pub", "news", "#1", "a#b"]);
        assert_eq!(words("pub news '#1' #2 \"#3\" \\#4"), ["pub", "news", "#1", "#2", "#3", "#4"]);
        assert_eq!(words("'ü' #ü"), ["ü", "#ü"]);
    }

    #[test]
    fn an_open_quote_is_an_error() {
        for line in ["a 'b", "a \"b", "a b\\", "it's"] {
            assert_eq!(split(line).unwrap_err().code, Code::BadRequest, "{line}");
        }
    }

    #[test]
    fn plain_at_its_edges() {
        for plain in ["a", "a b", "grün € 😀", "#1 --x", "~"] {
            assert!(is_plain(plain.as_bytes()), "{plain:?}");
        }
        for not in
            ["", " ", " a", "a ", "a  b", "a\tb", "it's", "\"", "\\", "\x7f", "a\u{9b}b", "\r"]
        {
            assert!(!is_plain(not.as_bytes()), "{not:?}");
        }
        assert!(!is_plain(b"a\xffb"));
    }

    proptest! {
        #[test]
        fn plain_is_what_stays_the_same(
            start in "[ -~]{0,40}",
            odd in prop::sample::select(vec!["", "\"", "'", "\\", "  ", "\u{7f}", "\n", "\u{1}", "ü", "\u{85}", "\0"]),
            end in "[!-~]{0,40}",
        ) {
            let text = format!("{start}{odd}{end}");
            let stays = !text.contains(|c: char| c.is_control() || "\"'\\".contains(c))
                && text.split(' ').all(|word| !word.is_empty());
            prop_assert_eq!(is_plain(text.as_bytes()), stays, "{:?}", text);
        }
    }

    proptest! {
        #[test]
        fn plain_means_that_nothing_need_be_done(text in r#"[ a\t#'"\\é]{0,12}|.{0,40}"#) {
            if is_plain(text.as_bytes()) {
                prop_assert_eq!(words(&text).join(" "), text.clone());
                let mut escaped = Vec::new();
                crate::wire::escape::escape(&text, &mut escaped);
                prop_assert_eq!(escaped, text.into_bytes());
            }
        }
    }
}
