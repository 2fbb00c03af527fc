//! What a web page has: a WebSocket, and a stream of events.

use super::{Broker, DEADLINE, Dialogue, matches};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use tungstenite::protocol::{Message, WebSocket};

/// A WebSocket that speaks JSON, whose client answers pings by itself.
pub struct Socket {
    pub label: String,
    pub inner: WebSocket<TcpStream>,
    dialogue: Dialogue,
}

impl Broker {
    /// A WebSocket.
    pub fn socket(&self, label: &str) -> Socket {
        Socket::on(TcpStream::connect(self.addr).expect("the broker listens"), label, self)
    }

    /// A member by WebSocket of this channel, which is made if it is missing.
    pub fn page(&self, label: &str, channel: &str) -> Socket {
        let mut page = self.socket(label);
        page.ask(
            &format!(r#"{{"op":"hello","name":"{label}"}}"#),
            r#"{"reply":"hello","ok":true,*"#,
        );
        page.ask(
            &format!(r#"{{"op":"sub","channel":"{channel}","create":true}}"#),
            r#"{"reply":"sub","ok":true,*"#,
        );
        page
    }

    /// The events of this path, such as `/v1/channels/c/events`, from behind this
    /// one on, if any.
    pub fn events(&self, path: &str, last: Option<&str>) -> Events {
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let stream = TcpStream::connect(self.addr).expect("the broker listens");
        let mut events = Events::ask(self.addr, path, &last, stream, self.dialogue.clone());
        assert_eq!(events.status, 200, "{:?}", events.headers);
        assert_eq!(events.headers["content-type"], "text/event-stream");
        assert_eq!(events.line().as_deref(), Some("retry: 2000"));
        assert_eq!(events.line().as_deref(), Some(""));
        events
    }
}

impl Socket {
    /// A WebSocket on a connection that is there.
    pub fn on(stream: TcpStream, label: &str, broker: &Broker) -> Socket {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let request = format!("ws://{}/v1/ws", broker.addr);
        let (inner, answer) = tungstenite::client(request, stream).expect("it is a WebSocket");
        assert_eq!(answer.status().as_u16(), 101);
        Socket { label: label.into(), inner, dialogue: broker.dialogue.clone() }
    }

    /// Sends a text message.
    pub fn send(&mut self, text: &str) {
        self.dialogue.note(&self.label, ">", text);
        self.inner.send(Message::text(text)).expect("the broker reads");
    }

    /// Sends these bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.inner.get_mut().write_all(bytes).expect("the broker reads");
    }

    /// The next message, pings aside.
    #[track_caller]
    pub fn next(&mut self) -> Message {
        loop {
            match self.inner.read() {
                Ok(Message::Ping(_)) => {}
                Ok(message) => {
                    self.dialogue.note(&self.label, "<", &format!("{message}"));
                    return message;
                }
                Err(e) => panic!("{} waits in vain for a message: {e}", self.label),
            }
        }
    }

    /// The next message must be a text as the pattern says.
    #[track_caller]
    pub fn expect(&mut self, pattern: &str) -> String {
        match self.next() {
            Message::Text(text) if matches(pattern, &text) => text.as_str().to_owned(),
            message => panic!("{} expects\n  {pattern}\nand hears\n  {message}", self.label),
        }
    }

    /// Sends a request and expects its reply next.
    #[track_caller]
    pub fn ask(&mut self, request: &str, reply: &str) -> String {
        self.send(request);
        self.expect(reply)
    }

    /// Nothing is due to this client.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        for _ in 0..2 {
            self.ask(r#"{"op":"ping"}"#, r#"{"reply":"ping","ok":true,*"#);
        }
    }

    /// The broker says good-bye, and closes with this code and a reason.
    #[track_caller]
    pub fn expect_close(&mut self, bye: &str, code: u16) {
        self.expect(&format!(r#"{{"frame":"bye","reason":"{bye}"}}"#));
        self.expect_closed(code);
    }

    /// The WebSocket is closed with this code and a reason, and the connection
    /// ends.
    #[track_caller]
    pub fn expect_closed(&mut self, code: u16) {
        let Message::Close(Some(close)) = self.next() else { panic!("{} goes on", self.label) };
        assert_eq!(u16::from(close.code), code, "{close}");
        assert!(!close.reason.is_empty());
        let end = self.inner.read();
        assert!(matches!(end, Err(tungstenite::Error::ConnectionClosed)), "{end:?}");
    }
}

/// An event: its id, its name and its data.
pub type Event = (Option<u64>, String, String);

/// A stream of events.
pub struct Events {
    pub status: u16,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    reader: BufReader<TcpStream>,
    /// What has come of the body.
    body: Vec<u8>,
    has_ended: bool,
    dialogue: Dialogue,
}

impl Events {
    /// Asks for a path with these further headers.
    pub fn ask(
        addr: SocketAddr,
        path: &str,
        headers: &str,
        mut stream: TcpStream,
        dialogue: Dialogue,
    ) -> Events {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n");
        dialogue.note("events", ">", path);
        stream.write_all(request.as_bytes()).expect("the broker reads");
        let mut events = Events {
            status: 0,
            headers: HashMap::new(),
            reader: BufReader::new(stream),
            body: Vec::new(),
            has_ended: false,
            dialogue,
        };
        events.read_head();
        events
    }

    fn read_head(&mut self) {
        let status = self.head_line();
        self.status = status.split(' ').nth(1).unwrap().parse().unwrap();
        loop {
            let line = self.head_line();
            let Some((name, value)) = line.split_once(':') else { break };
            self.headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }

    fn head_line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a line of the head");
        line.trim_end().to_owned()
    }

    /// The next line of the body; `None` at its end.
    pub fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.body.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.body.drain(..=end).collect();
                let line = String::from_utf8(line).expect("UTF-8").trim_end().to_owned();
                self.dialogue.note("events", "<", &line);
                return Some(line);
            }
            if self.has_ended {
                assert!(self.body.is_empty(), "half an event is none");
                return None;
            }
            let size = usize::from_str_radix(&self.head_line(), 16).expect("the size of a chunk");
            let from = self.body.len();
            self.body.resize(from + size, 0);
            self.reader.read_exact(&mut self.body[from..]).expect("the chunk");
            assert_eq!(self.head_line(), "");
            self.has_ended = size == 0;
        }
    }

    /// The next event, comments aside; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<Event> {
        let (mut id, mut kind, mut data) = (None, String::new(), None);
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", text)) => id = Some(text.parse().expect("an id is a seq")),
                Some(("event", text)) => text.clone_into(&mut kind),
                Some(("data", text)) => {
                    assert!(data.is_none(), "an event has one line of data");
                    data = Some(text.to_owned());
                }
                // A comment, and how soon to come back.
                Some(("" | "retry", _)) => {}
                _ if line.is_empty() => {
                    if let Some(data) = data.take() {
                        return Some((id, kind, data));
                    }
                }
                _ => panic!("{line:?} is no field"),
            }
        }
    }

    /// The next event must be this one, with data as the pattern says.
    #[track_caller]
    pub fn expect(&mut self, id: Option<u64>, kind: &str, data: &str) {
        let event = self.next().expect("an event");
        assert_eq!((event.0, &*event.1), (id, kind), "{event:?}");
        assert!(matches(data, &event.2), "{data}\nand not\n{}", event.2);
    }

    /// The connection, to ask it for something else.
    pub fn into_stream(self) -> TcpStream {
        self.reader.into_inner()
    }
}
