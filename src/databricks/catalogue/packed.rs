//! The catalogue's text and rows, which stand packed in the module (tools/catalogue/packing.py) and are unpacked once: a third of the size.

use super::find::Node;
use super::shape::Kinds;
use super::table;
use std::sync::LazyLock;

/// A line of the table: spans of its name and template, where its ids and its other names stand in the lists, and its scope,
/// the reason for which it is sensitive, and its method, as places in their tables; and one more than the place of its body's shape.
#[derive(Debug)]
pub(super) struct Row(
    pub(super) Span,
    pub(super) Span,
    pub(super) u16,
    pub(super) u16,
    pub(super) u8,
    pub(super) u8,
    pub(super) u8,
    pub(super) u16,
);

/// A part of the text: offset in the upper 20 bits, length in the lower 12.
pub(super) type Span = u32;

/// The rows of everything.
#[derive(Debug, Default)]
pub(super) struct Rows {
    text: String,
    /// By node.
    pub(super) operations: Vec<Row>,
    /// First member, composites among the lists, place in `below`.
    pub(super) shapes: Vec<(u16, u16, u8)>,
    /// Kinds and features that stand somewhere in a shape.
    pub(super) below: Vec<(Kinds, u16)>,
    /// Place in `names` and in `what`; sorted within a shape.
    pub(super) members: Vec<(u16, u16)>,
    /// The names of members.
    pub(super) names: Vec<Span>,
    /// Shape and 1, kind, form and feature of a member.
    pub(super) what: Vec<(u16, u8, u8)>,
    /// The tree.
    pub(super) nodes: Vec<Node>,
    /// The edges' segments, sorted within a node.
    pub(super) labels: Vec<Span>,
    /// The edges' nodes.
    pub(super) targets: Vec<u16>,
    /// Lists of ids and of other names.
    pub(super) lists: Vec<Span>,
    /// The operations, by name.
    pub(super) by_name: Vec<u16>,
    /// Other names, sorted.
    pub(super) aliases: Vec<(Span, u16)>,
}

/// The rows, unpacked where this is the first that asks.
pub(super) fn rows() -> &'static Rows {
    static ROWS: LazyLock<Rows> = LazyLock::new(|| Rows::read(table::PACKED).unwrap_or_default());
    &ROWS
}

/// The text of a span.
pub(super) fn text(span: Span) -> &'static str {
    rows().text(span)
}

impl Rows {
    /// As [`text`], for those who have the rows at hand: to ask for them takes a look at whether they are there.
    pub(super) fn text(&self, span: Span) -> &str {
        let offset = usize::try_from(span >> 12).unwrap_or(usize::MAX);
        let length = usize::try_from(span & 0xfff).unwrap_or(usize::MAX);
        self.text.get(offset..offset.saturating_add(length)).unwrap_or_default()
    }

    /// Reads what emit.py writes, in the same order.
    fn read(packed: &[u8]) -> Option<Self> {
        let unpacked = unpack(packed)?;
        let (text, rest) = unpacked.split_at_checked(table::TEXT)?;
        let mut columns = Columns(rest);
        let (names, templates) = (columns.spans(table::OPERATIONS)?, columns.spans(table::OPERATIONS)?);
        let others = columns.rows(table::OPERATIONS)?;
        let operation = |((name, template), [ids, also, scope, reason, method, body]): ((Span, Span), [u32; 6])| {
            Row(name, template, short(ids), short(also), byte(scope), byte(reason), byte(method), short(body))
        };
        Some(Self {
            text: String::from_utf8(text.to_vec()).ok()?,
            operations: names.into_iter().zip(templates).zip(others).map(operation).collect(),
            shapes: columns.rows(table::SHAPES)?.into_iter().map(|[a, b, c]| (short(a), short(b), byte(c))).collect(),
            below: columns.rows(table::BELOW)?.into_iter().map(|[a, b, c, d]| ([a, b, c], short(d))).collect(),
            members: columns.rows(table::MEMBERS)?.into_iter().map(|[a, b]| (short(a), short(b))).collect(),
            names: columns.spans(table::NAMES)?,
            what: columns.rows(table::WHAT)?.into_iter().map(|[a, b, c]| (short(a), byte(b), byte(c))).collect(),
            nodes: columns.rows(table::NODES)?.into_iter().map(|node: [u32; 4]| node.map(short)).collect(),
            labels: columns.spans(table::EDGES)?,
            targets: columns.column(table::EDGES)?.into_iter().map(short).collect(),
            lists: columns.spans(table::LISTS)?,
            by_name: columns.column(table::OPERATIONS)?.into_iter().map(short).collect(),
            aliases: columns
                .spans(table::ALIASES)?
                .into_iter()
                .zip(columns.column(table::ALIASES)?.into_iter().map(short))
                .collect(),
        })
    }
}

fn short(number: u32) -> u16 {
    let [low, high, ..] = number.to_le_bytes();
    u16::from_le_bytes([low, high])
}

fn byte(number: u32) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}

/// What is left of the columns. One begins with how many bytes each of its numbers takes, 128 more if they are differences; then come all
/// lowest bytes, all next ones, ….
struct Columns<'a>(&'a [u8]);

impl Columns<'_> {
    /// The next column, which has `count` numbers.
    #[inline(never)]
    fn column(&mut self, count: usize) -> Option<Vec<u32>> {
        let (head, mut rest) = self.0.split_first()?;
        let bits = u32::from(head & 0x7f).checked_mul(8)?;
        let mut numbers = vec![0_u32; count];
        for shift in (0..bits).step_by(8) {
            let (plane, behind) = rest.split_at_checked(count)?;
            for (number, byte) in numbers.iter_mut().zip(plane) {
                *number |= u32::from(*byte).checked_shl(shift)?;
            }
            rest = behind;
        }
        self.0 = rest;
        if head & 0x80 != 0 {
            let mask = u32::MAX.checked_shr(32_u32.checked_sub(bits)?)?;
            let mut sum = 0_u32;
            for number in &mut numbers {
                sum = sum.wrapping_add(*number) & mask;
                *number = sum;
            }
        }
        Some(numbers)
    }

    /// The next columns, as rows of them.
    fn rows<const WIDTH: usize>(&mut self, count: usize) -> Option<Vec<[u32; WIDTH]>> {
        let mut rows = vec![[0; WIDTH]; count];
        for place in 0..WIDTH {
            for (row, number) in rows.iter_mut().zip(self.column(count)?) {
                *row.get_mut(place)? = number;
            }
        }
        Some(rows)
    }

    /// Spans: how far each begins behind the end of the one before, and how long it is.
    #[inline(never)]
    fn spans(&mut self, count: usize) -> Option<Vec<Span>> {
        let mut end = 0_u32;
        let span = |[gap, length]: [u32; 2]| {
            let offset = end.wrapping_add(gap) & 0xf_ffff;
            end = offset.wrapping_add(length);
            offset << 12 | length & 0xfff
        };
        Some(self.rows(count)?.into_iter().map(span).collect())
    }
}

/// Undoes packing.py's `pack`; `None` for what that does not write.
fn unpack(mut packed: &[u8]) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((halves, rest)) = packed.split_first() {
        packed = rest;
        let kept = half(halves >> 4, &mut packed)?;
        let (literals, rest) = packed.split_at_checked(kept)?;
        packed = rest;
        found.extend_from_slice(literals);
        if packed.is_empty() {
            break;
        }
        let back = number(&mut packed)?;
        let length = half(halves & 15, &mut packed)?.checked_add(3)?;
        // what is said again may reach into itself
        for at in (found.len().checked_sub(back)?..).take(length) {
            found.push(*found.get(at)?);
        }
    }
    Some(found)
}

/// A half of a step's first byte, with the rest behind it where it is full.
fn half(half: u8, packed: &mut &[u8]) -> Option<usize> {
    if half == 15 { number(packed)?.checked_add(15) } else { Some(usize::from(half)) }
}

/// A number of seven bits a byte, the least first.
fn number(packed: &mut &[u8]) -> Option<usize> {
    let (mut number, mut shift) = (0_usize, 0_u32);
    loop {
        let (byte, rest) = packed.split_first()?;
        *packed = rest;
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if *byte < 0x80 {
            return Some(number);
        }
        shift = shift.checked_add(7)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_small_and_whole() {
        assert!(Rows::read(table::PACKED).is_some());
        let bytes = table::PACKED.len();
        assert!(bytes < 80 * 1024, "{bytes} bytes");
        assert!(rows().text.len() > 100 * 1024, "{} bytes are not all of it", rows().text.len());
    }

    #[test]
    fn what_is_said_again_may_reach_into_itself() {
        assert_eq!(unpack(b"\x21ab\x02\x10!").as_deref(), Some(&b"ababab!"[..]));
        assert_eq!(unpack(b"\x1fa\x01\x02\x00").as_deref(), Some([b'a'; 21].as_slice()));
        assert_eq!(unpack(b"").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        for end in 1..table::PACKED.len() {
            let whole = table::PACKED.get(..end).unwrap_or_default();
            assert!(end % 997 != 0 || Rows::read(whole).is_none(), "{end}");
        }
        assert!(unpack(b"\x10a\x02").is_none() && unpack(b"\x2fa").is_none() && unpack(b"\xf0\xff").is_none());
    }
}
