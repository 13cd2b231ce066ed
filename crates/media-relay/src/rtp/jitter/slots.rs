//! The packets that wait, each in the slot of its number.

use super::{Header, Packet, SLOT_BYTES, SLOTS};

#[derive(Debug, Default)]
pub(super) struct Slots {
    /// There from the first packet that waits: most calls have none.
    slots: Option<Box<[Slot; SLOTS]>>,
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
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    pub(super) fn clear(&mut self) {
        for slot in self.slots.iter_mut().flat_map(|slots| slots.iter_mut()) {
            slot.state = State::Empty;
        }
        self.held = 0;
    }

    pub(super) fn state(&self, sequence: u16) -> State {
        self.slot(sequence).map_or(State::Empty, |slot| slot.state)
    }

    /// The payload that waits in a slot, so many octets.
    pub(super) fn payload(&self, sequence: u16, length: usize) -> &[u8] {
        self.slot(sequence).and_then(|slot| slot.payload.get(..length)).unwrap_or_default()
    }

    /// Fills an empty slot with sound.
    pub(super) fn store(&mut self, packet: Packet<'_>, ticks: u32) {
        let Packet { header, payload } = packet;
        if let Some(slot) = self.slot_to_fill(header.sequence)
            && let Some(room) = slot.payload.get_mut(..payload.len())
        {
            room.copy_from_slice(payload);
            slot.state = State::Sound { header, ticks, length: payload.len() };
            self.held += 1;
        }
    }

    /// Fills an empty slot with a packet that is no sound.
    pub(super) fn note_other(&mut self, sequence: u16) {
        if let Some(slot) = self.slot_to_fill(sequence) {
            slot.state = State::Other;
            self.held += 1;
        }
    }

    /// Empties a slot. Gives whether there was anything in it.
    pub(super) fn take(&mut self, sequence: u16) -> bool {
        let slots = self.slots.as_mut();
        let slot = slots.and_then(|slots| slots.get_mut(usize::from(sequence) % SLOTS));
        let state = slot.map(|slot| std::mem::replace(&mut slot.state, State::Empty));
        let came = state.is_some_and(|state| state != State::Empty);
        self.held -= usize::from(came);
        came
    }

    fn slot(&self, sequence: u16) -> Option<&Slot> {
        self.slots.as_ref()?.get(usize::from(sequence) % SLOTS)
    }

    fn slot_to_fill(&mut self, sequence: u16) -> Option<&mut Slot> {
        let empty = Slot { state: State::Empty, payload: [0; SLOT_BYTES] };
        let slots = self.slots.get_or_insert_with(|| Box::new([empty; SLOTS]));
        slots.get_mut(usize::from(sequence) % SLOTS)
    }
}
