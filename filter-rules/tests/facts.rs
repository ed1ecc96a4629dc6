//! Facts as data: what is read, what is refused, and that recording a request loses nothing.

use filter_rules::{Expression, FactError, FactSet, Facts, Field, Lists, Value};

#[test]
fn facts_are_read_by_the_type_of_their_field() {
    let json = r#"{"http.host": "a", "ip.src": "10.0.0.1", "ssl": true, "cf.edge.server_port": 443, "http.referer": null,
        "http.request.headers": {"x": ["1", "2"], "empty": []}, "http.request.headers.names": ["X"], "http.cookie": [255, 0]}"#;
    let facts = FactSet::from_json(json).unwrap();
    assert_eq!(facts.bytes(Field::HttpHost), Some(&b"a"[..]));
    assert_eq!(facts.ip(Field::IpSrc), Some([10, 0, 0, 1].into()));
    assert_eq!(facts.bool(Field::Ssl), Some(true));
    assert_eq!(facts.int(Field::EdgeServerPort), Some(443));
    assert_eq!(facts.bytes(Field::HttpCookie), Some(&[255, 0][..]));
    assert_eq!(facts.known(Field::HttpReferer), Some(None), "known to be missing");
    assert_eq!(facts.known(Field::HttpUserAgent), None, "not known");
    assert_eq!(facts.known(Field::HttpHeaders).unwrap().unwrap().to_string(), r#"{"x": ["1", "2"]}"#);
}

#[test]
fn facts_that_fit_no_field_are_refused() {
    for (json, expected) in [
        ("[]", "facts are not a JSON object"),
        ("{", "facts are not JSON"),
        (r#"{"http.hots": "a"}"#, r#"there is no field "http.hots""#),
        (r#"{"ssl": "true"}"#, "field ssl is of type Bool"),
        (r#"{"ip.src": "10.0.0"}"#, "field ip.src is of type Ip"),
        (r#"{"cf.edge.server_port": 1.5}"#, "field cf.edge.server_port is of type Int"),
        (r#"{"http.cookie": [256]}"#, "field http.cookie is of type Bytes"),
        (r#"{"http.request.headers": {"x": "1"}}"#, "field http.request.headers is of type Map<Array<Bytes>>"),
    ] {
        let error = FactSet::from_json(json).expect_err(json).to_string();
        assert!(error.starts_with(expected), "{json}: {error}");
    }
    assert!(matches!(FactSet::default().insert(Field::Ssl, Value::Int(1)), Err(FactError::WrongType { .. })));
}

#[test]
fn a_recorded_request_is_judged_as_the_request_was() {
    let json = r#"{"http.host": "a", "ssl": true, "http.request.headers": {"x": ["1", "2"]}, "http.cookie": [255]}"#;
    let request = FactSet::from_json(json).unwrap();
    let source = r#"http.host eq "a" and any(http.request.headers["x"][*] eq "2") and not http.referer eq "b" and http.cookie eq "\xff""#;
    let expression = Expression::parse(source).unwrap();
    let recorded = FactSet::capture(&request, &expression.fields()).to_json();
    let read = FactSet::from_json(&recorded.to_string()).unwrap();
    assert_eq!(read.known(Field::HttpReferer), Some(None));
    assert_eq!(read.known(Field::Ssl), None, "no rule asks for it");
    let matcher = expression.compile(&Lists::default()).unwrap();
    assert!(matcher.matches(&request) && matcher.matches(&read));
}

#[test]
fn facts_may_be_behind_a_trait_object() {
    let facts: Box<dyn Facts> = Box::new(FactSet::for_host("A.example:443"));
    let matcher = Expression::parse(r#"http.host eq "a.example""#).unwrap().compile(&Lists::default()).unwrap();
    assert!(matcher.matches(&*facts));
}
