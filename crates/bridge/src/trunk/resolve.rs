//! Looking targets up in DNS (RFC 3263). This is IO; which questions there are, and what follows from
//! the answers, is [`locate`]'s.
//!
//! Answers are kept for as long as they say. When DNS fails, the last good answer stays in force: a
//! PBX does not vanish because its name server does.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use super::locate::{Answers, Located, Means, Naptr, Question, Records, Srv, locate};
use super::target::{Destination, Target};

/// Longest time for one question, whatever the settings of the system say: a caller waits.
const LONGEST: Duration = Duration::from_secs(3);
/// And for one that has a last good answer.
const IMPATIENT: Duration = Duration::from_millis(500);
/// How long one server is waited for.
const ATTEMPT: Duration = Duration::from_secs(1);
/// An answer is kept at least this long, so that a TTL of 0 asks once and not for every call.
const SHORTEST_TTL: Duration = Duration::from_secs(5);
/// And no longer than this.
const LONGEST_TTL: Duration = Duration::from_secs(3600);
/// How long it counts that there are no such records.
const NEGATIVE_TTL: Duration = Duration::from_secs(30);
/// How long after a failure DNS is asked again.
const RETRY: Duration = Duration::from_secs(10);
/// Most answers that are kept. When it is full, the one that expires first goes.
const MAX_HELD: usize = 1024;
/// Rounds of questions for one target: NAPTR, SRV and addresses, and one to spare.
const ROUNDS: usize = 4;

/// Looks targets up.
pub struct Resolver {
    dns: TokioResolver,
    held: Mutex<BTreeMap<Question, Held>>,
}

/// An answer.
struct Held {
    records: Records,
    /// From then on it is asked again.
    until: Instant,
    /// DNS has failed since.
    is_stale: bool,
}

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
#[error("the system's DNS settings can't be used: {0}")]
pub struct NoResolver(#[from] NetError);

impl Resolver {
    /// Asks the servers of the system.
    ///
    /// # Errors
    /// When the system's settings can't be read.
    pub fn from_system() -> Result<Self, NoResolver> {
        let mut builder = TokioResolver::builder_tokio()?;
        bound(builder.options_mut());
        Ok(Self { dns: builder.build()?, held: Mutex::default() })
    }

    /// Asks one server.
    ///
    /// # Errors
    /// When no resolver can be made of it.
    pub fn with_server(server: SocketAddr) -> Result<Self, NoResolver> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        bound(builder.options_mut());
        Ok(Self { dns: builder.build()?, held: Mutex::default() })
    }

    /// Where requests to a target go, the first try first; empty when DNS knows nothing, or never has
    /// answered. `draw` gives a random number from 0 up to and with its argument.
    pub async fn destinations(
        &self,
        now: Instant,
        target: &Target,
        means: &Means,
        draw: &mut (dyn FnMut(u32) -> u32 + Send),
    ) -> Vec<Destination> {
        let mut answers = Answers::new();
        for _ in 0..ROUNDS {
            let questions = match locate(target, means, &answers, draw) {
                Located::Found(destinations) => return destinations,
                Located::Ask(questions) => questions,
            };
            answers.extend(self.answers(now, questions).await);
        }
        Vec::new()
    }

    /// Answers all questions, those that must be asked at the same time.
    async fn answers(&self, now: Instant, questions: Vec<Question>) -> Answers {
        let mut answers = Answers::new();
        let mut asked = JoinSet::new();
        for question in questions {
            if let Some(records) = self.fresh(now, &question) {
                answers.insert(question, records);
                continue;
            }
            let longest = if self.is_known(&question) { IMPATIENT } else { LONGEST };
            let dns = self.dns.clone();
            asked.spawn(async move {
                let answer = timeout(longest, ask(&dns, &question)).await;
                (question, answer.unwrap_or_else(|_| Err("no answer in time".to_owned())))
            });
        }
        while let Some(answer) = asked.join_next().await {
            // A task that broke leaves its question open: it is asked again in the next round.
            let Ok((question, answer)) = answer else { continue };
            let records = self.keep(now, &question, answer);
            answers.insert(question, records);
        }
        answers
    }

    fn fresh(&self, now: Instant, question: &Question) -> Option<Records> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(question).filter(|held| held.until > now).map(|held| held.records.clone())
    }

    fn is_known(&self, question: &Question) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(question)
    }

    /// Keeps an answer; when there is none, the last one stays.
    fn keep(
        &self,
        now: Instant,
        question: &Question,
        answer: Result<(Records, Duration), String>,
    ) -> Records {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.remove(question);
        let was_stale = known.as_ref().is_some_and(|known| known.is_stale);
        let next = match answer {
            Ok((records, ttl)) => {
                if was_stale {
                    info!(?question, "DNS answers again");
                }
                Held { records, until: now + ttl, is_stale: false }
            }
            Err(error) => {
                if !was_stale {
                    warn!(?question, error, "DNS fails: the last good answer stays in force");
                }
                let records = known.map_or(empty(question), |known| known.records);
                Held { records, until: now + RETRY, is_stale: true }
            }
        };
        if held.len() >= MAX_HELD
            && let Some(first) =
                held.iter().min_by_key(|(_, held)| held.until).map(|(first, _)| first.clone())
        {
            held.remove(&first);
        }
        let records = next.records.clone();
        held.insert(question.clone(), next);
        records
    }
}

/// Answers are kept here, so that the last good one is there when it is wanted.
fn bound(options: &mut ResolverOpts) {
    options.cache_size = 0;
    options.timeout = ATTEMPT;
    options.attempts = 2;
}

fn empty(question: &Question) -> Records {
    match question {
        Question::Naptr(_) => Records::Naptr(Vec::new()),
        Question::Srv(_) => Records::Srv(Vec::new()),
        Question::Address(_) => Records::Addresses(Vec::new()),
    }
}

/// The answer to a question, and how long it holds.
async fn ask(dns: &TokioResolver, question: &Question) -> Result<(Records, Duration), String> {
    match question {
        Question::Naptr(name) => {
            let (naptr, ttl) = lookup(dns, name, RecordType::NAPTR, naptr).await?;
            Ok((Records::Naptr(naptr), ttl))
        }
        Question::Srv(name) => {
            let (srv, ttl) = lookup(dns, name, RecordType::SRV, srv).await?;
            Ok((Records::Srv(srv), ttl))
        }
        Question::Address(name) => {
            let both = tokio::join!(
                lookup(dns, name, RecordType::A, address),
                lookup(dns, name, RecordType::AAAA, address),
            );
            let (addresses, ttl) = match both {
                // That one version has no addresses says nothing of how long the others hold.
                (Ok(four), Ok(six)) if six.0.is_empty() => four,
                (Ok(four), Ok(six)) if four.0.is_empty() => six,
                (Ok((mut four, ttl)), Ok((six, other))) => {
                    four.extend(six);
                    (four, ttl.min(other))
                }
                // One that fails beside one that knows nothing is a failure.
                (Ok(one), Err(error)) | (Err(error), Ok(one)) => {
                    if one.0.is_empty() {
                        return Err(error);
                    }
                    one
                }
                (Err(error), Err(_)) => return Err(error),
            };
            Ok((Records::Addresses(addresses), ttl))
        }
    }
}

/// The records of one type, and how long they hold. That there are none is an answer.
async fn lookup<T>(
    dns: &TokioResolver,
    name: &str,
    kind: RecordType,
    read: fn(&RData) -> Option<T>,
) -> Result<(Vec<T>, Duration), String> {
    // A name without a dot is one of the local network, whose domain the system knows.
    let is_local = !name.contains('.');
    let name = if is_local { name.to_owned() } else { format!("{name}.") };
    match dns.lookup(name, kind).await {
        Ok(found) => {
            let records: Vec<_> =
                found.answers().iter().filter_map(|record| Some((read(&record.data)?, record.ttl))).collect();
            let ttl = records.iter().map(|(_, ttl)| Duration::from_secs((*ttl).into())).min();
            let ttl = ttl.map_or(NEGATIVE_TTL, |ttl| ttl.clamp(SHORTEST_TTL, LONGEST_TTL));
            Ok((records.into_iter().map(|(record, _)| record).collect(), ttl))
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(_))) => Ok((Vec::new(), NEGATIVE_TTL)),
        Err(error) => Err(error.to_string()),
    }
}

fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = data else { return None };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Naptr {
        order: record.order,
        preference: record.preference,
        flags: text(&record.flags),
        service: text(&record.services),
        replacement: record.replacement.to_ascii(),
    })
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(record) = data else { return None };
    let target = record.target.to_ascii();
    Some(Srv { priority: record.priority, weight: record.weight, port: record.port, target })
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
