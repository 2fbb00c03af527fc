use super::*;
use crate::request::VERBS;
use crate::wire::json::ID_BYTES_MAX;
use proptest::prelude::*;

fn one(line: &str) -> Request<'_> {
    decode(line.as_bytes()).request.unwrap().unwrap()
}

/// The verb and the id of a line's reply, and the code and text of its fault.
fn fault(line: &str) -> (&'static str, Option<&str>, Code, String) {
    let asked = decode(line.as_bytes());
    let fault = asked.request.unwrap_err();
    (asked.tag.verb, asked.tag.id, fault.code, fault.message)
}

fn same(json: &str, text: &str) {
    let text = crate::wire::text::decode(text.as_bytes()).unwrap().unwrap();
    let plain = |request| match request {
        Request::Pub(Publish { channel, term, key, payload: Payload::Plain(plain) }) => {
            let payload = Payload::Text(std::str::from_utf8(plain).unwrap().into());
            Request::Pub(Publish { channel, term, key, payload })
        }
        other => other,
    };
    assert_eq!(plain(one(json)), plain(text), "{json}");
}

/// The same requests in both dialects.
const REQUESTS: &[(&str, &str)] = &[
    (r#"{"op":"hello"}"#, "hello"),
    (r#"{"op":"hello","format":"text"}"#, "hello --format text"),
    (r#"{"op":"seen","channel":"c","seq":7}"#, "seen c 7"),
    (r#"{"op":"create","channel":"c"}"#, "create c"),
    (
        r#"{"op":"create","channel":"c","max":5,"history":9,"history_age":1.5,"history_bytes":8,"durable":true,"hold":2,"on_close":"safe","if_missing":true}"#,
        "create c --max 5 --history 9 --history-age 1.5 --history-bytes 8 --durable --hold 2 --on-close safe --if-missing",
    ),
    (r#"{"op":"create","channel":"c","hold":0,"durable":false}"#, "create c --hold 0"),
    (r#"{"op":"drop","channel":"c"}"#, "drop c"),
    (r#"{"op":"sub","channel":"c"}"#, "sub c"),
    (
        r#"{"op":"sub","channel":"c","from":7,"create":true,"no_echo":true,"observe":true}"#,
        "sub c --from 7 --create --no-echo --observe",
    ),
    (r#"{"op":"sub","channel":"c","from":"first"}"#, "sub c --from first"),
    (r#"{"op":"sub","channel":"c","from":"now"}"#, "sub c --from now"),
    (r#"{"op":"sub","channel":"c","last":3}"#, "sub c --last 3"),
    (r#"{"op":"sub","pattern":"n*"}"#, "sub --pattern n*"),
    (r#"{"op":"unsub","channel":"c"}"#, "unsub c"),
    (r#"{"op":"unsub","pattern":"n*"}"#, "unsub n*"),
    (r#"{"op":"use","channel":"c"}"#, "use c"),
    (r#"{"op":"pub","channel":"c","data":"hi there"}"#, "pub c hi there"),
    (r#"{"op":"pub","channel":"c","data":"a\nb"}"#, "pub c 'a\nb'"),
    (r#"{"op":"pub","channel":"c","data":"","term":5,"key":"k"}"#, "pub --term 5 --key k c ''"),
    (
        r#"{"op":"pub","channel":"c","data": {"a": [1.0, null]} }"#,
        r#"pub --json c {"a": [1.0, null]}"#,
    ),
    (r#"{"op":"pub","channel":"c","data":null}"#, "pub --json c null"),
    (r#"{"op":"cmd","name":"go"}"#, "/go"),
    (
        r#"{"op":"cmd","channel":"c","to":"bob","timeout":2.5,"key":"k","name":"go","args":["a b","c"]}"#,
        "cmd c --to bob --timeout 2.5 --key k go 'a b' c",
    ),
    (r#"{"op":"ack","channel":"c","seq":7}"#, "ack c 7"),
    (
        r#"{"op":"ack","channel":"c","seq":7,"code":-1,"text":"not now"}"#,
        "ack c 7 --code -1 not now",
    ),
    (r#"{"op":"rank"}"#, "rank"),
    (r#"{"op":"rank","channel":"c"}"#, "rank c"),
    (r#"{"op":"ranks","channel":"c"}"#, "ranks c"),
    (r#"{"op":"yield"}"#, "yield"),
    (r#"{"op":"promote","channel":"c","member":"bob"}"#, "promote c bob"),
    (r#"{"op":"promote","channel":"c","member":"bob","rank":2}"#, "promote c bob 2"),
    (r#"{"op":"check","channel":"c","term":7}"#, "check c 7"),
    (r#"{"op":"kick","channel":"c","member":"bob","reason":"too slow"}"#, "kick c bob too slow"),
    (r#"{"op":"channels"}"#, "channels"),
    (r#"{"op":"info","channel":"c"}"#, "info c"),
    (r#"{"op":"history","channel":"c"}"#, "history c"),
    (r#"{"op":"history","channel":"c","last":3}"#, "history c --last 3"),
    (r#"{"op":"digest","channel":"c","from":1,"to":9}"#, "digest c 1 9"),
    (r#"{"op":"who","channel":null}"#, "who"),
    (r#"{"op":"w","channel":"c"}"#, "w c"),
    (r#"{"op":"clients","history":true,"last":3}"#, "clients --history --last 3"),
    (r#"{"op":"tell","member":"bob","text":"good morning"}"#, "tell bob good morning"),
    (r#"{"op":"msg","member":"bob","text":"hi"}"#, "msg bob hi"),
    (r#"{"op":"broadcast","text":"hi"}"#, "broadcast hi"),
    (r#"{"op":"stats"}"#, "stats"),
    (r#"{"op":"version"}"#, "version"),
    (r#"{"op":"help","verb":"pub"}"#, "help pub"),
    (r#"{"op":"ping"}"#, "ping"),
    (r#"{"op":"quit"}"#, "quit"),
];

#[test]
fn every_request_is_the_one_of_the_text_dialect() {
    let uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    same(
        &format!(
            r#"{{"op":"hello","name":"n","quiet":true,"format":"json","session":"{uuid}","secret":"s","seen":{{"a":7}}}}"#
        ),
        &format!("hello --name n --quiet --format json --session {uuid} --secret s --seen a=7"),
    );
    for (json, text) in REQUESTS {
        same(json, text);
    }
}

#[test]
fn every_verb_of_the_text_dialect_is_known() {
    for usage in VERBS.iter().filter(|usage| !usage.verb.starts_with('/')) {
        for op in [Some(usage.verb), usage.also].into_iter().flatten() {
            let line = format!(r#"{{"op":"{op}"}}"#);
            let known = decode(line.as_bytes());
            assert_eq!(known.tag.verb, usage.verb);
            assert!(known.request.is_ok_and(|r| r.is_some()) || fault_is_missing(op), "{op}");
        }
    }
}

fn fault_is_missing(op: &str) -> bool {
    let line = format!(r#"{{"op":"{op}"}}"#);
    let (verb, _, code, text) = fault(&line);
    let is_missing = text.ends_with(" is missing") || op == "clients";
    find_verb(op) == Some(verb) && code == Code::BadRequest && is_missing
}

#[test]
fn nothing_answers_a_blank_line_or_a_pong() {
    for line in ["", "  ", "\t", r#"{"op":"pong"}"#, r#"{"op":"pong","n":7}"#] {
        assert_eq!(decode(line.as_bytes()).request, Ok(None), "{line:?}");
    }
}

#[test]
fn the_id_is_any_value_and_bounded() {
    for id in ["7", "\"a\"", "null", "[1,{\"a\":2}]", "1e400", "\"\\ud800\"", "-0.10"] {
        let line = format!(r#"{{"op":"ping","id":{id}}}"#);
        let asked = decode(line.as_bytes());
        assert_eq!((asked.tag.verb, asked.tag.id), ("ping", Some(id)));
        assert_eq!(asked.request, Ok(Some(Request::Ping)));
    }
    let with_id = |len: usize| format!(r#"{{"op":"ping","id":"{}"}}"#, "i".repeat(len - 2));
    assert!(decode(with_id(ID_BYTES_MAX).as_bytes()).request.is_ok());
    let line = with_id(ID_BYTES_MAX + 1);
    let (verb, id, code, _) = fault(&line);
    assert_eq!((verb, id, code), ("ping", None, Code::TooLong));
}

/// Lines, their verb, and the code and text of their fault. All have the id 1.
const FAULTS: &[(&str, &str, Code, &str)] = &[
    (r#"{"op":"fly","id":1}"#, "error", Code::UnknownCommand, "\"fly\" is no verb"),
    (r#"{"op":"fib","id":1}"#, "job", Code::BadRequest, "n is missing"),
    (r#"{"op":"fib","id":1,"n":{}}"#, "job", Code::BadRequest, "n must be a string or a number"),
    (r#"{"op":"numbers","id":1,"count":1,"to":"b"}"#, "job", Code::BadRequest, "\"to\""),
    (r#"{"id":1}"#, "error", Code::BadRequest, "op is missing"),
    (r#"{"op":5,"id":1}"#, "error", Code::BadRequest, "op must be a string, not 5"),
    (r#"{"op":["a"],"id":1}"#, "error", Code::BadRequest, r#"op must be a string, not ["a"]"#),
    (r#"{"id":1,"op":"ping","op":"ping"}"#, "ping", Code::BadRequest, "\"op\" is there twice"),
    (r#"{"op":"ping","id":1,"id":2}"#, "ping", Code::BadRequest, "\"id\" is there twice"),
    (r#"{"op":"use","id":1,"channel":"a","channel":"a"}"#, "use", Code::BadRequest, "twice"),
    (r#"{"op":"use","id":1,"channel":"a","ch\u0061nnel":"a"}"#, "use", Code::BadRequest, "twice"),
    (r#"{"op":"ping","id":1,"x":0}"#, "ping", Code::BadRequest, "no field \"x\""),
    (r#"{"op":"ping","id":1"#, "ping", Code::BadRequest, "one JSON object"),
    (r#"{"op":"ping","id":1} {}"#, "ping", Code::BadRequest, "one JSON object"),
    (r#"{"op":"ping","id":1,}"#, "ping", Code::BadRequest, "one JSON object"),
    (
        r#"{"op":"pub","id":1,"chan":"c","data":1}"#,
        "pub",
        Code::BadRequest,
        "channel is missing; there is \"chan\", \"data\"",
    ),
    (r#"{"op":"pub","id":1,"channel":"c"}"#, "pub", Code::BadRequest, "data is missing"),
    (
        r#"{"op":"pub","id":1,"channel":5,"data":1}"#,
        "pub",
        Code::BadRequest,
        "channel must be a string",
    ),
    (
        r#"{"op":"pub","id":1,"channel":"c","data":"\ud800"}"#,
        "pub",
        Code::BadRequest,
        r#"pair: "\ud800""#,
    ),
    (
        r#"{"op":"pub","id":1,"channel":"c","data":1,"key":""}"#,
        "pub",
        Code::BadRequest,
        "key must not be empty",
    ),
    (
        r#"{"op":"pub","id":1,"channel":"c","data":1,"term":-1}"#,
        "pub",
        Code::BadRequest,
        "term must be a whole number",
    ),
    (
        r#"{"op":"seen","id":1,"channel":"c","seq":18446744073709551616}"#,
        "seen",
        Code::BadRequest,
        "seq must be a whole number",
    ),
    (
        r#"{"op":"seen","id":1,"channel":"c","seq":1e3}"#,
        "seen",
        Code::BadRequest,
        "seq must be a whole number",
    ),
    (
        r#"{"op":"seen","id":1,"channel":"c","seq":"7"}"#,
        "seen",
        Code::BadRequest,
        "seq must be a whole number",
    ),
    (
        r#"{"op":"ack","id":1,"channel":"c","seq":7,"code":2147483648}"#,
        "ack",
        Code::BadRequest,
        "code must be a whole number",
    ),
    (
        r#"{"op":"cmd","id":1,"name":"go","args":["a",1]}"#,
        "cmd",
        Code::BadRequest,
        "args must be an array of strings",
    ),
    (
        r#"{"op":"cmd","id":1,"name":"go","args":["a\u0000"]}"#,
        "cmd",
        Code::BadRequest,
        "control characters",
    ),
    (r#"{"op":"cmd","id":1,"name":""}"#, "cmd", Code::BadRequest, "needs a name"),
    (
        r#"{"op":"cmd","id":1,"name":"go","timeout":0}"#,
        "cmd",
        Code::BadRequest,
        "timeout must be a number of seconds, above 0 and up to 86400, not ",
    ),
    (
        r#"{"op":"cmd","id":1,"name":"go","timeout":1e999}"#,
        "cmd",
        Code::BadRequest,
        "timeout must be a number of seconds, above 0 and up to 86400, not ",
    ),
    (
        r#"{"op":"cmd","id":1,"name":"go","timeout":"5"}"#,
        "cmd",
        Code::BadRequest,
        "timeout must be a number of seconds",
    ),
    (
        r#"{"op":"hello","id":1,"quiet":"yes"}"#,
        "hello",
        Code::BadRequest,
        "quiet must be true or false",
    ),
    (
        r#"{"op":"hello","id":1,"format":"xml"}"#,
        "hello",
        Code::BadRequest,
        "format is text or json",
    ),
    (r#"{"op":"hello","id":1,"token":"t"}"#, "hello", Code::Unavailable, "token is not served"),
    (r#"{"op":"hello","id":1,"session":"x"}"#, "hello", Code::BadRequest, "session takes a UUID"),
    (r#"{"op":"hello","id":1,"seen":{"a":1}}"#, "hello", Code::BadRequest, "go with session"),
    (r#"{"op":"hello","id":1,"seen":{"a":1,"a":2}}"#, "hello", Code::BadRequest, "each once"),
    (r#"{"op":"hello","id":1,"seen":{"a":-1}}"#, "hello", Code::BadRequest, "seen must be"),
    (
        r#"{"op":"create","id":1,"channel":"c","max":0}"#,
        "create",
        Code::BadRequest,
        "max must be at least 1",
    ),
    (
        r#"{"op":"create","id":1,"channel":"c","on_close":"slow"}"#,
        "create",
        Code::BadRequest,
        "fast or safe",
    ),
    (
        r#"{"op":"sub","id":1,"channel":"c","from":1,"last":1}"#,
        "sub",
        Code::BadRequest,
        "exclude each other",
    ),
    (r#"{"op":"sub","id":1,"channel":"c","from":"then"}"#, "sub", Code::BadRequest, "from must be"),
    (r#"{"op":"sub","id":1,"pattern":"c*","last":1}"#, "sub", Code::BadRequest, "stands alone"),
    (
        r#"{"op":"unsub","id":1,"pattern":"c*","channel":"c"}"#,
        "unsub",
        Code::BadRequest,
        "exclude each other",
    ),
    (r#"{"op":"clients","id":1}"#, "clients", Code::BadRequest, "history: true"),
    (r#"{"op":"tell","id":1,"member":"bob"}"#, "tell", Code::BadRequest, "text is missing"),
];

#[test]
fn every_fault_says_what_is_wrong() {
    let deep = format!(
        r#"{{"op":"pub","channel":"c","id":1,"data":{}}}"#,
        "[".repeat(129) + &"]".repeat(129)
    );
    let many = (0..40).map(|n| format!(",\"k{n}\":0")).collect::<Vec<_>>().concat();
    let many = format!(r#"{{"op":"ping","id":1{many}}}"#);
    let key =
        format!(r#"{{"op":"pub","channel":"c","data":1,"key":"{}","id":1}}"#, "k".repeat(129));
    let made_up = [
        (deep.as_str(), "pub", Code::BadRequest, "over 128 deep"),
        (&many, "ping", Code::BadRequest, "more than 32 fields"),
        (&key, "pub", Code::TooLong, "128 bytes"),
    ];
    for (line, verb, code, text) in made_up.iter().chain(FAULTS).copied() {
        let (said, id, is, message) = fault(line);
        assert_eq!((said, id, is), (verb, Some("1"), code), "{line}: {message}");
        assert!(message.contains(text), "{line}: {message}");
    }
    for line in ["5", "[]", "\"op\"", "null", "hello", "{", "{]", "}"] {
        let (verb, id, code, _) = fault(line);
        assert_eq!((verb, id, code), ("error", None, Code::BadRequest), "{line}");
    }
    let asked = decode(b"{\"op\":\"pub\",\"id\":1,\"channel\":\"c\",\"data\":\"\xff\"}");
    assert_eq!((asked.tag.verb, asked.tag.id), ("pub", Some("1")));
    assert_eq!(asked.request.unwrap_err().message, "a line must be UTF-8");
}

#[test]
fn a_plain_payload_needs_no_escapes() {
    let payload = |data: &str| {
        let line = format!(r#"{{"op":"pub","channel":"c","data":"{data}"}}"#);
        let Request::Pub(publish) = one(&line) else { panic!("{line}") };
        (publish.payload.as_bytes().to_vec(), matches!(publish.payload, Payload::Plain(_)))
    };
    assert_eq!(payload("a  'b' "), (b"a  'b' ".to_vec(), true));
    assert_eq!(payload("grün"), ("grün".into(), true));
    assert_eq!(payload("\u{9b}"), ("\u{9b}".into(), false));
    assert_eq!(payload("\x7f"), ("\x7f".into(), false));
    assert_eq!(payload("\\\\"), (b"\\".to_vec(), false));
}

proptest! {
    #[test]
    fn every_text_and_every_name_comes_through(said in any::<String>(), to in any::<String>()) {
        let request = serde_json::json!({"op": "tell", "member": to, "text": said}).to_string();
        prop_assert_eq!(one(&request), Request::Tell { member: to, text: said.clone() });
        let request = serde_json::json!({"op": "pub", "channel": "c", "data": said}).to_string();
        let Request::Pub(publish) = one(&request) else { panic!("{request}") };
        prop_assert_eq!(publish.payload.as_bytes(), said.as_bytes());
    }

    #[test]
    fn whatever_comes_is_answered(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = decode(&bytes);
        let mut line = b"{\"op\":\"sub\",\"channel\":\"c\",\"id\":1,".to_vec();
        line.extend(bytes);
        let _ = decode(&line);
    }
}
