//! When a file that changes is worth loading. Pure.

/// What was found in a file, look by look. A file that cannot be read is a finding like any other.
#[derive(Debug)]
pub(super) struct Look {
    /// What was loaded last, or tried to be.
    tried: Option<String>,
    /// Whether that went well.
    is_good: bool,
    /// What the last look found.
    seen: Option<String>,
}

impl Look {
    /// This was loaded well.
    pub(super) fn new(text: &str) -> Self {
        Self { tried: Some(text.to_owned()), is_good: true, seen: Some(text.to_owned()) }
    }

    /// Whether what is found now is to be loaded: when it is another one and was found at the last look too, for else
    /// somebody may be writing it. What was no good is tried again at each look: what it names may have come by now.
    pub(super) fn at(&mut self, text: Option<&str>) -> bool {
        let is_still = self.seen.as_deref() == text;
        if !is_still {
            self.seen = text.map(ToOwned::to_owned);
        }
        is_still && (!self.is_good || self.tried.as_deref() != text)
    }

    /// What came of loading this.
    pub(super) fn tried(&mut self, text: Option<String>, is_good: bool) {
        self.tried = text;
        self.is_good = is_good;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these findings in turn, of which those in `good` load well; gives those that were loaded.
    fn loaded<'a>(findings: &[Option<&'a str>], good: &[&str]) -> Vec<Option<&'a str>> {
        let mut look = Look::new("old");
        let mut loaded = Vec::new();
        for finding in findings {
            if look.at(*finding) {
                loaded.push(*finding);
                look.tried(finding.map(ToOwned::to_owned), finding.is_some_and(|text| good.contains(&text)));
            }
        }
        loaded
    }

    #[test]
    fn what_stays_the_same_is_not_loaded() {
        assert_eq!(loaded(&[Some("old"); 4], &["old"]), []);
    }

    #[test]
    fn a_changed_file_is_loaded_once() {
        assert_eq!(loaded(&[Some("old"), Some("new"), Some("new"), Some("new")], &["new"]), [Some("new")]);
    }

    #[test]
    fn half_a_file_is_not_loaded() {
        let writing = [Some("n"), Some("ne"), Some("new"), Some("new"), Some("new")];
        assert_eq!(loaded(&writing, &["new"]), [Some("new")]);
        // As editors do that move the old file away.
        assert_eq!(loaded(&[None, Some("new"), Some("new")], &["new"]), [Some("new")]);
        assert_eq!(loaded(&[Some("n"), Some("old"), Some("old")], &["old"]), [], "taken back in time");
    }

    #[test]
    fn what_was_no_good_is_tried_until_it_is() {
        assert_eq!(loaded(&[Some("bad"); 3], &[]), [Some("bad"), Some("bad")]);
        assert_eq!(
            loaded(&[None, None, Some("old"), Some("old"), Some("old")], &["old"]),
            [None, Some("old")]
        );
    }
}
