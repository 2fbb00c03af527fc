//! The load generator; [`mod@bench`] does the work.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod bench;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use bench::arguments::{Arguments, run};
    use clap::Parser;

    run(Arguments::parse())
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("broker-bench: runs on Linux only; it can measure a broker elsewhere from there");
    ExitCode::FAILURE
}
