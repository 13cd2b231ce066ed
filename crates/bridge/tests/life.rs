//! The life of the program: its reloads, its drain and its end, by signals and by its file.
#![expect(clippy::disallowed_methods, reason = "another process is waited for by the clock")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A trunk of nobody who asks here.
const OTHER: &str = "[[trunk]]\nname = \"other\"\nsources = [\"127.0.0.9\"]\ntarget = \"127.0.0.9:5099\"\n\
                     health = { interval_s = 0 }\n";
/// A trunk of who asks from 127.0.0.1.
const OURS: &str = "[[trunk]]\nname = \"ours\"\nsources = [\"127.0.0.1\"]\ntarget = \"127.0.0.1:5099\"\n\
                    health = { interval_s = 0 }\n";

fn file(graph: &str, trunks: &str, more: &str) -> String {
    format!(
        r#"
[sip]
bind = "127.0.0.1:0"
[media.pbx]
bind = "127.0.0.1"
ports = "10000-10999"
[media.whatsapp]
bind = "127.0.0.1"
ports = "11000-11999"
[graph]
url = "{graph}"
[webhook]
listen = "127.0.0.1:0"
app_secret = {{ env = "WA_SECRET" }}
verify_token = {{ env = "WA_SECRET" }}
[admin]
listen = "127.0.0.1:0"
[journal]
path = "calls.redb"
{trunks}
[[number]]
phone_number_id = "1"
display = "+15550000001"
token = {{ env = "WA_SECRET" }}
trunk = "other"
{more}"#
    )
}

/// The program, running.
struct Program {
    child: Child,
    lines: Receiver<String>,
    sip: SocketAddr,
    admin: SocketAddr,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Program {
    fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("wa-bridge.toml");
        fs::write(&file, text).expect("written");
        let mut program = Command::new(env!("CARGO_BIN_EXE_wa-bridge"));
        program
            .arg("run")
            .arg("--config")
            .arg(&file)
            .env_remove("RUST_LOG")
            .env("WA_SECRET", "secret")
            .env("NO_COLOR", "1");
        let mut child = program.stdout(Stdio::piped()).spawn().expect("it starts");
        let log = BufReader::new(child.stdout.take().expect("its log"));
        let (sender, lines) = channel();
        std::thread::Builder::new()
            .spawn(move || log.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)))
            .expect("a thread");
        let ready = until(&lines, "ready");
        let address = |name: &str| {
            let found = ready.split_whitespace().find_map(|word| word.strip_prefix(name));
            found.expect("in the line").parse().expect("an address")
        };
        Self { child, sip: address("sip="), admin: address("admin="), lines, file, _folder: folder }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    }

    fn says(&self, what: &str) -> String {
        until(&self.lines, what)
    }

    /// Until a call of the PBX has begun.
    fn has_a_call(&self) {
        self.says("call from the PBX");
        let limit = Instant::now() + PATIENCE;
        let calls = "wa_bridge_calls{direction=\"sip_to_wa\",state=\"setting_up\"} 1";
        // The line comes a moment before the call is one that a drain waits for.
        while !self.get("/metrics").contains(calls) {
            assert!(Instant::now() < limit, "{}", self.get("/metrics"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn write(&self, text: &str) {
        fs::write(&self.file, text).expect("written");
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).expect("the admin listener");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n").expect("asked");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    /// The exit code, and how long it took.
    fn ended(&mut self) -> (Option<i32>, Duration) {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a state") {
                return (status.code(), since.elapsed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Of a test that has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(lines: &Receiver<String>, what: &str) -> String {
    let limit = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    while let Ok(line) = lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
        if line.contains(what) {
            return line;
        }
        said.push(line);
    }
    panic!("no line with {what:?}: {said:#?}");
}

/// A SIP peer.
struct Peer(UdpSocket);

impl Peer {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(Duration::from_secs(1))).expect("set");
        Self(socket)
    }

    fn send(&self, to: SocketAddr, method: &str, branch: &str, more: &str) {
        let own = self.0.local_addr().expect("its address");
        let request = format!(
            "{method} sip:+4915112345678@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:100@{own}>;tag=pbx\r\nTo: <sip:+4915112345678@{to}>\r\n\
             Call-ID: {branch}\r\nCSeq: 1 {method}\r\nContact: <sip:100@{own}>\r\n{more}"
        );
        self.0.send_to(request.as_bytes(), to).expect("sent");
    }

    /// The next response; none within a second.
    fn response(&self) -> Option<String> {
        let mut buffer = [0; 4000];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// The final response to a request with this method and branch.
    fn final_response(&self, branch: &str) -> Option<String> {
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            match self.response() {
                Some(text)
                    if text.starts_with("SIP/2.0 1") || !text.contains(&format!("z9hG4bK{branch};")) => {}
                other => return other,
            }
        }
        None
    }

    fn options(&self, to: SocketAddr, branch: &str) -> Option<String> {
        self.send(to, "OPTIONS", branch, "Content-Length: 0\r\n\r\n");
        self.final_response(branch)
    }

    fn invite(&self, to: SocketAddr, branch: &str) {
        let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\n";
        let length = sdp.len();
        let more = format!("Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{sdp}");
        self.send(to, "INVITE", branch, &more);
    }
}

fn is(response: Option<&String>, status: u16) -> bool {
    response.is_some_and(|text| text.starts_with(&format!("SIP/2.0 {status} ")))
}

/// A Graph API that takes requests and says nothing.
fn mute_graph() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    (listener, url)
}

#[test]
fn sighup_adds_a_trunk_and_a_broken_file_leaves_it_in_force() {
    let (peer, graph) = (Peer::new(), "http://127.0.0.1:9");
    let program = Program::start(&file(graph, OTHER, "[life]\nwatch = false"));
    assert_eq!(peer.options(program.sip, "stranger"), None, "a stranger is met with silence");

    let both = format!("{OTHER}{OURS}");
    program.write(&file(graph, &both, "[life]\nwatch = false"));
    program.signal("-HUP");
    let said = program.says("the configuration was loaded again");
    assert!(said.contains("trunk[ours].sources") && !said.contains("127.0.0.1"), "names, no values: {said}");
    assert!(is(peer.options(program.sip, "known").as_ref(), 200));

    let broken = file(graph, &both, "[life]\nwach = false");
    program.write(&broken);
    program.signal("-HUP");
    program.says("the old one stays in force");
    let ready = program.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("alarm configuration"), "{ready}");
    let line = 1 + broken.lines().position(|line| line.starts_with("wach")).expect("the line");
    let complaint = format!("wa-bridge.toml:{line}: life.wach: unknown key; did you mean \"watch\"?");
    assert!(ready.contains(&complaint), "{ready}");
    assert!(is(peer.options(program.sip, "still").as_ref(), 200), "the old one is in force");

    let moved = file(graph, OTHER, "[life]\nwatch = false").replace("[admin]\nlisten = \"127.0.0.1:0\"", "");
    program.write(&moved);
    program.signal("-HUP");
    let said = program.says("these keys need a restart");
    assert!(said.contains("admin.listen"), "{said}");
    program.says("the alarm is over");
    assert!(!program.get("/readyz").contains("alarm"), "the admin listener is where it was");
}

#[test]
fn a_changed_file_is_loaded_by_itself_and_sets_the_level_of_the_log() {
    let (peer, graph) = (Peer::new(), "http://127.0.0.1:9");
    let program = Program::start(&file(graph, OTHER, ""));
    let both = format!("{OTHER}{OURS}");
    program.write(&file(graph, &both, "[log]\nlevel = \"debug\""));
    program.says("the configuration was loaded again");
    assert!(is(peer.options(program.sip, "known").as_ref(), 200));
    fs::remove_file(&program.file).expect("removed");
    program.says("the old one stays in force");
    assert!(program.get("/readyz").contains("cannot be read"));
    program.write(&file(graph, &both, "[log]\nlevel = \"error\""));
    let limit = Instant::now() + PATIENCE;
    while program.get("/readyz").contains("alarm") {
        assert!(Instant::now() < limit, "the alarm is not over");
        std::thread::sleep(Duration::from_millis(100));
    }
    program.signal("-HUP");
    // Nothing can be waited for: what is looked for is silence.
    std::thread::sleep(Duration::from_millis(500));
    let said: Vec<String> = program.lines.try_iter().collect();
    assert!(said.iter().all(|line| !line.contains("loaded again")), "the level is error: {said:?}");
}

#[test]
fn sigterm_with_a_call_ringing_drains_and_a_second_one_ends_it_at_once() {
    let (_graph, url) = mute_graph();
    let peer = Peer::new();
    let trunks = format!("{OTHER}{OURS}").replace("\"other\"", "\"x\"").replace("\"ours\"", "\"other\"");
    let mut program = Program::start(&file(&url, &trunks, "[life]\ndrain_limit_s = 3600"));
    peer.invite(program.sip, "first");
    program.has_a_call();

    program.signal("-TERM");
    program.says("draining");
    let ready = program.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("draining"), "{ready}");
    let refused = peer.options(program.sip, "options");
    assert!(is(refused.as_ref(), 503), "{refused:?}");
    peer.invite(program.sip, "second");
    let refused = peer.final_response("second");
    assert!(is(refused.as_ref(), 503) && refused.is_some_and(|text| text.contains("\r\nRetry-After: ")));
    assert!(program.child.try_wait().expect("a state").is_none(), "the first call may live on");

    program.signal("-INT");
    let ended = peer.final_response("first");
    assert!(is(ended.as_ref(), 503), "{ended:?}");
    // WhatsApp never says what became of the call, and nobody waits for it.
    let (code, took) = program.ended();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn the_limit_of_the_drain_ends_what_is_left_and_the_exit_code_is_0() {
    let (_graph, url) = mute_graph();
    let peer = Peer::new();
    let trunks = format!("{OTHER}{OURS}").replace("\"other\"", "\"x\"").replace("\"ours\"", "\"other\"");
    let mut program = Program::start(&file(&url, &trunks, "[life]\ndrain_limit_s = 1"));
    peer.invite(program.sip, "first");
    program.has_a_call();
    program.signal("-TERM");
    program.says("the limit on draining is reached");
    let ended = peer.final_response("first");
    assert!(is(ended.as_ref(), 503), "{ended:?}");
    assert_eq!(program.ended().0, Some(0));
}

#[test]
fn without_a_call_sigterm_ends_the_program_at_once() {
    let mut program = Program::start(&file("http://127.0.0.1:9", OTHER, ""));
    program.signal("-TERM");
    let (code, took) = program.ended();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}
