//! Encrypted connections: every dialect inside TLS, on the same port; who has to
//! encrypt, who is let in, and certificates that are renewed.

// Clippy takes only what is marked #[test] for a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::{ClientConfig, crypto::ring};
use futures_rustls::rustls::{ClientConnection, RootCertStore, StreamOwned};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Broker, Child, DEADLINE, Manager, matches, narrow};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A folder with certificates.
struct Certificates {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Certificates {
    /// A folder with a broker's certificate for this machine in `broker.pem`, its key
    /// beside it, and the authority that signed it in `ca.pem`.
    fn new() -> Certificates {
        let certificates =
            Certificates { folder: tempfile::tempdir().unwrap(), authority: authority() };
        fs::write(certificates.path("ca.pem"), certificates.authority.pem()).unwrap();
        certificates.issue("broker", "127.0.0.1");
        certificates
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A certificate for this name in `FILE.pem`, and its key in `FILE.key`.
    fn issue(&self, file: &str, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_string()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// The settings of a broker with that certificate.
    fn settings(&self) -> [String; 4] {
        ["--tls-cert".into(), self.text("broker.pem"), "--tls-key".into(), self.text("broker.key")]
    }

    /// A broker with that certificate.
    fn broker(&self, settings: &[&str]) -> Broker {
        let own = self.settings();
        Broker::from_child(Child::with(&[&own.each_ref().map(String::as_str), settings].concat()))
    }

    /// An encrypted connection to a broker, with this certificate if any.
    fn connect(&self, addr: SocketAddr, own: Option<&str>) -> TlsClient {
        self.encrypt(TcpStream::connect(addr).unwrap(), own)
    }

    fn encrypt(&self, stream: TcpStream, own: Option<&str>) -> TlsClient {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        TlsClient(BufReader::new(StreamOwned::new(self.handshake(own), stream)))
    }

    /// A client's side of a handshake that has not begun.
    fn handshake(&self, own: Option<&str>) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::from_pem_file(self.path(&format!("{own}.pem")));
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{own}.key")));
                config.with_client_auth_cert(vec![chain.unwrap()], key.unwrap()).unwrap()
            }
        };
        ClientConnection::new(Arc::new(config), "127.0.0.1".try_into().unwrap()).unwrap()
    }
}

/// A client whose connection is encrypted.
struct TlsClient(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl TlsClient {
    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    #[track_caller]
    fn expect(&mut self, pattern: &str) {
        let line = self.line().unwrap();
        assert!(matches(pattern, &line), "{line:?} is not as {pattern:?}");
    }

    /// The certificate that the broker has shown.
    fn shown(&mut self) -> Vec<u8> {
        self.send("ping\n");
        self.expect("ok ping*");
        self.0.get_ref().conn.peer_certificates().unwrap()[0].to_vec()
    }
}

#[test]
fn every_dialect_is_encrypted_on_the_one_port() {
    let certificates = Certificates::new();
    let broker = certificates.broker(&[]);
    let connect = || certificates.connect(broker.addr, None);
    let mut text = connect();
    text.send("sub news --create\n");
    text.expect("ok sub news rank=0 *");
    let mut json = connect();
    json.send("{\"op\":\"pub\",\"channel\":\"news\",\"data\":1}\n");
    json.expect("{\"reply\":\"pub\",\"ok\":true,*");
    text.expect("msg news 2 * 1");
    let mut redis = connect();
    redis.send("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
    redis.expect(":1");
    text.expect("msg news 3 * hi");
    let mut http = connect();
    http.send("GET /v1/channels/news HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    http.expect("HTTP/1.1 200 OK");
    let mut rest = String::new();
    http.0.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"seq\":3"), "{rest}");
    let mut numbers = connect();
    numbers.send("INIT,6bc0e0ab-7c2a-4ac6-9c4d-a9a1b4a5c6d7,2,2;RECV,0;");
    let mut answer = [0; 4];
    numbers.0.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ACK;");
    // The connection ends in order, by `close_notify`, and not as if it had been cut.
    text.send("quit\n");
    text.expect("bye quit");
    assert_eq!(text.line().unwrap(), "");
}

#[test]
fn a_websocket_is_encrypted_too() {
    let certificates = Certificates::new();
    let broker = certificates.broker(&[]);
    let stream = certificates.connect(broker.addr, None).0.into_inner();
    let url = format!("wss://{}/v1/ws", broker.addr);
    let (mut socket, _) = tungstenite::client(url, stream).unwrap();
    let hello = r#"{"op":"sub","channel":"ops","create":true}"#;
    socket.send(tungstenite::Message::text(hello)).unwrap();
    let reply = socket.read().unwrap().into_text().unwrap();
    assert!(matches(r#"{"reply":"sub","ok":true,"channel":"ops","rank":0,*"#, &reply), "{reply}");
}

/// What is encrypted waits in a buffer when the socket is full: nothing of it may
/// stay there when nothing more follows.
#[test]
fn a_member_that_reads_late_gets_everything() {
    let certificates = Certificates::new();
    let broker = certificates.broker(&["--allow-plain", "127.0.0.0/8"]);
    let mut member = certificates.encrypt(narrow(broker.addr), None);
    member.send("sub news --create\n");
    member.expect("ok sub news*");
    let mut publisher = broker.client("publisher");
    let (count, text) = (1_500, "x".repeat(1_000));
    for number in 0..count {
        publisher.send(&format!("pub news {number} {text}"));
    }
    for number in 0..count {
        publisher.expect(&format!("ok pub news {}", number + 2));
    }
    for number in 0..count {
        member.expect(&format!("msg news {} publisher {number} {text}", number + 2));
    }
    publisher.ask("pub news last", &format!("ok pub news {}", count + 2));
    member.expect(&format!("msg news {} publisher last", count + 2));
}

#[test]
fn who_does_not_encrypt_is_told_so_in_his_own_dialect() {
    let certificates = Certificates::new();
    let broker = certificates.broker(&[]);
    let mut text = broker.connect("text");
    text.send("create news");
    text.expect("err denied only encrypted connections are taken here: use TLS");
    text.expect("bye denied");
    text.expect_end();
    let mut json = broker.connect("json");
    json.send("{\"op\":\"channels\"}");
    json.expect("{\"reply\":\"error\",\"ok\":false,\"error\":{\"code\":\"denied\",*");
    broker.web().get("/v1/channels").problem(403, "denied");
    let mut redis = broker.connect("redis");
    redis.send_bytes(b"*1\r\n$4\r\nPING\r\n");
    redis.expect("-ERR denied only encrypted*");
    // And a broker without a certificate refuses clients that encrypt.
    let plain = Broker::start();
    let mut refused = certificates.connect(plain.addr, None);
    let _ = refused.0.get_mut().write_all(b"ping\n");
    let error = refused.line().unwrap_err().to_string();
    assert!(error.contains("InternalError"), "{error}");
}

#[test]
fn who_has_no_certificate_is_not_let_in_where_one_is_asked_for() {
    let certificates = Certificates::new();
    certificates.issue("client", "client.test");
    let ca = certificates.text("ca.pem");
    let broker = certificates.broker(&["--tls-clients", &ca]);
    let mut known = certificates.connect(broker.addr, Some("client"));
    known.send("ping\n");
    known.expect("ok ping*");
    let mut unknown = certificates.connect(broker.addr, None);
    let _ = unknown.0.get_mut().write_all(b"ping\n");
    let error = unknown.line().unwrap_err().to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
    // Nor is one with a certificate that somebody else has signed.
    let others = Certificates::new();
    others.issue("client", "client.test");
    fs::copy(others.path("client.pem"), certificates.path("other.pem")).unwrap();
    fs::copy(others.path("client.key"), certificates.path("other.key")).unwrap();
    let mut other = certificates.connect(broker.addr, Some("other"));
    let _ = other.0.get_mut().write_all(b"ping\n");
    assert!(other.line().is_err());
}

#[test]
fn a_renewed_certificate_comes_into_force_and_a_broken_one_does_not() {
    let (certificates, manager) = (Certificates::new(), Manager::new());
    let settings = certificates.settings();
    let child = manager.start(&[], &settings.each_ref().map(String::as_str));
    manager.expect("READY=1");
    let mut broker = Broker::from_child(child);
    let reload = |broker: &mut Broker| {
        broker.child().signal("HUP");
        manager.expect("RELOADING=1");
        manager.expect("READY=1");
    };
    let mut before = certificates.connect(broker.addr, None);
    let first = before.shown();
    certificates.issue("broker", "127.0.0.1");
    reload(&mut broker);
    let second = certificates.connect(broker.addr, None).shown();
    assert_ne!(second, first);
    fs::write(certificates.path("broker.pem"), "nothing").unwrap();
    reload(&mut broker);
    assert_eq!(certificates.connect(broker.addr, None).shown(), second);
    before.send("ping\n");
    before.expect("ok ping*");
    broker.child().signal("TERM");
    let log = broker.child().complaint();
    let line = log.lines().find(|line| line.contains("event=reload-failed")).expect(&log);
    assert!(line.contains("there is no certificate in "), "{line}");
}

/// Neither one that never says a whole word, nor one that has the broker's answer and
/// does not go on.
#[test]
fn a_handshake_that_is_never_completed_does_not_keep_the_broker_from_stopping() {
    let certificates = Certificates::new();
    let mut broker = certificates.broker(&[]);
    let mut stalled = TcpStream::connect(broker.addr).unwrap();
    stalled.write_all(b"\x16\x03\x01").unwrap();
    let mut silent = TcpStream::connect(broker.addr).unwrap();
    silent.set_read_timeout(Some(DEADLINE)).unwrap();
    certificates.handshake(None).write_tls(&mut silent).unwrap();
    // The broker answers, and the handshake is under way.
    silent.read_exact(&mut [0]).unwrap();
    let asked = Instant::now();
    broker.child().signal("TERM");
    assert!(broker.child().ended().success());
    // A handshake may take ten seconds; nobody waits for that.
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
}

#[test]
fn a_broker_does_not_start_without_what_it_is_to_encrypt_with() {
    let certificates = Certificates::new();
    fs::write(certificates.path("empty.pem"), "").unwrap();
    certificates.issue("other", "127.0.0.1");
    let [cert, key, other, empty, none] =
        ["broker.pem", "broker.key", "other.key", "empty.pem", "none.pem"]
            .map(|f| certificates.text(f));
    for (arguments, said) in [
        (&["--tls-cert", &none][..], "cannot read a certificate from "),
        (&["--tls-cert", &empty], "there is no certificate in "),
        (&["--tls-cert", &cert], "there is no private key in "),
        (&["--tls-cert", &cert, "--tls-key", &other], "cannot be used: "),
        (&["--tls-cert", &cert, "--tls-key", &key, "--tls-clients", &empty], "no certificate in"),
        (&["--tls-key", &key], "tls-key is of no use without tls-cert"),
        (&["--allow-plain", "10.0.0.0/8"], "allow-plain is of no use without tls-cert"),
    ] {
        let mut child = Child::run(&[&["127.0.0.1", "0"], arguments].concat());
        assert!(!child.listens(), "{arguments:?}");
        assert_ne!(child.ended().code(), Some(0));
        let complaint = child.complaint();
        assert!(complaint.contains(said), "{arguments:?}: {complaint}");
    }
}

fn client(broker: &Broker, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker-client"));
    let state = tempfile::tempdir().unwrap();
    command.args(["127.0.0.1", &broker.addr.port().to_string()]).args(arguments);
    command.env("XDG_STATE_HOME", state.path());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn the_client_encrypts_and_knows_whom_it_talks_to() {
    let certificates = Certificates::new();
    certificates.issue("client", "client.test");
    let both =
        [fs::read(certificates.path("client.pem")), fs::read(certificates.path("client.key"))];
    fs::write(certificates.path("both.pem"), both.map(Result::unwrap).concat()).unwrap();
    let [ca, own] = ["ca.pem", "both.pem"].map(|file| certificates.text(file));
    let broker = certificates.broker(&["--tls-clients", &ca]);
    let trusted = ["--tls-ca", &ca, "--tls-cert", &own];
    let with = |more: &[&str]| client(&broker, &[&trusted, more].concat());
    let (code, said) = with(&["-c", "create news", "-c", "pub news hi"]);
    assert_eq!((code, &*said), (Some(0), "ok create news\nok pub news 1\n"));
    let (code, said) = with(&["numbers", "500"]);
    assert!(code == Some(0) && said.contains("count=500"), "{code:?} {said}");
    let program = ["hold", "jobs", "--", "sh", "-c", "echo $BROKER_URL"];
    let (code, said) = with(&program);
    let url = format!("tls://{}", broker.addr);
    assert!(code == Some(0) && said.contains(&url), "{code:?} {said}");
    // No certificate that browsers know, none for that authority, none of one's own.
    let others = Certificates::new();
    let stranger = others.text("ca.pem");
    for arguments in [&["--tls"][..], &["--tls-ca", &stranger], &["--tls-ca", &ca]] {
        let (code, said) = client(&broker, &[arguments, &["-c", "ping"]].concat());
        assert_eq!(code, Some(3), "{arguments:?}: {said}");
    }
    let (code, said) = client(&broker, &["-c", "ping"]);
    assert!(code != Some(0) && said.contains("use TLS"), "{code:?} {said}");
    let missing = Path::new("/nonexistent").to_str().unwrap();
    assert_eq!(client(&broker, &["--tls-ca", missing, "-c", "ping"]).0, Some(2));
}
