//! A web server that takes the deliveries of a call-back, one connection each,
//! and answers what the test says. Each `ping` it answers by itself.

use super::DEADLINE;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

pub struct Receiver {
    pub addr: SocketAddr,
    deliveries: mpsc::Receiver<Delivery>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    pings: AtomicUsize,
    /// It answers no `ping` any more.
    is_mute: AtomicBool,
    is_over: AtomicBool,
}

/// A delivery that waits for its answer; unanswered, its connection is closed.
pub struct Delivery {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub text: String,
    stream: TcpStream,
}

impl Receiver {
    /// Starts a server on this address of this machine.
    pub fn on(host: &str) -> Receiver {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let (tx, deliveries) = mpsc::channel();
        let shared = Arc::<Shared>::default();
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.is_over.load(Ordering::SeqCst) {
                    return;
                }
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let (tx, serving) = (tx.clone(), serving.clone());
                std::thread::spawn(move || receive(stream, &tx, &serving));
            }
        });
        Receiver { addr, deliveries, shared }
    }

    pub fn start() -> Receiver {
        Receiver::on("127.0.0.1")
    }

    /// The URL to name as call-back.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.addr)
    }

    /// The next delivery that is no `ping`.
    #[track_caller]
    pub fn next(&self) -> Delivery {
        self.deliveries.recv_timeout(DEADLINE).expect("a delivery comes")
    }

    /// The same, which must be of this kind.
    #[track_caller]
    pub fn expect(&self, event: &str) -> Delivery {
        let delivery = self.next();
        assert_eq!(delivery.header("broker-event"), event, "{}", delivery.text);
        delivery
    }

    /// The next delivery that is no `ping`, if there is one soon.
    pub fn next_if_soon(&self) -> Option<Delivery> {
        self.deliveries.recv_timeout(Duration::from_millis(10)).ok()
    }

    /// From now on takes every `ping`, and loses its answer.
    pub fn ignore_pings(&self) {
        self.shared.is_mute.store(true, Ordering::SeqCst);
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many pings were answered.
    pub fn pings(&self) -> usize {
        self.shared.pings.load(Ordering::SeqCst)
    }

    /// As if its process had been killed: nobody listens there any more.
    pub fn kill(self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread, which closes the listener.
        let woken = TcpStream::connect(self.addr).unwrap();
        let _ = (&woken).read(&mut [0]);
    }
}

impl Delivery {
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }

    /// What was delivered.
    #[track_caller]
    pub fn frame(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// Answers with this status, these headers (each with its line end) and
    /// this body.
    pub fn answer(mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}");
        // The broker may have given up.
        let _ = self.stream.write_all(answer.as_bytes());
    }

    pub fn ok(self) {
        self.answer("200 OK", "", "");
    }
}

fn receive(stream: TcpStream, tx: &Sender<Delivery>, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let path = request.split(' ').nth(1).unwrap().to_string();
    let headers: HashMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_string(), value.to_string())
        })
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let text = String::from_utf8(body).unwrap();
    let is_ping = headers["broker-event"] == "ping";
    let delivery = Delivery { path, headers, text, stream };
    if is_ping && shared.is_mute.load(Ordering::SeqCst) {
        return;
    }
    if is_ping {
        shared.pings.fetch_add(1, Ordering::SeqCst);
        return delivery.ok();
    }
    // Nobody waits for it once the test is over.
    let _ = tx.send(delivery);
}
