//! The Redis protocol, beyond Redis: ranks, commands, sessions, and every other
//! request of the text dialect.

mod support;

use support::{Broker, Redis, SESSION, eventually};

/// The value behind a key in a map, as maps are written here.
fn field(map: &str, key: &str) -> String {
    let words: Vec<&str> = map.trim_matches(['[', ']', '{', '}']).split(' ').collect();
    let at = words.iter().position(|word| *word == key).unwrap_or_else(|| panic!("{key}: {map}"));
    words[at + 1].trim_matches(['}', ']', ':']).to_owned()
}

fn ranked(broker: &Broker, name: &str, version: u8) -> Redis {
    let mut redis = broker.redis(name);
    redis.ask(&format!("HELLO {version} SETNAME {name}"), "*");
    redis.ask("RANKED ON", "+OK");
    redis
}

/// Create, join, publish, command, promotion, leave: above a member in text, in
/// both versions.
#[test]
fn a_client_that_asked_for_a_rank_is_a_member_like_any_other() {
    for version in [2, 3] {
        let broker = Broker::start();
        let mut alice = ranked(&broker, "alice", version);
        alice.ask("CREATE ops --history 100", "*channel ops*");
        alice.ask("SUBSCRIBE ops", "[subscribe ops :1]");
        alice.expect("[rank ops :0 :1 :1]");
        let mut bob = broker.member("bob", "ops");
        alice.expect("[join ops :2 bob :1]");
        let mut carol = ranked(&broker, "carol", version);
        carol.ask("SUBSCRIBE ops", "[subscribe ops :1]");
        carol.expect("[rank ops :2 :3 :3]");
        alice.expect("[join ops :3 carol :2]");
        bob.expect("join ops 3 carol 2");
        alice.ask("PUBLISH ops hi", ":3");
        for redis in [&mut alice, &mut carol] {
            redis.expect("[message ops hi]");
        }
        bob.expect("msg ops 4 alice hi");
        // A command, from above to below, with words that hold blanks.
        alice.send_words(&[b"CMD", b"ops", b"reload", b"all of it"]);
        alice.expect("*channel ops seq :5 to :2*");
        bob.expect("cmd ops 5 alice 0 1 reload 'all of it'");
        carol.expect("[cmd ops :5 alice :0 :1 reload all of it]");
        bob.ask("ack ops 5 --code 3 no", "ok ack ops 5");
        alice.expect("[ack ops :5 bob :1 :3 no]");
        carol.ask("ACK ops 5", "*channel ops seq :5*");
        alice.expect("[ack ops :5 carol :2 :0 ]");
        alice.expect("[done ops :5 :1 :2]");
        carol.ask("CMD ops nonsense", "-ERR rank *");
        bob.ask("/uptime", "ok cmd ops 6 to=1");
        carol.expect("[cmd ops :6 bob :1 :2 uptime]");
        carol.send_words(&[b"ack", b"ops", b"6", b"up two days"]);
        carol.expect("*channel ops seq :6*");
        bob.expect("ack ops 6 carol 2 0 up two days");
        bob.expect("done ops 6 1/1");
        // Promotion, fencing, and the end.
        alice.ask("PROMOTE ops carol", "*channel ops member carol rank :0 view :7*");
        alice.expect("[rank ops :1 :7 :7]");
        alice.expect("[move ops :7 carol :2 :0]");
        carol.expect("[rank ops :0 :7 :7]");
        carol.expect("[move ops :7 carol :2 :0]");
        carol.ask("PUB --term 7 ops fenced", "*channel ops seq :8*");
        alice.expect("[message ops fenced]");
        carol.expect("[message ops fenced]");
        alice.ask("PUB --term 1 ops fenced", "-ERR fenced *");
        alice.ask("CHECK ops 7", "*channel ops current * term :7 view :7*");
        carol.ask("KICK ops bob", "*channel ops member bob*");
        alice.expect("[left ops :9 bob :2 kicked]");
        carol.expect("[left ops :9 bob :2 kicked]");
        carol.ask("QUIT", "+OK");
        carol.expect("[bye quit]");
        alice.expect("[rank ops :0 :10 :10]");
        alice.expect("[left ops :10 carol :0 quit]");
        alice.ask("RANKS ops", "*member*");
        alice.expect_nothing();
    }
}

#[test]
fn replies_have_the_names_of_the_json_dialect() {
    let broker = Broker::start();
    let mut bob = broker.client("bob");
    bob.ask("create ops --history 9", "ok create ops");
    bob.ask("sub ops", "ok sub ops *");
    let mut redis = ranked(&broker, "alice", 3);
    redis.ask("SUB ops --from first", "{channel ops rank :1 term :2 view :2 seq :2 members :2}");
    redis.expect("[join ops :1 bob :0]");
    redis.ask("RANK", "{channel ops rank :1 term :2 view :2 members :2}");
    redis.ask(
        "RANKS ops",
        "{channel ops count :2 view :2 rows [{channel ops rank :0 member bob term :1 away #f since *} \
         {channel ops rank :1 member alice term :2 away #f since *}]}",
    );
    redis.ask("LEASE", "{lease :8000}");
    redis.ask("DESCRIBE ops", "{channel ops rows [{channel ops members :2 * on_close fast *}]}");
    redis.ask("VERSION", "{broker * protocol :1}");
    redis.ask("who", "{count :2 rows [{name bob * channels [ops]} {name alice * dialect resp *}]}");
    redis.ask("YIELD", "{channel ops rank :1 view :2}");
    redis.send_words(&[b"PUB", b"--json", b"ops", b"{\"a\": 1}"]);
    redis.expect("{channel ops seq :3}");
    redis.expect("[message ops {\"a\": 1}]");
    redis.ask("PUB --json ops {", "-ERR bad-request *");
    redis.ask("CREATE log --history 9", "{channel log}");
    redis.ask("PUB log one", "{channel log seq :1}");
    redis.ask("HISTORY log", "{channel log count :1 rows [[msg log :1 alice one]]}");
    redis.ask("HISTORY log --from 9", "{channel log count :0 rows []}");
    redis.ask("DIGEST log 1 1", "{channel log from :1 to :1 count :1 sha256 *}");
    redis.ask("SUB nowhere", "-ERR no-channel *");
    redis.ask("PROMOTE", "-ERR bad-request CH is missing*");
    redis.ask("STATS", "{uptime *}");
    redis.ask("HELP pub", "{count :1 rows [{text pub *}]}");
    redis.send_words(&[b"TELL", b"bob", b"\xff"]);
    redis.expect("-ERR bad-request *");
    redis.expect_nothing();
}

/// A session outlives its connection, in this dialect as in the others.
#[test]
fn a_session_is_resumed() {
    let broker = Broker::start();
    let mut bob = broker.member("bob", "ops");
    let mut alice = broker.redis("alice");
    let hello =
        alice.ask("SESSION --name alice", "[name alice session * secret * resumed :0 version :1]");
    alice.ask("RANKED ON", "+OK");
    alice.ask("SUBSCRIBE ops", "[subscribe ops :1]");
    alice.expect("[rank ops :1 :2 :2]");
    bob.expect("join ops 2 alice 1");
    alice.ask("PSUBSCRIBE o*", "[psubscribe o* :2]");
    bob.ask("pub ops one", "ok pub ops 3");
    bob.expect("msg ops 3 bob one");
    alice.expect("[message ops one]");
    alice.expect("[pmessage o* ops one]");
    alice.client.reset();
    bob.expect("left ops 4 alice 1 reason=lost");
    bob.ask("pub ops two", "ok pub ops 5");
    let mut again = broker.redis("again");
    let (session, secret) = (field(&hello, "session"), field(&hello, "secret"));
    let resume = format!("SESSION --session {session} --secret {secret} --seen ops=3");
    again.ask(&resume, "[name alice * resumed :1 version :1 channels :1 missed :0 *]");
    again.expect("[rank ops :1 :6 :6]");
    again.expect("[left ops :4 alice :1 lost]");
    again.expect("[message ops two]");
    again.expect("[pmessage o* ops two]");
    again.expect("[join ops :6 alice :1]");
    again.ask("UNSUBSCRIBE ops", "[unsubscribe ops :1]");
    again.ask("SESSION --quiet", "-ERR bad-request *");
    again.ask(&resume.replace("ops=3", "ops"), "-ERR bad-request *");
}

/// A label that is free becomes the client's name; any other is only the connection's
/// own.
#[test]
fn a_connection_may_have_any_label() {
    let broker = Broker::start();
    let _bob = broker.client("bob");
    let mut redis = broker.redis("redis");
    redis.ask("CLIENT GETNAME", "nil");
    redis.ask("CLIENT SETNAME bob", "+OK");
    redis.ask("CLIENT GETNAME", "bob");
    redis.ask("CLIENT SETNAME a:b", "+OK");
    redis.ask("CLIENT GETNAME", "a:b");
    redis.ask("CLIENT SETNAME alice", "+OK");
    redis.send_words(&[b"CLIENT", b"SETNAME", b"a b"]);
    redis.expect("-ERR bad-request *");
    redis.ask("CLIENT INFO", "id=* addr=127.0.0.1:* name=alice age=* dialect=resp\n");
    redis.ask("CLIENT LIST", "id=*name=bob*dialect=text\nid=*name=alice*dialect=resp\n");
    redis.ask("CLIENT ID", ":*");
    redis.ask("CLIENT SETINFO LIB-NAME x", "+OK");
    redis.ask("CLIENT NO-EVICT ON", "+OK");
    redis.ask("CLIENT KILL 1", "-ERR bad-request CLIENT knows no *");
    redis.expect_nothing();
}

/// A client that is away comes back under its name: a connection with the same label
/// does not end its session.
#[test]
fn a_label_takes_nobodys_name_who_is_away() {
    let broker = Broker::start();
    let mut text = broker.client("text");
    text.ask("create news --history 10", "ok create news");
    let mut alice = broker.connect("alice");
    let hello = format!("hello --session {SESSION}");
    alice.ask(&format!("{hello} --name alice"), "ok hello name=alice *");
    alice.ask("sub news --observe", "ok sub news *");
    alice.reset();
    eventually("alice is away", || {
        text.send("who");
        !text.until("ok who *").iter().any(|row| row.starts_with("client alice "))
    });
    text.ask("pub news hi", "ok pub news 1");
    let mut redis = broker.redis("redis");
    redis.ask("CLIENT SETNAME alice", "+OK");
    redis.ask("CLIENT GETNAME", "alice");
    let mut third = broker.redis("third");
    third.ask("HELLO 3 SETNAME alice", "*");
    for client in [&mut redis, &mut third] {
        client.ask("CLIENT INFO", "id=* name=guest-* dialect=resp\n");
    }
    let mut alice = broker.connect("alice");
    alice.ask(&hello, "ok hello name=alice * resumed=yes *");
    alice.expect("msg news 1 text hi");
}

#[test]
fn what_redis_asks_first_is_answered_as_redis_does() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    redis.ask("HELLO", "[server redis * proto :2 *]");
    redis.ask("HELLO 4", "-NOPROTO *");
    redis.ask("HELLO 3 AUTH default x SETNAME me", "{server redis * proto :3 *}");
    redis.ask("HELLO 2 AUTH other x", "-WRONGPASS *");
    redis.ask("HELLO 2 NONSENSE", "-ERR bad-request *");
    redis.ask("CLIENT GETNAME", "me");
    redis.ask("AUTH x", "-ERR AUTH <password> called without any password configured *");
    redis.ask("AUTH default x", "+OK");
    redis.ask("AUTH other x", "-WRONGPASS *");
    redis.ask("SELECT 0", "+OK");
    redis.ask("SELECT 1", "-ERR bad-request DB index is out of range*");
    redis.ask("ECHO hi", "hi");
    redis.ask("PING hi", "hi");
    redis.ask("CONFIG GET save append*", "{appendonly no save }");
    redis.ask("config geT SAVE", "{save }");
    redis.ask("CONFIG SET save x", "-ERR bad-request CONFIG knows no *");
    redis.ask("INFO server", "# Server\r\nredis_version:*broker_version:*");
    redis.ask("COMMAND COUNT", ":*");
    redis.ask("COMMAND INFO publish get", "[[publish :3 [+pubsub] :0 :0 :0] _]");
    redis.ask("COMMAND DOCS PUBLISH", "{publish {summary * since * group pubsub}}");
    redis.ask("COMMAND LIST", "[publish * kick *]");
    redis.ask("GET x", "-ERR unknown-command unknown command \"GET\"*");
    redis.expect_nothing();
}

/// Each is known, whatever is wrong with its arguments.
#[test]
fn every_command_that_is_listed_is_known() {
    let broker = Broker::start();
    let mut redis = broker.redis("redis");
    let listed = redis.ask("COMMAND LIST", "[publish * kick *]");
    for name in listed.trim_matches(['[', ']']).split(' ') {
        let described = redis.ask(&format!("COMMAND INFO {name}"), "[[*]]");
        let arity: isize = described.split([' ', ':']).nth(2).unwrap().parse().unwrap();
        let mut other = broker.redis(name);
        other.send(&format!("{name}{}", " x".repeat(arity.unsigned_abs() - 1)));
        let reply = other.value();
        assert!(!reply.starts_with("-ERR unknown-command"), "{name}: {reply}");
    }
}

/// A client that holds a rank, or may, is looked after; one without may be silent.
#[test]
fn silence_is_for_those_without_a_rank() {
    let broker = Broker::with(|config| config.idle_timeout = std::time::Duration::from_millis(400));
    let mut silent = broker.redis("silent");
    silent.ask("SUBSCRIBE ops", "[subscribe ops :1]");
    let mut alice = ranked(&broker, "alice", 3);
    alice.ask("SUBSCRIBE ops", "[subscribe ops :1]");
    alice.expect("[rank ops :0 :1 :1]");
    alice.expect("[ping :*]");
    alice.ask("PING", "+PONG");
    alice.expect("[ping :*]");
    alice.expect("[bye timeout]");
    alice.client.expect_end();
    let mut publisher = broker.redis("publisher");
    publisher.ask("PUBLISH ops hi", ":1");
    silent.expect("[message ops hi]");
    silent.expect_nothing();
}
