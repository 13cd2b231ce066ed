//! An ICE-lite agent (RFC 8445, 2.5 and 6.1): it answers Binding requests (RFC 8489) and sends none of its own.

use std::net::SocketAddr;

use stun::agent::TransactionId;
use stun::attributes::{
    ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
};
use stun::error_code::{CODE_BAD_REQUEST, CODE_ROLE_CONFLICT, CODE_UNAUTHORIZED, ErrorCode};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Message, MessageType, Setter};
use stun::xoraddr::XorMappedAddress;

/// A Binding request that names whom it is for, nothing of it verified.
pub(crate) struct Request {
    message: Message,
    /// Our fragment: it finds the call.
    pub(crate) local: String,
    remote: String,
}

/// What a call's agent makes of a request.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// To be sent to where the request came from; `None` is silence.
    pub(crate) reply: Option<Vec<u8>>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An authenticated check of a controlling agent.
    Checked { nominates: bool },
    /// What is wrong with it.
    Refused(&'static str),
}

/// The credentials of one call, ours and the bridge's.
pub(crate) struct Credentials<'a> {
    pub(crate) local_pwd: &'a str,
    pub(crate) remote_ufrag: &'a str,
}

impl Request {
    /// Reads a datagram; `None` where it is no Binding request with a USERNAME of two fragments.
    pub(crate) fn read(datagram: &[u8]) -> Option<Self> {
        let mut message = Message::new();
        message.unmarshal_binary(datagram).ok()?;
        if message.typ != BINDING_REQUEST {
            return None;
        }
        let username = String::from_utf8(message.get(ATTR_USERNAME).ok()?).ok()?;
        let (local, remote) = username.split_once(':')?;
        Some(Self { local: local.to_owned(), remote: remote.to_owned(), message })
    }

    /// Verifies the request and writes the answer.
    pub(crate) fn answer(mut self, source: SocketAddr, credentials: &Credentials<'_>) -> Verdict {
        if FINGERPRINT.check(&self.message).is_err() {
            return refuse("STUN check without a right FINGERPRINT", None);
        }
        let key = MessageIntegrity::new_short_term_integrity(credentials.local_pwd.to_owned());
        if self.remote != credentials.remote_ufrag || key.check(&mut self.message).is_err() {
            // RFC 8489, 9.1.3: no integrity in the answer to a request that was not authenticated.
            return refuse(
                "STUN check with wrong credentials",
                self.reply(BINDING_ERROR, &[&CODE_UNAUTHORIZED]),
            );
        }
        if self.message.contains(ATTR_ICE_CONTROLLED) {
            let why = "the bridge claims to be ICE-CONTROLLED";
            return refuse(why, self.error(CODE_ROLE_CONFLICT, &key));
        }
        if !self.message.contains(ATTR_ICE_CONTROLLING) || !self.message.contains(ATTR_PRIORITY) {
            let why = "STUN check without ICE-CONTROLLING or PRIORITY";
            return refuse(why, self.error(CODE_BAD_REQUEST, &key));
        }
        let mapped = XorMappedAddress { ip: source.ip(), port: source.port() };
        Verdict {
            reply: self.reply(BINDING_SUCCESS, &[&mapped, &key, &FINGERPRINT]),
            outcome: Outcome::Checked { nominates: self.message.contains(ATTR_USE_CANDIDATE) },
        }
    }

    fn error(&self, code: ErrorCode, key: &MessageIntegrity) -> Option<Vec<u8>> {
        self.reply(BINDING_ERROR, &[&code, key, &FINGERPRINT])
    }

    fn reply(&self, kind: MessageType, attributes: &[&dyn Setter]) -> Option<Vec<u8>> {
        let mut message = Message::new();
        message.transaction_id = TransactionId(self.message.transaction_id.0);
        message.set_type(kind);
        message.write_header();
        for attribute in attributes {
            attribute.add_to(&mut message).ok()?;
        }
        Some(message.raw)
    }
}

fn refuse(why: &'static str, reply: Option<Vec<u8>>) -> Verdict {
    Verdict { reply, outcome: Outcome::Refused(why) }
}

#[cfg(test)]
mod tests {
    use stun::attributes::{ATTR_ERROR_CODE, ATTR_MESSAGE_INTEGRITY, AttrType};
    use stun::message::Getter;

    use super::*;

    const LOCAL_PWD: &str = "+219v9nKr3xSQIn8s+Fy8g==";

    /// The sample request of RFC 5769, 2.1: `evtj:h6vY`, password VOkJxbRl1RmTxUk/WvJxBt, ICE-CONTROLLED.
    const RFC_5769: [u8; 108] = [
        0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa,
        0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20,
        0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00,
        0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a,
        0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf,
        0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28,
        0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
    ];

    struct Raw(AttrType, Vec<u8>);
    impl Setter for Raw {
        fn add_to(&self, message: &mut Message) -> Result<(), stun::Error> {
            message.add(self.0, &self.1);
            Ok(())
        }
    }

    fn request(password: &str, role: AttrType, nominate: bool) -> Vec<u8> {
        let mut message = Message::new();
        let username = Raw(ATTR_USERNAME, b"ours:theirs".to_vec());
        let mut setters: Vec<Box<dyn Setter>> = vec![
            Box::new(TransactionId::new()),
            Box::new(BINDING_REQUEST),
            Box::new(username),
            Box::new(Raw(ATTR_PRIORITY, vec![0x6e, 0, 1, 0xff])),
            Box::new(Raw(role, vec![1; 8])),
        ];
        if nominate {
            setters.push(Box::new(Raw(ATTR_USE_CANDIDATE, vec![])));
        }
        setters.push(Box::new(MessageIntegrity::new_short_term_integrity(password.to_owned())));
        setters.push(Box::new(FINGERPRINT));
        message.build(&setters).unwrap();
        message.raw
    }

    fn ask(datagram: &[u8]) -> Verdict {
        let source = "192.0.2.1:4000".parse().unwrap();
        let request = Request::read(datagram).unwrap();
        assert_eq!(request.local, "ours");
        request.answer(source, &Credentials { local_pwd: LOCAL_PWD, remote_ufrag: "theirs" })
    }

    fn error_code(verdict: &Verdict) -> u16 {
        let mut reply = Message::new();
        reply.unmarshal_binary(verdict.reply.as_ref().unwrap()).unwrap();
        assert_eq!(reply.typ, BINDING_ERROR);
        let value = reply.get(ATTR_ERROR_CODE).unwrap();
        u16::from(value[2]) * 100 + u16::from(value[3])
    }

    #[test]
    fn answers_a_controlling_agent_with_its_mapped_address() {
        for nominate in [false, true] {
            let datagram = request(LOCAL_PWD, ATTR_ICE_CONTROLLING, nominate);
            let verdict = ask(&datagram);
            assert_eq!(verdict.outcome, Outcome::Checked { nominates: nominate });
            let mut reply = Message::new();
            reply.unmarshal_binary(&verdict.reply.unwrap()).unwrap();
            assert_eq!(reply.typ, BINDING_SUCCESS);
            assert_eq!(reply.transaction_id.0, datagram[8..20]);
            let mut mapped = XorMappedAddress::default();
            mapped.get_from(&reply).unwrap();
            assert_eq!((mapped.ip.to_string().as_str(), mapped.port), ("192.0.2.1", 4000));
            MessageIntegrity::new_short_term_integrity(LOCAL_PWD.to_owned()).check(&mut reply).unwrap();
            FINGERPRINT.check(&reply).unwrap();
        }
    }

    #[test]
    fn refuses_wrong_credentials_without_integrity() {
        let verdict = ask(&request("wrong password of 22 chars", ATTR_ICE_CONTROLLING, true));
        assert_eq!(error_code(&verdict), 401);
        let mut reply = Message::new();
        reply.unmarshal_binary(&verdict.reply.unwrap()).unwrap();
        assert!(!reply.contains(ATTR_MESSAGE_INTEGRITY));
        assert!(matches!(verdict.outcome, Outcome::Refused(_)));
    }

    #[test]
    fn a_controlled_agent_hears_487() {
        assert_eq!(error_code(&ask(&request(LOCAL_PWD, ATTR_ICE_CONTROLLED, false))), 487);
    }

    #[test]
    fn a_flipped_bit_gets_silence() {
        let mut datagram = request(LOCAL_PWD, ATTR_ICE_CONTROLLING, true);
        let last = datagram.len() - 1;
        datagram[last] ^= 1;
        assert!(ask(&datagram).reply.is_none());
    }

    #[test]
    fn verifies_the_sample_of_rfc_5769() {
        let request = Request::read(&RFC_5769).unwrap();
        assert_eq!(request.local, "evtj");
        let credentials = Credentials { local_pwd: "VOkJxbRl1RmTxUk/WvJxBt", remote_ufrag: "h6vY" };
        let verdict = request.answer("127.0.0.1:9".parse().unwrap(), &credentials);
        // Authenticated, but it says ICE-CONTROLLED, as we are.
        assert_eq!(error_code(&verdict), 487);
    }

    #[test]
    fn ignores_what_is_no_binding_request() {
        assert!(Request::read(&[]).is_none());
        assert!(Request::read(&[0; 20]).is_none());
        assert!(Request::read(&RFC_5769[..60]).is_none());
        let mut response = RFC_5769;
        response[0] = 1;
        assert!(Request::read(&response).is_none());
    }

    #[test]
    fn no_mutation_of_a_request_makes_it_panic() {
        let credentials = Credentials { local_pwd: "VOkJxbRl1RmTxUk/WvJxBt", remote_ufrag: "h6vY" };
        let source = "127.0.0.1:9".parse().unwrap();
        for place in 0..RFC_5769.len() {
            for value in [0, 1, 3, 4, 8, 20, 0x7f, 0x80, 0xff] {
                let mut datagram = RFC_5769;
                datagram[place] = value;
                // The checksum is made right again, so that what lies behind it is reached.
                let sum = stun::fingerprint::fingerprint_value(&datagram[..100]);
                datagram[104..].copy_from_slice(&sum.to_be_bytes());
                if let Some(request) = Request::read(&datagram) {
                    let verdict = request.answer(source, &credentials);
                    assert!(matches!(verdict.outcome, Outcome::Refused(_)));
                }
            }
        }
    }
}
