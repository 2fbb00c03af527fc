//! Answers with an `ETag`, by which a client that asks again learns whether there is
//! anything new.

use super::answer::{self, Answer};
use super::exchange::Exchange;
use super::problem::Problem;
use crate::error::{Code, Fault};
use crate::speaker::Reading;
use crate::wire::rules::bad;
use hyper::StatusCode;
use hyper::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use xxhash_rust::xxh3::xxh3_64;

/// The answer, or 304 if the client has it already.
///
/// # Errors
/// 400 for a header that is no text.
pub fn answer(exchange: &Exchange, reading: &Reading) -> Result<Answer, Problem> {
    json(exchange, reading.view(), reading.object())
}

/// The same for a JSON object, with the view of the roster that it shows, if any.
///
/// # Errors
/// As for `answer`.
pub fn json(exchange: &Exchange, view: Option<u64>, object: Vec<u8>) -> Result<Answer, Problem> {
    let tag = tag(view, &object);
    tagged(exchange, &tag, || answer::json(StatusCode::OK, object))
}

/// The same for anything that has a tag.
///
/// # Errors
/// As for `answer`.
pub fn tagged(
    exchange: &Exchange,
    tag: &str,
    whole: impl FnOnce() -> Answer,
) -> Result<Answer, Problem> {
    let known = exchange.header(&IF_NONE_MATCH)?;
    let answer = if known.is_some_and(|known| names(known, tag)) {
        answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        whole()
    };
    Ok(answer::with(answer, ETAG, tag))
}

/// The tag of an answer: the view of the roster, if it shows one, and a hash of the
/// content.
pub fn tag(view: Option<u64>, object: &[u8]) -> String {
    let content = xxh3_64(object);
    match view {
        Some(view) => format!("\"{view}-{content:016x}\""),
        None => format!("\"{content:016x}\""),
    }
}

/// The view that `If-Match` makes a condition of the request: the view in the tag
/// of a roster, a channel or a member. The rest of the tag does not count. Of
/// several views it is the channel's current one, if that is among them.
///
/// # Errors
/// 400 for what is no such tag; 412 for weak tags only, which say too little.
pub fn expected(exchange: &Exchange) -> Result<Option<u64>, Problem> {
    let Some(tags) = exchange.header(&IF_MATCH)?.filter(|tags| *tags != "*") else {
        return Ok(None);
    };
    let tags = tags.split(',').map(str::trim);
    let is_weak = tags.clone().any(|tag| tag.starts_with("W/"));
    let views: Vec<u64> = tags.filter_map(view).collect();
    let channel = exchange.http.broker.channel(exchange.part("channel"));
    let now = channel.map_or(0, |channel| channel.top().1);
    match views.iter().find(|view| **view == now).or(views.first()) {
        Some(view) => Ok(Some(*view)),
        None if is_weak => {
            let text = "a weak tag is not enough to change something";
            Err(Fault::new(Code::Fenced, text).into())
        }
        None => Err(bad("If-Match is ETags of a roster, a channel or a member, or *").into()),
    }
}

/// The view in a tag, if there is one.
fn view(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.split('-').next()?.parse().ok()
}

/// Whether a list of tags has this one. A weak tag counts as well.
fn names(list: &str, tag: &str) -> bool {
    let tags = list.split(',').map(str::trim);
    list.trim() == "*"
        || tags.map(|one| one.strip_prefix("W/").unwrap_or(one)).any(|one| one == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_view_and_the_content() {
        let (one, other) = (tag(Some(18), b"{}"), tag(Some(18), b"{ }"));
        assert!(one.starts_with("\"18-") && one.ends_with('"'), "{one}");
        assert_ne!(one, other);
        assert_eq!(one, tag(Some(18), b"{}"));
        assert_ne!(tag(None, b"{}"), one);
        for list in [one.clone(), format!("\"x\", {one}"), format!("W/{one}"), "*".into()] {
            assert!(names(&list, &one), "{list}");
        }
        for list in ["", "\"18\"", "18", "\"*\""] {
            assert!(!names(list, &one), "{list}");
        }
    }
}
