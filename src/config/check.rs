//! `--check-config`: reports everything that is wrong with a file, not only the
//! first error.

use std::fs;
use std::path::Path;

use super::layers::{Loaded, printable};
use super::{ConfigError, file};

/// Checks a file by itself, whatever the environment and the flags say. Returns how
/// many settings are in it, and what [`Loaded::cut_lease`] says of them.
///
/// # Errors
/// Every error with its line, in the order of the file.
pub(super) fn check(path: &Path) -> Result<(usize, Option<String>), Vec<ConfigError>> {
    let text = fs::read_to_string(path).map_err(|error| {
        vec![ConfigError::plain(format!("cannot read {}: {error}", printable(path)))]
    })?;
    let mut loaded = Loaded::defaults();
    let (mut right, mut wrong) = (0, Vec::new());
    for found in file::entries(path, &text).map_err(|error| vec![error])? {
        match found.and_then(|found| loaded.set(found.setting, &found.text, found.origin)) {
            Ok(()) => right += 1,
            Err(error) => wrong.push(error),
        }
    }
    wrong.extend(loaded.check().err());
    if wrong.is_empty() { Ok((right, loaded.cut_lease())) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.toml");
        fs::write(&path, "port = 1\nmax-line = 1\ndrainn = 2\n\nlog-bytes = \"2KiB\"\n").unwrap();
        let wrong: Vec<String> =
            check(&path).unwrap_err().iter().map(ToString::to_string).collect();
        let name = path.display().to_string();
        let starts = [
            format!("{name}:2: max-line: \"1\" is not accepted: "),
            format!("{name}:3: there is no setting \"drainn\"; did you mean `drain`?"),
            format!(
                "{name}:5: log-bytes (2048, file {name} line 5) is less than max-line (65536, default)"
            ),
        ];
        assert_eq!(wrong.len(), starts.len(), "{wrong:#?}");
        for (wrong, start) in wrong.iter().zip(&starts) {
            assert!(wrong.starts_with(start), "{wrong}");
        }
        fs::write(&path, "port = 1\nstall = \"1s\"\n").unwrap();
        assert_eq!(check(&path), Ok((2, None)));
        fs::write(&path, "lease = \"9m\"\n").unwrap();
        assert!(check(&path).unwrap().1.unwrap().starts_with("lease=9m in-force=2m "));
        fs::write(&path, "port = \n").unwrap();
        assert!(check(&path).unwrap_err()[0].to_string().contains(":1: not valid TOML"));
    }
}
