//! The kernel for wasm: blocks of four limbs of 27 bits, as SIMD multiplies 32 bits by 32 to 64. Columns, the sums of the
//! products of one place, hold their carries until their block is the lowest.
//!
//! # Why no column overflows
//!
//! A number has at most `(4096 + 2) / 108`, rounded up, so 38 blocks, which are 152 limbs, each below `2^27`; a product of two
//! is below `2^54`. From `a · b` a column gets at most one product for each limb of `b`, because `b`'s limb and the column say
//! which limb of `a` it is; a square adds the same products, two at a time, by a doubled limb below `2^28`. From `q · n` it
//! gets at most one for each limb of `q`. Once, when the block below leaves, it may get what that carries. So it is below
//! `304 · 2^54 + c`, where the carry `c` is what is left of such a sum without its lowest 27 bits, below `2^37`: together below
//! `2^63`. A limb's carry is such a `c` too.

use super::Kernel;
use super::simd::{BLOCK, Columns, Limbs};

const LIMB_BITS: usize = 27;
const LIMB: u64 = (1 << LIMB_BITS) - 1;

/// A number at the four places that a limb has in a block; a block longer, for what is moved out of the last one.
type Shifted = Vec<[Limbs; BLOCK]>;

/// Montgomery's multiplication by four limbs at a time.
#[derive(Clone)]
pub(crate) struct Lanes {
    modulus: Shifted,
    /// `-1/n` modulo a block.
    negative_inverse: [u64; BLOCK],
    blocks: usize,
}

impl Kernel for Lanes {
    const DIGIT_BITS: usize = BLOCK * LIMB_BITS;
    /// Blocks, the lowest first; each limb below 2^27.
    type Number = Vec<Limbs>;

    fn new(modulus: &[u64], digits: usize) -> Self {
        let blocks = blocks_of(modulus, digits);
        let lowest = blocks.first().map_or([0; BLOCK], |block| block.to_array());
        Self { modulus: shifted(&blocks), negative_inverse: negative_inverse(lowest), blocks: digits }
    }

    fn number(&self, words: &[u64]) -> Vec<Limbs> {
        blocks_of(words, self.blocks)
    }

    fn words(&self, number: &Vec<Limbs>) -> Vec<u64> {
        let limbs = number.iter().flat_map(|block| block.to_array()).map(u64::from);
        regroup(limbs, LIMB_BITS, 64).collect()
    }

    fn multiply(&self, a: &Vec<Limbs>, b: &Vec<Limbs>) -> Vec<Limbs> {
        let mut sums = vec![Columns::ZERO; self.blocks + 1];
        let a = shifted(a);
        for digit in b {
            add_product(&mut sums, &a, digit.to_array().map(Limbs::splat));
            self.divide(&mut sums);
        }
        number_of(&sums)
    }

    /// Two blocks of `a` that differ are multiplied once, by the double.
    fn square(&self, a: &Vec<Limbs>) -> Vec<Limbs> {
        let mut sums = vec![Columns::ZERO; self.blocks + 1];
        let shifted = shifted(a);
        for (place, digit) in a.iter().enumerate() {
            let (once, twice) =
                (digit.to_array().map(Limbs::splat), digit.to_array().map(|limb| Limbs::splat(2 * limb)));
            let next = a.get(place + 1).copied().unwrap_or(Limbs::ZERO);
            if let Some([same, above, rest @ ..]) = sums.get_mut(place..) {
                *same = same.plus(digit.shifts(Limbs::ZERO), once);
                *above = above.plus(Limbs::ZERO.shifts(*digit), once).plus(next.shifts(Limbs::ZERO), twice);
                add_product(rest, shifted.get(place + 2..).unwrap_or_default(), twice);
            }
            self.divide(&mut sums);
        }
        number_of(&sums)
    }
}

impl Lanes {
    /// Adds the multiple of `n` that makes the lowest block zero, and drops that block.
    fn divide(&self, sums: &mut [Columns]) {
        let ([lowest, rest @ ..], [n0, n @ ..]) = (sums, self.modulus.as_slice()) else { return };
        let factors = self.factors(lowest.to_array());
        let carry = carry_of(lowest.plus(*n0, factors).to_array());
        if let Some(next) = rest.first_mut() {
            *next = next.plus_lowest(carry);
        }
        let mut below = lowest;
        for (sum, n) in rest.iter_mut().zip(n) {
            *below = sum.plus(*n, factors);
            below = sum;
        }
        *below = Columns::ZERO;
    }

    /// The limbs of `-lowest/n` modulo a block.
    fn factors(&self, lowest: [u64; BLOCK]) -> [Limbs; BLOCK] {
        let [t0, t1, t2, t3] = carried(lowest);
        let [k0, k1, k2, k3] = self.negative_inverse;
        carried([t0 * k0, t0 * k1 + t1 * k0, t0 * k2 + t1 * k1 + t2 * k0, t0 * k3 + t1 * k2 + t2 * k1 + t3 * k0])
            .map(|limb| Limbs::splat(limb as u32))
    }
}

#[inline(always)]
fn add_product(sums: &mut [Columns], a: &[[Limbs; BLOCK]], factors: [Limbs; BLOCK]) {
    for (sum, a) in sums.iter_mut().zip(a) {
        *sum = sum.plus(*a, factors);
    }
}

/// A block's limbs after its carries; what goes out of the block is dropped.
fn carried(columns: [u64; BLOCK]) -> [u64; BLOCK] {
    let mut carry = 0;
    columns.map(|column| {
        let sum = column + carry;
        carry = sum >> LIMB_BITS;
        sum & LIMB
    })
}

/// What goes out of a block.
fn carry_of(columns: [u64; BLOCK]) -> u64 {
    columns.into_iter().fold(0, |carry, column| (column + carry) >> LIMB_BITS)
}

/// The limbs of all columns but the last block's, which the divisions have left zero.
fn number_of(sums: &[Columns]) -> Vec<Limbs> {
    let mut carry = 0;
    let mut limb = |column: u64| {
        let sum = column + carry;
        carry = sum >> LIMB_BITS;
        (sum & LIMB) as u32
    };
    let blocks = sums.split_last().map_or(sums, |(_, blocks)| blocks);
    blocks.iter().map(|sums| Limbs::new(sums.to_array().map(&mut limb))).collect()
}

fn shifted(number: &[Limbs]) -> Shifted {
    let below = std::iter::once(&Limbs::ZERO).chain(number);
    let here = number.iter().chain(std::iter::once(&Limbs::ZERO));
    here.zip(below).map(|(here, below)| here.shifts(*below)).collect()
}

fn blocks_of(words: &[u64], blocks: usize) -> Vec<Limbs> {
    let limbs = regroup(words.iter().copied(), 64, LIMB_BITS).map(|limb| limb as u32);
    let limbs: Vec<u32> = limbs.chain(std::iter::repeat(0)).take(blocks * BLOCK).collect();
    limbs.as_chunks().0.iter().map(|block| Limbs::new(*block)).collect()
}

/// The bits of numbers of `from` bits each, as numbers of `to` bits each, the lowest first.
fn regroup(mut numbers: impl Iterator<Item = u64>, from: usize, to: usize) -> impl Iterator<Item = u64> {
    let (mut rest, mut bits) = (0_u128, 0);
    std::iter::from_fn(move || {
        while bits < to
            && let Some(number) = numbers.next()
        {
            rest |= u128::from(number) << bits;
            bits += from;
        }
        let group = rest & ((1 << to) - 1);
        rest >>= to;
        let some = bits > 0;
        bits = bits.saturating_sub(to);
        some.then_some(group as u64)
    })
}

/// `-1/n` modulo a block, of its lowest block.
fn negative_inverse(lowest: [u32; BLOCK]) -> [u64; BLOCK] {
    let low = lowest.into_iter().rev().fold(0_u128, |low, limb| low << LIMB_BITS | u128::from(limb));
    // Newton's iteration doubles the bits that are right, three at first: an odd square is 1 modulo 8
    let inverse = (0..6).fold(low, |x, _| x.wrapping_mul(2_u128.wrapping_sub(low.wrapping_mul(x))));
    let negative = inverse.wrapping_neg();
    [0, 1, 2, 3].map(|place| (negative >> (place * LIMB_BITS)) as u64 & LIMB)
}
