//! Four numbers side by side, as processors have them: [`Limbs`] of 32 bits and [`Columns`] of 64.
//!
//! As wasm they are SIMD registers by name, because the compiler does not find these by itself; elsewhere they are arrays,
//! for the tests and the fuzzer, and debug builds check their sums.

#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
pub(super) use portable::{Columns, Limbs};
#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
pub(super) use wasm::{Columns, Limbs};

/// Limbs in a block.
pub(super) const BLOCK: usize = 4;

impl Limbs {
    /// The block at this place, of the number of limbs as it is and moved up by one, two and three limbs. `below` is the
    /// number's block at the place below.
    #[inline(always)]
    pub(super) fn shifts(self, below: Self) -> [Self; BLOCK] {
        [self, self.moved_up::<1>(below), self.moved_up::<2>(below), self.moved_up::<3>(below)]
    }
}

impl Columns {
    /// Adds a block of the product of a number, at its four places, by four limbs.
    #[inline(always)]
    pub(super) fn plus(self, shifts: [Limbs; BLOCK], factors: [Limbs; BLOCK]) -> Self {
        let [s0, s1, s2, s3] = shifts;
        let [f0, f1, f2, f3] = factors;
        self.plus_product(s0, f0).plus_product(s1, f1).plus_product(s2, f2).plus_product(s3, f3)
    }
}

#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
mod wasm {
    use super::BLOCK;
    use core::arch::wasm32::{
        i32x4_shuffle, u32x4, u32x4_extract_lane, u32x4_splat, u64x2, u64x2_add, u64x2_extmul_high_u32x4,
        u64x2_extmul_low_u32x4, u64x2_extract_lane, v128,
    };

    /// Four numbers of 32 bits, the lowest first.
    #[derive(Clone, Copy)]
    pub(crate) struct Limbs(v128);

    impl Limbs {
        pub(crate) const ZERO: Self = Self(u32x4(0, 0, 0, 0));

        #[inline(always)]
        pub(crate) const fn new([a, b, c, d]: [u32; BLOCK]) -> Self {
            Self(u32x4(a, b, c, d))
        }

        #[inline(always)]
        pub(crate) fn splat(limb: u32) -> Self {
            Self(u32x4_splat(limb))
        }

        #[inline(always)]
        pub(crate) fn to_array(self) -> [u32; BLOCK] {
            let Self(all) = self;
            [
                u32x4_extract_lane::<0>(all),
                u32x4_extract_lane::<1>(all),
                u32x4_extract_lane::<2>(all),
                u32x4_extract_lane::<3>(all),
            ]
        }

        /// `PLACES` limbs of the end of `below`, then the first of these.
        #[inline(always)]
        pub(crate) fn moved_up<const PLACES: usize>(self, below: Self) -> Self {
            let (Self(high), Self(low)) = (self, below);
            Self(match PLACES {
                1 => i32x4_shuffle::<3, 4, 5, 6>(low, high),
                2 => i32x4_shuffle::<2, 3, 4, 5>(low, high),
                _ => i32x4_shuffle::<1, 2, 3, 4>(low, high),
            })
        }
    }

    /// Four sums of 64 bits, the lowest first.
    #[derive(Clone, Copy)]
    pub(crate) struct Columns(v128, v128);

    impl Columns {
        pub(crate) const ZERO: Self = Self(u64x2(0, 0), u64x2(0, 0));

        #[inline(always)]
        pub(crate) fn to_array(self) -> [u64; BLOCK] {
            let Self(low, high) = self;
            [
                u64x2_extract_lane::<0>(low),
                u64x2_extract_lane::<1>(low),
                u64x2_extract_lane::<0>(high),
                u64x2_extract_lane::<1>(high),
            ]
        }

        /// Adds to the lowest.
        #[inline(always)]
        pub(crate) fn plus_lowest(self, carry: u64) -> Self {
            let Self(low, high) = self;
            Self(u64x2_add(low, u64x2(carry, 0)), high)
        }

        /// Adds the four products.
        #[inline(always)]
        pub(crate) fn plus_product(self, a: Limbs, b: Limbs) -> Self {
            let (Self(low, high), Limbs(a), Limbs(b)) = (self, a, b);
            Self(u64x2_add(low, u64x2_extmul_low_u32x4(a, b)), u64x2_add(high, u64x2_extmul_high_u32x4(a, b)))
        }
    }
}

#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
mod portable {
    use super::BLOCK;

    /// Four numbers of 32 bits, the lowest first.
    #[derive(Clone, Copy)]
    pub(crate) struct Limbs([u32; BLOCK]);

    impl Limbs {
        pub(crate) const ZERO: Self = Self([0; BLOCK]);

        pub(crate) const fn new(limbs: [u32; BLOCK]) -> Self {
            Self(limbs)
        }

        pub(crate) fn splat(limb: u32) -> Self {
            Self([limb; BLOCK])
        }

        pub(crate) fn to_array(self) -> [u32; BLOCK] {
            self.0
        }

        /// `PLACES` limbs of the end of `below`, then the first of these.
        pub(crate) fn moved_up<const PLACES: usize>(self, below: Self) -> Self {
            let ([a, b, c, _], [_, x, y, z]) = (self.0, below.0);
            Self(match PLACES {
                1 => [z, a, b, c],
                2 => [y, z, a, b],
                _ => [x, y, z, a],
            })
        }
    }

    /// Four sums of 64 bits, the lowest first.
    #[derive(Clone, Copy)]
    pub(crate) struct Columns([u64; BLOCK]);

    impl Columns {
        pub(crate) const ZERO: Self = Self([0; BLOCK]);

        pub(crate) fn to_array(self) -> [u64; BLOCK] {
            self.0
        }

        /// Adds to the lowest.
        pub(crate) fn plus_lowest(self, carry: u64) -> Self {
            let [low, b, c, d] = self.0;
            Self([low + carry, b, c, d])
        }

        /// Adds the four products.
        #[inline(always)]
        pub(crate) fn plus_product(self, a: Limbs, b: Limbs) -> Self {
            let ([s0, s1, s2, s3], [a0, a1, a2, a3], [b0, b1, b2, b3]) = (self.0, a.0, b.0);
            let product = |a: u32, b: u32| u64::from(a) * u64::from(b);
            Self([s0 + product(a0, b0), s1 + product(a1, b1), s2 + product(a2, b2), s3 + product(a3, b3)])
        }
    }
}
