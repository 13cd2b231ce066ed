//! Binding all listeners before anything runs.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::change::CONTROLS;
use super::{COMMAND_QUEUE, Driver, EVENT_QUEUE, Sip, SipConfig};
use crate::endpoint::{Counters, Endpoint, EndpointConfig, Listener, Notice, TrunkOf};
use crate::transport::connections::{ARRIVALS, Connections, Tls};
use crate::transport::names::Names;
use crate::transport::strangers::Gate;
use crate::transport::tls::client::Connector;
use crate::transport::tls::server::Acceptor;
use crate::transport::tls::{TlsClient, TlsServer};
use crate::transport::udp::Sockets;
use crate::transport::{ListenerId, Transport, TrunkId, tcp, udp};

/// What is bound.
#[derive(Default)]
struct Bound {
    listeners: Vec<Listener>,
    sockets: Sockets,
    streams: Vec<(ListenerId, TcpListener)>,
}

/// Binds the listeners and reads the TLS files. The endpoint lives as long as [`Driver::run`] is awaited.
pub async fn bind(config: SipConfig) -> io::Result<(Sip, mpsc::Receiver<Notice>, Driver)> {
    let speaks_tls =
        |(listener, id): (&Listener, u16)| (listener.transport == Transport::Tls).then_some(ListenerId(id));
    let tls_listeners: Arc<[ListenerId]> = config.listeners.iter().zip(0..).filter_map(speaks_tls).collect();
    let tls = tls(&tls_listeners, &config.tls_servers, &config.tls_clients)?;
    let bound = bind_all(&config.listeners)?;
    let counters = Arc::<Counters>::default();
    let names = Arc::<Names>::default();
    let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
    let (control_sender, controls) = mpsc::channel(CONTROLS);
    let (events, event_receiver) = mpsc::channel(EVENT_QUEUE);
    let (arrival_sender, arrivals) = mpsc::channel(ARRIVALS);
    let sip = Sip {
        commands: command_sender,
        controls: control_sender,
        tls_listeners,
        next_leg: Arc::new(AtomicU64::new(2)),
        local: bound.listeners.iter().map(|listener| listener.local).collect(),
        names: Arc::clone(&names),
        counters: Arc::clone(&counters),
    };
    let connections =
        Connections::new(arrival_sender.clone(), config.connections, bound.listeners.clone(), tls, names);
    let endpoint_config = EndpointConfig {
        listeners: bound.listeners,
        trunks: config.trunks,
        user_agent: config.user_agent,
        seed: config.seed,
        timers: config.timers,
        record: config.record,
    };
    let mut endpoint = Endpoint::with_counters(endpoint_config, Arc::clone(&counters));
    endpoint.set_trunk_of(TrunkOf(Arc::clone(&config.trunk_of)));
    let driver = Driver {
        sockets: bound.sockets,
        streams: bound.streams,
        connections,
        arrivals,
        arrival_sender,
        endpoint,
        trunk_of: config.trunk_of,
        gate: Gate::new(config.strangers),
        counters,
        commands,
        controls,
        settling: Vec::new(),
        tap: config.tap,
        events,
        overflow: VecDeque::new(),
    };
    Ok((sip, event_receiver, driver))
}

fn bind_all(wanted: &[Listener]) -> io::Result<Bound> {
    if wanted.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bound = Bound::default();
    for (mut listener, id) in wanted.iter().copied().zip(0..) {
        let id = ListenerId(id);
        let only_v6 = shares_its_port(&listener, wanted);
        listener.local = match listener.transport {
            Transport::Udp => {
                let socket = udp::bind(listener.local, only_v6).map_err(|error| named(&listener, &error))?;
                let local = socket.local_addr()?;
                bound.sockets.add(id, socket, local);
                local
            }
            Transport::Tcp | Transport::Tls => {
                let stream = tcp::bind(listener.local, only_v6).map_err(|error| named(&listener, &error))?;
                let local = stream.local_addr()?;
                bound.streams.push((id, stream));
                local
            }
        };
        if listener.advertised.port() == 0 {
            listener.advertised.set_port(listener.local.port());
        }
        bound.listeners.push(listener);
    }
    Ok(bound)
}

/// An IPv6 listener takes IPv4 too, unless another one has that port for IPv4.
fn shares_its_port(listener: &Listener, all: &[Listener]) -> bool {
    let over_udp = |listener: &Listener| listener.transport == Transport::Udp;
    let shares = |other: &Listener| {
        other.local.is_ipv4()
            && other.local.port() == listener.local.port()
            && over_udp(other) == over_udp(listener)
    };
    let ip = listener.local.ip();
    listener.local.is_ipv6() && (!ip.is_unspecified() || all.iter().any(shares))
}

fn named(listener: &Listener, error: &io::Error) -> io::Error {
    let what: (&str, SocketAddr) = (listener.transport.name(), listener.local);
    io::Error::new(error.kind(), format!("{} {}: {error}", what.0, what.1))
}

/// Reads the TLS files.
pub(super) fn tls(
    listeners: &[ListenerId],
    servers: &HashMap<ListenerId, TlsServer>,
    clients: &HashMap<TrunkId, TlsClient>,
) -> io::Result<Tls> {
    let mut tls = Tls::default();
    for id in listeners {
        let no_files = || io::Error::new(io::ErrorKind::InvalidInput, "a TLS listener needs a certificate");
        let acceptor = Acceptor::new(servers.get(id).cloned().ok_or_else(no_files)?)?;
        tls.acceptors.insert(*id, Arc::new(acceptor));
    }
    for (trunk, settings) in clients {
        tls.connectors.insert(*trunk, Arc::new(Connector::new(settings.clone())?));
    }
    if !tls.acceptors.is_empty() {
        tls.default = Some(Arc::new(Connector::new(TlsClient::default())?));
    }
    Ok(tls)
}
