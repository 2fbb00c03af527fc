//! One request and its answer, on a connection of its own.

use super::call::{Answer, Call, Limits};
use super::dial::Duplex;
use super::error::{ErrorKind, OutboundError};
use crate::hyper_io::Stream;
use bytes::Bytes;
use futures::future::{Either, select};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT_ENCODING, CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use std::pin::pin;
use url::{Position, Url};

const AGENT: &str = concat!("ranked-broker/", env!("CARGO_PKG_VERSION"));

/// The smallest buffer that hyper accepts.
const BUFFER_BYTES: usize = 8 * 1024;
/// The most headers that an answer may have.
const HEADERS_MAX: usize = 100;

/// Sends the call over this connection, and reads the answer.
///
/// # Errors
/// [`ErrorKind::Broken`] if there is no answer; [`ErrorKind::BadUrl`] if the URL
/// cannot be put into a request.
pub(super) async fn exchange(
    stream: Box<dyn Duplex>,
    call: &Call,
    limits: &Limits,
) -> Result<Answer, OutboundError> {
    let request = request(call)?;
    let shaken = http1::Builder::new()
        .max_buf_size(limits.head_bytes_max.max(BUFFER_BYTES))
        .max_header_size(limits.head_bytes_max)
        .max_headers(HEADERS_MAX)
        .handshake(Stream::new(stream, Vec::new()));
    let (sender, connection) = shaken.await.map_err(|e| broken(&e))?;
    // `connection` moves the bytes, `asking` the request and the answer. Both are
    // polled here, so that dropping this call ends all of it.
    let asking = pin!(ask(sender, request, &call.url, limits));
    match select(asking, connection).await {
        Either::Left((answer, _)) => answer,
        // What has been read of the answer can still be used.
        Either::Right((_, asking)) => asking.await,
    }
}

fn request(call: &Call) -> Result<Request<Full<Bytes>>, OutboundError> {
    let unsendable = |what: &str| {
        OutboundError::new(
            ErrorKind::BadUrl,
            format!("the URL's {what} cannot be sent in a request"),
        )
    };
    let url = &call.url;
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| unsendable("path"))?;
    let headers = request.headers_mut();
    headers.clone_from(&call.headers);
    headers.insert(HOST, HeaderValue::from_str(authority).map_err(|_| unsendable("host"))?);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

async fn ask(
    mut sender: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    url: &Url,
    limits: &Limits,
) -> Result<Answer, OutboundError> {
    let (head, body) = sender.send_request(request).await.map_err(|e| broken(&e))?.into_parts();
    let mut answer = Answer {
        url: url.clone(),
        status: head.status,
        headers: head.headers,
        body: Vec::new(),
        body_bytes: 0,
        whole: false,
    };
    if !answer.status.is_redirection() {
        read(body, &mut answer, limits).await?;
    }
    Ok(answer)
}

/// Reads the body to its end, or until it is too long.
async fn read(
    mut body: Incoming,
    answer: &mut Answer,
    limits: &Limits,
) -> Result<(), OutboundError> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|e| broken(&e))?.into_data() else { continue };
        answer.body_bytes += data.len() as u64;
        let room = limits.kept_bytes_max - answer.body.len();
        answer.body.extend_from_slice(&data[..room.min(data.len())]);
        if answer.body_bytes > limits.body_bytes_max {
            return Ok(());
        }
    }
    answer.whole = true;
    Ok(())
}

fn broken(error: &hyper::Error) -> OutboundError {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let message = format!("no whole answer came: {error}{}", cause.unwrap_or_default());
    OutboundError::new(ErrorKind::Broken, message)
}
