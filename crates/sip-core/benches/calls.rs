//! How many calls a core carries, and what an idle dialog weighs.
//!
//! SIPp calls our endpoint over loopback UDP (INVITE, 180, 200, ACK, BYE), and SIPp's own UAS after it, so that both are
//! measured in the same minute on the same machine. What counts is the processor time of the called side: the caller
//! shares the machine. `./x bench` runs it.

use std::net::SocketAddr;
use std::process::{Child, Command as Process, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_core::{
    Command, Endpoint, EndpointConfig, Event, Flow, Input, LegEvent, Listener, Notice, Output, Reply,
    SipConfig, Timers, Transport, TrunkId, bind,
};

/// Calls of one run.
const CALLS: u32 = 30_000;
/// New calls per second that SIPp makes.
const RATE: u32 = 3000;
/// Calls at a time.
const AT_ONCE: u32 = 2000;
/// Dialogs that are weighed.
const DIALOGS: u32 = 10_000;
/// The called side is up by then.
const START_LIMIT: Duration = Duration::from_secs(20);
/// The kernel counts processor time in these (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, serve, port] = &arguments[..]
        && serve == "serve"
    {
        serve_calls(port.parse().expect("a port"));
        return ExitCode::SUCCESS;
    }
    println!("memory of an idle dialog: {:.1} KiB ({DIALOGS} dialogs)", idle_dialog() / 1024.0);
    if Process::new("sipp").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("sipp is missing: install the package sip-tester");
        return ExitCode::FAILURE;
    }
    let program = std::env::current_exe().expect("our own path");
    let (ours, theirs) = (free_port(), free_port());
    let mut endpoint = Process::new(program);
    endpoint.args(["serve", &ours.to_string()]);
    let mut sipp = Process::new("sipp");
    sipp.args(["-sn", "uas", "-i", "127.0.0.1", "-p", &theirs.to_string(), "-nostdin"]);
    println!("\n{CALLS} calls from SIPp over loopback UDP, {RATE} new ones a second:");
    println!(
        "{:<22}{:>10}{:>10}{:>12}{:>10}{:>20}",
        "called side", "good", "failed", "calls/s", "CPU s", "calls/s of a core"
    );
    for (name, mut called, port) in [("sip-core's endpoint", endpoint, ours), ("SIPp's UAS", sipp, theirs)] {
        called.stdout(Stdio::null()).stderr(Stdio::null());
        match run(&mut called, port) {
            Some(row) => println!(
                "{name:<22}{:>10}{:>10}{:>12.0}{:>10.2}{:>20.0}",
                row.good,
                CALLS - row.good,
                f64::from(row.good) / row.wall.as_secs_f64(),
                row.cpu,
                f64::from(row.good) / row.cpu
            ),
            None => println!("{name:<22}SIPp could not call it"),
        }
    }
    ExitCode::SUCCESS
}

struct Row {
    /// Calls that went as they should.
    good: u32,
    wall: Duration,
    /// Seconds of processor time of the called side.
    cpu: f64,
}

/// Ended with its owner.
struct Called(Child);

impl Drop for Called {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn run(called: &mut Process, port: u16) -> Option<Row> {
    let called = Called(called.spawn().ok()?);
    let target = format!("127.0.0.1:{port}");
    // One call first: the called side is up when it succeeds.
    let up = Instant::now() + START_LIMIT;
    while call(&target, 1, 1) != Some(1) {
        if Instant::now() > up {
            return None;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let (before, start) = (cpu(called.0.id())?, Instant::now());
    let good = call(&target, CALLS, RATE)?;
    let wall = start.elapsed();
    let cpu = cpu(called.0.id())? - before;
    Some(Row { good, wall, cpu })
}

/// Has SIPp make calls; how many of them went as they should.
fn call(target: &str, calls: u32, rate: u32) -> Option<u32> {
    let file = std::env::temp_dir().join(format!("sipp-{}.csv", std::process::id()));
    Process::new("sipp")
        .args(["-sn", "uac", target, "-i", "127.0.0.1", "-nostdin", "-timeout", "120", "-trace_stat"])
        .args(["-m", &calls.to_string(), "-r", &rate.to_string(), "-l", &AT_ONCE.to_string()])
        .arg("-stf")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    let table = std::fs::read_to_string(&file).ok()?;
    let _ = std::fs::remove_file(&file);
    let column = table.lines().next()?.split(';').position(|name| name == "SuccessfulCall(C)")?;
    table.lines().last()?.split(';').nth(column)?.parse().ok()
}

/// Seconds of processor time of a process so far.
fn cpu(process: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything; what follows its bracket is in fields: utime and stime are the 12th and 13th.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.local_addr().expect("its address").port()
}

/// Answers every call, on one thread.
fn serve_calls(port: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        let listeners = vec![Listener::new(Transport::Udp, local)];
        let config = SipConfig::new(listeners, [1; 32], Arc::new(|_| Some(TrunkId(0))));
        let (sip, mut events, driver) = bind(config).await.expect("the port is free");
        let answer = async {
            while let Some(notice) = events.recv().await {
                if let Notice::Leg(LegEvent { leg, event: Event::Invite { .. } }) = notice {
                    sip.send(Command::Respond { leg, reply: Reply::new(180) }).await;
                    sip.send(Command::Respond { leg, reply: Reply::new(200) }).await;
                }
            }
        };
        tokio::select! {
            _ = driver.run() => {}
            () = answer => {}
        }
    });
}

/// Bytes of resident memory that one confirmed dialog takes once its transactions are over.
#[expect(clippy::disallowed_methods, reason = "virtual time must begin somewhere")]
fn idle_dialog() -> f64 {
    let local = "192.0.2.2:5060".parse().expect("an address");
    let mut endpoint = Endpoint::new(EndpointConfig {
        listeners: vec![Listener::new(Transport::Udp, local)],
        trunks: Vec::new(),
        user_agent: "bench".to_owned(),
        seed: [1; 32],
        timers: Timers::default(),
        record: false,
    });
    let mut now = Instant::now();
    let before = resident();
    for call in 0..DIALOGS {
        let (_, tag) =
            input(&mut endpoint, now, Input::Datagram { flow: peer(), bytes: &message("INVITE", call, "") });
        assert!(tag.is_none());
        let leg = sip_core::LegId(u64::from(call) * 2 + 1);
        let reply = Reply { body: Some(sdp()), ..Reply::new(200) };
        let (_, tag) = input(&mut endpoint, now, Input::Command(Command::Respond { leg, reply }));
        let ack = message("ACK", call, &format!(";tag={}", tag.expect("our tag")));
        input(&mut endpoint, now, Input::Datagram { flow: peer(), bytes: &ack });
    }
    now += Duration::from_secs(60);
    endpoint.handle(now, Input::Timeout);
    assert_eq!(endpoint.load().legs, DIALOGS as usize);
    assert_eq!(endpoint.load().transactions, 0);
    (resident() - before) / f64::from(DIALOGS)
}

fn peer() -> Flow {
    Flow::udp("192.0.2.1:5060".parse().expect("an address"))
}

fn sdp() -> sip_core::Body {
    sip_core::Body { content_type: "application/sdp".to_owned(), bytes: "v=0\r\n".into() }
}

/// Gives one input; how much was sent, and the To tag of the last response.
fn input(endpoint: &mut Endpoint, now: Instant, input: Input<'_>) -> (usize, Option<String>) {
    endpoint.handle(now, input);
    let (mut sent, mut tag) = (0, None);
    while let Some(output) = endpoint.poll() {
        if let Output::Send { bytes, .. } = output {
            sent += 1;
            if let Ok(sip_core::Message::Response(response)) = sip_core::message::parse::datagram(&bytes) {
                tag = response.headers.to().and_then(|to| to.tag().map(str::to_owned));
            }
        }
    }
    (sent, tag)
}

fn message(method: &str, call: u32, to_tag: &str) -> Vec<u8> {
    format!(
        "{method} sip:+4915112345678@192.0.2.2 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{method}{call};rport\r\nMax-Forwards: 70\r\n\
         From: \"Reception\" <sip:1001@192.0.2.1>;tag=peer{call}\r\nTo: <sip:+4915112345678@192.0.2.2>{to_tag}\r\n\
         Call-ID: 0123456789abcdef0123456789abcdef-{call}@192.0.2.1\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:1001@192.0.2.1:5060>\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )
    .into_bytes()
}

/// Resident memory of this process, in bytes.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096.0
}
