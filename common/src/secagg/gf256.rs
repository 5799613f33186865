//! The field GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (FIPS 197), without a table: no
//! memory address and no branch depends on a secret. Points and weights are public, values are not.

/// a · b, in constant time in both.
pub(super) const fn mul(a: u8, b: u8) -> u8 {
    let (mut power, mut product, mut bit) = (a, 0_u8, 0);
    while bit < 8 {
        product ^= power & 0_u8.wrapping_sub((b >> bit) & 1);
        power = double(power);
        bit += 1;
    }
    product
}

/// 1/a, in constant time; 0 for 0. The group has 255 elements, so 1/a = a^254 = a^(2 + 4 + … + 128).
pub(super) const fn inverse(a: u8) -> u8 {
    let (mut power, mut product, mut bit) = (a, 1, 1);
    while bit < 8 {
        power = mul(power, power);
        product = mul(product, power);
        bit += 1;
    }
    product
}

/// `values` · `by`, each. Constant time in `values`; `by` is public.
pub(super) fn scale<const N: usize>(values: &mut [u8; N], by: u8) {
    let mut power = zeroize::Zeroizing::new(*values);
    values.fill(0);
    for bit in 0..u8::BITS - by.leading_zeros() {
        if (by >> bit) & 1 == 1 {
            add(values, &power);
        }
        power.iter_mut().for_each(|value| *value = double(*value));
    }
}

/// `values` + `other`, each.
pub(super) fn add<const N: usize>(values: &mut [u8; N], other: &[u8; N]) {
    values.iter_mut().zip(other).for_each(|(value, other)| *value ^= other);
}

const fn double(a: u8) -> u8 {
    (a << 1) ^ (0x1b & 0_u8.wrapping_sub(a >> 7))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 197, sections 4.2 and 4.2.1.
    #[test]
    fn fips_197_products() {
        fn check(a: u8, b: u8, expected: u8) {
            assert_eq!(mul(a, b), expected, "{a:#x} · {b:#x}");
        }
        check(0x57, 0x83, 0xc1);
        check(0x57, 0x13, 0xfe);
        check(0x57, 0x02, 0xae);
        check(0x57, 0x04, 0x47);
        check(0x57, 0x08, 0x8e);
        check(0x57, 0x10, 0x07);
    }

    #[test]
    fn it_is_a_field() {
        for a in 0..=255 {
            assert_eq!(mul(a, inverse(a)), u8::from(a != 0), "{a}");
            for b in 0..=255 {
                assert_eq!(mul(a, b), mul(b, a));
                let mut values = [a, 0, 1];
                scale(&mut values, b);
                assert_eq!(values, [mul(a, b), 0, b]);
                assert_eq!(mul(0x53, a ^ b), mul(0x53, a) ^ mul(0x53, b));
            }
        }
    }
}
