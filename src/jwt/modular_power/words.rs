//! The kernel for processors that multiply 64 bits by 64 to 128.
//!
//! A product has twice as many words as `R`, and holds `a · b + q · n < 4n² + R · n <= 2R · n < R²`. Each step of a row adds
//! two words to a product of two: `(2^64 - 1)² + 2 · (2^64 - 1) = 2^128 - 1` at most.

use super::Kernel;

/// Montgomery's multiplication by words.
#[derive(Clone)]
pub(crate) struct Words {
    modulus: Vec<u64>,
    /// `-1/n` modulo 2^64.
    negative_inverse: u64,
}

impl Kernel for Words {
    const DIGIT_BITS: usize = 64;
    /// The lowest word first.
    type Number = Vec<u64>;

    fn new(modulus: &[u64], digits: usize) -> Self {
        let lowest = modulus.first().copied().unwrap_or_default();
        // Newton's iteration doubles the bits that are right, which are three at first: an odd square is 1 modulo 8
        let inverse = (0..5).fold(lowest, |x, _| x.wrapping_mul(2_u64.wrapping_sub(lowest.wrapping_mul(x))));
        Self { modulus: resized(modulus, digits), negative_inverse: inverse.wrapping_neg() }
    }

    fn number(&self, words: &[u64]) -> Vec<u64> {
        resized(words, self.modulus.len())
    }

    fn words(&self, number: &Vec<u64>) -> Vec<u64> {
        number.clone()
    }

    fn multiply(&self, a: &Vec<u64>, b: &Vec<u64>) -> Vec<u64> {
        let mut product = vec![0; 2 * a.len()];
        for (place, digit) in b.iter().enumerate() {
            put_row(product.get_mut(place..).unwrap_or_default(), a, *digit);
        }
        self.divide(product)
    }

    /// Two words of `a` that differ are multiplied once, and all of that is doubled.
    fn square(&self, a: &Vec<u64>) -> Vec<u64> {
        let mut product = vec![0; 2 * a.len()];
        for (place, digit) in a.iter().enumerate() {
            let above = a.get(place + 1..).unwrap_or_default();
            put_row(product.get_mut(2 * place + 1..).unwrap_or_default(), above, *digit);
        }
        double_and_add_squares(&mut product, a);
        self.divide(product)
    }
}

impl Words {
    /// Adds the multiple of `n` that makes the lower half zero, and leaves the upper half.
    fn divide(&self, mut product: Vec<u64>) -> Vec<u64> {
        let length = self.modulus.len();
        let mut carry = false;
        for place in 0..length {
            let Some(row) = product.get_mut(place..) else { continue };
            let factor = row.first().map_or(0, |lowest| lowest.wrapping_mul(self.negative_inverse));
            let high = add_row(row, &self.modulus, factor);
            if let Some(next) = row.get_mut(length) {
                (*next, carry) = next.carrying_add(high, carry);
            }
        }
        product.split_off(length)
    }
}

fn resized(words: &[u64], length: usize) -> Vec<u64> {
    let mut words = words.to_vec();
    words.resize(length, 0);
    words
}

/// Adds `a · digit`, and puts its highest word where nothing was added yet.
fn put_row(product: &mut [u64], a: &[u64], digit: u64) {
    let high = add_row(product, a, digit);
    if let Some(next) = product.get_mut(a.len()) {
        *next = high;
    }
}

/// Adds `a · digit` to as many words as `a` has; the word that belongs to the next one is left to the caller.
fn add_row(row: &mut [u64], a: &[u64], digit: u64) -> u64 {
    let mut carry = 0;
    for (word, a) in row.iter_mut().zip(a) {
        let product = u128::from(*a) * u128::from(digit) + u128::from(*word);
        // last, because the next word waits for it
        let (low, overflow) = (product as u64).overflowing_add(carry);
        (*word, carry) = (low, (product >> 64) as u64 + u64::from(overflow));
    }
    carry
}

fn double_and_add_squares(product: &mut [u64], a: &[u64]) {
    let (mut below, mut carry) = (0, false);
    for ([low, high], a) in product.as_chunks_mut().0.iter_mut().zip(a) {
        let square = u128::from(*a) * u128::from(*a);
        let doubled = (*low << 1 | below, *high << 1 | *low >> 63);
        below = *high >> 63;
        (*low, carry) = doubled.0.carrying_add(square as u64, carry);
        (*high, carry) = doubled.1.carrying_add((square >> 64) as u64, carry);
    }
}
