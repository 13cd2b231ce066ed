//! The ladder: what happened in each call, between whom, and when.
//!
//! Both halves of the sandbox write to it (the SIP phone its messages, the simulated WhatsApp its requests,
//! webhooks and media events) under one key a call: the WhatsApp user's number in digits.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Events kept; the oldest go first.
const CAPACITY: usize = 50_000;

/// Columns of the four lifelines in the printed ladder.
const COLUMNS: [usize; 4] = [12, 40, 68, 96];
/// Width of a printed line.
const WIDTH: usize = 99;

/// Who speaks or listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The SIP phone that plays the PBX.
    Pbx,
    /// The bridge under test.
    Bridge,
    /// WhatsApp's servers: Graph API, webhooks and media relay.
    WhatsApp,
    /// The WhatsApp user with the phone in hand.
    User,
}

impl Lane {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Pbx, "PBX"), (Self::Bridge, "Bridge"), (Self::WhatsApp, "WhatsApp"), (Self::User, "User")];

    fn column(self) -> usize {
        COLUMNS[self as usize]
    }
}

/// One line of a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Time since the ladder was made.
    pub at: Duration,
    /// Key of the call: the WhatsApp user's number.
    pub call: String,
    /// Where the arrow starts.
    pub from: Lane,
    /// Where it ends; the same lane for something that happens at one place.
    pub to: Lane,
    /// What is said.
    pub label: String,
}

/// The shared list of events; clones write to the same list.
#[derive(Clone, Debug)]
pub struct Ladder {
    start: Instant,
    events: Arc<Mutex<VecDeque<Event>>>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self::new()
    }
}

impl Ladder {
    /// An empty ladder; its time starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), events: Arc::default() }
    }

    /// An arrow from one lane to another.
    pub fn log(&self, call: &str, from: Lane, to: Lane, label: impl Into<String>) {
        let at = self.start.elapsed();
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == CAPACITY {
            events.pop_front();
        }
        events.push_back(Event { at, call: call.to_owned(), from, to, label: label.into() });
    }

    /// Something that happens at one lane.
    pub fn note(&self, call: &str, at: Lane, label: impl Into<String>) {
        self.log(call, at, at, label);
    }

    /// The events of one call, in order.
    #[must_use]
    pub fn events(&self, call: &str) -> Vec<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|event| event.call == call).cloned().collect()
    }

    /// Keys of all calls, in order of their first event.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let mut calls: Vec<String> = Vec::new();
        for event in events.iter() {
            if !calls.contains(&event.call) {
                calls.push(event.call.clone());
            }
        }
        calls
    }

    /// Drops what is known of a call, so that the next call to the same number has a ladder of its own.
    pub fn forget(&self, call: &str) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).retain(|event| event.call != call);
    }

    /// The ladder of one call as text, times in ms since the call's first event.
    #[must_use]
    pub fn print(&self, call: &str) -> String {
        let events = self.events(call);
        let start = events.first().map(|event| event.at).unwrap_or_default();
        let mut text = header();
        for event in &events {
            let ms = (event.at - start).as_secs_f64() * 1000.0;
            for (index, line) in draw(event).into_iter().enumerate() {
                let time = if index == 0 { format!("{ms:8.1}") } else { " ".repeat(8) };
                let line: String = line.into_iter().skip(8).collect();
                let _ = writeln!(text, "{time}{}", line.trim_end());
            }
        }
        text
    }
}

fn header() -> String {
    let mut line = vec![' '; WIDTH + 8];
    for (lane, name) in Lane::ALL {
        put(&mut line, lane.column().saturating_sub(name.len() / 2), name);
    }
    put(&mut line, 5, " ms");
    let mut text: String = line.into_iter().collect::<String>().trim_end().to_owned();
    text.push('\n');
    text
}

/// The lines of one event: its label on the arrow, or above it where it does not fit.
fn draw(event: &Event) -> Vec<Vec<char>> {
    if event.from == event.to {
        return note(event.from, &event.label);
    }
    let (left, right) =
        (event.from.column().min(event.to.column()), event.from.column().max(event.to.column()));
    let room = right - left - 1;
    let mut lines = Vec::new();
    let mut pieces = wrap(&event.label, room - 2);
    let on_arrow =
        if pieces.len() == 1 && pieces[0].chars().count() + 6 <= room { pieces.pop() } else { None };
    for piece in pieces {
        let mut line = lifelines(event.from, event.to);
        put(&mut line, left + 1 + (room - piece.chars().count()) / 2, &piece);
        lines.push(line);
    }
    let mut line = lifelines(event.from, event.to);
    line[left + 1..right].fill('-');
    if let Some(label) = on_arrow {
        put(&mut line, left + 1 + (room - label.chars().count() - 2) / 2, &format!(" {label} "));
    }
    if event.from.column() < event.to.column() {
        line[right - 1] = '>';
    } else {
        line[left + 1] = '<';
    }
    lines.push(line);
    lines
}

/// A note stands to the right of its lifeline; at the last lane to the left.
fn note(lane: Lane, label: &str) -> Vec<Vec<char>> {
    let room = COLUMNS[1] - COLUMNS[0] - 4;
    wrap(label, room)
        .into_iter()
        .map(|piece| {
            let mut line = lifelines(lane, lane);
            let width = piece.chars().count();
            let start = if lane == Lane::User { lane.column() - width - 1 } else { lane.column() + 2 };
            put(&mut line, start, &piece);
            line[lane.column()] = '*';
            line
        })
        .collect()
}

fn lifelines(from: Lane, to: Lane) -> Vec<char> {
    let mut line = vec![' '; WIDTH];
    let (left, right) = (from.column().min(to.column()), from.column().max(to.column()));
    for column in COLUMNS {
        if column <= left || column >= right {
            line[column] = '|';
        }
    }
    line
}

fn put(line: &mut [char], start: usize, text: &str) {
    for (place, letter) in line.iter_mut().skip(start).zip(text.chars()) {
        *place = letter;
    }
}

/// Breaks a label at spaces (or anywhere, where a word is too long) into pieces of at most `room`.
fn wrap(label: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in label.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(room) {
            let part: String = part.iter().collect();
            let last = pieces.last_mut().expect("there is always a piece");
            let taken = last.chars().count();
            if taken == 0 {
                last.push_str(&part);
            } else if taken + 1 + part.chars().count() <= room {
                last.push(' ');
                last.push_str(&part);
            } else {
                pieces.push(part);
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_arrows_notes_and_long_labels_within_100_columns() {
        let ladder = Ladder::new();
        ladder.log("1", Lane::Pbx, Lane::Bridge, "INVITE");
        ladder.log("2", Lane::Pbx, Lane::Bridge, "another call");
        ladder.log(
            "1",
            Lane::Bridge,
            Lane::WhatsApp,
            "POST connect with a label that is far too long for an arrow",
        );
        ladder.log("1", Lane::User, Lane::Pbx, "sound");
        ladder.note("1", Lane::User, "picks up");
        ladder.note("1", Lane::WhatsApp, "x".repeat(60));
        let text = ladder.print("1");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(!text.contains("another call"));
        let invite = text.lines().find(|line| line.contains("INVITE")).unwrap();
        assert!(invite.trim_start().starts_with("0.0"), "{invite}");
        assert!(invite.contains("|--------- INVITE --------->|"), "{invite}");
        assert!(text.contains("<----"), "{text}");
        assert!(text.contains("picks up *"), "{text}");
        assert_eq!(ladder.calls(), ["1", "2"]);
        ladder.forget("1");
        assert_eq!(ladder.events("1"), []);
        assert_eq!(ladder.events("2").len(), 1);
    }
}
