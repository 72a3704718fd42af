//! Lists of headers as hosts and filters hand them to each other: a count, the lengths, then the texts, each ended by a zero.

/// A name and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

pub(crate) fn serialize<'a>(pairs: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let mut bytes = length(pairs.len()).to_vec();
    for (name, value) in pairs.clone() {
        bytes.extend(length(name.len()));
        bytes.extend(length(value.len()));
    }
    for text in pairs.flat_map(|(name, value)| [name, value]) {
        bytes.extend(text);
        bytes.push(0);
    }
    bytes
}

/// `None` if the bytes are no such list.
pub(crate) fn parse(bytes: &[u8]) -> Option<Vec<Pair>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let count = word(0)?;
    let mut at = 4 + 8 * count;
    let mut text = |length: usize| {
        let text = bytes.get(at..at + length)?.to_vec();
        at += length;
        (bytes.get(at) == Some(&0)).then_some(())?;
        at += 1;
        Some(text)
    };
    let mut pairs = Vec::new();
    for number in 0..count {
        let (name, value) = (word(4 + 8 * number)?, word(8 + 8 * number)?);
        pairs.push((text(name)?, text(value)?));
    }
    (at == bytes.len()).then_some(pairs)
}
