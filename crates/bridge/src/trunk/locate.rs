//! From a target to the places a request can be sent to: RFC 3263, without the network.
//!
//! [`locate`] is given what DNS has said so far and gives what it must still be asked, or the whole
//! list. It is called again with more answers until it asks nothing: at most NAPTR, SRV and address
//! questions, three rounds.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sip_core::Transport;

use super::select::{Ranked, order};
use super::target::{Destination, Host, Target, default_port, name};

/// Most records of one answer that are looked at; those behind are left out.
const MAX_RECORDS: usize = 16;

/// A question to DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The services of a domain (RFC 3403).
    Naptr(String),
    /// The servers of a service (RFC 2782).
    Srv(String),
    /// The addresses of a host, A and AAAA.
    Address(String),
}

/// A NAPTR record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower is meant first.
    pub order: u16,
    /// Lower is meant first, within one order.
    pub preference: u16,
    /// `s`: the replacement is the name of SRV records.
    pub flags: String,
    /// Such as `SIP+D2U`.
    pub service: String,
    /// The name to go on with.
    pub replacement: String,
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower is tried before higher.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.` says that there is no such service.
    pub target: String,
}

impl Ranked for Srv {
    fn priority(&self) -> u16 {
        self.priority
    }

    fn weight(&self) -> u16 {
        self.weight
    }
}

/// What DNS said; empty where it has no such records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// To [`Question::Naptr`].
    Naptr(Vec<Naptr>),
    /// To [`Question::Srv`].
    Srv(Vec<Srv>),
    /// To [`Question::Address`].
    Addresses(Vec<IpAddr>),
}

/// All that DNS has said.
pub type Answers = BTreeMap<Question, Records>;

/// What this bridge can send by: the transports of its listeners, the most wanted first, and the IP
/// versions they reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Means(Vec<Mean>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mean {
    transport: Transport,
    ipv4: bool,
    ipv6: bool,
}

impl Means {
    /// Adds a listener: a socket on `::` reaches both versions.
    pub fn add(&mut self, transport: Transport, bind: IpAddr) {
        let is_dual_stack = bind.is_ipv6() && bind.is_unspecified();
        self.0.push(Mean { transport, ipv4: bind.is_ipv4() || is_dual_stack, ipv6: bind.is_ipv6() });
    }

    /// Whether an address can be reached by a transport.
    #[must_use]
    pub fn reach(&self, transport: Transport, ip: IpAddr) -> bool {
        let reaches =
            |mean: &Mean| mean.transport == transport && if ip.is_ipv4() { mean.ipv4 } else { mean.ipv6 };
        self.0.iter().any(reaches)
    }

    /// Whether there is a transport at all.
    #[must_use]
    pub fn have(&self, transport: Transport) -> bool {
        self.0.iter().any(|mean| mean.transport == transport)
    }
}

/// What is known of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// DNS must answer these first.
    Ask(Vec<Question>),
    /// Where to send, the first try first; empty when there is nowhere.
    Found(Vec<Destination>),
}

/// Where requests to a target go (RFC 3263 4.1 and 4.2). `draw` gives a random number from 0 up to and
/// with its argument.
pub fn locate(
    target: &Target,
    means: &Means,
    answers: &Answers,
    draw: &mut dyn FnMut(u32) -> u32,
) -> Located {
    let name = match (&target.host, target.literal()) {
        (Host::Name(name), _) => name,
        (Host::Ip(_), Some(literal)) if means.reach(literal.transport, literal.address.ip()) => {
            return Located::Found(vec![literal]);
        }
        (Host::Ip(_), _) => return Located::Found(Vec::new()),
    };
    let mut search = Search { name, means, answers, asked: Vec::new() };
    let found = search.destinations(target, draw);
    if search.asked.is_empty() { Located::Found(found) } else { Located::Ask(search.asked) }
}

struct Search<'a> {
    name: &'a str,
    means: &'a Means,
    answers: &'a Answers,
    /// What had no answer yet.
    asked: Vec<Question>,
}

impl Search<'_> {
    fn destinations(&mut self, target: &Target, draw: &mut dyn FnMut(u32) -> u32) -> Vec<Destination> {
        let transport = target.transport;
        if let Some(port) = target.port {
            return self.host(transport.unwrap_or(Transport::Udp), self.name, port);
        }
        let services = match transport {
            Some(transport) => vec![(transport, service(transport, self.name))],
            None => self.services(),
        };
        let mut found = Vec::new();
        let mut has_servers = false;
        for (transport, service) in services {
            let servers = self.srv(service);
            has_servers |= !servers.is_empty();
            for server in order(servers, draw) {
                // A dot alone is no name: such a service is not there.
                if let Some(host) = name(&server.target).filter(|_| server.port != 0) {
                    found.extend(self.host(transport, &host, server.port));
                }
            }
        }
        if has_servers || !self.asked.is_empty() {
            return found;
        }
        let transport = transport.or_else(|| self.means.0.first().map(|mean| mean.transport));
        let transport = transport.unwrap_or(Transport::Udp);
        self.host(transport, self.name, default_port(transport))
    }

    /// The names of the SRV records to look at: those NAPTR says, else those of every transport.
    fn services(&mut self) -> Vec<(Transport, String)> {
        let question = Question::Naptr(self.name.to_owned());
        let mut records = match self.answers.get(&question) {
            Some(Records::Naptr(records)) => records.iter().take(MAX_RECORDS).collect(),
            Some(_) => Vec::new(),
            None => {
                self.asked.push(question);
                return Vec::new();
            }
        };
        records.sort_by_key(|record| (record.order, record.preference));
        let named = |record: &&Naptr| {
            let transport = service_transport(&record.service)?;
            let usable = record.flags.eq_ignore_ascii_case("s") && self.means.have(transport);
            Some((transport, lower(&record.replacement))).filter(|_| usable)
        };
        let named: Vec<_> = records.iter().filter_map(named).collect();
        if !named.is_empty() {
            return named;
        }
        let mut all = Vec::new();
        for mean in &self.means.0 {
            let one = (mean.transport, service(mean.transport, self.name));
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all
    }

    fn srv(&mut self, service: String) -> Vec<Srv> {
        let question = Question::Srv(service);
        match self.answers.get(&question) {
            Some(Records::Srv(records)) => records.iter().take(MAX_RECORDS).cloned().collect(),
            Some(_) => Vec::new(),
            None => {
                self.asked.push(question);
                Vec::new()
            }
        }
    }

    fn host(&mut self, transport: Transport, host: &str, port: u16) -> Vec<Destination> {
        let question = Question::Address(host.to_owned());
        let addresses: &[IpAddr] = match self.answers.get(&question) {
            Some(Records::Addresses(addresses)) => addresses,
            Some(_) => &[],
            None => {
                if !self.asked.contains(&question) {
                    self.asked.push(question);
                }
                &[]
            }
        };
        let usable =
            |ip: &&IpAddr| self.means.reach(transport, **ip) && !ip.is_unspecified() && !ip.is_multicast();
        let destination = |ip: &IpAddr| Destination {
            transport,
            address: SocketAddr::new(*ip, port),
            host: Some(self.name.to_owned()),
        };
        addresses.iter().take(MAX_RECORDS).filter(usable).map(destination).collect()
    }
}

fn service(transport: Transport, name: &str) -> String {
    let prefix = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{prefix}.{name}")
}

/// The services of SIP (RFC 3263 4.1); others are none of ours.
fn service_transport(service: &str) -> Option<Transport> {
    let known = [("SIP+D2U", Transport::Udp), ("SIP+D2T", Transport::Tcp), ("SIPS+D2T", Transport::Tls)];
    known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(service)).map(|(_, transport)| transport)
}

fn lower(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
