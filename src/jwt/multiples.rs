//! Multiples of a point on a curve, kept in a table, so that a product of the point takes additions and hardly a doubling.
//!
//! A signature is verified by `a · G + b · Q`, of the curve's generator and the key: of P-256 or of edwards25519. Without tables
//! that takes 256 doublings and about 90 additions; with one of each point 86 additions and 18 doublings. Points are added and
//! doubled by the curves' crates alone. Everything here is public: time and memory accesses depend on the numbers, so it is
//! **not for secrets**.
//!
//! # Why the result is right
//!
//! 1. A number below `2^256` is `Σ d[i] · 64^i` with [`DIGITS`] digits from -31 to 32 ([`digits`]): six bits and the carry of
//!    the digit before are at most 64; what is above 32 is lessened by 64, and the next digit gets one more. Of the last digit's
//!    bits only four are below `2^256`, so that it is at most 16 and leaves no carry.
//! 2. Row `r` of a table has `1 · B` to `32 · B` with `B = 2^(24 · r) · P`. So `d[4 · r + c] · B` is in there, or its negative
//!    is, or it is nothing, and the product is `Σ 64^c · Σ d[4 · r + c] · 2^(24 · r) · P`, over the columns `c` from 0 to 3 and
//!    the rows. [`sum_of_products`] takes the columns from the last to the first, and multiplies by 64 between two of them. None
//!    of that depends on the point's order, which on edwards25519 may be a multiple of the generator's.
//! 3. Formulas of addition and doubling are complete (P-256: Renes, Costello and Batina 2015; edwards25519: Hisil, Wong, Carter
//!    and Dawson 2008, whose denominators are never zero there, as -1 is a square and d is none): what is added may be equal,
//!    opposite or zero, and sums on the way may be anything.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "points have no overflow, and the bounds above say why digits have none"
)]

use p256::elliptic_curve::Group;

const DIGIT_BITS: usize = 6;
const DIGITS: usize = 43;
const COLUMNS: usize = 4;
const ROWS: usize = DIGITS.div_ceil(COLUMNS);
/// The greatest digit.
const ROW: usize = 1 << (DIGIT_BITS - 1);

/// A number that a point is multiplied by, the lowest byte first.
pub(crate) type Number = [u8; 32];

/// A point's table: 352 points, 33 KB on P-256 and 55 KB on edwards25519. They are kept as they come out of additions: with
/// affine coordinates a verification of ES256 would be a tenth faster, and the code for them 3 KB of the module.
pub(crate) struct Multiples<P>(Vec<P>);

impl<P: Group> Multiples<P> {
    /// Takes as long as verifying two signatures without tables.
    pub(crate) fn of(mut first: P) -> Self {
        let mut multiples = Vec::with_capacity(ROWS * ROW);
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
    fn add_to(&self, sum: &mut P, digits: &[i32; DIGITS], column: usize) {
        for (row, digit) in self.0.chunks_exact(ROW).zip(digits.iter().skip(column).step_by(COLUMNS)) {
            // a digit of zero has no place
            let place = digit.unsigned_abs().checked_sub(1);
            if let Some(multiple) = place.and_then(|place| row.get(place as usize)) {
                *sum += if *digit < 0 { -*multiple } else { *multiple };
            }
        }
    }
}

/// `a · A + b · B`.
pub(crate) fn sum_of_products<P: Group>(a: &Number, of_a: &Multiples<P>, b: &Number, of_b: &Multiples<P>) -> P {
    let (a, b) = (digits(a), digits(b));
    let mut sum = P::identity();
    for column in (0..COLUMNS).rev() {
        of_a.add_to(&mut sum, &a, column);
        of_b.add_to(&mut sum, &b, column);
        if column > 0 {
            multiply_by_64(&mut sum, 1);
        }
    }
    sum
}

fn multiply_by_64<P: Group>(point: &mut P, times: usize) {
    for _ in 0..times * DIGIT_BITS {
        *point = point.double();
    }
}

/// From -31 to 32, the lowest first.
fn digits(number: &Number) -> [i32; DIGITS] {
    let mut bytes = number.iter();
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
    use curve25519_dalek::EdwardsPoint;
    use curve25519_dalek::constants::EIGHT_TORSION;
    use p256::ProjectivePoint;
    use p256::elliptic_curve::{Field, PrimeField};
    use proptest::prelude::*;

    /// The lowest byte first, and below the order.
    fn bytes<S: PrimeField>(scalar: S) -> Number {
        let mut bytes: Number = scalar.to_repr().as_ref().try_into().unwrap();
        if S::ONE.to_repr().as_ref()[0] == 0 {
            bytes.reverse();
        }
        bytes
    }

    fn scalar<S: PrimeField>(bytes: [u8; 32]) -> S {
        bytes.into_iter().fold(S::ZERO, |sum, byte| sum * S::from(256) + S::from(byte.into()))
    }

    /// `digit` in each of the places, as far as the number is below the order.
    fn each<S: PrimeField>(digit: i64, places: impl Iterator<Item = usize>) -> S {
        let one = S::from(digit.unsigned_abs());
        let digit = if digit < 0 { -one } else { one };
        places.fold(S::ZERO, |sum, place| sum + digit * power_of_two::<S>(place * DIGIT_BITS))
    }

    fn power_of_two<S: PrimeField>(exponent: usize) -> S {
        (0..exponent).fold(S::ONE, |power, _| power.double())
    }

    /// Zero, one, the highest, powers of two and what is beside them, the same extreme digit everywhere.
    fn awkward<S: PrimeField>() -> Vec<S> {
        let mut scalars = vec![S::ZERO, S::ONE, -S::ONE, -S::from(2), S::from(33)];
        for exponent in [5, 6, 7, 23, 24, 25, 127, 128, 251, 252, 253, 254, 255] {
            let power = power_of_two::<S>(exponent);
            scalars.extend([power, -power, power - S::ONE, power + S::ONE]);
        }
        for digit in [-32, -31, -1, 1, 31, 32, 33, 63] {
            scalars.push(each(digit, 0..42));
            scalars.push(each(digit, (0..42).step_by(4)));
            scalars.push(each(digit, (1..43).step_by(2)));
        }
        scalars
    }

    fn digits_are_right<S: PrimeField>() {
        for number in awkward::<S>() {
            let digits = digits(&bytes(number));
            assert!(digits.iter().all(|digit| (-31..=32).contains(digit)), "{digits:?}");
            let sum = digits.iter().enumerate().map(|(place, digit)| each(i64::from(*digit), place..place + 1));
            assert_eq!(sum.fold(S::ZERO, |sum: S, digit: S| sum + digit), number, "{digits:?}");
        }
    }

    #[test]
    fn digits_make_the_number_and_stay_in_their_range() {
        digits_are_right::<p256::Scalar>();
        digits_are_right::<curve25519_dalek::Scalar>();
        let of = |number: u64| digits(&bytes(p256::Scalar::from(number)));
        assert_eq!((of(32)[0], of(32)[1]), (32, 0));
        assert_eq!((of(33)[0], of(33)[1]), (-31, 1));
        assert_eq!((of(63)[0], of(64)[0]), (-1, 0));
        assert_eq!(digits(&bytes(-p256::Scalar::ONE))[DIGITS - 1], 16);
        assert_eq!(digits(&[0xff; 32])[DIGITS - 1], 16);
    }

    #[test]
    fn a_table_takes_as_much_as_is_said() {
        let Multiples(table) = Multiples::of(ProjectivePoint::GENERATOR);
        assert_eq!((table.len(), size_of_val(table.as_slice())), (352, 33_792));
        assert_eq!(table[31], ProjectivePoint::GENERATOR * p256::Scalar::from(32_u64));
        assert_eq!(table[10 * 32], ProjectivePoint::GENERATOR * power_of_two::<p256::Scalar>(240));
        // in the filter; a machine of 64 bits has coordinates of five words of 64
        assert_eq!(size_of::<EdwardsPoint>(), 160);
    }

    /// Each number with itself, with its negative (`G` and `-G` cancel out), and with others.
    fn awkward_numbers_come_to_what_the_library_says<P: Group>(keys: &[(P, usize)]) {
        let generator = Multiples::of(P::generator());
        let numbers = awkward::<P::Scalar>();
        for (key, step) in keys {
            let multiples = Multiples::of(*key);
            for (at, a) in numbers.iter().enumerate().step_by(*step) {
                for b in [*a, -*a, P::Scalar::ZERO, numbers[at * 5 % numbers.len()]] {
                    let sum = sum_of_products(&bytes(*a), &generator, &bytes(b), &multiples);
                    assert_eq!(sum, P::generator() * *a + *key * b, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn awkward_numbers_and_points_come_to_what_p256_says() {
        let generator = ProjectivePoint::GENERATOR;
        let point = generator * scalar::<p256::Scalar>([0x5a; 32]);
        let keys = [(point, 1), (generator, 7), (-generator, 7), (generator.double(), 11)];
        awkward_numbers_come_to_what_the_library_says(&keys);
    }

    #[test]
    fn awkward_numbers_and_points_come_to_what_curve25519_dalek_says() {
        let generator = EdwardsPoint::generator();
        let point = generator * scalar::<curve25519_dalek::Scalar>([0x5a; 32]);
        let mut keys = vec![(point, 1), (generator, 7), (-generator, 7), (generator.double(), 11)];
        // and what no honest key is: the number counts, not the number modulo the generator's order
        keys.extend(EIGHT_TORSION.into_iter().flat_map(|torsion| [(torsion, 17), (point + torsion, 19)]));
        awkward_numbers_come_to_what_the_library_says(&keys);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_numbers_and_any_key_come_to_what_the_libraries_say(a: [u8; 32], b: [u8; 32], key: [u8; 32]) {
            fn alike<P: Group>(a: [u8; 32], b: [u8; 32], key: [u8; 32]) -> bool {
                let [a, b, key] = [a, b, key].map(scalar::<P::Scalar>);
                let key = P::generator() * key;
                let tables = [P::generator(), key].map(Multiples::of);
                sum_of_products(&bytes(a), &tables[0], &bytes(b), &tables[1]) == P::generator() * a + key * b
            }
            prop_assert!(alike::<ProjectivePoint>(a, b, key));
            prop_assert!(alike::<EdwardsPoint>(a, b, key));
        }
    }
}
