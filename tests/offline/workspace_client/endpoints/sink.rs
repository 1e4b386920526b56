//! What tricks are to lead to: listeners on loopback addresses that count who comes, and names that lead wherever a
//! test wants.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use desktop_deletion_operator::workspace::endpoint::resolver::HostResolver;
use tokio::net::TcpListener;

/// Where a trick may lead to on this machine.
const ADDRESSES: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)),
    IpAddr::V4(Ipv4Addr::new(127, 1, 2, 3)),
    IpAddr::V4(Ipv4Addr::new(127, 255, 255, 254)),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Listeners on one port of many addresses.
pub(super) struct Sink {
    pub(super) port: u16,
    /// Those it listens on; a machine may have no IPv6.
    pub(super) addresses: Vec<IpAddr>,
    connections: Arc<AtomicUsize>,
    tasks: tokio::task::JoinSet<()>,
}

impl Sink {
    /// Listens on every loopback address that tricks lead to.
    pub(super) async fn open() -> Self {
        // A free port of the first address may be taken on another.
        for _ in 0..100 {
            if let Some(sink) = Self::on(0, &ADDRESSES).await {
                return sink;
            }
        }
        panic!("no port is free on all of {ADDRESSES:?}");
    }

    /// Listens on a port of these addresses; `None` if another program does.
    pub(super) async fn on(port: u16, addresses: &[IpAddr]) -> Option<Self> {
        let mut sink = Self {
            port,
            addresses: Vec::new(),
            connections: Arc::default(),
            tasks: tokio::task::JoinSet::new(),
        };
        for &address in addresses {
            match TcpListener::bind((address, sink.port)).await {
                Ok(listener) => {
                    sink.port = listener.local_addr().unwrap().port();
                    sink.addresses.push(address);
                    sink.tasks.spawn(count(listener, Arc::clone(&sink.connections)));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return None,
                Err(error) => assert!(address.is_ipv6(), "{address}: {error}"),
            }
        }
        Some(sink)
    }

    /// How many connections were opened.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn count(listener: TcpListener, connections: Arc<AtomicUsize>) {
    loop {
        // A connection was counted by the time that the client sees it end.
        let (stream, _): (_, SocketAddr) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::SeqCst);
        drop(stream);
    }
}

/// Names of a test: each lookup gets the next answer, and the last one repeatedly.
#[derive(Debug)]
pub(in crate::workspace_client) struct Answers {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Answers {
    /// These answers, one after the other; each may hold several addresses.
    pub(in crate::workspace_client) fn of(answers: &[&[&str]]) -> Arc<Self> {
        let read = |answer: &&[&str]| answer.iter().map(|a| a.parse().unwrap()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(read).collect()),
            asked: AtomicUsize::new(0),
        })
    }

    /// The number of lookups.
    pub(in crate::workspace_client) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl HostResolver for Answers {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        Ok(if answers.len() > 1 {
            answers.pop_front().unwrap()
        } else {
            answers[0].clone()
        })
    }
}
