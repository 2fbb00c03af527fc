//! A web server that answers as a test wants it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Serves until the test ends, each connection on a thread of its own.
pub struct Site {
    pub addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// `answer` writes what it likes to the request whose first line, such as
    /// `GET /x HTTP/1.1`, it is given. Then the connection is closed.
    pub fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (answer, notes) = (Arc::new(answer), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, notes) = (answer.clone(), notes.clone());
                std::thread::spawn(move || serve(stream, &*answer, &notes));
            }
        });
        Site { addr, asked }
    }

    /// Starts one that says nothing, for ever.
    pub fn silent() -> Site {
        Site::start(|_, stream| drop(stream.read_to_end(&mut Vec::new())))
    }

    /// The first lines of all requests so far, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The URL of this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &(impl Fn(&str, &mut TcpStream) + ?Sized),
    notes: &Mutex<Vec<String>>,
) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    notes.lock().unwrap().push(first.clone());
    answer(&first, &mut stream);
    let _ = stream.flush();
}
