//! One member: joins, gives an order now and then, obeys.

use super::status::say;
use super::{Settings, order};
use async_signal::{Signal, Signals};
use futures::future::{BoxFuture, Either, pending, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, select_biased};
use ranked_broker::client::cli::exit::Verdict;
use ranked_broker::client::{Client, Command, Error, Frame, Frames, Options, Outcome, signals};
use ranked_broker::error::Code;
use ranked_broker::runtime;
use std::pin::pin;
use std::time::Duration;

/// The longest pause before the next attempt to connect: somebody is watching.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Orders given or obeyed at the same time; at this limit no frame is read.
const WORK_MAX: usize = 64;
/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The exit code of a member that the broker has sent away.
const EXIT_LOST: u8 = 3;

/// Takes part until a signal ends it; gives the exit code.
pub(super) async fn run(settings: Settings) -> u8 {
    let own = settings.name.clone().unwrap_or_else(|| "demo".into());
    let mut signals = match signals::listen([Signal::Term, Signal::Int, Signal::Hup]) {
        Ok(signals) => signals,
        Err(e) => {
            say(&own, &format!("cannot hear signals: {e}"));
            return 1;
        }
    };
    let joining = pin!(join(&settings, &own));
    match select(joining, signals.next()).await {
        Either::Left((Ok((member, frames)), _)) => member.live(frames, signals, &settings).await,
        Either::Left((Err(e), _)) => {
            say(&own, &e.to_string());
            Verdict::from(&e).code()
        }
        Either::Right(_) => 0,
    }
}

/// Connects, as soon as there is a broker and the name is free, and joins.
async fn join(settings: &Settings, own: &str) -> Result<(Member, Frames), Error> {
    let mut said = String::new();
    let (client, frames) = loop {
        let mut options = Options::new().reconnect(true).pause_max(PAUSE_MAX);
        if let Some(name) = &settings.name {
            options = options.name(name);
        }
        let error = match options.connect(&settings.host, settings.port).await {
            Ok(connected) => break connected,
            Err(error) => error,
        };
        let passes = matches!(error, Error::Connect { .. } | Error::Lost)
            || matches!(error.code(), Some(Code::NameTaken | Code::Full));
        if !passes {
            return Err(error);
        }
        let text = format!("{error}; trying until it succeeds");
        if text != said {
            say(own, &text);
            said = text;
        }
        runtime::sleep(PAUSE_MAX).await;
    };
    let name = client.name().unwrap_or_else(|| own.to_owned());
    let member = Member { client, name, channel: settings.channel.clone() };
    member.take_seat().await?;
    Ok((member, frames))
}

/// A member that has joined.
#[derive(Clone)]
struct Member {
    client: Client,
    name: String,
    channel: String,
}

impl Member {
    fn say(&self, what: &str) {
        say(&self.name, what);
    }

    async fn take_seat(&self) -> Result<(), Error> {
        self.client.create(&self.channel).await?;
        let seat = self.client.subscribe(&self.channel).await?;
        self.say(&format!(
            "joins {} with rank {} of {}",
            self.channel,
            seat.rank.unwrap_or(0),
            seat.members
        ));
        Ok(())
    }

    /// Gives orders and obeys them until a signal comes; gives the exit code.
    async fn live(self, mut frames: Frames, signals: Signals, settings: &Settings) -> u8 {
        let mut signals = signals.fuse();
        let mut work = FuturesUnordered::<BoxFuture<'static, ()>>::new();
        let mut pause = Box::pin(runtime::sleep(settings.every.draw()).fuse());
        loop {
            let is_full = work.len() >= WORK_MAX;
            let next = async { if is_full { pending().await } else { frames.next().await } };
            let mut next = pin!(next.fuse());
            select_biased! {
                _ = signals.next() => break,
                () = work.select_next_some() => {}
                frame = next => match frame {
                    Some(Frame::Command(command)) => work.push(self.clone().obey(command).boxed()),
                    Some(Frame::Reconnected) => {
                        self.say("is connected again");
                        // A broker that has begun anew has no channels.
                        let member = self.clone();
                        work.push(async move { drop(member.client.create(&member.channel).await) }.boxed());
                    }
                    Some(frame) => self.look(&frame),
                    None => {
                        self.say("the broker has ended the connection");
                        return EXIT_LOST;
                    }
                },
                () = pause => {
                    if !is_full {
                        work.push(self.clone().give().boxed());
                    }
                    pause.set(runtime::sleep(settings.every.draw()).fuse());
                }
            }
        }
        self.client.quit();
        // What is still on its way does not matter any more.
        let _ = runtime::timeout(FAREWELL, async { while frames.next().await.is_some() {} }).await;
        self.say("leaves");
        0
    }

    /// Prints the frames that are worth a line.
    fn look(&self, frame: &Frame) {
        match frame {
            Frame::Rank { rank, term, .. } => {
                self.say(&format!("now has rank {rank} (term {term})"));
            }
            Frame::Left { member, reason, .. } if *member == self.name => {
                self.say(&format!("is out of {} ({reason})", self.channel));
            }
            _ => {}
        }
    }

    /// Does what a command says, which is nothing, and reports it.
    async fn obey(self, command: Command) {
        runtime::sleep(order::effort()).await;
        let (code, text) = order::result(&command.name, &command.args);
        // If the connection is lost meanwhile, the sender hears of that.
        let _ = self.client.acknowledge(&command, code, text).await;
    }

    /// Gives an order to all below; if nobody is below, publishes a message instead.
    async fn give(self) {
        let words = order::any().words;
        let Some((name, args)) = words.split_first() else { return };
        match self.client.command(&self.channel, name, args).await {
            Ok(issued) => {
                let to = issued.to;
                let Ok(results) = issued.results().await else { return };
                let done = results.iter().filter(|result| result.outcome == Outcome::Code(0));
                let done = done.count();
                self.say(&format!("/{}: done by {done} of {to}", words.join(" ")));
            }
            Err(Error::Lost) => {}
            Err(error) => self.cope(error).await,
        }
    }

    /// Handles an order that was refused.
    async fn cope(&self, error: Error) {
        let coped = match error.code() {
            Some(Code::Rank) => {
                let text = "nobody ranks below me: all quiet";
                self.client.publish(&self.channel, text).await.map(drop)
            }
            // Kicked, or the channel was dropped.
            Some(Code::NotMember | Code::NoChannel) => self.take_seat().await,
            _ => Err(error),
        };
        if let Err(error) = coped {
            self.say(&error.to_string());
        }
    }
}
