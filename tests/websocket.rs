//! `GET /v1/ws`: the JSON dialect in WebSocket messages, beside members of the
//! text dialect.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write;
use std::time::Duration;
use support::{Broker, Child, SESSION, Socket, eventually, field, matches};
use tungstenite::protocol::Message;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

const TEXT: OpCode = OpCode::Data(Data::Text);
const MORE: OpCode = OpCode::Data(Data::Continue);

/// A frame as a client sends it.
fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mask = Some([7, 0, 0xff, 0x81]);
    let header = FrameHeader { opcode, is_final, mask, ..FrameHeader::default() };
    let mut bytes = Vec::new();
    Frame::from_payload(header, payload.to_vec().into()).format(&mut bytes).unwrap();
    bytes
}

/// A handshake with these headers, and what the broker answers.
fn handshake(broker: &Broker, method: &str, headers: &str) -> String {
    let mut client = broker.connect("stranger");
    let start = format!("{method} /v1/ws HTTP/1.1\r\nHost: {}\r\n", broker.addr);
    client.send_bytes(format!("{start}{headers}Connection: close\r\n\r\n").as_bytes());
    let mut answer = client.until("\r").join("\n");
    if !answer.starts_with("HTTP/1.1 101 ") {
        answer += &String::from_utf8(client.rest()).unwrap();
    }
    answer.to_lowercase()
}

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";

#[test]
fn pages_and_terminals_share_a_channel() {
    let broker = Broker::start();
    let mut page = broker.page("page", "ops");
    let mut bob = broker.member("bob", "ops");
    page.expect(r#"{"frame":"join","channel":"ops","seq":2,"member":"bob","rank":1}"#);
    page.ask(
        r#"{"op":"pub","channel":"ops","data":{"a": 1.50},"id":7}"#,
        r#"{"reply":"pub","ok":true,"channel":"ops","seq":3,"id":7}"#,
    );
    page.expect(r#"{"frame":"msg","channel":"ops","seq":3,"from":"page","data":{"a": 1.50}}"#);
    bob.expect(r#"msg ops 3 page {"a": 1.50}"#);
    bob.ask("pub ops grün", "ok pub ops 4");
    bob.expect("msg ops 4 bob grün");
    page.expect(r#"{"frame":"msg","channel":"ops","seq":4,"from":"bob","data":"grün"}"#);
    // Commands go down, their results up.
    page.ask(
        r#"{"op":"cmd","name":"say","args":["two words"],"id":"c"}"#,
        r#"{"reply":"cmd","ok":true,"channel":"ops","seq":5,"to":1,"id":"c"}"#,
    );
    bob.expect("cmd ops 5 page 0 1 say 'two words'");
    bob.ask("ack ops 5 done", "ok ack ops 5");
    page.expect(r#"{"frame":"ack","channel":"ops","seq":5,"member":"bob","rank":1,"result":0,*"#);
    page.expect(r#"{"frame":"done","channel":"ops","seq":5,"ok":1,"sent":1}"#);
    // One message, several requests; one with nothing in it is none.
    page.send("");
    page.send("{\"op\":\"pub\",\"channel\":\"ops\",\"data\":\"a\"}\n\n{\"op\":\"yield\"}\n");
    page.expect(r#"{"reply":"pub",*"seq":6}"#);
    page.expect(r#"{"reply":"yield","ok":true,"channel":"ops","rank":1,"view":7}"#);
    for pattern in [r#"*"rank":1,"term":7,*"#, r#"*"msg",*"seq":6*"#, r#"*"move",*"seq":7*"#] {
        page.expect(pattern);
    }
    bob.expect_unordered(&["msg ops 6 page a", "move ops 7 page 0 1", "rank ops 0 7 7"]);
    bob.send("who ops");
    bob.expect("client page * dialect=websocket *");
    bob.expect_all(&["client bob * dialect=text *", "ok who 2"]);
    page.expect_nothing();
    bob.expect_nothing();
}

#[test]
fn it_speaks_json_and_takes_its_leave() {
    let broker = Broker::start();
    let mut page = broker.page("page", "ops");
    page.ask(
        r#"{"op":"hello","format":"text","id":1}"#,
        r#"{"reply":"hello","ok":false,"error":{"code":"bad-request","message":"*"},"id":1}"#,
    );
    page.ask(r#"{"op":"hello","format":"json"}"#, r#"{"reply":"hello","ok":true,*"#);
    page.ask("sub ops", r#"{"reply":"error","ok":false,"error":{"code":"bad-request",*"#);
    let rows = page.ask(r#"{"op":"history","channel":"ops"}"#, r#"{"reply":"history",*"#);
    assert!(matches(r#"*"rows":[]*"#, &rows), "{rows}");
    page.send(r#"{"op":"quit"}"#);
    page.expect_close("quit", 1000);
    let mut alice = broker.client("alice");
    alice.ask("sub ops", "ok sub ops rank=0 *");
}

/// Durable channels answer when it is on disk, and read their past from there.
#[test]
fn what_is_on_disk_is_answered_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::with(|config| config.data = Some(dir.path().into()));
    let mut page = broker.socket("page");
    page.ask(r#"{"op":"create","channel":"ops","durable":true,"history":9}"#, r#"*"ok":true*"#);
    for (n, seq) in [(1, 1), (2, 2), (3, 3)] {
        page.ask(
            &format!(r#"{{"op":"pub","channel":"ops","data":{n},"id":{n}}}"#),
            &format!(r#"{{"reply":"pub","ok":true,"channel":"ops","seq":{seq},"id":{n}}}"#),
        );
    }
    let rows = page.ask(r#"{"op":"history","channel":"ops"}"#, r#"{"reply":"history",*"#);
    assert!(matches(r#"*"count":3*"data":1}*"data":2}*"data":3}]*"#, &rows), "{rows}");
    page.ask(r#"{"op":"digest","channel":"ops","from":1,"to":3}"#, r#"*"count":3,*"#);
    page.ask(r#"{"op":"sub","channel":"ops","from":"first"}"#, r#"{"reply":"sub","ok":true,*"#);
    for n in 1..=3 {
        page.expect(&format!(r#"{{"frame":"msg",*"seq":{n},*"data":{n}}}"#));
    }
}

#[test]
fn only_a_websocket_of_version_13_for_whom_it_may_concern() {
    let broker = Broker::start();
    let addr = broker.addr;
    let (v13, v8) = ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 8\r\n");
    let page = |origin| format!("{UPGRADE}{KEY}{v13}Origin: {origin}\r\n");
    let required = "http/1.1 426 *upgrade: websocket*sec-websocket-version: 13*";
    for (method, headers, answer) in [
        ("GET", String::new(), required),
        ("HEAD", format!("{UPGRADE}{KEY}{v13}"), "http/1.1 426 *"),
        ("GET", format!("{UPGRADE}{KEY}{v8}"), required),
        ("GET", format!("{UPGRADE}{KEY}"), required),
        ("GET", format!("Upgrade: websocket\r\n{KEY}{v13}"), required),
        ("GET", format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{KEY}{v13}"), required),
        ("POST", format!("{UPGRADE}{KEY}{v13}"), "http/1.1 405 *allow: get*"),
        ("GET", format!("{UPGRADE}{v13}"), "http/1.1 400 *\"code\":\"bad-request\"*"),
        ("GET", format!("{UPGRADE}{v13}Sec-WebSocket-Key: short\r\n"), "http/1.1 400 *"),
        ("GET", format!("{UPGRADE}{KEY}{KEY}{v13}"), "http/1.1 400 *"),
        ("GET", format!("{UPGRADE}{KEY}{v13}Content-Length: 9\r\n"), "http/1.1 400 *"),
        ("GET", page("http://evil.example".into()), "http/1.1 403 *\"code\":\"denied\"*"),
        ("GET", page("null".into()), "http/1.1 403 *"),
        ("GET", page(format!("http://{addr}")), "http/1.1 101 *s3pplmbitxaq9kygzzhzrbk+xoo=*"),
        ("GET", format!("{UPGRADE}{KEY}{v13}"), "http/1.1 101 *upgrade: websocket*"),
    ] {
        let heard = handshake(&broker, method, &headers);
        assert!(matches(answer, &heard), "{method} {headers}\n{heard}");
    }
}

/// The first frames may come with the handshake, and all of it byte by byte.
#[test]
fn however_the_bytes_come() {
    let v13 = "Sec-WebSocket-Version: 13\r\n";
    let head = format!("GET /v1/ws HTTP/1.1\r\nHost: x\r\n{UPGRADE}{KEY}{v13}\r\n");
    let frames = [
        frame(TEXT, true, br#"{"op":"sub","channel":"ops","create":true}"#),
        frame(TEXT, false, br#"{"op":"pub","channel":"ops","#),
        frame(OpCode::Control(Control::Ping), true, b"still there?"),
        frame(MORE, false, br#""data":"#),
        frame(OpCode::Control(Control::Pong), true, b""),
        frame(MORE, true, "\"€\"}".as_bytes()),
        frame(TEXT, true, br#"{"op":"quit"}"#),
    ];
    let all = [head.into_bytes(), frames.concat()].concat();
    let whole = heard(&[&all[..]]);
    for text in [
        r#""reply":"sub","ok":true"#,
        "still there?",
        r#"{"reply":"pub","ok":true,"channel":"ops","seq":2}"#,
        r#"{"frame":"msg","channel":"ops","seq":2,"from":"guest-1","data":"€"}"#,
        r#"{"frame":"bye","reason":"quit"}"#,
    ] {
        assert!(whole.contains(text), "{text} is not in {whole}");
    }
    let mut pieces: Vec<&[u8]> = all.chunks(1).collect();
    assert_eq!(heard(&pieces).len(), whole.len());
    pieces = all.chunks(100).collect();
    assert_eq!(heard(&pieces).len(), whole.len());
}

/// What a broker says to bytes that come in these pieces.
fn heard(pieces: &[&[u8]]) -> String {
    let broker = Broker::start();
    let mut client = broker.connect("client");
    for piece in pieces {
        client.send_bytes(piece);
    }
    String::from_utf8_lossy(&client.rest()).into_owned()
}

#[test]
fn what_must_not_come_is_refused_with_a_code() {
    let broker = Broker::with(|config| config.max_line = 1_000);
    let mut alice = broker.member("alice", "ops");
    let unmasked = vec![0x81, 2, b'{', b'}'];
    let binary = OpCode::Data(Data::Binary);
    let long = [b'x'; 1_001];
    for (n, (bytes, bye, code)) in (0_u64..).zip([
        (frame(binary, true, b"{}"), "binary", 1003),
        (frame(TEXT, true, b"\"\xff\""), "not-utf8", 1007),
        (frame(TEXT, true, &long), "too-long", 1009),
        ([frame(TEXT, false, &long[1..]), frame(MORE, false, b"x")].concat(), "too-long", 1009),
        (vec![0x81, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "too-long", 1009),
        (unmasked, "malformed", 1002),
        (vec![0xf1, 0x80, 0, 0, 0, 0], "malformed", 1002),
        (frame(MORE, true, b"x"), "malformed", 1002),
        (frame(OpCode::Control(Control::Close), true, &999_u16.to_be_bytes()), "malformed", 1002),
        (frame(OpCode::Control(Control::Close), true, &1_005_u16.to_be_bytes()), "malformed", 1002),
    ]) {
        let mut page = broker.page("page", "ops");
        let seq = 2 + 2 * n;
        alice.expect(&format!("join ops {seq} page 1"));
        let ping = br#"{"op":"ping"}"#;
        page.send_bytes(&[frame(TEXT, true, ping), bytes, frame(TEXT, true, ping)].concat());
        // What came before it is answered, and what came after it is not.
        page.expect(r#"{"reply":"ping",*"#);
        page.expect_close(bye, code);
        alice.expect(&format!("left ops {} page 1 reason=lost", seq + 1));
    }
    alice.expect_nothing();
}

#[test]
fn a_close_is_answered_in_kind_and_nothing_follows() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut page = broker.page("page", "ops");
    alice.expect("join ops 2 page 1");
    page.inner
        .close(Some(tungstenite::protocol::CloseFrame {
            code: CloseCode::Library(4_711),
            reason: "so long".into(),
        }))
        .unwrap();
    // A close is no farewell: who wants its seat to be free at once says quit.
    alice.expect("left ops 3 page 1 reason=lost");
    let Message::Close(Some(close)) = page.next() else { panic!("it is closed") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4_711, "so long"));
    assert!(matches!(page.inner.read(), Err(tungstenite::Error::ConnectionClosed)));
    alice.expect_nothing();
}

/// What was asked before is answered before: at once, from the disk, or when it
/// is there.
#[test]
fn a_close_is_answered_last() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::with(|config| config.data = Some(dir.path().into()));
    for settings in ["", r#","durable":true"#] {
        let mut page = broker.socket("page");
        let name = format!("ops{}", settings.len());
        page.ask(
            &format!(r#"{{"op":"create","channel":"{name}","history":9{settings}}}"#),
            r#"{"reply":"create","ok":true,*"#,
        );
        page.ask(&format!(r#"{{"op":"sub","channel":"{name}"}}"#), r#"{"reply":"sub","ok":true,*"#);
        let history = format!(r#"{{"op":"history","channel":"{name}"}}"#);
        let publish = format!(r#"{{"op":"pub","channel":"{name}","data":1}}"#);
        let requests = [r#"{"op":"ping"}"#, &publish, &history, r#"{"op":"version"}"#];
        let mut bytes: Vec<u8> =
            requests.iter().flat_map(|request| frame(TEXT, true, request.as_bytes())).collect();
        bytes.extend(frame(OpCode::Control(Control::Close), true, &4_711_u16.to_be_bytes()));
        page.send_bytes(&bytes);
        for reply in ["ping", "pub", "history", "version"] {
            page.expect(&format!(r#"{{"reply":"{reply}","ok":true,*"#));
        }
        let Message::Close(Some(close)) = page.next() else { panic!("it is closed") };
        assert_eq!(u16::from(close.code), 4_711);
        assert!(matches!(page.inner.read(), Err(tungstenite::Error::ConnectionClosed)));
    }
}

/// While its last replies wait for the disk, a page that has closed hears nothing
/// else; what it is told is kept for its session.
#[test]
fn what_is_told_behind_a_close_waits_for_the_session() {
    const TOLD: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::with(|config| config.data = Some(dir.path().into()));
    let mut page = broker.socket("page");
    let hello = page.ask(
        &format!(r#"{{"op":"hello","name":"page","session":"{SESSION}"}}"#),
        r#"{"reply":"hello","ok":true,*"#,
    );
    let hello: serde_json::Value = serde_json::from_str(&hello).unwrap();
    page.ask(
        r#"{"op":"create","channel":"log","durable":true}"#,
        r#"{"reply":"create","ok":true,*"#,
    );
    let publish = format!(r#"{{"op":"pub","channel":"log","data":"{}"}}"#, "x".repeat(50_000));
    let mut bytes = frame(TEXT, true, publish.as_bytes()).repeat(60);
    bytes.extend(frame(OpCode::Control(Control::Close), true, &1_000_u16.to_be_bytes()));
    page.send_bytes(&bytes);
    let mut alice = broker.client("alice");
    for n in 0..TOLD {
        alice.ask(&format!("tell page n{n}"), "ok tell page");
    }
    let (mut replies, mut told) = (0, 0);
    while let Message::Text(text) = page.next() {
        told += usize::from(text.contains(r#""frame":"tell""#));
        replies += usize::from(text.contains(r#""reply":"pub","ok":true"#));
    }
    let mut heir = broker.connect("heir");
    let secret = hello["secret"].as_str().unwrap();
    heir.ask(&format!("hello --session {SESSION} --secret {secret}"), "ok hello * resumed=yes *");
    heir.send("ping");
    let heard = heir.until("ok ping*");
    told += heard.iter().filter(|line| line.starts_with("tell alice n")).count();
    assert_eq!((replies, told), (60, TOLD));
}

#[test]
fn a_broker_that_stops_goes_away() {
    let mut broker = Broker::process();
    let mut page = broker.page("page", "ops");
    broker.child().signal("TERM");
    page.expect_close("shutdown", 1001);
    assert!(broker.child().ended().success());
}

/// A page's script cannot be asked for a `pong`: its browser is, by a ping of
/// the WebSocket protocol.
#[test]
fn who_answers_pings_stays_and_who_does_not_goes() {
    // Long enough for a machine that has other things to do.
    let broker = Broker::with(|config| config.idle_timeout = Duration::from_secs(2));
    let mut silent = broker.connect("silent");
    let head = format!("GET /v1/ws HTTP/1.1\r\nHost: x\r\n{UPGRADE}{KEY}");
    silent.send_bytes(format!("{head}Sec-WebSocket-Version: 13\r\n\r\n").as_bytes());
    let mut page = broker.socket("page");
    for _ in 0..3 {
        assert!(matches!(page.inner.read().unwrap(), Message::Ping(_)));
    }
    page.ask(r#"{"op":"ping"}"#, r#"{"reply":"ping",*"#);
    let all = silent.rest();
    let text = String::from_utf8_lossy(&all);
    assert!(text.contains(r#"{"frame":"bye","reason":"timeout"}"#), "{text}");
    let code = &all[all.windows(2).rposition(|two| two[0] == 0x88).expect("a close") + 2..][..2];
    assert_eq!(code, 1008_u16.to_be_bytes());
}

/// A session goes from dialect to dialect, and misses nothing.
#[test]
fn a_session_is_resumed_in_another_dialect() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut bob = broker.connect("bob");
    let hello = bob.ask(&format!("hello --name bob --session {SESSION}"), "ok hello *");
    let secret = field(&hello, "secret");
    bob.ask("sub ops", "ok sub ops rank=1 *");
    alice.expect("join ops 2 bob 1");
    alice.ask("pub ops one", "ok pub ops 3");
    alice.expect("msg ops 3 alice one");
    bob.expect("msg ops 3 alice one");
    let mut page = broker.socket("bob");
    page.ask(
        &format!(
            r#"{{"op":"hello","session":"{SESSION}","secret":"{secret}","seen":{{"ops":2}}}}"#
        ),
        r#"{"reply":"hello","ok":true,"name":"bob",*"resumed":true,*"#,
    );
    page.expect(r#"{"frame":"rank","channel":"ops","rank":1,"term":2,"view":2}"#);
    page.expect(r#"{"frame":"msg","channel":"ops","seq":3,"from":"alice","data":"one"}"#);
    bob.expect("bye taken-over");
    page.expect_nothing();
}

/// Whatever is announced, only what may be kept is asked for and kept.
#[test]
fn memory_stays_flat() {
    let mut broker = Broker::from_child(Child::with(&["--max-line", "65536"]));
    let (mut flood, most) = (Vec::new(), frame(MORE, false, &vec![b'x'; 30_000]));
    let header = [0x81, 0xff, 0, 0, 0, 0, 0x3f, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    let before = broker.child().resident_memory();
    for _ in 0..20 {
        let mut page = broker.socket("page");
        page.send_bytes(&header);
        page.expect_close("too-long", 1009);
        // A frame of almost all that is allowed, without its end, and fragments
        // without one.
        let mut page = broker.socket("page");
        page.send_bytes(&frame(TEXT, false, &vec![b'x'; 30_000]));
        let (begin, end) = most.split_at(29_000);
        page.send_bytes(begin);
        flood.push((page, end));
    }
    let each = (broker.child().resident_memory() - before) / flood.len() as u64;
    assert!(each < 300 * 1024, "{each} bytes for each of them");
    for (page, end) in &mut flood {
        // It holds no more than that: what would go past the limit ends it.
        page.send_bytes(end);
        page.send_bytes(&most);
        page.expect_close("too-long", 1009);
    }
}

/// One that does not read holds nobody up, and hears everything that is still
/// there, each entry whole.
#[test]
fn a_slow_page_gets_whole_entries() {
    let broker = Broker::with(|config| {
        config.log_bytes = 256 * 1024;
        config.stall = Duration::from_millis(100);
    });
    let mut page = Socket::on(support::narrow(broker.addr), "page", &broker);
    page.ask(r#"{"op":"sub","channel":"ops","create":true}"#, r#"{"reply":"sub","ok":true,*"#);
    let mut alice = broker.client("alice");
    let text = "x".repeat(4_000);
    let count = 4_000_u64;
    let mut sender = alice.sender();
    std::thread::spawn(move || {
        for n in 1..=count {
            sender.send(&format!("pub ops {n} {text}"));
        }
    });
    for seq in 2..=count + 1 {
        alice.expect(&format!("ok pub ops {seq}"));
    }
    let mut next = 2;
    while next <= count + 1 {
        let line = page.expect(r#"{"frame":"*"#);
        let frame: serde_json::Value = serde_json::from_str(&line).expect("a frame is JSON");
        if frame["frame"] == "gap" {
            assert_eq!(frame["from"], next);
            next = frame["to"].as_u64().unwrap() + 1;
        } else if frame["frame"] == "msg" {
            assert_eq!(frame["seq"], next);
            let data = frame["data"].as_str().unwrap();
            assert_eq!(data.split(' ').next(), Some(&*(next - 1).to_string()));
            assert_eq!(data.len(), 4_001 + (next - 1).to_string().len());
            next += 1;
        }
    }
    page.expect_nothing();
}

/// A client that is gone without a word is noticed, and so is one that sends
/// half a frame first.
#[test]
fn a_lost_connection_is_noticed() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    let mut page = broker.page("page", "ops");
    alice.expect("join ops 2 page 1");
    let whole = frame(TEXT, true, b"{}");
    page.inner.get_mut().write_all(&whole[..whole.len() - 1]).unwrap();
    drop(page);
    alice.expect("left ops 3 page 1 reason=lost");
    eventually("its name is free", || {
        alice.send("who");
        alice.until("ok who *").len() == 2
    });
}
