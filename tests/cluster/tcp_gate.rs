//! A TCP gate in front of the cloud that can be closed: new connections are then accepted and closed at once, so that
//! no TLS handshake completes. Established connections are left alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The gate; removed when dropped.
pub(crate) struct TcpGate {
    address: SocketAddr,
    open: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl TcpGate {
    /// An open gate in front of a URL such as `https://127.0.0.1:41234`.
    pub(crate) async fn in_front_of(url: &str) -> Self {
        let target = url.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(AtomicBool::new(true));
        let task = tokio::spawn(forward(listener, target, open.clone()));
        Self { address, open, task }
    }

    /// Its own URL.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// New connections fail from now on.
    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    /// New connections succeed again.
    pub(crate) fn reopen(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

impl Drop for TcpGate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(listener: TcpListener, target: String, open: Arc<AtomicBool>) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        if !open.load(Ordering::SeqCst) {
            continue;
        }
        let target = target.clone();
        tokio::spawn(async move {
            let mut server = TcpStream::connect(target).await.unwrap();
            // The result does not matter.
            tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
        });
    }
}
