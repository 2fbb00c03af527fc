//! The brokers that can be compared: where their programs are, and how they are
//! started so that all do the same work.
//!
//! Each has its defaults, except: nothing is kept on disk, connections are not
//! logged, and limits on what waits for a member are out of the way wherever
//! nobody stops reading.

use crate::bench::error::{Error, Result};
use std::env;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where servers are installed, besides PATH.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];
/// The allocator that Redis and Valkey are meant to be built with.
const JEMALLOC: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
    "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2",
    "/usr/lib64/libjemalloc.so.2",
];

/// What a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not a broker: copies bytes.
    Raw,
    /// nats-server.
    Nats,
    /// valkey-server.
    Valkey,
    /// redis-server.
    Redis,
    /// mosquitto.
    Mosquitto,
    /// This project's.
    Broker,
}

/// All kinds, in the order of the table, with their names.
const KINDS: [(Kind, &str); 6] = [
    (Kind::Raw, "raw"),
    (Kind::Nats, "nats"),
    (Kind::Valkey, "valkey"),
    (Kind::Redis, "redis"),
    (Kind::Mosquitto, "mosquitto"),
    (Kind::Broker, "broker"),
];

/// What a run asks of a broker's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Much at a time: limits that would cut it short are out of the way.
    Throughput,
    /// The same, but nothing is held back to be sent in one piece.
    Latency,
    /// The broker's own limits.
    OwnLimits,
}

/// A program that can be started.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it is called in the table.
    pub label: String,
    /// What it is.
    pub kind: Kind,
    /// Its own version, as it says.
    pub version: String,
    path: PathBuf,
    /// A library to be loaded into it.
    preload: Option<&'static str>,
}

impl Kind {
    fn file(self) -> &'static str {
        match self {
            Kind::Raw => "",
            Kind::Nats => "nats-server",
            Kind::Valkey => "valkey-server",
            Kind::Redis => "redis-server",
            Kind::Mosquitto => "mosquitto",
            Kind::Broker => "broker",
        }
    }

    fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Result<Kind> {
        let found = KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind);
        found.ok_or_else(|| {
            let all: Vec<&str> = KINDS.iter().map(|(_, name)| *name).collect();
            Error::Usage(format!("no broker {name:?}; there are: {}", all.join(", ")))
        })
    }

    /// Where its program is, if it is installed. This project's own is the one
    /// beside this program.
    fn find(self) -> Option<PathBuf> {
        let own = env::current_exe().ok()?;
        if self == Kind::Raw {
            return Some(own);
        }
        let beside = own.parent()?.join(self.file());
        if self == Kind::Broker {
            return beside.is_file().then_some(beside);
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(FOLDERS.iter().map(PathBuf::from));
        folders.map(|folder| folder.join(self.file())).find(|path| path.is_file())
    }
}

/// The programs to compare, and the names of those that are not there.
///
/// # Errors
/// If one that was asked for is not there.
pub fn find(given: &[String], only: &[String]) -> Result<(Vec<Program>, Vec<&'static str>)> {
    let only: Vec<Kind> = only.iter().map(|name| Kind::named(name)).collect::<Result<_>>()?;
    let given: Vec<Program> = given.iter().map(|text| parse(text)).collect::<Result<_>>()?;
    let (mut programs, mut missing) = (Vec::new(), Vec::new());
    for (kind, name) in KINDS {
        let is_wanted = only.is_empty() || only.contains(&kind);
        // One that was given under the kind's own name replaces the installed one.
        let is_given = given.iter().any(|program| program.label == name);
        match kind.find() {
            Some(path) if is_wanted && !is_given => {
                programs.push(Program::new(name.to_string(), kind, path));
            }
            None if is_wanted && !is_given => missing.push(name),
            _ => {}
        }
        programs.extend(given.iter().filter(|program| program.kind == kind).cloned());
    }
    if programs.is_empty() {
        return Err(Error::Usage(format!("none of these is installed: {}", missing.join(", "))));
    }
    Ok((programs, missing))
}

/// `BROKER[/LABEL]=PATH`.
fn parse(text: &str) -> Result<Program> {
    let wrong =
        || Error::Usage(format!("--program {text}: write BROKER=PATH or BROKER/LABEL=PATH"));
    let (name, path) = text.split_once('=').ok_or_else(wrong)?;
    let (kind, label) = name.split_once('/').unwrap_or((name, name));
    let kind = Kind::named(kind)?;
    if !Path::new(path).is_file() {
        return Err(Error::Usage(format!("--program {text}: there is no such file")));
    }
    Ok(Program::new(label.to_string(), kind, path.into()))
}

impl Program {
    fn new(label: String, kind: Kind, path: PathBuf) -> Self {
        let said = said(kind, &path);
        let version = version(&said).unwrap_or_default().to_string();
        let preload = JEMALLOC.into_iter().find(|library| Path::new(library).is_file());
        let preload = preload.filter(|_| said.contains("malloc=libc"));
        Program { label, kind, version, path, preload }
    }

    /// The title of its column.
    pub fn title(&self) -> String {
        // A label that is not the program's name says which version is meant.
        let is_named = self.label == self.kind.name() && self.kind != Kind::Raw;
        let title = format!("{} {}", self.label, self.version);
        if is_named { title.trim_end().to_string() } else { self.label.clone() }
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        let with = self.preload.map(|library| format!(", with {library}")).unwrap_or_default();
        format!("{} {} ({}{with})", self.kind.name(), self.version, self.path.display())
    }

    /// Returns the command that starts it, to listen at an address. What it has to read
    /// is put into the folder, which is its own.
    ///
    /// # Errors
    /// If its settings cannot be written.
    pub fn command(&self, at: SocketAddr, setting: Setting, folder: &Path) -> Result<Command> {
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        let mut command = Command::new(&self.path);
        match self.kind {
            Kind::Raw => command.args(["raw", &at.to_string()]),
            Kind::Broker => command.args([&host, &port]).env("RUST_LOG", "warn"),
            Kind::Nats => command.args(["-a", &host, "-p", &port]),
            Kind::Valkey | Kind::Redis => {
                command.args(["--bind", &host, "--port", &port, "--protected-mode", "no"]);
                command.args(["--save", "", "--appendonly", "no", "--loglevel", "warning"]);
                command.args(["--maxclients", "15000", "--dir"]).arg(folder);
                if setting != Setting::OwnLimits {
                    command.args(["--client-output-buffer-limit", "pubsub 4gb 4gb 60"]);
                }
                &mut command
            }
            Kind::Mosquitto => {
                let file = folder.join("mosquitto.conf");
                std::fs::write(&file, mosquitto(at, setting))
                    .map_err(|e| Error::System("mosquitto.conf", e))?;
                command.arg("-c").arg(file)
            }
        };
        if let Some(library) = self.preload {
            command.env("LD_PRELOAD", library);
        }
        command.current_dir(folder).stdin(Stdio::null());
        Ok(command)
    }
}

/// Nagle's algorithm, mosquitto's default, doubles its throughput and costs 10 ms
/// of latency: each gets what suits it.
fn mosquitto(at: SocketAddr, setting: Setting) -> String {
    let mut text = format!("listener {} {}\n", at.port(), at.ip());
    text += "allow_anonymous true\npersistence false\nlog_type error\nconnection_messages false\n";
    if setting != Setting::OwnLimits {
        text += "max_queued_messages 0\n";
    }
    if setting == Setting::Latency {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "set_tcp_nodelay true");
    }
    text
}

/// What a program says of itself.
fn said(kind: Kind, path: &Path) -> String {
    let question = if kind == Kind::Mosquitto { "-h" } else { "--version" };
    let output = Command::new(path).arg(question).stdin(Stdio::null()).output();
    output.map_or(String::new(), |output| {
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&both).escape_default().to_string()
    })
}

/// The first word that looks like a version.
fn version(said: &str) -> Option<&str> {
    let words = said.split([' ', '\\']).map(|word| word.trim_start_matches(['v', '=']));
    let looks = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    words.into_iter().find(looks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        for (said, found) in [
            ("nats-server: v2.15.1\\n", Some("2.15.1")),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64", Some("7.0.15")),
            ("mosquitto version 2.0.11\\n\\nmosquitto is an MQTT broker.", Some("2.0.11")),
            ("broker 0.1.0\\n", Some("0.1.0")),
            ("nothing of that kind", None),
        ] {
            assert_eq!(version(said), found);
        }
    }

    #[test]
    fn programs_are_given_by_kind_and_label() {
        let own = env::current_exe().unwrap();
        let program = parse(&format!("broker/before={}", own.display())).unwrap();
        assert_eq!((program.label.as_str(), program.kind), ("before", Kind::Broker));
        for wrong in ["broker", "kafka=/bin/true", "nats=/no/such/file"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_asked_for_must_be_known() {
        assert!(find(&[], &["kafka".to_string()]).is_err());
        let (programs, missing) = find(&[], &["raw".to_string()]).unwrap();
        assert_eq!((programs.len(), missing.len()), (1, 0));
    }
}
