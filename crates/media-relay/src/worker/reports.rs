//! The reports of one call to both sides (RTCP), and its figures, made once a second.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::path::{AudioPath, Party, WhatsAppFormats};
use crate::quality::emodel::Impairment;
use crate::quality::{CallQuality, Loss, Meter, Sample};
use crate::rtp::header::Header;
use crate::rtp::report::{Ntp, Reports};
use crate::rtp::rtcp::RtcpError;
use crate::sdp::pbx::{Codec, Media};

/// How often the figures are made.
const SECOND: Duration = Duration::from_secs(1);

/// The wall clock, read once: what reports say of it must only go evenly.
#[derive(Debug, Clone, Copy)]
pub(super) struct WallClock {
    unix: Duration,
    at: Instant,
}

impl WallClock {
    pub(super) fn read() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { unix, at: Instant::now() }
    }

    pub(super) fn ntp(self, now: Instant) -> Ntp {
        Ntp::from_unix(self.unix + now.saturating_duration_since(self.at))
    }
}

/// The figures of a call, for whoever asks. The worker writes them once a second and never waits: while
/// somebody reads, they stay those of the second before.
#[derive(Debug, Default)]
pub(crate) struct QualityCell(Mutex<CallQuality>);

impl QualityCell {
    pub(crate) fn read(&self) -> CallQuality {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, quality: CallQuality) {
        if let Ok(mut place) = self.0.try_lock() {
            *place = quality;
        }
    }
}

/// What the payload types stand for.
#[derive(Debug, Clone, Copy)]
struct Formats {
    /// The codec, its number, and the one of our offer where that is another.
    pbx: Option<(Codec, u8, Option<u8>)>,
    whatsapp: WhatsAppFormats,
}

impl Formats {
    /// The clock of a payload type; `None` for events and comfort noise, whose timestamps stand still.
    fn clock(&self, party: Party, payload_type: u8) -> Option<u32> {
        match (party, payload_type) {
            // PCMU, PCMA, G.722 (RFC 3551 6).
            (_, 0 | 8 | 9) => Some(8000),
            (Party::Pbx, number) => {
                let (codec, ours, offered) = self.pbx?;
                (number == ours || Some(number) == offered).then(|| codec.clock())
            }
            (Party::WhatsApp, number) => (self.whatsapp.opus == Some(number)).then_some(48_000),
        }
    }
}

/// The reports of one call.
pub(crate) struct CallReports {
    pbx: Reports,
    whatsapp: Reports,
    formats: Formats,
    /// Where the PBX's leg is.
    leg: Option<SocketAddr>,
    meters: Sides<Meter>,
    next_second: Option<Instant>,
    cell: Arc<QualityCell>,
}

#[derive(Default)]
struct Sides<T> {
    pbx: T,
    whatsapp: T,
}

impl CallReports {
    /// For the machines of both sides. The figures go into `cell`.
    pub(crate) fn new(pbx: Reports, whatsapp: Reports, cell: Arc<QualityCell>) -> Self {
        let formats = Formats { pbx: None, whatsapp: WhatsAppFormats::default() };
        Self { pbx, whatsapp, formats, leg: None, meters: Sides::default(), next_second: None, cell }
    }

    fn side(&mut self, party: Party) -> &mut Reports {
        match party {
            Party::Pbx => &mut self.pbx,
            Party::WhatsApp => &mut self.whatsapp,
        }
    }

    /// WhatsApp's description is known.
    pub(super) fn set_whatsapp(&mut self, formats: WhatsAppFormats) {
        self.formats.whatsapp = formats;
    }

    /// What was agreed with the PBX; with another address it is another leg's.
    pub(super) fn set_pbx(&mut self, now: Instant, media: &Media) {
        self.formats.pbx = Some((media.codec, media.payload_type, media.offered_as.audio));
        let remote = Some(media.remote).filter(|remote| !remote.ip().is_unspecified());
        if remote.is_some() && self.leg != remote {
            self.leg = remote;
            self.pbx.new_peer();
        }
        self.start(now, Party::Pbx);
    }

    /// There is no PBX until the next [`Self::set_pbx`].
    pub(super) fn leave_pbx(&mut self) {
        self.pbx.stop();
    }

    /// From now on a side gets reports. WhatsApp gets none before the call is answered: its phone would
    /// take it for the answer.
    pub(super) fn start(&mut self, now: Instant, party: Party) {
        self.side(party).start(now);
        self.next_second.get_or_insert(now + SECOND);
    }

    /// An RTP packet has come.
    pub(super) fn heard(&mut self, now: Instant, from: Party, packet: &[u8]) {
        if let Some(header) = Header::read(packet) {
            let clock = self.formats.clock(from, header.payload_type);
            self.side(from).received(now, header, clock);
        }
    }

    /// An RTP packet leaves.
    pub(super) fn sent(&mut self, now: Instant, to: Party, packet: &[u8]) {
        if let [_, kind, ..] = packet {
            let clock = self.formats.clock(to, kind & 0x7F);
            self.side(to).sent(now, packet, clock);
        }
    }

    /// An RTCP packet has come. Gives the loss of our stream that the side has reported last, in percent.
    ///
    /// # Errors
    /// It is no valid compound packet.
    pub(super) fn handle_rtcp(
        &mut self,
        now: Instant,
        from: Party,
        packet: &[u8],
    ) -> Result<Option<u8>, RtcpError> {
        let side = self.side(from);
        side.handle_rtcp(now, packet)?;
        Ok(side.reported().map(|reported| reported.percent_lost()))
    }

    /// Writes the report that a side is due now.
    pub(super) fn due(
        &mut self,
        now: Instant,
        wall: WallClock,
        to: Party,
        buffer: &mut [u8],
    ) -> Option<usize> {
        self.side(to).handle_timeout(now, wall.ntp(now), buffer)
    }

    /// Writes a side's last report, with BYE; none where it got no reports.
    pub(super) fn goodbye(
        &mut self,
        now: Instant,
        wall: WallClock,
        to: Party,
        buffer: &mut [u8],
    ) -> Option<usize> {
        self.side(to).goodbye(now, wall.ntp(now), buffer)
    }

    /// When a report or the figures are due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.pbx.deadline(), self.whatsapp.deadline(), self.next_second].into_iter().flatten().min()
    }

    /// Makes the figures when a second is over.
    pub(super) fn measure(&mut self, now: Instant, path: &AudioPath) {
        let Some(due) = self.next_second.filter(|due| *due <= now) else {
            return;
        };
        // A worker that was held up makes no second twice.
        self.next_second = Some((due + SECOND).max(now));
        for party in [Party::Pbx, Party::WhatsApp] {
            let sample = self.sample(party, path);
            self.meter(party).take(&sample);
        }
        self.cell.write(self.now());
    }

    /// The figures of the whole call.
    pub(super) fn quality(&mut self, path: &AudioPath) -> CallQuality {
        for party in [Party::Pbx, Party::WhatsApp] {
            let sample = self.sample(party, path);
            self.meter(party).count(&sample);
        }
        self.now()
    }

    fn now(&self) -> CallQuality {
        CallQuality { pbx: self.meters.pbx.quality(), whatsapp: self.meters.whatsapp.quality() }
    }

    fn meter(&mut self, party: Party) -> &mut Meter {
        match party {
            Party::Pbx => &mut self.meters.pbx,
            Party::WhatsApp => &mut self.meters.whatsapp,
        }
    }

    fn sample(&self, party: Party, path: &AudioPath) -> Sample {
        let counters = path.counters();
        let (side, counters) = match party {
            Party::Pbx => (&self.pbx, counters.pbx),
            Party::WhatsApp => (&self.whatsapp, counters.whatsapp),
        };
        let reception = side.reception();
        Sample {
            totals: reception.totals(),
            late: counters.late,
            concealed: counters.concealed,
            jitter: reception.jitter(),
            round_trip: side.round_trip(),
            buffer: path.buffer_delay(party),
            codec: self.impairment(party),
            reported: side.reported().map(|reported| Loss {
                percent: f32::from(reported.fraction_lost) * 100.0 / 256.0,
                packets: reported.lost.into(),
                jitter: reported.jitter,
            }),
        }
    }

    fn impairment(&self, party: Party) -> Option<Impairment> {
        let codec = match party {
            Party::Pbx => self.formats.pbx?.0,
            // What it sends is Opus where its clock is Opus's.
            Party::WhatsApp if self.whatsapp.reception().clock() == Some(8000) => Codec::Pcmu,
            Party::WhatsApp => Codec::Opus,
        };
        Some(match codec {
            Codec::Opus => Impairment::OPUS,
            Codec::G722 => Impairment::G722,
            Codec::Pcmu | Codec::Pcma => Impairment::G711,
        })
    }
}

#[cfg(test)]
mod tests;
