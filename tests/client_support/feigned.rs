//! A stand-in for a broker.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener};

/// Serves one connection after the other: answers each line with what `answer` returns
/// for the connection's number and the line, or ends the connection at `None`. Returns
/// the port.
pub fn feign(answer: impl Fn(usize, &str) -> Option<String> + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            while let Some(text) = lines.next().and_then(|line| answer(number, &line)) {
                if (&stream).write_all(text.as_bytes()).is_err() {
                    break;
                }
            }
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
    port
}

/// What a broker says to an introduction.
pub fn welcome(resumed: bool) -> String {
    let resumed = if resumed { "yes" } else { "no" };
    format!("ok hello name=al session=s secret=5ec resumed={resumed} version=1\n")
}
