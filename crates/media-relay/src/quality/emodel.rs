//! The E-model (ITU-T G.107, 06/2015): from delay, loss and codec to a rating R and a mean opinion
//! score. Everything that a relay cannot know, such as telephones and rooms, has its default there.

use std::time::Duration;

/// Basic signal-to-noise ratio with all defaults (G.107 7.2).
const RO: f64 = 94.7688;
/// Simultaneous impairment with all defaults (G.107 7.3).
const IS: f64 = 1.4136;
/// Talker echo loudness rating in dB (G.107 table 2).
const TELR: f64 = 65.0;
/// Weighted echo path loss in dB (G.107 table 2).
const WEPL: f64 = 110.0;
/// The sum of all noise with all defaults, and the receive loudness rating, in dB.
const NO: f64 = -61.18;
const RLR: f64 = 2.0;
/// Where packet loss in bursts ends to be worse (G.107 table 2).
const MOST_BURST: f64 = 8.0;

/// What a codec costs, and how it bears loss (G.107 7.5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Impairment {
    /// Equipment impairment factor, 0 to 95.
    ie: f64,
    /// Packet-loss robustness factor, 4.3 and more.
    bpl: f64,
}

impl Impairment {
    /// G.711 whose receiver conceals losses: G.113 (11/2007) table I.4, Appendix I of G.711.
    pub(crate) const G711: Self = Self { ie: 0.0, bpl: 25.1 };
    /// G.711 whose receiver does not: G.113 table I.4.
    #[cfg_attr(not(test), expect(dead_code, reason = "every receiver here conceals"))]
    pub(crate) const G711_UNCONCEALED: Self = Self { ie: 0.0, bpl: 4.3 };
    /// G.722 at 64 kbit/s. G.113 gives it 13 on the wideband scale, which reaches 129: better than
    /// G.711, so 0 here. It has no published factor for loss on this scale. Concealment by pitch
    /// repetition as for G.711, but an error lives on in the predictor: half of G.711's is assumed.
    pub(crate) const G722: Self = Self { ie: 0.0, bpl: 12.5 };
    /// Opus as WhatsApp wants it: wideband, about 20 kbit/s. ITU-T has published no factors for it.
    /// Wideband speech at that rate was preferred to narrowband PCM in the listening tests that went
    /// with RFC 6716: 0 here. Its concealment extends a linear predictor, as G.729's does, whose
    /// factor for loss is taken: 19 (G.113 table I.4).
    pub(crate) const OPUS: Self = Self { ie: 0.0, bpl: 19.0 };

    /// With packets lost: `percent` of them, `burst` times as many in a row as chance gives
    /// (G.107 7.5).
    fn effective(self, percent: f64, burst: f64) -> f64 {
        let burst = burst.clamp(1.0, MOST_BURST);
        self.ie + (95.0 - self.ie) * percent / (percent / burst + self.bpl)
    }
}

/// What happens to sound on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Way {
    /// From mouth to ear.
    pub(crate) delay: Duration,
    /// Of the packets, 0 to 100.
    pub(crate) percent_lost: f64,
    /// The mean run of lost packets, beside that of random loss (G.107 7.5); 1 where losses are
    /// independent.
    pub(crate) burst_ratio: f64,
    /// The codec.
    pub(crate) codec: Impairment,
}

impl Way {
    /// The transmission rating factor R (G.107 7.1).
    pub(crate) fn rating(&self) -> f64 {
        let delay = self.delay.as_secs_f64() * 1000.0;
        let delayed = talker_echo(delay) + listener_echo(2.0 * delay) + absolute(delay);
        RO - IS - delayed - self.codec.effective(self.percent_lost, self.burst_ratio)
    }

    /// The mean opinion score (G.107 Annex B): 1 to 4.5.
    pub(crate) fn mos(&self) -> f32 {
        opinion(self.rating()) as f32
    }
}

/// Idte: our own voice, heard again after twice the delay (G.107 7.4).
fn talker_echo(delay: f64) -> f64 {
    let roe = -1.5 * (NO - RLR);
    let masked = 40.0 * ((1.0 + delay / 10.0) / (1.0 + delay / 150.0)).log10();
    let terv = TELR - masked + 6.0 * (-0.3 * delay * delay).exp();
    let re = 80.0 + 2.5 * (terv - 14.0);
    let half = (roe - re) / 2.0;
    (half + (half * half + 100.0).sqrt() - 1.0) * (1.0 - (-delay).exp())
}

/// Idle: the other's voice, heard again after a round trip in the four-wire loop (G.107 7.4).
fn listener_echo(round_trip: f64) -> f64 {
    let rle = 10.5 * (WEPL + 7.0) * (round_trip + 1.0).powf(-0.25);
    let half = (RO - rle) / 2.0;
    half + (half * half + 169.0).sqrt()
}

/// Idd: waiting for the other, though there be no echo (G.107 7.4).
fn absolute(delay: f64) -> f64 {
    if delay <= 100.0 {
        return 0.0;
    }
    let x = (delay / 100.0).log2();
    let root = |x: f64| (1.0 + x.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

/// From R to the mean opinion score (G.107 Annex B). Its curve dips below 1 for the smallest R.
fn opinion(r: f64) -> f64 {
    if r <= 0.0 {
        1.0
    } else if r >= 100.0 {
        4.5
    } else {
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
    }
}

#[cfg(test)]
mod tests;
