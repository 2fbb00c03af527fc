//! The TOML file: its keys and values with the lines they stand on.
//!
//! Read as a tree with positions, not through serde: an error should name the
//! line, and the table of settings should stay the only list of keys.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::layers::{ConfigError, Origin};
use super::nearest::nearest;
use super::settings::Setting;
use super::table::SETTINGS;

/// One value of the file.
pub(super) struct Found {
    pub(super) setting: &'static Setting,
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// The settings in `text`, in their order there. `path` names the file in errors.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Found>, ConfigError> {
    entries(path, text)?.into_iter().collect()
}

/// The same, with the errors among the settings, in their places.
pub(super) fn entries(
    path: &Path,
    text: &str,
) -> Result<Vec<Result<Found, ConfigError>>, ConfigError> {
    let origin_of = |span: Range<usize>| Origin::File {
        path: path.to_path_buf(),
        line: line_of(text, span.start),
    };
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        ConfigError::new(&origin_of(span), format!("not valid TOML: {}", error.message()))
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);

    let mut found = Vec::new();
    for (key, value) in entries {
        let origin = origin_of(key.span());
        let name: &str = key.get_ref();
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            found.push(Err(ConfigError::new(&origin, unknown(name))));
            continue;
        };
        found.push(match plain(setting, value.get_ref()) {
            Ok(text) => Ok(Found { setting, text, origin }),
            Err(message) => Err(ConfigError::new(&origin, format!("{name}: {message}"))),
        });
    }
    Ok(found)
}

/// The value as it would be written on the command line.
fn plain(setting: &Setting, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if setting.is_numeric() => {
            // In decimal, whatever base it was written in; a negative one stays as
            // it is, and is refused where every other value is.
            let decimal = u64::from_str_radix(number.as_str(), number.radix());
            Ok(decimal.map_or_else(|_| number.to_string(), |decimal| decimal.to_string()))
        }
        DeValue::Float(number) if setting.is_numeric() => Ok(number.as_str().to_string()),
        DeValue::Array(values) if setting.is_list() => {
            let words = values.iter().map(|value| plain(setting, value.get_ref()));
            Ok(words.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        other => Err(format!("{} is not accepted: write {}", article(other), setting.accepts())),
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn unknown(name: &str) -> String {
    let names = SETTINGS.iter().map(|setting| setting.name);
    if let Some(near) = nearest(name, names.clone()) {
        return format!("there is no setting {name:?}; did you mean `{near}`?");
    }
    let names: Vec<_> = names.collect();
    format!("there is no setting {name:?}; there are {}", names.join(", "))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails_with(text: &str) -> String {
        match parse(Path::new("broker.toml"), text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn keys_come_with_their_lines() {
        let text = "# ours\nport = 0x1E14\n\nmax-line = \"4KiB\"\nstall = 0.5\nhost = \"::\"\n";
        let found = parse(Path::new("b.toml"), text).unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|found| (found.setting.name, found.text.as_str(), found.origin.to_string()))
            .collect();
        assert_eq!(
            seen,
            [
                ("port", "7700", "file b.toml line 2".to_string()),
                ("max-line", "4KiB", "file b.toml line 4".to_string()),
                ("stall", "0.5", "file b.toml line 5".to_string()),
                ("host", "::", "file b.toml line 6".to_string()),
            ]
        );
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest_setting() {
        assert_eq!(
            fails_with("port = 1\nmax_clients = 5"),
            "broker.toml:2: there is no setting \"max_clients\"; did you mean `max-clients`?"
        );
        let listed = fails_with("[limits]\nmax-line = 1");
        assert!(
            listed.starts_with(
                "broker.toml:1: there is no setting \"limits\"; there are host, port, max-clients"
            ),
            "{listed}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_says_what_is_accepted() {
        assert_eq!(
            fails_with("\nport = true"),
            "broker.toml:2: port: a boolean is not accepted: write a whole number from 0 to 65535"
        );
        assert!(fails_with("host = 5").contains("host: an integer is not accepted"));
        assert!(fails_with("drain = [1]").contains("drain: an array is not accepted"));
        assert!(fails_with("drain = { s = 1 }").contains("drain: a table is not accepted"));
    }

    #[test]
    fn broken_toml_names_the_line() {
        let error = fails_with("port = 1\n\nhost = \"unfinished\nstall = 1");
        assert!(error.starts_with("broker.toml:3: not valid TOML: "), "{error}");
        let error = fails_with("port = 1\nport = 2");
        assert!(error.starts_with("broker.toml:2: not valid TOML: duplicate key"), "{error}");
    }

    #[test]
    fn a_negative_number_is_left_for_the_setting_to_refuse() {
        assert_eq!(parse(Path::new("b"), "max-clients = -5").unwrap()[0].text, "-5");
    }
}
