//! What of a session outlives the broker: records in the store, one for the
//! session, one for each channel it is subscribed to, one for each key with an
//! answer. They are put there as things happen, without anybody waiting; whoever
//! must be sure that they are on disk waits for the store.

use super::channel::Channel;
use super::directory::Client;
use super::keys::{Answer, Key, Keys};
use super::member::Member;
use super::sessions::Identity;
use crate::log::ClientId;
use crate::store::{ChannelId, Store, Table, Unreadable, decode, encode};
use crate::sync::lock;
use ecow::EcoString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The client's number.
    pub client: ClientId,
    /// Its name.
    pub name: String,
    /// What lets its owner take it from another connection.
    pub secret: [u8; 16],
    /// Whether the client has named it itself.
    pub asked: bool,
    /// The current channel.
    pub current: Option<String>,
    /// The patterns that it observes.
    pub patterns: Vec<String>,
    /// Whether it is that of a member without a connection, whose token it is then;
    /// `None` in a record from before that was noted.
    pub resident: Option<bool>,
}

/// A channel that a session is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceRecord {
    /// The last seq that the client is known to have.
    pub seen: u64,
    /// The seq at which it came.
    pub joined: u64,
    /// Whether it gets what it publishes itself.
    pub echo: bool,
    /// Whether it is without a rank.
    pub observer: bool,
    /// Whether a pattern made it.
    pub by_pattern: bool,
    /// The channel's number: one that was dropped and made again is another one.
    pub of: ChannelId,
}

/// The callback of a member without a connection. Calls are signed with its token,
/// which the session's secret is part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackRecord {
    /// The URL to call.
    pub url: String,
    /// Whether it is told messages.
    pub messages: bool,
    /// Whether it is told who comes, goes and moves.
    pub roster: bool,
    /// The address it came from.
    pub addr: SocketAddr,
}

/// The answer to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct AnswerRecord {
    seq: u64,
    to: Option<u32>,
    /// The number of the channel.
    of: ChannelId,
}

/// What a record of a session is about; together with the session it is the
/// record's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum About {
    Session,
    Place { channel: String },
    Answer { channel: String, word: String, is_command: bool },
    Callback,
}

fn key(session: Uuid, about: &About) -> Vec<u8> {
    let mut key = session.as_bytes().to_vec();
    key.extend(encode(about));
    key
}

/// All that is known of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its name.
    pub session: Uuid,
    /// Whose it is.
    pub record: SessionRecord,
    /// Its channels, by name.
    pub places: BTreeMap<String, PlaceRecord>,
    /// What was answered to its keys, by seq: the channel and its number, the key,
    /// the answer.
    pub answers: Vec<((String, ChannelId), Box<str>, Answer)>,
    /// How it is told things, if it has no connection.
    pub callback: Option<CallbackRecord>,
}

/// Notes a session with its current channel.
pub fn put_session(store: &Store, client: &Client, current: Option<&EcoString>) {
    let patterns = lock(&client.subscriptions).patterns().to_vec();
    put_session_with(store, client, &patterns, current);
}

/// The same, for a caller that has its patterns, as it does under their lock.
pub fn put_session_with(
    store: &Store,
    client: &Client,
    patterns: &[Arc<glob::Pattern>],
    current: Option<&EcoString>,
) {
    let Some(Identity { session, secret, asked }) = client.identity() else { return };
    let patterns = patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect();
    let record = SessionRecord {
        client: client.id,
        name: client.name().into(),
        secret: *secret.as_bytes(),
        asked,
        current: current.map(EcoString::to_string),
        patterns,
        resident: Some(client.is_unwaited()),
    };
    store.put(Table::Sessions, &key(session, &About::Session), encode(&record));
}

/// Notes a channel that a session is subscribed to, or how far it is there.
pub fn put_place(store: &Store, channel: &Channel, member: &Member) {
    let Some(Identity { session, .. }) = member.client.identity() else { return };
    let record = PlaceRecord {
        seen: member.seen(),
        joined: member.joined,
        echo: member.echo,
        observer: member.is_observer(),
        by_pattern: member.by_pattern(),
        of: number(channel),
    };
    let about = About::Place { channel: channel.name().to_string() };
    store.put(Table::Sessions, &key(session, &about), encode(&record));
}

/// Forgets a session's place in a channel that it is no longer subscribed to.
pub fn remove_place(store: &Store, session: Uuid, channel: &str) {
    let about = About::Place { channel: channel.to_owned() };
    store.remove(Table::Sessions, &key(session, &about));
}

/// Notes the callback of a session.
pub fn put_callback(store: &Store, session: Uuid, record: &CallbackRecord) {
    store.put(Table::Sessions, &key(session, &About::Callback), encode(record));
}

/// Forgets the callback of a session.
pub fn remove_callback(store: &Store, session: Uuid) {
    store.remove(Table::Sessions, &key(session, &About::Callback));
}

/// Notes what was answered to a key.
pub fn put_answer(store: &Store, session: Uuid, key: &Key, by: &Channel, answer: Answer) {
    let record = AnswerRecord { seq: answer.seq, to: answer.to, of: number(by) };
    store.put(Table::Sessions, &self::key(session, &about_answer(key)), encode(&record));
}

/// The number of no channel: that of records from before channels were numbered.
pub const UNKNOWN: ChannelId = 0;

/// Decodes a record, or one from before its last field was noted, which is 0 or
/// `None` then.
fn decode_grown<T: DeserializeOwned>(row: &[u8]) -> Result<T, Unreadable> {
    decode(row).or_else(|e| decode(&[row, &[0]].concat()).map_err(|_| e))
}

/// The number of a channel in the store, which knows every channel.
fn number(channel: &Channel) -> ChannelId {
    channel.id().unwrap_or(UNKNOWN)
}

/// Forgets what was answered to a key.
pub fn remove_answer(store: &Store, session: Uuid, of: &Key) {
    store.remove(Table::Sessions, &key(session, &about_answer(of)));
}

fn about_answer(of: &Key) -> About {
    let Key { channel, word, is_command } = of;
    let (channel, word) = (channel.to_string(), word.as_ref().to_owned());
    About::Answer { channel, word, is_command: *is_command }
}

/// Forgets a session that is over. The rows of its places go as it leaves its
/// channels.
pub fn remove_session(store: &Store, session: Uuid, keys: Option<&Keys>) {
    store.remove(Table::Sessions, &key(session, &About::Session));
    for of in keys.into_iter().flat_map(Keys::iter) {
        remove_answer(store, session, of);
    }
}

/// All sessions in the store.
///
/// # Errors
/// What was in the way, in words, or that a record is damaged.
pub fn all(store: &Store) -> Result<Vec<Remembered>, String> {
    let mut sessions: BTreeMap<Uuid, Vec<(About, Vec<u8>)>> = BTreeMap::new();
    for (key, record) in store.all(Table::Sessions)? {
        let (session, about) = split(&key).ok_or("a session's key is unreadable")?;
        sessions.entry(session).or_default().push((about, record));
    }
    let remembered = sessions.into_iter().map(|(session, rows)| one(store, session, rows));
    remembered.filter_map(Result::transpose).collect()
}

fn split(key: &[u8]) -> Option<(Uuid, About)> {
    let (session, about) = key.split_first_chunk::<16>()?;
    Some((Uuid::from_bytes(*session), decode(about).ok()?))
}

/// Puts a session together from its rows. If an ended session has left them, they
/// are removed, and it is `None`.
fn one(
    store: &Store,
    session: Uuid,
    rows: Vec<(About, Vec<u8>)>,
) -> Result<Option<Remembered>, String> {
    let damaged = |e| format!("a record of session {session} is unreadable: {e}");
    let (mut record, mut callback) = (None, None);
    let (mut places, mut answers) = (BTreeMap::new(), Vec::new());
    let keys: Vec<Vec<u8>> = rows.iter().map(|(about, _)| key(session, about)).collect();
    for (about, row) in rows {
        match about {
            About::Session => record = Some(decode_grown(&row).map_err(damaged)?),
            About::Callback => callback = Some(decode(&row).map_err(damaged)?),
            About::Place { channel } => {
                places.insert(channel, decode_grown(&row).map_err(damaged)?);
            }
            About::Answer { channel, word, .. } => {
                let AnswerRecord { seq, to, of } = decode_grown(&row).map_err(damaged)?;
                answers.push(((channel, of), word.into(), Answer { seq, to }));
            }
        }
    }
    let Some(record) = record else {
        for key in &keys {
            store.remove(Table::Sessions, key);
        }
        return Ok(None);
    };
    answers.sort_by_key(|(.., answer)| answer.seq);
    Ok(Some(Remembered { session, record, places, answers, callback }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_from_before_channels_were_numbered_is_read() {
        let place = PlaceRecord {
            seen: 300,
            joined: 2,
            echo: true,
            observer: false,
            by_pattern: false,
            of: 7,
        };
        let row = encode(&place);
        assert_eq!(decode_grown::<PlaceRecord>(&row).unwrap(), place);
        let before = &row[..row.len() - 1];
        let place = PlaceRecord { of: UNKNOWN, ..place };
        assert_eq!(decode_grown::<PlaceRecord>(before).unwrap(), place);
        assert!(decode_grown::<PlaceRecord>(&row[..3]).is_err());
    }

    #[test]
    fn a_record_from_before_it_said_whose_token_it_is_is_read() {
        let (client, name, secret, asked) = (7, "alice".into(), [9; 16], true);
        let (current, patterns) = (Some("ops".into()), vec!["o*".into()]);
        let session =
            SessionRecord { client, name, secret, asked, current, patterns, resident: Some(true) };
        let row = encode(&session);
        assert_eq!(decode_grown::<SessionRecord>(&row).unwrap(), session);
        // The `Some` takes a byte, and its value another one.
        let before = &row[..row.len() - 2];
        let session = SessionRecord { resident: None, ..session };
        assert_eq!(decode_grown::<SessionRecord>(before).unwrap(), session);
    }
}
