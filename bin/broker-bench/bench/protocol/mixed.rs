//! Members that speak one dialect of this project's broker, and a publisher that
//! speaks text to them.

use super::text::Text;
use super::{Event, Listener, Protocol, Role};

/// One connection.
pub enum Mixed<L> {
    /// A member.
    Member(L),
    /// A publisher.
    Publisher(Text),
}

impl<L: Listener> Listener for Mixed<L> {
    fn new() -> Self {
        Mixed::Member(L::new())
    }

    fn greet(&mut self, role: &Role, out: &mut Vec<u8>) -> bool {
        if matches!(role, Role::Publisher(_)) {
            *self = Mixed::Publisher(Text);
        }
        match self {
            Mixed::Member(member) => member.greet(role, out),
            Mixed::Publisher(text) => text.greet(role, out),
        }
    }

    fn subscribe(&mut self, channel: &str, out: &mut Vec<u8>) {
        match self {
            Mixed::Member(member) => member.subscribe(channel, out),
            Mixed::Publisher(text) => text.subscribe(channel, out),
        }
    }

    fn leave(&self, out: &mut Vec<u8>) {
        match self {
            Mixed::Member(member) => member.leave(out),
            Mixed::Publisher(text) => text.leave(out),
        }
    }

    #[inline]
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<(usize, Event<'b>)> {
        match self {
            Mixed::Member(member) => member.next(bytes),
            Mixed::Publisher(text) => text.next(bytes),
        }
    }
}

impl<L: Listener> Protocol for Mixed<L> {
    fn publish(channel: &str, payload: &[u8], out: &mut Vec<u8>) {
        Text::publish(channel, payload, out);
    }

    /// Drops a channel once all members have left: observers among them may drop
    /// nothing, so a publisher joins, has rank 0, and does it.
    fn discard(channel: &str, out: &mut Vec<u8>) {
        Text.subscribe(channel, out);
        Text::discard(channel, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::Json;
    use super::super::testing::written;
    use super::*;

    #[test]
    fn members_speak_their_dialect_and_a_publisher_speaks_text() {
        let said = |role| {
            written(|out| {
                let mut client = Mixed::<Json>::new();
                client.greet(&role, out);
                client.leave(out);
            })
        };
        assert_eq!(said(Role::Subscriber), "{\"op\":\"hello\"}\n{\"op\":\"quit\"}\n");
        assert_eq!(said(Role::Publisher("c1".into())), "hello --quiet\nquit\n");
    }
}
