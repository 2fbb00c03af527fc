//! The resources that this process takes.

use std::fs;

/// Its memory in bytes (the resident set), if the system reports it.
pub fn memory_bytes() -> Option<u64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Parses the resident set from Linux' status of a process, lines of `Key:  value`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    5432 kB\nThreads:\t1\n"), Some(5432 * 1024));
        for other in ["", "VmRSS:\t5432\n", "VmRSS: much kB\n", "VmRSS: 18446744073709551615 kB\n"]
        {
            assert_eq!(resident(other), None, "{other:?}");
        }
        assert_eq!(memory_bytes().is_some(), cfg!(target_os = "linux"));
    }
}
