//! A client of the text dialect that blocks, and fails when it must wait for
//! too long.

use super::{DEADLINE, Dialogue, matches};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a client that fails waits for each further line, to show it.
const LOOK_AHEAD: Duration = Duration::from_millis(200);

pub struct Client {
    pub label: String,
    pub stream: TcpStream,
    heard: Vec<u8>,
    read_to: usize,
    dialogue: Dialogue,
}

/// A connection with as small a receive buffer as there is.
pub fn narrow(addr: SocketAddr) -> TcpStream {
    let kind = socket2::Type::STREAM;
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), kind, None).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.connect_timeout(&addr.into(), DEADLINE).expect("the broker listens");
    socket.into()
}

impl Client {
    pub fn connect(addr: SocketAddr, label: &str, dialogue: Dialogue) -> Client {
        let stream = TcpStream::connect_timeout(&addr, DEADLINE).expect("the broker listens");
        Client::on(stream, label, dialogue)
    }

    pub fn connect_narrow(addr: SocketAddr, label: &str, dialogue: Dialogue) -> Client {
        Client::on(narrow(addr), label, dialogue)
    }

    fn on(stream: TcpStream, label: &str, dialogue: Dialogue) -> Client {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Client { label: label.into(), stream, heard: Vec::new(), read_to: 0, dialogue }
    }

    /// Another connection to the same broker, if it is still there.
    pub fn again(&self, label: &str) -> Option<Client> {
        let stream = TcpStream::connect(self.stream.peer_addr().ok()?).ok()?;
        Some(Client::on(stream, label, self.dialogue.clone()))
    }

    /// Says hello with the label as its name.
    pub fn introduce(&mut self) {
        let name = self.label.clone();
        self.send(&format!("hello --name {name}"));
        self.expect(&format!("ok hello name={name} *"));
    }

    /// Sends a line.
    pub fn send(&mut self, line: &str) {
        self.dialogue.note(&self.label, ">", line);
        self.stream.write_all(format!("{line}\n").as_bytes()).expect("the broker reads");
    }

    /// Sends these bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.dialogue.note(&self.label, ">", &String::from_utf8_lossy(bytes));
        self.stream.write_all(bytes).expect("the broker reads");
    }

    /// Another handle to the same connection, that only sends: for a thread of its own.
    pub fn sender(&self) -> Sender {
        Sender(self.stream.try_clone().unwrap())
    }

    /// The next line; `None` at the end of the connection, however it comes.
    pub fn line(&mut self) -> Option<String> {
        match self.next_within(DEADLINE) {
            Ok(line) => line,
            Err(()) => panic!("{} waits in vain for a line", self.label),
        }
    }

    fn next_within(&mut self, time: Duration) -> Result<Option<String>, ()> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(end) = self.heard[self.read_to..].iter().position(|b| *b == b'\n') {
                let line = &self.heard[self.read_to..self.read_to + end];
                let line = String::from_utf8(line.to_vec()).expect("a line is UTF-8");
                self.read_to += end + 1;
                self.dialogue.note(&self.label, "<", &line);
                return Ok(Some(line));
            }
            self.heard.drain(..std::mem::take(&mut self.read_to));
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Err(());
            };
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(read) => self.heard.extend_from_slice(&buffer[..read]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    self.dialogue.note(&self.label, "<", &format!("({e})"));
                    return Ok(None);
                }
            }
        }
    }

    /// The next line must be as the pattern says, where `*` stands for any
    /// text. Gives the line.
    #[track_caller]
    pub fn expect(&mut self, pattern: &str) -> String {
        match self.line() {
            Some(line) if matches(pattern, &line) => line,
            Some(line) => self.fail(&format!("expects\n  {pattern}\nand hears\n  {line}")),
            None => self.fail(&format!("expects\n  {pattern}\nand the connection ends")),
        }
    }

    /// The next lines must be these, in this order.
    #[track_caller]
    pub fn expect_all(&mut self, patterns: &[&str]) {
        for pattern in patterns {
            self.expect(pattern);
        }
    }

    /// The next lines must be these, each once, in whatever order: for lines
    /// of different lanes.
    #[track_caller]
    pub fn expect_unordered(&mut self, patterns: &[&str]) {
        let mut missing: Vec<&str> = patterns.to_vec();
        while !missing.is_empty() {
            let Some(line) = self.line() else {
                self.fail(&format!("misses {missing:?} and the connection ends"))
            };
            match missing.iter().position(|pattern| matches(pattern, &line)) {
                Some(at) => drop(missing.remove(at)),
                None => self.fail(&format!("expects one of {missing:?}\nand hears\n  {line}")),
            }
        }
    }

    /// Sends a request and expects its reply next.
    #[track_caller]
    pub fn ask(&mut self, request: &str, reply: &str) -> String {
        self.send(request);
        self.expect(reply)
    }

    /// Nothing is due to this client: a marker's reply comes next, and another
    /// one's after it, because a reply may overtake what is due on the log.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        for _ in 0..2 {
            self.ask("ping", "ok ping lease=*");
        }
    }

    /// The connection must end here.
    #[track_caller]
    pub fn expect_end(&mut self) {
        if let Some(line) = self.line() {
            self.fail(&format!("expects the end and hears\n  {line}"));
        }
    }

    /// Everything up to the end of the connection, as bytes.
    pub fn rest(&mut self) -> Vec<u8> {
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut all = self.heard.split_off(std::mem::take(&mut self.read_to));
        self.heard.clear();
        self.stream.read_to_end(&mut all).expect("the connection ends in order");
        self.dialogue.note(&self.label, "<", &String::from_utf8_lossy(&all));
        all
    }

    /// Reads lines until one matches; gives all, with that one last.
    #[track_caller]
    pub fn until(&mut self, pattern: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let Some(line) = self.line() else {
                self.fail(&format!("waits for {pattern} and the connection ends"))
            };
            let is_last = matches(pattern, &line);
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    /// Sends no more, and still reads.
    pub fn half_close(&mut self) {
        self.dialogue.note(&self.label, ">", "(sends no more)");
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes the connection in order.
    pub fn close(self) {
        self.dialogue.note(&self.label, ">", "(closes)");
    }

    /// Closes the connection with a reset, as a machine that crashed does.
    pub fn reset(self) {
        self.dialogue.note(&self.label, ">", "(resets)");
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    #[track_caller]
    fn fail(&mut self, what: &str) -> ! {
        // What comes after it often tells why.
        while let Ok(Some(_)) = self.next_within(LOOK_AHEAD) {}
        panic!("{} {what}", self.label)
    }
}

/// The sending half of a connection. What it sends is not in the dialogue.
pub struct Sender(TcpStream);

impl Sender {
    /// Sends a line.
    pub fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// Sends these bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the broker reads");
    }
}

/// The value of `key=value` in a line.
#[track_caller]
pub fn field(line: &str, key: &str) -> String {
    let prefix = format!("{key}=");
    let found = line.split(' ').find_map(|word| word.strip_prefix(&prefix));
    found.unwrap_or_else(|| panic!("no {key} in {line}")).to_owned()
}

/// The word at this place of a line, as a number.
#[track_caller]
pub fn number(line: &str, place: usize) -> u64 {
    let word = line.split(' ').nth(place);
    word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no number in {line}"))
}
