//! DER, as far as keys need it (ITU-T X.690).

/// `SEQUENCE`
pub const SEQUENCE: u8 = 0x30;
/// `INTEGER`
pub const INTEGER: u8 = 0x02;
/// `BIT STRING`
pub const BIT_STRING: u8 = 0x03;
/// `OCTET STRING`
pub const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`
pub const OBJECT_IDENTIFIER: u8 = 0x06;

/// Elements that have not been read yet. Tags and lengths are read as DER writes them, in one way only, and tags of one byte.
#[derive(Clone, Copy, Debug)]
pub struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The elements in `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The contents of the next element, which must be of this tag.
    pub fn read(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (contents, rest) = element(self.0.strip_prefix(&[tag])?)?;
        self.0 = rest;
        Some(contents)
    }

    /// The contents of the next element if it is of this tag; nothing is read otherwise.
    ///
    /// # Errors
    /// It is of this tag and broken.
    pub fn read_optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        if self.0.first() == Some(&tag) { self.read(tag).map(Some) } else { Some(None) }
    }

    /// The contents of the only element, which must be of this tag.
    #[must_use]
    pub fn only(mut self, tag: u8) -> Option<&'a [u8]> {
        self.read(tag).filter(|_| self.is_empty())
    }

    /// Whether all has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The contents of an element and what follows it, from behind its tag.
fn element(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = text.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            let length = digits.iter().fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
            // the shortest way only
            let is_shortest = length > 0x7f && digits.first() != Some(&0);
            (is_shortest.then_some(length)?, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_one_by_one() {
        let mut der = Der::new(&[2, 1, 7, 4, 2, 8, 9, 4, 0]);
        assert_eq!(der.read_optional(SEQUENCE), Some(None));
        assert_eq!(der.read(INTEGER), Some(&[7][..]));
        assert_eq!(der.read(INTEGER), None);
        assert_eq!(der.read_optional(OCTET_STRING), Some(Some(&[8, 9][..])));
        assert!(der.only(OCTET_STRING) == Some(&[]) && der.only(INTEGER).is_none() && !der.is_empty());
        let long = [&[4, 0x82, 1, 0][..], &[5; 256]].concat();
        assert_eq!(Der::new(&long).only(OCTET_STRING), Some(&[5; 256][..]));
    }

    #[test]
    fn lengths_are_written_in_the_shortest_way_and_hold() {
        for bytes in
            [&[4][..], &[4, 1], &[4, 0x81, 1, 5], &[4, 0x80, 5, 0, 0], &[4, 0x82, 0, 0x80], &[4, 0x84, 0, 0, 0, 1, 5]]
        {
            assert_eq!(Der::new(bytes).read(OCTET_STRING), None, "{bytes:?}");
            assert_eq!(Der::new(bytes).read_optional(OCTET_STRING), None, "{bytes:?}");
        }
        let padded = [&[4, 0x82, 0, 0x80][..], &[5; 128]].concat();
        assert_eq!(Der::new(&padded).read(OCTET_STRING), None);
        assert_eq!(Der::new(&[4, 1, 5, 0]).only(OCTET_STRING), None);
    }
}
