//! Parses log lines: `event=name key=value key="a value"`.

/// The fields of a line, in their order. The rest that is no field becomes a field
/// `text`.
pub(super) fn fields(line: &str) -> Vec<(&str, String)> {
    let mut fields = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let Some((key, value, after)) = field(rest) else {
            fields.push(("text", rest.to_owned()));
            break;
        };
        fields.push((key, value));
        rest = after.trim_start();
    }
    fields
}

/// The first field, and what comes after it.
fn field(rest: &str) -> Option<(&str, String, &str)> {
    let (key, after) = rest.split_once('=')?;
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_key {
        return None;
    }
    let Some(quoted) = after.strip_prefix('"') else {
        let (value, after) = after.split_once(' ').unwrap_or((after, ""));
        return Some((key, value.to_owned(), after));
    };
    let (value, after) = unquoted(quoted)?;
    (after.is_empty() || after.starts_with(' ')).then_some((key, value, after))
}

/// A value up to its closing quote, as `{:?}` wrote it, and what comes after it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                '0' => value.push('\0'),
                'u' => {
                    let (digits, after) = chars.as_str().strip_prefix('{')?.split_once('}')?;
                    value.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    chars = after.chars();
                }
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_taken_apart() {
        let found = fields(r#"event=a-b  n=1 empty="" text="a \"b\" \u{1b} = c" last=x=y"#);
        let expected = [
            ("event", "a-b"),
            ("n", "1"),
            ("empty", ""),
            ("text", "a \"b\" \u{1b} = c"),
            ("last", "x=y"),
        ];
        assert_eq!(found, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn what_is_no_field_is_text() {
        for (line, text) in [
            ("plain words", "plain words"),
            ("event=a and more", "and more"),
            ("event=a b=\"open", "b=\"open"),
            ("event=a b=\"x\"y", "b=\"x\"y"),
            ("event=a =c", "=c"),
        ] {
            assert_eq!(fields(line).pop(), Some(("text", text.to_owned())), "{line}");
        }
        assert_eq!(fields(" "), []);
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_comes_back(value: String, bytes: String) {
            let line = format!("event=x value={value:?} other={bytes:?}");
            let found = fields(&line);
            prop_assert_eq!(&found[1], &("value", value));
            prop_assert_eq!(&found[2], &("other", bytes));
        }
    }
}
