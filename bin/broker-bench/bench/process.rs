//! What the broker's process, and this one, have used: told by /proc.

use super::error::{Error, Result};
use super::units::{SECOND, now};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Clock ticks a second in /proc/PID/stat: the same on all Linux machines.
const TICKS: u64 = 100;
const PAGE: u64 = 4096;
/// `/proc/net/tcp`'s word for a socket that listens.
const LISTENS: &str = "0A";

/// What has been used up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// The moment.
    pub at: u64,
    /// CPU time of the broker, if its process is known.
    pub broker: Option<u64>,
    /// How long the broker's threads waited for a core that was busy.
    pub broker_waited: u64,
    /// CPU time of this process.
    pub own: u64,
    /// How long its threads waited for a core.
    pub own_waited: u64,
}

impl Usage {
    /// What was used since `then`.
    #[must_use]
    pub fn since(self, then: Usage) -> Usage {
        let broker = self.broker.zip(then.broker);
        Usage {
            at: self.at - then.at,
            broker: broker.map(|(now, then)| now.saturating_sub(then)),
            broker_waited: self.broker_waited.saturating_sub(then.broker_waited),
            own: self.own.saturating_sub(then.own),
            own_waited: self.own_waited.saturating_sub(then.own_waited),
        }
    }
}

/// The broker's process and those that it has started; or nothing, if the
/// broker is on another machine.
#[derive(Clone, Copy, Debug)]
pub struct Process(Option<u32>);

impl Process {
    /// The process with this number.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(pid: u32) -> Result<Self> {
        if Path::new(&format!("/proc/{pid}/task")).is_dir() {
            Ok(Process(Some(pid)))
        } else {
            Err(Error::Usage(format!("--pid {pid}: no such process on this machine")))
        }
    }

    /// The process that listens at this address, if it is on this machine and may be
    /// looked at.
    pub fn listening(address: SocketAddr) -> Self {
        let socket = listening_socket(address);
        Process(socket.and_then(|inode| owner(&format!("socket:[{inode}]"))))
    }

    /// Whether it is known.
    pub fn is_known(self) -> bool {
        self.0.is_some()
    }

    fn all(self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.0.into_iter().collect();
        let mut at = 0;
        while at < pids.len() {
            for thread in threads(pids[at]) {
                let path = format!("/proc/{}/task/{thread}/children", pids[at]);
                let children = fs::read_to_string(path).unwrap_or_default();
                pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
            at += 1;
        }
        pids
    }

    /// What it and this process have used so far.
    pub fn usage(self) -> Usage {
        let me = std::process::id();
        let broker: Vec<(u64, u64)> = self.all().into_iter().map(cpu).collect();
        let own = clock_gettime(ClockId::ProcessCPUTime);
        Usage {
            at: now(),
            broker: self.is_known().then(|| broker.iter().map(|(ran, _)| ran).sum()),
            broker_waited: broker.iter().map(|(_, waited)| waited).sum(),
            own: unsigned(own.tv_sec) * SECOND + unsigned(own.tv_nsec),
            own_waited: cpu(me).1,
        }
    }

    /// Its memory now, in bytes: what is resident.
    pub fn memory(self) -> Option<u64> {
        let resident = |pid| {
            // `smaps_rollup` adds up the pages; `statm` lags behind by some on each
            // thread.
            let exact = kib(pid, "smaps_rollup", "Rss:");
            exact.map_or_else(|| resident_pages(pid) * PAGE, |kib| kib * 1024)
        };
        self.is_known().then(|| self.all().into_iter().map(resident).sum())
    }

    /// The most memory it has had since `forget_peak`, in bytes.
    pub fn memory_peak(self) -> Option<u64> {
        let peak = |pid| kib(pid, "status", "VmHWM:").unwrap_or(0) * 1024;
        self.is_known().then(|| self.all().into_iter().map(peak).sum())
    }

    /// Resets the peak, where this user may do that.
    pub fn forget_peak(self) {
        for pid in self.all() {
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn threads(pid: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// How long all threads of a process ran and waited for a core. Threads that have ended
/// are not included, but no broker here ends threads under load. Where the kernel does
/// not tell, this is what `ps` shows, to the hundredth of a second.
fn cpu(pid: u32) -> (u64, u64) {
    let (mut ran, mut waited, mut is_told) = (0, 0, false);
    for thread in threads(pid) {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat"));
        let Ok(text) = text else { continue };
        let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        if let (Some(run), Some(wait)) = (numbers.next(), numbers.next()) {
            (ran, waited, is_told) = (ran + run, waited + wait, true);
        }
    }
    if is_told { (ran, waited) } else { (ticks(pid) * (SECOND / TICKS), 0) }
}

fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, which may hold anything, is in parentheses; times are the 14th
    // and 15th field, the 12th and 13th behind it.
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    behind.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum()
}

fn resident_pages(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn kib(pid: u32, file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The inode of the socket that listens at this address, or at all of them.
fn listening_socket(address: SocketAddr) -> Option<String> {
    let tables = match address.ip() {
        IpAddr::V4(_) => ["/proc/net/tcp", "/proc/net/tcp6"],
        IpAddr::V6(_) => ["/proc/net/tcp6", "/proc/net/tcp"],
    };
    let wanted = [
        written(address),
        written((Ipv4Addr::UNSPECIFIED, address.port()).into()),
        written((Ipv6Addr::UNSPECIFIED, address.port()).into()),
    ];
    if !is_of_this_machine(address.ip()) {
        return None;
    }
    tables.iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listens = fields.get(3) == Some(&LISTENS);
            let is_it =
                listens && wanted.iter().any(|wanted| fields.get(1) == Some(&wanted.as_str()));
            is_it.then(|| fields.get(9).map(|inode| (*inode).to_string()))?
        })
    })
}

/// Whether this machine has an address: only then it can be bound to.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// An address as `/proc/net/tcp` writes it: each word of four bytes in the
/// machine's own order.
fn written(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().unwrap_or([0; 4]);
        format!("{:08X}", u32::from_ne_bytes(bytes))
    };
    let ip: String = match address.ip() {
        IpAddr::V4(ip) => word(&ip.octets()),
        IpAddr::V6(ip) => ip.octets().chunks(4).map(word).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

/// The process that has this open.
fn owner(link: &str) -> Option<u32> {
    let entries = fs::read_dir("/proc").ok()?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut owners: Vec<u32> = pids.filter(|pid| has_open(*pid, link).unwrap_or(false)).collect();
    // Of several that inherited a socket, the eldest is the parent of the others.
    owners.sort_unstable();
    owners.first().copied()
}

fn has_open(pid: u32, link: &str) -> io::Result<bool> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))?;
    Ok(files
        .flatten()
        .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == link)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn who_listens_is_found() {
        for host in ["127.0.0.1:0", "0.0.0.0:0", "127.0.0.7:0"] {
            let listener = TcpListener::bind(host).unwrap();
            let mut address = listener.local_addr().unwrap();
            if address.ip().is_unspecified() {
                address.set_ip(Ipv4Addr::LOCALHOST.into());
            }
            assert_eq!(Process::listening(address).0, Some(std::process::id()), "{host}");
            drop(listener);
            assert!(!Process::listening(address).is_known(), "{host}");
        }
        let elsewhere = Process::listening("192.0.2.1:7700".parse().unwrap());
        assert!(!elsewhere.is_known());
        assert!(elsewhere.usage().broker.is_none() && elsewhere.memory().is_none());
    }

    #[test]
    fn work_is_seen() {
        let process = Process::of(std::process::id()).unwrap();
        let before = process.usage();
        let mut sum = 0_u64;
        while process.usage().since(before).own < 20_000_000 {
            sum = (0..100_000).fold(sum, |sum, number| std::hint::black_box(sum ^ number));
        }
        let used = process.usage().since(before);
        // The kernel's books on a running thread are some milliseconds old.
        assert!(used.broker.unwrap() > 5_000_000, "{used:?}");
        assert!(process.memory().unwrap() > 100_000);
        assert!(process.memory_peak().unwrap() >= process.memory().unwrap() / 2);
    }

    #[test]
    fn there_must_be_such_a_process() {
        assert!(Process::of(u32::MAX).is_err());
    }
}
