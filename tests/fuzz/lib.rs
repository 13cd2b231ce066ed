//! What is fuzzed. Each target is a plain function of bytes that panics when something is wrong: libFuzzer drives it
//! (`./x fuzz`), and `cargo test` replays the corpus.

mod calls;
mod digest;
mod message;
mod sdp;

/// One thing that is fuzzed.
#[derive(Debug)]
pub struct Target {
    /// Its name, that of its corpus folder too.
    pub name: &'static str,
    /// Panics when something is wrong.
    pub body: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "datagram", body: message::datagram },
    Target { name: "uri", body: message::uri },
    Target { name: "digest", body: digest::digest },
    Target { name: "sdp", body: sdp::sdp },
    Target { name: "calls", body: calls::calls },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// All names, for a message.
#[must_use]
pub fn names() -> String {
    TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ")
}
