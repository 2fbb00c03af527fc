//! From a URL's host to the addresses that may be connected to.

use super::address::Policy;
use super::error::{Kind, OutboundError};
use super::target;
use crate::runtime;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use url::{Host, Url};

/// Look-ups under way at once. The system's resolver may keep a thread for
/// half a minute, whatever the call's own time limit is, and the threads that
/// there are at most (256) are shared with everything else that blocks.
const LOOKUPS_MAX: usize = 128;
/// Addresses of one name that are tried at most.
const ADDRESSES_MAX: usize = 8;

/// What turns a name into addresses; blocking.
type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Looks names up, and lets only those addresses through that may be called.
pub(super) struct Resolver {
    policy: Policy,
    lookup: Arc<Lookup>,
    under_way: Arc<AtomicUsize>,
}

impl Resolver {
    /// One that asks the system.
    pub(super) fn new(policy: Policy) -> Self {
        Resolver::with(policy, |name| {
            Ok((name, 0).to_socket_addrs()?.map(|addr| addr.ip()).collect())
        })
    }

    /// One that asks this.
    pub(super) fn with(
        policy: Policy,
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        Resolver { policy, lookup: Arc::new(lookup), under_way: Arc::default() }
    }

    /// Where to connect to for this URL: at least one address, each of which
    /// may be called. The name is looked up here, once, and never again: what
    /// it leads to a moment later does not matter.
    ///
    /// # Errors
    /// [`Kind::Refused`] if none may be called, [`Kind::Unresolved`],
    /// [`Kind::Busy`].
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
                OutboundError::new(Kind::Refused, format!("host {host} is not called: {why}"))
            }
            None => OutboundError::new(Kind::Unresolved, format!("host {host} has no address")),
        })
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, OutboundError> {
        let Some(counted) = Counted::one_more(&self.under_way) else {
            let message = "too many names are being looked up already; try again later";
            return Err(OutboundError::new(Kind::Busy, message));
        };
        let (lookup, asked) = (self.lookup.clone(), name.to_string());
        let found = runtime::unblock(move || {
            // Held until the thread is free again, even if nobody waits for it.
            let _counted = counted;
            lookup(&asked)
        });
        found.await.map_err(|e| {
            OutboundError::new(Kind::Unresolved, format!("host {name} cannot be looked up: {e}"))
        })
    }
}

/// One look-up under way.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one_more(under_way: &Arc<AtomicUsize>) -> Option<Counted> {
        let counted = Counted(under_way.clone());
        // Counted down again by its drop if it was one too many.
        (under_way.fetch_add(1, Ordering::Relaxed) < LOOKUPS_MAX).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
        assert_eq!(refused.kind, Kind::Refused);
        assert!(
            refused.message.contains("it is at a private address")
                && !refused.message.contains("10.0.0.1"),
            "{refused}"
        );
        let none = addresses(&resolver(&[]), "http://a.test/").unwrap_err();
        assert_eq!(none.kind, Kind::Unresolved);
    }

    #[test]
    fn an_address_is_not_looked_up() {
        let never = Resolver::with(Policy::default(), |name| panic!("looked up {name}"));
        for url in ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/"] {
            assert_eq!(addresses(&never, url).unwrap_err().kind, Kind::Refused, "{url}");
        }
        assert_eq!(addresses(&never, "http://8.8.8.8:81/").unwrap(), ["8.8.8.8:81"]);
    }

    #[test]
    fn this_machine_by_its_name_is_refused() {
        let system = Resolver::new(Policy { allow: Vec::new(), setting: "--allow" });
        for url in ["http://localhost/", "http://LOCALHOST:8080/", "http://localhost./"] {
            // Not every resolver knows the last one.
            let kind = addresses(&system, url).unwrap_err().kind;
            assert!(matches!(kind, Kind::Refused | Kind::Unresolved), "{url}: {kind:?}");
        }
        assert_eq!(addresses(&system, "http://localhost/").unwrap_err().kind, Kind::Refused);
    }

    #[test]
    fn look_ups_are_bounded_and_counted_down() {
        let under_way = Arc::new(AtomicUsize::new(0));
        let all: Vec<Counted> =
            (0..LOOKUPS_MAX).map(|_| Counted::one_more(&under_way).unwrap()).collect();
        assert!(Counted::one_more(&under_way).is_none());
        drop(all);
        assert_eq!(under_way.load(Ordering::Relaxed), 0);
    }
}
