//! What clients want to know of the broker before they begin.

use super::table::{self, COMMANDS, Command, own_verbs};
use super::turn::{Args, Turn, no_such, wrong_arity};
use crate::error::Fault;
use crate::request::Usage;
use crate::wire::resp::Writer;
use std::borrow::Cow;
use std::fmt::Write;

/// The version of Redis whose ways are followed: clients judge by it what they
/// may ask for.
pub(super) const LIKE_REDIS: &str = "7.2.0";

impl Turn<'_> {
    /// `INFO [SECTION]…`
    pub(super) fn info(&mut self, args: Args<'_, '_>) {
        let broker = self.session.broker();
        let (config, stats) = (&broker.config, &broker.stats);
        let store = broker.store().map_or("none".to_owned(), |store| store.state().to_string());
        let sections: [(&str, &[(&str, String)]); 6] = [
            (
                "Server",
                &[
                    ("redis_version", LIKE_REDIS.into()),
                    ("redis_mode", "standalone".into()),
                    ("broker_version", env!("CARGO_PKG_VERSION").into()),
                    ("process_id", std::process::id().to_string()),
                    ("tcp_port", config.port.to_string()),
                    ("uptime_in_seconds", (self.now_ms / 1_000).to_string()),
                ],
            ),
            (
                "Clients",
                &[
                    ("connected_clients", broker.client_count().to_string()),
                    ("maxclients", config.max_clients.to_string()),
                ],
            ),
            ("Persistence", &[("loading", "0".into()), ("store", store)]),
            (
                "Stats",
                &[
                    ("total_connections_received", stats.connections.get().to_string()),
                    ("rejected_connections", stats.refused.get().to_string()),
                    ("pubsub_channels", broker.channel_count().to_string()),
                    ("pubsub_patterns", broker.pattern_count().to_string()),
                    ("published", stats.published.get().to_string()),
                    ("delivered", stats.delivered.get().to_string()),
                    ("gaps", stats.gaps.get().to_string()),
                ],
            ),
            ("Replication", &[("role", "master".into()), ("connected_slaves", "0".into())]),
            ("Keyspace", &[]),
        ];
        let is_asked = |name: &str| {
            args.is_empty()
                || args.iter().any(|asked| {
                    let all = [&b"all"[..], b"everything", b"default"];
                    asked.eq_ignore_ascii_case(name.as_bytes())
                        || all.iter().any(|all| asked.eq_ignore_ascii_case(all))
                })
        };
        let mut text = String::new();
        for (name, figures) in sections.into_iter().filter(|(name, _)| is_asked(name)) {
            let _ = write!(text, "# {name}\r\n");
            for (key, value) in figures {
                let _ = write!(text, "{key}:{value}\r\n");
            }
            text += "\r\n";
        }
        self.say(|to| {
            to.bulk(text);
        });
    }

    /// `CONFIG GET PATTERN…`: what clients look at.
    pub(super) fn config(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        let (word, patterns) = (args[0], &args[1..]);
        if !word.eq_ignore_ascii_case(b"GET") {
            return Err(no_such("CONFIG", word));
        }
        let config = &self.session.broker().config;
        let settings = [
            ("appendonly", "no".to_owned()),
            ("databases", "1".into()),
            ("maxclients", config.max_clients.to_string()),
            ("maxmemory", "0".into()),
            ("port", config.port.to_string()),
            ("proto-max-bulk-len", config.max_line.to_string()),
            ("save", String::new()),
            ("timeout", "0".into()),
        ];
        let patterns = patterns.iter().map(|pattern| {
            let pattern = table::text(pattern)?.to_ascii_lowercase();
            Ok(glob::Pattern::new(&pattern).unwrap_or_default())
        });
        let patterns: Vec<glob::Pattern> = patterns.collect::<Result<_, Fault>>()?;
        let is_asked = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        let found: Vec<_> = settings.iter().filter(|(name, _)| is_asked(name)).collect();
        self.say(|to| {
            to.map(found.len());
            for (name, value) in found {
                to.bulk(name).bulk(value);
            }
        });
        Ok(())
    }

    /// `COMMAND [COUNT | LIST | INFO NAME… | DOCS [NAME…]]`
    pub(super) fn commands(&mut self, args: Args<'_, '_>) -> Result<(), Fault> {
        let word = args.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let named = args.get(1..).unwrap_or_default();
        let lower = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
        match &*word {
            b"COUNT" => self.say(|to| {
                to.number(all().count());
            }),
            b"LIST" => self.say(|to| {
                to.array(all().count());
                all().for_each(|listed| {
                    to.bulk(listed.name);
                });
            }),
            b"" => self.say(|to| {
                to.array(all().count());
                all().for_each(|listed| listed.describe(to));
            }),
            b"INFO" => self.say(|to| {
                to.array(named.len());
                for name in named {
                    match all().find(|listed| listed.name == lower(name)) {
                        Some(listed) => listed.describe(to),
                        None => {
                            to.null_array();
                        }
                    }
                }
            }),
            b"DOCS" => self.say(|to| {
                let is_asked = |listed: &Listed| {
                    named.is_empty() || named.iter().any(|name| listed.name == lower(name))
                };
                let asked: Vec<Listed> = all().filter(is_asked).collect();
                to.map(asked.len());
                for listed in asked {
                    to.bulk(&listed.name).map(3).bulk("summary").bulk(&*listed.does);
                    to.bulk("since").bulk("1.0.0").bulk("group").bulk("pubsub");
                }
            }),
            b"GETKEYS" => return Err(wrong_arity("command|getkeys")),
            word => return Err(no_such("COMMAND", word)),
        }
        Ok(())
    }
}

/// A command, as it is listed.
struct Listed {
    name: String,
    arity: isize,
    does: Cow<'static, str>,
}

fn all() -> impl Iterator<Item = Listed> {
    let listed = |command: &Command| {
        let Command { name, arity, does, .. } = *command;
        Listed { name: name.to_ascii_lowercase(), arity, does: does.into() }
    };
    let own = |usage: Usage| Listed { name: usage.verb.into(), arity: -1, does: usage.told() };
    COMMANDS.iter().map(listed).chain(own_verbs().map(own))
}

impl Listed {
    /// Name, number of words, flags, and which of its words are keys: none.
    fn describe(&self, to: &mut Writer<'_>) {
        to.array(6).bulk(&self.name).number(self.arity).array(1).word("pubsub");
        to.number(0).number(0).number(0);
    }
}
