//! Taking the record of a leg, at every step that changes how it is to be ended.

use crate::endpoint::{Endpoint, Notice, Output};

impl Endpoint {
    /// Tells the user what has changed with this input.
    pub(in crate::endpoint) fn tell_records(&mut self) {
        while let Some((leg, record)) = self.records.take_changed() {
            self.outputs.push_back(Output::Notice(Notice::Record { leg, record }));
        }
    }
}
