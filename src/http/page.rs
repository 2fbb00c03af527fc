//! The page for people, and the files that it is made of.

use super::answer::{self, Answer};
use super::exchange::Exchange;
use super::problem::Problem;
use super::views;
use crate::error::{Code, quoted};
use crate::page::{self, File};
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY};

/// No other page may get a handle on this one, or embed what it loads.
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The page.
///
/// # Errors
/// As for [`asset`].
pub fn index(exchange: &Exchange) -> Result<Answer, Problem> {
    file(exchange, &page::INDEX)
}

/// A file of the page, by its name below `/page/`.
///
/// # Errors
/// 404 if there is no file of this name, 400 for a header that is no text.
pub fn asset(exchange: &Exchange, folder: Option<&str>) -> Result<Answer, Problem> {
    let name = exchange.part("file");
    let name = folder.map_or(name.to_owned(), |folder| format!("{folder}/{name}"));
    let found = page::find(&name).ok_or_else(|| {
        let text = format!("the page has no file {}", quoted(&name));
        Problem::new(StatusCode::NOT_FOUND, Code::UnknownCommand, text)
    })?;
    file(exchange, found)
}

fn file(exchange: &Exchange, file: &File) -> Result<Answer, Problem> {
    let tag = views::tag(None, file.bytes);
    let whole = || answer::whole(StatusCode::OK, file.kind, file.bytes);
    let answer = views::tagged(exchange, &tag, whole)?;
    let answer = answer::with(answer, CONTENT_SECURITY_POLICY, page::POLICY);
    let answer = answer::with(answer, REFERRER_POLICY, "no-referrer");
    let answer = answer::with(answer, OPENER_POLICY, "same-origin");
    Ok(answer::with(answer, RESOURCE_POLICY, "same-origin"))
}
