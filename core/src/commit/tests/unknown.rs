//! Invariant 9 on the commit: what this release does not understand stops it, and is named.

use serde_bytes::ByteBuf;

use super::*;
use crate::event::CommandRef;

#[test]
fn inv09_a_key_that_the_wallet_does_not_have_is_named() {
    let stranger = WalletKeys::generate(&mut Counter::new(77)).epochs.remove(0);
    let header = header(&[stranger.id]);
    let bytes = encode(&header, &entries(), &stranger, &mut Counter::new(1));
    assert_eq!(read(&bytes).unwrap_err(), Error::NoFactKey(stranger.id));
}

#[test]
fn inv09_an_unknown_format_is_named_whatever_it_holds() {
    let (_, events) = parts(&commit());
    let later: &[(u16, Vec<u8>)] = &[
        (2, cbor::encode(&(2_u16, "whatever", [1, 2, 3]))),
        (0x1234, cbor::encode(&(0x1234_u16,))),
    ];
    for (format, header) in later {
        let error = read(&framed(header, &events)).unwrap_err();
        assert_eq!(error, Error::Format(*format));
    }
    for bad in [&[][..], &[0x80], &[0xf6], b"\x81\x61x", &[0x87, 0x01]] {
        assert_eq!(read(&framed(bad, &events)).unwrap_err(), Error::Malformed);
    }
}

#[test]
fn inv09_an_unknown_kind_stops_and_says_where() {
    let known = entries()[1].fact.encode();
    let head = |kind: u16| cbor::encode(&(kind, Actor::System, None::<CommandRef>));
    for kind in [0, 99, 999, u16::MAX] {
        for body in [&[][..], &[0xf6], b"\x81\x01\x02"] {
            let unknown = [&head(kind)[..], body].concat();
            let error = read(&of_plain_facts(&[&known, &unknown])).unwrap_err();
            let (index, error_there) = (1, event::Error::UnknownKind(kind));
            let expected = Error::Event {
                index,
                error: error_there,
            };
            assert_eq!(error, expected);
        }
    }
}

#[test]
fn inv09_a_known_kind_with_other_fields_stops() {
    let good = (RecordId::default(), vec![1_u32]);
    let head = cbor::encode(&(21_u16, Actor::System, None::<CommandRef>));
    let fact = |body: Vec<u8>| [&head[..], &body].concat();
    assert!(read(&of_plain_facts(&[&fact(cbor::encode(&good))])).is_ok());
    let mut unfilled = cbor::encode(&good);
    unfilled[0] += 1;
    let bodies = [
        Vec::new(),
        cbor::encode(&(RecordId::default(),)),
        cbor::encode(&(RecordId::default(), vec![1_u32], 7)),
        cbor::encode(&(ByteBuf::from(vec![0; 15]), vec![1_u32])),
        cbor::encode(&(RecordId::default(), vec![-1])),
        [cbor::encode(&good), vec![0xf6]].concat(),
        unfilled,
    ];
    let expected = Error::Event {
        index: 0,
        error: event::Error::Malformed(21),
    };
    for body in bodies {
        let error = read(&of_plain_facts(&[&fact(body.clone())])).unwrap_err();
        assert_eq!(error, expected, "{body:02x?}");
    }
    for head in [&b""[..], b"\xff", &cbor::encode(&(21_u16, Actor::System))] {
        let expected = Error::Event {
            index: 0,
            error: event::Error::Head,
        };
        assert_eq!(read(&of_plain_facts(&[head])).unwrap_err(), expected);
    }
}

/// A commit of these facts, in their plain bytes.
fn of_plain_facts(facts: &[&[u8]]) -> Bytes {
    let [epoch, _] = epochs();
    let (header, _) = parts(&encode(
        &header(&[epoch.id]),
        &entries(),
        &epoch,
        &mut Counter::new(1),
    ));
    let mut writer = frame::Writer::new(&header, facts.len());
    for (index, fact) in facts.iter().enumerate() {
        let place = fact_place(&header, 0, index, index + 1 == facts.len());
        let fact = epoch.facts.seal(&place, fact, &mut Counter::new(2));
        writer.event(0, &fact, None, None);
    }
    writer.finish()
}
