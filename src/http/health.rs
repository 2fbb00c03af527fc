//! `/livez` and `/readyz`, for supervisors and load balancers; and `/metrics`.

use super::Http;
use super::answer::{self, Answer};
use super::problem::Problem;
use crate::broker::Broker;
use crate::error::{Close, Code, Fault};
use crate::{metrics, runtime};
use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use std::sync::Arc;

/// The answer of `/livez`. That there is one shows that the executor runs.
pub fn live() -> Answer {
    said(StatusCode::OK, "alive\n")
}

/// The answer of `/readyz`: whether the broker takes connections. It does as soon
/// as it listens, until it is sent SIGUSR2 or stops.
pub fn ready(broker: &Broker) -> Answer {
    if broker.is_stopping() {
        said(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if broker.is_draining() {
        said(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        said(StatusCode::OK, "ready\n")
    }
}

/// The broker's metrics. They are collected on another thread, because that looks
/// at everything.
pub async fn metrics(http: Arc<Http>) -> Result<Answer, Problem> {
    let text = runtime::unblock(move || http.metrics.text()).await;
    let text = text.map_err(|_| Fault::new(Code::Internal, "the figures cannot be written"))?;
    Ok(answer::whole(StatusCode::OK, metrics::CONTENT_TYPE, text.into_bytes()))
}

/// The answer to any other request while the broker drains.
pub fn draining() -> Problem {
    let text = "this broker is draining; come back later, or ask another one";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, text);
    match Close::Drain.retry_secs() {
        Some(secs) => problem.with(RETRY_AFTER, HeaderValue::from(secs)),
        None => problem,
    }
}

fn said(status: StatusCode, text: &str) -> Answer {
    answer::whole(status, "text/plain; charset=utf-8", text.as_bytes().to_vec())
}
