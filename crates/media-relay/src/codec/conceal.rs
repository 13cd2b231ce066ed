//! Packet loss concealment for sound without one of its own, in the manner of ITU-T G.711
//! Appendix I: the last pitch periods are repeated, and fade away. It adds no delay: where the
//! appendix blends into a loss with what it held back, the step to the first period is levelled.

/// The highest and the lowest pitch that is looked for, in hertz.
const HIGHEST_PITCH: usize = 200;
const LOWEST_PITCH: usize = 66;
/// Sound that is compared with what came a period before.
const COMPARED_MS: usize = 20;
/// One period alone is repeated for so long, then two, then three: one for long would buzz.
const PER_CYCLE_MS: usize = 10;
const MOST_CYCLES: usize = 3;
/// Full level before, silence after.
const FADES_FROM_MS: usize = 10;
const SILENT_FROM_MS: usize = 60;
/// What is heard again is blended in for this, longer after a longer loss.
const LEAST_BLEND_MS: usize = 4;
const MOST_BLEND_MS: usize = 10;
/// At 16 kHz: three of the longest periods and what they are blended with, [`COMPARED_MS`] and one
/// of them.
const HISTORY: usize = 800;

/// Makes up what was lost, of sound at one rate.
#[derive(Debug, Clone)]
pub(crate) struct Concealer {
    /// Samples in a millisecond.
    per_ms: usize,
    /// What was played last, made up or not; the newest at the end.
    history: [i16; HISTORY],
    /// The history when the loss began.
    source: [i16; HISTORY],
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Hearing,
    Concealing(Repetition),
}

/// The source, repeated.
#[derive(Debug, Clone, Copy)]
struct Repetition {
    per_ms: usize,
    /// Samples of a pitch period, and of a quarter of it.
    period: usize,
    quarter: usize,
    /// Samples to the end of the source.
    left: usize,
    /// How far the source goes back at its end.
    back: usize,
    /// From the first sample's place in the source to what was played last.
    step: f32,
    /// Samples made up so far.
    made: usize,
}

impl Concealer {
    /// For sound at 8000 or 16,000 Hz.
    pub(crate) fn new(rate: u32) -> Self {
        let per_ms = if rate > 8000 { 16 } else { 8 };
        Self { per_ms, history: [0; HISTORY], source: [0; HISTORY], state: State::Hearing }
    }

    /// What was received: kept for a loss to come. After a loss its beginning is blended with what
    /// would have been made up.
    pub(crate) fn hear(&mut self, samples: &mut [i16]) {
        if let State::Concealing(mut repetition) = self.state {
            let blend = repetition.blend_ms() * self.per_ms;
            let blend = blend.min(samples.len());
            for (index, sample) in samples.iter_mut().take(blend).enumerate() {
                let made_up = repetition.next(&self.source);
                *sample = between(made_up, (*sample).into(), share(index + 1, blend + 1)) as i16;
            }
            self.state = State::Hearing;
        }
        self.keep(samples);
    }

    /// What was lost: makes it up.
    pub(crate) fn conceal(&mut self, samples: &mut [i16]) {
        let mut repetition = match self.state {
            State::Concealing(repetition) => repetition,
            State::Hearing => {
                self.source = self.history;
                Repetition::of(&self.source, self.per_ms)
            }
        };
        for sample in &mut *samples {
            // The cast saturates.
            *sample = repetition.next(&self.source) as i16;
        }
        self.state = State::Concealing(repetition);
        self.keep(samples);
    }

    fn keep(&mut self, samples: &[i16]) {
        let new = samples.last_chunk::<HISTORY>().map_or(samples, |last| &last[..]);
        self.history.copy_within(new.len().., 0);
        if let Some(end) = self.history.get_mut(HISTORY - new.len()..) {
            end.copy_from_slice(new);
        }
    }
}

impl Repetition {
    fn of(source: &[i16; HISTORY], per_ms: usize) -> Self {
        let period = pitch(source, per_ms);
        let before = |left: usize| f32::from(source[HISTORY - left]);
        let step = before(1) - before(period + 1);
        Self { per_ms, period, quarter: period / 4, left: period, back: period, step, made: 0 }
    }

    fn next(&mut self, source: &[i16; HISTORY]) -> f32 {
        let level = self.level();
        if level <= 0.0 {
            return 0.0;
        }
        let mut value = f32::from(source[HISTORY - self.left]);
        if self.left == self.quarter {
            let cycles = 1 + self.made / (PER_CYCLE_MS * self.per_ms);
            self.back = self.period * cycles.min(MOST_CYCLES);
        }
        if self.left <= self.quarter {
            let older = f32::from(source[HISTORY - self.left - self.back]);
            value = between(older, value, share(self.left, self.quarter + 1));
        }
        if self.made < self.quarter {
            value += self.step * (1.0 - share(self.made + 1, self.quarter + 1));
        }
        self.left -= 1;
        if self.left == 0 {
            self.left = self.back;
        }
        self.made += 1;
        value * level
    }

    /// Between 1 and 0, falling.
    fn level(&self) -> f32 {
        let fading = self.made.saturating_sub(FADES_FROM_MS * self.per_ms);
        1.0 - share(fading, (SILENT_FROM_MS - FADES_FROM_MS) * self.per_ms)
    }

    /// 4 ms for each 10 ms lost.
    fn blend_ms(&self) -> usize {
        (self.made * 2 / 5 / self.per_ms).clamp(LEAST_BLEND_MS, MOST_BLEND_MS)
    }
}

/// The lag, in samples, at which the end of the source is most like what came before it.
fn pitch(source: &[i16; HISTORY], per_ms: usize) -> usize {
    let [shortest, longest] = [HIGHEST_PITCH, LOWEST_PITCH].map(|hertz| per_ms * 1000 / hertz);
    let compared = COMPARED_MS * per_ms;
    let end = &source[HISTORY - compared..];
    let mut best = (shortest, f64::MIN);
    for lag in shortest..=longest {
        let earlier = &source[HISTORY - compared - lag..HISTORY - lag];
        let alike = product(end, earlier);
        let likeness = alike * alike.abs() / (product(earlier, earlier) + 1.0);
        if likeness > best.1 {
            best = (lag, likeness);
        }
    }
    best.0
}

fn product(a: &[i16], b: &[i16]) -> f64 {
    let sum: i64 = a.iter().zip(b).map(|(a, b)| i64::from(i32::from(*a) * i32::from(*b))).sum();
    sum as f64
}

fn share(part: usize, whole: usize) -> f32 {
    part as f32 / whole as f32
}

/// `from` at 0, `to` at 1.
fn between(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

#[cfg(test)]
mod tests;
