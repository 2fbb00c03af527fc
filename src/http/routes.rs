//! What can be asked, and where: the one table of methods and paths.

use hyper::{Method, StatusCode};

/// A method on a path.
#[derive(Debug)]
pub struct Route {
    /// The method. `HEAD` goes with `GET`, and `OPTIONS` with everything.
    pub method: Method,
    /// The path; `{name}` stands for one part of it.
    pub path: &'static str,
    /// What it does.
    pub act: Act,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A request of the protocol, by its verb, with this status if it succeeds:
    /// the parts of the path, the query and the body are its fields.
    Ask(&'static str, StatusCode),
    /// Makes a channel.
    Create,
    /// Publishes.
    Publish,
    /// Observes a channel.
    Events,
    /// Goes on as a WebSocket.
    WebSocket,
}

const fn get(path: &'static str, verb: &'static str) -> Route {
    Route { method: Method::GET, path, act: Act::Ask(verb, StatusCode::OK) }
}

/// Every route.
pub static ROUTES: &[Route] = &[
    get("/v1/version", "version"),
    get("/v1/stats", "stats"),
    get("/v1/clients", "who"),
    get("/v1/channels", "channels"),
    Route { method: Method::POST, path: "/v1/channels", act: Act::Create },
    get("/v1/channels/{channel}", "info"),
    get("/v1/channels/{channel}/messages", "history"),
    Route { method: Method::POST, path: "/v1/channels/{channel}/messages", act: Act::Publish },
    Route { method: Method::GET, path: "/v1/channels/{channel}/events", act: Act::Events },
    get("/v1/channels/{channel}/digest", "digest"),
    get("/v1/channels/{channel}/term", "check"),
    get("/v1/channels/{channel}/members", "ranks"),
    Route { method: Method::GET, path: "/v1/ws", act: Act::WebSocket },
];

/// What is at an address.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// This route, with the parts of the path that it names.
    Route(Act, Vec<(&'static str, String)>),
    /// The path is there, for these methods.
    OtherMethods(Vec<Method>),
    /// Nothing.
    Nothing,
}

/// Looks an address up.
pub fn find(method: &Method, path: &str) -> Found {
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    let mut others = Vec::new();
    for route in ROUTES {
        let Some(parts) = parts(route.path, path) else { continue };
        if route.method == wanted {
            return Found::Route(route.act, parts);
        }
        others.push(route.method.clone());
        if route.method == Method::GET {
            others.push(Method::HEAD);
        }
    }
    if others.is_empty() {
        return Found::Nothing;
    }
    others.push(Method::OPTIONS);
    Found::OtherMethods(others)
}

/// The named parts of a path, if it is as the pattern says.
fn parts(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut parts = Vec::new();
    let (mut patterns, mut pieces) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), pieces.next()) {
            (None, None) => return Some(parts),
            (Some(pattern), Some(piece)) => {
                match pattern.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                    Some(name) if !piece.is_empty() => parts.push((name, decoded(piece)?)),
                    None if pattern == piece => {}
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
}

/// A part of a path without its percent signs; `None` if it is no text.
fn decoded(piece: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(piece.len());
    let mut rest = piece.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                (u8::try_from(digit(high)? * 16 + digit(low)?).ok()?, after)
            }
            (b'%', _) => return None,
            (byte, after) => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let found = find(&Method::GET, "/v1/channels/a%2Db/messages");
        let parts = vec![("channel", "a-b".to_owned())];
        assert_eq!(found, Found::Route(Act::Ask("history", StatusCode::OK), parts));
        for path in ["", "/", "*", "/v1", "/v1/channels/", "/v1/channels//messages"] {
            assert_eq!(find(&Method::GET, path), Found::Nothing, "{path:?}");
        }
        for path in ["/v1/channels/%", "/v1/channels/%4", "/v1/channels/%zz", "/v1/channels/%ff"] {
            assert_eq!(find(&Method::GET, path), Found::Nothing, "{path:?}");
        }
        assert_eq!(find(&Method::HEAD, "/v1/stats"), find(&Method::GET, "/v1/stats"));
    }

    #[test]
    fn another_method_is_told_of_those_that_there_are() {
        let methods = vec![Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];
        for method in [Method::PUT, Method::PATCH, Method::OPTIONS] {
            let found = find(&method, "/v1/channels");
            assert_eq!(found, Found::OtherMethods(methods.clone()));
        }
    }
}
