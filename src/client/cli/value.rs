//! The values of arguments.

use crate::config;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

/// How many members a demonstration has: not more than can be watched.
///
/// # Errors
/// What the value must be.
pub fn members(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=100) => Ok(number),
        _ => Err("it must be a number from 1 to 100".into()),
    }
}

/// A port.
///
/// # Errors
/// What the value must be.
pub fn port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| "write a whole number from 1 to 65535".into())
}

/// A number of things of which there is at least one.
///
/// # Errors
/// What the value must be.
pub fn count(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "write a whole number above 0".into())
}

/// How long a sequence of numbers is.
///
/// # Errors
/// What the value must be.
pub fn length(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "write a whole number from 0 to 65535".into())
}

/// A time, written as in the broker's settings.
///
/// # Errors
/// What the value must be.
pub fn time(text: &str) -> Result<Duration, String> {
    config::time(text).ok_or_else(|| format!("it must be {}", config::TIME))
}

/// As [`time()`], but above zero.
///
/// # Errors
/// What the value must be.
pub fn duration(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if time.is_zero() { Err("it must be above 0".into()) } else { Ok(time) }
}

/// The name of a command, and the program that is run for it.
///
/// # Errors
/// What the value must be.
pub fn program(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, program)) if !name.is_empty() && !program.is_empty() => {
            Ok((name.trim_start_matches('/').to_owned(), program.into()))
        }
        _ => Err("it must be NAME=PROGRAM, for instance restart=/usr/local/bin/restart".into()),
    }
}

/// A name for which there is more than one program.
pub fn named_twice(programs: &[(String, PathBuf)]) -> Option<&str> {
    let mut names = HashSet::new();
    programs.iter().map(|(name, _)| name.as_str()).find(|name| !names.insert(*name))
}
