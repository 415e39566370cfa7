//! CBOR in the diagnostic notation of RFC 8949, section 8: a reading of the bytes that shares no code
//! with the reader.

/// A sequence of CBOR values, blanks between them. `None` when the bytes are none, or use what the
/// wire format does not (tags, floats, indefinite lengths, lengths that are not shortest).
pub(crate) fn notation(mut bytes: &[u8]) -> Option<String> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        values.push(value(&mut bytes)?);
    }
    Some(values.join(" "))
}

fn value(bytes: &mut &[u8]) -> Option<String> {
    let (major, number) = head(bytes)?;
    let count = usize::try_from(number).ok()?;
    Some(match major {
        0 => number.to_string(),
        2 => format!("h'{}'", hex::encode(take(bytes, count)?)),
        3 => format!("{:?}", std::str::from_utf8(take(bytes, count)?).ok()?),
        4 => {
            let values: Option<Vec<_>> = (0..count).map(|_| value(bytes)).collect();
            format!("[{}]", values?.join(", "))
        }
        5 => {
            let pair = |bytes: &mut &[u8]| Some(format!("{}: {}", value(bytes)?, value(bytes)?));
            let pairs: Option<Vec<_>> = (0..count).map(|_| pair(bytes)).collect();
            format!("{{{}}}", pairs?.join(", "))
        }
        7 if number == 20 => "false".to_owned(),
        7 if number == 21 => "true".to_owned(),
        7 if number == 22 => "null".to_owned(),
        _ => return None,
    })
}

fn head(bytes: &mut &[u8]) -> Option<(u8, u64)> {
    let initial = take(bytes, 1)?[0];
    let (number, least) = match initial & 0x1f {
        small @ 0..24 => (u64::from(small), 0),
        size @ 24..28 => {
            let length = 1_usize << (size - 24);
            let mut wide = [0; 8];
            wide[8 - length..].copy_from_slice(take(bytes, length)?);
            let least = if length == 1 { 24 } else { 1 << (4 * length) };
            (u64::from_be_bytes(wide), least)
        }
        _ => return None,
    };
    (number >= least).then_some((initial >> 5, number))
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 8949, appendix A.
    for (bytes, text) in [
        ("00", "0"),
        ("17", "23"),
        ("1818", "24"),
        ("1903e8", "1000"),
        ("1a000f4240", "1000000"),
        ("1bffffffffffffffff", "18446744073709551615"),
        ("f4", "false"),
        ("f5", "true"),
        ("f6", "null"),
        ("4401020304", "h'01020304'"),
        ("6449455446", "\"IETF\""),
        ("8301820203820405", "[1, [2, 3], [4, 5]]"),
        ("a26161016162820203", "{\"a\": 1, \"b\": [2, 3]}"),
        ("0102", "1 2"),
    ] {
        assert_eq!(notation(&hex::decode(bytes).unwrap()).unwrap(), text);
    }
    for bytes in ["1800", "190001", "9f01ff", "c000", "8201", "44010203"] {
        assert_eq!(notation(&hex::decode(bytes).unwrap()), None, "{bytes}");
    }
}
