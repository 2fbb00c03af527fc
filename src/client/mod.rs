//! A client of the broker: the library, and the program `broker-client` that is
//! built on it.
//!
//! ```no_run
//! use futures::StreamExt;
//! use ranked_broker::client::{Client, Frame};
//!
//! # fn main() -> Result<(), ranked_broker::client::Error> {
//! # ranked_broker::runtime::block_on(async {
//! let (client, mut frames) = Client::connect("127.0.0.1", 7700, "alice").await?;
//! client.create("ops").await?;
//! let seat = client.subscribe("ops").await?;
//! println!("my rank is {:?}, my term {}", seat.rank, seat.term);
//! client.publish("ops", "hello").await?;
//! while let Some(frame) = frames.next().await {
//!     match frame {
//!         Frame::Message { from, payload, .. } => println!("{from}: {payload}"),
//!         // Rank 0 commands all below; they execute and acknowledge.
//!         Frame::Rank { rank: 0, .. } => {
//!             let issued = client.command("ops", "restart", &["web 1"]).await?;
//!             println!("{:?}", issued.results().await?);
//!         }
//!         Frame::Command(command) => client.acknowledge(&command, 0, "restarted").await?,
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! How bytes travel: [`line`] cuts them into lines and finds the request that a
//! reply answers; [`event`] reads frames; [`connection`] owns the socket, whose
//! one writing task empties the [`outbox`]; [`memory`] knows name, channels and
//! ranks, and so how to take up one's place again after [`reconnect`]. Above
//! them stand the [`Client`] for programs and [`cli`] for people and scripts.

pub mod cli;
pub mod connection;
mod driver;
pub mod error;
pub mod event;
mod handle;
pub mod line;
pub mod memory;
pub mod outbox;
pub mod reconnect;

pub use error::Error;
pub use event::{Command, Frame, MemberResult, Outcome};
pub use handle::{Answer, Client, Frames, Issued, Options, Seat, acknowledgement};
