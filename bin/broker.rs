//! The broker: arguments, environment and file to a `Config`, then the server.
#![forbid(unsafe_code)]

use std::env;
use std::process::ExitCode;

use ranked_broker::printed::{self, complain};
use ranked_broker::workers::worker;
use ranked_broker::{config, events, file_size, open_files, service};

fn main() -> ExitCode {
    // A system without that signal has no need of it.
    let _ = file_size::fail_beyond_limit();
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == worker::ARGUMENT) {
        let words = arguments.map(|word| word.to_string_lossy().into_owned());
        return worker::run(&words.collect::<Vec<_>>()).into();
    }
    // First of all: it changes the environment, and so there may be no threads.
    let sockets = service::given_sockets();
    let loaded = match config::load(env::args_os(), env::vars_os()) {
        Ok(loaded) => loaded,
        Err(halt) => return halt.report().into(),
    };
    if loaded.show {
        return printed::print("broker", loaded.show_config().as_bytes()).into();
    }
    if let Err(error) = events::start(loaded.config.log_format) {
        complain("broker", format_args!("cannot log events: {error}"));
        return ExitCode::FAILURE;
    }
    let chosen = loaded.is_chosen("max-clients");
    if let Some(shortage) = open_files::shortage(open_files::raise(), loaded.config.max_clients) {
        // With the default limit, nobody has asked for what is missing.
        let level = if chosen { log::Level::Warn } else { log::Level::Info };
        log::log!(level, "event=few-files {shortage}");
    }
    if let Some(cut) = loaded.cut_lease() {
        log::warn!("event=lease-cut {cut}");
    }
    let read_again = || Ok(config::load(env::args_os(), env::vars_os())?.config);
    let ended = sockets.and_then(|sockets| service::run(loaded.config, sockets, read_again));
    events::flush();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain("broker", error);
            ExitCode::FAILURE
        }
    }
}
