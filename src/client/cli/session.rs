//! The half that receives: what comes, what is shown, what is executed, and
//! when it is over.

use super::Settings;
use super::advice::explained;
use super::again::Again;
use super::duty::Duty;
use super::exec::Runner;
use super::exit::Verdict;
use super::leaving::FAREWELL;
use super::resume::Remembered;
use super::screen::Screen;
use super::stage::{Due, Event, Origin, Over, Stage};
use super::words::order;
use crate::client::Error;
use crate::client::connection::Connection;
use crate::client::memory::Memory;
use crate::client::outbox::Outbox;
use crate::client::reconnect::Backoff;
use crate::runtime;
use futures::channel::mpsc;
use futures::{FutureExt, StreamExt, select_biased};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

/// The receiving half.
// Each flag says that something has happened; they do not exclude each other.
#[allow(clippy::struct_excessive_bools)]
pub struct Session {
    pub(super) settings: Settings,
    pub(super) outbox: Arc<Outbox<Origin>>,
    pub(super) events: mpsc::UnboundedReceiver<Event>,
    pub(super) tx: mpsc::UnboundedSender<Event>,
    pub(super) screen: Screen,
    pub(super) memory: Memory,
    pub(super) duty: Duty,
    pub(super) runner: Runner,
    /// Commands and jobs of ours whose results are not all in.
    pub(super) due: HashSet<Due>,
    pub(super) verdict: Verdict,
    /// The exit code, where it does not come from the verdict.
    pub(super) exit: Option<u8>,
    pub(super) stage: Stage,
    pub(super) interrupted: bool,
    pub(super) user_quit: bool,
    pub(super) said_goodbye: bool,
    pub(super) connected_before: bool,
    pub(super) messages: u64,
    pub(super) backoff: Backoff,
    pub(super) again: Again,
    pub(super) remembered: Remembered,
}

impl Session {
    /// A session that has not connected yet.
    pub fn new(
        settings: Settings,
        screen: Screen,
        outbox: Arc<Outbox<Origin>>,
        (tx, events): (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    ) -> Self {
        let memory = Memory::new(settings.name.clone(), settings.quiet);
        let runner = Runner::new(settings.programs.clone(), settings.program_timeout);
        Session {
            settings,
            outbox,
            events,
            tx,
            screen,
            memory,
            duty: Duty::default(),
            runner,
            due: HashSet::new(),
            verdict: Verdict::default(),
            exit: None,
            stage: Stage::Talking,
            interrupted: false,
            user_quit: false,
            said_goodbye: false,
            connected_before: false,
            messages: 0,
            backoff: Backoff::default(),
            again: Again::default(),
            remembered: Remembered::default(),
        }
    }

    /// Runs to the end; gives the exit code.
    pub async fn run(mut self) -> u8 {
        if !self.open_session() {
            return self.verdict.code();
        }
        while let Some(mut connection) = self.connect().await {
            self.introduce();
            let over = self.listen(&mut connection).await;
            if let Over::Program = over {
                self.depart(&mut connection).await;
                break;
            }
            if !self.go_on(over) {
                break;
            }
        }
        self.outbox.close();
        self.end_programs().await;
        match runtime::timeout(FAREWELL, self.screen.flush()).await {
            Some(Ok(())) => {}
            Some(Err(e)) => self.cannot_show(&e),
            None => self.remembered.unshown = true,
        }
        self.close_session();
        self.memory.refusals().for_each(|code| self.verdict.refused(code));
        self.exit.unwrap_or_else(|| self.verdict.code())
    }

    /// Connects, retrying if that is asked for. `None` when it has failed, or the
    /// program is to end.
    async fn connect(&mut self) -> Option<Connection<Origin>> {
        let Settings { host, port, tls, .. } = &self.settings;
        let (host, port, tls) = (host.clone(), *port, tls.clone());
        loop {
            let again = self.connected_before;
            if again {
                self.pause(None).await?;
            }
            let outbox = self.outbox.clone();
            let opened = {
                let open = async {
                    if again {
                        Connection::open_again(&host, port, tls.as_ref(), outbox).await
                    } else {
                        Connection::open(&host, port, tls.as_ref(), outbox).await
                    }
                };
                let open = open.fuse();
                futures::pin_mut!(open);
                loop {
                    select_biased! {
                        opened = open => break opened,
                        event = self.events.select_next_some() => if self.handle(event) { return None },
                    }
                }
            };
            let why = match opened {
                Ok(connection) => return Some(connection),
                Err(why) => why,
            };
            let error = explained(&Error::Connect { host: host.clone(), port, why });
            if !self.settings.reconnect {
                self.screen.notice(&error);
                self.verdict.lost();
                return None;
            }
            if !self.connected_before {
                self.pause(Some(error)).await?;
            }
        }
    }

    /// Does what may be done, and shows what is to be shown. `None` when nothing can be
    /// shown any more, or the program is to end: interrupts are heard even while nobody
    /// reads the output.
    async fn show(&mut self) -> Option<()> {
        loop {
            self.advance();
            self.screen.prompt(self.memory.prompt());
            let flush = self.screen.flush().fuse();
            futures::pin_mut!(flush);
            // What happens meanwhile may have to be shown, too.
            let mut settled = true;
            loop {
                select_biased! {
                    shown = flush => break if let Err(e) = shown {
                        self.cannot_show(&e);
                        return None;
                    },
                    event = self.events.select_next_some() => {
                        settled = false;
                        if self.handle(event) {
                            return None;
                        }
                    }
                }
            }
            if settled {
                return Some(());
            }
        }
    }

    /// Standard output takes no more. A reader that closes it has seen enough.
    fn cannot_show(&mut self, error: &io::Error) {
        let is_first = !std::mem::replace(&mut self.remembered.unshown, true);
        if is_first && error.kind() != io::ErrorKind::BrokenPipe {
            self.screen.notice(&format!("cannot write to standard output: {error}"));
            self.verdict.failed();
        }
    }

    /// Waits before the next attempt.
    async fn pause(&mut self, why: Option<String>) -> Option<()> {
        let pause = self.backoff.pause();
        let text = format!("connecting again in {:.1} s", pause.as_secs_f64());
        self.screen.notice(&why.map_or(text.clone(), |why| format!("{why}; {text}")));
        self.show().await?;
        let sleep = runtime::sleep(pause).fuse();
        futures::pin_mut!(sleep);
        loop {
            select_biased! {
                () = sleep => return Some(()),
                event = self.events.select_next_some() => if self.handle(event) { return None },
            }
        }
    }

    /// Handles lines and events until the connection or the program ends.
    async fn listen(&mut self, connection: &mut Connection<Origin>) -> Over {
        loop {
            while let Some(received) = connection.buffered() {
                if let Some(over) = self.take(received) {
                    return over;
                }
                if self.screen.is_full() && self.show().await.is_none() {
                    return Over::Program;
                }
            }
            if self.show().await.is_none() {
                return Over::Program;
            }
            self.tell_progress();
            let fill = connection.fill().fuse();
            futures::pin_mut!(fill);
            select_biased! {
                filled = fill => match filled {
                    Ok(true) => {}
                    Ok(false) => return Over::Connection(None),
                    Err(e) => return Over::Connection(Some(e)),
                },
                event = self.events.select_next_some() => if self.handle(event) {
                    return Over::Program;
                },
            }
        }
    }

    /// Handles an event; true if the program is to end.
    fn handle(&mut self, event: Event) -> bool {
        match event {
            Event::InputEnded if self.settings.follow => {}
            Event::InputEnded => {
                if self.stage == Stage::Talking {
                    self.stage = Stage::Draining;
                }
            }
            Event::InputRefused(text) => {
                self.screen.notice(&text);
                self.verdict.failed();
            }
            Event::InputFailed(e) => {
                self.screen.notice(&format!("cannot read standard input: {e}"));
                self.verdict.failed();
            }
            Event::Interrupt => return self.interrupt(),
            Event::GraceOver => return true,
            Event::Again(number) => self.time_to_ask_again(number),
            Event::Progress => self.time_to_tell(),
            Event::Overdue => self.give_up_overdue(),
            Event::Deadline => {
                self.runner.stop();
                self.screen.notice("the deadline has passed");
                self.verdict.late();
                return true;
            }
            Event::Ran(run, ended) => {
                self.runner.ended(&run.command.channel);
                let (name, code) = (order(&run.command), ended.code);
                self.screen.notice(&format!("executed: {name}: exit code {code}"));
                self.acknowledge(&run.command, code, &ended.text);
            }
        }
        // Without a connection there is nobody to take leave of.
        self.is_done() && !self.outbox.is_open()
    }

    /// Does what may be done now: starts programs, leaves when nothing is due.
    fn advance(&mut self) {
        while let Some(run) = self.runner.start_next() {
            let tx = self.tx.clone();
            runtime::spawn(async move {
                let (run, ended) = runtime::unblock(move || {
                    let ended = run.run();
                    (run, ended)
                })
                .await;
                let _ = tx.unbounded_send(Event::Ran(Box::new(run), ended));
            });
        }
        // A goodbye that is said while there is no connection is heard by nobody.
        if !self.outbox.is_open() || self.stage == Stage::Leaving {
            return;
        }
        if self.has_enough() || self.is_done() {
            self.leave();
        } else if self.stage == Stage::Draining
            && self.outbox.waiting(|waiting| waiting.wants_ping())
        {
            self.outbox.say("ping", Origin::Own);
        }
    }

    pub(super) fn has_enough(&self) -> bool {
        self.settings.count.is_some_and(|count| self.messages >= count)
    }

    pub(super) fn nothing_due(&self) -> bool {
        self.due.is_empty()
            && self.runner.is_idle()
            && self.outbox.waiting(|waiting| waiting.is_empty())
            && self.remembered.is_settled()
    }

    /// Whether everything is sent, and nothing is due for it any more.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Draining && self.connected_before && self.nothing_due()
    }
}
