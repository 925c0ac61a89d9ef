//! Each class of YAML and JSON that kubectl reads in its own way. The expected values are what
//! `kubectl patch --local --type=merge -p {} -o json -f FILE` printed.

use super::{DocumentError, Position, decode, read};

fn json(text: &str) -> String {
    let nodes = read(text).expect("readable");
    nodes.iter().map(|node| serde_json::to_string(node).expect("JSON")).collect::<Vec<_>>().join("\n")
}

fn refused(text: &str) -> DocumentError {
    read(text).expect_err("unreadable")
}

/// Reads `a: TEXT` for each pair, and compares what stands there.
fn values(pairs: &[(&str, &str)]) {
    for (text, expected) in pairs {
        assert_eq!(json(&format!("a: {text}\n")), format!("{{\"a\":{expected}}}"), "{text}");
    }
}

#[test]
fn words_are_those_of_yaml_1_1() {
    values(&[("y", "true"), ("On", "true"), ("YES", "true"), ("off", "false"), ("No", "false"), ("n", "false")]);
    values(&[("yEs", "\"yEs\""), ("\"off\"", "\"off\""), ("~", "null"), ("Null", "null"), ("nULL", "\"nULL\"")]);
    values(&[("", "null"), ("=", "\"=\""), ("'<<'", "\"<<\""), ("2026-01-01", "\"2026-01-01\"")]);
}

#[test]
fn integers_have_the_prefixes_of_go_and_of_yaml_1_1() {
    values(&[("0644", "420"), ("0o644", "420"), ("-0644", "-420"), ("+1", "1"), ("0x1F", "31"), ("0b11", "3")]);
    values(&[("1_000", "1000"), ("0_7", "7"), ("1_", "1"), ("_1", "\"_1\""), ("0b-11", "-3"), ("0x", "\"0x\"")]);
    values(&[("08", "8"), ("0899", "899"), ("1:30", "\"1:30\""), ("--1", "\"--1\""), ("1,000", "\"1,000\"")]);
    values(&[("9223372036854775807", "9223372036854775807"), ("-9223372036854775808", "-9223372036854775808")]);
    values(&[("9223372036854775808", "9.223372036854776e+18")]);
}

#[test]
fn a_float_without_fraction_is_an_integer() {
    values(&[
        ("1.0", "1"),
        ("1e3", "1000"),
        ("5.", "5"),
        ("63926739093688224.0", "63926739093688220"),
        ("-0.0", "0"),
        ("1e21", "1e+21"),
    ]);
    values(&[("1.50", "1.5"), (".5", "0.5"), ("+.5", "0.5"), (".5_5", "0.55"), ("1e-7", "1e-7"), ("12e03", "12000")]);
    values(&[("1e", "\"1e\""), (".", "\".\""), ("._5", "\"._5\""), ("0x1p3", "\"0x1p3\""), ("1e400", "\"1e400\"")]);
    assert!(refused("a: .inf\n").message.contains("finite"));
    assert!(refused("a: .NaN\n").message.contains("finite"));
}

#[test]
fn tags_decide_where_they_are_known() {
    values(&[("!!str 5", "\"5\""), ("!!str yes", "\"yes\""), ("!!int \"5\"", "5"), ("!!float 5", "5")]);
    values(&[("!!bool \"yes\"", "true"), ("!!null ~", "null"), ("!!binary aGVsbG8=", "\"hello\"")]);
    values(&[("!own 5", "\"5\""), ("! yes", "\"yes\""), ("!!map {b: 1}", "{\"b\":1}"), ("!own [b]", "[\"b\"]")]);
    for text in ["!!int b", "!!float b", "!!bool 1", "!!null b", "!!binary \"#\""] {
        assert_eq!(refused(&format!("a: {text}\n")).position.line, 1, "{text}");
    }
}

#[test]
fn keys_are_resolved_and_written_as_text() {
    assert_eq!(
        json("{y: 1, 0x10: 2, 1.50: 3, 2026-01-01: 4, 1e6: 5, 1e-5: 6, 3.14159265358979: 7, .inf: 8, 1e39: 9}\n"),
        "{\"true\":1,\"16\":2,\"1.5\":3,\"2026-01-01\":4,\"1e+06\":5,\"1e-05\":6,\"3.1415927\":7,\".inf\":9}"
    );
    assert_eq!(
        json("41446.06134567: 1\n41921.8121032367: 2\n1e21: 3\n"),
        "{\"41446.062\":1,\"41921.812\":2,\"1e+21\":3}"
    );
    assert_eq!(json("on: 1\n\"on\": 2\n!!str on: 3\n"), "{\"true\":1,\"on\":3}");
    assert_eq!(json("? a\n: 1\n? b\n"), "{\"a\":1,\"b\":null}");
    for text in ["~: 1\n", "{[a]: 1}\n", "? {a: b}\n: 1\n", "18446744073709551615: 1\n"] {
        assert!(refused(text).message.contains("key"), "{text}");
    }
}

#[test]
fn the_last_of_a_repeated_key_counts_and_is_named() {
    let nodes = read("a: 1\nb: {c: 1, c: 2}\na: 2\n").expect("readable");
    assert_eq!(serde_json::to_string(&nodes[0]).expect("JSON"), r#"{"a":2,"b":{"c":2}}"#);
    let repeated: Vec<_> = nodes[0].repeated_keys().iter().map(|key| (key.name.clone(), key.position.line)).collect();
    assert_eq!(repeated, [("a".to_owned(), 3), ("c".to_owned(), 2)]);
}

#[test]
fn a_merge_overrides_what_stands_before_it() {
    let base = "base: &base {a: 1, b: 2}\n";
    let read = |text: &str| json(&format!("{base}{text}")).replace("\"base\":{\"a\":1,\"b\":2},", "");
    assert_eq!(read("x: {<<: *base, a: 3}\n"), "{\"x\":{\"a\":3,\"b\":2}}");
    assert_eq!(read("x: {a: 3, <<: *base}\n"), "{\"x\":{\"a\":1,\"b\":2}}");
    assert_eq!(read("x: {<<: [{a: 4}, *base]}\n"), "{\"x\":{\"a\":4,\"b\":2}}");
    assert_eq!(read("x: {<<: {<<: *base, c: 5}}\n"), "{\"x\":{\"a\":1,\"b\":2,\"c\":5}}");
    assert_eq!(read("x: {\"<<\": *base}\n"), "{\"x\":{\"<<\":{\"a\":1,\"b\":2}}}");
    assert!(refused("x: {<<: 5}\n").message.contains("merge"));
    let repeated = |text: &str| {
        let nodes = super::read(&format!("{base}{text}")).expect("readable");
        nodes[0].repeated_keys().iter().map(|key| (key.name.clone(), key.position.column)).collect::<Vec<_>>()
    };
    for text in [
        "x: {b: 1, <<: {b: 2}}\n",
        "x: {<<: *base, a: 3}\n",
        "x: {<<: [*base, {a: 4}], a: 3, b: 4}\n",
        "x: &x {<<: *base, a: 3}\ny: {<<: *x, a: 4}\nz: {<<: {<<: *x, b: 1}, a: 5}\n",
    ] {
        assert_eq!(repeated(text), [], "{text}");
    }
    // Written twice, whatever was merged before, between or after.
    let a = |column| ("a".to_owned(), column);
    assert_eq!(repeated("x: {<<: *base, a: 3, a: 4}\n"), [a(22)]);
    assert_eq!(repeated("x: {a: 3, <<: *base, a: 4}\n"), [a(22)]);
    assert_eq!(repeated("x: {a: 3, a: 4, <<: *base}\n"), [a(11)]);
    assert_eq!(repeated("x: {<<: {a: 3, a: 4}}\n"), [a(16)]);
    assert_eq!(repeated("x: {<<: *base, <<: {a: 3}}\n"), [("<<".to_owned(), 16)]);
    // A place is named once, however many aliases lead there.
    assert_eq!(repeated("x: &x [{a: 3, a: 4}]\ny: *x\nz: {<<: {y: *x}}\n"), [a(15)]);
}

#[test]
fn anchors_stand_for_values_and_not_for_themselves() {
    assert_eq!(json("a: &x {b: 1}\nc: *x\n"), "{\"a\":{\"b\":1},\"c\":{\"b\":1}}");
    assert_eq!(json("[&x 1, *x, &x 2, *x, &y , *y]\n"), "[1,1,2,2,null,null]");
    assert_eq!(json("{&k a: *k, *k : 2}\n"), "{\"a\":2}");
    assert!(refused("a: &x [*x]\n").message.contains("contains it"));
    assert_eq!(refused("a: &x 1\n---\na: *x\n").position.line, 3);
    let bomb = (1..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
        let below = format!("*a{},", level - 1).repeat(10);
        format!("{text}a{level}: &a{level} [{below}]\n")
    });
    assert!(refused(&bomb).message.contains("aliases"));
}

#[test]
fn documents_are_split_at_lines_and_empty_ones_left_out() {
    assert_eq!(json("# a comment\n---\na: 1\n--- # more\n\n---\nnull\n---\t\nb: 2\n---\n"), "{\"a\":1}\n{\"b\":2}");
    assert_eq!(json("\u{feff}a: 1\r\n---\r\nb: |\r\n  x\r\n  y\r\n"), "{\"a\":1}\n{\"b\":\"x\\ny\\n\"}");
    assert_eq!(json("a: \"x\n  --- y\"\n"), "{\"a\":\"x --- y\"}");
    let nodes = read("a: 1\n---\n\nb: 1\n").expect("readable");
    assert_eq!(nodes[1].position, Position { line: 4, column: 1 });
    assert_eq!(refused("a: 1\n---\nb: [\n").position.line, 3);
}

#[test]
fn nothing_is_dropped_silently_at_the_end_of_a_document() {
    let place = |text: &str| {
        let Position { line, column } = refused(text).position;
        (line, column)
    };
    for (text, expected) in [
        ("a: 1\n---b: 2\n", (2, 4)),
        ("a: 1\n---apiVersion: v1\n", (2, 4)),
        ("--- {a: 1}\n", (1, 5)),
        ("a: 1\n---\t|\n  x\n", (2, 5)),
        ("a: 1\n----\n", (2, 4)),
        ("a: 1\n...\nb: 2\n", (3, 1)),
        ("a: 1\n---\nb: 1\n...\n---\nc: 1\n...\n  [x]\n", (8, 3)),
        ("null\n...\nb: 2\n", (3, 1)),
        ("...\na: 1\n", (1, 1)),
        ("\u{feff}--- {a: 1}\n", (1, 5)),
        ("\u{feff}...\na: 1\n", (1, 1)),
        ("a: 1\n---\n# c\n\n... # c\nb: 1\n", (5, 1)),
        ("{a: 1}\nb: 2\n", (2, 1)),
    ] {
        assert_eq!(place(text), expected, "{text:?}");
    }
    assert!(refused("a: 1\n--- x\n").message.contains("only a comment may follow"));
    assert!(refused("a: 1\n...\nb: 2\n").message.contains("nothing is read"));
    assert_eq!(json("a: 1\n...\n# c\n...\n---\nb: 2\n... # c\n"), "{\"a\":1}\n{\"b\":2}");
}

#[test]
fn lines_may_end_as_in_yaml_1_1() {
    assert_eq!(json("a: 1\u{85}b: 2\u{2028}c: 3\n"), "{\"a\":1,\"b\":2,\"c\":3}");
    assert_eq!(json("a: x # y\u{2029}b: 2\n"), "{\"a\":\"x\",\"b\":2}");
    assert_eq!(json("{\"a\": \"x\u{2028}y\"}"), "{\"a\":\"x\u{2028}y\"}");
}

#[test]
fn scalars_may_stand_at_the_indentation_of_their_parent() {
    assert_eq!(json("a:\n  b: \"x\ny\"\n  c: 'x\n\n  y'\n"), "{\"a\":{\"b\":\"x y\",\"c\":\"x\\ny\"}}");
    assert_eq!(json("a: {\nb: 1\n}\nc: [\nx\n]\n"), "{\"a\":{\"b\":1},\"c\":[\"x\"]}");
}

#[test]
fn comments_may_touch_what_they_follow() {
    assert_eq!(json("a: [x]# y\nb: \"x\"# y\nc: |# y\n  x\n"), "{\"a\":[\"x\"],\"b\":\"x\",\"c\":\"x\\n\"}");
    assert_eq!(json("a: x#y\n"), "{\"a\":\"x#y\"}");
}

#[test]
fn tabs_indent_flows_and_nothing_else() {
    assert_eq!(
        json("# x\na: {\n\t\"b\": 1,\n\t\t\"c\": [\n\t1]\n}\nd: |\n  \tx\n"),
        "{\"a\":{\"b\":1,\"c\":[1]},\"d\":\"\\tx\\n\"}"
    );
    assert_eq!(json("a: [ [\n\t] , {\n\tb: 1,\n\t}]# x\n"), "{\"a\":[[],{\"b\":1}]}");
    assert_eq!(json("a:\tb\t\nc: d\t# e\n"), "{\"a\":\"b\",\"c\":\"d\"}");
    assert_eq!(refused("a:\n\tb: 1\n").position, Position { line: 2, column: 2 });
}

#[test]
fn json_is_a_stream_of_values() {
    assert_eq!(json("{\n\t\"a\": \"\\ud83d\\ude00\\/\"\n}"), "{\"a\":\"😀/\"}");
    assert_eq!(json("{\"a\": \"\\ud83d x \\ude00\"}"), "{\"a\":\"\u{fffd} x \u{fffd}\"}");
    assert_eq!(json("{\"a\":1.0}{\"b\":1,\"b\":2}\n{\"c\":\"y\"}"), "{\"a\":1}\n{\"b\":2}\n{\"c\":\"y\"}");
    assert_eq!(json("{\"a\":1}\n---\nb: yes\n"), "{\"a\":1}\n{\"b\":true}");
    assert_eq!(json("{a: yes}\n"), "{\"a\":true}");
    assert!(read("{\"a\":1}{\"b\":1}\nc: 1\n").is_err());
    let nodes = read("{\"a\":1}\n {\n\t\"b\": [2]}\n").expect("readable");
    let pointer = jsonptr::Pointer::parse("/b/0").expect("pointer");
    assert_eq!(nodes[1].follow(pointer), (pointer, Position { line: 3, column: 8 }));
}

#[test]
fn json_may_hold_what_yaml_cannot_print() {
    let odd: Vec<char> =
        ('\u{7f}'..='\u{9f}').chain(['\u{fffe}', '\u{ffff}', '\u{2028}', '\u{feff}', '\u{1ffff}']).collect();
    for character in odd {
        let text = format!("{{\"a{character}\":\"b{character}c\\t{character}\",\n\t\"d\":1}}");
        let nodes = read(&text).unwrap_or_else(|error| panic!("{character:?}: {error}"));
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(serde_json::to_value(&nodes[0]).expect("JSON"), value, "{character:?}");
        let pointer = jsonptr::Pointer::parse("/d").expect("pointer");
        assert_eq!(nodes[0].follow(pointer), (pointer, Position { line: 2, column: 2 }));
    }
    assert!(read("a: \u{7f}\n").is_err() && read("{a: \"\u{9f}\"}\n").is_err(), "YAML may not");
}

#[test]
fn bytes_are_utf_8_or_marked_utf_16_and_what_is_lost_is_said() {
    let wide = |bytes: fn(u16) -> [u8; 2]| "\u{feff}a: ä\n".encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    assert_eq!(decode(wide(u16::to_le_bytes)), ("a: ä\n".to_owned(), None));
    assert_eq!(decode(wide(u16::to_be_bytes)), ("a: ä\n".to_owned(), None));
    assert_eq!(decode(b"a: 1\nb: caf\xe9\n".to_vec()), ("a: 1\nb: caf\u{fffd}\n".to_owned(), Some(2)));
    assert_eq!(decode(b"\xe2\x82".to_vec()).0, "\u{fffd}\u{fffd}");
}

#[test]
fn nesting_is_bounded_without_using_up_the_stack() {
    let nested = |levels: usize| format!("a: {}{}\n", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(json(&nested(490)).len(), 2 * 490 + 6);
    assert!(read(&nested(600)).is_err());
    assert!(read(&nested(100_000)).is_err());
    let through_aliases = (1..9).fold(format!("a0: &a0 {}{}\n", "[".repeat(400), "]".repeat(400)), |text, level| {
        format!("{text}a{level}: &a{level} {}*a{}{}\n", "[".repeat(400), level - 1, "]".repeat(400))
    });
    assert!(refused(&through_aliases).message.contains("deep"));
    let blocks = (0..1_000).fold(String::new(), |text, level| text + &" ".repeat(level) + "a:\n");
    assert!(read(&blocks).is_err());
}

#[test]
fn a_pointer_is_followed_as_far_as_it_goes() {
    let nodes = read("spec:\n  containers:\n  - name: a\n    image: b\n").expect("readable");
    let pointer = jsonptr::Pointer::parse("/spec/containers/0/image").expect("pointer");
    assert_eq!(nodes[0].follow(pointer), (pointer, Position { line: 4, column: 5 }));
    let pointer = jsonptr::Pointer::parse("/spec/containers/0/securityContext/privileged").expect("pointer");
    let (reached, position) = nodes[0].follow(pointer);
    assert_eq!((reached.as_str(), position), ("/spec/containers/0", Position { line: 3, column: 5 }));
}

/// The known differences from kubectl: values that it reads differently, and documents that it accepts.
#[test]
fn what_is_not_read_as_kubectl_reads_it() {
    // In a flow YAML 1.1 takes a colon before `,` or `}` for part of the scalar: kubectl reads {"a:": null} and "a:".
    assert_eq!(json("x: {a:}\n"), "{\"x\":{\"a\":null}}");
    assert_eq!(json("x: [a:,]\n"), "{\"x\":[{\"a\":null}]}");
    // And it takes `?` for the mark of a key: [{"a": null}]. A lone dash is a text for it: ["-"].
    assert_eq!(json("x: [?a]\n"), "{\"x\":[\"?a\"]}");
    assert!(read("x: [-]\n").is_err());
    // A line separator in quotes folds into a space here, and stays there.
    assert_eq!(json("x: \"a\u{2028}b\"\n"), "{\"x\":\"a b\"}");
    // What follows the end of a document is an error here, and is not looked at there.
    assert!(read("x: 1\n... y\n").is_err());
    assert!(read("x: 1\n...\ny: 1\n").is_err());
    // A key that JSON cannot hold is an error here, wherever it is; there only if a later key does not replace it.
    assert!(read("x: {~: 1}\nx: 2\n").is_err());
    // Of 1 and "1" in one mapping the last counts here, and either one there, by chance.
    assert_eq!(json("x: {1: a, \"1\": b}\n"), "{\"x\":{\"1\":\"b\"}}");
}
