//! What the client and the guard of its program say to each other: lines over a
//! pair of sockets, of which the guard's end is its standard input. The client's
//! own standard input goes over it first, for the program.

use crate::moment::Moment;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Pid, Signal};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the client tells the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The program must have ended by then, unless another such line comes.
    Until(Moment),
    /// End the program.
    End,
    /// Hand this signal on.
    Signal(Signal),
}

/// What the guard tells the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The program runs, and this is its process and its process group.
    Started(Pid),
    /// It has ended, with this exit code.
    Ended {
        /// Its exit code; 128 and the signal's number if a signal ended it.
        code: u8,
        /// Whether that was asked of it, or forced on it.
        told_to: bool,
        /// Whether what it has started has ended, too: what belongs to another user
        /// cannot be killed.
        is_gone: bool,
    },
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Until(moment) => writeln!(f, "until {moment}"),
            Order::End => writeln!(f, "end"),
            Order::Signal(signal) => writeln!(f, "signal {}", signal.as_raw()),
        }
    }
}

impl Order {
    /// Reads one; `None` if the line is none.
    pub fn parse(line: &str) -> Option<Order> {
        Some(match line.split_once(' ') {
            Some(("until", moment)) => Order::Until(moment.parse().ok()?),
            Some(("signal", number)) => {
                Order::Signal(Signal::from_named_raw(number.parse().ok()?)?)
            }
            None if line == "end" => Order::End,
            _ => return None,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Started(pid) => writeln!(f, "started {}", pid.as_raw_nonzero()),
            Report::Ended { code, told_to, is_gone } => {
                let how = if *told_to { "told-to" } else { "by-itself" };
                writeln!(f, "ended {code} {how} {}", if *is_gone { "gone" } else { "left" })
            }
        }
    }
}

impl Report {
    /// Reads one; `None` if the line is none.
    pub fn parse(line: &str) -> Option<Report> {
        let words: Vec<&str> = line.split(' ').collect();
        Some(match words[..] {
            ["started", pid] => Report::Started(Pid::from_raw(pid.parse().ok()?)?),
            ["ended", code, how, all] => Report::Ended {
                code: code.parse().ok()?,
                told_to: how == "told-to",
                is_gone: all == "gone",
            },
            _ => return None,
        })
    }
}

/// Sends an open file.
///
/// # Errors
/// Those of the socket.
pub fn send_file(socket: impl AsFd, file: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file];
    // Cannot fail: the space is for exactly this message.
    control.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(socket, &[IoSlice::new(b"\n")], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Takes an open file that [`send_file`] sent.
///
/// # Errors
/// Those of the socket; and when no file came.
pub fn take_file(socket: impl AsFd) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty())?;
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let file = file.ok_or_else(|| io::Error::other("no file came over the socket"))?;
    fcntl_setfd(&file, FdFlags::CLOEXEC)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_said_is_understood() {
        let pid = Pid::from_raw(42).unwrap();
        for order in [Order::Until(Moment::now()), Order::End, Order::Signal(Signal::USR1)] {
            assert_eq!(Order::parse(order.to_string().trim_end()), Some(order));
        }
        for report in [
            Report::Started(pid),
            Report::Ended { code: 143, told_to: true, is_gone: true },
            Report::Ended { code: 0, told_to: false, is_gone: false },
        ] {
            assert_eq!(Report::parse(report.to_string().trim_end()), Some(report));
        }
        for line in ["", "end now", "until", "until x", "signal 0", "started 0", "ended 256 x y"] {
            assert_eq!((Order::parse(line), Report::parse(line)), (None, None), "{line}");
        }
    }

    #[test]
    fn an_open_file_goes_over_a_socket() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = io::pipe().unwrap();
        send_file(&here, writer.as_fd()).unwrap();
        let mut taken = std::fs::File::from(take_file(&there).unwrap());
        taken.write_all(b"hi").unwrap();
        writer.write_all(b"!").unwrap();
        drop((taken, writer));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hi!");
    }
}
