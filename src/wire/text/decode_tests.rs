use super::*;
use crate::error::Code;
use crate::payload::Payload;
use crate::request::Publish;
use proptest::prelude::*;

fn one(line: &str) -> Request<'_> {
    decode(line.as_bytes()).unwrap().unwrap()
}

fn code(line: &str) -> Code {
    decode(line.as_bytes()).unwrap_err().code
}

fn published(line: &str) -> (String, Option<u64>, Payload<'_>) {
    match one(line) {
        Request::Pub(Publish { channel, term, payload, .. }) => {
            (channel.into_owned(), term, payload)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_answers_a_comment_a_blank_line_or_a_pong() {
    for line in ["", "   ", "\t", "# hi", "  #'open quote", "#", "pong", "pong 7"] {
        assert_eq!(decode(line.as_bytes()), Ok(None), "{line:?}");
    }
}

#[test]
fn the_words_of_a_message_are_joined_by_one_blank() {
    for (line, text) in [
        ("pub news hello", "hello"),
        ("pub news hello world", "hello world"),
        ("pub news   hello \t world  ", "hello world"),
        ("  pub news hello", "hello"),
        ("pub news 'a  b' \"c\"", "a  b c"),
        ("pub news ''", ""),
        ("pub news #1 a#b", "#1 a#b"),
        ("pub news -- --hello", "--hello"),
        ("pub -- news --hello", "--hello"),
        ("pub news say --term 5", "say --term 5"),
        ("pub news a -- b", "a -- b"),
        ("pub 'news' a", "a"),
        ("pub news grün", "grün"),
    ] {
        let (channel, term, payload) = published(line);
        assert_eq!(
            (channel.as_str(), term, payload.as_bytes()),
            ("news", None, text.as_bytes()),
            "{line}"
        );
    }
}

#[test]
fn options_stand_anywhere_up_to_the_free_text() {
    for line in ["pub --term 5 news hi", "pub news --term=5 hi", "pub --term=5 -- news hi"] {
        let (channel, term, payload) = published(line);
        assert_eq!(
            (channel.as_str(), term, payload.as_bytes()),
            ("news", Some(5), &b"hi"[..]),
            "{line}"
        );
    }
    assert_eq!(
        one("cmd ops --to bob --timeout 2.5 go --to x"),
        one("cmd --to=bob --timeout=2.5 ops go --to x")
    );
    assert_eq!(one("cmd ops -- --go"), one("cmd -- ops --go"));
    assert_eq!(one("sub --create news --last 5"), one("sub news --last=5 --create"));
}

#[test]
fn an_escaped_text_of_a_result_has_its_lines() {
    let text = |line: &str| match one(line) {
        Request::Ack { text, .. } => text,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(text(r"ack ops 7 --escaped -- 'one\ntwo\\n \x00'"), "one\ntwo\\n \0");
    assert_eq!(text(r"ack ops 7 'one\ntwo'"), r"one\ntwo");
}

#[test]
fn raw_and_json_take_the_rest_of_the_line_as_it_is() {
    for (line, text) in [
        ("pub --raw news it's  \"so\" \\n", "it's  \"so\" \\n"),
        ("pub --raw news  two", " two"),
        ("pub --raw news --hello", "--hello"),
        ("pub  --raw   news x ", "x "),
        ("pub --raw -- news x", "x"),
        ("pub --raw news ", ""),
        ("pub news --raw it's  \"so\" \\n", "it's  \"so\" \\n"),
        ("pub news --raw  two", " two"),
        ("pub\tnews --raw --hello", "--hello"),
        ("pub news --raw", ""),
        ("pub --raw news", ""),
    ] {
        assert_eq!(published(line), ("news".into(), None, Payload::Text(text.into())), "{line:?}");
    }
    assert_eq!(published("pub --term 3 --raw news x").1, Some(3));
    assert_eq!(published("pub --raw --term=3 news x").1, Some(3));
    assert_eq!(published("pub news --term 3 --raw x").1, Some(3));
    assert_eq!(published("pub --term 3 news --raw x").1, Some(3));
    let json = "{\"a\": [1, 'x'] }".replace('\'', "\"");
    let line = format!("pub --json news {json}");
    assert_eq!(published(&line).2, Payload::Json(json.clone().into()));
    assert_eq!(code("pub --json news {1}"), Code::BadRequest);
    assert_eq!(code("pub --json --raw news 1"), Code::BadRequest);
    let line = format!("pub news --key=k --json {json}");
    assert_eq!(published(&line).2, Payload::Json(json.into()));
    assert_eq!(code("pub news --json {1}"), Code::BadRequest);
    // A quoted value is no option, and what is before the text is not unquoted.
    assert_eq!(published("pub news --key \"x --raw y\" hi").2, Payload::Text("hi".into()));
    for line in ["pub news --key 'k' --raw x", "pub --key 'k' --raw news x", "pub \"news\" --raw x"]
    {
        assert_eq!(code(line), Code::BadRequest, "{line}");
    }
    assert_eq!(code("pub --json news --raw 1"), Code::BadRequest);
    assert_eq!(published("pub -- news --raw x").2, Payload::Text("--raw x".into()));
}

#[test]
fn what_cannot_be_read_is_said_to_be_so() {
    for line in [
        "pub",
        "pub news",
        "pub --term x news hi",
        "pub --term",
        "pub --nope news hi",
        "pub news --hello",
        "pub news 'open",
        "create",
        "create a b",
        "create a --max 0",
        "create a --max 1 --max 2",
        "create a --if-missing=1",
        "create a --history -1",
        "sub",
        "sub a --from 1 --last 2",
        "sub a --from x",
        "sub --pattern a* b",
        "sub --pattern a* --create",
        "cmd ops",
        "cmd ops --timeout 0 go",
        "cmd ops --timeout nan go",
        "cmd ops --timeout 1e9 go",
        "cmd ops 'a\tb'",
        "/",
        "/ go",
        "/say 'a\u{1b}b'",
        "ack ops",
        "ack ops x",
        "ack ops 1 --code x",
        "promote ops",
        "promote ops bob -1",
        "check ops",
        "kick ops",
        "clients",
        "tell bob",
        "broadcast",
        "quit now",
        "ping 1",
        "rank a b",
        "create a --on-close maybe",
        "sub a\u{7f} \"",
    ] {
        assert_eq!(code(line), Code::BadRequest, "{line:?}");
    }
    assert_eq!(decode(b"pub news \xff").unwrap_err().code, Code::BadRequest);
    for line in ["nope", "PUB news hi", "'' x", "\"pub \" x"] {
        assert_eq!(code(line), Code::UnknownCommand, "{line:?}");
    }
}

#[test]
fn what_is_not_served_yet_is_said_to_be_so() {
    assert_eq!(code("hello --token t"), Code::Unavailable);
}

#[test]
fn jobs_have_their_own_words_and_options() {
    let job = |verb, to: Option<&str>, arguments: &[(&'static str, &str)]| Request::Job {
        verb,
        to: to.map(str::to_owned),
        arguments: arguments.iter().map(|(name, text)| (*name, (*text).to_owned())).collect(),
    };
    assert_eq!(one("fib 3"), job("fib", None, &[("n", "3")]));
    assert_eq!(one("fib --to bob 3"), job("fib", Some("bob"), &[("n", "3")]));
    assert_eq!(one("fib 3 --to=bob"), job("fib", Some("bob"), &[("n", "3")]));
    assert_eq!(one("url 'http://a/b c'"), job("url", None, &[("url", "http://a/b c")]));
    assert_eq!(one("numbers 5"), job("numbers", None, &[("count", "5")]));
    let both = job("numbers", None, &[("count", "5"), ("batch", "2")]);
    assert_eq!(one("numbers --batch 2 5"), both);
    assert_eq!((one("jobs"), one("cancel 7")), (Request::Jobs, Request::Cancel { job: 7 }));
    for line in
        ["fib", "fib 1 2", "fib --to", "numbers 5 --to bob", "url", "jobs 1", "cancel", "cancel x"]
    {
        assert_eq!(code(line), Code::BadRequest, "{line:?}");
    }
}

#[test]
fn a_session_and_what_was_seen_of_each_channel() {
    let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let line = format!("hello --seen a=7 --session {uuid} --secret s --seen=b=0 --name n");
    let Request::Hello { name, session, secret, seen, .. } = one(&line) else { panic!("{line}") };
    assert_eq!((name.as_deref(), secret.as_deref()), (Some("n"), Some("s")));
    assert_eq!(session.map(|session| session.to_string()).as_deref(), Some(uuid));
    assert_eq!(seen, [("a".into(), 7), ("b".into(), 0)]);
    for line in [
        "hello --session x",
        "hello --secret s",
        "hello --seen a=1",
        &format!("hello --session {uuid} --seen a"),
        &format!("hello --session {uuid} --seen a=x"),
        "seen a",
        "seen a x",
        "digest a 1",
        "pub --key '' a b",
    ] {
        assert_eq!(code(line), Code::BadRequest, "{line:?}");
    }
    assert_eq!(code(&format!("pub --key {} a b", "k".repeat(129))), Code::TooLong);
}

#[test]
fn how_a_channel_is_to_be() {
    let line = "create a --hold 2.5 --on-close safe --history-age 86400 --history-bytes 5";
    let Request::Create { settings, .. } = one(line) else { panic!("{line}") };
    assert_eq!(settings.hold, Duration::from_millis(2500));
    assert_eq!(settings.on_close, crate::request::OnClose::Safe);
    assert_eq!(settings.history_age, Some(Duration::from_secs(86_400)));
    assert_eq!((settings.history, settings.history_bytes), (None, Some(5)));
    for line in ["create a --hold -1", "create a --hold 1e9", "create a --on-close soon"] {
        assert_eq!(code(line), Code::BadRequest, "{line:?}");
    }
}

#[test]
fn each_verb_of_the_help_is_read() {
    for usage in crate::request::VERBS {
        for name in [Some(usage.verb), usage.also].into_iter().flatten() {
            let line = format!("{name} ");
            let known =
                decode(line.as_bytes()).map_or_else(|e| e.code != Code::UnknownCommand, |_| true);
            assert!(known, "{name}");
        }
    }
}

/// The fast path once looked only at the channel's first letter, and took a
/// quoted or escaped name as it stood (found by `fuzz/run text`).
#[test]
fn a_channel_that_needs_unquoting_is_unquoted() {
    for line in ["pub ne\"w\"s hi", "pub ne\\ws hi", "pub news\t hi"] {
        let Ok(Some(Request::Pub(publish))) = decode(line.as_bytes()) else { panic!("{line}") };
        assert_eq!((&*publish.channel, publish.payload.as_bytes()), ("news", &b"hi"[..]), "{line}");
    }
    assert!(decode(b"pub ne\"ws hi").is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = decode(&line);
    }

    #[test]
    fn no_words_make_it_panic(line in r#"(pub|sub|cmd|ack|create|hello|/x)( |--|=|'|"|\\|#|raw|json|term|from|last|[a-z0-9]{1,3}|\t){0,20}"#) {
        let _ = decode(line.as_bytes());
    }

    #[test]
    fn the_fast_path_reads_what_the_long_way_reads(text in r#"[ a-c#'"\\é-]{1,12}"#) {
        let line = format!("pub news {text}");
        let fast = super::publish::decode_plain(line.as_bytes());
        let slow = super::publish::decode(&line);
        if let Some(fast) = fast {
            let slow = slow.unwrap();
            prop_assert_eq!(fast.payload.as_bytes(), slow.payload.as_bytes());
            prop_assert_eq!(fast.channel, slow.channel);
        }
        // A line that begins as the one before.
        let next = super::publish::plain_text(b"pub news ", line.as_bytes());
        let fast = super::publish::decode_plain(line.as_bytes());
        prop_assert_eq!(next.map(Payload::Plain), fast.map(|fast| fast.payload));
    }
}
