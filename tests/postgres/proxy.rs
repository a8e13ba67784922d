//! A network that can be cut: TCP in front of a server's socket.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct State {
    /// Nothing passes; nobody is told.
    stalled: AtomicBool,
    /// Whoever comes is sent away.
    cut: AtomicBool,
    open: Mutex<Vec<(TcpStream, UnixStream)>>,
}

/// One server's network. Its threads end with the test's process.
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

impl Proxy {
    pub fn before(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.cut.load(Ordering::Relaxed) {
                    continue;
                }
                // A server that is down: the client is sent away.
                if let Ok(server) = UnixStream::connect(&socket) {
                    join(&shared, client, server);
                }
            }
        });
        Self { port, state }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Drops every connection, and takes none for a while.
    pub fn cut(&self, span: Duration) {
        self.state.cut.store(true, Ordering::Relaxed);
        for (client, server) in self.state.open.lock().unwrap().drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
        std::thread::sleep(span);
        self.state.cut.store(false, Ordering::Relaxed);
    }

    /// Lets nothing through for a while, and drops nothing.
    pub fn stall(&self, span: Duration) {
        self.state.stalled.store(true, Ordering::Relaxed);
        std::thread::sleep(span);
        self.state.stalled.store(false, Ordering::Relaxed);
    }
}

fn join(state: &Arc<State>, client: TcpStream, server: UnixStream) {
    let pair = (client.try_clone().unwrap(), server.try_clone().unwrap());
    state.open.lock().unwrap().push(pair);
    let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut to_server, mut to_client) = (server, client);
    let (here, there) = (Arc::clone(state), Arc::clone(state));
    std::thread::spawn(move || {
        pump(
            &here,
            |buffer| up.read(buffer),
            |bytes| to_server.write_all(bytes),
        );
        let _ = to_server.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        pump(
            &there,
            |buffer| down.read(buffer),
            |bytes| to_client.write_all(bytes),
        );
        let _ = to_client.shutdown(Shutdown::Both);
    });
}

fn pump(
    state: &State,
    mut read: impl FnMut(&mut [u8]) -> std::io::Result<usize>,
    mut write: impl FnMut(&[u8]) -> std::io::Result<()>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = read(&mut buffer) {
        while state.stalled.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if write(&buffer[..length]).is_err() {
            return;
        }
    }
}
