//! What is not written yet. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

/// The most lines that wait; then the oldest give way. With a kilobyte each that is 100 MB.
const MOST: usize = 100_000;

/// Lines in the order in which they came, each with a number.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: VecDeque<Arc<[u8]>>,
    /// The number of the first.
    first: u64,
    dropped: u64,
}

impl Queue {
    /// True when the oldest line had to give way.
    pub(super) fn push(&mut self, line: Vec<u8>) -> bool {
        let is_full = self.lines.len() >= MOST;
        if is_full {
            self.lines.pop_front();
            self.first += 1;
            self.dropped += 1;
        }
        self.lines.push_back(line.into());
        is_full
    }

    /// The first lines and the number of the first of them; they stay until [`Self::written`].
    pub(super) fn batch(&self, most: usize) -> (u64, Vec<Arc<[u8]>>) {
        (self.first, self.lines.iter().take(most).cloned().collect())
    }

    /// So many lines from this number on are written. Those that gave way meanwhile are gone already.
    pub(super) fn written(&mut self, from: u64, count: usize) {
        let upto = from + count as u64;
        while self.first < upto && self.lines.pop_front().is_some() {
            self.first += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// How many lines gave way.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(queue: &Queue, most: usize) -> Vec<String> {
        let (_, lines) = queue.batch(most);
        lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn the_oldest_give_way_when_too_many_wait() {
        let mut queue = Queue::default();
        let gave_way = (0..MOST + 2).filter(|number| queue.push(number.to_string().into_bytes())).count();
        assert_eq!((gave_way, queue.len(), queue.dropped()), (2, MOST, 2));
        assert_eq!(numbers(&queue, 2), ["2", "3"]);
    }

    #[test]
    fn a_line_that_gave_way_while_it_was_written_takes_no_other_with_it() {
        let mut queue = Queue::default();
        for number in 0..MOST {
            queue.push(number.to_string().into_bytes());
        }
        let (from, lines) = queue.batch(3);
        queue.push(b"new".to_vec());
        queue.written(from, lines.len());
        assert_eq!(numbers(&queue, 1), ["3"]);
        queue.written(from, lines.len());
        assert_eq!(numbers(&queue, 1), ["3"], "said twice");
    }
}
