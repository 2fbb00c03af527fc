//! Commands by HTTP: given by residents, answered by residents, mixed with
//! members of the text dialect.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write;

use support::{Answer, Broker, Web, eventually};

const COMMANDS: &str = "/v1/channels/ops/commands";

/// The answer comes when all results are in, from whichever dialects.
#[test]
fn all_results_in_one_answer() {
    let broker = Broker::start();
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    let (_, bob) = web.join("ops", "bob");
    let mut carol = broker.member("carol", "ops");
    let mut dave = broker.member("dave", "ops");
    carol.expect("join ops 4 dave 3");
    let mut stream = alice.connect();
    let body = r#"{"name":"restart","args":["web 1","x"],"timeout":600}"#;
    let request = alice.request("POST", COMMANDS, Some(("application/json", body.as_bytes())));
    stream.write_all(&request).unwrap();
    carol.expect("cmd ops 5 alice 0 1 restart 'web 1' x");
    dave.expect("cmd ops 5 alice 0 1 restart 'web 1' x");
    bob.get("/v1/channels/ops/members/bob/commands?wait=60").expect(
        200,
        r#"{"channel":"ops","member":"bob","count":1,"rows":[{"frame":"cmd","channel":"ops","seq":5,"from":"alice","from_rank":0,"from_term":1,"name":"restart","args":["web 1","x"]}]}"#,
    );
    let ack = format!("{COMMANDS}/5/ack");
    bob.post(&ack, r#"{"code":3,"text":"no \"web\""}"#).expect(200, r#"{"channel":"ops","seq":5}"#);
    bob.post(&ack, "{}").problem(403, "denied");
    bob.get("/v1/channels/ops/members/bob/commands").expect(200, r#"{*"count":0,"rows":[]}"#);
    // A look at it meanwhile.
    alice.get(&format!("{COMMANDS}/5")).expect(
        200,
        r#"{"channel":"ops","seq":5,"to":3,"ok":null,"results":[{"member":"bob",*}]}"#,
    );
    dave.ask("quit", "bye quit");
    carol.expect("left ops 6 dave 3 reason=quit");
    carol.ask("ack ops 5 done", "ok ack ops 5");
    let answer = Answer::read(&mut stream, "POST").unwrap().expect(200, "*").json();
    let expected = serde_json::json!({"channel":"ops","seq":5,"to":3,"ok":1,"results":[
        {"member":"bob","rank":1,"result":3,"text":"no \"web\""},
        {"member":"dave","rank":3,"result":"left","text":""},
        {"member":"carol","rank":2,"result":0,"text":"done"},
    ]});
    assert_eq!(answer, expected);
    alice.get(&format!("{COMMANDS}/5")).expect(200, r#"{*"ok":1,*}"#);
    // They have tags, as all that is asked for by `GET` has.
    let due = "/v1/channels/ops/members/bob/commands";
    for (web, path) in [(&alice, format!("{COMMANDS}/5")), (&bob, due.to_owned())] {
        let tag = web.get(&path).header("etag").expect("a tag").to_owned();
        web.with("If-None-Match", &tag).get(&path).expect(304, "");
    }
    bob.get(&format!("{COMMANDS}/5")).problem(410, "gone");
    alice.get(&format!("{COMMANDS}/6")).problem(410, "gone");
    alice.get(&format!("{COMMANDS}/x")).problem(400, "bad-request");
}

/// `Prefer: respond-async`: an answer at once, and a place to look.
#[test]
fn a_place_to_look() {
    let broker = Broker::start();
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    let mut bob = broker.member("bob", "ops");
    let hurried = alice.with("Prefer", "wait=1, Respond-Async");
    let answer = hurried
        .post(COMMANDS, r#"{"name":"go","to":"bob","key":"k"}"#)
        .expect(202, r#"{"channel":"ops","seq":3,"to":1,"ok":null,"results":[]}"#);
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    let place = answer.header("location").unwrap().to_owned();
    assert_eq!(place, format!("{COMMANDS}/3"));
    // The same key is the same command.
    hurried
        .with("Idempotency-Key", "k")
        .post(COMMANDS, r#"{"name":"go"}"#)
        .expect(202, r#"{*"seq":3,*}"#);
    bob.expect("cmd ops 3 alice 0 1 go");
    bob.ask("ack ops 3 --code 2 no", "ok ack ops 3");
    bob.expect_nothing();
    eventually("the result is in", || alice.get(&place).expect(200, "*").json()["ok"] == 0);
    alice
        .get(&place)
        .expect(200, r#"{*"results":[{"member":"bob","rank":1,"result":2,"text":"no"}]}"#);
    // A repeat of the key when all is over is answered at once.
    alice.post(COMMANDS, r#"{"name":"go","key":"k"}"#).expect(200, r#"{*"seq":3,*"ok":0,*}"#);
}

#[test]
fn commands_have_an_end() {
    let broker = Broker::start();
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    alice.post(COMMANDS, r#"{"name":"go"}"#).problem(403, "rank");
    let (_, bob) = web.join("ops", "bob");
    bob.post(COMMANDS, r#"{"name":"go"}"#).problem(403, "rank");
    bob.post(COMMANDS, r#"{"name":"go","to":"alice"}"#).problem(403, "rank");
    alice.post(COMMANDS, r#"{"name":"go","to":"nix"}"#).problem(404, "no-member");
    alice.post(COMMANDS, r#"{"name":""}"#).problem(400, "bad-request");
    alice.post(COMMANDS, r#"{"name":"go","timeout":0.05}"#).expect(
        200,
        r#"{*"to":1,"ok":0,"results":[{"member":"bob","rank":1,"result":"timeout","text":""}]}"#,
    );
    // What is over is no longer due.
    bob.get("/v1/channels/ops/members/bob/commands").expect(200, r#"{*"count":0,*}"#);
    bob.post(&format!("{COMMANDS}/3/ack"), "{}").problem(410, "gone");
    for query in ["wait=60.5", "wait=61", "wait=x", "wait=-1", "nix=1"] {
        bob.get(&format!("/v1/channels/ops/members/bob/commands?{query}"))
            .problem(400, "bad-request");
    }
    // A wait has an end, too.
    for query in ["wait=0.2", "wait=1", "wait=0", "wait=00"] {
        bob.get(&format!("/v1/channels/ops/members/bob/commands?{query}"))
            .expect(200, r#"{*"count":0,*}"#);
    }
}

/// Commands in the text dialect reach residents, and those reach it.
#[test]
fn a_resident_below_a_terminal() {
    let broker = Broker::start();
    let web = broker.web();
    let mut alice = broker.member("alice", "ops");
    let (_, bob) = web.join("ops", "bob");
    let mut carol = broker.member("carol", "ops");
    alice.expect_all(&["join ops 2 bob 1", "join ops 3 carol 2"]);
    alice.ask("/go now", "ok cmd ops 4 to=2");
    carol.expect("cmd ops 4 alice 0 1 go now");
    carol.ask("ack ops 4", "ok ack ops 4");
    alice.expect("ack ops 4 carol 2 0 ");
    let path = "/v1/channels/ops/members/bob/commands?wait=60";
    bob.get(path).expect(200, r#"{*"seq":4,*"name":"go","args":["now"]}]}"#);
    bob.post(&format!("{COMMANDS}/4/ack"), "{}").expect(200, "*");
    alice.expect_all(&["ack ops 4 bob 1 0 ", "done ops 4 2/2"]);
    // A request that waits is answered when there is a command.
    let mut stream = bob.connect();
    stream.write_all(&bob.request("GET", path, None)).unwrap();
    alice.ask("/again", "ok cmd ops 5 to=2");
    Answer::read(&mut stream, "GET").unwrap().expect(200, r#"{*"count":1,*"seq":5,*}"#);
    // Or when its member is there no longer.
    bob.post(&format!("{COMMANDS}/5/ack"), "{}").expect(200, "*");
    alice.expect("ack ops 5 bob 1 0 ");
    stream.write_all(&bob.request("GET", path, None)).unwrap();
    alice.ask("kick ops bob", "ok kick ops bob");
    Answer::read(&mut stream, "GET").unwrap().problem(410, "gone");
}

/// On a durable channel a command is due when it is on disk, and its results are
/// those of anywhere.
#[test]
fn on_a_durable_channel() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_path_buf();
    let broker = Broker::with(|config| config.data = Some(data));
    let web = broker.web();
    web.post("/v1/channels", r#"{"channel":"ops","durable":true}"#).expect(201, "*");
    let (_, alice) = web.join("ops", "alice");
    let (_, bob) = web.join("ops", "bob");
    let mut stream = alice.connect();
    let body = Some(("application/json", &b"{\"name\":\"go\"}"[..]));
    stream.write_all(&alice.request("POST", COMMANDS, body)).unwrap();
    bob.get("/v1/channels/ops/members/bob/commands?wait=60")
        .expect(200, r#"{*"count":1,*"seq":3,*}"#);
    bob.post(&format!("{COMMANDS}/3/ack"), "{}").expect(200, "*");
    Answer::read(&mut stream, "POST").unwrap().expect(200, r#"{*"to":1,"ok":1,*}"#);
    bob.delete("/v1/channels/ops/members/bob").expect(204, "");
    web.get("/v1/channels/ops/messages?from=1").expect(
        200,
        r#"{*"count":4,"rows":[{"frame":"join",*},{"frame":"join",*},{"frame":"cmd",*},{"frame":"left",*"reason":"quit"}]}"#,
    );
}

/// Bob is given more commands than his inbox holds: the rest comes as soon as what was
/// in it is answered, and not when something else wakes his task.
#[test]
fn the_rest_comes_when_there_is_room_for_it() {
    const COMMANDS_SENT: u64 = 60;
    let broker = Broker::with(|config| config.lease = std::time::Duration::from_secs(600));
    let mut alice = broker.member("alice", "ops");
    let (_, bob) = broker.web().join("ops", "bob");
    alice.expect("join ops 2 bob 1");
    let text = "x".repeat(10_000);
    for n in 0..COMMANDS_SENT {
        alice.send(&format!("cmd ops --timeout 600 {n} {text}"));
        alice.expect(&format!("ok cmd ops {} to=1", n + 3));
    }
    let (mut answered, mut looks) = (0, 0);
    while answered < COMMANDS_SENT {
        let due = bob.get("/v1/channels/ops/members/bob/commands?wait=15").expect(200, "*").json();
        let rows = due["rows"].as_array().unwrap();
        assert!(!rows.is_empty(), "{answered} are answered, and no more come");
        for row in rows {
            bob.post(&format!("{COMMANDS}/{}/ack", row["seq"]), "{}").expect(200, "*");
        }
        (answered, looks) = (answered + rows.len() as u64, looks + 1);
    }
    assert!(looks > 1, "its inbox has held all of them");
}

/// A broker on which nobody's lease runs out.
fn patient() -> Broker {
    Broker::with(|config| config.lease = std::time::Duration::from_secs(600))
}

/// The results of a command may be forgotten, and a repeat of its key then says so at
/// once. Regression: it waited for ever. Only a new command makes an old one go.
#[test]
fn a_key_that_outlives_the_results() {
    let broker = patient();
    let web = broker.web();
    let ((_, alice), _) = (web.join("ops", "alice"), web.join("ops", "bob"));
    let give = |web: &Web, key: u64| {
        web.post(COMMANDS, &format!(r#"{{"name":"go","timeout":0.001,"key":"k{key}"}}"#))
    };
    for key in 0..256 {
        give(&alice, key).expect(200, r#"{*"to":1,"ok":0,*}"#);
    }
    alice.post(COMMANDS, r#"{"name":"go","to":"nobody"}"#).problem(404, "no-member");
    give(&alice, 0).expect(200, r#"{*"seq":3,"to":1,"ok":0,*}"#);
    give(&alice, 256).expect(200, r#"{*"seq":259,*}"#);
    for web in [&alice, &alice.with("Prefer", "respond-async")] {
        give(web, 0).problem(410, "gone");
    }
    alice.get(&format!("{COMMANDS}/3")).problem(410, "gone");
    give(&alice, 1).expect(200, r#"{*"seq":4,"to":1,"ok":0,*}"#);
}

/// The same after a restart, which results do not outlive.
#[test]
fn a_key_that_outlives_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Broker::keeping(dir.path(), &["--restart-grace", "1m"]);
    let web = first.web();
    web.post("/v1/channels", r#"{"channel":"ops","durable":true}"#).expect(201, "*");
    let ((_, alice), _) = (web.join("ops", "alice"), web.join("ops", "bob"));
    let go = r#"{"name":"go","timeout":0.05,"key":"k"}"#;
    alice.post(COMMANDS, go).expect(200, r#"{*"seq":3,"to":1,"ok":0,*}"#);
    first.child().kill();
    let second = Broker::keeping(dir.path(), &["--restart-grace", "1m"]);
    let alice = alice.at(second.addr);
    for web in [&alice, &alice.with("Prefer", "respond-async")] {
        web.post(COMMANDS, go).problem(410, "gone");
    }
    // A new one is a new one.
    alice.post(COMMANDS, r#"{"name":"go","timeout":0.05}"#).expect(200, r#"{*"to":1,"ok":0,*}"#);
}

/// When there are more results than are remembered of all commands together, those of
/// commands that are over go, and not the texts of the new ones.
#[test]
fn new_results_are_whole_and_old_ones_go() {
    let broker = patient();
    let web = broker.web();
    let (_, alice) = web.join("ops", "alice");
    let mut bob = broker.member("bob", "ops");
    let hurried = alice.with("Prefer", "respond-async");
    let text = "x".repeat(60_000);
    let result = |seq: u64| alice.get(&format!("{COMMANDS}/{seq}"));
    for seq in 3..=80 {
        hurried.post(COMMANDS, r#"{"name":"df"}"#).expect(202, "*");
        bob.expect(&format!("cmd ops {seq} *"));
        bob.ask(&format!("ack ops {seq} {text}"), "ok ack ops *");
        eventually("the result is in", || result(seq).expect(200, "*").json()["ok"] == 1);
        let found = result(seq).json()["results"][0]["text"].as_str().unwrap().len();
        assert_eq!(found, text.len(), "of command {seq}");
    }
    result(3).problem(410, "gone");
}

/// "To a member without the commands that were not for it": a member that polls the
/// messages would otherwise do what others were told.
#[test]
fn a_members_token_shows_it_the_history_that_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_path_buf();
    let broker = Broker::with(|config| config.data = Some(data));
    let web = broker.web();
    for (channel, durable) in [("ops", false), ("log", true)] {
        let settings = serde_json::json!({"channel": channel, "durable": durable, "history": 100});
        web.post("/v1/channels", &settings.to_string()).expect(201, "*");
        let of = |name: &str| web.join(channel, &format!("{name}-{channel}")).1;
        let (alice, bob, carol) = (of("alice"), of("bob"), of("carol"));
        let go = format!(r#"{{"name":"go","to":"bob-{channel}","timeout":0.05}}"#);
        let messages = format!("/v1/channels/{channel}/messages");
        alice.post(&format!("/v1/channels/{channel}/commands"), &go).expect(200, "*");
        bob.post(&messages, r#"{"data":"hi"}"#).expect(201, "*");
        let shown = |web: &Web| {
            let rows = web.get(&messages).expect(200, "*").json()["rows"].clone();
            let frames = rows.as_array().unwrap().iter().map(|row| row["frame"].to_string());
            frames.collect::<String>().replace("\"\"", " ")
        };
        assert_eq!(shown(&carol), "\"join join join msg\"");
        assert_eq!(shown(&bob), "\"join join join cmd msg\"");
        // Who is no member sees everything, as ever.
        assert_eq!(shown(&web), "\"join join join cmd msg\"");
        let (_, dave) = web.join("other", &format!("dave-{channel}"));
        assert_eq!(shown(&dave), "\"join join join cmd msg\"");
        carol.delete(&format!("/v1/channels/{channel}/members/carol-{channel}")).expect(204, "");
        carol.get(&messages).problem(410, "gone");
        let gone = web.as_resident("00000000-0000-4000-8000-000000000000");
        gone.get(&messages).problem(401, "denied");
    }
}
