//! `--show-config`: the settings in force and their origins, as a TOML file that
//! gives the same settings when it is read.

use std::fmt::Write as _;

use super::layers::{Loaded, printable};
use super::table::SETTINGS;
use super::value::show_time;

impl Loaded {
    /// Every setting with its origin as a comment; a valid TOML file.
    pub fn show_config(&self) -> String {
        let lines: Vec<String> = SETTINGS
            .iter()
            .map(|setting| {
                let value = setting.show(&self.config);
                // A number stands bare; a value with a unit is a string.
                let bare = setting.is_numeric() && value.bytes().all(|b| b.is_ascii_digit());
                let value = if bare { value } else { toml::Value::String(value).to_string() };
                format!("{} = {value}", setting.name)
            })
            .collect();
        let width = lines.iter().map(String::len).max().unwrap_or(0);

        let mut out = String::new();
        // Writing into a String cannot fail.
        if let Some(path) = &self.file {
            let _ = writeln!(out, "# settings file: {}", printable(path));
        }
        for (line, setting) in lines.iter().zip(SETTINGS) {
            let _ = write!(out, "{line:width$}  # {}", self.origin(setting.name));
            if let Some(what) = setting.zero_means(&self.config) {
                let _ = write!(out, "; 0 is {what}");
            }
            let in_force = self.config.lease_in_force();
            if setting.name == "lease" && in_force < self.config.lease {
                let _ = write!(out, "; in force: {}, the idle-timeout", show_time(in_force));
            }
            out.push('\n');
        }
        for variable in &self.ignored {
            let _ = writeln!(out, "# not a setting, ignored: environment {variable}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::super::{layers::Loaded, load};

    fn loaded(arguments: &[&str]) -> Loaded {
        load(arguments.iter().map(OsString::from), [("BROKER_X_Y_Z".into(), "1".into())]).unwrap()
    }

    #[test]
    fn what_is_shown_is_a_file_that_gives_the_same() {
        let arguments = [
            "broker",
            "fe80::1%a\"b",
            "0",
            "--max-clients",
            "7",
            "--max-line",
            "1000",
            "--drain",
            "0",
            "--stall",
            "1.5ms",
            "--idle-timeout",
            "90",
            "--log-bytes",
            "1M",
        ];
        let first = loaded(&arguments);
        let shown = first.show_config();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shown.toml");
        fs::write(&path, &shown).unwrap();
        let second = loaded(&["broker", "--config", path.to_str().unwrap()]);
        assert_eq!(first.config, second.config, "{shown}");
        assert!(second.show_config().contains(&format!("# file {} line 1\n", path.display())));
    }

    #[test]
    fn a_lease_that_is_cut_is_told() {
        let told = |arguments: &[&str]| {
            let loaded = loaded(&[&["broker"], arguments].concat());
            let shown = loaded.show_config();
            let line = shown.lines().find(|line| line.starts_with("lease")).unwrap();
            (line.rsplit_once("# ").unwrap().1.to_owned(), loaded.cut_lease())
        };
        assert_eq!(told(&["--lease", "2m"]), ("flag --lease".into(), None));
        assert_eq!(told(&["--lease", "9m", "--idle-timeout", "0"]).1, None);
        let (shown, cut) = told(&["--lease", "9m"]);
        assert_eq!(shown, "flag --lease; in force: 2m, the idle-timeout");
        assert!(cut.unwrap().starts_with("lease=9m in-force=2m advice="));
        // Not reported, because no layer has set the lease that is cut.
        let (shown, cut) = told(&["--idle-timeout", "5s"]);
        assert_eq!((shown.as_str(), cut), ("default; in force: 5s, the idle-timeout", None));
    }

    #[test]
    fn each_line_tells_where_its_value_came_from() {
        let shown = loaded(&["broker", "--max-clients", "7"]).show_config();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "host = \"127.0.0.1\"          # default");
        assert_eq!(lines[2], "max-clients = 7             # flag --max-clients");
        assert_eq!(lines[3], "max-line = \"64KiB\"          # default");
        let grace = "restart-grace = \"0s\"        # default; 0 is lease and guard";
        assert!(lines.contains(&grace), "{shown}");
        assert_eq!(lines.last(), Some(&"# not a setting, ignored: environment BROKER_X_Y_Z"));
    }
}
