//! What we and one PBX have told each other in one dialog (RFC 3264 8).
//!
//! All our descriptions carry one session id, and a version that grows only when they change: a PBX
//! that refreshes its session by repeating itself must see that nothing is new.
//!
//! Either side may offer, at any time, in any message (RFC 6337 2):
//!
//! - The PBX offers in INVITE, UPDATE or, where ours held none, in its 2xx or reliable 18x:
//!   [`Negotiation::answer`] goes into the response, the ACK or the PRACK.
//! - We offer, in our INVITE or where the PBX's held no description: [`Negotiation::offer`] goes into
//!   the INVITE, the 2xx or the reliable 18x, and [`Negotiation::read_answer`] reads the response, the
//!   ACK or the PRACK. In a call that goes on, [`Negotiation::offer`] repeats what is spoken, in both
//!   directions whoever is on hold: a PBX that still holds us says so in its answer.
//!
//! Where SRTP is spoken, our keys are drawn once and repeated for as long as the PBX repeats its own. A
//! PBX that says another key has begun anew, with packet counters from 0 both ways, so we say another
//! one too: never does one key protect the same counters twice.
//!
//! What fails, on either side, leaves what was agreed before ([`Negotiation::agreed`]).
//!
//! A call that is transferred gets a second leg with a dialog of its own. It gets a `Negotiation` of its
//! own too, with the same local address and another session id, while the first one lives on: the
//! call may come back to it. Which of the two is heard is said by `AudioSession::connect_pbx`.

use std::fmt;
use std::net::SocketAddr;

use super::SdpError;
use super::crypto::Keys;
use super::pbx::{self, Codec, Layout, Media, Origin, Ours, Protection, Secure, Security};

/// Our side of a dialog's offers and answers.
pub struct Negotiation {
    local: SocketAddr,
    /// The best first.
    codecs: Vec<Codec>,
    security: Security,
    keys: Keys,
    /// Something was protected by the keys as they are now.
    is_key_used: bool,
    agreed: Option<Media>,
    layout: Layout,
    origin: Origin,
    /// Our last description; empty before the first.
    said: String,
}

/// Without what was said, which may hold keys.
impl fmt::Debug for Negotiation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiation")
            .field("local", &self.local)
            .field("security", &self.security)
            .field("agreed", &self.agreed)
            .finish_non_exhaustive()
    }
}

impl Negotiation {
    /// Nothing was said yet, and SRTP is refused. `local` is where the PBX is to send, `codecs` the best
    /// first.
    pub fn new(local: SocketAddr, session_id: u64, codecs: Vec<Codec>) -> Self {
        Self {
            local,
            codecs,
            security: Security::Refuse,
            keys: Keys::new([0; 32]),
            is_key_used: false,
            agreed: None,
            layout: Layout::of(Security::Refuse),
            origin: Origin::first(session_id),
            said: String::new(),
        }
    }

    /// With SRTP as `security` says, its keys drawn from `seed`: random, and another for each dialog.
    #[must_use]
    pub fn with_srtp(self, security: Security, seed: [u8; 32]) -> Self {
        Self { security, keys: Keys::new(seed), layout: Layout::of(security), ..self }
    }

    /// What the last offer and answer agreed on.
    pub fn agreed(&self) -> Option<&Media> {
        self.agreed.as_ref()
    }

    /// Our offer: all our codecs, the one that is spoken first, in both directions.
    pub fn offer(&mut self) -> String {
        if self.is_key_used && self.secure().is_none() {
            self.keys.renew();
            self.is_key_used = false;
        }
        let codecs = self.preference();
        let offer = |origin| self.layout.offer(origin, self.ours(&codecs, &self.keys));
        let origin = self.origin_of(&offer(self.origin));
        self.said = offer(origin);
        self.origin = origin;
        self.said.clone()
    }

    /// Our answer to an offer, the first or a later one, and what is agreed by it.
    ///
    /// # Errors
    /// The offer can't be read, or has no audio and codec that we take. What was agreed before holds.
    pub fn answer(&mut self, offer: &[u8]) -> Result<(String, Media), SdpError> {
        let offer = pbx::parse_offer(offer)?;
        let (preference, mut keys) = (self.preference(), self.keys.clone());
        let answer = |origin, keys: &Keys| self.layout.answer(&offer, origin, self.ours(&preference, keys));
        let (_, media, _) = answer(self.origin, &keys)?;
        if self.must_renew(media.secure.as_ref()) {
            keys.renew();
        }
        let (sdp, ..) = answer(self.origin, &keys)?;
        let origin = self.origin_of(&sdp);
        let (sdp, media, layout) = answer(origin, &keys)?;
        self.origin = origin;
        self.keys = keys;
        self.layout = layout;
        self.said.clone_from(&sdp);
        self.agree(&media);
        Ok((sdp, media))
    }

    /// What is agreed by the PBX's answer to our offer.
    ///
    /// # Errors
    /// The stream was refused, or the answer holds no codec that we offered. What was agreed before
    /// holds.
    pub fn read_answer(&mut self, answer: &[u8]) -> Result<Media, SdpError> {
        let media = self.layout.read_answer(answer, self.ours(&self.codecs, &self.keys))?;
        self.agree(&media);
        Ok(media)
    }

    fn agree(&mut self, media: &Media) {
        self.is_key_used |= media.secure.is_some();
        self.agreed = Some(media.clone());
    }

    fn secure(&self) -> Option<&Secure> {
        self.agreed.as_ref()?.secure.as_ref()
    }

    /// Whether keys that were used would protect another session of the PBX.
    fn must_renew(&self, next: Option<&Secure>) -> bool {
        let goes_on = match (self.secure(), next) {
            (Some(before), Some(next)) => next.is_same_far(before),
            (None, Some(_)) => false,
            (_, None) => true,
        };
        self.is_key_used && !goes_on
    }

    fn ours<'a>(&'a self, codecs: &'a [Codec], keys: &'a Keys) -> Ours<'a> {
        let spoken = self.secure().map(|secure| secure.suite);
        let protection = Protection { security: self.security, keys, spoken };
        Ours { local: self.local, codecs, protection }
    }

    /// What is spoken stays unless the PBX no longer offers it.
    fn preference(&self) -> Vec<Codec> {
        let spoken = self.agreed.as_ref().map(|media| media.codec);
        let others = self.codecs.iter().copied().filter(|codec| Some(*codec) != spoken);
        spoken.into_iter().chain(others).collect()
    }

    /// The origin of a description, given as it is with the last one's: its version grows where it
    /// differs.
    fn origin_of(&self, sdp: &str) -> Origin {
        let changed = !self.said.is_empty() && sdp != self.said;
        Origin { version: self.origin.version + u64::from(changed), ..self.origin }
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

    fn m_lines(sdp: &str) -> Vec<&str> {
        sdp.lines().filter(|line| line.starts_with("m=")).collect()
    }

    #[test]
    fn an_invite_without_a_description_is_offered_to_and_its_ack_answers() {
        let mut ours = negotiation();
        let offered = ours.offer();
        assert_eq!((version(&offered), ours.agreed()), ("1", None));
        assert!(ours.read_answer(b"").is_err(), "an ACK without a description agrees on nothing");
        assert_eq!(ours.agreed(), None);
        let media = ours.read_answer(offer("sendrecv", 4000).as_bytes()).expect("agreed");
        assert_eq!(ours.agreed(), Some(&media));
    }

    #[test]
    fn an_invite_of_ours_without_a_description_is_offered_to_in_the_2xx_and_our_ack_answers() {
        let mut ours = negotiation();
        let (sdp, media) = ours.answer(offer("sendrecv", 4000).as_bytes()).expect("agreed");
        assert_eq!((version(&sdp), media.codec, media.dtmf), ("1", Codec::Pcmu, Some((103, 8000))));
        assert_eq!(m_lines(&sdp), ["m=audio 40000 RTP/AVP 0 103"], "no more than was offered");
        assert_eq!(ours.agreed(), Some(&media));
    }

    #[test]
    fn a_re_invite_without_a_description_is_offered_what_is_spoken_first_and_both_ways() {
        let mut ours = negotiation();
        ours.offer();
        ours.read_answer(offer("sendrecv", 4000).as_bytes()).expect("PCMU");
        ours.answer(offer("sendonly", 4000).as_bytes()).expect("held");
        let again = ours.offer();
        assert_eq!(version(&again), "3");
        assert!(again.contains("RTP/AVP 0 107 103 102\r\n"), "{again}");
        assert!(again.ends_with("a=sendrecv\r\n"));
        assert_eq!(ours.offer(), again, "the same again is no new version");
        let held = ours.read_answer(offer("sendonly", 4000).as_bytes()).expect("still held");
        assert_eq!(held.direction, Direction::RecvOnly);
        let back = ours.read_answer(offer("sendrecv", 4000).as_bytes()).expect("taken back");
        assert_eq!(back.direction, Direction::SendRecv);
    }

    /// RFC 3264 8: no later description has fewer streams, or another order.
    #[test]
    fn our_own_offer_keeps_the_streams_that_were_refused_in_their_places() {
        let mut ours = negotiation();
        let with_video = offer("sendrecv", 4000)
            .replace("m=audio", "m=video 5000 RTP/AVPF 96\r\na=rtpmap:96 H264/90000\r\nm=audio")
            .replace("RTP/AVP 0", "RTP/AVPF 0");
        ours.answer(with_video.as_bytes()).expect("agreed");
        let offered = ours.offer();
        assert_eq!(m_lines(&offered), ["m=video 0 RTP/AVPF 96", "m=audio 40000 RTP/AVPF 0 107 103 102"]);
        let refused = with_video.replace("m=video 5000", "m=video 0");
        assert_eq!(ours.read_answer(refused.as_bytes()).expect("agreed").remote.port(), 4000);
    }

    /// RFC 3264 8.3.2.
    #[test]
    fn a_payload_type_keeps_its_meaning_in_our_own_offers() {
        let mut ours = negotiation();
        // Their Opus is our number of events, their events are our number of Opus.
        let swapped = offer("sendrecv", 4000)
            .replace("0 103", "101 107")
            .replace("a=rtpmap:103", "a=rtpmap:101 opus/48000/2\r\na=rtpmap:107");
        ours.answer(swapped.as_bytes()).expect("agreed");
        let offered = ours.offer();
        assert!(offered.contains("RTP/AVP 101 0 102 107\r\n"), "{offered}");
        assert!(offered.contains("a=rtpmap:101 opus/48000/2\r\n"));
        assert!(offered.contains("a=rtpmap:107 telephone-event/8000\r\n"));
        // What they use for something else is left to them.
        let mut ours = negotiation();
        let foreign = offer("sendrecv", 4000).replace("0 103", "0 101 107").replace(
            "a=rtpmap:103 telephone-event/8000",
            "a=rtpmap:101 G726-32/8000\r\na=rtpmap:107 iLBC/8000",
        );
        ours.answer(foreign.as_bytes()).expect("agreed");
        let offered = ours.offer();
        assert!(offered.contains("RTP/AVP 0 127 126 102\r\n"), "{offered}");
    }

    #[test]
    fn a_change_that_is_refused_leaves_what_was_agreed() {
        let mut ours = negotiation();
        let (_, agreed) = ours.answer(offer("sendrecv", 4000).as_bytes()).expect("agreed");
        let t38 = offer("sendrecv", 4000).replace("m=audio 4000 RTP/AVP 0 103", "m=image 4002 udptl t38");
        assert_eq!(ours.answer(t38.as_bytes()), Err(SdpError::NoUsableMedia));
        let g729 = offer("sendrecv", 4000).replace("RTP/AVP 0 103", "RTP/AVP 18");
        assert_eq!(ours.answer(g729.as_bytes()), Err(SdpError::NoCommonCodec));
        ours.offer();
        assert_eq!(ours.read_answer(g729.as_bytes()), Err(SdpError::NoCommonCodec));
        assert_eq!(ours.agreed(), Some(&agreed));
        let (_, media) = ours.answer(offer("sendrecv", 4000).as_bytes()).expect("goes on");
        assert_eq!(media, agreed);
    }

    #[test]
    fn the_address_and_the_codec_change_in_a_call() {
        let mut ours = negotiation();
        ours.answer(offer("sendrecv", 4000).as_bytes()).expect("agreed");
        let moved = offer("sendrecv", 4100).replace("c=IN IP4 10.0.0.1", "c=IN IP6 2001:db8::5");
        let (sdp, media) = ours.answer(moved.as_bytes()).expect("agreed");
        assert_eq!(version(&sdp), "1", "what we say is the same");
        assert_eq!(media.remote, "[2001:db8::5]:4100".parse().expect("an address"));
        let opus = moved
            .replace("RTP/AVP 0", "RTP/AVP 96")
            .replace("a=rtpmap:103", "a=rtpmap:96 opus/48000/2\r\na=rtpmap:103");
        let (sdp, media) = ours.answer(opus.as_bytes()).expect("agreed");
        assert_eq!((version(&sdp), media.codec, media.payload_type), ("2", Codec::Opus, 96));
    }

    #[test]
    fn hold_by_an_address_of_zeros_and_back() {
        let mut ours = negotiation();
        let talking = offer("sendrecv", 4000);
        ours.answer(talking.as_bytes()).expect("agreed");
        let held = talking.replace("c=IN IP4 10.0.0.1", "c=IN IP4 0.0.0.0");
        let (sdp, media) = ours.answer(held.as_bytes()).expect("held");
        assert!(media.remote.ip().is_unspecified());
        assert_eq!((media.direction, version(&sdp)), (Direction::RecvOnly, "2"));
        let (sdp, media) = ours.answer(talking.as_bytes()).expect("taken back");
        assert_eq!((media.direction, version(&sdp)), (Direction::SendRecv, "3"));
    }

    /// A transfer: the new leg's dialog on the same audio path, the old one's alive beside it.
    #[test]
    fn a_second_leg_negotiates_for_itself_from_the_same_address() {
        let mut first = negotiation();
        first.answer(offer("sendonly", 4000).as_bytes()).expect("the transferor holds");
        let local = "192.0.2.10:40000".parse().expect("an address");
        let mut second = Negotiation::new(local, 8, vec![Codec::Opus, Codec::Pcmu]);
        let offered = second.offer();
        assert!(offered.contains("o=- 8 1 IN IP4 192.0.2.10\r\n"));
        assert!(offered.contains("m=audio 40000 RTP/AVP 107 0 102 101\r\n"));
        let target = second.read_answer(offer("sendrecv", 6000).as_bytes()).expect("agreed");
        assert_eq!((target.remote.port(), target.codec), (6000, Codec::Pcmu));
        // The target fails: the first dialog goes on where it was.
        let back = first.agreed().expect("agreed").clone();
        assert_eq!((back.remote.port(), back.direction), (4000, Direction::RecvOnly));
        let (sdp, _) = first.answer(offer("sendrecv", 4000).as_bytes()).expect("agreed");
        assert_eq!(version(&sdp), "2");
    }
}
