//! What is said when the engine panics.
//!
//! It does that on some kinds of damage which it does not foresee. The process
//! then ends, as with every panic; but whoever runs it has to hear which
//! directory it was and what to do.

use super::OpenError;
use std::backtrace::Backtrace;
use std::panic::{self, PanicHookInfo};
use std::path::{Path, PathBuf};

/// The crates of the engine, as they appear in paths of sources and of functions.
const ENGINE: [&str; 6] = ["/fjall-", "/lsm-tree-", "/sfa-", "fjall::", "lsm_tree::", "sfa::"];

/// What a panic means for this directory, if it is one of the engine's, or of
/// something that the engine has called.
pub fn engine_panic(dir: &Path, info: &PanicHookInfo<'_>) -> Option<OpenError> {
    let is_engines = |text: &str| ENGINE.iter().any(|name| text.contains(name));
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    if !is_engines(&place) && !is_engines(&Backtrace::force_capture().to_string()) {
        return None;
    }
    let what = info.payload();
    let text = what.downcast_ref::<&str>().copied();
    let text = text.or_else(|| what.downcast_ref::<String>().map(String::as_str));
    let what = text.unwrap_or("no reason given");
    let reason = format!("the storage engine cannot go on: {what:?} at {place}");
    Some(OpenError::Damaged { dir: dir.to_owned(), reason })
}

/// Installs a panic hook that says so and ends the process when the engine panics.
/// Other panics end as they always do.
pub fn explain_panics(dir: PathBuf) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| match engine_panic(&dir, info) {
        Some(error) => {
            // The log lines before it tell how it came to this.
            log::logger().flush();
            eprintln!("broker: {error}");
            std::process::exit(1);
        }
        None => before(info),
    }));
}
