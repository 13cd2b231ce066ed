//! The load: so many calls, a packet every 20 ms from each side of each. One thread; it sleeps only when nothing is
//! due, and it tells how late it was.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::end::{End, RTP_HEADER, Side};
use crate::measure::{cpu_ms, percentile_ms, resident_kb};
use crate::peer::{Identity, Peer, State, address, opus_number};
use crate::socket::{Arrival, BATCH, Inbox, bind, now_ns};
use crate::sound::{Track, Voice};
use crate::subject::{Subject, Work};

const FRAME: Duration = Duration::from_millis(20);
/// Octets of an Opus payload that is passed through.
const PAYLOAD: usize = 60;
/// Its first octet: one frame of 20 ms, SILK, wide band, mono (RFC 6716 3.1).
const TOC: u8 = 0x48;
/// Calls whose sound is recorded where it is transcoded.
const PROBES: usize = 5;
/// Calls that are set up at a time.
const AT_ONCE: usize = 16;
const SETUP_LIMIT: Duration = Duration::from_secs(60);
/// From the first packet until measuring begins.
const WARM_UP: Duration = Duration::from_secs(2);
/// Until what is under way has come.
const DRAIN: Duration = Duration::from_millis(500);
/// Sends in a row before the sockets are read.
const BURST: usize = 32;
/// The payload type of Opus in our offers.
const PLAIN_OPUS: u8 = 96;

/// What a run has shown.
pub(crate) struct Outcome {
    pub(crate) calls: usize,
    /// Milliseconds of processor time per second of a call.
    pub(crate) cpu: f64,
    /// The same for setting one up.
    pub(crate) setup: f64,
    pub(crate) kb_per_call: f64,
    pub(crate) to_plain: Delay,
    pub(crate) to_webrtc: Delay,
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    /// How late the generator sent, 99th percentile in milliseconds.
    pub(crate) late: f64,
    /// Of a core, the generator's own.
    pub(crate) generator: f64,
    pub(crate) profile: String,
}

/// Milliseconds from just before a packet is sent to the kernel's stamp on what came of it.
pub(crate) struct Delay {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Delay {
    fn of(nanoseconds: &mut [u64]) -> Self {
        Self { p50: percentile_ms(nanoseconds, 0.5), p99: percentile_ms(nanoseconds, 0.99) }
    }
}

struct Call {
    peer: Peer,
    plain: End,
    webrtc: End,
}

#[derive(Default)]
struct Tally {
    delays: Vec<u64>,
    sent: u64,
    came: u64,
}

pub(crate) struct Load {
    identity: Identity,
    work: Work,
    voice: Option<Voice>,
    plain: UdpSocket,
    webrtc: UdpSocket,
    calls: Vec<Call>,
    /// The call behind a port of the relay.
    by_port: Vec<u32>,
    to_plain: Tally,
    to_webrtc: Tally,
    late: Vec<u64>,
    measuring: bool,
    inbox: Inbox,
}

impl Load {
    pub(crate) fn new(work: Work) -> Result<Self> {
        Ok(Self {
            identity: Identity::generate()?,
            work,
            voice: if work == Work::Transcode { Some(Voice::new()?) } else { None },
            plain: bind()?,
            webrtc: bind()?,
            calls: Vec::new(),
            by_port: vec![u32::MAX; 1 << 16],
            to_plain: Tally::default(),
            to_webrtc: Tally::default(),
            late: Vec::new(),
            measuring: false,
            inbox: Inbox::new(),
        })
    }

    /// Sets `count` calls up, lets them talk for `span`, and ends them.
    pub(crate) fn run(mut self, subject: &mut Subject, count: usize, span: Duration) -> Result<Outcome> {
        let process = subject.process();
        let (idle, before) = (resident_kb(process)?, cpu_ms(process)?);
        self.set_up(subject, count)?;
        let setup = (cpu_ms(process)? - before) / count as f64;
        subject.open()?;
        let (cpu, generator) = self.talk(process, span)?;
        let kb_per_call = (resident_kb(process)? - idle) / count as f64;
        subject.close()?;
        let lost = self.lost();
        let (mut to_plain, mut to_webrtc) = self.delays()?;
        let profile = self.calls.first().and_then(|call| call.peer.profile.clone());
        Ok(Outcome {
            calls: count,
            cpu: cpu / (count as f64 * span.as_secs_f64()),
            setup,
            kb_per_call,
            to_plain: Delay::of(&mut to_plain),
            to_webrtc: Delay::of(&mut to_webrtc),
            sent: self.to_plain.sent + self.to_webrtc.sent,
            lost,
            late: percentile_ms(&mut self.late, 0.99),
            generator,
            profile: profile.unwrap_or_default(),
        })
    }

    fn set_up(&mut self, subject: &mut Subject, count: usize) -> Result<()> {
        let limit = Instant::now() + SETUP_LIMIT;
        while self.calls.len() < count || self.waiting() > 0 {
            ensure!(Instant::now() < limit, "{} calls are not set up", self.waiting());
            if self.calls.len() < count && self.waiting() < AT_ONCE {
                self.begin(subject)?;
            }
            self.receive(Side::WebRtc)?;
            self.retransmit()?;
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Those set up last are those that may not be up.
    fn waiting(&self) -> usize {
        self.calls.iter().rev().take(2 * AT_ONCE).filter(|call| !call.peer.is_up()).count()
    }

    fn begin(&mut self, subject: &mut Subject) -> Result<()> {
        let number = self.calls.len() as u32;
        let offer = plain_offer(self.plain.local_addr()?, self.work);
        let theirs = subject.offer(number, &offer, self.work)?;
        let ssrc = 0x5000_0000 + number;
        let answer = self.identity.answer(self.webrtc.local_addr()?, &theirs, ssrc)?;
        // Its checks may come before its answer.
        let webrtc_to = address(&theirs)?;
        self.by_port[usize::from(webrtc_to.port())] = number;
        let webrtc = End::new(webrtc_to, opus_number(&theirs).context("no Opus")?, ssrc);
        let plain_type = if self.work == Work::Pass { PLAIN_OPUS } else { 0 };
        let plain = End::new(webrtc_to, plain_type, 0x4000_0000 + number);
        self.calls.push(Call { peer: Peer::new(), plain, webrtc });
        let answered = subject.answer(number, &answer)?;
        let plain_to = address(&answered)?;
        self.by_port[usize::from(plain_to.port())] = number;
        let probed = self.voice.is_some() && (number as usize) < PROBES;
        if let Some(call) = self.calls.last_mut() {
            call.plain.to = plain_to;
            call.plain.track = probed.then(Track::default);
            call.webrtc.track = probed.then(Track::default);
        }
        Ok(())
    }

    fn retransmit(&mut self) -> Result<()> {
        let now = Instant::now();
        let socket = &self.webrtc;
        for call in self.calls.iter_mut().rev().take(2 * AT_ONCE) {
            let to = call.webrtc.to;
            call.peer.handle_timeout(now, &mut |bytes: &[u8]| {
                let _ = socket.send_to(bytes, to);
            })?;
        }
        Ok(())
    }

    /// Sends and receives. The relay's processor time in milliseconds while it was measured, and our share of a core.
    fn talk(&mut self, process: u32, span: Duration) -> Result<(f64, f64)> {
        let schedule = schedule(self.calls.len());
        let (start, frames) = (Instant::now() + DRAIN, |span: Duration| span.as_millis() as u32 / 20);
        let (first, last) = (frames(WARM_UP), frames(WARM_UP + span));
        let (mut cpu, mut own) = ((0.0, 0.0), (0.0, 0.0));
        for frame in 0..last {
            if frame == first {
                (cpu.0, own.0) = (cpu_ms(process)?, cpu_ms(std::process::id())?);
                self.measuring = true;
            }
            for (index, (phase, call, side)) in schedule.iter().enumerate() {
                let due = start + FRAME * frame + *phase;
                self.wait_until(due, index)?;
                self.send(*call, *side, frame);
                if self.measuring {
                    self.late.push(due.elapsed().as_nanos() as u64);
                }
            }
        }
        (cpu.1, own.1) = (cpu_ms(process)?, cpu_ms(std::process::id())?);
        let end = Instant::now() + DRAIN;
        self.wait_until(end, 0)?;
        Ok((cpu.1 - cpu.0, (own.1 - own.0) / span.as_secs_f64() / 1000.0))
    }

    /// Receives until `due`; where that is over already, only after every `BURST` sends.
    fn wait_until(&mut self, due: Instant, index: usize) -> Result<()> {
        if Instant::now() >= due && !index.is_multiple_of(BURST) {
            return Ok(());
        }
        loop {
            self.receive(Side::Plain)?;
            self.receive(Side::WebRtc)?;
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // Packets carry the kernel's stamp: they may wait.
            std::thread::sleep(left.min(Duration::from_millis(1)));
        }
    }

    fn send(&mut self, call: usize, side: Side, frame: u32) {
        let mut packet = [0; 512];
        let call_number = call;
        let call = &mut self.calls[call];
        let (end, tally, socket) = match side {
            Side::Plain => (&mut call.plain, &mut self.to_webrtc, &self.plain),
            Side::WebRtc => (&mut call.webrtc, &mut self.to_plain, &self.webrtc),
        };
        let mut len = RTP_HEADER;
        match &self.voice {
            None => {
                packet[len] = TOC;
                packet[len + 1..len + 5].copy_from_slice(&frame.to_be_bytes());
                len += PAYLOAD;
            }
            Some(voice) => {
                let place = (frame as usize + 37 * call_number) % voice.pcmu.len();
                let payload = match side {
                    Side::Plain => &voice.pcmu[place][..],
                    Side::WebRtc => &voice.opus[place][..],
                };
                packet[len..len + payload.len()].copy_from_slice(payload);
                len += payload.len();
            }
        }
        packet[..RTP_HEADER].copy_from_slice(&end.header(frame));
        if let (Side::WebRtc, State::Up(_, srtp)) = (side, &call.peer.state) {
            len = srtp.protect(&mut packet, len);
        }
        let at = now_ns();
        if let Some(track) = &mut end.track {
            track.sent.push((frame as usize + 37 * call_number, at));
        }
        end.remember(frame, if self.measuring { at } else { 0 });
        if socket.send_to(&packet[..len], end.to).is_ok() && self.measuring {
            tally.sent += 1;
        }
    }

    fn receive(&mut self, side: Side) -> Result<()> {
        loop {
            let socket = if side == Side::Plain { &self.plain } else { &self.webrtc };
            let arrivals = self.inbox.take(socket)?;
            for arrival in &arrivals {
                let number = self.by_port[usize::from(arrival.from.port())] as usize;
                if number < self.calls.len() {
                    self.hear(side, number, arrival)?;
                }
            }
            if arrivals.len() < BATCH {
                return Ok(());
            }
        }
    }

    fn hear(&mut self, side: Side, number: usize, arrival: &Arrival) -> Result<()> {
        let packet = self.inbox.packet(arrival);
        let call = &mut self.calls[number];
        let is_rtp = packet.len() >= RTP_HEADER && packet[0] >> 6 == 2 && !(192..224).contains(&packet[1]);
        if !is_rtp {
            if side == Side::WebRtc {
                let socket = &self.webrtc;
                let mut send = |bytes: &[u8]| {
                    let _ = socket.send_to(bytes, arrival.from);
                };
                call.peer.handle(&self.identity, arrival.from, packet, &mut send)?;
            }
            return Ok(());
        }
        let (end, sender, tally) = match side {
            Side::Plain => (&mut call.plain, &call.webrtc, &mut self.to_plain),
            Side::WebRtc => (&mut call.webrtc, &call.plain, &mut self.to_webrtc),
        };
        // To decrypt what nobody looks at would cost the generator calls.
        let wanted = self.voice.is_none() || end.track.is_some();
        let len = match (side, &call.peer.state) {
            (Side::WebRtc, State::Up(_, srtp)) if wanted => match srtp.unprotect(packet) {
                Some(len) => len,
                None => return Ok(()),
            },
            _ => packet.len(),
        };
        let packet = &packet[..len];
        if let Some(track) = &mut end.track {
            let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
            track.came.push((timestamp, arrival.at, packet[RTP_HEADER..].to_vec()));
        }
        if !self.measuring {
            return Ok(());
        }
        if self.voice.is_some() {
            tally.came += 1;
            end.count(u16::from_be_bytes([packet[2], packet[3]]));
        } else if let Some(frame) = packet.get(RTP_HEADER + 1..RTP_HEADER + 5) {
            let frame = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
            if let Some(at) = sender.sent_at(frame) {
                tally.came += 1;
                tally.delays.push(arrival.at.saturating_sub(at));
            }
        }
        Ok(())
    }

    /// Packets that did not come. Where they are transcoded: gaps in the sequence, and what is missing beyond the
    /// edges of the measurement.
    fn lost(&self) -> u64 {
        let edges = if self.voice.is_some() { 2 * self.calls.len() as u64 } else { 0 };
        let missing = |tally: &Tally| tally.sent.saturating_sub(tally.came + edges);
        let counted: u64 = missing(&self.to_plain) + missing(&self.to_webrtc);
        let ends = self.calls.iter().flat_map(|call| [&call.plain, &call.webrtc]);
        let expected: u64 = ends.filter_map(|end| end.came).map(|(low, high)| high - low + 1).sum();
        let came = self.to_plain.came + self.to_webrtc.came;
        counted.max(if self.voice.is_some() { expected.saturating_sub(came) } else { 0 })
    }

    fn delays(&mut self) -> Result<(Vec<u64>, Vec<u64>)> {
        let Some(voice) = &self.voice else {
            let tallies = (&mut self.to_plain, &mut self.to_webrtc);
            return Ok((std::mem::take(&mut tallies.0.delays), std::mem::take(&mut tallies.1.delays)));
        };
        let (mut to_plain, mut to_webrtc) = (Vec::new(), Vec::new());
        for call in &mut self.calls {
            let (Some(plain), Some(webrtc)) = (&mut call.plain.track, &mut call.webrtc.track) else {
                continue;
            };
            // What an end sent is heard at the other.
            std::mem::swap(&mut plain.came, &mut webrtc.came);
            to_plain.extend(webrtc.delays(&voice.heard_opus, false)?);
            to_webrtc.extend(plain.delays(&voice.heard_pcmu, true)?);
        }
        Ok((to_plain, to_webrtc))
    }
}

/// When in a frame each end of each call sends: evenly spread, neighbours in time being no neighbours otherwise.
fn schedule(calls: usize) -> Vec<(Duration, usize, Side)> {
    let ends = 2 * calls;
    // Coprime, so that each has its turn; about the golden section, so that it is far from the one before.
    let step = (ends * 5 / 8..).find(|step| gcd(*step, ends) == 1).unwrap_or(1);
    (0..ends)
        .map(|place| {
            let end = place * step % ends;
            let side = if end.is_multiple_of(2) { Side::Plain } else { Side::WebRtc };
            (FRAME * place as u32 / ends as u32, end / 2, side)
        })
        .collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn plain_offer(local: SocketAddr, work: Work) -> String {
    let (ip, port) = (local.ip(), local.port());
    let format = match work {
        Work::Pass => format!("{PLAIN_OPUS}\r\na=rtpmap:{PLAIN_OPUS} opus/48000/2"),
        Work::Transcode => "0\r\na=rtpmap:0 PCMU/8000".to_owned(),
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {format}\r\n\
         a=ptime:20\r\na=sendrecv\r\n"
    )
}
