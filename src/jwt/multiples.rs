//! Multiples of a point on P-256, kept in a table, so that a product of the point takes additions and hardly a doubling.
//!
//! A signature is verified by `u1 · G + u2 · Q`, of the curve's generator and the key. Without tables that takes 256 doublings
//! and about 90 additions; with one of each point 86 additions and 18 doublings. Points are added and doubled by `p256` alone.
//! Everything here is public: time and memory accesses depend on the numbers, so it is **not for secrets**.
//!
//! # Why the result is right
//!
//! 1. A number below the order `n < 2^256` is `Σ d[i] · 64^i` with [`DIGITS`] digits from -31 to 32 ([`digits`]): six bits
//!    and the carry of the digit before are at most 64; what is above 32 is lessened by 64, and the next digit gets one more.
//!    Of the last digit's bits only four are below `2^256`, so that it is at most 16 and leaves no carry.
//! 2. Row `r` of a table has `1 · B` to `32 · B` with `B = 2^(24 · r) · P`. So `d[4 · r + c] · B` is in there, or its negative
//!    is, or it is nothing, and the product is `Σ 64^c · Σ d[4 · r + c] · 2^(24 · r) · P`, over the columns `c` from 0 to 3 and
//!    the rows. [`sum_of_products`] takes the columns from the last to the first, and multiplies by 64 between two of them.
//! 3. Formulas of addition and doubling are complete (Renes, Costello and Batina 2015): what is added may be equal, opposite
//!    or zero, and sums on the way may be anything.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "points and scalars have no overflow, and the bounds above say why digits have none"
)]

use p256::elliptic_curve::ops::Double;
use p256::{AffinePoint, ProjectivePoint, Scalar};

const DIGIT_BITS: usize = 6;
const DIGITS: usize = 43;
const COLUMNS: usize = 4;
const ROWS: usize = DIGITS.div_ceil(COLUMNS);
/// The greatest digit.
const ROW: usize = 1 << (DIGIT_BITS - 1);

/// A point's table: 352 points, 33 KB. They are kept as they come out of additions: with affine coordinates a verification
/// would be a tenth faster, and the code for them 3 KB of the module.
pub(crate) struct Multiples(Vec<ProjectivePoint>);

impl Multiples {
    /// Takes as long as verifying two signatures without tables.
    pub(crate) fn of(point: &AffinePoint) -> Self {
        let mut multiples = Vec::with_capacity(ROWS * ROW);
        let mut first = ProjectivePoint::from(*point);
        for _ in 0..ROWS {
            let mut multiple = first;
            for _ in 0..ROW {
                multiples.push(multiple);
                multiple += first;
            }
            multiply_by_64(&mut first, COLUMNS);
        }
        Self(multiples)
    }

    /// Adds the multiples that the digits of one column stand for.
    fn add_to(&self, sum: &mut ProjectivePoint, digits: &[i32; DIGITS], column: usize) {
        for (row, digit) in self.0.chunks_exact(ROW).zip(digits.iter().skip(column).step_by(COLUMNS)) {
            // a digit of zero has no place
            let place = digit.unsigned_abs().checked_sub(1);
            if let Some(multiple) = place.and_then(|place| row.get(place as usize)) {
                *sum += if *digit < 0 { -multiple } else { *multiple };
            }
        }
    }
}

/// `a · A + b · B`.
pub(crate) fn sum_of_products(a: &Scalar, of_a: &Multiples, b: &Scalar, of_b: &Multiples) -> ProjectivePoint {
    let (a, b) = (digits(a), digits(b));
    let mut sum = ProjectivePoint::IDENTITY;
    for column in (0..COLUMNS).rev() {
        of_a.add_to(&mut sum, &a, column);
        of_b.add_to(&mut sum, &b, column);
        if column > 0 {
            multiply_by_64(&mut sum, 1);
        }
    }
    sum
}

fn multiply_by_64(point: &mut ProjectivePoint, times: usize) {
    for _ in 0..times * DIGIT_BITS {
        point.double_in_place();
    }
}

/// From -31 to 32, the lowest first.
fn digits(scalar: &Scalar) -> [i32; DIGITS] {
    let bytes = scalar.to_bytes();
    let mut bytes = bytes.iter().rev();
    // of the bytes read so far, at most 13 bits
    let (mut bits, mut length) = (0, 0);
    let mut carry = 0;
    [(); DIGITS].map(|()| {
        if length < DIGIT_BITS {
            bits |= bytes.next().map_or(0, |byte| i32::from(*byte)) << length;
            length += 8;
        }
        let value = (bits & 63) + carry;
        bits >>= DIGIT_BITS;
        length -= DIGIT_BITS;
        carry = i32::from(value > 32);
        value - (carry << DIGIT_BITS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::FieldBytes;
    use p256::elliptic_curve::Field;
    use p256::elliptic_curve::ops::{LinearCombination, Reduce};
    use proptest::prelude::*;

    fn scalar(bytes: [u8; 32]) -> Scalar {
        Reduce::<FieldBytes>::reduce(&bytes.into())
    }

    /// `digit` in each of the places, as far as the number is below the order.
    fn each(digit: i64, places: impl Iterator<Item = usize>) -> Scalar {
        let one = Scalar::from(digit.unsigned_abs());
        let digit = if digit < 0 { -one } else { one };
        places.fold(Scalar::ZERO, |sum, place| sum + digit * power_of_two(place * DIGIT_BITS))
    }

    fn power_of_two(exponent: usize) -> Scalar {
        (0..exponent).fold(Scalar::ONE, |power, _| power.double())
    }

    /// Zero, one, the highest, powers of two and what is beside them, the same extreme digit everywhere.
    fn awkward() -> Vec<Scalar> {
        let mut scalars = vec![Scalar::ZERO, Scalar::ONE, -Scalar::ONE, -Scalar::from(2_u64), Scalar::from(33_u64)];
        for exponent in [5, 6, 7, 23, 24, 25, 127, 128, 251, 252, 253, 254, 255] {
            let power = power_of_two(exponent);
            scalars.extend([power, -power, power - Scalar::ONE, power + Scalar::ONE]);
        }
        for digit in [-32, -31, -1, 1, 31, 32, 33, 63] {
            scalars.extend([each(digit, 0..42), each(digit, (0..42).step_by(4)), each(digit, (1..43).step_by(2))]);
        }
        scalars
    }

    /// What `p256` itself says.
    fn expected(a: &Scalar, of_a: &AffinePoint, b: &Scalar, of_b: &AffinePoint) -> ProjectivePoint {
        ProjectivePoint::lincomb(&[((*of_a).into(), *a), ((*of_b).into(), *b)])
    }

    #[test]
    fn digits_make_the_number_and_stay_in_their_range() {
        for number in awkward() {
            let digits = digits(&number);
            assert!(digits.iter().all(|digit| (-31..=32).contains(digit)), "{digits:?}");
            let sum = digits.iter().enumerate().map(|(place, digit)| each(i64::from(*digit), place..place + 1));
            assert_eq!(sum.fold(Scalar::ZERO, |sum, digit| sum + digit), number, "{digits:?}");
        }
        let of = |number: u64| digits(&Scalar::from(number));
        assert_eq!((of(32)[0], of(32)[1]), (32, 0));
        assert_eq!((of(33)[0], of(33)[1]), (-31, 1));
        assert_eq!((of(63)[0], of(64)[0]), (-1, 0));
        assert_eq!(digits(&-Scalar::ONE)[DIGITS - 1], 16);
    }

    #[test]
    fn a_table_takes_33_kilobytes() {
        let Multiples(table) = Multiples::of(&AffinePoint::GENERATOR);
        assert_eq!((table.len(), size_of_val(table.as_slice())), (352, 33_792));
        assert_eq!(table[31], ProjectivePoint::GENERATOR * Scalar::from(32_u64));
        assert_eq!(table[10 * 32], ProjectivePoint::GENERATOR * power_of_two(240));
    }

    #[test]
    fn awkward_numbers_and_points_come_to_what_p256_says() {
        let generator = Multiples::of(&AffinePoint::GENERATOR);
        let numbers = awkward();
        let point = (ProjectivePoint::GENERATOR * scalar([0x5a; 32])).to_affine();
        let double = ProjectivePoint::GENERATOR.double().to_affine();
        for (key, step) in [(point, 1), (AffinePoint::GENERATOR, 7), (-AffinePoint::GENERATOR, 7), (double, 11)] {
            let multiples = Multiples::of(&key);
            for (at, a) in numbers.iter().enumerate().step_by(step) {
                // each with itself, with its negative (G and -G cancel out), and with others
                for b in [*a, -*a, Scalar::ZERO, numbers[at * 5 % numbers.len()]] {
                    let sum = sum_of_products(a, &generator, &b, &multiples);
                    assert_eq!(sum, expected(a, &AffinePoint::GENERATOR, &b, &key), "{a:?} {b:?}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_numbers_and_any_key_come_to_what_p256_says(a: [u8; 32], b: [u8; 32], key: [u8; 32]) {
            let (a, b, key) = (scalar(a), scalar(b), scalar(key));
            prop_assume!(!bool::from(key.is_zero()));
            let key = (ProjectivePoint::GENERATOR * key).to_affine();
            let sum = sum_of_products(&a, &Multiples::of(&AffinePoint::GENERATOR), &b, &Multiples::of(&key));
            prop_assert_eq!(sum, expected(&a, &AffinePoint::GENERATOR, &b, &key));
        }
    }
}
