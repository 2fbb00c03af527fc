//! Builds the parts, accepts connections, and stops in order.

use crate::broker::Broker;
use crate::config::Config;
use crate::connection;
use crate::http::Http;
use crate::open_files;
use crate::permits::Permits;
use crate::runtime::{self, TcpListener, TcpStream};
use crate::store::OpenError;
use crate::tls::{Acceptor, TlsError};
use crate::wire::text::TextEncoder;
use crate::workers::Program;
use futures::FutureExt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// How many connections the kernel queues while others are accepted.
const BACKLOG: i32 = 4_096;
/// The most connections that are being refused at once; beyond them the socket is
/// closed without a word.
const REFUSING_MAX: usize = 256;
/// How many connections are accepted in a row before other tasks get their turn,
/// however many come.
const ACCEPTS: usize = 64;
/// The pauses after an accept that failed for a shortage.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The host has no address.
    #[error(
        "cannot resolve host {host:?}: {source}; name an address of this machine, such as 127.0.0.1"
    )]
    Resolve {
        /// The host.
        host: String,
        /// The system's error.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}{}", hint(.source))]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// A certificate or a key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A socket that the service manager has given is no listening TCP socket.
    #[error("cannot use the sockets of the service manager: {0}; see ListenStream= of its unit")]
    Given(io::Error),
    /// The system gives no signals or threads.
    #[error("cannot start: {source}{}", hint(.source))]
    System {
        /// The system's error.
        #[from]
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; is another broker running there? choose another port",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: choose another",
        io::ErrorKind::AddrNotAvailable => "; it is no address of this machine",
        io::ErrorKind::WouldBlock => {
            "; there are too many threads: raise the limit (`ulimit -u`, systemd `TasksMax=`, \
             docker `--pids-limit`)"
        }
        _ => "",
    }
}

/// A running broker, for `service` and for programs that embed one.
///
/// ```
/// use ranked_broker::{config::Config, runtime, server::Server};
///
/// let config = Config { port: 0, ..Config::default() };
/// let server = Server::start(config)?;
/// println!("listening on {}", server.addr);
/// runtime::block_on(server.stop());
/// # Ok::<(), ranked_broker::server::StartError>(())
/// ```
#[derive(Debug)]
pub struct Server {
    /// The address on which it listens.
    pub addr: SocketAddr,
    broker: Arc<Broker>,
    connections: Permits,
    tls: Option<Arc<Acceptor>>,
    accepting: Vec<runtime::JoinHandle<()>>,
}

impl Server {
    /// Starts to listen. Dropping the server leaves it running.
    ///
    /// # Errors
    /// [`StartError`] if it cannot listen where it should.
    pub fn start(config: Config) -> Result<Server, StartError> {
        Server::start_on(Vec::new(), config, None, |_| ())
    }

    /// Like [`Server::start`], on `sockets`, which listen already, or on the
    /// address of the configuration if there are none. Jobs are run by `workers`,
    /// and answered `err unavailable` without. `on_tick` is called by the broker's
    /// clock, with its time, whenever it has ended what is due: every second at
    /// least.
    ///
    /// # Errors
    /// [`StartError`].
    pub(crate) fn start_on(
        sockets: Vec<std::net::TcpListener>,
        config: Config,
        workers: Option<Program>,
        on_tick: impl FnMut(u64) + Send + 'static,
    ) -> Result<Server, StartError> {
        let tls = Acceptor::from_config(&config)?.map(Arc::new);
        let mut listeners = Vec::new();
        for socket in sockets {
            socket.set_nonblocking(true)?;
            listeners.push(TcpListener::new(socket)?);
        }
        if listeners.is_empty() {
            listeners.push(listen(&config.host, config.port)?);
        }
        let addr = listeners[0].local_addr()?;
        let broker = Broker::open(config, Box::new(TextEncoder))?;
        if let Some(program) = workers {
            broker.jobs().employ(program);
        }
        let weak = Arc::downgrade(&broker);
        let clock = std::thread::Builder::new().name("clock".into());
        clock.spawn(move || Broker::run_clock(&weak, on_tick))?;
        let connections = Permits::default();
        let door = Arc::new(Door::new(broker.clone(), connections.clone(), tls.clone()));
        let listeners = listeners.into_iter();
        let accepting = listeners.map(|l| runtime::spawn(door.clone().stay_open(l))).collect();
        Ok(Server { addr, broker, connections, tls, accepting })
    }

    /// Reads the certificate, its key and the clients' authorities again, if there
    /// are any: for connections that come from now on.
    ///
    /// # Errors
    /// [`TlsError`]; then those from before stay in force.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())
    }

    /// The state that its connections share.
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Stops: accepts no more connections, says `bye` to all, and gives them the
    /// drain time to read what is due to them.
    pub async fn stop(self) {
        for accepting in self.accepting {
            runtime::cancel(accepting).await;
        }
        self.broker.stop();
        // Every connection bounds its own parting by the drain time.
        let deadline = self.broker.current().drain + Duration::from_millis(500);
        let gone = async {
            // Connections that have said nothing yet are due nothing.
            while self.connections.taken() > self.broker.silent() {
                runtime::sleep(Duration::from_millis(5)).await;
            }
        };
        let all_gone = runtime::timeout(deadline, gone).await.is_some();
        let broker = self.broker;
        let left = if all_gone { 0 } else { self.connections.taken() };
        let cut_off = left.saturating_sub(broker.silent()).max(broker.cut_off());
        if cut_off > 0 {
            log::warn!("event=drain-timeout connections={cut_off}");
        }
        // Not by `unblock`, whose threads may be busy: the executor's threads have
        // nothing more to do, and a second signal ends the wait for this one.
        runtime::spawn(async move { broker.close_store() }).await;
    }
}

/// A number alone is an address, too (`1` is 0.0.0.1), but hardly ever meant as
/// one.
fn misplaced(host: &str, source: io::Error) -> io::Error {
    match host.parse::<u16>() {
        Ok(port @ 1..) => {
            let text = format!("{source}; a port comes second: broker 127.0.0.1 {port}");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        }
        _ => source,
    }
}

/// Listens on the first address of the host that can be bound, and on no other.
fn listen(host: &str, port: u16) -> Result<TcpListener, StartError> {
    let resolve = |source| StartError::Resolve { host: host.to_owned(), source };
    let mut failure = resolve(io::ErrorKind::NotFound.into());
    for addr in (host, port).to_socket_addrs().map_err(resolve)? {
        match bind(addr) {
            Ok(listener) => return Ok(listener),
            Err(source) => failure = StartError::Listen { addr, source: misplaced(host, source) },
        }
    }
    Err(failure)
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let kind = socket2::Type::STREAM;
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), kind, None)?;
    // Connections that a killed broker left behind must not keep its successor from
    // starting.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::new(socket.into())
}

/// Accepts connections.
struct Door {
    broker: Arc<Broker>,
    http: Arc<Http>,
    tls: Option<Arc<Acceptor>>,
    connections: Permits,
    /// How many connections the limit on open files leaves room for.
    places: usize,
    /// The connections that are being refused.
    refusing: Permits,
    refusing_max: usize,
}

impl Door {
    fn new(broker: Arc<Broker>, connections: Permits, tls: Option<Arc<Acceptor>>) -> Door {
        let (http, refusing) = (Http::new(broker.clone()), Permits::default());
        let places = open_files::places_now();
        // With few files allowed, refused connections must leave some of the
        // reserve, too.
        let refusing_max = REFUSING_MAX.min(places / 4);
        Door { broker, http, tls, connections, places, refusing, refusing_max }
    }

    /// Accepts connections for ever. Neither a failure of one of them nor a
    /// shortage of descriptors ends it.
    async fn stay_open(self: Arc<Self>, listener: TcpListener) {
        let mut pause = PAUSE_MIN;
        let mut in_a_row = 0;
        loop {
            match listener.accept().await {
                Ok((stream, addr)) => {
                    pause = PAUSE_MIN;
                    self.welcome(stream, addr);
                    in_a_row = (in_a_row + 1) % ACCEPTS;
                    if in_a_row == 0 {
                        runtime::yield_now().await;
                    }
                }
                Err(e) if is_about_one_connection(&e) => {}
                Err(e) => {
                    log::error!(
                        "event=accept-failed error={:?} advice=\"raise the limit of open files, or lower --max-clients\"",
                        e.to_string()
                    );
                    runtime::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, addr: SocketAddr) {
        let Door { broker, http, tls, .. } = self;
        let places = broker.current().max_clients.min(self.places);
        if let Some(permit) = self.connections.take(places) {
            broker.stats.connections.add(1);
            // Not an `async` block, which would hold room for the future that it
            // awaits twice.
            let serving =
                connection::serve(broker.clone(), http.clone(), tls.clone(), stream, addr);
            runtime::spawn(serving.map(|()| drop(permit)));
            return;
        }
        broker.stats.refused.add(1);
        log::info!("event=refused addr={addr} reason=full");
        if let Some(permit) = self.refusing.take(self.refusing_max) {
            runtime::spawn(async move {
                connection::refuse(stream).await;
                drop(permit);
            });
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
