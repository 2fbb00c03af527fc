//! The client's arguments; [`ranked_broker::client::cli`] does the work.
#![forbid(unsafe_code)]

mod demo;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use ranked_broker::client::cli::options::{Encryption, Identity};
use ranked_broker::client::cli::{self, Settings, exit::EXIT_CODES, value};
use ranked_broker::client::hold::{self, guard::Task, ranks::Ranks};
use ranked_broker::client::numbers;
use ranked_broker::moment::Moment;
use ranked_broker::printed::{self, complain};
use ranked_broker::tls::Connector;
use ranked_broker::{file_size, manual, runtime};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use uuid::Uuid;

/// Talks to a ranked-broker: publishes, subscribes, commands and obeys.
///
/// On a terminal it edits lines (Tab completes, arrows recall), shows what comes
/// in plain words above them, and acknowledges commands as shown. In a pipe it
/// sends lines as they come and prints one reply or frame a line, untouched, with
/// notices on standard error. At the end of input it waits until every request
/// is answered and each command and job that it gave has all its results, then
/// leaves and prints what was still due; the `bye quit` to that is not printed.
///
/// Try: printf 'create n\nsub n\npub n hi\n' | broker-client
#[derive(Debug, Parser)]
#[command(
    name = "broker-client",
    version,
    after_help = EXIT_CODES,
    disable_help_subcommand = true,
    subcommand_help_heading = "Instead of talking",
    // What follows --sub is channels, up to the next option.
    override_usage = "broker-client [HOST] [PORT] [OPTIONS]\n       \
                      broker-client [HOST] [PORT] COMMAND …"
)]
// Each flag is an option of its own; the comments are the help text, where a
// backtick would be a backtick.
#[allow(clippy::struct_excessive_bools, clippy::doc_markdown)]
struct Arguments {
    /// Where the broker is
    #[arg(default_value = "127.0.0.1")]
    host: String,
    /// Its port
    #[arg(default_value_t = 7700, value_parser = value::port)]
    port: u16,
    #[command(flatten)]
    encryption: Encryption,
    #[command(flatten)]
    identity: Identity,
    /// Subscribe to these channels first, before the lines of -c and those that are
    /// read: all that follows up to the next option
    #[arg(long, value_name = "CHANNEL", num_args = 1..)]
    sub: Vec<String>,
    /// Make those channels that are missing
    #[arg(long, requires = "sub")]
    create: bool,
    /// Be an observer there: see everything, without a rank
    #[arg(long, requires = "sub")]
    observe: bool,
    /// Send this line instead of reading standard input (may be repeated)
    #[arg(short = 'c', long = "command", value_name = "LINE")]
    lines: Vec<String>,
    /// Go on after the end of input
    #[arg(long)]
    follow: bool,
    /// End after N messages (and go on after the end of input until then)
    #[arg(long, value_name = "N", value_parser = value::count)]
    count: Option<u64>,
    /// Run PROGRAM for commands called NAME, with their arguments, never through a
    /// shell; its exit code and some 4 KiB of its output go into the
    /// acknowledgement (may be repeated; nothing that is not listed is ever run, but
    /// acknowledged as shown only). It finds BROKER_CHANNEL, BROKER_SEQ, BROKER_FROM,
    /// BROKER_FROM_RANK and BROKER_FROM_TERM in its environment
    #[arg(long, value_name = "NAME=PROGRAM", value_parser = value::program)]
    exec: Vec<(String, PathBuf)>,
    /// End such a program after this time, or with this client, and all that it
    /// has started: by SIGTERM, and 5 s later by SIGKILL
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = value::duration)]
    exec_timeout: Duration,
    /// Do not execute and acknowledge commands: whoever reads the output does
    #[arg(long, conflicts_with = "exec")]
    no_execute: bool,
    /// Ask the broker to leave out the ok of pub and ack
    #[arg(long)]
    quiet: bool,
    /// Print lines as they come, even on a terminal
    #[arg(long, conflicts_with = "pretty")]
    plain: bool,
    /// Print plain words, even in a pipe
    #[arg(long)]
    pretty: bool,
    /// End after this time, with exit code 124
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    timeout: Option<Duration>,
    /// When the broker cannot be reached or the connection is lost, try again
    /// after growing pauses, and subscribe again, also after growing pauses,
    /// until that succeeds; unanswered requests are not sent again
    #[arg(long)]
    reconnect: bool,
    /// Print the man page, or that of hold, demo or numbers, and exit
    #[arg(
        long, value_name = "COMMAND", num_args = 0..=1, require_equals = true,
        default_missing_value = ""
    )]
    man: Option<String>,
    /// Print what a shell needs to complete these arguments, and exit
    #[arg(long, value_name = "SHELL")]
    completions: Option<Shell>,
    #[command(subcommand)]
    instead: Option<Instead>,
}

/// What to do instead of talking.
#[derive(Debug, Subcommand)]
#[allow(clippy::doc_markdown)]
enum Instead {
    /// Run a program for as long as a rank in a channel is held
    ///
    /// Joins CHANNEL, waits for the rank, and runs PROGRAM with BROKER_CHANNEL,
    /// BROKER_RANK, BROKER_TERM, BROKER_VIEW and BROKER_URL in its environment.
    /// When the rank or the broker is lost, PROGRAM and what it has started in
    /// its process group are ended before the next in line is promoted: with
    /// TERM, and with KILL after --kill-after. Signals TERM, INT, HUP, USR1, USR2
    /// are handed on to it. When it ends by itself, the next in line is promoted at
    /// once. It has a process group of its own, so it cannot read from the terminal.
    ///
    /// CHANNEL is made with --on-close safe if it is missing, and --durable on a
    /// broker with --data: every join and leave is kept. BROKER_TERM only grows
    /// there; without --data it begins at 1 again when the broker is started anew,
    /// so a store that fences by it needs a broker with --data.
    ///
    /// Try: broker-client hold jobs -- sh -c 'echo term $BROKER_TERM; sleep 60'
    #[command(
        verbatim_doc_comment,
        after_help = hold::EXIT_CODES,
        override_usage = "broker-client [HOST] [PORT] hold [OPTIONS] CHANNEL -- PROGRAM [ARG]..."
    )]
    Hold {
        /// The channel whose rank is to be held
        channel: String,
        #[command(flatten)]
        identity: Identity,
        /// The rank with which PROGRAM runs
        #[arg(long, value_name = "RANK", default_value = "0")]
        rank: Ranks,
        /// The ranks with which it runs, if there are several, as in 0-2
        #[arg(long, value_name = "FIRST-LAST", conflicts_with = "rank")]
        ranks: Option<Ranks>,
        /// How long PROGRAM has to end itself, such as 5s or 250ms; less than the
        /// broker's lease. Otherwise 5s, or half of a lease that is short
        #[arg(long, value_name = "TIME", value_parser = value::time)]
        kill_after: Option<Duration>,
        /// Keep the seat when the rank or the lease is lost, and run PROGRAM again
        /// with the next one, rather than end with 8
        #[arg(long)]
        stay: bool,
        /// What to run, and its arguments
        #[arg(last = true, required = true, value_name = "PROGRAM")]
        program: Vec<OsString>,
    },
    /// Take part in a demonstration: give a harmless order now and then, and obey
    ///
    /// Joins the channel (made if it is missing), gives every member ranked below
    /// a random harmless command now and then, and answers the commands that it
    /// gets; nothing is ever run. Connects again when the connection is lost, and
    /// leaves on TERM, INT and HUP.
    ///
    /// Try: broker-client demo --members 5
    #[command(verbatim_doc_comment, override_usage = "broker-client [HOST] [PORT] demo [OPTIONS]")]
    Demo {
        /// The channel to join
        #[arg(long, default_value = "demo")]
        channel: String,
        /// The name to bear; otherwise the broker gives one
        #[arg(long)]
        name: Option<String>,
        /// How long to wait between two orders: a time, or from one to another
        #[arg(long, value_name = "TIME", default_value = "2s..8s")]
        every: demo::every::Every,
        /// Start so many members, each a process of its own, with a name that
        /// begins with --name
        #[arg(long, value_name = "N", value_parser = value::members)]
        members: Option<usize>,
    },
    /// Fetch a number sequence, and verify it
    ///
    /// COUNT numbers from 0 to 100, in batches, over as many connections as it
    /// takes: each lasts a second at most. What has come is kept under
    /// $XDG_STATE_HOME (~/.local/state), so that --continue goes on where this
    /// program was ended; the broker keeps a sequence for half a minute.
    ///
    /// Prints sum and checksum.
    ///
    /// Try: broker-client numbers 10000
    #[command(
        verbatim_doc_comment,
        after_help = numbers::EXIT_CODES,
        override_usage = "broker-client [HOST] [PORT] numbers COUNT [--client-id UUID] [--batch N]\n       \
                          broker-client [HOST] [PORT] numbers --continue"
    )]
    Numbers {
        /// How many numbers, up to 65535
        #[arg(required_unless_present = "resume", value_parser = value::length)]
        count: Option<u16>,
        /// By which id the broker is to know the sequence; otherwise a random one
        #[arg(long, value_name = "UUID", conflicts_with = "resume")]
        client_id: Option<Uuid>,
        /// How many numbers in a batch
        #[arg(
            long, value_name = "N", default_value_t = 100, conflicts_with = "resume",
            value_parser = value::count
        )]
        batch: u64,
        /// Go on with the sequence that was not finished
        #[arg(long = "continue", conflicts_with = "count")]
        resume: bool,
    },
    /// The process between `hold` and its program
    #[command(hide = true)]
    HoldGuard {
        #[arg(long)]
        until: Moment,
        #[arg(long)]
        kill_after_ms: u64,
        #[arg(last = true, required = true)]
        program: Vec<OsString>,
    },
    /// What becomes the program
    #[command(hide = true)]
    HoldExec {
        #[arg(long)]
        parent: u32,
        #[arg(long)]
        kept: bool,
        #[arg(last = true, required = true)]
        program: Vec<OsString>,
    },
    /// What ends a program whose guard is gone
    #[command(hide = true)]
    HoldKeeper,
}

fn main() -> ExitCode {
    // A system without that signal has no need of it.
    let _ = file_size::fail_beyond_limit();
    env_logger::init();
    runtime::use_threads(1);
    let parsed = parse().and_then(|arguments| Ok((asked_for(&arguments)?, arguments)));
    let mut arguments = match parsed {
        Ok((None, arguments)) => arguments,
        Ok((Some(text), _)) => return printed::print("broker-client", &text).into(),
        Err(said) => return printed::usage("broker-client", &said).into(),
    };
    // Around a program, only the guard needs threads. It starts them itself, and has an
    // exit code of its own for when it cannot.
    let guards = matches!(
        arguments.instead,
        Some(Instead::HoldGuard { .. } | Instead::HoldExec { .. } | Instead::HoldKeeper)
    );
    if !guards && let Err(e) = runtime::start() {
        complain("broker-client", format_args!("cannot start: {e}; are there too many threads?"));
        return ExitCode::FAILURE;
    }
    let tls = match arguments.encryption.connector() {
        Ok(tls) => tls,
        Err(error) => {
            complain("broker-client", error);
            return ExitCode::from(2);
        }
    };
    ExitCode::from(match arguments.instead.take() {
        None => cli::run(settings(arguments, tls)),
        Some(Instead::Hold { channel, identity, rank, ranks, kill_after, stay, program }) => {
            let Identity { name, session } = identity.or(arguments.identity);
            hold::run(hold::Settings {
                host: arguments.host,
                port: arguments.port,
                tls,
                name,
                session,
                channel,
                ranks: ranks.unwrap_or(rank),
                kill_after,
                stay,
                program,
            })
        }
        Some(Instead::Demo { channel, name, every, members }) => demo::run(demo::Settings {
            host: arguments.host,
            port: arguments.port,
            name: name.or(arguments.identity.name),
            channel,
            every,
            members,
        }),
        Some(Instead::Numbers { count, client_id, batch, resume: _ }) => {
            let Arguments { host, port, .. } = arguments;
            let new = count.map(|count| numbers::New { count, batch, id: client_id });
            numbers::run(&numbers::Settings { host, port, tls, new })
        }
        Some(Instead::HoldGuard { until, kill_after_ms, program }) => {
            let kill_after = Duration::from_millis(kill_after_ms);
            hold::guard::run(&Task { until, kill_after, program }).unwrap_or_else(|e| {
                complain("broker-client", format_args!("cannot guard a program: {e}"));
                126
            })
        }
        Some(Instead::HoldExec { parent, kept, program }) => {
            hold::launch::become_program(parent, kept, &program)
        }
        Some(Instead::HoldKeeper) => hold::keeper::keep(),
    })
}

/// Returns what is to be printed instead of all else.
fn asked_for(arguments: &Arguments) -> Result<Option<Vec<u8>>, clap::Error> {
    let mut command = Arguments::command();
    if let Some(shell) = arguments.completions {
        return Ok(Some(manual::completions("broker-client", &command, shell)));
    }
    let Some(of) = arguments.man.as_deref() else { return Ok(None) };
    let page = manual::page(command.clone(), Some(of).filter(|of| !of.is_empty()));
    page.map(Some).map_err(|_| {
        let text = format!("there is no page for {of:?}, but for hold, demo and numbers");
        command.error(ErrorKind::InvalidValue, text)
    })
}

/// Parses the arguments. An option about talking that a subcommand has no use for is
/// refused rather than ignored.
fn parse() -> Result<Arguments, clap::Error> {
    let mut command = Arguments::command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    if let Some(instead) = matches.subcommand_name() {
        let suited = match instead {
            "numbers" => &["host", "port", "tls", "tls_ca", "tls_cert", "tls_key"][..],
            // No session: a demonstration shows what becomes of a member that is lost.
            "demo" => &["host", "port", "name"],
            _ => &["host", "port", "name", "session", "tls", "tls_ca", "tls_cert", "tls_key"],
        };
        let unsuited = command.get_arguments().find(|argument| {
            let id = argument.get_id().as_str();
            !suited.contains(&id) && matches.value_source(id) == Some(ValueSource::CommandLine)
        });
        if let Some(argument) = unsuited {
            let text = format!("{argument} cannot be used with {instead}");
            return Err(command.error(ErrorKind::ArgumentConflict, text));
        }
    }
    let arguments = Arguments::from_arg_matches(&matches)?;
    if let Some(name) = value::named_twice(&arguments.exec) {
        let text = format!("there are two programs for {name:?}: --exec takes one for each name");
        return Err(command.error(ErrorKind::ArgumentConflict, text));
    }
    Ok(arguments)
}

fn settings(arguments: Arguments, tls: Option<Connector>) -> Settings {
    let pretty = if arguments.plain { Some(false) } else { arguments.pretty.then_some(true) };
    Settings {
        host: arguments.host,
        port: arguments.port,
        tls,
        lines: arguments.lines,
        name: arguments.identity.name,
        subscribe: arguments.sub,
        create: arguments.create,
        observe: arguments.observe,
        quiet: arguments.quiet,
        follow: arguments.follow,
        count: arguments.count,
        pretty,
        execute: !arguments.no_execute,
        programs: arguments.exec.into_iter().collect(),
        program_timeout: arguments.exec_timeout,
        timeout: arguments.timeout,
        reconnect: arguments.reconnect || arguments.identity.session.is_some(),
        session: arguments.identity.session,
    }
}
