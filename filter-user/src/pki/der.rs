//! The little of DER that is needed where a full parser would be too slow or too forgiving.

/// `SEQUENCE`.
pub(super) const SEQUENCE: u8 = 0x30;
/// `INTEGER`.
pub(super) const INTEGER: u8 = 0x02;
/// `OBJECT IDENTIFIER`.
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
/// `BIT STRING`.
pub(super) const BIT_STRING: u8 = 0x03;

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// Class, form and number; numbers above 30 do not occur in certificates.
    pub(super) tag: u8,
    /// What is inside.
    pub(super) content: &'a [u8],
    /// The whole element, header included.
    pub(super) raw: &'a [u8],
}

/// Reads elements one after the other. `None` means malformed or at the end; nothing is ever guessed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything has been read.
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, whatever it is.
    pub(super) fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, after_tag) = self.rest.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, after_length) = after_tag.split_first()?;
        let (length, body) = match first {
            0..=0x7f => (usize::from(first), after_length),
            0x81..=0x84 => long_length(usize::from(first & 0x7f), after_length)?,
            _ => return None,
        };
        let (content, rest) = body.split_at_checked(length)?;
        let raw = self.rest.get(..self.rest.len().checked_sub(rest.len())?)?;
        self.rest = rest;
        Some(Element { tag, content, raw })
    }

    /// The next element if it has this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next element if it has this tag; nothing is read otherwise.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        if self.rest.first() == Some(&tag) { self.next() } else { None }
    }
}

/// A length of several bytes, which DER wants as short as possible.
fn long_length(count: usize, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(count)?;
    let length = digits.iter().fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
    let shortest = length > 0x7f && digits.first() != Some(&0);
    shortest.then_some((length, rest))
}

/// A signed object: certificate, request or CRL.
pub(super) struct Signed<'a> {
    /// What is signed, header included.
    pub(super) message: &'a [u8],
    /// The content of what is signed.
    pub(super) body: &'a [u8],
    /// The content of the algorithm identifier.
    pub(super) algorithm: &'a [u8],
    /// The signature.
    pub(super) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(der);
        let mut inner = Reader::new(outer.expect(SEQUENCE)?.content);
        let body = inner.expect(SEQUENCE)?;
        let algorithm = inner.expect(SEQUENCE)?.content;
        let signature = bits(inner.expect(BIT_STRING)?.content)?;
        let whole = outer.is_empty() && inner.is_empty();
        whole.then_some(Self { message: body.raw, body: body.content, algorithm, signature })
    }
}

/// The bytes of a bit string that ends on a byte.
pub(super) fn bits(content: &[u8]) -> Option<&[u8]> {
    match content.split_first() {
        Some((0, bytes)) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_read_in_their_shortest_form_only() {
        let long = [&[0x30, 0x81, 0x80][..], &[7; 128]].concat();
        let mut reader = Reader::new(&long);
        assert_eq!(reader.next().unwrap().content.len(), 128);
        assert!(reader.is_empty());
        for bad in [
            &[0x30][..],
            &[0x30, 0x02, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 0x01, 7],
            &[0x30, 0x82, 0x00, 0x80],
            &[0x30, 0x85, 1, 0, 0, 0, 0],
            &[0x3f, 0x81, 0x01, 0x00],
        ] {
            assert_eq!(Reader::new(bad).next(), None, "{bad:x?}");
        }
    }

    #[test]
    fn an_optional_element_that_is_absent_is_not_skipped() {
        let mut reader = Reader::new(&[0x02, 1, 5]);
        assert_eq!(reader.optional(SEQUENCE), None);
        assert_eq!(reader.expect(INTEGER).unwrap().content, [5]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic_or_read_past_the_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            let mut read = 0;
            while let Some(element) = reader.next() {
                read += element.raw.len();
            }
            prop_assert!(read <= bytes.len());
            let _ = Signed::parse(&bytes);
        }
    }
}
