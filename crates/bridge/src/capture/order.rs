//! Which calls are to be captured: the next so many of those that are meant.

/// An order of somebody who looks for trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// How many calls are still to be captured.
    pub(crate) calls: u32,
    /// Those of this trunk alone.
    pub(crate) trunk: Option<String>,
    /// Those that this number calls or is called in alone.
    pub(crate) number: Option<String>,
}

impl Order {
    /// Reads the query of a request: `calls=3&trunk=office&number=491701234567`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        let mut order = Self::default();
        let mut counted = false;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("calls", text)) => {
                    order.calls = text.parse().map_err(|_| format!("calls: {text:?} is no number"))?;
                    counted = true;
                }
                Some(("trunk", name)) => order.trunk = Some(name.to_owned()),
                Some(("number", number)) => {
                    // The + of a number may be written as it is, or escaped.
                    let number = number.replace("%2B", "").replace("%2b", "");
                    order.number = Some(number.trim_start_matches('+').to_owned());
                }
                _ => return Err(format!("{pair:?} is none of calls=, trunk= and number=")),
            }
        }
        if counted { Ok(order) } else { Err("calls= is missing: write how many".to_owned()) }
    }

    /// Whether a call is meant; `concerns` says whether a number has to do with it.
    pub(crate) fn is_for(&self, trunk: Option<&str>, concerns: impl Fn(&str) -> bool) -> bool {
        let right_trunk = self.trunk.as_deref().is_none_or(|wanted| trunk == Some(wanted));
        self.calls > 0 && right_trunk && self.number.as_deref().is_none_or(concerns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_and_a_wrong_one_says_why() {
        let read = Order::parse("calls=3&trunk=office&number=%2B4917012").expect("an order");
        let wanted = Order { calls: 3, trunk: Some("office".to_owned()), number: Some("4917012".to_owned()) };
        assert_eq!(read, wanted);
        assert_eq!(Order::parse("calls=0"), Ok(Order::default()));
        for (query, why) in
            [("", "missing"), ("calls=x", "no number"), ("calls=1&user=2", "none of"), ("calls", "none of")]
        {
            assert!(Order::parse(query).is_err_and(|error| error.contains(why)), "{query}");
        }
    }

    #[test]
    fn an_order_means_calls_of_its_trunk_and_its_number() {
        let any = Order { calls: 1, ..Order::default() };
        assert!(any.is_for(None, |_| false));
        assert!(!Order::default().is_for(None, |_| true), "none are left");
        let of = Order { trunk: Some("office".to_owned()), number: Some("49".to_owned()), ..any };
        assert!(of.is_for(Some("office"), |number| number == "49"));
        assert!(!of.is_for(Some("other"), |_| true) && !of.is_for(None, |_| true));
        assert!(!of.is_for(Some("office"), |_| false));
    }
}
