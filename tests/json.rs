//! The JSON dialect: "one JSON object a line", beside clients of the text
//! dialect on the same channels.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use ranked_broker::config::Config;
use ranked_broker::log::{Maker, Shape};
use ranked_broker::payload::Payload;
use ranked_broker::session::{Batch, Piece, Session};
use ranked_broker::wire::json;
use ranked_broker::wire::text::TextEncoder;
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;
use support::{Broker, Client, Dice};

/// Sends a request and expects its reply next, whatever else it has.
#[track_caller]
fn ask(client: &mut Client, request: &Value, reply: &str) -> Value {
    let line = client.ask(&request.to_string(), reply);
    serde_json::from_str(&line).expect("a reply is JSON")
}

#[track_caller]
fn next(client: &mut Client) -> Value {
    let line = client.line().expect("there is a line");
    serde_json::from_str(&line).expect("a line is JSON")
}

/// Nothing is due to this client.
#[track_caller]
fn expect_nothing(client: &mut Client) {
    for _ in 0..2 {
        client.ask(r#"{"op":"ping"}"#, r#"{"reply":"ping","ok":true,"lease":8000}"#);
    }
}

fn introduced(broker: &Broker, name: &str) -> Client {
    let mut client = broker.connect(name);
    let start = format!(r#"{{"reply":"hello","ok":true,"name":"{name}","session":"*"#);
    ask(&mut client, &json!({"op": "hello", "name": name}), &start);
    client
}

/// A client of this name that has joined this channel, which is made if it is
/// missing.
fn member(broker: &Broker, name: &str, channel: &str) -> Client {
    let mut client = introduced(broker, name);
    let start = format!(r#"{{"reply":"sub","ok":true,"channel":"{channel}","rank":*"#);
    ask(&mut client, &json!({"op": "sub", "channel": channel, "create": true}), &start);
    client
}

/// Everybody sees the same, in the same order, each in its own dialect.
#[test]
fn text_and_json_share_a_channel() {
    let broker = Broker::start();
    let mut alice = member(&broker, "alice", "ops");
    let mut bob = broker.member("bob", "ops");
    alice.expect(r#"{"frame":"join","channel":"ops","seq":2,"member":"bob","rank":1}"#);
    alice.ask(
        r#"{"op":"pub","channel":"ops","data":{"a": 1.50},"id":7}"#,
        r#"{"reply":"pub","ok":true,"channel":"ops","seq":3,"id":7}"#,
    );
    alice.expect(r#"{"frame":"msg","channel":"ops","seq":3,"from":"alice","data":{"a": 1.50}}"#);
    bob.expect(r#"msg ops 3 alice {"a": 1.50}"#);
    bob.ask(r"pub ops 'it'\''s \ fine'", "ok pub ops 4");
    bob.expect(r"msg ops 4 bob it's \\ fine");
    alice.expect(r#"{"frame":"msg","channel":"ops","seq":4,"from":"bob","data":"it's \\ fine"}"#);
    bob.ask(r#"pub --json ops {"n":12345678901234567890123}"#, "ok pub ops 5");
    bob.expect("msg ops 5 *");
    alice.expect(r#"{*"seq":5,"from":"bob","data":{"n":12345678901234567890123}}"#);
    // Commands, their results, and ranks.
    alice.ask(
        r#"{"op":"cmd","name":"say","args":["two words","it's"],"id":"c"}"#,
        r#"{"reply":"cmd","ok":true,"channel":"ops","seq":6,"to":1,"id":"c"}"#,
    );
    bob.expect(r#"cmd ops 6 alice 0 1 say 'two words' "it's""#);
    bob.ask("ack ops 6 --code 2 not now", "ok ack ops 6");
    alice.expect(
        r#"{"frame":"ack","channel":"ops","seq":6,"member":"bob","rank":1,"result":2,"text":"not now"}"#,
    );
    alice.expect(r#"{"frame":"done","channel":"ops","seq":6,"ok":0,"sent":1}"#);
    alice.ask(
        r#"{"op":"yield"}"#,
        r#"{"reply":"yield","ok":true,"channel":"ops","rank":1,"view":7}"#,
    );
    bob.expect_unordered(&["rank ops 0 7 7", "move ops 7 alice 0 1"]);
    alice.expect_unordered(&[
        r#"{"frame":"rank","channel":"ops","rank":1,"term":7,"view":7}"#,
        r#"{"frame":"move","channel":"ops","seq":7,"member":"alice","old":0,"new":1}"#,
    ]);
    bob.ask("/go 'a b' c", "ok cmd ops 8 to=1");
    alice.expect(
        r#"{"frame":"cmd","channel":"ops","seq":8,"from":"bob","from_rank":0,"from_term":7,"name":"go","args":["a b","c"]}"#,
    );
    alice.ask(
        r#"{"op":"ack","channel":"ops","seq":8,"text":"done\nit"}"#,
        r#"{"reply":"ack","ok":true,"channel":"ops","seq":8}"#,
    );
    bob.expect_all(&["ack ops 8 alice 1 0 done\\nit", "done ops 8 1/1"]);
    bob.ask("kick ops alice", "ok kick ops alice");
    bob.expect("left ops 9 alice 1 reason=kicked");
    alice.expect(
        r#"{"frame":"left","channel":"ops","seq":9,"member":"alice","rank":1,"reason":"kicked"}"#,
    );
    alice.ask(
        r#"{"op":"pub","channel":"ops","data":1,"term":1,"id":1}"#,
        r#"{"reply":"pub","ok":false,"error":{"code":"fenced","message":"*"},"id":1}"#,
    );
    bob.expect_nothing();
    expect_nothing(&mut alice);
}

const REQUESTS: &[(&str, &str)] = &[
    (
        r#"{"op":"create","channel":"ops","max":5,"history":10,"hold":2.5}"#,
        r#"{"reply":"create","ok":true,"channel":"ops"}"#,
    ),
    (
        r#"{"op":"sub","channel":"ops","no_echo":true}"#,
        r#"{"reply":"sub","ok":true,"channel":"ops","rank":0,"term":1,"view":1,"seq":1,"members":1}"#,
    ),
    (
        r#"{"op":"sub","channel":"seen","observe":true,"create":true}"#,
        r#"{"reply":"sub","ok":true,"channel":"seen","observer":true,"view":0,"seq":0,"members":0}"#,
    ),
    (r#"{"op":"sub","pattern":"w*"}"#, r#"{"reply":"sub","ok":true,"pattern":"w*","matched":0}"#),
    (r#"{"op":"unsub","pattern":"w*"}"#, r#"{"reply":"unsub","ok":true,"pattern":"w*"}"#),
    (r#"{"op":"unsub","channel":"seen"}"#, r#"{"reply":"unsub","ok":true,"channel":"seen"}"#),
    (r#"{"op":"use","channel":"ops"}"#, r#"{"reply":"use","ok":true,"channel":"ops"}"#),
    (
        r#"{"op":"pub","channel":"ops","data":"a","key":"k"}"#,
        r#"{"reply":"pub","ok":true,"channel":"ops","seq":2}"#,
    ),
    (
        r#"{"op":"pub","channel":"ops","data":"a","key":"k","id":null}"#,
        r#"{"reply":"pub","ok":true,"channel":"ops","seq":2,"id":null}"#,
    ),
    (
        r#"{"op":"seen","channel":"ops","seq":2}"#,
        r#"{"reply":"seen","ok":true,"channel":"ops","seq":2}"#,
    ),
    (
        r#"{"op":"rank"}"#,
        r#"{"reply":"rank","ok":true,"channel":"ops","rank":0,"term":1,"view":1,"members":1}"#,
    ),
    (
        r#"{"op":"ranks","channel":"ops"}"#,
        r#"{"reply":"ranks","ok":true,"channel":"ops","count":1,"view":1,"rows":[{"channel":"ops","rank":0,"member":"alice","term":1,"away":false,"since":"20*Z","behind":0}]}"#,
    ),
    (
        r#"{"op":"promote","channel":"ops","member":"alice"}"#,
        r#"{"reply":"promote","ok":true,"channel":"ops","member":"alice","rank":0,"view":1}"#,
    ),
    (
        r#"{"op":"check","channel":"ops","term":1}"#,
        r#"{"reply":"check","ok":true,"channel":"ops","current":true,"term":1,"view":1}"#,
    ),
    (
        r#"{"op":"channels"}"#,
        r#"{"reply":"channels","ok":true,"count":2,"rows":[{"channel":"ops","members":1,"seq":2,"history":10,"durable":false},{"channel":"seen",*}]}"#,
    ),
    (
        r#"{"op":"info","channel":"ops"}"#,
        r#"{"reply":"info","ok":true,"channel":"ops","rows":[{"channel":"ops",*"max":5,*"hold":2.5,"on_close":"fast",*}]}"#,
    ),
    (
        r#"{"op":"history","channel":"ops","last":1,"id":[1]}"#,
        r#"{"reply":"history","ok":true,"channel":"ops","count":1,"rows":[{"frame":"msg","channel":"ops","seq":2,"from":"alice","data":"a"}],"id":[1]}"#,
    ),
    (
        r#"{"op":"digest","channel":"ops","from":1,"to":2}"#,
        r#"{"reply":"digest","ok":true,"channel":"ops","from":1,"to":2,"count":1,"sha256":"*"}"#,
    ),
    (
        r#"{"op":"who","channel":"ops"}"#,
        r#"{"reply":"who","ok":true,"count":1,"rows":[{"name":"alice","addr":"127.0.0.1:*","dialect":"json","since":"20*Z","secs":*,"channels":["ops"]}]}"#,
    ),
    (r#"{"op":"clients","history":true}"#, r#"{"reply":"clients","ok":true,"count":0,"rows":[]}"#),
    (
        r#"{"op":"tell","member":"bob","text":"good\nmorning"}"#,
        r#"{"reply":"tell","ok":true,"member":"bob"}"#,
    ),
    (r#"{"op":"broadcast","text":"hi"}"#, r#"{"reply":"broadcast","ok":true,"count":1}"#),
    (r#"{"op":"stats"}"#, r#"{"reply":"stats","ok":true,*"sessions_kept":0,*}"#),
    (r#"{"op":"version"}"#, r#"{"reply":"version","ok":true,"broker":"*","protocol":1}"#),
    (
        r#"{"op":"help","verb":"ping"}"#,
        r#"{"reply":"help","ok":true,"count":1,"rows":[{"text":"ping *"}]}"#,
    ),
    (r#"{"op":"ping"}"#, r#"{"reply":"ping","ok":true,"lease":8000}"#),
    (
        r#"{"op":"kick","channel":"ops","member":"bob"}"#,
        r#"{"reply":"kick","ok":false,"error":{"code":"no-member","message":"*"}}"#,
    ),
    (r#"{"op":"drop","channel":"ops"}"#, r#"{"reply":"drop","ok":true,"channel":"ops"}"#),
];

/// Every request of the protocol and its reply, field by field.
#[test]
fn every_request_and_its_reply() {
    let broker = Broker::start();
    let mut bob = broker.client("bob");
    let mut alice = introduced(&broker, "alice");
    for (request, reply) in REQUESTS {
        let line = alice.ask(request, reply);
        let _: Value = serde_json::from_str(&line).expect("a reply is JSON");
    }
    alice.expect(
        r#"{"frame":"left","channel":"ops","seq":3,"member":"alice","rank":0,"reason":"dropped"}"#,
    );
    bob.expect_all(&["tell alice good\\nmorning", "broadcast alice hi"]);
    bob.ask("tell alice \x1b[2J", "ok tell alice");
    alice.expect(r#"{"frame":"tell","from":"bob","text":"\u001b[2J"}"#);
    bob.ask("broadcast 'a b'", "ok broadcast 1");
    alice.expect(r#"{"frame":"broadcast","from":"bob","text":"a b"}"#);
    alice.ask(r#"{"op":"quit","id":1}"#, r#"{"frame":"bye","reason":"quit"}"#);
    alice.expect_end();
}

/// A request that cannot be read is answered with what of it could be, and changes
/// nothing.
#[test]
fn every_error_is_answered_and_changes_nothing() {
    let broker = Broker::with(|config| config.max_line = 4_096);
    let mut bob = broker.member("bob", "ops");
    let mut alice = introduced(&broker, "alice");
    let deep = "[".repeat(200) + &"]".repeat(200);
    let deep = format!(r#"{{"op":"pub","channel":"ops","data":{deep},"id":1}}"#);
    let long = format!(r#"{{"op":"pub","channel":"ops","data":"{}"}}"#, "x".repeat(5_000));
    for (line, reply, code, id) in [
        (deep.as_str(), "pub", "bad-request", true),
        (&long, "error", "too-long", false),
        (r#"{"op":"fly","id":1}"#, "error", "unknown-command", true),
        (r#"{"op":"fib","id":1,"n":1}"#, "job", "unavailable", true),
        (r#"{"op":"pub","id":1,"channel":"ops","data":1,"data":2}"#, "pub", "bad-request", true),
        (r#"{"op":"pub","id":1,"channel":"ops","data":1,"term":1e99}"#, "pub", "bad-request", true),
        (r#"{"op":"pub","id":1,"channel":"ops","data":1,"colour":2}"#, "pub", "bad-request", true),
        (r#"{"op":"pub","id":1,"channel":["ops"],"data":1}"#, "pub", "bad-request", true),
        (r#"{"op":"pub","id":1,"channel":"ops","data":1"#, "pub", "bad-request", true),
        (r#"{"op":"pub","id":1,"channel":"no","data":1}"#, "pub", "no-channel", true),
        (r#"{"op":"sub","id":1,"channel":"-"}"#, "sub", "no-channel", true),
        (r#"{"op":"create","id":1,"channel":"ops"}"#, "create", "exists", true),
        (r#"{"op":"create","id":1,"channel":"a\nb"}"#, "create", "bad-request", true),
        (r#"{"op":"hello","id":1,"name":"bob"}"#, "hello", "name-taken", true),
        (r#"{"op":"drop","id":1,"channel":"ops"}"#, "drop", "not-member", true),
        (r#"{"op":"yield","id":1}"#, "yield", "bad-request", true),
        ("ping", "error", "bad-request", false),
        ("[]", "error", "bad-request", false),
    ] {
        let id = if id { ",\"id\":1" } else { "" };
        let expected = format!(
            r#"{{"reply":"{reply}","ok":false,"error":{{"code":"{code}","message":"*"}}{id}}}"#
        );
        let line = alice.ask(line, &expected);
        let _: Value = serde_json::from_str(&line).expect("a reply is JSON");
    }
    alice.send_bytes(b"{\"op\":\"pub\",\"id\":1,\"channel\":\"ops\",\"data\":\"\xff\"}\n");
    alice.expect(r#"{"reply":"pub","ok":false,"error":{"code":"bad-request","message":"a line must be UTF-8"},"id":1}"#);
    // Blank lines and pongs are answered by nothing.
    alice.send_bytes(b"\n\r\n  \n{\"op\":\"pong\",\"n\":1}\r\n");
    expect_nothing(&mut alice);
    bob.ask("info ops", "channel ops members=1 seq=1 *");
    bob.expect("ok info ops");
    // A line without an end is the end.
    alice.send_bytes(&[b'{'; 5_000]);
    alice.expect(r#"{"reply":"error","ok":false,"error":{"code":"too-long","message":"*"}}"#);
    alice.expect(r#"{"frame":"bye","reason":"too-long"}"#);
    alice.expect_end();
    bob.expect_nothing();
}

/// `hello --format json` in text, and back: from the reply on.
#[test]
fn a_client_may_change_its_format() {
    let broker = Broker::start();
    let mut alice = broker.member("alice", "ops");
    alice.send_bytes(
        b"ping\nhello --format xml\nhello --format json\n{\"op\":\"pub\",\"channel\":\"ops\",\"data\":1,\"id\":1}\n",
    );
    alice.expect_all(&[
        "ok ping *",
        "err bad-request --format is text or json*",
        r#"{"reply":"hello","ok":true,"name":"alice",*}"#,
        r#"{"reply":"pub","ok":true,"channel":"ops","seq":2,"id":1}"#,
        r#"{"frame":"msg","channel":"ops","seq":2,"from":"alice","data":1}"#,
    ]);
    alice.ask(r#"{"op":"who"}"#, r#"{"reply":"who",*"dialect":"json",*}"#);
    alice.ask("ping", r#"{"reply":"error","ok":false,*}"#);
    // One that fails changes nothing.
    alice.ask(
        r#"{"op":"hello","name":"-","format":"text"}"#,
        r#"{"reply":"hello","ok":false,"error":{"code":"bad-request",*"#,
    );
    alice.ask(r#"{"op":"hello","format":"text","id":9}"#, "ok hello name=alice *");
    alice.ask("pub ops hi", "ok pub ops 3");
    alice.expect("msg ops 3 alice hi");
    alice.ask("who", "client alice * dialect=text *");
    alice.expect("ok who 1");
    alice.expect_nothing();
}

/// `quiet` leaves out the `ok` of `pub` and `ack`, and nothing else.
#[test]
fn quiet_is_as_in_text() {
    let broker = Broker::start();
    let mut alice = member(&broker, "alice", "ops");
    alice.ask(r#"{"op":"hello","quiet":true}"#, r#"{"reply":"hello","ok":true,*"#);
    alice.send_bytes(b"{\"op\":\"pub\",\"channel\":\"ops\",\"data\":1}\n{\"op\":\"pub\",\"channel\":\"no\",\"data\":1,\"id\":2}\n");
    alice.expect_unordered(&[
        r#"{"reply":"pub","ok":false,"error":{"code":"no-channel","message":"*"},"id":2}"#,
        r#"{"frame":"msg","channel":"ops","seq":2,"from":"alice","data":1}"#,
    ]);
    expect_nothing(&mut alice);
}

/// Messages of one read are one append; each is answered with its own id.
#[test]
fn each_of_many_messages_has_its_own_reply() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "ops");
    let mut alice = introduced(&broker, "alice");
    let mut lines = String::new();
    for n in 0..300 {
        let data = match n % 3 {
            0 => json!(format!("text {n}")),
            1 => json!({"n": n}),
            _ => json!("\u{7}\\ \"odd\""),
        };
        lines +=
            &(json!({"op": "pub", "channel": "ops", "data": data, "id": n}).to_string() + "\n");
    }
    alice.send_bytes(lines.as_bytes());
    for n in 0..300 {
        let seq = n + 2;
        alice.expect(&format!(
            r#"{{"reply":"pub","ok":true,"channel":"ops","seq":{seq},"id":{n}}}"#
        ));
        bob.expect(&format!("msg ops {seq} alice *"));
    }
    let lost = r#"{"op":"pub","channel":"no","data":1,"id":"a"}"#;
    alice.send_bytes(format!("{lost}\n{}\n", lost.replace("\"a\"", "\"b\"")).as_bytes());
    alice.expect_all(&[r#"{"reply":"pub","ok":false,*,"id":"a"}"#, r#"{*"ok":false,*,"id":"b"}"#]);
    expect_nothing(&mut alice);
}

/// A reader that lets megabytes pile up: each line whole, each entry once, in
/// order, and beside it the same for a member that speaks text.
#[test]
fn a_slow_reader_gets_every_line_whole() {
    const MESSAGES: usize = 1_500;
    let broker = Broker::with(|config| config.log_bytes = 64 << 20);
    let mut slow = member(&broker, "slow", "ops");
    let mut text = broker.member("text", "ops");
    slow.expect(r#"{"frame":"join",*}"#);
    let mut publisher = introduced(&broker, "publisher");
    ask(&mut publisher, &json!({"op": "hello", "quiet": true}), "{*}");
    let mut sender = publisher.sender();
    let sending = thread::spawn(move || {
        for n in 0..MESSAGES {
            sender.send(&json!({"op": "pub", "channel": "ops", "data": payload(n)}).to_string());
        }
    });
    for n in 0..MESSAGES {
        text.expect(&format!("msg ops {} publisher *", n + 3));
    }
    sending.join().unwrap();
    for n in 0..MESSAGES {
        let frame = next(&mut slow);
        assert_eq!((&frame["seq"], &frame["data"]), (&json!(n + 3), &payload(n)));
    }
    expect_nothing(&mut slow);
    expect_nothing(&mut publisher);
    text.expect_nothing();
}

/// A reader whose receive buffer takes less than a line: every write is cut. There is
/// little to read, because the kernel itself stalls on so small a buffer.
#[test]
fn a_narrow_reader_gets_every_line_whole() {
    let broker = Broker::start();
    let mut narrow = broker.connect_narrow("narrow");
    narrow.ask(r#"{"op":"sub","channel":"ops","create":true}"#, "{*}");
    let mut bob = broker.client("bob");
    for n in 0..20 {
        let text = format!("{n} {}", "é\\\"".repeat(1_500));
        bob.ask(&format!("pub --raw ops {text}"), &format!("ok pub ops {}", n + 2));
        let frame = next(&mut narrow);
        assert_eq!((&frame["seq"], &frame["data"]), (&json!(n + 2), &json!(text)));
    }
}

/// The payload of message `n`: text or not, short or long, with much to escape.
fn payload(n: usize) -> Value {
    let long = "é\"\n\\".repeat(n * 37 % 1_700);
    if n.is_multiple_of(5) { json!({"n": n, "long": long}) } else { json!(format!("{n} {long}")) }
}

/// The socket may take any part of what it is offered, from one byte on, of
/// chunks with one entry and with many.
#[test]
fn writes_are_cut_anywhere() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let config = Config { idle_timeout: Duration::ZERO, ..Config::default() };
        let broker = ranked_broker::broker::Broker::open(config, Box::new(TextEncoder)).unwrap();
        let session = || {
            let client = broker.enter("127.0.0.1:1".parse().unwrap(), "json");
            Session::new(broker.clone(), client)
        };
        let (mut publisher, mut reader) = (session(), session());
        for request in [r#"{"op":"create","channel":"a"}"#, r#"{"op":"sub","channel":"a"}"#] {
            let request = json::decode(request.as_bytes()).request.unwrap().unwrap();
            reader.handle(request, 1).unwrap();
            reader.flush();
        }
        let (mut batch, mut received, mut sent) = (Batch::default(), Vec::new(), 0);
        while sent < 60 || lines(&received) < sent {
            if sent < 60 && dice.roll(2) == 0 {
                let texts: Vec<String> = (0..=dice.roll(4)).map(|n| odd(sent + n)).collect();
                let payloads: Vec<Payload<'_>> =
                    texts.iter().map(|text| Payload::Text(text.into())).collect();
                publisher.publish("a", None, &payloads, 1).unwrap();
                publisher.flush();
                sent += texts.len();
            }
            assert_eq!(reader.take_mail(&mut batch.frames, true), None);
            reader.gather(&mut batch);
            reader.transform(&mut batch, Maker { shape: Shape::Json, make: json::form });
            let bytes = batch.pieces.iter().flat_map(Piece::bytes).copied();
            let bytes: Vec<u8> = bytes.collect();
            let taken = dice.roll(bytes.len() + 1);
            received.extend_from_slice(&bytes[..taken]);
            received.extend(reader.settle(&mut batch, taken, taken > 0, 1));
        }
        let lines = std::str::from_utf8(&received).unwrap().lines();
        let frames: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(frames.len(), sent, "seed {seed}");
        for (n, frame) in frames.iter().enumerate() {
            assert_eq!((&frame["seq"], &frame["data"]), (&json!(n + 2), &json!(odd(n))));
        }
    }
}

fn odd(n: usize) -> String {
    format!("{n} {}", "\u{9b}\\\"é ".repeat(n % 7))
}

/// However the network cuts the bytes up, the transcript is the same.
#[test]
fn byte_by_byte() {
    let requests = b"{\"op\":\"hello\",\"name\":\"alice\",\"session\":\"f81d4fae-7dec-11d0-a765-00a0c91e6bf6\"}\n\
        {\"op\":\"sub\",\"channel\":\"ops\",\"create\":true}\r\n\n{\"op\":\"pub\",\"channel\":\"ops\",\"data\":\"one\",\"id\":1}\n\
        {\"op\":\"pub\",\"channel\":\"ops\",\"data\":[1, 2],\"id\":2}\r\nnonsense\n{\"op\":\"hello\",\"format\":\"text\"}\n\
        pub ops three\nhello --format json\n{\"op\":\"ranks\"}\n{\"op\":\"quit\"}\n";
    let transcript = |piece: usize| {
        let broker = Broker::start();
        let mut alice = broker.connect("alice");
        for bytes in requests.chunks(piece) {
            alice.send_bytes(bytes);
        }
        let mut lines = Vec::new();
        while let Some(line) = alice.line() {
            // What is made up anew each time.
            let line = line.split("\"secret\"").next().unwrap().split(" secret=").next().unwrap();
            let line = line.split("\"since\"").next().unwrap();
            // One lane may overtake the other, in either format.
            if !line.starts_with("{\"frame\":\"msg\"") && !line.starts_with("msg ") {
                lines.push(line.to_owned());
            }
        }
        lines
    };
    let whole = transcript(requests.len());
    assert_eq!(whole.len(), 10, "{whole:#?}");
    for piece in [1, 2, 3, 7, 50] {
        assert_eq!(transcript(piece), whole);
    }
}

/// A session goes on whatever either connection speaks.
#[test]
fn a_session_is_resumed_across_dialects() {
    let broker = Broker::start();
    let uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let mut bob = broker.client("bob");
    bob.ask("create ops --hold 60 --history 100", "ok create ops");
    let mut alice = broker.connect("alice");
    let hello = ask(&mut alice, &json!({"op": "hello", "name": "alice", "session": uuid}), "{*}");
    ask(&mut alice, &json!({"op": "sub", "channel": "ops"}), "{*\"rank\":0,*}");
    alice.close();
    bob.ask("pub ops one", "ok pub ops 2");
    bob.ask("pub ops two", "ok pub ops 3");
    let mut again = broker.connect("again");
    let resume = json!({
        "op": "hello", "session": uuid, "secret": hello["secret"], "seen": {"ops": 2}, "id": 5
    });
    let back = ask(&mut again, &resume, "{\"reply\":\"hello\",\"ok\":true,*\"resumed\":true,*}");
    assert_eq!((&back["rank"], &back["missed"], &back["id"]), (&json!(0), &json!(0), &json!(5)));
    again.expect_unordered(&[
        r#"{"frame":"rank","channel":"ops","rank":0,"term":1,"view":1}"#,
        r#"{"frame":"msg","channel":"ops","seq":3,"from":"bob","data":"two"}"#,
    ]);
    // Taken over while it is still in use, by one that speaks text first.
    let mut taker = broker.connect("taker");
    let secret = hello["secret"].as_str().unwrap();
    taker.send_bytes(
        format!("hello --session {uuid} --secret {secret} --seen ops=3 --format json\n{{\"op\":\"rank\",\"id\":1}}\n")
            .as_bytes(),
    );
    again.expect(r#"{"frame":"bye","reason":"taken-over"}"#);
    taker.expect(r#"{"reply":"hello","ok":true,*"resumed":true,*}"#);
    let mut heard = [next(&mut taker), next(&mut taker)];
    heard.sort_by_key(|line| line["frame"].is_null());
    assert_eq!((&heard[0]["frame"], &heard[1]["id"]), (&json!("rank"), &json!(1)));
    bob.ask("who ops", "client alice * dialect=json *");
    bob.expect("ok who 1");
    expect_nothing(&mut taker);
}

/// On a durable channel replies wait for the disk, each with its id, and what is
/// no longer in memory is read from the disk, in as many replies as it takes.
#[test]
fn a_durable_channel_and_a_long_history() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_owned();
    let broker = Broker::with(|config| (config.data, config.log_bytes) = (Some(data), 64 * 1024));
    let mut alice = introduced(&broker, "alice");
    ask(
        &mut alice,
        &json!({"op": "create", "channel": "log", "durable": true}),
        "{*\"ok\":true,*}",
    );
    let text = "x".repeat(1_000);
    let mut lines = String::new();
    for n in 1..=2_500 {
        let request =
            json!({"op": "pub", "channel": "log", "data": format!("{n} {text}"), "id": n});
        lines += &(request.to_string() + "\n");
    }
    let mut sender = alice.sender();
    let sending = thread::spawn(move || sender.send_bytes(lines.as_bytes()));
    for n in 1..=2_500 {
        alice.expect(&format!(r#"{{"reply":"pub","ok":true,"channel":"log","seq":{n},"id":{n}}}"#));
    }
    sending.join().unwrap();
    let (mut from, mut replies) = (1, 0);
    loop {
        let request = json!({"op": "history", "channel": "log", "from": from, "id": "h"});
        let reply = ask(&mut alice, &request, "{\"reply\":\"history\",\"ok\":true,*,\"id\":\"h\"}");
        let rows = reply["rows"].as_array().unwrap();
        assert_eq!(reply["count"], json!(rows.len()));
        for row in rows {
            assert_eq!(row["seq"], json!(from));
            assert_eq!(row["data"], json!(format!("{from} {text}")));
            from += 1;
        }
        replies += 1;
        assert!(reply.to_string().len() < 1_100_000);
        match &reply["next"] {
            Value::Null => break,
            next => assert_eq!(next, &json!(from)),
        }
    }
    assert_eq!((from, replies), (2_501, 3));
    ask(&mut alice, &json!({"op": "sub", "channel": "log", "from": "first"}), "{*\"ok\":true,*}");
    for n in 1..=2_500 {
        alice.expect(&format!(
            r#"{{"frame":"msg","channel":"log","seq":{n},"from":"alice","data":"{n} x*"#
        ));
    }
    expect_nothing(&mut alice);
}

/// A pattern brings entries of every channel that matches.
#[test]
fn patterns_are_as_in_text() {
    let broker = Broker::start();
    let mut alice = introduced(&broker, "alice");
    ask(&mut alice, &json!({"op": "sub", "pattern": "n*"}), "{*\"matched\":0}");
    let mut bob = broker.client("bob");
    bob.ask("create news", "ok create news");
    bob.ask("pub news hi", "ok pub news 1");
    alice.expect(r#"{"frame":"msg","channel":"news","seq":1,"from":"bob","data":"hi"}"#);
    expect_nothing(&mut alice);
}

/// A pattern that is also a channel's name is only a pattern, and ending it does not
/// cost the rank in that channel.
#[test]
fn a_pattern_is_none_of_its_name() {
    let broker = Broker::start();
    let mut alice = member(&broker, "alice", "ab");
    let (sub, unsub) =
        (json!({"op": "sub", "pattern": "ab"}), json!({"op": "unsub", "pattern": "ab"}));
    ask(&mut alice, &unsub, r#"{*"ok":false,"error":{"code":"not-member",*}}"#);
    ask(&mut alice, &sub, "{*\"matched\":1}");
    ask(&mut alice, &unsub, r#"{"reply":"unsub","ok":true,"pattern":"ab"}"#);
    ask(&mut alice, &json!({"op": "rank", "channel": "ab"}), "{*\"rank\":0,*}");
    ask(&mut alice, &sub, "{*\"matched\":1}");
    expect_nothing(&mut alice);
}

/// A member that is too slow for a small log is told so, and the forms that are
/// made for members who speak JSON count for the log's bound.
#[test]
fn the_log_stays_within_its_bound() {
    const LOG_BYTES: usize = 64 * 1024;
    let broker = Broker::with(|config| config.log_bytes = LOG_BYTES);
    let mut bob = broker.client("bob");
    bob.ask("create ops --history 1000000", "ok create ops");
    let mut alice = introduced(&broker, "alice");
    ask(&mut alice, &json!({"op": "sub", "channel": "ops"}), "{*}");
    for n in 0..2_000 {
        bob.ask(&format!("pub ops {n}"), &format!("ok pub ops {}", n + 2));
        alice.expect(&format!(r#"{{"frame":"msg",*"data":"{n}"}}"#));
    }
    let row = bob.ask("info ops", "channel ops *");
    bob.expect("ok info ops");
    let bytes: usize = support::field(&row, "bytes").parse().unwrap();
    assert!(bytes <= LOG_BYTES + 4_096, "the log takes {bytes}");
}

/// The same random requests, all in text or all in JSON, have the same outcomes, and
/// the channels end up with the same entries.
#[test]
fn the_same_requests_give_the_same_model() {
    for seed in 0..12 {
        let (text, json) = (played(seed, false), played(seed, true));
        assert!(text.len() > 50, "seed {seed} does little");
        assert_eq!(text, json, "seed {seed}");
    }
}

/// The outcome of each of a seed's requests, and then all entries as a client of the
/// text dialect sees them.
fn played(seed: u64, is_json: bool) -> Vec<String> {
    let broker = Broker::start();
    let mut judge = broker.client("judge");
    for channel in ["a", "b"] {
        judge.ask(&format!("create {channel} --history 100000"), "ok create *");
    }
    let mut players: Vec<Client> = ["p0", "p1", "p2"]
        .map(|name| if is_json { introduced(&broker, name) } else { broker.client(name) })
        .into();
    let mut dice = Dice(seed);
    let mut lines = Vec::new();
    for step in 0..120 {
        let player = &mut players[dice.roll(3)];
        let channel = ["a", "b", "none"][dice.roll(9).min(5) % 3];
        let other = format!("p{}", dice.roll(3));
        let (text, json) = match dice.roll(9) {
            0..=1 => (format!("sub {channel}"), json!({"op": "sub", "channel": channel})),
            2 => (format!("unsub {channel}"), json!({"op": "unsub", "channel": channel})),
            3 => (format!("yield {channel}"), json!({"op": "yield", "channel": channel})),
            4 => (
                format!("kick {channel} {other}"),
                json!({"op": "kick", "channel": channel, "member": other}),
            ),
            5 => (
                format!("promote {channel} {other}"),
                json!({"op": "promote", "channel": channel, "member": other}),
            ),
            6 => (
                format!("cmd {channel} go '{step} x'"),
                json!({"op": "cmd", "channel": channel, "name": "go", "args": [format!("{step} x")]}),
            ),
            7 => (
                format!(r#"pub --json {channel} {{"step":{step}}}"#),
                json!({"op": "pub", "channel": channel, "data": {"step": step}}),
            ),
            _ => (
                format!(r"pub --raw {channel} it's {step} \n"),
                json!({"op": "pub", "channel": channel, "data": format!(r"it's {step} \n")}),
            ),
        };
        lines.push(format!("{text} → {}", outcome(player, &text, &json, is_json)));
    }
    for channel in ["a", "b"] {
        judge.send(&format!("history {channel}"));
        lines.extend(judge.until("ok history *"));
    }
    lines
}

/// The reply to a request, past whatever frames come before it: `ok`, or the
/// code.
fn outcome(player: &mut Client, text: &str, json: &Value, is_json: bool) -> String {
    if !is_json {
        player.send(text);
        let is_reply = |line: &String| line.starts_with("ok ") || line.starts_with("err ");
        let line = std::iter::from_fn(|| player.line()).find(is_reply).expect("a reply");
        let mut words = line.split(' ');
        let (first, second) = (words.next().unwrap(), words.next().unwrap());
        return if first == "ok" { "ok".into() } else { second.to_owned() };
    }
    player.send(&json.to_string());
    let lines = std::iter::from_fn(|| player.line());
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
    let reply = lines.find(|line| line["frame"].is_null()).expect("a reply");
    assert_eq!(reply["reply"], json["op"]);
    if reply["ok"] == json!(true) {
        "ok".into()
    } else {
        reply["error"]["code"].as_str().unwrap().to_owned()
    }
}

fn lines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}
