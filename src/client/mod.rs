//! A client of the broker: the library, and the program `broker-client` that is
//! built on it.
//!
//! ```
//! use futures::StreamExt;
//! use ranked_broker::client::{Client, Frame, Outcome};
//! use ranked_broker::{config::Config, runtime, server::Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start(Config { port: 0, ..Config::default() })?;
//! let port = server.addr.port();
//! runtime::block_on(async {
//!     // The first to subscribe gets rank 0, and commands all below.
//!     let (alice, _frames) = Client::connect("127.0.0.1", port, "alice").await?;
//!     alice.create("ops").await?;
//!     assert_eq!(alice.subscribe("ops").await?.rank, Some(0));
//!
//!     let (bob, mut frames) = Client::connect("127.0.0.1", port, "bob").await?;
//!     assert_eq!(bob.subscribe("ops").await?.rank, Some(1));
//!     let obeying = runtime::spawn(async move {
//!         while let Some(frame) = frames.next().await {
//!             match frame {
//!                 Frame::Message { from, payload, .. } => println!("{from}: {payload}"),
//!                 Frame::Command(command) => {
//!                     bob.acknowledge(&command, 0, "restarted").await.unwrap();
//!                     return;
//!                 }
//!                 // A new rank, members that came and went, …
//!                 _ => {}
//!             }
//!         }
//!     });
//!
//!     alice.publish("ops", "good morning").await?;
//!     let issued = alice.command("ops", "restart", &["web 1"]).await?;
//!     let results = issued.results().await?;
//!     assert_eq!((&*results[0].member, results[0].outcome), ("bob", Outcome::Code(0)));
//!     obeying.await;
//!     Ok::<(), ranked_broker::client::Error>(())
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! How bytes travel: [`mod@line`] cuts them into lines and finds the request that a
//! reply answers; [`event`] reads frames; [`connection`] owns the socket, whose one
//! writing task empties the [`outbox`]; [`memory`] knows name, channels and ranks, and
//! so how to restore the client's place after [`reconnect`]; with a session, whose
//! [`ticket`] may be kept in a [`store`], nothing is missed meanwhile. Above them stand
//! the [`Client`] for programs, [`cli`] for people and scripts, and [`hold`], which runs a
//! program while its member holds a rank.

mod awaited;
pub mod cli;
pub mod connection;
mod delivery;
mod driver;
pub mod error;
pub mod event;
mod frames;
mod handle;
pub mod hold;
mod lease;
pub mod line;
mod listen;
pub mod memory;
pub mod numbers;
mod options;
pub mod outbox;
mod progress;
pub mod reconnect;
mod shared;
#[doc(hidden)] // for the program
pub mod signals;
pub mod store;
pub mod ticket;
mod unanswered;

pub use error::Error;
pub use event::{Command, Frame, MemberResult, Outcome};
pub use frames::Frames;
pub use handle::{Answer, Client, Issued, Seat, acknowledgement};
pub use options::Options;
pub use ticket::Ticket;
