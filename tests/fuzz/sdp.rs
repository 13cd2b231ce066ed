//! Session descriptions of both sides.

use media_relay::sdp::negotiation::Negotiation;
use media_relay::sdp::pbx::Codec;
use media_relay::sdp::whatsapp;

/// The first byte says who speaks and when; the rest is what is said, perhaps in two parts.
pub(crate) fn sdp(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let local = ([192, 0, 2, 10], 40000).into();
    let mut ours = Negotiation::new(local, 7, vec![Codec::Opus, Codec::Pcmu, Codec::Pcma]);
    let (first, second) = rest.split_at(rest.len() / 2);
    match kind % 4 {
        0 => {
            if let Ok((answer, media)) = ours.answer(rest) {
                assert!(answer.starts_with("v=0\r\n") && answer.ends_with("\r\n"), "{answer}");
                let (again, same) = ours.answer(rest).expect("what was agreed once is agreed again");
                assert_eq!((answer, media), (again, same));
            }
        }
        1 => {
            ours.offer();
            let _ = ours.read_answer(rest);
        }
        2 => {
            let _ = ours.answer(first);
            let _ = ours.answer(second);
            ours.offer();
            let _ = ours.read_answer(second);
        }
        _ => {
            let _ = whatsapp::parse(&String::from_utf8_lossy(rest));
        }
    }
}
