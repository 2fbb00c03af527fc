//! What docs/cookbook.md says that one can do.

use super::blocks::{Block, Part, ROOT};
use super::readme::{broker, browser, has_members, kill, says};
use super::support::eventually;
use super::terminal::{Terminal, session};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Writes an executable file.
fn program(path: &str, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn a_cron_job(part: &mut Part) {
    let _broker = broker();
    let seat = part.next("sh");
    program("run-nightly", &part.next("sh").text);
    program("/usr/local/bin/nightly", "#!/bin/sh\necho \"$(hostname) at work, term $1\"\n");
    let hosts = ["cron-1", "cron-2"];
    let mut seats = Vec::new();
    for (at, host) in hosts.iter().enumerate() {
        seats.push(Terminal::on(host, &seat.text));
        has_members("cron", &hosts[..=at]);
    }
    let both = |expected: [&str; 2]| {
        for (host, shown) in hosts.iter().zip(expected) {
            let mut terminal = Terminal::on(host, "./run-nightly");
            terminal.shows(if shown.is_empty() { "ended: 0" } else { shown });
        }
    };
    both(["cron-1 at work, term 1", ""]);
    kill("-KILL", "^broker-client hub 7700 --name cron-1");
    has_members("cron", &["cron-2"]);
    both(["", "cron-2 at work, term 3"]);
    // The service is started again, and stands in line.
    seats.push(Terminal::on("cron-1", &seat.text));
    has_members("cron", &["cron-2", "cron-1"]);
    both(["", "cron-2 at work, term 3"]);
}

/// A machine with a folder of its own for the user postgres.
fn database(host: &str, hold: &Block, script: &str) -> Terminal {
    fs::create_dir_all(host).unwrap();
    program(&format!("{host}/database.sh"), script);
    let owned = Command::new("chown").args(["-R", "postgres", host]).status().unwrap();
    assert!(owned.success());
    fs::write(format!("{host}.sh"), &hold.text).unwrap();
    let keep = "--preserve-environment";
    Terminal::on(
        host,
        &format!("cd {host} && su {keep} postgres -c \"HOME=$PWD exec sh ../{host}.sh\""),
    )
}

/// What the primary answers, found as the document finds it.
fn query(psql: &Block, sql: &str) -> String {
    let script = format!("{} -XAtc \"$0\"", psql.text.trim());
    let output = Command::new("sh").args(["-c", &script, sql]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn a_standby_database(part: &mut Part) {
    let mut broker = Terminal::run(&part.next("sh"));
    broker.shows("… event=listening …");
    let first = part.next("sh").text;
    let (hold, script, psql) = (part.next("sh"), part.next("sh").text, part.next("sh"));
    let query = |sql: &str| query(&psql, sql);
    // Whoever comes first makes none unless it is told to.
    let mut one = database("db-1", &hold, &script);
    one.shows("ended: 1");
    let told = Command::new("sh").args(["-c", &first]).current_dir("db-1").status();
    assert!(told.unwrap().success());
    let mut one = database("db-1", &hold, &script);
    one.shows("db-1 is the primary since term …");
    query("CREATE TABLE t (n int)");
    let mut two = database("db-2", &hold, &script);
    two.shows("db-2 is a standby");
    query("INSERT INTO t VALUES (7)");
    let copied = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()";
    eventually("it is copied", || query(copied) == "1");
    kill("-KILL", "^broker-client hub 7700 --name db-1");
    two.shows("db-2 is the primary since term …");
    eventually("what was copied is there, and there can be more", || {
        query("INSERT INTO t VALUES (8)");
        query("SELECT string_agg(DISTINCT n::text, ',') FROM t") == "7,8"
    });
    one.shows("ended: 137");
    let mut one = database("db-1", &hold, &script);
    one.shows("db-1 is a standby");
    eventually("it is copied the other way round", || query(copied) == "1");
}

pub fn a_fleet(part: &mut Part) {
    let _broker = broker();
    let restart = "#!/bin/sh\nif [ \"$(hostname)\" = web-3 ]; then echo no such unit; exit 1; fi\n\
                   echo \"restarted $1 on $(hostname)\"\n";
    program("/usr/local/bin/restart-app", restart);
    session(&part.next("sh"), None);
    let service = part.next("sh");
    let hosts = ["operator", "web-1", "web-2", "web-3"];
    let mut machines = Vec::new();
    for at in 1..hosts.len() {
        machines.push(Terminal::on(hosts[at], &service.text));
        has_members("fleet", &hosts[..=at]);
    }
    let mut order = Terminal::run(&part.next("sh"));
    let shown = part.next("text");
    order.shows(shown.lines().next().unwrap());
    // Results come in the order in which the machines are done.
    order.shows_in_any_order(&shown.lines().skip(1).collect::<Vec<_>>());
    order.ends();
}

pub fn commands_for_a_web_server(part: &mut Part) {
    fs::write("hook.py", part.next("python").text).unwrap();
    let mut broker = Terminal::run(&part.next("sh"));
    broker.shows("… event=listening …");
    let block = part.next("sh");
    let mut alice = Terminal::run(&block);
    alice.shows("alice>…");
    alice.types(&block.typed()[0]);
    alice.shows("alice@ops#0>…");
    let mut bob = Terminal::run(&part.next("sh"));
    let shown = part.next("text");
    bob.shows(shown.lines().next().unwrap());
    alice.types("/reload now");
    bob.shows(shown.lines().nth(1).unwrap());
    alice.shows("[ops 3] done: 1 of 1 with code 0");
}

pub fn live_updates(part: &mut Part) {
    fs::write("index.html", part.next("html").text).unwrap();
    let mut server = Terminal::run(&part.next("sh"));
    server.shows("… event=listening …");
    eventually("both listen", || {
        ["8000", "7700"]
            .iter()
            .all(|port| std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok())
    });
    session(&part.next("sh"), None);
    let mut page = browser("http://hub:8000/");
    page.shows("opened");
    // It has subscribed when there is an observer.
    eventually("the page observes", || says("who").contains("channels=news"));
    session(&part.next("sh"), None);
    page.shows("item It works");
}

pub fn from_python(part: &mut Part) {
    let _broker = broker();
    let python = format!("{ROOT}/target/clients/redis-py/bin/python");
    fs::write("inbox.py", part.next("python").text).unwrap();
    let mut inbox = Terminal::script(&format!("{python} -u inbox.py"));
    inbox.shows("…'data': 'from Python'…");
    says("pub news from elsewhere");
    inbox.shows("…'data': 'from elsewhere'…");
    fs::write("seat.py", part.next("python").text).unwrap();
    let mut seat = Terminal::script(&format!("{python} seat.py"));
    seat.shows("ranks: …guest-…");
    seat.ends();
}

pub fn from_a_shell_script(part: &mut Part) {
    let _broker = broker();
    says("create deploys");
    let mut waits = Terminal::run(&part.next("sh"));
    waits.shows("ok sub deploys …");
    says("pub deploys version 7");
    waits.shows("deployed");
    waits.ends();

    fs::write("/var/log/app.log", "one\n\"two\n").unwrap();
    let _tail = Terminal::run(&part.next("sh"));
    eventually("both lines are in the channel", || {
        says("history logs").lines().any(|line| line.ends_with("\"two"))
    });

    says("create ops --history 10");
    let once = part.next("sh");
    session(&once, None);
    session(&once, None);
    assert_eq!(says("history ops").matches("host ready").count(), 1);

    program("migrate.sh", "#!/bin/sh\necho \"migrates since $BROKER_TERM\"\nread gate <gate\n");
    let made = Command::new("mkfifo").arg("gate").status().unwrap();
    assert!(made.success());
    let hold = part.next("sh");
    let mut first = Terminal::run(&hold);
    first.shows("migrates since 1");
    let mut second = Terminal::run(&hold);
    second.shows("… waiting rank=1 …");
    fs::write("gate", "\n").unwrap();
    first.ends();
    second.shows("migrates since …");
    fs::write("gate", "\n").unwrap();
    second.ends();
}
