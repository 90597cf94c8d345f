use proptest::{collection::vec, prelude::*};

use super::{
    value::{Fault, LIMITS, Value},
    *,
};

/// Any document of ours: keys sorted as their encodings are, and none twice.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::Int),
        (0..70_000_i64).prop_map(Value::Int),
        vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ".{0,20}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((prop_oneof![-30..300_i64, any::<i64>()], inner), 0..6).prop_map(|mut fields| {
                fields.sort_by_key(|(key, _)| rank(*key));
                fields.dedup_by_key(|(key, _)| *key);
                Value::Map(fields)
            }),
        ]
    })
}

fn write(value: &Value, out: &mut Writer) {
    match value {
        Value::Int(int) => out.int(*int),
        Value::Bytes(bytes) => out.bytes(bytes),
        Value::Text(text) => out.text(text),
        Value::Array(items) => {
            out.array(items.len());
            items.iter().for_each(|item| write(item, out));
            out
        }
        Value::Map(fields) => out.map(|map| {
            for (key, value) in fields {
                map.key(*key);
                write(value, map);
            }
        }),
    };
}

fn written(value: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    write(value, &mut out);
    out.into_bytes()
}

proptest! {
    #[test]
    fn what_the_writer_writes_passes_and_reads_back(value in value()) {
        let bytes = written(&value);
        prop_assert_eq!(check(&bytes, &LIMITS), Ok(()));
        prop_assert_eq!(&Value::decode(&bytes), &value);
        prop_assert_eq!(value.encode(), bytes);
    }

    #[test]
    fn one_meaning_has_one_encoding(
        value in value(),
        nth in 0..6_usize,
        fault in prop_oneof![
            Just(Fault::NotShortest), Just(Fault::Indefinite), Just(Fault::Repeated), Just(Fault::Unsorted),
        ],
    ) {
        let (bytes, faulty) = value.encode_with(fault, nth);
        prop_assume!(faulty);
        let found = check(&bytes, &LIMITS);
        let expected = match fault {
            Fault::NotShortest => matches!(found, Err(Error::NotShortest { .. })),
            Fault::Indefinite => matches!(found, Err(Error::Indefinite { .. })),
            Fault::Repeated | Fault::Unsorted => matches!(found, Err(Error::KeyOrder { .. })),
            Fault::None => false,
        };
        prop_assert!(expected, "{:?}: {:?}", fault, found);
    }

    #[test]
    fn nothing_follows_a_document_and_nothing_is_missing(value in value(), extra: u8) {
        let mut bytes = written(&value);
        for end in 0..bytes.len() {
            prop_assert!(check(&bytes[..end], &LIMITS).is_err());
        }
        let at = bytes.len();
        bytes.push(extra);
        prop_assert_eq!(check(&bytes, &LIMITS), Err(Error::Trailing { at }));
    }

    #[test]
    fn any_bytes_are_refused_or_are_the_one_encoding_of_what_they_say(
        bytes in prop_oneof![vec(any::<u8>(), 0..200), vec(prop_oneof![0..4_u8, 0x20..0x24_u8, 0x40..0x44_u8, 0x80..0x84_u8, 0xa0..0xa4_u8], 0..20)],
    ) {
        let limits = Limits { tag: Some(18), ..LIMITS };
        let _ = check(&bytes, &limits);
        // `Value` holds no integer above `i64::MAX`.
        if check(&bytes, &LIMITS) == Ok(()) && !bytes.iter().any(|byte| byte & 0x1f == 27) {
            prop_assert_eq!(Value::decode(&bytes).encode(), bytes);
        }
    }
}

#[test]
fn bombs_cost_nothing() {
    let deep = [vec![0x81; 1_000_000], vec![0x00]].concat();
    assert_eq!(check(&deep, &LIMITS), Err(Error::TooDeep { limit: 16 }));
    let long = vec![0; (1 << 20) + 1];
    assert_eq!(check(&long, &LIMITS), Err(Error::TooLong { limit: 1 << 20 }));
    for major in [BYTES, TEXT, ARRAY, MAP] {
        for len in [1_u64 << 32, 1 << 63, u64::MAX] {
            let bytes = [&[major << 5 | 27][..], &len.to_be_bytes()].concat();
            assert!(matches!(check(&bytes, &LIMITS), Err(Error::Truncated { .. })), "{major} {len}");
        }
    }
}

#[test]
fn other_kinds_of_values_are_refused() {
    let refused = [
        (&[0xf5][..], "a boolean"),
        (&[0xf6], "null"),
        (&[0xf7], "undefined"),
        (&[0xf9, 0x3c, 0x00], "a half float"),
        (&[0xfa, 0x3f, 0x80, 0x00, 0x00], "a single float"),
        (&[0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], "a double float"),
        (&[0xf8, 0x20], "a simple value"),
        (&[0xe0], "an unassigned simple value"),
        (&[0xff], "a break"),
        (&[0x1c], "a reserved length"),
        (&[0xc1, 0x00], "a tag"),
        (&[0x81, 0xd2, 0x00], "a tag inside"),
        (&[0x62, 0xc3, 0x28], "a text that is not UTF-8"),
        (&[0xa1, 0x61, 0x61, 0x00], "a text as key"),
        (&[0xa1, 0x40, 0x00], "a byte string as key"),
        (&[0xa1, 0xf5, 0x00], "a boolean as key"),
        (&[], "nothing"),
    ];
    for (bytes, name) in refused {
        assert!(check(bytes, &LIMITS).is_err(), "{name}");
    }
}

#[test]
fn only_the_tag_that_is_expected_is_taken_and_only_in_front() {
    let limits = Limits { tag: Some(18), ..LIMITS };
    assert_eq!(check(&[0xd2, 0x80], &limits), Ok(()));
    assert_eq!(check(&[0x80], &limits), Err(Error::Tag { at: 0 }));
    assert_eq!(check(&[0xd0, 0x80], &limits), Err(Error::Tag { at: 0 }));
    assert_eq!(check(&[0xd2, 0xd2, 0x80], &limits), Err(Error::Tag { at: 1 }));
    assert_eq!(check(&[0xd8, 0x12, 0x80], &limits), Err(Error::NotShortest { at: 0 }));
}

#[test]
fn fields_below_64_must_be_known_and_those_above_may_be_new() {
    let read = |fields: &[(i64, Value)]| {
        let bytes = written(&Value::Map(fields.to_vec()));
        Reader::new(&bytes, &LIMITS)?.map(|map| {
            let two = map.required(2, "two", Reader::uint)?;
            map.optional(4, "four", Reader::uint)?;
            map.optional(-2, "minus two", Reader::uint)?;
            Ok(two)
        })
    };
    let int = Value::Int;
    let later = Value::map([(1, int(5))]);
    assert_eq!(read(&[(2, int(7))]), Ok(7));
    assert_eq!(read(&[(2, int(7)), (4, int(1)), (64, later.clone()), (-2, int(1))]), Ok(7));
    assert_eq!(read(&[(2, int(7)), (i64::MAX, later)]), Ok(7));
    for unknown in [0, 1, 3, 5, 63, -1, -3, i64::MIN] {
        let mut fields = vec![(2, int(7)), (unknown, int(0))];
        fields.sort_by_key(|(key, _)| rank(*key));
        assert_eq!(read(&fields), Err(Error::Unknown { key: unknown }));
    }
    assert_eq!(read(&[]), Err(Error::Missing { field: "two" }));
    assert_eq!(read(&[(2, Value::text("7"))]), Err(Error::Field { field: "two" }));
}
