//! SIPp as a process, and what it saw.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use end_to_end::{PATIENCE, wait_for};
use tokio::process::{Child, Command};

/// When a scenario is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// By every `./x test`.
    Always,
    /// By `./x test full` alone: it waits out the timers of 32 s.
    Full,
}

/// Says on the real standard error, which the test runner does not hold back, what is not run and why.
pub(crate) fn skipped(scenario: &str, when: When) -> bool {
    let full = std::env::var("WA_BRIDGE_TESTS").is_ok_and(|form| form == "full");
    let reason = match when {
        When::Full if !full => "waits out timers of 32 s: ./x test full",
        _ if !is_installed() => "SIPp is not installed (Debian: sip-tester)",
        _ if !has_loopback_network() => "needs the whole of 127.0.0.0/8, as Linux has it",
        _ => return false,
    };
    // Nobody reads it where this cannot be written.
    let _ = writeln!(std::io::stderr(), "skipped: {scenario}: {reason}");
    true
}

fn is_installed() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    let run = || std::process::Command::new("sipp").arg("-v").stdout(Stdio::null()).status();
    *INSTALLED.get_or_init(|| run().is_ok())
}

fn has_loopback_network() -> bool {
    Path::new("/proc/net/udp").exists() && std::net::UdpSocket::bind("127.64.0.1:0").is_ok()
}

/// How SIPp runs a scenario.
pub(crate) struct Options {
    /// Its own address.
    pub(crate) local: SocketAddr,
    /// Where it sends its first request.
    pub(crate) remote: SocketAddr,
    /// Whom it dials.
    pub(crate) dialled: String,
    /// SIPp's words for the transport.
    pub(crate) transport: &'static str,
    /// Retransmissions are messages like all others, not left out.
    pub(crate) every_copy: bool,
    /// How long the whole may take.
    pub(crate) limit: Duration,
    /// What is not expected is passed over: where SIPp sends twice in a row, it may hear something between.
    pub(crate) lenient: bool,
    /// More of SIPp's own options.
    pub(crate) more: Vec<String>,
}

/// A scenario that runs; it is killed when this is dropped.
pub(crate) struct Sipp {
    process: Child,
    scenario: String,
    local: SocketAddr,
    messages: PathBuf,
    errors: PathBuf,
}

impl Sipp {
    pub(crate) fn start(scenario: &str, options: &Options, folder: &Path) -> Result<Self> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp").join(format!("{scenario}.xml"));
        let ip = options.local.ip().to_string();
        let [messages, errors] = ["messages", "errors"].map(|what| folder.join(format!("{scenario}.{what}")));
        let mut command = Command::new("sipp");
        command.arg(options.remote.to_string()).arg("-sf").arg(&file).args(["-s", &options.dialled]);
        command.args(["-i", &ip, "-mi", &ip, "-ci", &ip, "-bind_local", "-t", options.transport]);
        command.args(["-p", &options.local.port().to_string(), "-m", "1", "-nostdin", "-timeout_error"]);
        command.args(["-timeout", &format!("{}s", options.limit.as_secs())]);
        command.args(["-recv_timeout", &options.limit.as_millis().to_string()]);
        command.arg("-trace_msg").arg("-message_file").arg(&messages);
        command.arg("-trace_err").arg("-error_file").arg(&errors);
        if options.every_copy {
            command.arg("-nr");
        }
        if options.lenient {
            command.args(["-default_behaviors", "all,-abortunexp"]);
        }
        command.args(&options.more);
        command.env("TERM", "xterm").current_dir(folder).kill_on_drop(true).stdin(Stdio::null());
        let screen = File::create(folder.join(format!("{scenario}.screen")))?;
        command.stdout(screen.try_clone()?).stderr(screen);
        let process = command.spawn().context("sipp does not run")?;
        Ok(Self { process, scenario: scenario.to_owned(), local: options.local, messages, errors })
    }

    /// Waits until it takes calls.
    pub(crate) async fn listens(&self) -> Result<()> {
        wait_for("SIPp to listen", || is_bound(self.local)).await
    }

    /// Waits for its end: the messages, or what went wrong.
    pub(crate) async fn done(mut self, limit: Duration) -> Result<Vec<Message>> {
        let ended = tokio::time::timeout(limit + PATIENCE, self.process.wait()).await;
        let status = ended.with_context(|| format!("{} does not end", self.scenario))??;
        let text = fs::read(&self.messages).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        ensure!(status.success(), "{}", self.story(status, &text));
        let messages = Message::all(&text);
        if messages.is_empty() {
            bail!("{}: nothing was said", self.scenario);
        }
        Ok(messages)
    }

    fn story(&self, status: ExitStatus, messages: &str) -> String {
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        format!("{}.xml: {status}\n{errors}\nall messages:\n{messages}", self.scenario)
    }
}

/// Whether a socket is bound to the address, by the kernel's own list: trying to bind it would be in the way.
fn is_bound(address: SocketAddr) -> bool {
    let SocketAddr::V4(v4) = address else { return false };
    let ip = u32::from_ne_bytes(v4.ip().octets());
    let wanted = format!(" {ip:08X}:{:04X} ", v4.port());
    ["/proc/net/udp", "/proc/net/tcp"]
        .iter()
        .any(|list| fs::read_to_string(list).is_ok_and(|text| text.contains(&wanted)))
}

/// A message that SIPp sent or received.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Since midnight.
    pub(crate) at: Duration,
    /// By SIPp, not by the bridge.
    pub(crate) sent: bool,
    /// All of it.
    pub(crate) text: String,
}

impl Message {
    /// Reads SIPp's list of messages.
    fn all(text: &str) -> Vec<Self> {
        let rule = "-----------------------------------------------";
        text.split(rule).filter_map(Self::read).collect()
    }

    /// ` 2026-01-01 12:00:00.000000`, `UDP message sent (300 bytes):`, an empty line, the message.
    fn read(entry: &str) -> Option<Self> {
        let (first, rest) = entry.trim_start().split_once('\n')?;
        let (head, text) = rest.split_once("\n\n")?;
        let at = first.split_whitespace().find_map(time_of_day)?;
        Some(Self { at, sent: head.contains("sent"), text: text.trim_end_matches('\n').to_owned() })
    }

    /// The first line.
    pub(crate) fn start_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// Of the bridge, and with such a first line.
    pub(crate) fn came(&self, start: &str) -> bool {
        !self.sent && self.start_line().starts_with(start)
    }
}

/// What came from the bridge with such a first line.
pub(crate) fn came<'a>(messages: &'a [Message], start: &'a str) -> impl Iterator<Item = &'a Message> {
    messages.iter().filter(move |message| message.came(start))
}

/// `12:00:00.000000`
fn time_of_day(text: &str) -> Option<Duration> {
    let mut parts = text.split(':');
    let (hours, minutes) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.parse::<u64>().ok()?);
    let seconds = parts.next()?.parse::<f64>().ok()?;
    Some(Duration::from_secs(hours * 3600 + minutes * 60) + Duration::from_secs_f64(seconds))
}

/// The times of these messages after the first of them.
pub(crate) fn times<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<Duration> {
    let at: Vec<_> = messages.into_iter().map(|message| message.at).collect();
    let first = at.first().copied().unwrap_or_default();
    // A run over midnight begins the clock anew.
    let day = Duration::from_secs(24 * 3600);
    at.into_iter().map(|at| if at < first { at + day - first } else { at - first }).collect()
}
