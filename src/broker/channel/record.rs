//! Channels and their members as they are on disk, and back.

use crate::broker::member::Member;
use crate::moment::{Second, millis};
use crate::request::{OnClose, Settings};
use crate::store::{ChannelRecord, SeatRecord};
use std::time::Duration;

/// The settings of a channel, from its record on disk.
pub(super) fn settings(record: &ChannelRecord) -> Settings {
    Settings {
        members_max: record.members_max,
        history: record.history,
        history_age: record.history_age_ms.map(Duration::from_millis),
        history_bytes: record.history_bytes,
        durable: record.durable,
        hold: Duration::from_millis(record.hold_ms),
        on_close: if record.safe { OnClose::Safe } else { OnClose::Fast },
    }
}

/// The record of a channel on disk.
pub(super) fn channel_record(name: &str, settings: &Settings, created: Second) -> ChannelRecord {
    ChannelRecord {
        name: name.to_owned(),
        created_unix_ms: created.unix_ms(),
        members_max: settings.members_max,
        history: settings.history,
        history_age_ms: settings.history_age.map(millis),
        history_bytes: settings.history_bytes,
        durable: settings.durable,
        hold_ms: millis(settings.hold),
        safe: settings.on_close == OnClose::Safe,
    }
}

/// The record of a member on disk.
pub(super) fn seat_record(member: &Member, term: u64) -> SeatRecord {
    SeatRecord {
        client: member.client.id,
        name: member.client.name().into(),
        session: member.client.identity().map(|identity| *identity.session.as_bytes()),
        term,
        joined: member.joined,
        since_unix_ms: member.since.unix_ms(),
        observer: member.is_observer(),
    }
}
