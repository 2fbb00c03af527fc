//! From a URL's host to the addresses that may be connected to.

use super::address::Policy;
use super::error::{ErrorKind, OutboundError};
use super::target;
use crate::permits::Permits;
use crate::runtime;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use url::{Host, Url};

/// The most look-ups at once. The system's resolver may keep a thread for half a
/// minute, whatever the call's own time limit is, and the blocking threads (at most
/// 256) are shared with everything else that blocks.
const LOOKUPS_MAX: usize = 128;
/// How many addresses of one name are tried.
const ADDRESSES_MAX: usize = 8;

/// Turns a name into addresses; blocking.
type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Looks up names, and lets through only those addresses that may be called.
pub(super) struct Resolver {
    policy: Policy,
    lookup: Arc<Lookup>,
    under_way: Permits,
}

impl Resolver {
    /// A resolver that asks the system.
    pub(super) fn new(policy: Policy) -> Self {
        Resolver::with(policy, |name| {
            Ok((name, 0).to_socket_addrs()?.map(|addr| addr.ip()).collect())
        })
    }

    /// A resolver that asks `lookup`.
    pub(super) fn with(
        policy: Policy,
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        Resolver { policy, lookup: Arc::new(lookup), under_way: Permits::default() }
    }

    /// The addresses to connect to for this URL: at least one, each of which may be
    /// called. The name is looked up here, once, and never again, so it does not
    /// matter what it resolves to a moment later.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if none may be called, [`ErrorKind::Unresolved`],
    /// [`ErrorKind::Busy`].
    pub(super) async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, OutboundError> {
        let found = match url.host() {
            Some(Host::Ipv4(addr)) => vec![IpAddr::V4(addr)],
            Some(Host::Ipv6(addr)) => vec![IpAddr::V6(addr)],
            Some(Host::Domain(name)) => self.look_up(name).await?,
            None => Vec::new(),
        };
        let port = target::port(url);
        let mut allowed = Vec::new();
        let mut why = None;
        for addr in found {
            match self.policy.judge(addr) {
                Ok(addr) => allowed.push(SocketAddr::new(addr, port)),
                Err(refusal) => why = why.or(Some(refusal)),
            }
        }
        allowed.truncate(ADDRESSES_MAX);
        if !allowed.is_empty() {
            return Ok(allowed);
        }
        let host = url.host_str().unwrap_or_default();
        Err(match why {
            Some(why) => {
                OutboundError::new(ErrorKind::Refused, format!("host {host} is not called: {why}"))
            }
            None => {
                OutboundError::new(ErrorKind::Unresolved, format!("host {host} has no address"))
            }
        })
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, OutboundError> {
        let Some(permit) = self.under_way.take(LOOKUPS_MAX) else {
            let message = "too many names are being looked up already; try again later";
            return Err(OutboundError::new(ErrorKind::Busy, message));
        };
        let (lookup, asked) = (self.lookup.clone(), name.to_string());
        let found = runtime::unblock(move || {
            // Held until the thread is free again, even if nobody waits for the
            // result.
            let _permit = permit;
            lookup(&asked)
        });
        found.await.map_err(|e| {
            OutboundError::new(
                ErrorKind::Unresolved,
                format!("host {name} cannot be looked up: {e}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(found: &'static [&'static str]) -> Resolver {
        let policy = Policy { allow: Vec::new(), setting: "--allow" };
        Resolver::with(policy, |_| Ok(found.iter().map(|addr| addr.parse().unwrap()).collect()))
    }

    fn addresses(resolver: &Resolver, url: &str) -> Result<Vec<String>, OutboundError> {
        let found = runtime::block_on(resolver.addresses(&target::parse(url).unwrap()));
        found.map(|found| found.iter().map(SocketAddr::to_string).collect())
    }

    #[test]
    fn of_a_mixed_answer_only_what_may_be_called() {
        let mixed = resolver(&["127.0.0.1", "8.8.8.8", "::1", "2606:4700::1", "::ffff:9.9.9.9"]);
        assert_eq!(
            addresses(&mixed, "https://mixed.test/").unwrap(),
            ["8.8.8.8:443", "[2606:4700::1]:443", "9.9.9.9:443"]
        );
        let refused = addresses(&resolver(&["10.0.0.1", "::1"]), "http://a.test/").unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Refused);
        assert!(
            refused.message.contains("it is at a private address")
                && !refused.message.contains("10.0.0.1"),
            "{refused}"
        );
        let none = addresses(&resolver(&[]), "http://a.test/").unwrap_err();
        assert_eq!(none.kind, ErrorKind::Unresolved);
    }

    #[test]
    fn an_address_is_not_looked_up() {
        let never = Resolver::with(Policy::default(), |name| panic!("looked up {name}"));
        for url in ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/"] {
            assert_eq!(addresses(&never, url).unwrap_err().kind, ErrorKind::Refused, "{url}");
        }
        assert_eq!(addresses(&never, "http://8.8.8.8:81/").unwrap(), ["8.8.8.8:81"]);
    }

    #[test]
    fn this_machine_by_its_name_is_refused() {
        let system = Resolver::new(Policy { allow: Vec::new(), setting: "--allow" });
        for url in ["http://localhost/", "http://LOCALHOST:8080/", "http://localhost./"] {
            // Not every resolver knows the last one.
            let kind = addresses(&system, url).unwrap_err().kind;
            assert!(matches!(kind, ErrorKind::Refused | ErrorKind::Unresolved), "{url}: {kind:?}");
        }
        assert_eq!(addresses(&system, "http://localhost/").unwrap_err().kind, ErrorKind::Refused);
    }

    #[test]
    fn look_ups_are_bounded_and_counted_down() {
        let resolver = resolver(&["9.9.9.9"]);
        let others: Vec<_> =
            (1..LOOKUPS_MAX).map(|_| resolver.under_way.take(LOOKUPS_MAX).unwrap()).collect();
        let url = "http://somewhere/";
        assert!(addresses(&resolver, url).is_ok(), "the last one that may be");
        let last = resolver.under_way.take(LOOKUPS_MAX).expect("it is over");
        assert_eq!(addresses(&resolver, url).unwrap_err().kind, ErrorKind::Busy);
        drop((others, last));
        assert!(addresses(&resolver, url).is_ok());
    }
}
