//! The reports between us and one side: when the next is due, what it says, and what the other side
//! says of our stream (RFC 3550 6). A pure machine.

use std::time::{Duration, Instant};

use super::header::{HEADER_LEN, Header};
use super::reception::{Reception, span, units};
use super::rtcp::{Blocks, Compound, Packet, Report, ReportBlock, RtcpError, SenderInfo};

/// The mean time between two reports (RFC 3550 6.2): with two members and audio the bandwidth never
/// asks for a longer one.
const INTERVAL: Duration = Duration::from_secs(5);
/// What the mean is divided by, in thousandths: e - 3/2 (RFC 3550 6.3.1).
const COMPENSATION: u64 = 1218;
/// Reports of ours that the other side may refer to: it answers the last, or the one before.
const REMEMBERED: usize = 4;
/// The clock of telephony, while there is no other (RFC 3551 4.5).
const SLOWEST_CLOCK: u32 = 8000;
/// From 1900, where NTP counts from, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// A wall clock time in NTP format: seconds since 1900 above 32 bits of fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ntp(u64);

impl Ntp {
    /// From the time since 1970. The seconds wrap in 2036, as NTP's do.
    pub(crate) fn from_unix(time: Duration) -> Self {
        let seconds = time.as_secs().wrapping_add(NTP_TO_UNIX) << 32;
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        Self(seconds | fraction)
    }

    fn middle(self) -> u32 {
        middle(self.0)
    }
}

/// The 32 bits that reports refer to each other by.
fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// What we send to the side.
#[derive(Debug, Clone, Copy, Default)]
struct Sending {
    packets: u32,
    octets: u32,
    /// The newest timestamp, when it was sent, and its clock.
    newest: Option<(u32, Instant, u32)>,
}

/// What the other side says of our stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported {
    /// Of 256, since its report before.
    pub(crate) fraction_lost: u8,
    /// Since the beginning; never below zero here.
    pub(crate) lost: u32,
    /// Interarrival jitter.
    pub(crate) jitter: Duration,
}

impl Reported {
    /// The loss of the last interval, rounded up.
    pub(crate) fn percent_lost(self) -> u8 {
        (u16::from(self.fraction_lost) * 100).div_ceil(256) as u8
    }
}

/// Everything between us and one side that reports tell of.
pub(crate) struct Reports {
    ssrc: u32,
    cname: String,
    random: u64,
    due: Option<Instant>,
    reception: Reception,
    /// Nothing has come of the present peer: what was received is another's.
    unheard: bool,
    sending: Sending,
    /// Packets sent at the last report and at the one before.
    sent_before: [u32; 2],
    /// Our last sender reports: what the other side refers to them by, and when they left.
    ours: [Option<(u32, Instant)>; REMEMBERED],
    /// The other side's last sender report: its SSRC, what we refer to it by, and when it came.
    theirs: Option<(u32, u32, Instant)>,
    reported: Option<Reported>,
    round_trip: Option<Duration>,
}

impl Reports {
    /// `ssrc` is of what we send. `seed` draws the intervals.
    pub(crate) fn new(ssrc: u32, cname: String, seed: u64) -> Self {
        Self {
            ssrc,
            cname,
            random: seed,
            due: None,
            reception: Reception::default(),
            unheard: false,
            sending: Sending::default(),
            sent_before: [0; 2],
            ours: [None; REMEMBERED],
            theirs: None,
            reported: None,
            round_trip: None,
        }
    }

    /// A packet of the side's stream has come. `clock` as in [`Reception::hear`].
    pub(crate) fn received(&mut self, now: Instant, header: Header, clock: Option<u32>) {
        self.unheard = false;
        self.reception.hear(now, header, clock);
    }

    /// A packet of ours leaves: one that [`Header::write`] wrote. `clock` as in [`Reception::hear`].
    pub(crate) fn sent(&mut self, now: Instant, packet: &[u8], clock: Option<u32>) {
        let Some(([_, _, _, _, a, b, c, d, _, _, _, _], payload)) = packet.split_first_chunk::<HEADER_LEN>()
        else {
            return;
        };
        let sending = &mut self.sending;
        sending.packets = sending.packets.wrapping_add(1);
        sending.octets = sending.octets.wrapping_add(payload.len() as u32);
        if let Some(clock) = clock {
            sending.newest = Some((u32::from_be_bytes([*a, *b, *c, *d]), now, clock));
        }
    }

    /// From now on reports are sent: the first after half an interval (RFC 3550 6.2). Does nothing
    /// when they are already.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.due.is_none() {
            self.due = Some(now + self.draw(INTERVAL / 2));
        }
    }

    /// No report is due any longer.
    pub(crate) fn stop(&mut self) {
        self.due = None;
    }

    /// Another peer is on the side now: what was known of the one before means nothing, also to it.
    pub(crate) fn new_peer(&mut self) {
        self.unheard = true;
        self.theirs = None;
        self.reported = None;
        self.round_trip = None;
    }

    /// When the next report is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the report that is due now, and gives its length.
    pub(crate) fn handle_timeout(&mut self, now: Instant, wall: Ntp, buffer: &mut [u8]) -> Option<usize> {
        if self.due.is_none_or(|due| now < due) {
            return None;
        }
        self.due = Some(now + self.draw(INTERVAL));
        self.write(now, wall, false, buffer)
    }

    /// Writes the last report, with BYE. `None` also where none was to be sent.
    pub(crate) fn goodbye(&mut self, now: Instant, wall: Ntp, buffer: &mut [u8]) -> Option<usize> {
        self.due.take()?;
        self.write(now, wall, true, buffer)
    }

    /// A compound packet of the side has come. BYE ends nothing: signalling does that, and anybody can
    /// forge one on the PBX's side.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn handle_rtcp(&mut self, now: Instant, datagram: &[u8]) -> Result<(), RtcpError> {
        for packet in Compound::parse(datagram)?.packets() {
            match packet {
                // Our own, sent back.
                Packet::SenderReport { ssrc, .. } | Packet::ReceiverReport { ssrc, .. }
                    if ssrc == self.ssrc => {}
                Packet::SenderReport { ssrc, info, blocks } => {
                    self.theirs = Some((ssrc, middle(info.ntp), now));
                    self.read(now, blocks);
                }
                Packet::ReceiverReport { blocks, .. } => self.read(now, blocks),
                Packet::Bye | Packet::Other => {}
            }
        }
        Ok(())
    }

    /// What is received.
    pub(crate) fn reception(&self) -> &Reception {
        &self.reception
    }

    /// What the side said last of our stream.
    pub(crate) fn reported(&self) -> Option<Reported> {
        self.reported
    }

    /// The round trip that its last report tells.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    fn read(&mut self, now: Instant, blocks: Blocks<'_>) {
        let ours = self.ssrc;
        let Some(block) = blocks.iter().find(|block| block.ssrc == ours) else {
            return;
        };
        self.reported = Some(Reported {
            fraction_lost: block.fraction_lost,
            lost: u32::try_from(block.cumulative_lost).unwrap_or(0),
            jitter: span(block.jitter, self.sending.newest.map_or(SLOWEST_CLOCK, |(.., clock)| clock)),
        });
        // By our own memory of when that report left: neither a stepped clock nor a made-up number
        // can give a wrong time.
        let mut reports = self.ours.iter().flatten();
        let left = reports.find(|(reference, _)| *reference == block.last_sr).map(|(_, left)| *left);
        let held = Duration::from_micros((u64::from(block.delay_since_last_sr) * 1_000_000) >> 16);
        if let Some(trip) = left.and_then(|left| now.saturating_duration_since(left).checked_sub(held)) {
            self.round_trip = Some(trip);
        }
    }

    fn write(&mut self, now: Instant, wall: Ntp, goodbye: bool, buffer: &mut [u8]) -> Option<usize> {
        let sender = self.sender(now, wall);
        if sender.is_some() {
            self.ours.rotate_right(1);
            if let Some(place) = self.ours.first_mut() {
                *place = Some((wall.middle(), now));
            }
        }
        let block = if self.unheard { None } else { self.reception.report() };
        let block = block.map(|block| self.refer(now, block));
        Report { ssrc: self.ssrc, sender, block, cname: &self.cname, goodbye }.write(buffer)
    }

    /// RFC 3550 6.4: an SR from who has sent since the second last report.
    fn sender(&mut self, now: Instant, wall: Ntp) -> Option<SenderInfo> {
        let Sending { packets, octets, newest } = self.sending;
        let [last, before] = self.sent_before;
        self.sent_before = [packets, last];
        let (timestamp, at, clock) = newest.filter(|_| packets != before)?;
        let rtp = timestamp.wrapping_add(units(now.saturating_duration_since(at), clock));
        Some(SenderInfo { ntp: wall.0, rtp, packets, octets })
    }

    /// Names the last sender report of the stream.
    fn refer(&self, now: Instant, block: ReportBlock) -> ReportBlock {
        let Some((_, last_sr, came)) = self.theirs.filter(|(ssrc, ..)| *ssrc == block.ssrc) else {
            return block;
        };
        let held = units(now.saturating_duration_since(came), 1 << 16);
        ReportBlock { last_sr, delay_since_last_sr: held, ..block }
    }

    /// A time around `mean`, spread so that reports of many calls do not fall together (RFC 3550
    /// 6.3.1): half of it to one and a half, compensated.
    fn draw(&mut self, mean: Duration) -> Duration {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let spread = 500 + (z ^ (z >> 31)) % 1000;
        mean * (spread as u32) / (COMPENSATION as u32)
    }
}

#[cfg(test)]
mod tests;
