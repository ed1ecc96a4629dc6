//! The table of functions.

use super::{Accepts, ArgumentKind, Function, Param, PatternKind, Returns};
use super::{address, encoding, json, replace, text};
use crate::ast::Literal;
use crate::types::Type;

/// A string that is not a literal.
const SOURCE: Param = Param { kind: ArgumentKind::Field, accepts: Accepts::Only(Type::Bytes) };
/// A string.
const STRING: Param = Param { kind: ArgumentKind::Any, accepts: Accepts::Only(Type::Bytes) };
/// A string literal.
const STRING_LITERAL: Param = Param { kind: ArgumentKind::Literal, accepts: Accepts::Only(Type::Bytes) };
/// An integer.
const INT: Param = Param { kind: ArgumentKind::Any, accepts: Accepts::Only(Type::Int) };
/// An integer literal.
const INT_LITERAL: Param = Param { kind: ArgumentKind::Literal, accepts: Accepts::Only(Type::Int) };
/// An address that is not a literal.
const ADDRESS: Param = Param { kind: ArgumentKind::Field, accepts: Accepts::Only(Type::Ip) };

fn any_literal(_: usize, _: &Literal) -> Result<(), String> {
    Ok(())
}

/// A function of fixed arity without literal checks or patterns; the table below overrides what differs.
const PLAIN: Function = Function {
    name: "",
    usage: "",
    doc: "",
    params: &[],
    required: 1,
    repeats: false,
    returns: Returns::Type(Type::Bytes),
    pattern: PatternKind::None,
    check: any_literal,
    body: text::lower,
};

/// Every function, in alphabetical order. `any` and `all` are quantifiers of the grammar and not here.
pub const ALL: &[Function] = &[
    Function {
        name: "cidr",
        usage: "cidr(ip, ipv4_bits, ipv6_bits)",
        doc: "The network address of an address, for these prefix lengths (1 to 32 and 1 to 128).",
        params: &[ADDRESS, INT, INT],
        required: 3,
        returns: Returns::Type(Type::Ip),
        check: address::check_cidr,
        body: address::cidr,
        ..PLAIN
    },
    Function {
        name: "cidr6",
        usage: "cidr6(ip, ipv6_bits)",
        doc: "The network address of an IPv6 address; an IPv4 address stays as it is.",
        params: &[ADDRESS, INT],
        required: 2,
        returns: Returns::Type(Type::Ip),
        check: address::check_cidr6,
        body: address::cidr6,
        ..PLAIN
    },
    Function {
        name: "concat",
        usage: "concat(first, second, …)",
        doc: "Strings or arrays one after the other; missing ones count as empty.",
        params: &[
            Param { kind: ArgumentKind::Any, accepts: Accepts::BytesOrArray },
            Param { kind: ArgumentKind::Any, accepts: Accepts::LikeFirst },
        ],
        required: 2,
        repeats: true,
        returns: Returns::FirstArgument,
        body: text::concat,
        ..PLAIN
    },
    Function {
        name: "decode_base64",
        usage: "decode_base64(source)",
        doc: "The bytes a base64 text stands for; missing when it is not base64.",
        params: &[SOURCE],
        body: encoding::decode_base64,
        ..PLAIN
    },
    Function {
        name: "ends_with",
        usage: "ends_with(source, suffix)",
        doc: "Whether a string ends with another, case counting.",
        params: &[SOURCE, STRING],
        required: 2,
        returns: Returns::Type(Type::Bool),
        body: text::ends_with,
        ..PLAIN
    },
    Function {
        name: "join",
        usage: "join(array, separator)",
        doc: "The strings of an array with the separator between them.",
        params: &[Param { kind: ArgumentKind::Field, accepts: Accepts::Only(Type::Array(&Type::Bytes)) }, STRING],
        required: 2,
        body: text::join,
        ..PLAIN
    },
    Function {
        name: "len",
        usage: "len(source)",
        doc: "Bytes of a string or elements of an array.",
        params: &[Param { kind: ArgumentKind::Field, accepts: Accepts::BytesOrArray }],
        returns: Returns::Type(Type::Int),
        body: text::len,
        ..PLAIN
    },
    Function {
        name: "lookup_json_integer",
        usage: "lookup_json_integer(source, key, …)",
        doc: "The integer under keys (names or positions from 0) of a JSON text; missing when there is none.",
        params: &[SOURCE, Param { kind: ArgumentKind::Any, accepts: Accepts::BytesOrInt }],
        required: 2,
        repeats: true,
        returns: Returns::Type(Type::Int),
        body: json::lookup_json_integer,
        ..PLAIN
    },
    Function {
        name: "lookup_json_string",
        usage: "lookup_json_string(source, key, …)",
        doc: "The string under keys (names or positions from 0) of a JSON text; missing when there is none.",
        params: &[SOURCE, Param { kind: ArgumentKind::Any, accepts: Accepts::BytesOrInt }],
        required: 2,
        repeats: true,
        body: json::lookup_json_string,
        ..PLAIN
    },
    Function {
        name: "lower",
        usage: "lower(source)",
        doc: "ASCII letters in lower case.",
        params: &[SOURCE],
        body: text::lower,
        ..PLAIN
    },
    Function {
        name: "regex_replace",
        usage: "regex_replace(source, pattern, replacement)",
        doc: "The first match of a regular expression replaced; `${1}` to `${8}` stand for its groups, `$$` for `$`.",
        params: &[SOURCE, STRING_LITERAL, STRING_LITERAL],
        required: 3,
        pattern: PatternKind::Regex,
        check: replace::check,
        body: replace::regex_replace,
        ..PLAIN
    },
    Function {
        name: "remove_bytes",
        usage: "remove_bytes(source, bytes)",
        doc: "A string without any of these bytes.",
        params: &[SOURCE, STRING],
        required: 2,
        body: text::remove_bytes,
        ..PLAIN
    },
    Function {
        name: "sha256",
        usage: "sha256(source)",
        doc: "The 32 bytes of the SHA-256 of a string.",
        params: &[STRING],
        body: encoding::sha256,
        ..PLAIN
    },
    Function {
        name: "split",
        usage: "split(source, separator, limit)",
        doc: "The pieces of a string between separators, at most `limit` (1 to 128) of them.",
        params: &[SOURCE, STRING_LITERAL, INT_LITERAL],
        required: 3,
        returns: Returns::Type(Type::Array(&Type::Bytes)),
        check: text::check_split,
        body: text::split,
        ..PLAIN
    },
    Function {
        name: "starts_with",
        usage: "starts_with(source, prefix)",
        doc: "Whether a string starts with another, case counting.",
        params: &[SOURCE, STRING],
        required: 2,
        returns: Returns::Type(Type::Bool),
        body: text::starts_with,
        ..PLAIN
    },
    Function {
        name: "substring",
        usage: "substring(source, start[, end])",
        doc: "The bytes from `start` up to but not including `end`; negative positions count from the end.",
        params: &[SOURCE, INT, INT],
        required: 2,
        body: text::substring,
        ..PLAIN
    },
    Function {
        name: "to_string",
        usage: "to_string(source)",
        doc: "A Boolean, integer or address as text.",
        params: &[Param { kind: ArgumentKind::Field, accepts: Accepts::Printable }],
        body: text::to_string,
        ..PLAIN
    },
    Function {
        name: "upper",
        usage: "upper(source)",
        doc: "ASCII letters in upper case.",
        params: &[SOURCE],
        body: text::upper,
        ..PLAIN
    },
    Function {
        name: "url_decode",
        usage: "url_decode(source[, options])",
        doc: "`%XX` and `+` decoded; option `r` repeats until nothing changes, `u` decodes `%uXXXX` too.",
        params: &[SOURCE, STRING_LITERAL],
        check: encoding::check_url_decode,
        body: encoding::url_decode,
        ..PLAIN
    },
    Function {
        name: "wildcard_replace",
        usage: "wildcard_replace(source, pattern, replacement[, \"s\"])",
        doc: "A whole value that matches a wildcard replaced; `${1}` to `${8}` stand for its stars. `s` makes case count.",
        params: &[SOURCE, STRING_LITERAL, STRING_LITERAL, STRING_LITERAL],
        required: 3,
        pattern: PatternKind::Wildcard,
        check: replace::check_wildcard,
        body: replace::wildcard_replace,
        ..PLAIN
    },
];
