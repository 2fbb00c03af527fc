//! The client's arguments; [`ranked_broker::client::cli`] does the work.
#![forbid(unsafe_code)]

use clap::Parser;
use ranked_broker::client::cli::{self, Settings, exit::EXIT_CODES};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Talks to a ranked-broker: publishes, subscribes, commands and obeys.
///
/// On a terminal it edits lines (Tab completes, arrows recall), shows what comes
/// in plain words above them, and executes commands by saying so. In a pipe it
/// sends lines as they come and prints one reply or frame a line, untouched, with
/// notices on standard error. At the end of input it waits until every request
/// is answered and every command it gave has all its results, then leaves and
/// prints what was still due; the `bye quit` to that is not printed.
///
/// Try: printf 'create n\nsub n\npub n hi\n' | broker-client
#[derive(Debug, Parser)]
#[command(name = "broker-client", version, after_help = EXIT_CODES)]
// Each flag is an option of its own.
#[allow(clippy::struct_excessive_bools)]
struct Arguments {
    /// Where the broker is
    #[arg(default_value = "127.0.0.1")]
    host: String,
    /// Its port
    #[arg(default_value_t = 7700, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The name to bear; otherwise the broker gives one
    #[arg(long)]
    name: Option<String>,
    /// Subscribe to these channels first (before lines that are read)
    #[arg(long, value_name = "CHANNEL", num_args = 1..)]
    sub: Vec<String>,
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Run PROGRAM for commands called NAME, with their arguments, never through
    /// a shell; its output and exit code go into the acknowledgement (may be
    /// repeated; nothing that is not listed is ever run). Output is cut near
    /// 4 KiB; line ends at its end are left out, others are sent as the two
    /// characters \n. Commands that are not listed are acknowledged as shown only
    #[arg(long, value_name = "NAME=PROGRAM", value_parser = program)]
    exec: Vec<(String, PathBuf)>,
    /// End such a program after this time
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = seconds)]
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
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// When the broker cannot be reached or the connection is lost, try again
    /// after growing pauses, and subscribe again, also after growing pauses,
    /// until that succeeds; unanswered requests are not sent again
    #[arg(long)]
    reconnect: bool,
}

fn program(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, program)) if !name.is_empty() && !program.is_empty() => {
            Ok((name.trim_start_matches('/').to_owned(), program.into()))
        }
        _ => Err("it must be NAME=PROGRAM, for instance restart=/usr/local/bin/restart".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>().ok().and_then(|secs| Duration::try_from_secs_f64(secs).ok()) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("it must be a number of seconds above 0".into()),
    }
}

fn main() -> ExitCode {
    env_logger::init();
    let arguments = Arguments::parse();
    let pretty = if arguments.plain { Some(false) } else { arguments.pretty.then_some(true) };
    ExitCode::from(cli::run(Settings {
        host: arguments.host,
        port: arguments.port,
        lines: arguments.lines,
        name: arguments.name,
        subscribe: arguments.sub,
        observe: arguments.observe,
        quiet: arguments.quiet,
        follow: arguments.follow,
        count: arguments.count,
        pretty,
        execute: !arguments.no_execute,
        programs: arguments.exec.into_iter().collect(),
        program_timeout: arguments.exec_timeout,
        timeout: arguments.timeout,
        reconnect: arguments.reconnect,
    }))
}
