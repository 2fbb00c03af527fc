//! The description of a setting, and how a value gets into it.

use ipnet::IpNet;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::{Config, LogFormat, value};

/// One setting.
pub struct Setting {
    /// The key in the file, and the flag without its `--`.
    pub name: &'static str,
    /// The placeholder for the value in the help text.
    pub value_name: &'static str,
    /// A summary, in one line.
    pub help: &'static str,
    /// Why the default is what it is, and what else is worth knowing.
    pub why: &'static str,
    pub(super) kind: Kind,
}

/// The kind of a setting's value, with its default, its bounds, and the field that
/// it goes to.
pub(super) enum Kind {
    Host {
        field: Field<String>,
        default: &'static str,
    },
    Port {
        field: Field<u16>,
        default: u16,
    },
    /// A folder, or nothing, which is the default.
    Folder {
        field: Field<Option<PathBuf>>,
    },
    /// A file, or nothing, which is the default.
    File {
        field: Field<Option<PathBuf>>,
    },
    /// Words separated by commas; none by default.
    Words {
        field: Field<Vec<String>>,
        /// What a word must be, for error messages.
        accepts: &'static str,
        check: fn(&str) -> bool,
    },
    /// The form of the log; for people by default.
    LogFormat {
        field: Field<LogFormat>,
    },
    /// Networks, each as `10.0.0.0/8`; by default none.
    Networks {
        field: Field<Vec<IpNet>>,
    },
    Count {
        field: Field<usize>,
        default: usize,
        bounds: RangeInclusive<usize>,
    },
    Size {
        field: Field<usize>,
        default: usize,
        bounds: RangeInclusive<usize>,
    },
    Time {
        field: Field<Duration>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
        zero: Zero,
    },
}

/// Whether a time may be zero although that is out of its bounds.
pub(super) enum Zero {
    Refused,
    Means(&'static str),
}

/// A field of [`Config`]. Two functions, because one that takes `&mut` could not
/// read a configuration that is only borrowed.
pub(super) struct Field<T: 'static> {
    pub(super) get: fn(&Config) -> &T,
    pub(super) put: fn(&mut Config, T),
}

impl Setting {
    /// Its environment variable: `BROKER_` and the name in upper snake case.
    pub fn variable(&self) -> String {
        format!("BROKER_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Whether it is a positional argument, not a flag.
    pub fn is_positional(&self) -> bool {
        matches!(self.kind, Kind::Host { .. } | Kind::Port { .. })
    }

    /// Whether it takes several values: its flag may be repeated, and a value may
    /// be several, separated by commas.
    pub fn is_list(&self) -> bool {
        matches!(self.kind, Kind::Words { .. } | Kind::Networks { .. })
    }

    /// What it accepts, for error messages and help.
    pub fn accepts(&self) -> String {
        match &self.kind {
            Kind::Host { .. } => "an address or a name such as 127.0.0.1, :: or localhost".into(),
            Kind::Port { .. } => "a whole number from 0 to 65535".into(),
            Kind::Folder { .. } => "the path of a folder, or nothing for none".into(),
            Kind::File { .. } => "the path of a file, or nothing for none".into(),
            Kind::Words { accepts, .. } => (*accepts).into(),
            Kind::LogFormat { .. } => LogFormat::ALL.map(LogFormat::as_str).join(", "),
            Kind::Networks { .. } => {
                "networks such as 10.0.0.0/8 or ::1/128, with commas between them".into()
            }
            Kind::Count { bounds, .. } => {
                format!("{}, from {} to {}", value::COUNT, bounds.start(), bounds.end())
            }
            Kind::Size { bounds, .. } => {
                let (least, most) =
                    (value::show_size(*bounds.start()), value::show_size(*bounds.end()));
                format!("{}; from {least} to {most}", value::SIZE)
            }
            Kind::Time { bounds, zero, .. } => {
                let (least, most) =
                    (value::show_time(*bounds.start()), value::show_time(*bounds.end()));
                let zero = match zero {
                    Zero::Refused => String::new(),
                    Zero::Means(what) => format!(", or 0 for {what}"),
                };
                format!("{}; from {least} to {most}{zero}", value::TIME)
            }
        }
    }

    /// Its value in the configuration, in the form in which it is written.
    pub fn show(&self, config: &Config) -> String {
        match &self.kind {
            Kind::Host { field, .. } => (field.get)(config).clone(),
            Kind::Port { field, .. } => (field.get)(config).to_string(),
            Kind::Folder { field } | Kind::File { field } => (field.get)(config)
                .as_ref()
                .map_or(String::new(), |path| path.display().to_string()),
            Kind::Words { field, .. } => (field.get)(config).join(","),
            Kind::LogFormat { field } => (field.get)(config).as_str().into(),
            Kind::Networks { field } => {
                let networks = (field.get)(config).iter().map(IpNet::to_string);
                networks.collect::<Vec<_>>().join(",")
            }
            Kind::Count { field, .. } => (field.get)(config).to_string(),
            Kind::Size { field, .. } => value::show_size(*(field.get)(config)),
            Kind::Time { field, .. } => value::show_time(*(field.get)(config)),
        }
    }

    /// What zero means, if it is a time and set to zero.
    pub(super) fn zero_means(&self, config: &Config) -> Option<&'static str> {
        match &self.kind {
            Kind::Time { field, zero: Zero::Means(what), .. } if (field.get)(config).is_zero() => {
                Some(what)
            }
            _ => None,
        }
    }

    /// Whether its value in a TOML file may be a bare number.
    pub(super) fn is_numeric(&self) -> bool {
        matches!(
            self.kind,
            Kind::Port { .. } | Kind::Count { .. } | Kind::Size { .. } | Kind::Time { .. }
        )
    }

    /// Sets it to its default.
    pub(super) fn reset(&self, config: &mut Config) {
        match &self.kind {
            Kind::Host { field, default } => (field.put)(config, (*default).into()),
            Kind::Port { field, default } => (field.put)(config, *default),
            Kind::Folder { field } | Kind::File { field } => (field.put)(config, None),
            Kind::Words { field, .. } => (field.put)(config, Vec::new()),
            Kind::LogFormat { field } => (field.put)(config, LogFormat::default()),
            Kind::Networks { field } => (field.put)(config, Vec::new()),
            Kind::Count { field, default, .. } | Kind::Size { field, default, .. } => {
                (field.put)(config, *default);
            }
            Kind::Time { field, default, .. } => (field.put)(config, *default),
        }
    }

    /// Parses a value and puts it into the configuration.
    ///
    /// # Errors
    /// One sentence that says what is wrong with the text and what is accepted; the
    /// configuration is left as it was.
    pub(super) fn apply(&self, text: &str, config: &mut Config) -> Result<(), String> {
        match &self.kind {
            Kind::Host { field, .. } => (field.put)(config, host(text)?),
            Kind::Port { field, .. } => {
                let port = text.parse().ok().filter(|_| value::count(text).is_some());
                (field.put)(config, port.ok_or_else(|| self.refusal(text))?);
            }
            Kind::Folder { field } | Kind::File { field } => {
                let path = Some(text).filter(|text| !text.is_empty());
                (field.put)(config, path.map(PathBuf::from));
            }
            Kind::Words { field, check, .. } => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                let words: Vec<String> = words.map(str::to_owned).collect();
                if !words.iter().all(|word| check(word)) {
                    return Err(self.refusal(text));
                }
                (field.put)(config, words);
            }
            Kind::LogFormat { field } => {
                let format = LogFormat::parse(text).ok_or_else(|| self.refusal(text))?;
                (field.put)(config, format);
            }
            Kind::Networks { field } => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                let networks: Option<_> = words.map(network).collect();
                (field.put)(config, networks.ok_or_else(|| self.refusal(text))?);
            }
            Kind::Count { field, bounds, .. } => {
                let count = value::count(text).filter(|count| bounds.contains(count));
                (field.put)(config, count.ok_or_else(|| self.refusal(text))?);
            }
            Kind::Size { field, bounds, .. } => {
                let size = value::size(text).filter(|size| bounds.contains(size));
                (field.put)(config, size.ok_or_else(|| self.refusal(text))?);
            }
            Kind::Time { field, bounds, zero, .. } => {
                let allowed = |time: &Duration| match zero {
                    Zero::Means(_) if time.is_zero() => true,
                    _ => bounds.contains(time),
                };
                let time = value::time(text).filter(allowed);
                (field.put)(config, time.ok_or_else(|| self.refusal(text))?);
            }
        }
        Ok(())
    }

    fn refusal(&self, text: &str) -> String {
        // Kubernetes sets BROKER_PORT itself for a service called `broker`.
        let hint = if text.starts_with("tcp://") {
            " (set by Kubernetes? then say `enableServiceLinks: false` in the pod)"
        } else {
            ""
        };
        format!("{text:?} is not accepted{hint}: write {}", self.accepts())
    }
}

/// A network, or a single address.
fn network(word: &str) -> Option<IpNet> {
    word.parse().ok().or_else(|| Some(IpNet::from(word.parse::<std::net::IpAddr>().ok()?)))
}

/// An address or a name, without the brackets that an IPv6 address may have.
fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.is_empty() || bare.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("{text:?} is not an address or a name such as 127.0.0.1 or localhost"));
    }
    // A scope, as in fe80::1%eth0, is not part of the address proper.
    let address = bare.split('%').next().unwrap_or(bare);
    if bare.contains(':') && address.parse::<Ipv6Addr>().is_err() {
        return Err(format!(
            "{text:?} is not an address or a name; the port is a setting of its own: `broker HOST PORT`"
        ));
    }
    Ok(bare.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SETTINGS;

    fn takes(name: &str, text: &str) -> bool {
        let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
        let mut config = Config::default();
        let taken = setting.apply(text, &mut config).is_ok();
        assert!(taken || config == Config::default(), "{name}={text} was refused and yet changed");
        taken
    }

    #[test]
    fn each_bound_is_taken_and_one_past_it_is_not() {
        let nano = Duration::from_nanos(1);
        for setting in SETTINGS {
            let (inside, outside) = match &setting.kind {
                Kind::Host { .. }
                | Kind::Folder { .. }
                | Kind::File { .. }
                | Kind::Words { .. }
                | Kind::Networks { .. }
                | Kind::LogFormat { .. } => continue,
                Kind::Port { .. } => (["0".into(), "65535".into()], ["-1".into(), "65536".into()]),
                Kind::Count { bounds, .. } | Kind::Size { bounds, .. } => (
                    [bounds.start().to_string(), bounds.end().to_string()],
                    [bounds.start().wrapping_sub(1).to_string(), (bounds.end() + 1).to_string()],
                ),
                Kind::Time { bounds, .. } => (
                    [value::show_time(*bounds.start()), value::show_time(*bounds.end())],
                    [
                        value::show_time(bounds.start().saturating_sub(nano)),
                        value::show_time(*bounds.end() + nano),
                    ],
                ),
            };
            for text in inside {
                assert!(takes(setting.name, &text), "{} {text}", setting.name);
            }
            for text in outside {
                assert!(!takes(setting.name, &text), "{} {text}", setting.name);
            }
        }
    }

    #[test]
    fn the_promised_bounds() {
        for (name, good, bad) in [
            ("max-line", "512", "511"),
            ("max-line", "16MiB", "16777217"),
            ("max-clients", "1", "0"),
            ("max-channels", "1", "0"),
            ("max-members", "1", "0"),
            ("max-subscriptions", "1", "0"),
            ("idle-timeout", "0", "99ms"),
            ("drain", "0", "61m"),
            ("stall", "1ms", "0"),
            ("log-format", "json", "JSON"),
        ] {
            assert!(takes(name, good), "{name} {good}");
            assert!(!takes(name, bad), "{name} {bad}");
        }
    }

    #[test]
    fn every_default_is_within_its_bounds() {
        let config = Config::default();
        for setting in SETTINGS {
            assert!(takes(setting.name, &setting.show(&config)), "{}", setting.name);
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(host("[::1]").as_deref(), Ok("::1"));
        for good in ["localhost", "0.0.0.0", "::", "fe80::1%eth0", "broker.example.org"] {
            assert_eq!(host(good).as_deref(), Ok(good));
        }
        for bad in ["", "[]", "a b", "a\n", "0.0.0.0:7700", "localhost:7700", "[::1]:7700"] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_accepted() {
        let mut config = Config::default();
        let stall = SETTINGS.iter().find(|setting| setting.name == "stall").unwrap();
        assert_eq!(
            stall.apply("soon", &mut config).unwrap_err(),
            "\"soon\" is not accepted: write a time such as 250ms, 5s, 2m, 1h or 7d, or a plain \
             number of seconds such as 1.5; from 1ms to 10m"
        );
    }

    #[test]
    fn networks() {
        let setting = SETTINGS.iter().find(|setting| setting.name == "allow-url").unwrap();
        let mut config = Config::default();
        for (text, shown) in [
            ("10.0.0.0/8, ::1/128", "10.0.0.0/8,::1/128"),
            ("127.0.0.1,fd00::5", "127.0.0.1/32,fd00::5/128"),
            ("", ""),
        ] {
            assert_eq!(setting.apply(text, &mut config), Ok(()));
            assert_eq!(setting.show(&config), shown);
        }
        for bad in ["10.0.0.0/33", "10.0.0/8", "localhost", "::1/129", "10.0.0.0/8 ::1"] {
            assert!(!takes(setting.name, bad), "{bad}");
        }
    }
}
