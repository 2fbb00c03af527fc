//! What a client knows about itself from what it asked and was told: its name,
//! its channels and ranks, and how to take up its place again.

use super::event::Frame;
use super::line::{Reply, verb_of};
use std::collections::BTreeMap;

/// A channel that the client is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The rank there; `None` for an observer.
    pub rank: Option<u64>,
    /// Since which seq.
    pub term: u64,
    /// The options of its subscription that hold for a new one too.
    options: Vec<&'static str>,
}

/// What a client knows about itself.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    name: Option<String>,
    wanted_name: Option<String>,
    quiet: bool,
    current: Option<String>,
    places: BTreeMap<String, Place>,
    patterns: Vec<String>,
}

impl Memory {
    /// A client that wants this name, and wants no `ok` to `pub` and `ack`.
    pub fn new(wanted_name: Option<String>, quiet: bool) -> Self {
        Memory { wanted_name, quiet, ..Memory::default() }
    }

    /// The name it has.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The current channel.
    pub fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// Its place in a channel.
    pub fn place(&self, channel: &str) -> Option<&Place> {
        self.places.get(channel)
    }

    /// The channels it is subscribed to.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// Takes notice of a reply to this request.
    pub fn replied(&mut self, request: &str, reply: &Reply) {
        let Reply::Ok { verb, .. } = reply else { return };
        let has = |option: &str| {
            request.split([' ', '\t']).any(|word| {
                word.strip_prefix(option)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            })
        };
        let named = reply.word(0).unwrap_or_default().to_owned();
        match verb.as_str() {
            "hello" => {
                self.name = reply.field("name").map(str::to_owned);
                if has("--name") {
                    self.wanted_name.clone_from(&self.name);
                }
                self.quiet |= has("--quiet");
            }
            "sub" if has("--pattern") => {
                self.patterns.retain(|pattern| *pattern != named);
                self.patterns.push(named);
            }
            "sub" => {
                let options = ["--create", "--no-echo", "--observe"];
                let observes = has("--observe");
                let place = Place {
                    rank: reply.number_field("rank").filter(|_| !observes),
                    term: reply.number_field("term").unwrap_or(0),
                    options: options.into_iter().filter(|option| has(option)).collect(),
                };
                self.places.insert(named.clone(), place);
                self.current = Some(named);
            }
            "use" => self.current = Some(named),
            "unsub" | "drop" => self.forget(&named),
            _ => {}
        }
    }

    /// Takes notice of a frame.
    pub fn heard(&mut self, frame: &Frame) {
        match frame {
            Frame::Rank { channel, rank, term, .. } => {
                if let Some(place) = self.places.get_mut(channel) {
                    place.rank = Some(*rank);
                    place.term = *term;
                }
            }
            Frame::Left { channel, member, .. } if Some(member) == self.name.as_ref() => {
                self.forget(&channel.clone());
            }
            _ => {}
        }
    }

    fn forget(&mut self, channel: &str) {
        self.places.remove(channel);
        self.patterns.retain(|pattern| pattern != channel);
        if self.current.as_deref() == Some(channel) {
            self.current = None;
        }
    }

    /// The request that introduces the client.
    pub fn hello(&self) -> String {
        let mut line = "hello".to_owned();
        if let Some(name) = &self.wanted_name {
            line.push_str(" --name ");
            line.push_str(&quote(name));
        }
        if self.quiet {
            line.push_str(" --quiet");
        }
        line
    }

    /// Whether the client has anything to say in its introduction.
    pub fn has_wishes(&self) -> bool {
        self.wanted_name.is_some() || self.quiet
    }

    /// The requests that subscribe to everything again, after a connection was
    /// lost. (When sessions can be resumed, they take the place of these.)
    pub fn subscriptions(&self) -> Vec<String> {
        let patterns = self.patterns.iter().map(|glob| format!("sub --pattern {}", quote(glob)));
        let places = self.places.iter().map(|(channel, place)| {
            let options = place.options.iter().flat_map(|option| [" ", option]).collect::<String>();
            format!("sub {channel}{options}")
        });
        let current = self.current.iter().map(|channel| format!("use {channel}"));
        patterns.chain(places).chain(current).collect()
    }

    /// `alice@ops#0> `: name, current channel, rank.
    pub fn prompt(&self) -> String {
        let mut prompt = self.name.clone().unwrap_or_default();
        if let Some(channel) = &self.current {
            prompt.push('@');
            prompt.push_str(channel);
            if let Some(rank) = self.places.get(channel).and_then(|place| place.rank) {
                prompt.push('#');
                prompt.push_str(&rank.to_string());
            }
        }
        prompt.push_str("> ");
        prompt
    }
}

/// A word as a shell would have to be given it.
pub fn quote(word: &str) -> String {
    // It fails for NUL only, which no line of the protocol holds.
    shlex::try_quote(word).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}

/// Whether a request leaves the broker.
pub fn is_quit(line: &str) -> bool {
    verb_of(line) == "quit"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replied(memory: &mut Memory, request: &str, reply: &str) {
        memory.replied(request, &Reply::parse(reply).unwrap());
    }

    #[test]
    fn the_prompt_follows_name_channel_and_rank() {
        let mut memory = Memory::new(None, false);
        assert_eq!(memory.prompt(), "> ");
        replied(&mut memory, "hello", "ok hello name=guest-1 session=x");
        assert_eq!(memory.prompt(), "guest-1> ");
        replied(&mut memory, "sub ops", "ok sub ops rank=2 term=18 view=18 seq=18 members=3");
        assert_eq!(memory.prompt(), "guest-1@ops#2> ");
        memory.heard(&Frame::parse("rank ops 0 19 19"));
        assert_eq!(memory.prompt(), "guest-1@ops#0> ");
        replied(&mut memory, "sub --observe news", "ok sub news rank=0 seq=1");
        assert_eq!(memory.prompt(), "guest-1@news> ");
        replied(&mut memory, "use ops", "ok use ops");
        memory.heard(&Frame::parse("left ops 20 guest-1 0 reason=kicked"));
        assert_eq!(memory.prompt(), "guest-1> ");
    }

    #[test]
    fn it_takes_up_its_place_again() {
        let mut memory = Memory::new(Some("al".into()), true);
        assert_eq!(memory.hello(), "hello --name al --quiet");
        replied(&mut memory, "sub --observe b --last 5", "ok sub b seq=1");
        replied(&mut memory, "sub a --create", "ok sub a rank=0 term=1 seq=1");
        replied(&mut memory, "sub --pattern 'x*'", "ok sub x* matched=0");
        replied(&mut memory, "sub c", "err no-channel c");
        assert_eq!(
            memory.subscriptions(),
            ["sub --pattern 'x*'", "sub a --create", "sub b --observe", "use a"]
        );
    }
}
