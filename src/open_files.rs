//! How many files this process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the broker needs besides its clients: the standard streams, the
/// listener, the reactor, and some to spare for files.
const RESERVE: u64 = 32;

/// Raises the soft limit on open files to the hard limit, as far as the system
/// lets it, and returns the limit in force; `None` is no limit.
///
/// The soft limit is kept at 1024 everywhere for the sake of programs that use
/// `select`; this one does not.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // Some systems have a lower bound of their own than the hard limit; then
        // the soft limit stays as it was, and `shortage` tells of it.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    getrlimit(Resource::Nofile).current
}

/// The fields of an event that says what to do, if the limit does not allow
/// `max_clients`.
pub fn shortage(limit: Option<u64>, max_clients: usize) -> Option<String> {
    let limit = limit?;
    let needed = u64::try_from(max_clients).unwrap_or(u64::MAX).saturating_add(RESERVE);
    (limit < needed).then(|| {
        format!(
            "open={limit} needed={needed} max-clients={max_clients} advice=\"raise the hard limit \
             (`ulimit -Hn`, systemd `LimitNOFILE=`, docker `--ulimit nofile=`) or lower --max-clients\""
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_reaches_the_hard_limit_and_may_be_repeated() {
        let raised = raise();
        assert_eq!(raised, getrlimit(Resource::Nofile).maximum);
        assert_eq!(raise(), raised);
    }

    #[test]
    fn a_shortage_is_told_one_past_the_edge() {
        assert_eq!(shortage(Some(132), 100), None);
        let told = shortage(Some(131), 100).unwrap();
        assert!(told.starts_with("open=131 needed=132 max-clients=100 advice="), "{told}");
        assert!(!told.contains('\n'));
        assert_eq!(shortage(None, usize::MAX), None);
        assert!(shortage(Some(u64::MAX - 1), usize::MAX).is_some());
    }
}
