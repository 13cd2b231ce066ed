//! A call's sound: one UDP socket and one task that speaks every 20 ms,
//! records what comes, and complains of packets that should not have come.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{future, io};

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, interval};
use tokio_util::sync::CancellationToken;

use super::change::Direction;
use super::rtp::{Keypad, Packet, is_rtcp};
use super::sdp::Remote;
use super::talker::{Key, Talker};
use super::voice::{FRAME, RATE, Voice};
use crate::ladder::{Ladder, Lane};
use crate::tone::Recording;

/// Orders that wait for the task; who gives more waits.
const ORDERS: usize = 64;
/// Packets that were under way when the other end was told to be silent come within this time.
const UNDER_WAY: Duration = Duration::from_millis(200);
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
}

enum Order {
    Connect { remote: Remote, seed: u64 },
    Tone { hz: f64, sent: oneshot::Sender<Instant> },
    Press(Key),
    Turn(Direction),
}

/// Handle of the task; it ends with [`Media::stop`] or when the handle is gone.
pub(super) struct Media {
    pub(super) local: SocketAddr,
    ear: watch::Receiver<Ear>,
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
}

impl Media {
    /// Binds a port and starts to listen.
    pub(super) async fn open(
        ip: IpAddr,
        hz: f64,
        complaints: Complaints,
        note: (Ladder, String),
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0)).await?;
        let local = socket.local_addr()?;
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (mouth, ear) = watch::channel(Ear { recording: Recording::new(RATE), keypad: Keypad::default() });
        let stop = CancellationToken::new();
        let line = Line {
            socket,
            hz,
            ear: mouth,
            complaints,
            note,
            quiet: true,
            mute: false,
            deaf: None,
            stream: None,
            talking: None,
        };
        tokio::spawn(line.run(inbox, stop.clone()));
        Ok(Self { local, ear, orders, stop })
    }

    /// Starts to speak to `remote`.
    pub(super) async fn connect(&self, remote: Remote, seed: u64) {
        let _ = self.orders.send(Order::Connect { remote, seed }).await;
    }

    /// Changes the tone; gives the time at which the first packet with it went out.
    pub(super) async fn tone(&self, hz: f64) -> Instant {
        let (sent, went_out) = oneshot::channel();
        let _ = self.orders.send(Order::Tone { hz, sent }).await;
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
    hz: f64,
    ear: watch::Sender<Ear>,
    complaints: Complaints,
    note: (Ladder, String),
    quiet: bool,
    /// Nothing is sent.
    mute: bool,
    /// Nothing may come any more from then on.
    deaf: Option<Instant>,
    stream: Option<Incoming>,
    talking: Option<Talking>,
}

struct Talking {
    remote: Remote,
    talker: Talker,
    decoder: Voice,
    clock: Interval,
    changed: Option<oneshot::Sender<Instant>>,
}

/// Last packet of the stream that comes in.
struct Incoming {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    sound: bool,
}

impl Line {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>, stop: CancellationToken) {
        let mut buffer = [0_u8; 2048];
        loop {
            tokio::select! {
                // An order given before a packet was sent is heard before it.
                biased;
                () = stop.cancelled() => return,
                Some(order) = inbox.recv() => self.order(order),
                () = tick(&mut self.talking) => self.speak().await,
                Ok((length, from)) = self.socket.recv_from(&mut buffer) => {
                    self.datagram(&buffer[..length], from, Instant::now());
                }
            }
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Connect { remote, seed } => match (Voice::new(remote.codec), Voice::new(remote.codec)) {
                (Ok(encoder), Ok(decoder)) => {
                    let talker = Talker::new(remote.clone(), encoder, self.hz, seed);
                    let clock = interval(Duration::from_millis(20));
                    self.talking = Some(Talking { remote, talker, decoder, clock, changed: None });
                }
                (Err(error), _) | (_, Err(error)) => self.complaints.add(error.to_string()),
            },
            Order::Tone { hz, sent } => {
                self.hz = hz;
                if let Some(talking) = &mut self.talking {
                    talking.talker.set_hz(hz);
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
        }
    }

    async fn speak(&mut self) {
        let Some(talking) = &mut self.talking else { return };
        if self.mute {
            return talking.talker.skip();
        }
        for packet in talking.talker.tick() {
            // A port nobody listens on yet answers with ICMP; the next packet is in 20 ms.
            let _ = self.socket.send_to(&packet.to_bytes(), talking.remote.address).await;
        }
        if let Some(changed) = talking.changed.take() {
            let _ = changed.send(Instant::now());
        }
    }

    fn datagram(&mut self, bytes: &[u8], from: SocketAddr, at: Instant) {
        if is_rtcp(bytes) {
            return;
        }
        if let Err(complaint) = Packet::parse(bytes).and_then(|packet| self.packet(&packet, from, at)) {
            self.complaints.add(complaint);
        }
    }

    fn packet(&mut self, packet: &Packet, from: SocketAddr, at: Instant) -> Result<(), String> {
        // Sound may overtake the 200 that says what it is.
        let Some(talking) = &mut self.talking else { return Ok(()) };
        if from != talking.remote.address {
            return Err(format!("RTP from {from}, the SDP says {}", talking.remote.address));
        }
        if self.deaf.is_some_and(|deaf| deaf <= at) {
            // Said once for all the packets that come before the next change.
            self.deaf = None;
            return Err("RTP: comes although the phone said that it receives nothing".to_owned());
        }
        let sound = packet.payload_type == talking.remote.payload;
        let pace = check_pace(self.stream.as_ref(), packet, sound, talking.remote.codec.clock());
        self.stream = Some(Incoming {
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            sound,
        });
        if sound {
            let samples = talking.decoder.decode(&packet.payload)?;
            let size = samples.len();
            self.ear.send_modify(|ear| ear.recording.audio(at, &samples));
            if std::mem::take(&mut self.quiet) {
                self.note("first sound".to_owned());
            }
            if size != FRAME {
                return Err(format!("RTP: packet of {size} samples, 20 ms were agreed"));
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

/// One SSRC, and between two packets of sound in sequence a step of 20 ms.
fn check_pace(last: Option<&Incoming>, packet: &Packet, sound: bool, clock: u32) -> Result<(), String> {
    let Some(last) = last else { return Ok(()) };
    if last.ssrc != packet.ssrc {
        return Err("RTP: the SSRC changed in the call".to_owned());
    }
    let next = packet.sequence == last.sequence.wrapping_add(1);
    let step = packet.timestamp.wrapping_sub(last.timestamp);
    if next && sound && last.sound && !packet.marker && step != clock / 50 {
        return Err(format!("RTP: timestamp went on by {step} in one packet"));
    }
    Ok(())
}

async fn tick(talking: &mut Option<Talking>) {
    match talking {
        Some(talking) => {
            talking.clock.tick().await;
        }
        None => future::pending().await,
    }
}
