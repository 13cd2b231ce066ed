//! What WhatsApp hears of ours while the PBX holds the call, or a transfer rings.

use std::time::{Duration, Instant};

use crate::complexity::Complexity;
use crate::hold::HoldSound;

use super::AudioPath;
use super::announcer::Announcer;
use super::coding::Coding;
use super::event::PathError;
use super::pbx::sends;
use super::player::Player;

/// A PBX that holds but may send has so long for the first packet of its music, and for each pause
/// in it.
const MUSIC_WAIT: Duration = Duration::from_secs(1);

/// A sound of ours as frames, without an end.
pub(super) enum Playing {
    Tone(Box<Player>),
    Recording(Box<Announcer>),
}

impl Playing {
    /// `None` where the sound is silence.
    pub(super) fn new(sound: &HoldSound, complexity: Complexity) -> Result<Option<Self>, PathError> {
        Ok(match sound {
            HoldSound::Silence => None,
            HoldSound::Tone(tone) => Some(Self::Tone(Box::new(Player::new(*tone, complexity)?))),
            HoldSound::Recording(recording) => {
                let announcer = Announcer::looped(recording.clone(), complexity)?;
                Some(Self::Recording(Box::new(announcer)))
            }
        })
    }

    /// The next 20 ms in WhatsApp's coding.
    pub(super) fn frame(&mut self, coding: Coding) -> &[u8] {
        match (self, coding) {
            (Self::Tone(tone), Coding::G711(law)) => tone.g711(law),
            (Self::Tone(tone), Coding::Opus | Coding::G722) => tone.opus(),
            (Self::Recording(recording), _) => recording.frame(coding).unwrap_or_default(),
        }
    }
}

/// What is played during a hold.
pub(super) struct Hold {
    sound: HoldSound,
    /// Of a transfer that rings.
    transfer: Option<HoldSound>,
    /// Made when a hold begins, dropped when it ends.
    pub(super) playing: Option<Playing>,
    /// When the hold was first met by silence.
    since: Option<Instant>,
}

impl Hold {
    pub(super) fn new(sound: HoldSound) -> Self {
        Self { sound, transfer: None, playing: None, since: None }
    }
}

impl AudioPath {
    /// A transfer rings, and this is heard where the PBX plays nothing; `None`: it is over.
    pub(crate) fn transferring(&mut self, sound: Option<HoldSound>) {
        let same = self.hold.transfer == sound;
        self.hold.transfer = sound;
        if !same {
            self.hold.playing = None;
        }
        self.hold_changed();
    }

    /// The PBX may have begun or ended a hold.
    pub(super) fn hold_changed(&mut self) {
        if !self.is_held() {
            self.hold.playing = None;
            self.hold.since = None;
            return;
        }
        if self.hold.playing.is_none() {
            let sound = self.hold.transfer.as_ref().unwrap_or(&self.hold.sound);
            // Without memory for an encoder there is silence.
            self.hold.playing = Playing::new(sound, self.opus_complexity).unwrap_or_default();
        }
    }

    /// Whether the PBX holds the call, or has left it to a transfer.
    pub(super) fn is_held(&self) -> bool {
        self.hold.transfer.is_some() || self.pbx.media().is_some_and(|media| !sends(media))
    }

    /// Whether sound of the PBX should come.
    pub(super) fn expects_pbx(&self) -> bool {
        self.is_open() && !self.is_held() && self.pbx.media().is_some_and(|media| media.direction.receives())
    }

    /// Whether the hold's sound is due in the PBX's silence: its own music goes before.
    pub(super) fn plays_hold(&mut self, now: Instant) -> bool {
        if self.hold.playing.is_none() {
            return false;
        }
        let since = *self.hold.since.get_or_insert(now);
        let may_play = self.pbx.media().is_some_and(|media| media.direction.receives());
        let heard = self.pbx_heard.map_or(since, |heard| heard.max(since));
        !may_play || now.saturating_duration_since(heard) >= MUSIC_WAIT
    }
}
