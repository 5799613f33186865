//! The discrete Fourier transform of real sequences whose length is a power of two.
//!
//! Our own, because a privacy figure must have the same bits on every platform, which vectorised
//! libraries do not promise, and because the error bound below must be that of the code that runs.
//!
//! Error. A Cooley–Tukey transform is a tree: input j reaches output k through one path of butterflies,
//! each of which multiplies it by a twiddle factor of known relative error. So an output is off by at
//! most (relative error per level) × (levels) × Σ|x_j|, whatever the x_j. Per radix-4 stage (two
//! levels): two additions (2u), one complex product (√5 u: Brent, Percival and Zimmermann 2007) and a
//! twiddle factor that is itself a product of up to two table entries and those products of two
//! (≤ 11u), with u = 2^-53: below 16u, so 8u per level. Packing a real sequence into a complex one of
//! half the length, and taking it apart, doubles that and adds two levels.

/// A complex number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Complex {
    pub(super) re: f64,
    pub(super) im: f64,
}

impl Complex {
    pub(super) const ZERO: Self = Self { re: 0.0, im: 0.0 };
    pub(super) const ONE: Self = Self { re: 1.0, im: 0.0 };

    fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    fn minus(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }

    fn conjugate(self) -> Self {
        Self { re: self.re, im: -self.im }
    }

    fn half(self) -> Self {
        Self { re: 0.5 * self.re, im: 0.5 * self.im }
    }

    /// By squaring: relative error at most (`exponent` − 1) √5 u.
    pub(super) fn power(self, mut exponent: u64) -> Self {
        let (mut base, mut power) = (self, Self::ONE);
        loop {
            if exponent & 1 == 1 {
                power = power.times(base);
            }
            exponent >>= 1;
            if exponent == 0 {
                return power;
            }
            base = base.times(base);
        }
    }

    pub(super) fn modulus(self) -> f64 {
        (self.re * self.re + self.im * self.im).sqrt()
    }
}

/// Transforms of one length.
pub(super) struct RealFft {
    /// e^(−2πij/length) for j below half the length.
    twiddles: Vec<Complex>,
}

/// Shortest length.
pub(super) const LENGTH_MIN: usize = 8;

impl RealFft {
    /// For sequences of `length`, a power of two from [`LENGTH_MIN`].
    pub(super) fn new(length: usize) -> Self {
        assert!(length.is_power_of_two() && length >= LENGTH_MIN);
        let half = length / 2;
        // e^(ix) e^(iy): a table of √half coarse steps and one of fine steps.
        let fine = 1 << (half.trailing_zeros() / 2);
        let turn = |step: usize| {
            let angle = -std::f64::consts::PI * (step as f64 / half as f64);
            let (im, re) = libm::sincos(angle);
            Complex { re, im }
        };
        let small: Vec<Complex> = (0..fine).map(turn).collect();
        let twiddles = (0..half / fine)
            .flat_map(|step| {
                let large = turn(step * fine);
                small.iter().map(move |small| large.times(*small))
            })
            .collect();
        Self { twiddles }
    }

    pub(super) fn length(&self) -> usize {
        2 * self.twiddles.len()
    }

    /// Σ_j x_j e^(−2πijk/length) for k from 0 to length/2, the rest being their conjugates. What is in `x`
    /// afterwards is of no use.
    ///
    /// Each output is off by at most [`RealFft::error`] × Σ|x_j|.
    pub(super) fn forward<'a>(&'a self, x: &'a mut Sequence) -> impl Iterator<Item = Complex> + 'a {
        let half = self.twiddles.len();
        self.complex(x);
        let z = x.packed.as_slice();
        (0..=half).map(move |k| {
            let (here, there) = (z[k & (half - 1)], z[(half - k) & (half - 1)].conjugate());
            let even = here.plus(there).half();
            let odd = here.minus(there).half();
            let odd = Complex { re: odd.im, im: -odd.re };
            let twiddle = if k == half { Complex { re: -1.0, im: 0.0 } } else { self.twiddles[k] };
            even.plus(twiddle.times(odd))
        })
    }

    /// Makes `x` the sequence whose transform `spectrum` is.
    ///
    /// Each output is off by at most [`RealFft::error`] × 2/length × Σ|spectrum|, twice over.
    pub(super) fn inverse(&self, spectrum: &[Complex], x: &mut Sequence) {
        let half = self.twiddles.len();
        assert_eq!(spectrum.len(), half + 1);
        let scale = 1.0 / half as f64;
        x.packed.clear();
        let turned = spectrum.iter().zip(spectrum.iter().rev()).zip(&self.twiddles);
        x.packed.extend(turned.map(|((here, there), twiddle)| {
            let there = there.conjugate();
            let even = here.plus(there).half();
            let odd = here.minus(there).half().times(twiddle.conjugate());
            // The inverse transform is the conjugate of that of the conjugate.
            let z = Complex { re: even.re - odd.im, im: even.im + odd.re };
            z.conjugate()
        }));
        self.complex(x);
        x.packed.iter_mut().for_each(|z| *z = Complex { re: z.re * scale, im: -z.im * scale });
    }

    /// See the module's head.
    pub(super) fn error(&self) -> f64 {
        let levels = f64::from(self.twiddles.len().trailing_zeros() + 2);
        2.0 * 8.0 * (f64::EPSILON / 2.0) * levels
    }

    /// Stockham's self-sorting transform of the packed numbers, radix 4 and at the end 2.
    fn complex(&self, sequence: &mut Sequence) {
        let Sequence { packed: x, room: y } = sequence;
        let length = x.len();
        assert_eq!(length, self.twiddles.len());
        // Written over before it is read.
        y.resize(length, Complex::ZERO);
        let (mut n, mut stride) = (length, 1);
        while n >= 4 {
            let quarter = n / 4;
            let (a, rest) = x.split_at(stride * quarter);
            let (b, rest) = rest.split_at(stride * quarter);
            let (c, d) = rest.split_at(stride * quarter);
            // The table is of the real length, twice that of this transform.
            let turns = |p: usize| {
                let (w1, w2) =
                    (self.twiddles[2 * p * stride], self.twiddles[(4 * p * stride) & (length - 1)]);
                let w2 = if 4 * p * stride >= length { Complex { re: -w2.re, im: -w2.im } } else { w2 };
                (w1, w2, w1.times(w2))
            };
            if stride == 1 {
                let inputs = a.iter().zip(b).zip(c.iter().zip(d)).enumerate();
                for ((p, ((a, b), (c, d))), out) in inputs.zip(y.as_chunks_mut::<4>().0) {
                    *out = butterfly([*a, *b, *c, *d], turns(p));
                }
            } else {
                for (p, out) in y.chunks_exact_mut(4 * stride).enumerate() {
                    let turns = turns(p);
                    let part = p * stride..(p + 1) * stride;
                    let (a, b, c, d) = (&a[part.clone()], &b[part.clone()], &c[part.clone()], &d[part]);
                    let (out0, out) = out.split_at_mut(stride);
                    let (out1, out) = out.split_at_mut(stride);
                    let (out2, out3) = out.split_at_mut(stride);
                    for q in 0..stride {
                        [out0[q], out1[q], out2[q], out3[q]] = butterfly([a[q], b[q], c[q], d[q]], turns);
                    }
                }
            }
            std::mem::swap(x, y);
            n /= 4;
            stride *= 4;
        }
        if n == 2 {
            let (a, b) = x.split_at(stride);
            let (plus, minus) = y.split_at_mut(stride);
            for q in 0..stride {
                plus[q] = a[q].plus(b[q]);
                minus[q] = a[q].minus(b[q]);
            }
            std::mem::swap(x, y);
        }
    }
}

/// Four outputs of four inputs, the last three turned.
#[inline(always)]
fn butterfly([a, b, c, d]: [Complex; 4], (w1, w2, w3): (Complex, Complex, Complex)) -> [Complex; 4] {
    let (ac, a_c) = (a.plus(c), a.minus(c));
    let (bd, b_d) = (b.plus(d), b.minus(d));
    let turned = Complex { re: -b_d.im, im: b_d.re };
    [ac.plus(bd), w1.times(a_c.minus(turned)), w2.times(ac.minus(bd)), w3.times(a_c.plus(turned))]
}

/// Real numbers, two to a complex one, and room for a transform of them: both are kept from one transform
/// to the next, since a new page costs more than the work on it.
#[derive(Default)]
pub(super) struct Sequence {
    packed: Vec<Complex>,
    room: Vec<Complex>,
}

impl Sequence {
    /// Makes it `length` zeros; an even length.
    pub(super) fn reset(&mut self, length: usize) {
        self.packed.clear();
        self.packed.resize(length / 2, Complex::ZERO);
    }

    pub(super) fn at(&self, j: usize) -> f64 {
        let z = self.packed[j / 2];
        if j.is_multiple_of(2) { z.re } else { z.im }
    }

    pub(super) fn at_mut(&mut self, j: usize) -> &mut f64 {
        let z = &mut self.packed[j / 2];
        if j.is_multiple_of(2) { &mut z.re } else { &mut z.im }
    }

    pub(super) fn divide(&mut self, by: f64) {
        self.packed.iter_mut().for_each(|z| *z = Complex { re: z.re / by, im: z.im / by });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic numbers in [0, 1).
    fn numbers(count: usize) -> Vec<f64> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..count).map(|_| next()).collect()
    }

    fn sequence(x: &[f64]) -> Sequence {
        let mut sequence = Sequence::default();
        sequence.reset(x.len());
        x.iter().enumerate().for_each(|(j, x)| *sequence.at_mut(j) = *x);
        sequence
    }

    /// Against the sum as defined, for both parities of the number of levels; the bound holds.
    #[test]
    fn the_sum_as_defined() {
        for length in [8, 16, 32, 64, 512, 1024] {
            let x = numbers(length);
            let fft = RealFft::new(length);
            let found: Vec<_> = fft.forward(&mut sequence(&x)).collect();
            assert_eq!(found.len(), length / 2 + 1);
            let size: f64 = x.iter().sum();
            for (k, found) in found.iter().enumerate() {
                let mut sum = Complex::ZERO;
                for (j, x) in x.iter().enumerate() {
                    let turn = (j * k % length) as f64 / length as f64;
                    let (im, re) = libm::sincos(-2.0 * std::f64::consts::PI * turn);
                    sum = sum.plus(Complex { re: x * re, im: x * im });
                }
                let off = found.minus(sum).modulus();
                assert!(off <= fft.error() * size, "length {length}, output {k}: off by {off}");
            }
        }
    }

    #[test]
    fn there_and_back() {
        for length in [8, 16, 2048, 1 << 17] {
            let x = numbers(length);
            let fft = RealFft::new(length);
            let mut there = sequence(&x);
            let spectrum: Vec<_> = fft.forward(&mut there).collect();
            let size: f64 = x.iter().sum();
            let sizes: f64 = spectrum.iter().map(|z| z.modulus()).sum();
            let bound = fft.error() * (size + 4.0 / length as f64 * sizes);
            fft.inverse(&spectrum, &mut there);
            for (j, expected) in x.iter().enumerate() {
                let found = there.at(j);
                assert!((found - expected).abs() <= bound, "length {length}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn powers() {
        fn check(z: Complex, exponent: u64, expected: Complex) {
            assert!(z.power(exponent).minus(expected).modulus() <= 1e-15 * exponent as f64);
        }
        let z = Complex { re: 0.6, im: 0.8 };
        check(z, 1, z);
        check(z, 2, Complex { re: -0.28, im: 0.96 });
        check(z, 3, Complex { re: -0.936, im: 0.352 });
        let (im, re) = libm::sincos(1000.0 * 0.8_f64.atan2(0.6));
        check(z, 1000, Complex { re, im });
    }
}
