//! Route sets (RFC 3261 12.2.1.1): where a request within a dialog goes.

use crate::message::{NameAddr, Uri};

/// Request-URI, Route header field and next hop of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Routed {
    pub(crate) uri: Uri,
    pub(crate) route: Vec<NameAddr>,
    pub(crate) next_hop: Uri,
}

/// Applies a route set to a remote target.
pub(crate) fn apply(target: &Uri, routes: &[NameAddr]) -> Routed {
    let Some((first, others)) = routes.split_first() else {
        return Routed { uri: target.clone(), route: Vec::new(), next_hop: target.clone() };
    };
    if first.uri.params.has("lr") {
        return Routed { uri: target.clone(), route: routes.to_vec(), next_hop: first.uri.clone() };
    }
    // A strict router of RFC 2543 finds itself in the Request-URI and the target at the end of the Route.
    let mut uri = first.uri.clone();
    uri.headers = None;
    uri.params.remove("method");
    let mut route = others.to_vec();
    route.push(NameAddr::new(target.clone()));
    Routed { next_hop: uri.clone(), uri, route }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(routes: &[&str]) -> (String, Vec<String>, String) {
        let routes: Vec<NameAddr> = routes.iter().map(|route| route.parse().unwrap()).collect();
        let routed = apply(&"sip:t@192.0.2.1".parse().unwrap(), &routes);
        let route = routed.route.iter().map(ToString::to_string).collect();
        (routed.uri.to_string(), route, routed.next_hop.to_string())
    }

    #[test]
    fn without_routes_the_target_is_all() {
        assert_eq!(routed(&[]), ("sip:t@192.0.2.1".into(), vec![], "sip:t@192.0.2.1".into()));
    }

    #[test]
    fn loose_routing() {
        let (uri, route, next) = routed(&["<sip:p1;lr>", "<sip:p2>"]);
        assert_eq!((uri.as_str(), next.as_str()), ("sip:t@192.0.2.1", "sip:p1;lr"));
        assert_eq!(route, ["<sip:p1;lr>", "<sip:p2>"]);
    }

    #[test]
    fn strict_routing() {
        let (uri, route, next) = routed(&["<sip:p1;method=INVITE?x=y>", "<sip:p2;lr>"]);
        assert_eq!((uri.as_str(), next.as_str()), ("sip:p1", "sip:p1"));
        assert_eq!(route, ["<sip:p2;lr>", "<sip:t@192.0.2.1>"]);
    }
}
