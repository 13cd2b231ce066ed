//! A call's sound: one UDP socket and one task that speaks packet by packet,
//! records what comes, and complains of packets that should not have come. Its reports are in [`reports`].

mod reports;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{future, io};

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::change::Direction;
use super::rtp::{Incoming, Keypad, Packet, check_pace, is_rtcp};
use super::sdp::Remote;
use super::secure::{Crypto, Secure};
use super::talker::{Key, Talker};
use super::voice::{RATE, Voice};
use super::{Codec, Manner};
use crate::ladder::{Ladder, Lane};
use crate::rough::Road;
use crate::rtcp::{Reporter, Reports};
use crate::tone::{Recording, Sound};

/// Orders that wait for the task; who gives more waits.
const ORDERS: usize = 64;
/// Packets that were under way when the other end was told to be silent come within this time, also on a busy machine.
const UNDER_WAY: Duration = Duration::from_millis(500);
/// Complaints that are kept; later ones are dropped.
const COMPLAINTS: usize = 200;

/// Mistakes the phone has seen, shared by its calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    pub(super) fn add(&self, complaint: String) {
        tracing::warn!(complaint, "the bridge made a mistake");
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < COMPLAINTS {
            list.push(complaint);
        }
    }

    pub(super) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What has been heard.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) recording: Recording,
    pub(super) keypad: Keypad,
    /// All RTP that was good.
    pub(super) packets: u64,
    pub(super) reports: Reports,
}

/// The keys of both ends, ours first.
type Keys = Option<(Crypto, Crypto)>;

enum Order {
    Connect { remote: Box<Remote>, keys: Keys, seed: u64 },
    Say { sound: Sound, sent: oneshot::Sender<Instant> },
    Press(Key),
    Turn(Direction),
    Die,
}

/// Handle of the task; it ends with [`Media::stop`] or when the handle is gone.
pub(super) struct Media {
    pub(super) local: SocketAddr,
    ear: watch::Receiver<Ear>,
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
}

impl Media {
    /// Binds its ports and starts to listen.
    pub(super) async fn open(
        ip: IpAddr,
        (sound, manner): (Sound, Manner),
        complaints: Complaints,
        note: (Ladder, String),
    ) -> io::Result<Self> {
        let (socket, rtcp) = reports::ports(ip).await?;
        let local = socket.local_addr()?;
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (recording, keypad) = (Recording::new(RATE), Keypad::default());
        let (mouth, ear) = watch::channel(Ear { recording, keypad, packets: 0, reports: Reports::default() });
        let stop = CancellationToken::new();
        let line = Line {
            socket,
            rtcp,
            sound,
            road: Road::new(manner.rough),
            manner,
            ear: mouth,
            complaints,
            note,
            quiet: true,
            mute: false,
            dead: false,
            deaf: None,
            stream: None,
            talking: None,
        };
        tokio::spawn(line.run(inbox, stop.clone()));
        Ok(Self { local, ear, orders, stop })
    }

    /// Starts to speak to `remote`.
    pub(super) async fn connect(&self, remote: Remote, keys: Keys, seed: u64) {
        let _ = self.orders.send(Order::Connect { remote: Box::new(remote), keys, seed }).await;
    }

    /// Changes the sound; gives the time at which the first packet with it went out.
    pub(super) async fn say(&self, sound: Sound) -> Instant {
        let (sent, went_out) = oneshot::channel();
        let _ = self.orders.send(Order::Say { sound, sent }).await;
        went_out.await.unwrap_or_else(|_| Instant::now())
    }

    /// Presses a digit and returns when it has gone out (or the call is over).
    pub(super) async fn press(&self, digit: char) {
        let (done, gone) = oneshot::channel();
        let _ = self.orders.send(Order::Press(Key { digit, done })).await;
        let _ = gone.await;
    }

    /// Says which way sound goes from now on; until then both ways.
    pub(super) async fn turn(&self, direction: Direction) {
        let _ = self.orders.send(Order::Turn(direction)).await;
    }

    /// Sends nothing any more, reports neither.
    pub(super) async fn die(&self) {
        let _ = self.orders.send(Order::Die).await;
    }

    pub(super) fn ear(&self) -> watch::Receiver<Ear> {
        self.ear.clone()
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The task's own side.
struct Line {
    socket: UdpSocket,
    /// Reports come and go here where they do not share the other port.
    rtcp: UdpSocket,
    sound: Sound,
    manner: Manner,
    road: Road,
    ear: watch::Sender<Ear>,
    complaints: Complaints,
    note: (Ladder, String),
    quiet: bool,
    /// No sound is sent.
    mute: bool,
    /// Nothing at all is.
    dead: bool,
    /// Nothing may come any more from then on.
    deaf: Option<Instant>,
    stream: Option<Incoming>,
    talking: Option<Talking>,
}

struct Talking {
    remote: Remote,
    talker: Talker,
    decoder: Voice,
    secure: Option<Secure>,
    reporter: Reporter,
    /// Samples in a packet that comes.
    frame: usize,
    since: Instant,
    clock: Interval,
    changed: Option<oneshot::Sender<Instant>>,
}

impl Line {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>, stop: CancellationToken) {
        let (mut buffer, mut report) = ([0_u8; 2048], [0_u8; 2048]);
        loop {
            tokio::select! {
                // An order given before a packet was sent is heard before it.
                biased;
                () = stop.cancelled() => break,
                Some(order) = inbox.recv() => self.order(order),
                () = tick(self.talking.as_mut().map(|talking| &mut talking.clock)) => self.speak().await,
                () = arrival(self.road.deadline()) => self.deliver().await,
                Ok((length, from)) = self.socket.recv_from(&mut buffer) => {
                    self.datagram(&buffer[..length], from, Instant::now());
                }
                Ok((length, from)) = self.rtcp.recv_from(&mut report) => {
                    self.hear_report(&report[..length], from, Instant::now());
                }
            }
        }
        self.linger().await;
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Connect { remote, keys, seed } => match self.connect(*remote, keys, seed) {
                Ok(talking) => self.talking = Some(talking),
                Err(complaint) => self.complaints.add(complaint),
            },
            Order::Say { sound, sent } => {
                self.sound = sound;
                if let Some(talking) = &mut self.talking {
                    talking.talker.say(sound);
                    talking.changed = Some(sent);
                }
            }
            Order::Press(key) => {
                if let Some(talking) = &mut self.talking {
                    talking.talker.press(key);
                }
            }
            Order::Turn(direction) => {
                self.mute = !direction.sends();
                self.deaf = (!direction.receives()).then(|| Instant::now() + UNDER_WAY);
            }
            Order::Die => (self.mute, self.dead) = (true, true),
        }
    }

    fn connect(&self, remote: Remote, keys: Keys, seed: u64) -> Result<Talking, String> {
        let voice = || Voice::new(remote.codec).map_err(|error| error.to_string());
        let (encoder, decoder) = (voice()?, voice()?);
        let secure = keys.map(|(ours, theirs)| Secure::new(&ours, &theirs)).transpose()?;
        // The bridge relays WhatsApp's Opus, in packets of 20 ms.
        let frame = decoder.samples(if remote.codec == Codec::Opus { 20 } else { self.manner.ptime });
        if decoder.rate() != RATE {
            let rate = decoder.rate();
            self.ear.send_modify(|ear| ear.recording = Recording::new(rate));
        }
        let ptime = self.manner.ptime;
        let mut talker = Talker::new(remote.clone(), (encoder, ptime), self.sound, seed);
        if self.manner.attention < Duration::MAX {
            talker.keep_refrain();
        }
        let clock = interval(Duration::from_millis(ptime.into()));
        let since = Instant::now();
        let reporter = Reporter::new(since, talker.ssrc(), "phone@sandbox", remote.codec.clock());
        Ok(Talking { remote, talker, decoder, secure, reporter, frame, since, clock, changed: None })
    }

    async fn speak(&mut self) {
        let now = Instant::now();
        match &mut self.talking {
            Some(talking) if self.mute => talking.talker.skip(),
            _ => self.say(now).await,
        }
        self.report(now).await;
    }

    async fn say(&mut self, now: Instant) {
        let Some(talking) = &mut self.talking else { return };
        if now.saturating_duration_since(talking.since) >= self.manner.attention {
            talking.talker.leave();
        }
        for packet in talking.talker.tick() {
            let is_sound = packet.payload_type == talking.remote.payload;
            talking.reporter.sent(now, packet.payload.len(), is_sound.then_some(packet.timestamp));
            let plain = packet.to_bytes();
            match talking.secure.as_mut().map_or_else(|| Ok(plain.clone()), |secure| secure.protect(&plain)) {
                Ok(bytes) => self.road.send(now, bytes),
                Err(complaint) => self.complaints.add(complaint),
            }
        }
        if let Some(changed) = talking.changed.take() {
            let _ = changed.send(now);
        }
        self.deliver().await;
    }

    /// Sends what has made its way.
    async fn deliver(&mut self) {
        let Some(to) = self.talking.as_ref().map(|talking| talking.remote.address) else { return };
        while let Some(bytes) = self.road.poll(Instant::now()) {
            // A port nobody listens on yet answers with ICMP; the next packet comes soon.
            let _ = self.socket.send_to(&bytes, to).await;
        }
    }

    fn datagram(&mut self, bytes: &[u8], from: SocketAddr, at: Instant) {
        if is_rtcp(bytes) {
            return self.hear_report(bytes, from, at);
        }
        let Some(talking) = &mut self.talking else { return };
        let plain = match talking.secure.as_mut().map_or_else(|| Ok(bytes.to_vec()), |keys| keys.open(bytes))
        {
            Ok(plain) => plain,
            Err(complaint) => return self.complaints.add(complaint),
        };
        if let Err(complaint) = Packet::parse(&plain).and_then(|packet| self.packet(&packet, from, at)) {
            self.complaints.add(complaint);
        }
    }

    fn packet(&mut self, packet: &Packet, from: SocketAddr, at: Instant) -> Result<(), String> {
        // Sound may overtake the 200 that says what it is.
        let Some(talking) = &mut self.talking else { return Ok(()) };
        if from != talking.remote.address {
            return Err(format!("RTP from {from}, the SDP says {}", talking.remote.address));
        }
        // Said once for all the packets that come before the next change.
        if let Some(deaf) = self.deaf.take_if(|deaf| *deaf <= at) {
            let since = at - deaf + UNDER_WAY;
            return Err(format!("RTP: comes {since:?} after the phone said that it receives nothing"));
        }
        let sound = packet.payload_type == talking.remote.payload;
        let ms = talking.frame / talking.decoder.samples(1);
        let step = talking.remote.codec.clock() / 1000 * ms as u32;
        let pace = check_pace(self.stream.as_ref(), packet, sound, step);
        self.stream = Some(Incoming {
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            sound,
        });
        let timestamp = sound.then_some(packet.timestamp);
        talking.reporter.received(at, packet.ssrc, packet.sequence, timestamp);
        let attends = at.saturating_duration_since(talking.since) < self.manner.attention;
        self.ear.send_if_modified(|ear| {
            ear.packets += 1;
            false
        });
        if sound && !attends {
            // Counted, and that is all.
        } else if sound {
            let samples = talking.decoder.decode(&packet.payload)?;
            let (size, frame) = (samples.len(), talking.frame);
            self.ear.send_modify(|ear| ear.recording.audio(at, &samples));
            if std::mem::take(&mut self.quiet) {
                self.note("first sound".to_owned());
            }
            if size != frame {
                return Err(format!("RTP: packet of {size} samples, {frame} were agreed"));
            }
        } else if talking.remote.events == Some(packet.payload_type) {
            self.key(packet, at)?;
        } else {
            return Err(format!("RTP: payload type {} was not agreed", packet.payload_type));
        }
        pace
    }

    fn key(&mut self, packet: &Packet, at: Instant) -> Result<(), String> {
        let (mut verdict, mut digit) = (Ok(()), None);
        self.ear.send_modify(|ear| {
            let before = ear.keypad.digits.len();
            ear.recording.event(at);
            verdict = ear.keypad.take(packet);
            digit = ear.keypad.digits[before..].chars().next();
        });
        if let Some(digit) = digit {
            self.note(format!("digit {digit}"));
        }
        verdict
    }

    fn note(&self, label: String) {
        let (ladder, key) = &self.note;
        ladder.log(key, Lane::Bridge, Lane::Pbx, label);
    }
}

/// Until a packet has made its way.
async fn arrival(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => future::pending().await,
    }
}

async fn tick(clock: Option<&mut Interval>) {
    match clock {
        Some(clock) => {
            clock.tick().await;
        }
        None => future::pending().await,
    }
}
