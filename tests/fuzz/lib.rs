//! What is fuzzed. Each target is a plain function of bytes that panics when something is wrong: libFuzzer drives it
//! (`./x fuzz`), and `cargo test` replays the corpus.

mod calls;
mod choices;
mod digest;
mod dtmf;
mod media_sdp;
mod message;
mod rtcp;
mod rtp;
mod sdp;
mod stream;
mod stun;
mod webhook;

/// One thing that is fuzzed.
#[derive(Debug)]
pub struct Target {
    /// Its name, that of its corpus folder too.
    pub name: &'static str,
    /// A folder of further seeds, of the whole project: files that other tests hold already.
    pub seeds: Option<&'static str>,
    /// Panics when something is wrong.
    pub body: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "datagram", seeds: Some("crates/sip-core/tests/torture"), body: message::datagram },
    Target { name: "stream", seeds: None, body: stream::stream },
    Target { name: "uri", seeds: None, body: message::uri },
    Target { name: "digest", seeds: None, body: digest::digest },
    Target { name: "sdp", seeds: None, body: sdp::sdp },
    Target { name: "calls", seeds: None, body: calls::calls },
    Target { name: "rtp", seeds: None, body: rtp::rtp },
    Target { name: "rtcp", seeds: None, body: rtcp::rtcp },
    Target { name: "dtmf", seeds: None, body: dtmf::dtmf },
    Target { name: "stun", seeds: None, body: stun::stun },
    Target { name: "media_sdp", seeds: None, body: media_sdp::media_sdp },
    Target { name: "webhook", seeds: None, body: webhook::webhook },
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
