//! Requests that change something: joining and leaving, ranks, commands, private
//! messages and broadcasts.

use super::deliver::Subscription;
use super::{Caused, Session};
use crate::broker::Answer;
use crate::broker::channel::{Channel, not_member};
use crate::error::{Code, Fault};
use crate::frame::Frame;
use crate::log::Command;
use crate::reply::{Line, Reply};
use crate::request::{COMMAND_TIMEOUT, Request, Settings, Subscribe};
use std::sync::Arc;
use std::time::Duration;

impl Session {
    /// Answers a request. `None` if its reply is to be left out. Plain messages are
    /// for [`Session::publish`].
    ///
    /// # Errors
    /// A fault with its code; then nothing has changed.
    pub fn handle(&mut self, request: Request<'_>, now_ms: u64) -> Result<Option<Reply>, Fault> {
        self.handle_in(None, request, now_ms)
    }

    pub(super) fn drop_channel(&mut self, name: &str, view: Option<u64>) -> Result<Reply, Fault> {
        let dropped = self.broker.drop_channel(&self.client, name, view)?;
        self.await_disk(&dropped, 1);
        Ok(Line::new("drop").at("channel", name).into())
    }

    pub(super) fn sub(&mut self, request: &Subscribe, now_ms: u64) -> Result<Reply, Fault> {
        if request.create {
            // Checked first: a request that fails must not make a channel.
            self.broker.may_subscribe(&self.client, &request.channel)?;
            self.broker.create_if_missing(&request.channel, Settings::default(), now_ms)?;
        }
        let done = self.broker.subscribe(&self.client, request, now_ms)?;
        let channel = done.adopted.channel.clone();
        self.adopt_all(done.before);
        let mut subscription = Subscription::new(done.adopted);
        if let Some(earlier) = done.replaced {
            self.follow(&mut subscription, &earlier);
        }
        self.current = Some(channel.name().clone());
        subscription.knows(done.standing);
        self.caused = Some(Caused::Entries { slot: subscription.member.slot, from: 0 });
        self.install(subscription);
        let standing = done.standing;
        let mut line = Line::new("sub").at("channel", channel.name().clone());
        line = if request.observe {
            line.with("observer", true)
        } else {
            self.touch(channel);
            line.with("rank", standing.rank).with("term", standing.term)
        };
        let line = line.with("view", standing.view).with("seq", done.seq);
        Ok(line.with("members", standing.members).into())
    }

    /// Leaves a channel. A name to which the client has not subscribed may be one of
    /// its patterns, which need not have a special character in it.
    pub(super) fn unsub(&mut self, name: &str, now_ms: u64) -> Result<Reply, Fault> {
        let ended = match self.broker.unsubscribe(&self.client, name, now_ms) {
            Ok(ended) => ended,
            Err(fault) => return self.unsub_pattern(name, now_ms).map_err(|_| fault),
        };
        for (channel, _) in &ended.leavers {
            self.touch(channel.clone());
        }
        self.leave_behind(ended);
        if self.current.as_deref() == Some(name) {
            self.current = None;
        }
        self.broker.remember_session(&self.client, self.current.as_ref());
        Ok(Line::new("unsub").at("channel", name).into())
    }

    pub(super) fn unsub_pattern(&mut self, glob: &str, now_ms: u64) -> Result<Reply, Fault> {
        self.unobserve(glob, now_ms)?;
        Ok(Line::new("unsub").at("pattern", glob).into())
    }

    /// Notes that the client has everything of a channel up to this seq.
    pub(super) fn seen(&self, name: &str, seq: u64) -> Result<Reply, Fault> {
        let (channel, member) = self.membership(name)?;
        channel.note_seen(&member, seq)?;
        Ok(Line::new("seen").at("channel", name).at("seq", seq).into())
    }

    pub(super) fn use_channel(&mut self, name: &str) -> Result<Reply, Fault> {
        let (channel, _) = self.membership(name)?;
        self.current = Some(channel.name().clone());
        Ok(Line::new("use").at("channel", name).into())
    }

    pub(super) fn command(
        &mut self,
        channel: Arc<Channel>,
        to: Option<&str>,
        timeout: Option<Duration>,
        command: Command<'_>,
        note: impl FnOnce(Answer),
        now_ms: u64,
    ) -> Result<Answer, Fault> {
        let member =
            self.client.member(channel.name()).ok_or_else(|| not_member(channel.name()))?;
        let to = to.map(|to| self.other_member(&channel, to)).transpose()?;
        let note = |seq, to| note(Answer { seq, to: Some(to) });
        let (appended, sent) = channel.command(&member, to.as_deref(), command, note, now_ms)?;
        let timeout = timeout.unwrap_or(COMMAND_TIMEOUT);
        self.broker.watch_command(&channel, appended.seq, timeout, now_ms);
        self.broker.stats.commands.add(1);
        self.commands += 1;
        self.note_append(channel, appended.throttled);
        Ok(Answer { seq: appended.seq, to: Some(sent) })
    }

    pub(super) fn ack(&self, name: &str, seq: u64, code: i32, text: String) -> Result<(), Fault> {
        let (channel, member) = self.membership(name)?;
        channel.answer(&member, seq, code, text)
    }

    pub(super) fn yield_rank(
        &mut self,
        name: Option<String>,
        view: Option<u64>,
        now_ms: u64,
    ) -> Result<Reply, Fault> {
        let name = self.named(name)?;
        let (channel, member) = self.membership(&name)?;
        self.will_change(&channel, &member);
        let standing = channel.yield_rank(&member, view, now_ms)?;
        self.touch(channel);
        let line = Line::new("yield").at("channel", name);
        Ok(line.with("rank", standing.rank).with("view", standing.view).into())
    }

    pub(super) fn promote(
        &mut self,
        name: &str,
        member: &str,
        rank: u32,
        view: Option<u64>,
        now_ms: u64,
    ) -> Result<Reply, Fault> {
        let (channel, superior) = self.membership(name)?;
        let promoted = self.other_member(&channel, member)?;
        self.will_change(&channel, &superior);
        let standing = channel.promote(&superior, &promoted, rank, view, now_ms)?;
        self.touch(channel);
        let line = Line::new("promote").at("channel", name).at("member", member);
        Ok(line.with("rank", standing.rank).with("view", standing.view).into())
    }

    pub(super) fn kick(
        &mut self,
        name: &str,
        member: &str,
        reason: &str,
        view: Option<u64>,
        now_ms: u64,
    ) -> Result<Reply, Fault> {
        let (channel, superior) = self.membership(name)?;
        let kicked = self.other_member(&channel, member)?;
        self.will_change(&channel, &superior);
        channel.kick(&superior, &kicked, view, now_ms)?;
        log::info!(
            "event=kicked channel={name} member={member} by={} reason={reason:?}",
            self.name
        );
        self.touch(channel);
        Ok(Line::new("kick").at("channel", name).at("member", member).into())
    }

    pub(super) fn tell(&self, member: &str, text: String) -> Result<Reply, Fault> {
        let client = self.broker.client_that_hears(member)?;
        if !client.mailbox.offer(Frame::Tell { from: self.name.clone(), text: text.into() }) {
            let text = format!("{member} does not read what it is told; try again later");
            return Err(Fault::new(Code::Busy, text));
        }
        Ok(Line::new("tell").at("member", member).into())
    }

    pub(super) fn broadcast(&self, text: String) -> Reply {
        let text: Arc<str> = text.into();
        let others = self.broker.everyone();
        let others = others.iter().filter(|client| client.id != self.client.id);
        let others = others.filter(|client| !client.is_plain());
        let frame = || Frame::Broadcast { from: self.name.clone(), text: text.clone() };
        let reached = others.filter(|client| client.mailbox.offer(frame())).count();
        Line::new("broadcast").at("count", reached).into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::Introduction;
    use super::*;
    use crate::broker::Broker;
    use crate::config::Config;
    use crate::payload::Payload;
    use crate::wire::text::TextEncoder;
    use std::sync::atomic::Ordering;
    use uuid::Uuid;

    /// Otherwise a client that repeats it again and again would keep the store busy,
    /// and those waiting whose messages have to be on disk.
    #[test]
    fn what_was_seen_is_written_when_it_is_news() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data: Some(dir.path().into()), ..Config::default() };
        let broker = Broker::open(config, Box::new(TextEncoder)).unwrap();
        let client = broker.enter("127.0.0.1:1".parse().unwrap(), "text");
        let mut session = Session::new(broker.clone(), client);
        let hello = Introduction {
            name: None,
            quiet: false,
            session: Some(Uuid::from_u128(1)),
            secret: None,
            seen: Vec::new(),
        };
        session.hello(hello, 0).unwrap().unwrap();
        session.sub(&Subscribe { create: true, ..Subscribe::to("c") }, 0).unwrap();
        session.publish("c", None, &[Payload::Plain(b"x")], 0).unwrap();
        let commits = || {
            let store = broker.store().unwrap();
            store.sync().wait().unwrap();
            store.figures().commits.load(Ordering::Relaxed)
        };
        for (seq, is_news) in [(2, true), (2, false), (1, false), (2, false)] {
            let before = commits();
            session.seen("c", seq).unwrap();
            assert_eq!(commits() - before, u64::from(is_news), "seen c {seq}");
        }
        broker.close_store();
    }
}
