//! A client of HTTP/1.1 that blocks, on a connection of its own for each
//! request unless it says otherwise.

use super::{DEADLINE, Dialogue, matches};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A client that asks a broker by HTTP.
#[derive(Clone)]
pub struct Web {
    pub addr: SocketAddr,
    dialogue: Dialogue,
    /// Sent with every request, each with its end.
    headers: String,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// With lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// Reads an answer, to the end of the connection or of the body that it announces.
    /// `None` if the connection ends before it.
    pub fn read(stream: &mut TcpStream, method: &str) -> Option<Answer> {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                Ok(_) => return None,
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("waits in vain for an answer: {e}"),
            }
        }
        let head = String::from_utf8(head).expect("a head is text");
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.filter(|_| method != "HEAD").unwrap_or(0)];
        stream.read_exact(&mut body).expect("the whole body");
        answer.body = String::from_utf8(body).expect("a body is text");
        Some(answer)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// It must have this status, and a body as the pattern says. Gives it back.
    #[track_caller]
    pub fn expect(self, status: u16, pattern: &str) -> Answer {
        let body = self.body.trim_end();
        assert!(
            self.status == status && matches(pattern, body),
            "expects {status} {pattern}\nand hears {} {body}",
            self.status
        );
        self
    }

    /// It must be a problem with this status and code, and the body says so, too.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Answer {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let pattern = format!("{{*\"status\":{status},\"code\":\"{code}\",\"detail\":\"*\"*}}");
        self.expect(status, &pattern)
    }
}

impl Web {
    pub fn of(addr: SocketAddr, dialogue: Dialogue) -> Web {
        Web { addr, dialogue, headers: String::new() }
    }

    /// The same, with one more header.
    pub fn with(&self, name: &str, value: &str) -> Web {
        let headers = format!("{}{name}: {value}\r\n", self.headers);
        Web { headers, ..self.clone() }
    }

    /// The same, of a broker that has another address now.
    pub fn at(&self, addr: SocketAddr) -> Web {
        Web { addr, ..self.clone() }
    }

    /// The same, as the resident with this token.
    pub fn as_resident(&self, token: &str) -> Web {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.addr, DEADLINE).expect("the broker listens");
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The bytes of a request; with a body, of this kind.
    pub fn request(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Vec<u8> {
        let (addr, headers) = (self.addr, &self.headers);
        let mut bytes =
            format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\n{headers}").into_bytes();
        if let Some((kind, body)) = body {
            let length = body.len();
            let about = format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
            bytes.extend_from_slice(about.as_bytes());
            bytes.extend_from_slice(body);
        } else {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    /// Asks, on a connection of its own.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Answer {
        let mut stream = self.connect();
        self.ask_on(&mut stream, method, path, body)
    }

    /// Asks on this connection.
    #[track_caller]
    pub fn ask_on(
        &self,
        stream: &mut TcpStream,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
    ) -> Answer {
        let shown = body.map_or(String::new(), |(_, body)| String::from_utf8_lossy(body).into());
        self.dialogue.note("http", ">", &format!("{method} {path} {shown}"));
        // A broker that refuses in the middle of the request may close before all is
        // written.
        let _ = stream.write_all(&self.request(method, path, body));
        let answer = Answer::read(stream, method).expect("an answer");
        self.dialogue.note("http", "<", &format!("{} {}", answer.status, answer.body.trim_end()));
        answer
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None)
    }

    /// Posts a JSON body.
    #[track_caller]
    pub fn post(&self, path: &str, json: &str) -> Answer {
        self.ask("POST", path, Some(("application/json", json.as_bytes())))
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, None)
    }

    /// Joins a channel, which is made if it is missing. Returns the answer, and a
    /// client that speaks for the resident.
    #[track_caller]
    pub fn join(&self, channel: &str, name: &str) -> (Value, Web) {
        let body = format!("{{\"name\":\"{name}\",\"create\":true}}");
        let answer = self.post(&format!("/v1/channels/{channel}/members"), &body);
        let joined = answer.expect(201, "{*}").json();
        let web = self.as_resident(joined["token"].as_str().expect("a token"));
        (joined, web)
    }
}
