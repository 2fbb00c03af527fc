//! A machine of its own for a test: a network in which port 7700 is free and
//! `hub` is this machine, processes that nobody else sees, and folders in which
//! it may write anything.

use super::blocks::{Part, ROOT};
use std::path::Path;
use std::process::{Command, Stdio};

/// Says that a process runs on such a machine.
const INSIDE: &str = "DOCUMENTS_MACHINE";

/// Makes the machine from what `unshare` has set apart; its folder is `$0`.
const SETUP: &str = "
    ip link set lo up
    mount -t tmpfs -o mode=755 tmpfs \"$0\"
    for folder in etc usr/local var/log; do
        mkdir -p \"$0/new/$folder\" \"$0/scratch/$folder\"
        mount -t overlay -o \"lowerdir=/$folder,upperdir=$0/new/$folder,workdir=$0/scratch/$folder\" none \"/$folder\"
    done
    printf '127.0.0.1 localhost hub\\n127.0.0.2 db-1\\n127.0.0.3 db-2\\n' > /etc/hosts
    mkdir -p \"$0/home\" /etc/ranked-broker
    cp packaging/broker.toml /etc/ranked-broker/
    cd \"$0/home\"
    export HOME=\"$0/home\"
    exec \"$@\"
";

/// Plays a scene with the blocks under a heading, on such a machine.
pub fn play(test: &str, document: &str, heading: &str, scene: fn(&mut Part)) {
    if std::env::var_os(INSIDE).is_some() {
        let mut part = Part::of(document, heading);
        scene(&mut part);
        return part.end();
    }
    if let Some(reason) = impossible().or_else(|| missing(test)) {
        return super::support::skip(&format!("no machine of its own: {reason}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_broker")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut inside = apart();
    inside.args(["sh", "-euc", SETUP]).arg(folder.path()).arg(std::env::current_exe().unwrap());
    inside.args([test, "--exact", "--nocapture"]).current_dir(ROOT);
    inside.env(INSIDE, "1").env("PATH", path).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let output = inside.output().unwrap();
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = lossy(&output.stdout) + &lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{document}, {heading}: {said}");
}

/// The command that sets apart what the rest runs in, and ends all that it has started
/// when it ends.
fn apart() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let kinds = ["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"];
    command.args(kinds);
    command
}

/// What the scenes need besides the programs that are built here.
const NEEDS: &[(&str, &[&str])] = &[
    ("one_machine_at_a_time", &["sqlite3", "pkill"]),
    ("json", &["nc"]),
    ("clients_of_redis", &["redis-cli"]),
    ("http", &["curl"]),
    ("web_pages", &["node", "chromium", "curl"]),
    ("shell_scripts", &["nc"]),
    ("number_sequences", &["nc"]),
    ("a_standby_database", &["psql", "pg_basebackup"]),
    ("live_updates", &["node", "chromium", "curl", "python3"]),
    ("commands_for_a_web_server", &["python3", "curl"]),
    ("as_a_service", &["man"]),
    ("encryption", &["openssl", "curl", "redis-cli"]),
    ("metrics", &["curl"]),
];

/// What this test needs and is missing here, if anything.
fn missing(test: &str) -> Option<String> {
    let needs = NEEDS.iter().filter(|(name, _)| *name == test).flat_map(|(_, needs)| *needs);
    let is_there = |program: &&&str| {
        let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
        found.is_ok_and(|output| output.status.success())
    };
    if let Some(program) = needs.clone().find(|program| !is_there(program)) {
        return Some(format!("{program} is not installed"));
    }
    let browser = Path::new(ROOT).join("tests/page/node_modules/playwright-core");
    if needs.clone().any(|program| *program == "chromium") && !browser.is_dir() {
        return Some("playwright-core is not installed (npm ci --prefix tests/page)".into());
    }
    if test == "a_standby_database" && !rustix::process::geteuid().is_root() {
        return Some("only root can become the user postgres".into());
    }
    (test == "from_python").then(|| super::support::redis_py().err()).flatten()
}

/// Why there can be no such machine here.
fn impossible() -> Option<String> {
    let done = apart().args(["ip", "link", "set", "lo", "up"]).output();
    match done {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(e) => Some(format!("unshare: {e}")),
    }
}
