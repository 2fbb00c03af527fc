//! `broker-client demo`: members that command each other, to look at.
//!
//! A `member` joins a channel, gives a harmless `order` now and then, and
//! obeys those that it gets by saying so; nothing is ever run. A `team` is
//! several of them, each a process that can be stopped or killed by itself, so
//! that ranks can be seen closing up.

pub mod every;
mod member;
pub mod order;
mod status;
mod team;

use every::Every;
use ranked_broker::runtime;

/// What a demonstration is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the broker is.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name to bear; of several members, what their names begin with.
    pub name: Option<String>,
    /// The channel to join.
    pub channel: String,
    /// How long to wait between two orders.
    pub every: Every,
    /// How many members there are to be: `None` for one, in this process.
    pub members: Option<usize>,
}

/// Takes part until a signal ends it; gives the exit code.
pub fn run(settings: Settings) -> u8 {
    runtime::block_on(async {
        match settings.members {
            None => member::run(settings).await,
            Some(number) => team::run(&settings, number).await,
        }
    })
}
