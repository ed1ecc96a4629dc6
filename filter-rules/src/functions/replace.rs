//! Functions that replace.

use super::Arguments;
use crate::ast::{CallPattern, Literal};
use crate::limits::REPLACEMENT_REFERENCES_MAX;
use crate::value::Value;

/// A piece of a replacement.
enum Piece<'r> {
    Text(&'r [u8]),
    Reference(usize),
}

pub(super) fn check(index: usize, literal: &Literal) -> Result<(), String> {
    let Literal::Bytes(replacement) = literal else { return Ok(()) };
    if index != 2 {
        return Ok(());
    }
    let references = pieces(&replacement.bytes).into_iter().filter_map(|piece| match piece {
        Piece::Reference(group) => Some(group),
        Piece::Text(_) => None,
    });
    let groups: Vec<usize> = references.collect();
    match groups.iter().find(|group| !(1..=REPLACEMENT_REFERENCES_MAX).contains(*group)) {
        Some(group) => {
            Err(format!("references go from ${{1}} to ${{{REPLACEMENT_REFERENCES_MAX}}}, but one is ${{{group}}}"))
        }
        None if groups.len() > REPLACEMENT_REFERENCES_MAX => Err(format!(
            "a replacement may hold {REPLACEMENT_REFERENCES_MAX} references, but this has {}",
            groups.len()
        )),
        None => Ok(()),
    }
}

pub(super) fn check_wildcard(index: usize, literal: &Literal) -> Result<(), String> {
    match literal {
        Literal::Bytes(flags) if index == 3 && !matches!(&*flags.bytes, b"" | b"s") => {
            Err("the only flag is \"s\"".to_owned())
        }
        _ => check(index, literal),
    }
}

pub(super) fn regex_replace<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let source = arguments.bytes(0)?;
    let replacement = arguments.bytes(2)?;
    let Some(CallPattern::Regex(regex)) = arguments.pattern else { return None };
    let mut captures = regex.engine().create_captures();
    regex.engine().captures(&*source, &mut captures);
    let Some(whole) = captures.get_match() else { return Some(Value::Bytes(source)) };
    let mut replaced = source.get(..whole.start())?.to_vec();
    expand(&replacement, &mut replaced, |group| {
        captures.get_group(group).and_then(|span| source.get(span.start..span.end))
    });
    replaced.extend_from_slice(source.get(whole.end()..)?);
    Some(Value::from(replaced))
}

pub(super) fn wildcard_replace<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let source = arguments.bytes(0)?;
    let replacement = arguments.bytes(2)?;
    let Some(CallPattern::Wildcard(wildcard)) = arguments.pattern else { return None };
    let Some(captures) = wildcard.captures(&source) else { return Some(Value::Bytes(source)) };
    let mut replaced = Vec::with_capacity(replacement.len());
    expand(&replacement, &mut replaced, |group| captures.get(group.checked_sub(1)?).copied());
    Some(Value::from(replaced))
}

/// Appends `replacement` with its references replaced; one to a group that did not take part stands for nothing.
fn expand<'s>(replacement: &[u8], out: &mut Vec<u8>, group: impl Fn(usize) -> Option<&'s [u8]>) {
    for piece in pieces(replacement) {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Reference(number) => out.extend_from_slice(group(number).unwrap_or_default()),
        }
    }
}

/// Splits a replacement at `${n}` and `$$`; any other `$` is text.
fn pieces(replacement: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = replacement;
    while let Some(dollar) = memchr::memchr(b'$', rest) {
        let (text, from_dollar) = rest.split_at(dollar);
        pieces.push(Piece::Text(text));
        if let Some((number, after)) = reference(from_dollar) {
            pieces.push(Piece::Reference(number));
            rest = after;
        } else {
            pieces.push(Piece::Text(b"$"));
            rest = from_dollar.strip_prefix(b"$$").or_else(|| from_dollar.get(1..)).unwrap_or_default();
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// `${n}` and what follows it.
fn reference(from_dollar: &[u8]) -> Option<(usize, &[u8])> {
    let inner = from_dollar.strip_prefix(b"${")?;
    let (digits, after) = inner.split_at_checked(memchr::memchr(b'}', inner)?)?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, after.get(1..)?))
}
