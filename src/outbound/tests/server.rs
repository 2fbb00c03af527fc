//! A server that takes one request a connection and answers with bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);

pub(super) struct Server {
    pub(super) addr: SocketAddr,
    requests: mpsc::Receiver<String>,
    connections: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Server {
    /// Answers each request with the result of `answer`, and closes.
    pub(super) fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Server {
        Server::serving(move |stream, heard| {
            let Some(request) = read_request(&mut *stream) else { return };
            let bytes = answer(&request);
            let _ = heard.send(request);
            let _ = stream.write_all(&bytes);
        })
    }

    /// Takes a request and says nothing until the other end gives up.
    pub(super) fn silent() -> Server {
        Server::serving(|stream, _| drop(stream.read_to_end(&mut Vec::new())))
    }

    /// Leaves the whole connection to `serve`.
    pub(super) fn serving(
        serve: impl Fn(&mut TcpStream, &mpsc::Sender<String>) + Send + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (heard, requests) = mpsc::channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let (counter, over) = (connections.clone(), is_over.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                counter.fetch_add(1, Ordering::Relaxed);
                serve(&mut stream.unwrap(), &heard);
            }
        });
        Server { addr, requests, connections, is_over }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The next request that came, head and body.
    pub(super) fn request(&self) -> String {
        self.requests.recv_timeout(DEADLINE).expect("a request")
    }

    /// How many connections there have been.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread, which then closes the listener.
        let _ = TcpStream::connect(self.addr).map(|mut woken| woken.read(&mut [0]));
    }
}

/// A request with its body, if it has a length.
pub(super) fn read_request(stream: impl Read) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request).ok()? == 0 {
            return None;
        }
    }
    let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(request + &String::from_utf8(body).unwrap())
}

/// An answer with these headers, each with its line end, and this body.
pub(super) fn respond(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}
