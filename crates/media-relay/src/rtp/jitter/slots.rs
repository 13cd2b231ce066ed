//! The packets that wait, each in the slot of its number.

use super::{Header, Packet, SLOT_BYTES, SLOTS};

#[derive(Debug)]
pub(super) struct Slots {
    slots: Box<[Slot; SLOTS]>,
    /// Slots that are not empty.
    held: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    state: State,
    payload: [u8; SLOT_BYTES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Empty,
    Sound {
        header: Header,
        ticks: u32,
        length: usize,
    },
    /// A packet that is no sound.
    Other,
}

impl Slots {
    pub(super) fn new() -> Self {
        let empty = Slot { state: State::Empty, payload: [0; SLOT_BYTES] };
        Self { slots: Box::new([empty; SLOTS]), held: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    pub(super) fn clear(&mut self) {
        for slot in self.slots.iter_mut() {
            slot.state = State::Empty;
        }
        self.held = 0;
    }

    pub(super) fn state(&self, sequence: u16) -> State {
        self.slots.get(usize::from(sequence) % SLOTS).map_or(State::Empty, |slot| slot.state)
    }

    /// The payload that waits in a slot, so many octets.
    pub(super) fn payload(&self, sequence: u16, length: usize) -> &[u8] {
        let slot = self.slots.get(usize::from(sequence) % SLOTS);
        slot.and_then(|slot| slot.payload.get(..length)).unwrap_or_default()
    }

    /// Fills an empty slot with sound.
    pub(super) fn store(&mut self, packet: Packet<'_>, ticks: u32) {
        let Packet { header, payload } = packet;
        if let Some(slot) = self.slots.get_mut(usize::from(header.sequence) % SLOTS)
            && let Some(room) = slot.payload.get_mut(..payload.len())
        {
            room.copy_from_slice(payload);
            slot.state = State::Sound { header, ticks, length: payload.len() };
            self.held += 1;
        }
    }

    /// Fills an empty slot with a packet that is no sound.
    pub(super) fn note_other(&mut self, sequence: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(sequence) % SLOTS) {
            slot.state = State::Other;
            self.held += 1;
        }
    }

    /// Empties a slot. Gives whether there was anything in it.
    pub(super) fn take(&mut self, sequence: u16) -> bool {
        let slot = self.slots.get_mut(usize::from(sequence) % SLOTS);
        let state = slot.map(|slot| std::mem::replace(&mut slot.state, State::Empty));
        let came = state.is_some_and(|state| state != State::Empty);
        self.held -= usize::from(came);
        came
    }
}
