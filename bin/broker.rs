//! The broker: arguments, environment and file to a `Config`, then the server.
#![forbid(unsafe_code)]

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use log::Record;
use ranked_broker::workers::worker;
use ranked_broker::{config, open_files, server};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == worker::ARGUMENT) {
        let words = arguments.map(|word| word.to_string_lossy().into_owned());
        return worker::run(&words.collect::<Vec<_>>()).into();
    }
    let loaded = match config::load(env::args_os(), env::vars_os()) {
        Ok(loaded) => loaded,
        Err(halt) => return halt.report().into(),
    };
    if loaded.show {
        // Whoever reads it may stop early, as `head` does.
        let _ = io::stdout().write_all(loaded.show_config().as_bytes());
        return ExitCode::SUCCESS;
    }
    start_log();
    let chosen = loaded.is_chosen("max-clients");
    if let Some(warning) = open_files::shortage(open_files::raise(), loaded.config.max_clients) {
        // Who left the limit at its default asked for nothing that is missing.
        let level = if chosen { log::Level::Warn } else { log::Level::Info };
        log::log!(level, "{warning}");
    }
    match server::run(loaded.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Events go to the standard error, `RUST_LOG` says which (default: info and
/// above; the storage engine's own only if they are warnings, or if it is named:
/// `RUST_LOG=info,fjall=info`). Coloured only on a terminal, and not if
/// `NO_COLOR` is set.
fn start_log() {
    env_logger::Builder::new()
        .filter_module("fjall", log::LevelFilter::Warn)
        .filter_module("lsm_tree", log::LevelFilter::Warn)
        .parse_env(env_logger::Env::default().default_filter_or("info"))
        .format(write_event)
        .init();
}

fn write_event(out: &mut env_logger::fmt::Formatter, record: &Record<'_>) -> io::Result<()> {
    let (time, level) = (out.timestamp_millis(), record.level());
    let style = out.default_level_style(level);
    let mut text = one_line(&record.args().to_string());
    if !["broker", "ranked_broker"].iter().any(|own| record.target().starts_with(own)) {
        text = format!("event=library name={} text={text:?}", record.target());
    }
    writeln!(out, "{time} {style}{level:5}{style:#} {text}")
}

/// The message with its control characters written out, so that what a
/// stranger sends can neither begin a second event nor move a terminal's cursor.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(one_line("a\nb\r\tc\u{1b}[2J \u{9b}"), r"a\nb\r\tc\u{1b}[2J \u{9b}");
        assert_eq!(one_line("größer \\ 'ok'"), "größer \\ 'ok'");
    }
}
