//! What is a record, and what is none.

use proptest::prelude::*;

use super::part::{Kind, Way};
use super::*;
use crate::testing::simple_request;
use crate::transport::{Flow, ListenerId, Transport, TrunkId};

fn part(kind: Kind) -> Part {
    let method = if kind == Kind::Dialog { "BYE" } else { "INVITE" };
    let flow = Flow {
        transport: Transport::Tls,
        listener: ListenerId(3),
        trunk: TrunkId(4),
        peer: "[2001:db8::1]:5061".parse().unwrap(),
    };
    let udp = Flow::udp("192.0.2.1:5060".parse().unwrap());
    Part {
        kind,
        way: Way { flow, trunk: "office".into() },
        dialog_way: Way { flow: udp, trunk: String::new() },
        message: simple_request(method),
    }
}

fn record(parts: &[Part]) -> LegRecord {
    let bytes: Vec<_> = parts.iter().map(Part::to_bytes).collect();
    LegRecord::of(bytes.iter()).unwrap()
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let parts = [part(Kind::Incoming), part(Kind::Outgoing), part(Kind::Dialog)];
    let record = record(&parts);
    assert_eq!(LegRecord::from_bytes(record.as_bytes()).unwrap(), record);
    assert_eq!(record.parts().unwrap(), parts);
    assert_eq!(format!("{record:?}"), format!("LegRecord({} bytes)", record.as_bytes().len()));
}

#[test]
fn what_is_no_record_is_an_error() {
    let good = record(&[part(Kind::Dialog)]);
    let good = good.as_bytes();
    let read = |bytes: &[u8]| LegRecord::from_bytes(bytes).unwrap_err();
    assert_eq!(read(&[]), RecordError::Length(0));
    assert_eq!(read(&vec![VERSION; MAX_RECORD + 1]), RecordError::Length(MAX_RECORD + 1));
    assert_eq!(read(&[2, 3]), RecordError::Version(2));
    assert_eq!(read(&[VERSION]), RecordError::Damaged("no part"));
    assert_eq!(read(&[VERSION, 9]), RecordError::Damaged("kind"));
    for length in 1..good.len() {
        assert!(LegRecord::from_bytes(&good[..length]).is_err(), "cut at {length}");
    }
    let mut other = good.to_vec();
    other[1] = 2;
    assert_eq!(read(&other), RecordError::Damaged("message"), "a BYE begins no call");
    let many: Vec<_> = (0..=MAX_PARTS).map(|_| part(Kind::Dialog)).collect();
    assert_eq!(read(record(&many).as_bytes()), RecordError::Damaged("too many parts"));
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = LegRecord::from_bytes(&bytes);
        let mut versioned = vec![VERSION];
        versioned.extend(bytes);
        let _ = LegRecord::from_bytes(&versioned);
    }

    #[test]
    fn any_damage_is_a_record_or_an_error(
        kind in 0..3_usize,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let kind = [Kind::Incoming, Kind::Outgoing, Kind::Dialog][kind];
        let mut bytes = record(&[part(kind)]).as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = LegRecord::from_bytes(&bytes);
        bytes.remove(cut.index(bytes.len()));
        let _ = LegRecord::from_bytes(&bytes);
    }
}
