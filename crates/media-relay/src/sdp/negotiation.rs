//! What we and one PBX have told each other in one call (RFC 3264 8).
//!
//! All our descriptions carry one session id, and a version that grows only when they change: a PBX
//! that refreshes its session by repeating itself must see that nothing is new.

use std::net::SocketAddr;

use super::SdpError;
use super::pbx::{self, Codec, Media, Origin};

/// Our side of a call's offers and answers.
#[derive(Debug)]
pub struct Negotiation {
    local: SocketAddr,
    /// The best first.
    codecs: Vec<Codec>,
    /// What is spoken now: it stays unless the PBX no longer offers it.
    spoken: Option<Codec>,
    origin: Origin,
    /// Our last description; empty before the first.
    said: String,
}

impl Negotiation {
    /// Nothing was said yet. `local` is where the PBX is to send, `codecs` the best first.
    pub fn new(local: SocketAddr, session_id: u64, codecs: Vec<Codec>) -> Self {
        Self { local, codecs, spoken: None, origin: Origin::first(session_id), said: String::new() }
    }

    /// Our offer.
    pub fn offer(&mut self) -> String {
        let sdp = pbx::offer(self.local, self.origin, &self.codecs);
        self.say(&sdp)
    }

    /// Our answer to an offer, the first or a later one, and what is agreed by it.
    ///
    /// # Errors
    /// The offer can't be read, or has no audio and codec that we take. What was agreed before holds.
    pub fn answer(&mut self, offer: &[u8]) -> Result<(String, Media), SdpError> {
        let offer = pbx::parse_offer(offer)?;
        let preference: Vec<Codec> = self.spoken.iter().chain(&self.codecs).copied().collect();
        let (mut sdp, media) = pbx::answer(&offer, self.local, self.origin, &preference)?;
        if !self.said.is_empty() && sdp != self.said {
            self.origin.version += 1;
            (sdp, _) = pbx::answer(&offer, self.local, self.origin, &preference)?;
        }
        self.spoken = Some(media.codec);
        Ok((self.say(&sdp), media))
    }

    /// What is agreed by the PBX's answer to our offer.
    ///
    /// # Errors
    /// The stream was refused, or the answer holds no codec that we offered.
    pub fn read_answer(&mut self, answer: &[u8]) -> Result<Media, SdpError> {
        let media = pbx::parse_answer(answer, &self.codecs)?;
        self.spoken = Some(media.codec);
        Ok(media)
    }

    fn say(&mut self, sdp: &str) -> String {
        sdp.clone_into(&mut self.said);
        self.said.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::pbx::Direction;
    use super::*;

    fn offer(direction: &str, port: u16) -> String {
        format!(
            "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 103\r\na=rtpmap:103 telephone-event/8000\r\na={direction}\r\n"
        )
    }

    fn negotiation() -> Negotiation {
        let local = "192.0.2.10:40000".parse().expect("an address");
        Negotiation::new(local, 7, vec![Codec::Opus, Codec::Pcmu])
    }

    fn version(sdp: &str) -> &str {
        sdp.lines().find_map(|line| line.strip_prefix("o=- 7 ")?.split(' ').next()).unwrap_or_default()
    }

    #[test]
    fn the_version_grows_only_with_what_is_said() {
        let mut ours = negotiation();
        let mut answer = |direction| {
            let (sdp, media) = ours.answer(offer(direction, 4000).as_bytes()).expect("agreed");
            (version(&sdp).to_owned(), media.direction)
        };
        assert_eq!(answer("sendrecv"), ("1".to_owned(), Direction::SendRecv));
        assert_eq!(answer("sendrecv"), ("1".to_owned(), Direction::SendRecv));
        assert_eq!(answer("sendonly"), ("2".to_owned(), Direction::RecvOnly));
        assert_eq!(answer("inactive"), ("3".to_owned(), Direction::Inactive));
        assert_eq!(answer("inactive"), ("3".to_owned(), Direction::Inactive));
        assert_eq!(answer("sendrecv"), ("4".to_owned(), Direction::SendRecv));
    }

    #[test]
    fn a_re_invite_after_our_own_offer_goes_on_with_its_session() {
        let mut ours = negotiation();
        assert_eq!(version(&ours.offer()), "1");
        let media = ours.read_answer(offer("sendrecv", 4000).as_bytes()).expect("agreed");
        assert_eq!(media.remote.port(), 4000);
        let (sdp, media) = ours.answer(offer("sendrecv", 5000).as_bytes()).expect("agreed");
        assert_eq!((version(&sdp), media.remote.port()), ("2", 5000));
        assert_eq!(media.dtmf, Some((103, 8000)));
    }

    #[test]
    fn the_codec_that_is_spoken_stays() {
        let mut ours = negotiation();
        ours.offer();
        ours.read_answer(offer("sendrecv", 4000).as_bytes()).expect("PCMU");
        let all = offer("sendrecv", 4000)
            .replace("RTP/AVP 0", "RTP/AVP 96 0")
            .replace("a=rtpmap:103", "a=rtpmap:96 opus/48000/2\r\na=rtpmap:103");
        let (_, media) = ours.answer(all.as_bytes()).expect("agreed");
        assert_eq!(media.codec, Codec::Pcmu);
        let only_opus = all.replace("96 0", "96");
        assert_eq!(ours.answer(only_opus.as_bytes()).expect("agreed").1.codec, Codec::Opus);
    }

    #[test]
    fn an_unusable_offer_leaves_everything_as_it_was() {
        let mut ours = negotiation();
        ours.answer(offer("sendrecv", 4000).as_bytes()).expect("agreed");
        assert!(ours.answer(b"v=0").is_err());
        assert!(ours.answer(offer("sendrecv", 0).as_bytes()).is_err());
        let (sdp, _) = ours.answer(offer("sendrecv", 4000).as_bytes()).expect("agreed");
        assert_eq!(version(&sdp), "1");
    }
}
