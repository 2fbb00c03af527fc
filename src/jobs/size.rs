//! The job `url URL`: how many bytes the resource has.

use super::{Desk, Given, Job, Parameter, Say};
use crate::error::{Code, Fault};
use crate::outbound::{Answer, Call, ErrorKind, Limits, Outbound, OutboundError, Policy, target};
use crate::request::Usage;
use crate::runtime;
use hyper::{Method, header};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most bytes that are counted, if the server does not tell the size.
const COUNTED_MAX: u64 = 256 * 1024 * 1024;
/// The longest that it may take, if jobs may run that long.
const TIME_MAX: Duration = Duration::from_secs(30);

const PARAMETERS: &[Parameter] = &[Parameter::word("url")];

/// The job.
pub struct Size;

/// The input for its worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    url: String,
    /// The networks that may be called although they are not public.
    allow: Vec<String>,
    time: Duration,
}

impl Job for Size {
    type Task = Task;

    fn usage(&self) -> Usage {
        Usage::new("url", "[--to MEMBER] URL", "a job: the size of the resource")
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn prepare(&self, given: Given<'_>, desk: &dyn Desk) -> Result<Task, Fault> {
        let url = target::parse(given.text("url")?)
            .map_err(|e| Fault::new(Code::BadRequest, e.message))?;
        let allow = desk.allowed_networks().iter().map(IpNet::to_string).collect();
        // Shorter than the job may run, so that a slow server is reported as such,
        // and the job not killed.
        let time = (desk.job_time() * 9 / 10).min(TIME_MAX);
        Ok(Task { url: url.into(), allow, time })
    }

    fn run(&self, task: Task, _say: Say<'_>) -> Result<String, String> {
        let allow = task.allow.iter().filter_map(|network| network.parse().ok()).collect();
        let outbound = Outbound::new(Policy { allow, setting: "--allow-url" });
        let measuring = Box::pin(runtime::timeout(task.time, measure(&outbound, &task)));
        let measured = runtime::block_on(measuring);
        measured.unwrap_or_else(|| Err(format!("no answer within {:?}", task.time)))
    }
}

/// Asks for the size, and counts the bytes if the server does not tell it.
async fn measure(outbound: &Outbound, task: &Task) -> Result<String, String> {
    match ask(outbound, task, Method::HEAD).await {
        Ok(head) if head.status.is_success() => {
            if let Some(size) = told_size(&head) {
                return Ok(result(size, "head", &head));
            }
        }
        // A server that does not know HEAD may say so or just hang up.
        Ok(_) => {}
        Err(e) if e.kind == ErrorKind::Broken => {}
        Err(e) => return Err(in_words(&e)),
    }
    let got = ask(outbound, task, Method::GET).await.map_err(|e| in_words(&e))?;
    if !got.status.is_success() {
        return Err(format!("{} answers {}", got.url, got.status));
    }
    if !got.whole {
        return Err(format!("{} has more than the {COUNTED_MAX} bytes that are counted", got.url));
    }
    Ok(result(got.body_bytes, "get", &got))
}

async fn ask(outbound: &Outbound, task: &Task, method: Method) -> Result<Answer, OutboundError> {
    let limits = Limits {
        time: task.time,
        body_bytes_max: COUNTED_MAX,
        kept_bytes_max: 0,
        ..Limits::default()
    };
    outbound.send(&Call::new(method, &task.url)?, &limits).await
}

fn in_words(error: &OutboundError) -> String {
    format!("{}: {}", error.kind.as_str(), error.message)
}

fn told_size(answer: &Answer) -> Option<u64> {
    let mut sizes = answer.headers.get_all(header::CONTENT_LENGTH).iter();
    let size = sizes.next()?.to_str().ok()?.parse().ok()?;
    sizes.next().is_none().then_some(size)
}

fn result(size: u64, by: &str, answer: &Answer) -> String {
    format!("bytes={size} by={by} url={}", answer.url)
}
