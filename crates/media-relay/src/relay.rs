//! The relay: the worker threads, the ports of both sides, our certificate.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use aws_lc_rs::rand;

use crate::complexity::Complexity;
use crate::event::MediaEvent;
use crate::options::SessionOptions;
use crate::path::{AudioPath, LineSeed, PathConfig};
use crate::peer::{Credentials, Identity, WhatsAppPeer};
use crate::ports::PortPool;
use crate::quality::CallQuality;
use crate::rtp::report::Reports;
use crate::sdp::crypto::Keys;
use crate::sdp::whatsapp;
use crate::session::AudioSession;
use crate::side::{Side, WhatsAppSide};
use crate::tap::Wire;
use crate::worker::{
    self, BindError, Call, CallReports, Command, MediaSocket, QualityCell, RelayCounters, Sockets,
    WorkerHandle,
};

/// What a relay needs to know.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Towards the PBX.
    pub pbx: Side,
    /// Towards WhatsApp.
    pub whatsapp: WhatsAppSide,
    /// Worker threads; 0 is one per core.
    pub workers: usize,
    /// libopus's effort where sound is transcoded.
    pub opus_complexity: Complexity,
    /// How long a port rests before the next call gets it.
    pub port_rest: Duration,
}

impl RelayConfig {
    /// How long a port rests unless the configuration says otherwise.
    pub const DEFAULT_PORT_REST: Duration = Duration::from_secs(10);
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The PBX side's range holds no even port with its odd neighbour.
    #[error("no pair of an even and an odd port in {0:?}")]
    NoPortPair(RangeInclusive<u16>),
    /// The WhatsApp side's range is empty.
    #[error("no port in {0:?}")]
    NoPort(RangeInclusive<u16>),
    /// No certificate for DTLS could be made.
    #[error("no DTLS certificate: {0}")]
    Certificate(String),
    /// A worker thread did not start.
    #[error("media worker: {0}")]
    Worker(#[from] io::Error),
}

/// Why there is no audio path for a call.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Every port is taken or resting: the ranges are too small for the load.
    #[error("no media port is free")]
    NoPort,
    /// The process may open no more files.
    #[error("no file descriptor is free")]
    NoDescriptor,
    /// The address cannot be bound.
    #[error("cannot bind {0}: {1}")]
    Bind(IpAddr, io::Error),
    /// The system gives no random numbers.
    #[error("no random numbers")]
    NoRandom,
    /// The relay has stopped.
    #[error("the relay has stopped")]
    Stopped,
}

/// All audio paths. When the last clone is dropped, the workers close every
/// path that is left, and stop.
#[derive(Clone)]
pub struct Relay(Arc<Inner>);

struct Inner {
    pbx: Side,
    whatsapp: WhatsAppSide,
    pbx_ports: Arc<PortPool>,
    whatsapp_ports: Arc<PortPool>,
    identity: Arc<Identity>,
    opus_complexity: Complexity,
    workers: Vec<WorkerHandle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next_id: AtomicU64,
    qualities: Mutex<Qualities>,
}

/// The figures of the open paths.
#[derive(Default)]
struct Qualities {
    cells: Vec<Weak<QualityCell>>,
    /// With so many the closed ones are taken out: twice as many as were open then.
    full: usize,
}

impl Qualities {
    fn add(&mut self, cell: &Arc<QualityCell>) {
        if self.cells.len() >= self.full {
            self.clear();
            self.full = 2 * self.cells.len().max(32);
        }
        self.cells.push(Arc::downgrade(cell));
    }

    fn clear(&mut self) {
        self.cells.retain(|cell| cell.strong_count() > 0);
    }
}

impl Relay {
    /// Starts the workers.
    pub fn start(config: RelayConfig) -> Result<Self, StartError> {
        let pbx_ports = PortPool::pairs(&config.pbx.ports, config.port_rest);
        if pbx_ports.len() == 0 {
            return Err(StartError::NoPortPair(config.pbx.ports));
        }
        let whatsapp_ports = PortPool::single(&config.whatsapp.ports, config.port_rest);
        if whatsapp_ports.len() == 0 {
            return Err(StartError::NoPort(config.whatsapp.ports));
        }
        let identity = Identity::generate().map_err(StartError::Certificate)?;
        let count = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let mut inner = Inner {
            pbx: config.pbx,
            whatsapp: config.whatsapp.of_this_machine(),
            pbx_ports,
            whatsapp_ports,
            identity: Arc::new(identity),
            opus_complexity: config.opus_complexity,
            workers: Vec::with_capacity(count),
            threads: Mutex::default(),
            next_id: AtomicU64::new(1),
            qualities: Mutex::default(),
        };
        for number in 0..count {
            // Should one not start, dropping `inner` stops those before it.
            let (handle, thread) = worker::start(number)?;
            inner.workers.push(handle);
            inner.threads().push(thread);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Binds the sockets of a call and draws its credentials. `events` is
    /// called on the worker: it must be quick and must not block.
    pub fn open(
        &self,
        options: &SessionOptions,
        events: Box<dyn FnMut(MediaEvent) + Send>,
    ) -> Result<AudioSession, OpenError> {
        let inner = &*self.0;
        let (pbx, pbx_rtcp) =
            opened(inner.pbx.bind, MediaSocket::bind_pair(&inner.pbx_ports, inner.pbx.bind))?;
        let whatsapp = inner.whatsapp.bind;
        let whatsapp = opened(whatsapp, MediaSocket::bind(&inner.whatsapp_ports, whatsapp))?;
        let credentials = Credentials::draw().map_err(|_| OpenError::NoRandom)?;
        let (to_whatsapp, to_pbx) = (line_seed()?, line_seed()?);

        let locals = inner.whatsapp.locals(whatsapp.port());
        let description = whatsapp::Local {
            candidates: inner.whatsapp.candidates(whatsapp.port()),
            keying: options.keying,
            ufrag: credentials.ufrag.clone(),
            pwd: credentials.pwd.clone(),
            fingerprint: inner.identity.fingerprint(),
            keys: Keys::new(random()?),
            codecs: options.whatsapp_codecs(),
            session_id: u64::from_be_bytes(random()?),
            ssrc: to_whatsapp.ssrc,
            cname: hex::encode(random::<8>()?),
        };
        let pbx_address = SocketAddr::new(inner.pbx.advertised, pbx.port());
        let peer = WhatsAppPeer::new(Arc::clone(&inner.identity), locals, credentials);
        let path = AudioPath::new(PathConfig {
            to_whatsapp,
            to_pbx,
            opus_complexity: inner.opus_complexity,
            options: options.clone(),
        });
        let quality = Arc::new(QualityCell::default());
        let reports = |ssrc, cname| Ok(Reports::new(ssrc, cname, u64::from_be_bytes(random()?)));
        let reports = CallReports::new(
            reports(to_pbx.ssrc, hex::encode(random::<8>()?))?,
            reports(to_whatsapp.ssrc, description.cname.clone())?,
            Arc::clone(&quality),
        );
        let sockets = Sockets { pbx, pbx_rtcp, whatsapp };
        let mut call = Box::new(Call::new(sockets, peer, path, reports, events));
        if let (Some(tap), Some(ours)) = (&options.tap, description.candidates.first()) {
            call.wire = Some(Box::new(Wire::new(tap.clone(), pbx_address, *ours)));
        }
        let id = inner.next_id.fetch_add(1, Relaxed);
        let worker = self.hand_over(id, call)?;
        inner.qualities.lock().unwrap_or_else(PoisonError::into_inner).add(&quality);
        Ok(AudioSession { id, worker, whatsapp: description, pbx: pbx_address, quality })
    }

    /// How well each open path is heard, as of its last whole second.
    pub fn qualities(&self) -> Vec<CallQuality> {
        let mut qualities = self.0.qualities.lock().unwrap_or_else(PoisonError::into_inner);
        qualities.clear();
        qualities.cells.iter().filter_map(|cell| Some(cell.upgrade()?.read())).collect()
    }

    /// What all workers have counted.
    pub fn counters(&self) -> RelayCounters {
        let mut totals = RelayCounters::default();
        for worker in &self.0.workers {
            worker.add_counters(&mut totals);
        }
        totals
    }

    /// Gives the call to the worker with the fewest.
    fn hand_over(&self, id: u64, call: Box<Call>) -> Result<WorkerHandle, OpenError> {
        let workers = self.0.workers.iter();
        let worker = workers.min_by_key(|worker| worker.load().load(Relaxed)).ok_or(OpenError::Stopped)?;
        worker.load().fetch_add(1, Relaxed);
        if !worker.send(Command::Open(id, call)) {
            return Err(OpenError::Stopped);
        }
        Ok(worker.clone())
    }
}

impl Inner {
    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.send(Command::Stop);
        }
        let here = std::thread::current().id();
        for thread in self.threads().drain(..) {
            // The last clone may be dropped by an event callback, on a worker.
            if thread.thread().id() != here && thread.join().is_err() {
                tracing::error!("a media worker had panicked");
            }
        }
    }
}

fn opened<T>(ip: IpAddr, bound: Result<T, BindError>) -> Result<T, OpenError> {
    bound.map_err(|error| match error {
        BindError::NoPort => OpenError::NoPort,
        BindError::Io(error) if is_exhausted(&error) => OpenError::NoDescriptor,
        BindError::Io(error) => OpenError::Bind(ip, error),
    })
}

/// EMFILE or ENFILE, which `io::ErrorKind` has no name for.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

fn random<const N: usize>() -> Result<[u8; N], OpenError> {
    let mut octets = [0; N];
    rand::fill(&mut octets).map_err(|_| OpenError::NoRandom)?;
    Ok(octets)
}

fn line_seed() -> Result<LineSeed, OpenError> {
    let [a, b, c, d, e, f, g, h, i, j] = random()?;
    Ok(LineSeed {
        ssrc: u32::from_be_bytes([a, b, c, d]),
        // The lower half: a receiver that misses the first packets still
        // guesses the rollover counter right (RFC 3711 3.3.1).
        sequence: u16::from_be_bytes([e, f]) & 0x7FFF,
        timestamp: u32::from_be_bytes([g, h, i, j]),
    })
}
