//! The broker's own HTTP client, for URLs that somebody else has named: the
//! callbacks of members and the job `url`.
//!
//! Whoever names a URL decides whom the broker talks to. So a call
//! 1. takes `http` and `https` URLs only ([`target`]),
//! 2. looks the name up once (`resolve`) and judges every address by
//!    [`address`]'s rules,
//! 3. connects to *that* address (`dial`): a name that leads elsewhere a
//!    moment later is not asked again, and no proxy comes in between,
//! 4. does all of this again for each redirect (`redirect`),
//! 5. and has an end: a time for the whole, and a number of bytes for the head
//!    and the body of the answer ([`Limits`]).
//!
//! Nothing is kept between two calls: no connection, no cookie, no cache.

pub mod address;
mod call;
mod dial;
mod error;
mod exchange;
mod redirect;
mod resolve;
pub mod target;

#[cfg(test)]
mod tests;

pub use address::Policy;
pub use call::{Answer, Call, Limits};
pub use error::{ErrorKind, OutboundError};

use crate::runtime;
use dial::Dialler;
use futures_rustls::rustls::RootCertStore;
use resolve::Resolver;
use url::Url;

/// Makes calls under one policy. Cheap to share, but expensive to make (it holds
/// the certificate authorities): one for each policy.
pub struct Outbound {
    resolver: Resolver,
    dialler: Dialler,
}

impl Outbound {
    /// A client that calls what this policy allows, and trusts the certificate
    /// authorities that browsers trust.
    pub fn new(policy: Policy) -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Outbound::with(Resolver::new(policy), roots)
    }

    fn with(resolver: Resolver, roots: RootCertStore) -> Self {
        Outbound { resolver, dialler: Dialler::new(roots) }
    }

    /// Checks that this URL could be called at this moment, as far as can be told
    /// without connecting: its name has an address that may be called. To be called
    /// when somebody names the URL, so that they hear of a problem; it promises
    /// nothing for later, and [`Outbound::send`] judges again.
    ///
    /// # Errors
    /// As [`Outbound::send`], for everything before the connection.
    pub async fn check(&self, url: &Url, limits: &Limits) -> Result<(), OutboundError> {
        let looking = self.resolver.addresses(url);
        let found = runtime::timeout(limits.time, looking).await;
        found.unwrap_or_else(|| Err(too_slow(url, limits)))?;
        Ok(())
    }

    /// Makes one call and returns the answer, whatever its status. Dropping the
    /// future ends the call.
    ///
    /// # Errors
    /// [`OutboundError`] says why there is no answer.
    pub async fn send(&self, call: &Call, limits: &Limits) -> Result<Answer, OutboundError> {
        // Boxed, because it is large, and a caller that calls only now and then
        // would hold its memory all the time.
        let following = Box::pin(self.follow(call, limits));
        let answer = runtime::timeout(limits.time, following).await;
        answer.unwrap_or_else(|| Err(too_slow(&call.url, limits)))
    }

    async fn follow(&self, call: &Call, limits: &Limits) -> Result<Answer, OutboundError> {
        let mut call = call.clone();
        let mut redirects = 0;
        loop {
            let addresses = self.resolver.addresses(&call.url).await?;
            let stream = self.dialler.connect(&call.url, &addresses, limits.connect_time).await?;
            let answer = exchange::exchange(stream, &call, limits).await?;
            let (status, headers) = (answer.status, &answer.headers);
            let Some(to) = redirect::target(&call.method, &call.url, status, headers)? else {
                return Ok(answer);
            };
            redirects += 1;
            if redirects > limits.redirects_max {
                let max = limits.redirects_max;
                let message = format!("it redirects more often than the {max} times followed");
                return Err(OutboundError::new(ErrorKind::Redirect, message));
            }
            call.go_to(to);
        }
    }
}

fn too_slow(url: &Url, limits: &Limits) -> OutboundError {
    let host = url.host_str().unwrap_or_default();
    let message = format!("no whole answer from {host} within {:?}", limits.time);
    OutboundError::new(ErrorKind::Timeout, message)
}
