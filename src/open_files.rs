//! The limit on the open files of this process: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The files that are not for connections, as long as they are no more than half of
/// those allowed: the store keeps up to 128 tables open and has to open more to go
/// on at all, every worker takes three, every callback one.
const RESERVE: u64 = 256;

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
        // the soft limit stays as it was, and `shortage` reports it.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    getrlimit(Resource::Nofile).current
}

/// How many connections there may be under this limit.
pub fn places(limit: Option<u64>) -> usize {
    let places = limit.map_or(u64::MAX, |limit| limit - RESERVE.min(limit / 2));
    usize::try_from(places).unwrap_or(usize::MAX)
}

/// How many connections there may be under the limit in force.
pub fn places_now() -> usize {
    places(getrlimit(Resource::Nofile).current)
}

/// The fields of a log event that says what to do, if the limit does not allow
/// `max_clients`.
pub fn shortage(limit: Option<u64>, max_clients: usize) -> Option<String> {
    let places = places(limit);
    let open = limit?;
    (places < max_clients).then(|| {
        format!(
            "open={open} clients={places} max-clients={max_clients} advice=\"raise the hard limit \
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
        assert_eq!(shortage(Some(1_024), 768), None);
        let told = shortage(Some(1_023), 768).unwrap();
        assert!(told.starts_with("open=1023 clients=767 max-clients=768 advice="), "{told}");
        assert!(!told.contains('\n'));
        assert_eq!(shortage(None, usize::MAX), None);
        assert!(shortage(Some(u64::MAX - 1), usize::MAX).is_some());
    }

    #[test]
    fn connections_leave_half_of_a_low_limit_to_the_rest() {
        let places_of = |limit| places(Some(limit));
        assert_eq!([0, 1, 64, 511, 512, 513].map(places_of), [0, 1, 32, 256, 256, 257]);
        assert_eq!(places(None), usize::MAX);
    }
}
