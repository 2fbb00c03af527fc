//! The table of all settings: the one place to add or change one.

use std::time::Duration;

use super::settings::{Field, Kind, Setting, Zero};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// What `allow-origin` accepts, for error messages.
const ORIGIN: &str = "origins such as https://app.example or http://localhost:3000, with commas \
                      between, or nothing for none";

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
        value_name: "SIZE",
        help: "Length of a request line, without its end",
        why: "A message is one line, and an unfinished line is all that a connection may make \
              the broker keep: 64 KiB holds nearly any event.",
        kind: Kind::Size {
            field: field!(max_line),
            default: 64 * KIB,
            bounds: 512..=super::MAX_LINE_LARGEST,
        },
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
              is longer than most hiccups and short enough for the others to bear. Have it be \
              several round trips to the farthest member.",
        kind: Kind::Time {
            field: field!(stall),
            default: Duration::from_millis(250),
            bounds: Duration::from_millis(1)..=Duration::from_secs(600),
            zero: Zero::Refused,
        },
    },
    Setting {
        name: "log-bytes",
        value_name: "SIZE",
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
        help: "How long a client may believe in its seats after a `ping` that was answered; \
               no longer than --idle-timeout",
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
    Setting {
        name: "max-body",
        value_name: "SIZE",
        help: "Length of an HTTP request's body",
        why: "Room for a thousand messages in one request; each of them is at most max-line. More \
              than 64MiB are not held of all bodies together.",
        kind: Kind::Size {
            field: field!(max_body),
            default: MIB,
            bounds: 512..=super::ALL_BODIES_BYTES_MAX,
        },
    },
    Setting {
        name: "request-timeout",
        value_name: "TIME",
        help: "How long an HTTP client may take to send a request: its head, and then its body",
        why: "Whoever sends slowly holds a connection; between requests it is silent for as long \
              at most.",
        kind: Kind::Time {
            field: field!(request_timeout),
            default: Duration::from_secs(30),
            bounds: Duration::from_millis(50)..=HOUR,
            zero: Zero::Refused,
        },
    },
    Setting {
        name: "max-residents",
        value_name: "N",
        help: "Members without a connection at once",
        why: "Each is some KiB of memory until its lease runs out, and costs whoever makes it \
              nothing.",
        kind: Kind::Count { field: field!(max_residents), default: 10_000, bounds: 1..=1_000_000 },
    },
    Setting {
        name: "allow-origin",
        value_name: "ORIGINS",
        help: "Web pages that may change something, such as https://app.example; may be several with commas, or be repeated",
        why: "By default only pages from the broker itself: any other that somebody opens in a \
              browser here could otherwise speak for them.",
        kind: Kind::Words { field: field!(allow_origin), accepts: ORIGIN, check: origin },
    },
    Setting {
        name: "numseq-timeout",
        value_name: "TIME",
        help: "How long one connection of the number-sequence dialect lasts at most",
        why: "What the dialect promises: its clients are made to be cut off, and go on with CONT.",
        kind: Kind::Time {
            field: field!(numseq_timeout),
            default: Duration::from_secs(1),
            bounds: Duration::from_millis(10)..=HOUR,
            zero: Zero::Refused,
        },
    },
    Setting {
        name: "numseq-retention",
        value_name: "TIME",
        help: "How long a number sequence is kept after its INIT",
        why: "Half a minute is enough to come back many times, and then the client id is free.",
        kind: Kind::Time {
            field: field!(numseq_retention),
            default: Duration::from_secs(30),
            bounds: Duration::from_millis(100)..=DAY,
            zero: Zero::Refused,
        },
    },
    Setting {
        name: "numseq-clients",
        value_name: "N",
        help: "Client ids of number sequences that are kept at once",
        why: "One more is answered ERR. Few bytes each until somebody reads the numbers.",
        kind: Kind::Count {
            field: field!(numseq_clients),
            default: 65_536,
            bounds: 1..=10_000_000,
        },
    },
    Setting {
        name: "threads",
        value_name: "N",
        help: "Threads that serve connections; 0 is one fewer than processors, at least one",
        why: "With as many as processors they wake each other and wait for each other, and for the \
              system's own work on the sockets: a message costs half as much again.",
        kind: Kind::Count { field: field!(threads), default: 0, bounds: 0..=1_024 },
    },
    Setting {
        name: "workers",
        value_name: "N",
        help: "Worker processes for jobs at once; 0 is one for each processor",
        why: "They are started when there are jobs for them, and end when there have been none for \
              a minute.",
        kind: Kind::Count { field: field!(workers), default: 0, bounds: 0..=1_024 },
    },
    Setting {
        name: "job-queue",
        value_name: "N",
        help: "Jobs that wait for a worker at once",
        why: "One more is answered `err busy`. A client has 64 jobs at most of these, so that no \
              one fills it alone.",
        kind: Kind::Count { field: field!(job_queue), default: 1_024, bounds: 1..=1_000_000 },
    },
    Setting {
        name: "job-timeout",
        value_name: "TIME",
        help: "How long a job may run",
        why: "Then its worker is killed, and the job has failed. The longest `fib` takes seconds.",
        kind: Kind::Time {
            field: field!(job_timeout),
            default: Duration::from_secs(60),
            bounds: Duration::from_millis(10)..=DAY,
            zero: Zero::Refused,
        },
    },
    Setting {
        name: "job-memory",
        value_name: "SIZE",
        help: "Memory of a worker process, as the system counts addresses",
        why: "A job that wants more has failed, and nothing else has. The program itself takes \
              some 20 MiB of it.",
        kind: Kind::Size {
            field: field!(job_memory),
            default: 512 * MIB,
            bounds: 64 * MIB..=1 << 40,
        },
    },
    Setting {
        name: "allow-url",
        value_name: "CIDR",
        help: "Networks that the job `url` may call though they are not public; may be several with commas, or be repeated",
        why: "By default nobody reaches through the broker what only its machine can reach: \
              loopback, private and link-local addresses.",
        kind: Kind::Networks { field: field!(allow_url) },
    },
    Setting {
        name: "allow-callback",
        value_name: "CIDR",
        help: "Networks that call-backs may go to though they are not public; may be several with commas, or be repeated",
        why: "By default nobody reaches through the broker what only its machine can reach: \
              loopback, private and link-local addresses.",
        kind: Kind::Networks { field: field!(allow_callback) },
    },
    Setting {
        name: "max-callbacks",
        value_name: "N",
        help: "Members with a call-back at once",
        why: "Each has one call under way at most, and so takes a file descriptor now and then.",
        kind: Kind::Count { field: field!(max_callbacks), default: 1_000, bounds: 0..=100_000 },
    },
    Setting {
        name: "tls-cert",
        value_name: "FILE",
        help: "Certificate of this broker (PEM), with those between it and its authority: connections are encrypted",
        why: "By default there is none, and nothing is encrypted. Read again at SIGHUP.",
        kind: Kind::File { field: field!(tls_cert) },
    },
    Setting {
        name: "tls-key",
        value_name: "FILE",
        help: "Private key of --tls-cert (PEM); by default it is in the same file",
        why: "Read again at SIGHUP.",
        kind: Kind::File { field: field!(tls_key) },
    },
    Setting {
        name: "tls-clients",
        value_name: "FILE",
        help: "Authorities (PEM) that clients need a certificate from",
        why: "By default whoever can reach the broker can use it. Read again at SIGHUP.",
        kind: Kind::File { field: field!(tls_clients) },
    },
    Setting {
        name: "allow-plain",
        value_name: "CIDR",
        help: "Networks that need not encrypt though there is --tls-cert; may be several with commas, or be repeated",
        why: "With a certificate nobody talks in the clear by mistake, not even on this machine.",
        kind: Kind::Networks { field: field!(allow_plain) },
    },
    Setting {
        name: "log-format",
        value_name: "FORMAT",
        help: "Form of the events on standard error: text, logfmt or json",
        why: "text is for people, the others for programs that collect lines; one event is one \
              line in each of them.",
        kind: Kind::LogFormat { field: field!(log_format) },
    },
];

/// Whether this is the origin of web pages: a scheme, a host, and perhaps a port.
fn origin(word: &str) -> bool {
    let Ok(url) = url::Url::parse(word) else { return false };
    matches!(url.scheme(), "http" | "https")
        && url.origin().ascii_serialization() == word.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_no_more_than_that() {
        for good in ["https://app.example", "http://localhost:3000", "http://[::1]:80x"] {
            assert_eq!(origin(good), !good.ends_with('x'), "{good}");
        }
        for bad in ["", "*", "app.example", "https://app.example/", "ftp://app.example", "null"] {
            assert!(!origin(bad), "{bad:?}");
        }
    }
}
