//! `base^exponent mod n` for an odd modulus, by Montgomery's multiplication: all that RSA's verification calculates.
//!
//! Own code, because the libraries are three to eleven times as slow as wasm. It knows public numbers only: its time and
//! its memory accesses depend on them, so it is **not for secrets**.
//!
//! Two kernels calculate the same: [`Lanes`] for wasm, which has SIMD and no product of 128 bits, and [`Words`] for
//! processors, which have one.
//!
//! # Why the result is right
//!
//! Let `R` be a power of two with `R >= 4n` ([`Modulus::new`] chooses it two bits longer than `n`), and numbers be below
//! `2n` between multiplications.
//!
//! 1. A kernel adds to `a · b` the multiple `q · n`, `q < R`, that makes it divisible by `R`: digit by digit, each time by
//!    the digit of `q` that makes the lowest digit zero. There is one, because `n` is odd. The quotient
//!    `(a · b + q · n) / R` is `a · b / R` modulo `n`, and below `(2n · 2n + R · n) / R <= n + n = 2n`.
//! 2. So all numbers stay below `2n` without a comparison, the first ones included: the base is below `n`, what takes it
//!    into Montgomery's form is such a quotient, and [`power_of_two`] is below `n`.
//! 3. With `x · R` standing for `x`, the quotient of two numbers stands for the product of the two. The exponent is odd, so
//!    that the last step multiplies, and it multiplies by the base as it is: `(x · R) · base / R` is the result as it is.
//! 4. That is below `2n`, so that it is below `n` after `n` is subtracted at most once.
//!
//! What a base that is not below `n` would come to is not asked: it is refused, because a signature has one spelling.
//! How the sums of a kernel stay within their words is said at each of them; debug builds, so all tests and the fuzzer,
//! stop where one would not.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "the bounds in the modules' comments say why nothing overflows, and debug builds check it"
)]

#[cfg(any(target_family = "wasm", test, fuzzing))]
mod lanes;
#[cfg(any(target_family = "wasm", test, fuzzing))]
mod simd;
#[cfg(any(not(target_family = "wasm"), test, fuzzing))]
mod words;

#[cfg(any(target_family = "wasm", test, fuzzing))]
#[cfg_attr(
    fuzzing,
    allow(unused_imports, reason = "for fuzz/src/targets.rs, which takes this file in as its own")
)]
pub(crate) use lanes::Lanes;
#[cfg(any(not(target_family = "wasm"), test, fuzzing))]
pub(crate) use words::Words;

#[cfg(target_family = "wasm")]
type Fastest = Lanes;
#[cfg(not(target_family = "wasm"))]
type Fastest = Words;

/// The most that the bounds of [`Lanes`] were counted for.
const MAX_BITS: usize = 4096;

/// Montgomery's multiplication by one modulus `n`, in digits of a size that suits the processor.
pub(crate) trait Kernel: Clone {
    /// A multiple of 4.
    const DIGIT_BITS: usize;
    /// A number below `R`, which is `2^(DIGIT_BITS · digits)`.
    type Number: Clone;

    /// For an odd modulus below `R / 4`.
    fn new(modulus: &[u64], digits: usize) -> Self;
    /// From the words of a number below `R`, the lowest first.
    fn number(&self, words: &[u64]) -> Self::Number;
    /// As many words as `R` fills, the lowest first.
    fn words(&self, number: &Self::Number) -> Vec<u64>;
    /// `a · b / R` modulo `n`, below `2n` if both are.
    fn multiply(&self, a: &Self::Number, b: &Self::Number) -> Self::Number;
    /// `a · a / R` modulo `n`, below `2n` if it is.
    fn square(&self, a: &Self::Number) -> Self::Number;
}

/// An odd number to calculate by, made ready.
#[derive(Clone)]
pub(crate) struct Modulus<K: Kernel = Fastest> {
    /// Big-endian, without leading zeros.
    bytes: Vec<u8>,
    /// The lowest first, with room for `2n`.
    words: Vec<u64>,
    kernel: K,
    /// `R²`, which takes a number into Montgomery's form.
    into_form: K::Number,
}

impl<K: Kernel> Modulus<K> {
    /// From big-endian bytes. `None` if the number is even, 1, has a leading zero byte, or has more than 4096 bits.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let (first, last) = (bytes.first()?, bytes.last()?);
        let bits = bytes.len() * 8 - first.leading_zeros() as usize;
        if *first == 0 || last % 2 == 0 || !(2..=MAX_BITS).contains(&bits) {
            return None;
        }
        let words = words_of(bytes, (bits + 1).div_ceil(64));
        let digits = (bits + 2).div_ceil(K::DIGIT_BITS);
        let kernel = K::new(&words, digits);
        // R · 2^k with a quarter of R's bits as k; squared it is R · 2^2k, and again it is R · R
        let quarter = power_of_two(digits * K::DIGIT_BITS / 4 * 5, &words, bits);
        let into_form = kernel.square(&kernel.square(&kernel.number(&quarter)));
        Some(Self { bytes: bytes.to_vec(), words, kernel, into_form })
    }

    /// Big-endian, without leading zeros.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `base^exponent`, big-endian and as long as the modulus. `None` if the base is not as long as the modulus or not
    /// below it, or if the exponent is even or 1.
    pub(crate) fn power(&self, base: &[u8], exponent: u32) -> Option<Vec<u8>> {
        let half = exponent / 2;
        // big-endian numbers of one length compare as their bytes do
        if base.len() != self.bytes.len() || base >= self.bytes.as_slice() || exponent.is_multiple_of(2) || half == 0 {
            return None;
        }
        let plain = self.kernel.number(&words_of(base, self.words.len()));
        let base = self.kernel.multiply(&plain, &self.into_form);
        let mut power = base.clone();
        // below the highest bit, which is the base itself
        for bit in (0..half.ilog2()).rev() {
            power = self.kernel.square(&power);
            if half >> bit & 1 == 1 {
                power = self.kernel.multiply(&power, &base);
            }
        }
        let result = self.kernel.multiply(&self.kernel.square(&power), &plain);
        Some(self.bytes_of(self.kernel.words(&result)))
    }

    /// Of a number below `2n` modulo `n`, as long as the modulus.
    fn bytes_of(&self, mut number: Vec<u64>) -> Vec<u8> {
        number.truncate(self.words.len());
        subtract_if_not_below(&mut number, &self.words);
        let mut bytes: Vec<u8> = number.into_iter().flat_map(u64::to_le_bytes).take(self.bytes.len()).collect();
        bytes.reverse();
        bytes
    }
}

/// From big-endian bytes, at most eight for each word.
fn words_of(bytes: &[u8], length: usize) -> Vec<u64> {
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let mut words: Vec<u64> = bytes.rchunks(8).map(word).collect();
    words.resize(length, 0);
    words
}

/// `2^exponent` modulo a number of `bits` bits, which the exponent is not below, by doubling.
fn power_of_two(exponent: usize, modulus: &[u64], bits: usize) -> Vec<u64> {
    let mut power = vec![0; modulus.len()];
    // the highest bit of an odd number is below the number
    let highest = bits - 1;
    if let Some(word) = power.get_mut(highest / 64) {
        *word = 1 << (highest % 64);
    }
    for _ in highest..exponent {
        let mut carry = 0;
        for word in &mut power {
            (*word, carry) = (*word << 1 | carry, *word >> 63);
        }
        subtract_if_not_below(&mut power, modulus);
    }
    power
}

/// From below `2n` to below `n`.
fn subtract_if_not_below(number: &mut [u64], modulus: &[u64]) {
    if number.iter().rev().lt(modulus.iter().rev()) {
        return;
    }
    let mut borrow = false;
    for (word, other) in number.iter_mut().zip(modulus) {
        (*word, borrow) = word.borrowing_sub(*other, borrow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dashu_int::UBig;
    use dashu_int::monty::MontgomeryRepr;
    use dashu_int::ops::BitTest;
    use proptest::prelude::*;

    /// Another library's, as long as the modulus.
    fn expected(modulus: &[u8], base: &[u8], exponent: u32) -> Vec<u8> {
        let ring = MontgomeryRepr::new(UBig::from_be_bytes(modulus));
        let power = ring.reduce(UBig::from_be_bytes(base)).pow(&UBig::from(exponent)).residue().to_be_bytes();
        [vec![0; modulus.len() - power.len()], power.into_vec()].concat()
    }

    fn check(modulus: &[u8], base: &[u8], exponent: u32) {
        let expected = Some(expected(modulus, base, exponent));
        let name = || format!("{base:x?} ^ {exponent} mod {modulus:x?}");
        assert_eq!(Modulus::<Words>::new(modulus).unwrap().power(base, exponent), expected, "words: {}", name());
        assert_eq!(Modulus::<Lanes>::new(modulus).unwrap().power(base, exponent), expected, "lanes: {}", name());
    }

    /// As bytes of just as many bits.
    fn of_bits(bits: usize, byte: impl Fn(usize) -> u8) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..bits.div_ceil(8)).map(byte).collect();
        let above = bits.next_multiple_of(8) - bits;
        bytes[0] = bytes[0] & (0xff >> above) | (0x80 >> above);
        bytes
    }

    fn odd_of_bits(bits: usize, byte: impl Fn(usize) -> u8) -> Vec<u8> {
        let mut bytes = of_bits(bits, byte);
        *bytes.last_mut().unwrap() |= 1;
        bytes
    }

    fn minus(modulus: &[u8], less: u8) -> Vec<u8> {
        let number = UBig::from_be_bytes(modulus) - UBig::from(less);
        let bytes = number.to_be_bytes();
        [vec![0; modulus.len() - bytes.len()], bytes.into_vec()].concat()
    }

    /// A limb, of `width` bits, has ones, and the next one zeros.
    fn striped(bits: usize, width: usize) -> Vec<u8> {
        let bit = |place: usize| (place / width).is_multiple_of(2);
        let bytes = bits.div_ceil(8);
        odd_of_bits(bits, |byte| (0..8).fold(0, |all, at| all | u8::from(bit((bytes - 1 - byte) * 8 + at)) << at))
    }

    /// Where a number comes to have a word, a limb or a block more, and what keys have.
    const SIZES: [usize; 17] = [2, 26, 27, 62, 63, 105, 106, 107, 1024, 2048, 2049, 2050, 2051, 3072, 4095, 4096, 3999];

    fn moduli(bits: usize) -> [Vec<u8>; 6] {
        [
            odd_of_bits(bits, |_| 0xff),
            odd_of_bits(bits, |_| 0),
            striped(bits, 27),
            striped(bits, 54),
            striped(bits, 64),
            striped(bits, 108),
        ]
    }

    #[test]
    fn awkward_moduli_and_bases_come_to_what_another_library_says() {
        for bits in SIZES {
            for modulus in moduli(bits) {
                let zero = vec![0; modulus.len()];
                let one = minus(&modulus, modulus.last().copied().filter(|_| modulus.len() == 1).unwrap_or(1));
                let highest = of_bits(bits, |_| 0);
                for base in [zero, one, minus(&modulus, 1), minus(&modulus, 2), highest] {
                    if base < modulus {
                        check(&modulus, &base, 65537);
                    }
                }
                check(&modulus, &minus(&modulus, 2), 3);
                check(&modulus, &minus(&modulus, 2), u32::MAX);
            }
        }
    }

    /// What the argument rests on: a quotient by `R` modulo `n`, below `2n`, of any two numbers below `2n`.
    fn multiplies<K: Kernel>(modulus: &[u8]) {
        let n = UBig::from_be_bytes(modulus);
        let ring = Modulus::<K>::new(modulus).unwrap();
        let of = |number: &UBig| {
            let words = number.to_le_bytes();
            let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            ring.kernel.number(&words.chunks(8).map(word).collect::<Vec<u64>>())
        };
        let back = |number: &K::Number| {
            let bytes: Vec<u8> = ring.kernel.words(number).into_iter().flat_map(u64::to_le_bytes).collect();
            UBig::from_le_bytes(&bytes)
        };
        let bits = (n.bit_len() + 2).div_ceil(K::DIGIT_BITS) * K::DIGIT_BITS;
        let r = UBig::ONE << bits;
        assert!(r >= UBig::from(4_u8) * &n);
        assert_eq!(back(&ring.into_form) % &n, (&r * &r) % &n);
        let most = UBig::from(2_u8) * &n - UBig::ONE;
        let numbers = [UBig::ZERO, UBig::ONE, &n - UBig::ONE, n.clone(), most.clone(), &most >> 1, &most >> 27];
        for a in &numbers {
            let product = |product: K::Number, b: &UBig| {
                let product = back(&product);
                assert!(product < UBig::from(2_u8) * &n, "{a} * {b} mod {n}");
                assert_eq!((product * &r) % &n, (a * b) % &n, "{a} * {b} mod {n}");
            };
            product(ring.kernel.square(&of(a)), a);
            for b in &numbers {
                product(ring.kernel.multiply(&of(a), &of(b)), b);
            }
        }
    }

    #[test]
    fn a_multiplication_of_numbers_below_twice_the_modulus_stays_below_it() {
        for bits in SIZES {
            for modulus in moduli(bits) {
                multiplies::<Words>(&modulus);
                multiplies::<Lanes>(&modulus);
            }
        }
    }

    #[test]
    fn every_power_by_a_small_modulus_is_right() {
        fn powers<K: Kernel>(modulus: u8) {
            let ring = Modulus::<K>::new(&[modulus]).unwrap();
            for base in 0..modulus {
                let mut power = u32::from(base);
                for exponent in (3..20).step_by(2) {
                    power = power * u32::from(base).pow(2) % u32::from(modulus);
                    assert_eq!(
                        ring.power(&[base], exponent),
                        Some(vec![power as u8]),
                        "{base}^{exponent} mod {modulus}"
                    );
                }
            }
        }
        for modulus in (3..=255).step_by(2) {
            powers::<Words>(modulus);
            powers::<Lanes>(modulus);
        }
    }

    #[test]
    fn what_the_bounds_do_not_hold_for_is_refused() {
        fn refused<K: Kernel>() {
            for modulus in [&[][..], &[0], &[1], &[2], &[0, 3], &[0xfe; 256]] {
                assert!(Modulus::<K>::new(modulus).is_none(), "{modulus:x?}");
            }
            assert!(Modulus::<K>::new(&odd_of_bits(4096, |_| 0xff)).is_some());
            assert!(Modulus::<K>::new(&odd_of_bits(4097, |_| 0xff)).is_none());
            let ring = Modulus::<K>::new(&[3, 5]).unwrap();
            assert_eq!(ring.bytes(), [3, 5]);
            assert!(ring.power(&[3, 4], 3).is_some());
            for base in [&[3, 5][..], &[3, 6], &[0xff, 0xff], &[1], &[], &[0, 1, 1]] {
                assert_eq!(ring.power(base, 65537), None, "{base:x?}");
            }
            for exponent in [0, 1, 2, 65536, u32::MAX - 1] {
                assert_eq!(ring.power(&[1, 1], exponent), None, "{exponent}");
            }
        }
        refused::<Words>();
        refused::<Lanes>();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_power_is_what_another_library_says(
            bits in 2048..=4096_usize,
            modulus in prop::collection::vec(any::<u8>(), 512),
            base in prop::collection::vec(any::<u8>(), 512),
            exponent in prop_oneof![Just(65537), (65537..=u32::MAX).prop_map(|exponent| exponent | 1)],
        ) {
            let modulus = odd_of_bits(bits, |at| modulus[at]);
            let mut base = base[..modulus.len()].to_vec();
            if base >= modulus {
                base[0] = 0;
            }
            check(&modulus, &base, exponent);
        }
    }
}
