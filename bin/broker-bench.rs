//! The load generator; [`ranked_broker::bench`] does the work.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use clap::Parser;
    use ranked_broker::bench::arguments::{Arguments, run};

    run(Arguments::parse())
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("broker-bench: runs on Linux only; it can measure a broker elsewhere from there");
    ExitCode::FAILURE
}
