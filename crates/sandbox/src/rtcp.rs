//! The reports that one end of a call sends and gets (RTCP, RFC 3550 6), on the `rtcp` crate: nothing of it is shared
//! with the bridge. It knows no clock and no socket.

use std::time::{Duration, Instant};

use ::rtcp::compound_packet::CompoundPacket;
use ::rtcp::goodbye::Goodbye;
use ::rtcp::packet::Packet;
use ::rtcp::receiver_report::ReceiverReport;
use ::rtcp::reception_report::ReceptionReport;
use ::rtcp::sender_report::SenderReport;
use ::rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use bytes::Bytes;
use webrtc_util::marshal::{Marshal, Unmarshal};

/// When the first report leaves, and those after it. RFC 3550 6.2 asks for 5 s: tests do not wait so long.
const FIRST: Duration = Duration::from_millis(500);
const EVERY: Duration = Duration::from_secs(1);
/// Reports of each kind that are kept; the oldest go.
const KEPT: usize = 64;
/// Seconds between 1900 and 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// A sender report of the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// When it came.
    pub at: Instant,
    /// Seconds since 1900, above 32 bits of fraction.
    pub ntp: u64,
    /// The same instant on the stream's clock.
    pub rtp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Octets of their payloads.
    pub octets: u32,
    /// How far `rtp` is beyond the newest packet that had come, in ticks; none where none had.
    pub ahead: Option<i32>,
}

/// What the other end says of what it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reception {
    /// When it came.
    pub at: Instant,
    /// Of 256, since its report before.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; below zero where some came twice.
    pub lost: i32,
    /// Interarrival jitter, in ticks of the stream's clock.
    pub jitter: u32,
    /// The middle of the NTP time in our last sender report that it got; 0 before the first.
    pub last_sr: u32,
    /// How long it had that report, in 1/65536 s.
    pub delay: u32,
}

/// What one end has seen of the reports of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reports {
    /// RTP packets that this end has sent, those that got lost on the way as well.
    pub sent: u32,
    /// RTP packets that this end has received.
    pub received: u32,
    /// Ticks a second of both streams.
    pub clock: u32,
    /// The other end's sender reports, the newest last.
    pub senders: Vec<Sender>,
    /// What it says of this end's stream, the newest last.
    pub receptions: Vec<Reception>,
    /// Its canonical name.
    pub cname: Option<String>,
    /// A BYE has come.
    pub goodbye: bool,
}

/// Time since 1970 in NTP's format (RFC 3550 4).
pub(crate) fn ntp(unix: Duration) -> u64 {
    let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
    ((unix.as_secs() + NTP_EPOCH) << 32) | fraction
}

/// The 32 bits that reports refer to each other by.
fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// What is received: RFC 3550 A.1, A.3, A.8.
#[derive(Debug)]
struct Source {
    ssrc: u32,
    base: u32,
    highest: u32,
    received: u32,
    /// Expected and received at the report before.
    before: (u32, u32),
    newest: Option<u32>,
    transit: Option<u32>,
    jitter: f64,
}

impl Source {
    fn new(ssrc: u32, sequence: u16) -> Self {
        // Packets that overtook the first one do not go below zero.
        let base = 0x1_0000 | u32::from(sequence);
        Self {
            ssrc,
            base,
            highest: base,
            received: 0,
            before: (0, 0),
            newest: None,
            transit: None,
            jitter: 0.0,
        }
    }

    fn take(&mut self, sequence: u16, timestamp: Option<u32>, arrival: u32) {
        self.received += 1;
        let ahead = sequence.wrapping_sub(self.highest as u16) as i16;
        if ahead > 0 {
            self.highest += ahead as u32;
        }
        let Some(timestamp) = timestamp else { return };
        if ahead >= 0 {
            self.newest = Some(timestamp);
        }
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = f64::from((transit.wrapping_sub(before) as i32).unsigned_abs());
            self.jitter += (difference - self.jitter) / 16.0;
        }
    }

    /// Its block, without the part that refers to a sender report.
    fn report(&mut self) -> ReceptionReport {
        let now = (self.highest - self.base + 1, self.received);
        let (expected, received) = (now.0 - self.before.0, now.1 - self.before.1);
        self.before = now;
        let fraction = (expected.saturating_sub(received) << 8).checked_div(expected).unwrap_or(0);
        ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost: fraction.min(255) as u8,
            total_lost: now.0.saturating_sub(now.1).min(0x7F_FFFF),
            last_sequence_number: self.highest - 0x1_0000,
            jitter: self.jitter as u32,
            ..ReceptionReport::default()
        }
    }
}

/// Writes one end's reports and reads the other end's.
#[derive(Debug)]
pub(crate) struct Reporter {
    ssrc: u32,
    cname: &'static str,
    began: Instant,
    due: Option<Instant>,
    octets: u32,
    newest: Option<(u32, Instant)>,
    /// Packets sent at the report before.
    sent_before: u32,
    /// What our last sender reports are referred to by.
    ours: Vec<u32>,
    source: Option<Source>,
    /// The other end's last sender report: what it is referred to by, and when it came.
    theirs: Option<(u32, Instant)>,
    reports: Reports,
}

impl Reporter {
    /// For a stream with this SSRC and clock.
    pub(crate) fn new(now: Instant, ssrc: u32, cname: &'static str, clock: u32) -> Self {
        Self {
            ssrc,
            cname,
            began: now,
            due: None,
            octets: 0,
            newest: None,
            sent_before: 0,
            ours: Vec::new(),
            source: None,
            theirs: None,
            reports: Reports { clock, ..Reports::default() },
        }
    }

    /// What has come so far.
    pub(crate) fn reports(&self) -> &Reports {
        &self.reports
    }

    fn ticks(&self, time: Duration) -> u32 {
        (time.as_secs_f64() * f64::from(self.reports.clock)) as u64 as u32
    }

    /// A packet leaves; its timestamp, where that is the time of its sound.
    pub(crate) fn sent(&mut self, now: Instant, octets: usize, timestamp: Option<u32>) {
        self.reports.sent += 1;
        self.octets = self.octets.wrapping_add(octets as u32);
        if let Some(timestamp) = timestamp {
            self.newest = Some((timestamp, now));
        }
    }

    /// A packet has come; its timestamp, where that is the time of its sound.
    pub(crate) fn received(&mut self, now: Instant, ssrc: u32, sequence: u16, timestamp: Option<u32>) {
        self.reports.received += 1;
        let arrival = self.ticks(now.saturating_duration_since(self.began));
        if self.source.as_ref().is_none_or(|source| source.ssrc != ssrc) {
            self.source = Some(Source::new(ssrc, sequence));
        }
        if let Some(source) = &mut self.source {
            source.take(sequence, timestamp, arrival);
        }
    }

    /// The report that is due now; `ntp` is the wall clock's time.
    pub(crate) fn report(&mut self, now: Instant, ntp: u64) -> Option<Vec<u8>> {
        let due = *self.due.get_or_insert(now + FIRST);
        if now < due {
            return None;
        }
        self.due = Some(now + EVERY);
        let reports = self.block(now);
        let first: Box<dyn Packet + Send + Sync> = match self.sender(now, ntp) {
            Some(sender) => Box::new(SenderReport { reports, ..sender }),
            None => Box::new(ReceiverReport { ssrc: self.ssrc, reports, ..ReceiverReport::default() }),
        };
        let text = Bytes::from_static(self.cname.as_bytes());
        let items = vec![SourceDescriptionItem { sdes_type: SdesType::SdesCname, text }];
        let chunks = vec![SourceDescriptionChunk { source: self.ssrc, items }];
        let compound = CompoundPacket(vec![first, Box::new(SourceDescription { chunks })]);
        compound.marshal().ok().map(|bytes| bytes.to_vec())
    }

    fn block(&mut self, now: Instant) -> Vec<ReceptionReport> {
        let Some(source) = &mut self.source else { return Vec::new() };
        let mut block = source.report();
        if let Some((last, came)) = self.theirs {
            block.last_sender_report = last;
            block.delay = (now.saturating_duration_since(came).as_secs_f64() * 65536.0) as u32;
        }
        vec![block]
    }

    /// RFC 3550 6.4: who has sent since the report before is a sender.
    fn sender(&mut self, now: Instant, ntp: u64) -> Option<SenderReport> {
        let (timestamp, at) = self.newest.filter(|_| self.reports.sent != self.sent_before)?;
        self.sent_before = self.reports.sent;
        keep(&mut self.ours, middle(ntp));
        Some(SenderReport {
            ssrc: self.ssrc,
            ntp_time: ntp,
            rtp_time: timestamp.wrapping_add(self.ticks(now.saturating_duration_since(at))),
            packet_count: self.reports.sent,
            octet_count: self.octets,
            ..SenderReport::default()
        })
    }

    /// Takes a compound packet of the other end.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(crate) fn take(&mut self, now: Instant, mut packet: &[u8]) -> Result<(), String> {
        let compound = CompoundPacket::unmarshal(&mut packet).map_err(|error| format!("RTCP: {error}"))?;
        for packet in &compound.0 {
            let packet = packet.as_any();
            if let Some(report) = packet.downcast_ref::<SenderReport>() {
                self.sender_came(now, report)?;
            } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                self.of_source("receiver report", report.ssrc)?;
                report.reports.iter().try_for_each(|block| self.block_came(now, block))?;
            } else if let Some(description) = packet.downcast_ref::<SourceDescription>() {
                description.chunks.iter().try_for_each(|chunk| self.described(chunk))?;
            } else if let Some(goodbye) = packet.downcast_ref::<Goodbye>() {
                goodbye.sources.iter().try_for_each(|ssrc| self.of_source("BYE", *ssrc))?;
                self.reports.goodbye = true;
            }
        }
        Ok(())
    }

    /// The SSRC is that of the sound.
    fn of_source(&self, what: &str, ssrc: u32) -> Result<(), String> {
        match &self.source {
            Some(source) if source.ssrc != ssrc => {
                Err(format!("RTCP: {what} of SSRC {ssrc}, the sound has {}", source.ssrc))
            }
            _ => Ok(()),
        }
    }

    fn sender_came(&mut self, now: Instant, report: &SenderReport) -> Result<(), String> {
        self.of_source("sender report", report.ssrc)?;
        let newest = self.source.as_ref().and_then(|source| source.newest);
        let sender = Sender {
            at: now,
            ntp: report.ntp_time,
            rtp: report.rtp_time,
            packets: report.packet_count,
            octets: report.octet_count,
            ahead: newest.map(|newest| report.rtp_time.wrapping_sub(newest) as i32),
        };
        keep(&mut self.reports.senders, sender);
        self.theirs = Some((middle(report.ntp_time), now));
        report.reports.iter().try_for_each(|block| self.block_came(now, block))
    }

    fn block_came(&mut self, now: Instant, block: &ReceptionReport) -> Result<(), String> {
        if block.ssrc != self.ssrc {
            return Err(format!("RTCP: reception of SSRC {}, this end has {}", block.ssrc, self.ssrc));
        }
        let reception = Reception {
            at: now,
            fraction_lost: block.fraction_lost,
            // 24 bits with a sign.
            lost: (block.total_lost << 8) as i32 >> 8,
            jitter: block.jitter,
            last_sr: block.last_sender_report,
            delay: block.delay,
        };
        keep(&mut self.reports.receptions, reception);
        match block.last_sender_report {
            0 => Ok(()),
            known if self.ours.contains(&known) => Ok(()),
            unknown => Err(format!("RTCP: refers to sender report {unknown:#x}, which was not sent")),
        }
    }

    fn described(&mut self, chunk: &SourceDescriptionChunk) -> Result<(), String> {
        self.of_source("description", chunk.source)?;
        let cname = chunk.items.iter().find(|item| item.sdes_type == SdesType::SdesCname);
        let name = cname.map(|item| String::from_utf8_lossy(&item.text).into_owned());
        match (&self.reports.cname, name) {
            (_, None) => Err("RTCP: a description without CNAME".to_owned()),
            (Some(before), Some(name)) if *before != name => {
                Err(format!("RTCP: CNAME {name}, it was {before}"))
            }
            (_, name) => {
                self.reports.cname = name;
                Ok(())
            }
        }
    }
}

fn keep<T>(list: &mut Vec<T>, one: T) {
    list.push(one);
    list.drain(..list.len().saturating_sub(KEPT));
}

#[cfg(test)]
mod tests;
