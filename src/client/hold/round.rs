//! One question to the broker: how long may I believe, and in which rank?

use super::seat::Claim;
use super::status;
use super::supervisor::PAUSE_MAX;
use crate::client::memory::quote;
use crate::client::{Client, Error};
use crate::error::Code;
use crate::moment::Moment;
use crate::runtime;
use std::time::Duration;

/// The answer.
#[derive(Debug)]
pub(super) struct Round {
    /// When it was asked, at the earliest.
    pub(super) sent: Moment,
    /// How long the client may believe from then on; `None` if no answer came.
    pub(super) lease: Option<Duration>,
    /// The rank; `None` if this client has none.
    pub(super) claim: Option<Claim>,
    /// No answer came in time: the connection may be dead.
    pub(super) is_late: bool,
}

/// Asks. What is learnt holds from when it was asked, so that moment is taken
/// first, even if there is no connection just then.
pub(super) async fn ask(client: Client, channel: String, limit: Duration) -> Round {
    let sent = Moment::now();
    let rank = format!("rank {}", quote(&channel));
    let both = async { futures::join!(client.request("ping"), client.request(&rank)) };
    let mut round = Round { sent, lease: None, claim: None, is_late: false };
    let Some((ping, rank)) = runtime::timeout(limit, both).await else {
        round.is_late = true;
        return round;
    };
    let lease = ping.ok().and_then(|answer| answer.reply.number_field("lease"));
    match rank {
        Ok(answer) => {
            let reply = answer.reply;
            round.claim = reply
                .number(1)
                .zip(reply.number_field("term"))
                .zip(reply.number_field("view"))
                .map(|((rank, term), view)| Claim { rank, term, view });
            round.lease = lease.map(Duration::from_millis);
        }
        // The broker has answered, and there is no rank.
        Err(Error::Refused { code: Some(Code::NotMember | Code::NoChannel), .. }) => {
            round.lease = lease.map(Duration::from_millis);
        }
        Err(_) => {}
    }
    round
}

/// What the client learns by joining.
#[derive(Debug)]
pub(super) struct Entered {
    /// The rank and the last seq; `None` if it was a member already.
    pub(super) seat: Option<(Claim, u64)>,
    /// Whether lost members keep their ranks for as long as they may believe.
    pub(super) is_safe: bool,
    /// How long the broker has been there.
    pub(super) uptime: Duration,
}

/// Makes the channel if it is missing, and joins it; tries again while the broker's
/// disk takes nothing.
pub(super) async fn enter(client: &Client, channel: &str) -> Result<Entered, Error> {
    let mut is_said = false;
    loop {
        match try_to_enter(client, channel).await {
            Err(e) if e.code() == Some(Code::Unavailable) => {
                if !std::mem::replace(&mut is_said, true) {
                    status::waiting(&format!("{e}; trying until it succeeds"));
                }
                runtime::sleep(PAUSE_MAX).await;
            }
            entered => return entered,
        }
    }
}

async fn try_to_enter(client: &Client, channel: &str) -> Result<Entered, Error> {
    let channel = quote(channel);
    let stats = client.request("stats").await?.reply;
    let uptime = Duration::from_secs(stats.number_field("uptime").unwrap_or(0));
    // Durable if the broker has a disk, full or not, so that ranks and terms survive a
    // restart. A broker without a disk reports no `store`.
    let durable = if stats.field("store").is_some() { " --durable" } else { "" };
    client.request(&format!("create {channel} --on-close safe{durable} --if-missing")).await?;
    let info = client.request(&format!("info {channel}")).await?;
    let is_safe = info.rows.iter().any(|row| row.split(' ').any(|word| word == "on-close=safe"));
    let seat = match client.request(&format!("sub {channel}")).await {
        Ok(answer) => {
            let number = |key| answer.reply.number_field(key);
            number("rank").zip(number("term")).zip(number("view")).zip(number("seq"))
        }
        Err(e) if e.code() == Some(Code::AlreadyMember) => None,
        Err(e) => return Err(e),
    };
    let seat = seat.map(|(((rank, term), view), seq)| (Claim { rank, term, view }, seq));
    Ok(Entered { seat, is_safe, uptime })
}
