//! What can be asked, and where: the one table of methods and paths.

use hyper::Method;

/// A method on a path.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The method. `HEAD` goes with `GET`, and `OPTIONS` with everything.
    pub method: Method,
    /// The path; `{name}` stands for one part of it.
    pub path: &'static str,
    /// What it does.
    pub act: Act,
    /// Whether the path says everything, so that a query or a body is a mistake.
    pub is_bare: bool,
    /// Whether it concerns the broker and not channels, and so is done even while
    /// the broker drains, and under any host name.
    pub is_for_operators: bool,
}

impl Route {
    const fn new(method: Method, path: &'static str, act: Act) -> Self {
        Route { method, path, act, is_bare: false, is_for_operators: false }
    }

    const fn bare(mut self) -> Self {
        self.is_bare = true;
        self
    }

    const fn for_operators(mut self) -> Self {
        self.is_for_operators = true;
        self
    }
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A request of the protocol, by its verb: the parts of the path, the query and
    /// the body hold its fields.
    Ask(&'static str),
    /// The same, as a resident.
    Speak(&'static str),
    /// Describes all routes.
    Describe,
    /// Creates a channel.
    Create,
    /// Shows what a channel's log still holds.
    History,
    /// Publishes.
    Publish,
    /// Joins a channel without a connection.
    Join,
    /// Shows a member.
    Show,
    /// Renews a resident's lease.
    Renew,
    /// Ends a resident's membership.
    Leave,
    /// Moves a resident to the bottom of the roster.
    Yield,
    /// Gives a command, as a resident.
    Command,
    /// Shows the results of a command.
    Results,
    /// Shows the commands that wait for a resident's answer.
    Due,
    /// Answers a command, as a resident.
    Acknowledge,
    /// Submits a job.
    Job,
    /// Shows the state of a job.
    LookAtJob,
    /// Cancels a job.
    EndJob,
    /// Observes a channel.
    Events,
    /// Upgrades to a WebSocket.
    WebSocket,
    /// Whether the broker is alive.
    Live,
    /// Whether it takes connections.
    Ready,
    /// The broker's metrics.
    Metrics,
    /// The page for people.
    Index,
    /// A file of the page, in this folder of them.
    Asset(Option<&'static str>),
}

const fn get(path: &'static str, act: Act) -> Route {
    Route::new(Method::GET, path, act)
}

const fn post(path: &'static str, act: Act) -> Route {
    Route::new(Method::POST, path, act)
}

const fn delete(path: &'static str, act: Act) -> Route {
    Route::new(Method::DELETE, path, act)
}

/// Every route.
pub static ROUTES: &[Route] = &[
    get("/v1/version", Act::Ask("version")),
    get("/v1/stats", Act::Ask("stats")),
    get("/v1/openapi.json", Act::Describe).bare(),
    get("/v1/clients", Act::Ask("who")),
    get("/v1/channels", Act::Ask("channels")),
    post("/v1/channels", Act::Create),
    get("/v1/channels/{channel}", Act::Ask("info")),
    delete("/v1/channels/{channel}", Act::Speak("drop")),
    get("/v1/channels/{channel}/messages", Act::History),
    post("/v1/channels/{channel}/messages", Act::Publish),
    get("/v1/channels/{channel}/events", Act::Events),
    get("/v1/channels/{channel}/digest", Act::Ask("digest")),
    get("/v1/channels/{channel}/check", Act::Ask("check")),
    get("/v1/channels/{channel}/members", Act::Ask("ranks")),
    post("/v1/channels/{channel}/members", Act::Join),
    get("/v1/channels/{channel}/members/{member}", Act::Show).bare(),
    delete("/v1/channels/{channel}/members/{member}", Act::Leave).bare(),
    post("/v1/channels/{channel}/members/{member}/renew", Act::Renew).bare(),
    post("/v1/channels/{channel}/members/{member}/yield", Act::Yield).bare(),
    post("/v1/channels/{channel}/members/{member}/promote", Act::Speak("promote")),
    post("/v1/channels/{channel}/members/{member}/kick", Act::Speak("kick")),
    get("/v1/channels/{channel}/members/{member}/commands", Act::Due),
    post("/v1/channels/{channel}/commands", Act::Command),
    get("/v1/channels/{channel}/commands/{seq}", Act::Results).bare(),
    post("/v1/channels/{channel}/commands/{seq}/ack", Act::Acknowledge),
    get("/v1/jobs", Act::Ask("jobs")),
    post("/v1/jobs", Act::Job),
    get("/v1/jobs/{job}", Act::LookAtJob).bare(),
    delete("/v1/jobs/{job}", Act::EndJob).bare(),
    get("/v1/ws", Act::WebSocket),
    get("/livez", Act::Live).for_operators(),
    get("/readyz", Act::Ready).for_operators(),
    get("/metrics", Act::Metrics).for_operators(),
    get("/", Act::Index),
    get("/page/{file}", Act::Asset(None)),
    get("/page/vendor/{file}", Act::Asset(Some("vendor"))),
];

/// What is at an address.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// This route, with the parts of the path that it names.
    Route(&'static Route, Vec<(&'static str, String)>),
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
            return Found::Route(route, parts);
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

/// The named parts of a path, if it matches the pattern.
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

/// A part of a path, percent-decoded; `None` if it is no text.
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
        let Found::Route(route, parts) = find(&Method::GET, "/v1/channels/a%2Db/messages") else {
            panic!("it is not found");
        };
        assert_eq!((route.act, parts), (Act::History, vec![("channel", "a-b".to_owned())]));
        for path in
            ["", "*", "/page/", "/page/x/y", "/v1", "/v1/channels/", "/v1/channels//messages"]
        {
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
