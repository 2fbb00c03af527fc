//! A wire to the broker that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Hands connections on to the broker, and cuts them.
pub struct Wire {
    pub port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
    is_parted: Arc<AtomicBool>,
    tried: Arc<AtomicUsize>,
}

impl Wire {
    pub fn to(broker: u16) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new(Vec::new()));
        let is_parted = Arc::new(AtomicBool::new(false));
        let (all, parted) = (open.clone(), is_parted.clone());
        let tried = Arc::new(AtomicUsize::new(0));
        let count = tried.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::Relaxed);
                let Ok(far) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
                let mut open = all.lock().unwrap();
                if parted.load(Ordering::Relaxed) {
                    continue;
                }
                open.push(near.try_clone().unwrap());
                open.push(far.try_clone().unwrap());
                let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
                std::thread::spawn(move || copy(near, far));
                std::thread::spawn(move || copy(back.0, back.1));
            }
        });
        Wire { port, open, is_parted, tried }
    }

    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Cuts it until it is mended: each connection ends as soon as it is made.
    pub fn part(&self) {
        self.is_parted.store(true, Ordering::Relaxed);
        self.cut();
    }

    /// How many connections have been made.
    pub fn tried(&self) -> usize {
        self.tried.load(Ordering::Relaxed)
    }

    pub fn mend(&self) {
        self.is_parted.store(false, Ordering::Relaxed);
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
