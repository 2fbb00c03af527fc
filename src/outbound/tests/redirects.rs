//! Redirects: judged like the first URL, and bounded.

use super::*;

fn redirect(status: &str, to: &str) -> Vec<u8> {
    respond(status, &format!("location: {to}\r\n"), "not to be read")
}

#[test]
fn into_private_space_they_are_refused() {
    let secret = Server::start(|_| respond("200 OK", "", "secret"));
    let port = secret.addr.port();
    let outbound = with_names(&[("inside.test", &["10.0.0.1"]), ("loop.test", &["127.0.0.2"])]);
    for to in [
        format!("http://127.0.0.2:{port}/"),
        format!("http://0x7f.2:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.2]:{port}/"),
        format!("//loop.test:{port}/"),
        "http://inside.test/".to_string(),
        "http://169.254.169.254/latest/meta-data/".to_string(),
    ] {
        let location = to.clone();
        let server = Server::start(move |_| redirect("302 Found", &location));
        assert_eq!(kind(get(&outbound, &server.url("/"))), ErrorKind::Refused, "{to}");
    }
    assert_eq!(secret.connections(), 0);
}

#[test]
fn to_what_is_no_url_to_call_they_are_refused() {
    for to in ["file:///etc/passwd", "http://user:pass@127.0.0.1/", "http://[", "mailto:a@b"] {
        let server = Server::start(move |_| redirect("301 Moved Permanently", to));
        assert_eq!(kind(get(&outbound(), &server.url("/"))), ErrorKind::Redirect, "{to}");
    }
}

#[test]
fn they_are_followed_so_often_and_no_more() {
    let server = Server::start(|request| {
        let left: u32 = request[5..].split(' ').next().unwrap().parse().unwrap();
        match left {
            0 => respond("200 OK", "", "there"),
            _ => redirect("302 Found", &format!("/{}", left - 1)),
        }
    });
    let answer = get(&outbound(), &server.url("/3")).unwrap();
    assert_eq!((answer.body, answer.url.path()), (b"there".to_vec(), "/0"));
    assert_eq!(kind(get(&outbound(), &server.url("/4"))), ErrorKind::Redirect);
    let none = Limits { redirects_max: 0, ..Limits::default() };
    let call = Call::new(Method::GET, &server.url("/1")).unwrap();
    assert_eq!(kind(send(&outbound(), &call, none)), ErrorKind::Redirect);
}

#[test]
fn a_post_stays_a_post_and_what_is_for_one_host_stays_there() {
    let server = Server::start(|request| {
        let port = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let port = port.rsplit(':').next().unwrap();
        match request.split(' ').nth(1).unwrap() {
            "/same" => redirect("307 Temporary Redirect", "/other"),
            "/other" => redirect("308 Permanent Redirect", &format!("http://b.test:{port}/back")),
            "/back" => redirect("307 Temporary Redirect", &format!("http://a.test:{port}/end")),
            "/get" => redirect("302 Found", "/end"),
            _ => respond("200 OK", "", ""),
        }
    });
    let outbound = with_names(&[("a.test", &["127.0.0.1"]), ("b.test", &["127.0.0.1"])]);
    let url = |path| format!("http://a.test:{}{path}", server.addr.port());
    let mut call = Call::new(Method::POST, &url("/same")).unwrap();
    let mut signature = HeaderValue::from_static("sha256=00");
    signature.set_sensitive(true);
    call.headers.insert("x-signature", signature);
    call.headers.insert("x-open", HeaderValue::from_static("yes"));
    call.body = "body".into();
    assert_eq!(send(&outbound, &call, Limits::default()).unwrap().status, StatusCode::OK);
    for (path, is_signed) in [("/same", true), ("/other", true), ("/back", false), ("/end", false)]
    {
        let request = server.request();
        assert!(request.starts_with(&format!("POST {path} ")), "{request}");
        assert!(request.contains("x-open: yes") && request.ends_with("\r\n\r\nbody"), "{request}");
        assert_eq!(request.contains("x-signature"), is_signed, "{request}");
    }
    // A redirect that would make a GET of it is the answer.
    call.url = target::parse(&url("/get")).unwrap();
    assert_eq!(send(&outbound, &call, Limits::default()).unwrap().status, StatusCode::FOUND);
}
