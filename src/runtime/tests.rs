//! Sockets, tasks, and the threads that both share.

use super::reactor::Reactor;
use super::watched::{To, Watched};
use super::{TcpListener, TcpStream, block_on, spawn, unblock, yield_now};
use futures::channel::oneshot;
use futures::{AsyncReadExt, AsyncWriteExt};
use std::future::{pending, poll_fn};
use std::io::{self, Read, Write};
use std::net;
use std::thread;
use std::time::Duration;

/// More than the kernel buffers for a reader that does not read.
const MUCH: usize = 16 * 1024 * 1024;

/// A connection, and its other end.
fn pair() -> (TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::new(listener).unwrap();
    let other = thread::spawn(move || net::TcpStream::connect(addr).unwrap());
    let (stream, _) = block_on(listener.accept()).unwrap();
    (stream, other.join().unwrap())
}

#[test]
fn what_a_reader_waits_for_comes_when_it_comes() {
    let (mut stream, mut other) = pair();
    let (sender, has_read) = oneshot::channel();
    let reading = spawn(async move {
        let mut bytes = [0; 16];
        let first = stream.read(&mut bytes).await.unwrap();
        sender.send(()).unwrap();
        let second = stream.read(&mut bytes).await.unwrap();
        (first, second)
    });
    other.write_all(b"one").unwrap();
    block_on(has_read).unwrap();
    other.write_all(b"three").unwrap();
    assert_eq!(block_on(reading), (3, 5));
}

#[test]
fn an_end_that_comes_with_the_last_bytes_is_found_behind_them() {
    let (mut stream, mut other) = pair();
    other.write_all(b"the last").unwrap();
    drop(other);
    // Both have come before anybody looks, and the kernel reports them once.
    thread::sleep(Duration::from_millis(20));
    let mut bytes = [0; 64];
    assert_eq!(block_on(stream.read(&mut bytes)).unwrap(), 8);
    assert_eq!(block_on(stream.read(&mut bytes)).unwrap(), 0);
}

/// Even to a reader that has not read what came before.
#[test]
fn an_end_is_known_before_what_was_sent_is_read() {
    let (mut stream, mut other) = pair();
    other.write_all(b"unread").unwrap();
    let (sender, receiver) = oneshot::channel();
    let waiting = spawn(async move {
        let mut sender = Some(sender);
        poll_fn(|cx| {
            let end = stream.poll_end(cx);
            if let Some(sender) = sender.take() {
                sender.send(end.is_ready()).unwrap();
            }
            end
        })
        .await;
        stream.read(&mut [0; 64]).await.unwrap()
    });
    assert!(!block_on(receiver).unwrap());
    other.write_all(b", too").unwrap();
    drop(other);
    assert_eq!(block_on(waiting), 11);
}

/// Urgent data, as telnet sends it on Ctrl-C. A read stops there, and leaves what
/// is behind.
#[cfg(target_os = "linux")]
#[test]
fn what_is_behind_urgent_data_is_read_as_well() {
    let (mut stream, mut other) = pair();
    other.write_all(b"one").unwrap();
    rustix::net::send(&other, b"!", rustix::net::SendFlags::OOB).unwrap();
    other.write_all(b"two").unwrap();
    // All of it has come before anybody looks.
    thread::sleep(Duration::from_millis(20));
    let mut bytes = [0; 64];
    assert_eq!(block_on(stream.read(&mut bytes)).unwrap(), 3);
    assert_eq!(block_on(stream.read(&mut bytes)).unwrap(), 3);
    assert_eq!(&bytes[..3], b"two");
}

#[test]
fn who_writes_more_than_there_is_room_for_goes_on_when_there_is() {
    let (mut stream, mut other) = pair();
    let writing = spawn(async move {
        stream.write_all(&vec![b'x'; MUCH]).await.unwrap();
        stream.close().await.unwrap();
    });
    let reading = unblock(move || {
        let mut bytes = Vec::new();
        other.read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes = block_on(reading).unwrap();
    block_on(writing);
    assert!(bytes.len() == MUCH && bytes.iter().all(|byte| *byte == b'x'));
}

#[test]
fn what_comes_while_an_attempt_is_made_is_not_forgotten() {
    let (here, mut other) = {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let other = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, other)
    };
    here.set_nonblocking(true).unwrap();
    // So that a thread waits for sockets.
    block_on(spawn(async {}));
    let watched = Watched::new(here).unwrap();
    let mut attempts = 0;
    let mut attempt = |mut socket: &net::TcpStream| {
        attempts += 1;
        if attempts == 1 {
            // The data comes after the attempt, which has found nothing, and is
            // reported before the attempt's result is noted.
            other.write_all(b"x").unwrap();
            thread::sleep(Duration::from_millis(50));
            return Err(io::ErrorKind::WouldBlock.into());
        }
        socket.read(&mut [0; 8])
    };
    let (read, _) = block_on(poll_fn(|cx| watched.poll_with(To::Read, cx, &mut attempt))).unwrap();
    assert_eq!(read, 1);
}

#[test]
fn a_socket_that_takes_the_place_of_another_is_not_taken_for_it() {
    let socket = || net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let token = {
        let watched = Watched::new(socket()).unwrap();
        watched.token()
    };
    assert_ne!(Watched::new(socket()).unwrap().token(), token);
}

/// One of the threads waits for the sockets of both.
#[test]
fn of_two_threads_each_hears_of_its_own_sockets() {
    let reactor = Reactor::get().unwrap();
    let mut others = Vec::new();
    let mut heard = Vec::new();
    for _ in 0..2 {
        let (mut stream, other) = pair();
        let (sender, receiver) = oneshot::channel();
        thread::spawn(move || {
            reactor.drive(async move {
                let mut bytes = [0; 8];
                for _ in 0..100 {
                    stream.read_exact(&mut bytes[..1]).await.unwrap();
                    stream.write_all(&bytes[..1]).await.unwrap();
                }
                sender.send(bytes[0]).unwrap();
                pending().await
            })
        });
        others.push(other);
        heard.push(receiver);
    }
    for round in 0..100 {
        for other in &mut others {
            other.write_all(&[round]).unwrap();
        }
        for other in &mut others {
            let mut answer = [0];
            other.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [round]);
        }
    }
    for receiver in heard {
        assert_eq!(block_on(receiver).unwrap(), 99);
    }
}

#[test]
fn a_task_that_never_rests_keeps_no_other_from_its_turn() {
    let restless = spawn(async {
        loop {
            yield_now().await;
        }
    });
    let (mut stream, mut other) = pair();
    let echo = spawn(async move {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        stream.write_all(&byte).await.unwrap();
    });
    other.write_all(b"x").unwrap();
    let mut answer = [0];
    other.read_exact(&mut answer).unwrap();
    block_on(echo);
    block_on(super::cancel(restless));
    assert_eq!(&answer, b"x");
}
