//! The broker: arguments, environment and file to a `Config`, then the server.
#![forbid(unsafe_code)]

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use ranked_broker::{config, events, open_files, server};

fn main() -> ExitCode {
    let loaded = match config::load(env::args_os(), env::vars_os()) {
        Ok(loaded) => loaded,
        Err(halt) => return halt.report().into(),
    };
    if loaded.show {
        // Whoever reads it may stop early, as `head` does.
        let _ = io::stdout().write_all(loaded.show_config().as_bytes());
        return ExitCode::SUCCESS;
    }
    if let Err(error) = events::start(loaded.config.log_format) {
        eprintln!("broker: cannot log events: {error}");
        return ExitCode::FAILURE;
    }
    let chosen = loaded.is_chosen("max-clients");
    if let Some(shortage) = open_files::shortage(open_files::raise(), loaded.config.max_clients) {
        // Who left the limit at its default asked for nothing that is missing.
        let level = if chosen { log::Level::Warn } else { log::Level::Info };
        log::log!(level, "event=few-files {shortage}");
    }
    let ended = server::run(loaded.config);
    events::flush();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
}
