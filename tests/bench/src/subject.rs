//! What is measured: our relay and rtpengine, each a process pinned to one core, steered alike.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::measure::pin;
use crate::ng::{self, Value};

/// rtpengine is up by then.
const START_LIMIT: Duration = Duration::from_secs(10);
const NG: &str = "127.0.0.1:22222";

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Rtpengine,
}

/// What the calls do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Opus on both sides.
    Pass,
    /// PCMU on the plain side.
    Transcode,
}

/// A relay that runs.
pub(crate) enum Subject {
    Ours { child: Owned, commands: ChildStdin, answers: BufReader<ChildStdout> },
    Rtpengine { child: Owned, client: ng::Client, calls: u32 },
}

/// Ended with its owner.
pub(crate) struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Subject {
    /// Starts it on the first core; our own process goes back to the second.
    pub(crate) fn start(kind: Kind, complexity: Option<u8>, (core, ours): (usize, usize)) -> Result<Self> {
        // A child inherits where we may run.
        pin(core)?;
        let started = match kind {
            Kind::Ours => start_ours(complexity),
            Kind::Rtpengine => start_rtpengine(),
        };
        pin(ours)?;
        started
    }

    pub(crate) fn process(&self) -> u32 {
        match self {
            Self::Ours { child, .. } | Self::Rtpengine { child, .. } => child.0.id(),
        }
    }

    /// The plain side's offer; the offer to the WebRTC side.
    pub(crate) fn offer(&mut self, call: u32, sdp: &str, work: Work) -> Result<String> {
        match self {
            Self::Ours { .. } => self.ask(&format!("offer {call} {}", hex::encode(sdp))),
            Self::Rtpengine { client, calls, .. } => {
                *calls = (*calls).max(call + 1);
                let mut command = vec![
                    ("command", "offer".into()),
                    ("call-id", Value::Text(format!("call-{call}"))),
                    ("from-tag", "plain".into()),
                    ("sdp", sdp.into()),
                    ("transport-protocol", "UDP/TLS/RTP/SAVPF".into()),
                    ("ICE", "force".into()),
                    ("DTLS", "passive".into()),
                    ("SDES", Value::words(&["off"])),
                    ("rtcp-mux", Value::words(&["offer", "require"])),
                    ("flags", Value::words(&["trust-address"])),
                    ("replace", Value::words(&["origin"])),
                ];
                if work == Work::Transcode {
                    let codec = [("transcode", Value::words(&["opus"])), ("mask", Value::words(&["PCMU"]))];
                    command.push(("codec", Value::dictionary(&codec)));
                }
                let answer = client.ask(&command)?;
                ng::text(&answer, "sdp").map(str::to_owned).context("no description from rtpengine")
            }
        }
    }

    /// The WebRTC side's answer; the answer to the plain side.
    pub(crate) fn answer(&mut self, call: u32, sdp: &str) -> Result<String> {
        match self {
            Self::Ours { .. } => self.ask(&format!("answer {call} {}", hex::encode(sdp))),
            Self::Rtpengine { client, .. } => {
                let answer = client.ask(&[
                    ("command", "answer".into()),
                    ("call-id", Value::Text(format!("call-{call}"))),
                    ("from-tag", "plain".into()),
                    ("to-tag", "webrtc".into()),
                    ("sdp", sdp.into()),
                    ("transport-protocol", "RTP/AVP".into()),
                    ("ICE", "remove".into()),
                    ("rtcp-mux", Value::words(&["demux"])),
                    ("flags", Value::words(&["trust-address"])),
                ])?;
                ng::text(&answer, "sdp").map(str::to_owned).context("no description from rtpengine")
            }
        }
    }

    /// All calls are answered: sound may pass.
    pub(crate) fn open(&mut self) -> Result<()> {
        if let Self::Ours { .. } = self {
            ensure!(self.tell("open")? == "ok", "the relay does not open");
        }
        Ok(())
    }

    /// Ends all calls.
    pub(crate) fn close(&mut self) -> Result<()> {
        match self {
            Self::Ours { .. } => self.tell("close").map(drop),
            Self::Rtpengine { client, calls, .. } => {
                for call in 0..*calls {
                    client.ask(&[
                        ("command", "delete".into()),
                        ("call-id", Value::Text(format!("call-{call}"))),
                        ("from-tag", "plain".into()),
                        ("delete-delay", "0".into()),
                    ])?;
                }
                *calls = 0;
                Ok(())
            }
        }
    }

    fn ask(&mut self, command: &str) -> Result<String> {
        Ok(String::from_utf8(hex::decode(self.tell(command)?)?)?)
    }

    fn tell(&mut self, command: &str) -> Result<String> {
        let Self::Ours { commands, answers, .. } = self else { bail!("rtpengine takes no lines") };
        writeln!(commands, "{command}")?;
        let mut line = String::new();
        answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the relay is gone");
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

fn start_ours(complexity: Option<u8>) -> Result<Subject> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("relay")
        .args(complexity.map(|complexity| complexity.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let commands = child.stdin.take().context("its standard input")?;
    let answers = BufReader::new(child.stdout.take().context("its standard output")?);
    Ok(Subject::Ours { child: Owned(child), commands, answers })
}

/// In userspace: `--table=-1`. One worker thread, as it has one core.
fn start_rtpengine() -> Result<Subject> {
    let child = Command::new("rtpengine")
        .args(["--foreground", "--log-stderr", "--log-level=2", "--table=-1", "--num-threads=1"])
        .args(["--interface=127.0.0.1", "--port-min=30000", "--port-max=45000"])
        .args(["--timeout=600", "--silent-timeout=600", "--offer-timeout=600", "--delete-delay=0"])
        .arg(format!("--listen-ng={NG}"))
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("rtpengine does not start: install Debian's package rtpengine-daemon")?;
    let child = Owned(child);
    let mut client = ng::Client::new(NG.parse::<SocketAddr>()?)?;
    let up = Instant::now() + START_LIMIT;
    while client.ask(&[("command", "ping".into())]).is_err() {
        ensure!(Instant::now() < up, "rtpengine does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Subject::Rtpengine { child, client, calls: 0 })
}
