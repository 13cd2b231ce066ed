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
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Hearing,
    Concealing(Box<Repetition>),
}

/// The history of a loss, repeated.
#[derive(Debug, Clone)]
struct Repetition {
    source: [i16; HISTORY],
    /// Samples of a pitch period, and of a quarter of it.
    period: usize,
    blend: usize,
    /// Samples to the end of the source.
    left: usize,
    /// How far the source goes back at its end.
    back: usize,
    /// From the source to what was played last.
    step: f32,
    /// Samples made up so far.
    made: usize,
}

impl Concealer {
    /// For sound at 8000 or 16,000 Hz.
    pub(crate) fn new(rate: u32) -> Self {
        let per_ms = if rate > 8000 { 16 } else { 8 };
        Self { per_ms, history: [0; HISTORY], state: State::Hearing }
    }

    /// What was received: kept for a loss to come. After a loss its beginning is blended with what
    /// was made up.
    pub(crate) fn hear(&mut self, samples: &mut [i16]) {
        if let State::Concealing(repetition) = &mut self.state {
            let lost_ms = repetition.made / self.per_ms;
            let blend = (lost_ms * 2 / 5).clamp(LEAST_BLEND_MS, MOST_BLEND_MS) * self.per_ms;
            let blend = blend.min(samples.len());
            for (index, sample) in samples.iter_mut().take(blend).enumerate() {
                let made_up = repetition.next(self.per_ms);
                *sample = between(made_up, f32::from(*sample), index + 1, blend + 1);
            }
            self.state = State::Hearing;
        }
        self.keep(samples);
    }

    /// What was lost: makes it up.
    pub(crate) fn conceal(&mut self, samples: &mut [i16]) {
        if matches!(self.state, State::Hearing) {
            self.state = State::Concealing(Box::new(Repetition::new(&self.history, self.per_ms)));
        }
        if let State::Concealing(repetition) = &mut self.state {
            for sample in &mut *samples {
                // Between two samples, but for the levelled step.
                *sample = repetition.next(self.per_ms) as i16;
            }
        }
        self.keep(samples);
    }

    fn keep(&mut self, samples: &[i16]) {
        let new = samples.last_chunk::<HISTORY>().map_or(samples, |last| last);
        self.history.copy_within(new.len().., 0);
        if let Some(end) = self.history.get_mut(HISTORY - new.len()..) {
            end.copy_from_slice(new);
        }
    }
}
