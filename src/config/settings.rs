//! The table of all settings: the one place to add or change one.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::{Config, value};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;
const HOUR: Duration = Duration::from_secs(3600);

/// One setting.
pub struct Setting {
    /// The key in the file, and the flag without its `--`.
    pub name: &'static str,
    /// What stands for the value in the help text.
    pub value_name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// Why the default is what it is, and what else is worth knowing.
    pub why: &'static str,
    kind: Kind,
}

/// What a value is, what it is by default, what it may be, and where it goes.
enum Kind {
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

/// Whether a time may be zero though that is out of its bounds.
enum Zero {
    Refused,
    Means(&'static str),
}

/// A field of [`Config`]. Two functions, because one that takes `&mut` could
/// not read a configuration that is only borrowed.
struct Field<T: 'static> {
    get: fn(&Config) -> &T,
    put: fn(&mut Config, T),
}

macro_rules! field {
    ($name:ident) => {
        Field { get: |config| &config.$name, put: |config, value| config.$name = value }
    };
}

/// Every setting, in the order of the help text.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "host",
        value_name: "HOST",
        help: "Address or name to listen on",
        why: "By default only this machine can connect: reaching further should be somebody's \
              decision. 0.0.0.0 is every IPv4 address, :: every address.",
        kind: Kind::Host { field: field!(host), default: "127.0.0.1" },
    },
    Setting {
        name: "port",
        value_name: "PORT",
        help: "TCP port to listen on, 0 to let the system choose",
        why: "The one that was chosen is printed at the start.",
        kind: Kind::Port { field: field!(port), default: 7700 },
    },
    Setting {
        name: "max-clients",
        value_name: "N",
        help: "Connections at once",
        why: "One more is answered `err full` and closed. Each takes a file descriptor: the \
              broker raises its own limit as far as it may, and warns at the start if that is \
              not far enough.",
        kind: Kind::Count { field: field!(max_clients), default: 65_536, bounds: 1..=10_000_000 },
    },
    Setting {
        name: "max-line",
        value_name: "BYTES",
        help: "Length of a request line, without its end",
        why: "A message is one line, and an unfinished line is all that a connection may make \
              the broker keep: 64 KiB holds nearly any event.",
        kind: Kind::Size { field: field!(max_line), default: 64 * KIB, bounds: 512..=16 * MIB },
    },
    Setting {
        name: "max-channels",
        value_name: "N",
        help: "Channels at once",
        why: "Far more than most brokers need, and an end to a client that makes them in a loop.",
        kind: Kind::Count {
            field: field!(max_channels),
            default: 1_000_000,
            bounds: 1..=100_000_000,
        },
    },
    Setting {
        name: "max-members",
        value_name: "N",
        help: "Members and observers of one channel, where `create --max` says nothing",
        why: "Above the default of max-clients, so that it matters only where it is lowered.",
        kind: Kind::Count { field: field!(max_members), default: 200_000, bounds: 1..=10_000_000 },
    },
    Setting {
        name: "max-subscriptions",
        value_name: "N",
        help: "Channels that one client may be subscribed to",
        why: "Enough for a gateway that stands in for many people; one client alone still \
              cannot fill the broker.",
        kind: Kind::Count {
            field: field!(max_subscriptions),
            default: 100_000,
            bounds: 1..=100_000_000,
        },
    },
    Setting {
        name: "idle-timeout",
        value_name: "TIME",
        help: "Close a connection that is silent for this long; 0 is never",
        why: "After half of it a `ping` is sent, so only a client that does not answer is \
              closed. Two minutes forgive a short loss of the network, and find a dead peer \
              long before TCP does.",
        kind: Kind::Time {
            field: field!(idle_timeout),
            default: Duration::from_secs(120),
            bounds: Duration::from_millis(100)..=Duration::from_secs(30 * 86_400),
            zero: Zero::Means("never"),
        },
    },
    Setting {
        name: "stall",
        value_name: "TIME",
        help: "A member without progress for this long slows nobody any more",
        why: "Until then publishers wait for it, so that nothing is lost; a quarter of a second \
              is longer than most hiccups and short enough for the others to bear.",
        kind: Kind::Time {
            field: field!(stall),
            default: Duration::from_millis(250),
            bounds: Duration::from_millis(1)..=Duration::from_secs(600),
            zero: Zero::Refused,
        },
    },
    Setting {
        name: "log-bytes",
        value_name: "BYTES",
        help: "Memory for the entries of one channel: its history and what slow members lag by",
        why: "Used only as far as there are entries. 4 MiB is some 30,000 short messages; at \
              least max-line.",
        kind: Kind::Size { field: field!(log_bytes), default: 4 * MIB, bounds: KIB..=GIB },
    },
    Setting {
        name: "drain",
        value_name: "TIME",
        help: "How long clients may read what is due to them when the broker stops; 0 is not at all",
        why: "Half of the ten seconds that container runtimes give a process before they kill it.",
        kind: Kind::Time {
            field: field!(drain),
            default: Duration::from_secs(5),
            bounds: Duration::from_millis(1)..=HOUR,
            zero: Zero::Means("not at all"),
        },
    },
    Setting {
        name: "session-grace",
        value_name: "TIME",
        help: "How long the session of a lost connection can be resumed; 0 is not at all",
        why: "Long enough for a restart of the client or a change of network; until then what it \
              has not got is kept for it, within log-bytes.",
        kind: Kind::Time {
            field: field!(session_grace),
            default: Duration::from_secs(30),
            bounds: Duration::from_millis(1)..=Duration::from_secs(86_400),
            zero: Zero::Means("not at all"),
        },
    },
    Setting {
        name: "lease",
        value_name: "TIME",
        help: "How long a client may believe in its seats after a `ping` that was answered",
        why: "On a `safe` channel nobody is promoted before: a shorter one fails over sooner, a \
              longer one forgives longer pauses of the network.",
        kind: Kind::Time {
            field: field!(lease),
            default: Duration::from_secs(8),
            bounds: Duration::from_millis(100)..=HOUR,
            zero: Zero::Refused,
        },
    },
    Setting {
        name: "guard",
        value_name: "TIME",
        help: "How long after a lost member's lease the next in line of a `safe` channel is promoted",
        why: "For clocks that do not run equally fast, and for a holder that takes a moment to stop.",
        kind: Kind::Time {
            field: field!(guard),
            default: Duration::from_secs(2),
            bounds: Duration::from_millis(1)..=HOUR,
            zero: Zero::Refused,
        },
    },
    Setting {
        name: "data",
        value_name: "DIR",
        help: "Folder to keep durable channels, rosters and sessions in; made if missing",
        why: "By default nothing is written anywhere. One broker at a time may use a folder.",
        kind: Kind::Folder { field: field!(data) },
    },
    Setting {
        name: "data-free",
        value_name: "SIZE",
        help: "Bytes that stay free on the disk of --data, or a tenth of it if that is less",
        why: "With less than that, durable channels take nothing more, and what was accepted still \
              has a place to go.",
        kind: Kind::Size {
            field: field!(data_free),
            default: 64 * 1024 * 1024,
            bounds: 1024..=1 << 40,
        },
    },
    Setting {
        name: "restart-grace",
        value_name: "TIME",
        help: "How long members keep their seats after a restart with --data; 0 is lease and guard",
        why: "A restart should not reshuffle the ranks: whoever comes back in time is where it was.",
        kind: Kind::Time {
            field: field!(restart_grace),
            default: Duration::ZERO,
            bounds: Duration::from_millis(1)..=HOUR,
            zero: Zero::Means("lease and guard"),
        },
    },
];

impl Setting {
    /// Its environment variable: `BROKER_` and the name in upper snake case.
    pub fn variable(&self) -> String {
        format!("BROKER_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Whether it stands on the command line by its place, not as a flag.
    pub fn is_positional(&self) -> bool {
        matches!(self.kind, Kind::Host { .. } | Kind::Port { .. })
    }

    /// What it accepts, for error messages and help.
    pub fn accepts(&self) -> String {
        match &self.kind {
            Kind::Host { .. } => "an address or a name such as 127.0.0.1, :: or localhost".into(),
            Kind::Port { .. } => "a whole number from 0 to 65535".into(),
            Kind::Folder { .. } => "the path of a folder, or nothing for none".into(),
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

    /// The value that the configuration has for it, as it would be written.
    pub fn show(&self, config: &Config) -> String {
        match &self.kind {
            Kind::Host { field, .. } => (field.get)(config).clone(),
            Kind::Port { field, .. } => (field.get)(config).to_string(),
            Kind::Folder { field } => (field.get)(config)
                .as_ref()
                .map_or(String::new(), |path| path.display().to_string()),
            Kind::Count { field, .. } => (field.get)(config).to_string(),
            Kind::Size { field, .. } => value::show_size(*(field.get)(config)),
            Kind::Time { field, .. } => value::show_time(*(field.get)(config)),
        }
    }

    /// Whether a bare number is a value for it in a TOML file.
    pub(super) fn is_numeric(&self) -> bool {
        !matches!(self.kind, Kind::Host { .. } | Kind::Folder { .. })
    }

    /// Puts its default into the configuration.
    pub(super) fn reset(&self, config: &mut Config) {
        match &self.kind {
            Kind::Host { field, default } => (field.put)(config, (*default).into()),
            Kind::Port { field, default } => (field.put)(config, *default),
            Kind::Folder { field } => (field.put)(config, None),
            Kind::Count { field, default, .. } | Kind::Size { field, default, .. } => {
                (field.put)(config, *default);
            }
            Kind::Time { field, default, .. } => (field.put)(config, *default),
        }
    }

    /// Reads a value and puts it into the configuration.
    ///
    /// # Errors
    /// One sentence that says what is wrong with the text and what is accepted;
    /// the configuration is as it was.
    pub(super) fn apply(&self, text: &str, config: &mut Config) -> Result<(), String> {
        match &self.kind {
            Kind::Host { field, .. } => (field.put)(config, host(text)?),
            Kind::Port { field, .. } => {
                let port = text.parse().ok().filter(|_| value::count(text).is_some());
                (field.put)(config, port.ok_or_else(|| self.refusal(text))?);
            }
            Kind::Folder { field } => {
                let path = Some(text).filter(|text| !text.is_empty());
                (field.put)(config, path.map(PathBuf::from));
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
                Kind::Host { .. } | Kind::Folder { .. } => continue,
                Kind::Port { .. } => (["0".into(), "65535".into()], ["-1".into(), "65536".into()]),
                Kind::Count { bounds, .. } | Kind::Size { bounds, .. } => (
                    [bounds.start().to_string(), bounds.end().to_string()],
                    [(bounds.start() - 1).to_string(), (bounds.end() + 1).to_string()],
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
}
