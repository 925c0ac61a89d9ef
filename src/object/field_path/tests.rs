//! Values that paths lead to, and texts that are not paths.

use serde_json::value::RawValue;

use super::{FieldPath, FieldPathError, Reached, Scalar};

/// Everything that a path leads to, as `place: value`.
fn reached(path: &str, object: &str) -> Vec<String> {
    let object = RawValue::from_string(object.to_owned()).expect("JSON");
    let mut all = Vec::new();
    FieldPath::parse(path).expect(path).walk(&object, &mut |spot, reached| {
        let said = match reached {
            Reached::Value(value) => value.get().to_owned(),
            Reached::Absent => "absent".to_owned(),
            Reached::Unreadable(why) => format!("! {}", why.message),
        };
        all.push(format!("{}: {said}", spot.path()));
    });
    all
}

#[test]
fn a_path_leads_to_each_value_once_and_says_where() {
    for (path, object, expected) in [
        ("a", r#"{"a":1}"#, &["a: 1"][..]),
        ("a.b", r#"{"x":[{"b":9}],"a":{"c":0,"b":"v"}}"#, &["a.b: \"v\""]),
        ("a.b", r#"{"a":{"B":1}}"#, &["a.b: absent"]),
        ("a.b", r#"{"a":{"b":null}}"#, &["a.b: absent"]),
        ("a.b.c", "{}", &["a: absent"]),
        ("a.b.c", r#"{"a":{"b":null}}"#, &["a.b: absent"]),
        ("a[x.y/z]", r#"{"a":{"x.y/z":true,"x":{"y/z":false}}}"#, &["a[x.y/z]: true"]),
        (r#"a["x.y"]['0'].b"#, r#"{"a":{"x.y":{"0":{"b":1}}}}"#, &["a[x.y][0].b: 1"]),
        ("a[*]", "{\"a\":[1, \"two\",null,[3]]}", &["a[0]: 1", "a[1]: \"two\"", "a[2]: absent", "a[3]: [3]"]),
        ("a[*].b", r#"{"a":[{"b":1},{"c":2},{"b":3}]}"#, &["a[0].b: 1", "a[1].b: absent", "a[2].b: 3"]),
        ("a[*].b", r#"{"a":{"x":{"b":1},"y":{}}}"#, &["a[x].b: 1", "a[y].b: absent"]),
        ("a[*][*]", r#"{"a":[[1,2],[],{"k":3}]}"#, &["a[0][0]: 1", "a[0][1]: 2", "a[2][k]: 3"]),
        ("a[*].b[*].c", r#"{"a":[{"b":[{"c":1}]},{"b":null},{}]}"#, &["a[0].b[0].c: 1"]),
        ("a[*].b", r#"{"a":[]}"#, &[]),
        ("a[*].b", r#"{"a":null}"#, &[]),
        ("a.c[*].b", "{}", &[]),
        ("a.b", r#"{"a":[{"b":1}]}"#, &["a: ! invalid type: sequence, expected an object"]),
        ("a.b", r#"{"a":"text"}"#, &["a: ! invalid type: a string, expected an object"]),
        ("a[*]", r#"{"a":7}"#, &["a: ! invalid type: integer `7`, expected an object"]),
        ("a[*].b", r#"{"a":[1]}"#, &["a[0]: ! invalid type: integer `1`, expected an object"]),
        ("a", r#"{"a":1,"a":2}"#, &[": ! duplicate field `a`"]),
        ("a", r#"{"\u0061":1}"#, &["a: 1"]),
        ("a", "[]", &[": ! invalid type: sequence, expected an object"]),
        ("a", "null", &[": absent"]),
    ] {
        assert_eq!(reached(path, object), expected, "{path} in {object}");
    }
}

#[test]
fn what_is_not_a_path_is_refused() {
    use FieldPathError as E;
    for (text, error) in [
        ("", E::Empty),
        ("/spec/type", E::Pointer),
        ("spec/type", E::Pointer),
        (".spec", E::Start),
        ("[*].a", E::Start),
        ("$.spec", E::Start),
        ("{.spec}", E::Start),
        ("a.", E::NoField),
        ("a..b", E::NoField),
        ("a[]", E::NoField),
        (r#"a[""]"#, E::NoField),
        ("*", E::Star),
        ("a.*", E::Star),
        ("a.b*", E::Star),
        ("a[b*]", E::Star),
        ("a[0]", E::Item("[0]".to_owned())),
        ("a[-1]", E::Item("[-1]".to_owned())),
        ("a[0:2]", E::Item("[0:2]".to_owned())),
        ("a.0", E::Item("0".to_owned())),
        ("a[b", E::Bracket),
        ("a[b[c]]", E::Bracket),
        (r#"a["b]"#, E::Bracket),
        ("a]", E::Bracket),
        ("a[b]c", E::Bracket),
        ("a[*]b", E::Bracket),
        ("a.b c", E::Character),
        ("a.b/c", E::Character),
        ("status", E::Status),
        ("status.phase", E::Status),
    ] {
        assert_eq!(FieldPath::parse(text), Err(error), "{text}");
    }
    assert_eq!(FieldPath::parse(&"a".repeat(513)), Err(E::TooLong));
    assert_eq!(FieldPath::parse(&["a"; 25].join(".")), Err(E::TooLong));
    for text in ["statuses", "spec.status", "a-b_c", "a[b]", "a[b][*].c", "metadata.labels[x.y/z]", "$ref"] {
        assert!(FieldPath::parse(text).is_ok() != text.starts_with('$'), "{text}");
    }
    let is_in_metadata = |text: &str| FieldPath::parse(text).expect(text).is_in_metadata();
    assert!(is_in_metadata("metadata.labels[a]") && is_in_metadata("metadata[*]"));
    assert!(!is_in_metadata("metadata") && !is_in_metadata("data.metadata") && !is_in_metadata("metadatas.x"));
}

#[test]
fn scalars_are_the_same_by_what_they_say() {
    let read = |text: &str| Scalar::read(&RawValue::from_string(text.to_owned()).expect("JSON"));
    let same = |one: &str, other: &str| read(one).expect(one).is_same(&read(other).expect(other));
    for (one, other) in [
        ("1", "1"),
        ("1", "1.0"),
        ("1e2", "100"),
        ("80", "\"80\""),
        ("true", "\"true\""),
        ("\"a\"", "\"\\u0061\""),
        ("-0", "0"),
        ("18446744073709551615", "18446744073709551615"),
    ] {
        assert!(same(one, other) && same(other, one), "{one} and {other}");
    }
    for (one, other) in [
        ("1", "2"),
        ("1", "\"1.0\""),
        ("true", "false"),
        ("\"true\"", "false"),
        ("\"a\"", "\"A\""),
        ("\"\"", "0"),
        ("9007199254740993", "9007199254740992"),
        ("18446744073709551615", "18446744073709551614"),
    ] {
        assert!(!same(one, other) && !same(other, one), "{one} and {other}");
    }
    for text in ["null", "[]", "{}", "\"\\ud800\""] {
        assert_eq!(read(text), None, "{text}");
    }
}
