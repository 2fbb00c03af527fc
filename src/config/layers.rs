//! Layers of settings: flags override the environment, which overrides the file,
//! which overrides the defaults.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::settings::Setting;
use super::table::SETTINGS;
use super::value::show_time;
use super::{Config, check, command, file, nearest};
use crate::{manual, printed};

/// The environment variable that names the file.
pub(super) const CONFIG_VARIABLE: &str = "BROKER_CONFIG";
const PREFIX: &str = "BROKER_";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No layer has set it.
    Default,
    /// A line of the file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line, from 1 up.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag or a positional argument.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "file {} line {line}", printable(path)),
            Origin::Environment(variable) => write!(f, "environment {variable}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A setting that cannot be used: one line that names the file and line, the
/// variable or the flag, and says what is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// An error that no value caused.
    pub(super) fn plain(message: String) -> Self {
        ConfigError(message)
    }

    /// An error in the value that came from `origin`.
    pub(super) fn new(origin: &Origin, message: impl fmt::Display) -> Self {
        ConfigError(match origin {
            Origin::Default => format!("{message}"),
            Origin::File { path, line } => format!("{}:{line}: {message}", printable(path)),
            Origin::Environment(name) | Origin::Flag(name) => format!("{name}: {message}"),
        })
    }
}

/// Why the program ends instead of running the broker.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The command line asked for help or the version, or was wrong.
    #[error("{0}")]
    CommandLine(#[from] clap::Error),
    /// A value was wrong.
    #[error("broker: {0}")]
    Config(#[from] ConfigError),
    /// The file that was to be checked has these errors.
    #[error("{}", lines(.0))]
    Wrong(Vec<ConfigError>),
    /// The program was only to print this text.
    #[error("{0}")]
    Said(String),
}

fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(|error| format!("broker: {error}")).collect::<Vec<_>>().join("\n")
}

impl Halt {
    /// Prints it to standard output or standard error, and returns the exit code of
    /// the process: 0 for help and version (1 if they cannot be written), otherwise
    /// 2.
    pub fn report(&self) -> u8 {
        match self {
            Halt::CommandLine(error) => printed::usage("broker", error),
            Halt::Config(_) | Halt::Wrong(_) => {
                // Each line names the program already.
                printed::line(self);
                2
            }
            Halt::Said(text) => printed::print("broker", text.as_bytes()),
        }
    }
}

/// The settings in force, each with its origin.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Whether the command line asks for them to be shown rather than used.
    pub show: bool,
    /// The origins by name; settings at their defaults are missing.
    origins: BTreeMap<&'static str, Origin>,
    pub(super) file: Option<PathBuf>,
    /// Variables that begin like ours but are no settings.
    pub(super) ignored: Vec<String>,
}

/// Puts the settings together from the command line (with the program's name),
/// the environment, the file that one of them names, and the defaults.
///
/// # Errors
/// [`Halt`] if there is no broker to run: help was asked for, or something is
/// wrong. A value that a higher layer overrides must be valid as well.
pub fn load(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Halt> {
    let matches = command::command().try_get_matches_from(arguments)?;
    if let Some(halt) = instead(&matches) {
        return Err(halt);
    }
    let variables = ours(environment)?;
    let variable = |name: &str| variables.iter().find(|(known, _)| known == name);

    let mut loaded = Loaded {
        show: matches.get_flag(command::SHOW_CONFIG),
        file: matches.get_one(command::CONFIG).cloned(),
        ..Loaded::defaults()
    };
    let mut named_by = Origin::Flag(format!("--{}", command::CONFIG));
    if let (None, Some((name, path))) = (&loaded.file, variable(CONFIG_VARIABLE)) {
        loaded.file = Some(path.into());
        named_by = Origin::Environment(name.clone());
    }
    if let Some(path) = loaded.file.clone() {
        let text = fs::read_to_string(&path).map_err(|error| {
            ConfigError::new(&named_by, format!("cannot read {}: {error}", printable(&path)))
        })?;
        for found in file::parse(&path, &text)? {
            loaded.set(found.setting, &found.text, found.origin)?;
        }
    }
    for setting in SETTINGS {
        if let Some((name, text)) = variable(&setting.variable()) {
            loaded.set(setting, text, Origin::Environment(name.clone()))?;
        }
        if let Some(text) = given(&matches, setting) {
            let flag = if setting.is_positional() {
                setting.value_name.to_string()
            } else {
                format!("--{}", setting.name)
            };
            loaded.set(setting, &text, Origin::Flag(flag))?;
        }
    }
    loaded.ignored = strangers(&variables)?;
    loaded.check()?;
    Ok(loaded)
}

/// What the arguments ask for instead of a broker, if they do; it needs no
/// settings.
fn instead(matches: &ArgMatches) -> Option<Halt> {
    if let Some(path) = matches.get_one::<PathBuf>(command::CHECK_CONFIG) {
        return Some(match check::check(path) {
            Ok((number, cut)) => {
                let cut = cut.map_or_else(String::new, |cut| format!("; but {cut}"));
                Halt::Said(format!("{}: {number} settings, nothing wrong{cut}\n", printable(path)))
            }
            Err(errors) => Halt::Wrong(errors),
        });
    }
    let text = if let Some(shell) = matches.get_one(command::COMPLETIONS) {
        manual::completions("broker", &command::command(), *shell)
    } else if matches.get_flag(command::MAN) {
        manual::page(command::command(), None).unwrap_or_default()
    } else {
        return None;
    };
    Some(Halt::Said(String::from_utf8_lossy(&text).into_owned()))
}

impl Loaded {
    /// Every setting at its default.
    pub(super) fn defaults() -> Loaded {
        Loaded {
            config: Config::default(),
            show: false,
            origins: BTreeMap::new(),
            file: None,
            ignored: Vec::new(),
        }
    }

    /// Whether any layer has set this, rather than left it at its default.
    pub fn is_chosen(&self, name: &str) -> bool {
        self.origins.contains_key(name)
    }

    pub(super) fn set(
        &mut self,
        setting: &'static Setting,
        text: &str,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        setting.apply(text, &mut self.config).map_err(|message| {
            // The line alone does not say which key of the file is meant.
            if matches!(origin, Origin::File { .. }) {
                ConfigError::new(&origin, format!("{}: {message}", setting.name))
            } else {
                ConfigError::new(&origin, message)
            }
        })?;
        self.origins.insert(setting.name, origin);
        Ok(())
    }

    /// The origin of this setting's value.
    pub(super) fn origin(&self, name: &str) -> &Origin {
        self.origins.get(name).unwrap_or(&Origin::Default)
    }

    /// The fields of a log event that says what to do, if a lease was set that is
    /// not in force in full.
    pub fn cut_lease(&self) -> Option<String> {
        let (lease, in_force) = (self.config.lease, self.config.lease_in_force());
        (self.is_chosen("lease") && in_force < lease).then(|| {
            format!(
                "lease={} in-force={} advice=\"no lease is longer than --idle-timeout: raise that, \
                 or lower --lease\"",
                show_time(lease),
                show_time(in_force)
            )
        })
    }

    /// Checks what must hold between settings.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_tls()?;
        let (log, line) = (self.config.log_bytes, self.config.max_line);
        if log >= line {
            return Ok(());
        }
        let origins = [self.origin("log-bytes"), self.origin("max-line")];
        // The one that was set is named first.
        let blamed = if *origins[0] == Origin::Default { origins[1] } else { origins[0] };
        Err(ConfigError::new(
            blamed,
            format!(
                "log-bytes ({log}, {}) is less than max-line ({line}, {}), so that the longest \
                 message would not fit: raise log-bytes or lower max-line",
                origins[0], origins[1]
            ),
        ))
    }
}

impl Loaded {
    /// Nobody is to believe that a broker encrypts which does not.
    fn check_tls(&self) -> Result<(), ConfigError> {
        let Config { tls_cert, tls_key, tls_clients, allow_plain, .. } = &self.config;
        let set = [
            ("tls-key", tls_key.is_some()),
            ("tls-clients", tls_clients.is_some()),
            ("allow-plain", !allow_plain.is_empty()),
        ];
        match set.iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) if tls_cert.is_none() => {
                let text = format!("{name} is of no use without tls-cert: nothing is encrypted");
                Err(ConfigError::new(self.origin(name), text))
            }
            _ => Ok(()),
        }
    }
}

fn given(matches: &ArgMatches, setting: &Setting) -> Option<String> {
    let source = matches.value_source(setting.name);
    let words = matches.get_many::<String>(setting.name);
    let words = words.filter(|_| source == Some(ValueSource::CommandLine))?;
    Some(words.cloned().collect::<Vec<_>>().join(","))
}

/// The variables that begin like ours and are not empty.
fn ours(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut variables = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let value = value.into_string().map_err(|_| {
            ConfigError::new(&Origin::Environment(name.into()), "the value is not UTF-8")
        })?;
        if !value.is_empty() {
            variables.push((name.to_string(), value));
        }
    }
    Ok(variables)
}

/// The variables that are no settings. One that looks like a typo is an error;
/// others are ignored, because the client has variables too and Kubernetes sets
/// `BROKER_SERVICE_HOST` and more for a service called `broker`.
fn strangers(variables: &[(String, String)]) -> Result<Vec<String>, ConfigError> {
    let mut known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    known.push(CONFIG_VARIABLE.into());
    let mut ignored = Vec::new();
    for (name, _) in variables.iter().filter(|(name, _)| !known.contains(name)) {
        let end = |name| str::strip_prefix(name, PREFIX).unwrap_or(name);
        if let Some(near) = nearest::nearest(end(name), known.iter().map(|known| end(known))) {
            return Err(ConfigError::new(
                &Origin::Environment(name.clone()),
                format!("there is no such setting; did you mean {PREFIX}{near}?"),
            ));
        }
        ignored.push(name.clone());
    }
    ignored.sort_unstable();
    Ok(ignored)
}

/// A path in a form that fits into one line.
pub(super) fn printable(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// `load`, for words and pairs.
    fn loaded(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Loaded, Halt> {
        let arguments = ["broker"].iter().chain(arguments).map(OsString::from);
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        load(arguments, environment)
    }

    fn error(arguments: &[&str], environment: &[(&str, &str)]) -> String {
        match loaded(arguments, environment) {
            Err(Halt::Config(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.toml");
        fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_string();
        (folder, path)
    }

    #[test]
    fn nothing_said_is_the_default() {
        let loaded = loaded(&[], &[("PATH", "/bin"), ("BROKER_STALL", "")]).unwrap();
        assert_eq!(loaded.config, Config::default());
        assert!(!loaded.show);
        assert!(SETTINGS.iter().all(|setting| *loaded.origin(setting.name) == Origin::Default));
    }

    #[test]
    fn flags_stand_over_the_environment_over_the_file_over_the_default() {
        let (_folder, path) = file("max-clients = 1\nmax-line = \"1KiB\"\nstall = \"1s\"\n");
        let config = ("BROKER_CONFIG", path.as_str());
        let environment = [config, ("BROKER_MAX_CLIENTS", "2"), ("BROKER_MAX_LINE", "2k")];
        let loaded = loaded(&["--max-clients", "3", "::1"], &environment).unwrap();
        assert_eq!(loaded.config.max_clients, 3);
        assert_eq!(loaded.config.max_line, 2048);
        assert_eq!(loaded.config.stall, Duration::from_secs(1));
        assert_eq!(loaded.config.host, "::1");
        assert_eq!(loaded.config.drain, Config::default().drain);
        assert_eq!(loaded.origin("max-clients").to_string(), "flag --max-clients");
        assert_eq!(loaded.origin("max-line").to_string(), "environment BROKER_MAX_LINE");
        assert_eq!(loaded.origin("stall").to_string(), format!("file {path} line 3"));
        assert_eq!(loaded.origin("host").to_string(), "flag HOST");
        assert_eq!(loaded.origin("drain").to_string(), "default");
    }

    #[test]
    fn the_flag_stands_over_the_variable_that_names_the_file() {
        let (_folder, path) = file("port = 1");
        let environment = [("BROKER_CONFIG", "/nowhere")];
        let loaded = loaded(&["--config", &path], &environment).unwrap();
        assert_eq!(loaded.config.port, 1);
    }

    #[test]
    fn an_error_names_the_file_and_line_or_the_variable_or_the_flag() {
        let (_folder, path) = file("port = 1\nmax-line = 511");
        let refused = "\"511\" is not accepted: write bytes such as 65536";
        let expected = [format!("{path}:2: max-line: {refused}")];
        assert!(error(&["--config", &path], &[]).starts_with(&expected[0]));
        let in_environment = error(&[], &[("BROKER_MAX_LINE", "511")]);
        assert!(in_environment.starts_with(&format!("BROKER_MAX_LINE: {refused}")));
        assert!(error(&["--max-line", "511"], &[]).starts_with(&format!("--max-line: {refused}")));
        assert!(error(&["::", "65536"], &[]).starts_with("PORT: \"65536\" is not accepted"));
    }

    /// Of all bodies together there are no more at once.
    #[test]
    fn a_body_that_could_never_be_had_is_not_allowed() {
        assert!(loaded(&["--max-body", "64MiB"], &[]).is_ok());
        let refused = error(&["--max-body", "65MiB"], &[]);
        assert!(refused.contains("from 512 to 64MiB"), "{refused}");
    }

    #[test]
    fn a_wrong_value_is_an_error_even_under_a_right_one() {
        let wrong = error(&["--stall", "1s"], &[("BROKER_STALL", "soon")]);
        assert!(wrong.starts_with("BROKER_STALL: \"soon\" is not accepted"), "{wrong}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_who_named_it() {
        assert!(
            error(&["--config", "/no/file"], &[]).starts_with("--config: cannot read /no/file: ")
        );
        let by_variable = error(&[], &[("BROKER_CONFIG", "/no/file")]);
        assert!(by_variable.starts_with("BROKER_CONFIG: cannot read /no/file: "));
    }

    #[test]
    fn a_variable_that_is_a_slip_is_refused_and_a_stranger_is_listed() {
        assert_eq!(
            error(&[], &[("BROKER_MAX_CLIENT", "5")]),
            "BROKER_MAX_CLIENT: there is no such setting; did you mean BROKER_MAX_CLIENTS?"
        );
        let strangers = [("BROKER_SERVICE_HOST", "10.0.0.1"), ("BROKER_PORT_7700_TCP", "x")];
        let loaded = loaded(&[], &strangers).unwrap();
        assert_eq!(loaded.ignored, ["BROKER_PORT_7700_TCP", "BROKER_SERVICE_HOST"]);
        let kubernetes = error(&[], &[("BROKER_PORT", "tcp://10.0.0.1:7700")]);
        assert!(kubernetes.contains("enableServiceLinks: false"), "{kubernetes}");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_utf8_is_refused() {
        use std::os::unix::ffi::OsStringExt as _;
        let environment = [("BROKER_HOST".into(), OsString::from_vec(vec![0xff]))];
        let halt = load(["broker".into()], environment).unwrap_err();
        assert_eq!(halt.to_string(), "broker: BROKER_HOST: the value is not UTF-8");
    }

    #[test]
    fn a_channel_must_be_able_to_hold_the_longest_message() {
        assert!(loaded(&["--log-bytes", "64KiB"], &[]).is_ok());
        let short = error(&["--log-bytes", "65535"], &[("BROKER_MAX_LINE", "64k")]);
        assert!(short.starts_with("--log-bytes: log-bytes (65535, flag --log-bytes) is less"));
        assert!(short.contains("max-line (65536, environment BROKER_MAX_LINE)"), "{short}");
        assert!(error(&["--max-line", "8MiB"], &[]).starts_with("--max-line: log-bytes (4194304"));
    }

    #[test]
    fn a_list_may_be_repeated_and_in_a_file_be_an_array() {
        let shown = |loaded: Loaded| {
            let networks = loaded.config.allow_url.iter().map(ToString::to_string);
            networks.collect::<Vec<_>>()
        };
        let expected = ["127.0.0.0/8", "::1/128"];
        let flags = ["--allow-url", "127.0.0.0/8", "--allow-url", "::1"];
        assert_eq!(shown(loaded(&flags, &[]).unwrap()), expected);
        let environment = [("BROKER_ALLOW_URL", "127.0.0.0/8,::1/128")];
        assert_eq!(shown(loaded(&[], &environment).unwrap()), expected);
        for text in ["allow-url = ['127.0.0.0/8', '::1']", "allow-url = '127.0.0.0/8,::1'"] {
            let (_folder, path) = file(text);
            assert_eq!(shown(loaded(&["--config", &path], &[]).unwrap()), expected);
        }
        let (_folder, path) = file("allow-url = [1]");
        assert!(error(&["--config", &path], &[]).contains("an integer is not accepted"));
    }

    #[test]
    fn wrong_arguments_end_with_2_and_help_with_0() {
        let halted = |arguments: &[&str]| match loaded(arguments, &[]).unwrap_err() {
            Halt::CommandLine(error) => error.exit_code(),
            _ => 2,
        };
        assert_eq!(halted(&["--help"]), 0);
        assert_eq!(halted(&["--version"]), 0);
        assert_eq!(halted(&["--max-client", "5"]), 2);
        assert_eq!(halted(&["--max-clients"]), 2);
        assert_eq!(halted(&["::", "1", "2"]), 2);
    }
}
