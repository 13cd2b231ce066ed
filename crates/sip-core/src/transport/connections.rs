//! All connections: which flow is which, how many there may be, and opening those that are missing.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;

use super::connection::{Arrival, Connection, ConnectionLimits, Dial, Item, Outgoing};
use super::names::Names;
use super::tls::client::Connector;
use super::tls::server::Acceptor;
use super::{Flow, ListenerId, Transport, TrunkId, elsewhere, tcp};
use crate::endpoint::Listener;

/// What connections have to say waits here for the driver; beyond, they read no more.
pub(crate) const ARRIVALS: usize = 1024;
/// What the last messages get to be written when the driver ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// The TLS of each listener and of each trunk.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    pub(crate) acceptors: HashMap<ListenerId, Arc<Acceptor>>,
    pub(crate) connectors: HashMap<TrunkId, Arc<Connector>>,
    /// Of trunks that have none of their own.
    pub(crate) default: Option<Arc<Connector>>,
}

/// The table of connections.
#[derive(Debug)]
pub(crate) struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    /// The connection of a flow; the latest where there are several.
    by_flow: HashMap<Flow, Id>,
    by_source: HashMap<IpAddr, usize>,
    arrivals: mpsc::Sender<Arrival>,
    limits: ConnectionLimits,
    listeners: Vec<Listener>,
    tls: Tls,
    names: Arc<Names>,
}

#[derive(Debug)]
struct Open {
    flow: Flow,
    queue: mpsc::Sender<Item>,
}

impl Connections {
    pub(crate) fn new(
        arrivals: mpsc::Sender<Arrival>,
        limits: ConnectionLimits,
        listeners: Vec<Listener>,
        tls: Tls,
        names: Arc<Names>,
    ) -> Self {
        Self {
            tasks: JoinSet::new(),
            open: HashMap::new(),
            by_flow: HashMap::new(),
            by_source: HashMap::new(),
            arrivals,
            limits,
            listeners,
            tls,
            names,
        }
    }

    /// New connections are made with this TLS; those that are there stay.
    pub(crate) fn set_tls(&mut self, tls: Tls) {
        self.tls = tls;
    }

    /// Takes a connection of a peer, unless there are too many.
    pub(crate) fn accept(&mut self, flow: Flow, stream: TcpStream) -> bool {
        let acceptor = self.tls.acceptors.get(&flow.listener).cloned();
        if !self.has_room(flow.peer) {
            return false;
        }
        tcp::prepare(&stream);
        self.begin(flow, |connection| connection.accepted(stream, acceptor));
        true
    }

    /// Sends on the flow's connection, or opens one. Gives the message back when there is no room for it.
    pub(crate) fn send(&mut self, flow: Flow, message: Outgoing) -> Result<(), Outgoing> {
        let open = self.by_flow.get(&flow).and_then(|id| self.open.get(id));
        let message = match open.map(|open| open.queue.try_send(Item::Message(message.clone()))) {
            Some(Ok(())) => return Ok(()),
            Some(Err(TrySendError::Full(_))) => return Err(message),
            Some(Err(TrySendError::Closed(_))) | None => message,
        };
        let Some(dial) = self.dial(flow, &message).filter(|_| self.has_room(flow.peer)) else {
            return Err(message);
        };
        let queue = self.begin(flow, |connection| connection.dialled(dial));
        // A new queue has room for one.
        queue.try_send(Item::Message(message.clone())).map_err(|_| message)
    }

    /// Closes a connection when all that waits for it has been written.
    pub(crate) fn close(&mut self, id: Id) {
        let Some(open) = self.open.get(&id) else {
            return;
        };
        if self.by_flow.get(&open.flow) == Some(&id) {
            self.by_flow.remove(&open.flow);
        }
        if open.queue.try_send(Item::Close).is_err() {
            self.forget(id);
        }
    }

    /// Waits for a connection to end and forgets it; for ever, when there is none.
    pub(crate) async fn reap(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => {
                let id = ended.map_or_else(|broken: JoinError| broken.id(), |(id, ())| id);
                self.forget(id);
            }
            None => std::future::pending().await,
        }
    }

    /// Lets all connections write what they have, but not for long.
    pub(crate) async fn finish(mut self) {
        self.open.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Those that are not done by then are cut off.
        let _ = timeout(FAREWELL, all).await;
    }

    fn has_room(&self, peer: SocketAddr) -> bool {
        let of_source = self.by_source.get(&peer.ip()).copied().unwrap_or_default();
        self.open.len() < self.limits.total && of_source < self.limits.per_source
    }

    fn dial(&self, flow: Flow, message: &Outgoing) -> Option<Dial> {
        let listener = self.listeners.get(usize::from(flow.listener.0));
        let from = listener.map(|listener| listener.local.ip()).filter(|ip| !ip.is_unspecified());
        let tls = match flow.transport {
            Transport::Udp => return None,
            Transport::Tcp => None,
            Transport::Tls => {
                let connector = self.tls.connectors.get(&flow.trunk).or(self.tls.default.as_ref())?;
                Some((Arc::clone(connector), self.names.get(flow.peer)))
            }
        };
        Some(Dial { addresses: elsewhere::addresses(flow, &message.bytes), from, tls })
    }

    fn begin<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        flow: Flow,
        run: impl FnOnce(Connection) -> F,
    ) -> mpsc::Sender<Item> {
        let (sender, queue) = mpsc::channel(self.limits.queue.max(1));
        let connection = Connection { flow, queue, arrivals: self.arrivals.clone(), limits: self.limits };
        let id = self.tasks.spawn(run(connection)).id();
        self.by_flow.insert(flow, id);
        *self.by_source.entry(flow.peer.ip()).or_default() += 1;
        self.open.insert(id, Open { flow, queue: sender.clone() });
        sender
    }

    fn forget(&mut self, id: Id) {
        let Some(open) = self.open.remove(&id) else {
            return;
        };
        if self.by_flow.get(&open.flow) == Some(&id) {
            self.by_flow.remove(&open.flow);
        }
        let source = open.flow.peer.ip();
        if let Some(count) = self.by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}
