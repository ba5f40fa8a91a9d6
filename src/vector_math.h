/* exp, log, log1p, sigmoid and tanh without branches or calls, so that loops over them vectorise.
 *
 * All are within 4 ULP over the whole range of their type, NaN in gives NaN out, and none traps;
 * vlog alone is for normal positive numbers, and its callers see to that.
 * Range reduction and the meaning of hi/lo constants follow W. J. Cody and W. Waite, "Software
 * Manual for the Elementary Functions" (1980); series are plain Taylor polynomials, long enough that
 * truncation stays below 0.1 ULP on the reduced range.
 */
#ifndef FASTMLP_VECTOR_MATH_H
#define FASTMLP_VECTOR_MATH_H

#include <string.h>

#include "real.h"

FM_INLINE bits_t to_bits(real x)
{
    bits_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

FM_INLINE real from_bits(bits_t bits)
{
    real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Adding 1.5 * 2^mantissa rounds to an integer and leaves it in the low bits of the sum. */
#define ROUND_MAGIC ((real)1.5 * (real)((bits_t)1 << MANTISSA_BITS))

/* 2^n for an integral n in [-EXPONENT_BIAS + 1, EXPONENT_BIAS]: the biased exponent in the low bits
 * of the magic sum is shifted into place, which drops everything above it. */
FM_INLINE real power_of_two(real n)
{
    return from_bits(to_bits(n + (ROUND_MAGIC + EXPONENT_BIAS)) << MANTISSA_BITS);
}

/* ln 2 in two parts; the first has enough trailing zeros that n * LN2_HIGH is exact. */
#if FM_BITS == 32
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define EXP_LOW -104.0f /* below, exp is 0 even as a subnormal */
#define EXP_HIGH 89.0f  /* above, exp is infinite */
#else
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define EXP_LOW -746.0
#define EXP_HIGH 710.0
#endif
#define LOG2_E REAL_C(1.44269504088896340736)

/* (exp(r) - 1 - r) / r^2 for |r| <= ln(2)/2, Taylor series. */
FM_INLINE real exp_tail(real r)
{
#if FM_BITS == 32
    real p = REAL_C(1.0) / 5040;
#else
    real p = REAL_C(1.0) / 6227020800;
    p = p * r + REAL_C(1.0) / 479001600;
    p = p * r + REAL_C(1.0) / 39916800;
    p = p * r + REAL_C(1.0) / 3628800;
    p = p * r + REAL_C(1.0) / 362880;
    p = p * r + REAL_C(1.0) / 40320;
    p = p * r + REAL_C(1.0) / 5040;
#endif
    p = p * r + REAL_C(1.0) / 720;
    p = p * r + REAL_C(1.0) / 120;
    p = p * r + REAL_C(1.0) / 24;
    p = p * r + REAL_C(1.0) / 6;
    p = p * r + REAL_C(1.0) / 2;
    return p;
}

/* exp(x) = 2^n exp(r), x = n ln 2 + r. The comparisons keep a NaN; 2^n is applied in two halves, so
 * that results fade through the subnormals to 0 and through the largest number to infinity. */
FM_INLINE real vexp(real x)
{
    x = x < EXP_LOW ? EXP_LOW : x;
    x = x > EXP_HIGH ? EXP_HIGH : x;
    const real n = (x * LOG2_E + ROUND_MAGIC) - ROUND_MAGIC;
    const real r = (x - n * LN2_HIGH) - n * LN2_LOW;
    const real p = REAL_C(1.0) + (r + r * r * exp_tail(r));
    const real half = (n * REAL_C(0.5) + ROUND_MAGIC) - ROUND_MAGIC;
    return p * power_of_two(half) * power_of_two(n - half);
}

/* exp(x) - 1 for -40 <= x <= 40, without cancellation near 0. */
FM_INLINE real vexpm1_bounded(real x)
{
    const real n = (x * LOG2_E + ROUND_MAGIC) - ROUND_MAGIC;
    const real r = (x - n * LN2_HIGH) - n * LN2_LOW;
    const real scale = power_of_two(n);
    return scale * (r + r * r * exp_tail(r)) + (scale - REAL_C(1.0));
}

/* sigmoid(x) = 1 / (1 + exp(-x)), from exp(-|x|) <= 1: nothing overflows, and the left tail keeps
 * its relative accuracy. */
FM_INLINE real vsigmoid(real x)
{
    const real e = vexp(-REAL_ABS(x));
    return (x < 0 ? e : REAL_C(1.0)) / (REAL_C(1.0) + e);
}

/* tanh(x) = sign(x) m / (m + 2), m = exp(2|x|) - 1; as 1 - 2 / (m + 2) for large m, where the rounding
 * of m + 2 would make the quotient flicker around 1. From |x| = 20 on, tanh is 1 in both types. */
FM_INLINE real vtanh(real x)
{
    real twice = REAL_C(2.0) * REAL_ABS(x);
    twice = twice > REAL_C(40.0) ? REAL_C(40.0) : twice;
    const real m = vexpm1_bounded(twice);
    const real quotient = (m > 1 ? REAL_C(2.0) : m) / (m + REAL_C(2.0));
    return REAL_COPYSIGN(m > 1 ? REAL_C(1.0) - quotient : quotient, x);
}

/* log(1 + v) = 2 atanh(s), s = v / (2 + v), for v in [-0.293, 0.415]: s^2 <= 0.0295. */
FM_INLINE real log1p_series(real v)
{
    const real s = v / (REAL_C(2.0) + v);
    const real t = s * s;
#if FM_BITS == 32
    real p = REAL_C(2.0) / 9;
#else
    real p = REAL_C(2.0) / 21;
    p = p * t + REAL_C(2.0) / 19;
    p = p * t + REAL_C(2.0) / 17;
    p = p * t + REAL_C(2.0) / 15;
    p = p * t + REAL_C(2.0) / 13;
    p = p * t + REAL_C(2.0) / 11;
    p = p * t + REAL_C(2.0) / 9;
#endif
    p = p * t + REAL_C(2.0) / 7;
    p = p * t + REAL_C(2.0) / 5;
    p = p * t + REAL_C(2.0) / 3;
    return REAL_C(2.0) * s + s * (t * p);
}

/* log(1 + t) for t in [0, 1], relatively accurate down to t = 0. */
FM_INLINE real vlog1p_unit(real t)
{
    const real big = t > REAL_C(0.41421356237309504880) ? REAL_C(1.0) : REAL_C(0.0);
    const real v = big * ((t - REAL_C(1.0)) * REAL_C(0.5)) + (REAL_C(1.0) - big) * t;
    return big * REAL_C(0.69314718055994530942) + log1p_series(v);
}

/* log(x) for normal x > 0: x = 2^n m with m in [sqrt(1/2), sqrt(2)). The exponent bits become a
 * number by placing them in the low bits of the magic constant. */
FM_INLINE real vlog(real x)
{
    const bits_t bits = to_bits(x);
    const bits_t mantissa = (((bits_t)1 << MANTISSA_BITS) - 1) & bits;
    const real exponent =
        from_bits((bits >> MANTISSA_BITS) + to_bits(ROUND_MAGIC)) - (ROUND_MAGIC + EXPONENT_BIAS);
    const real m = from_bits(mantissa | ((bits_t)EXPONENT_BIAS << MANTISSA_BITS));
    const real big = m > REAL_C(1.41421356237309504880) ? REAL_C(1.0) : REAL_C(0.0);
    const real v = m * (REAL_C(1.0) - REAL_C(0.5) * big) - REAL_C(1.0);
    const real n = exponent + big;
    return n * LN2_HIGH + (n * LN2_LOW + log1p_series(v));
}

/* erfc(x) = t exp(-x^2) Q(t), t = 2 / (2 + x), for x >= 0: Chebyshev coefficients of Q for 2 t - 1,
 * from an interpolation with 50 digits. As many terms as the type can tell apart. */
static const real erfc_series[] = {
    REAL_C(0.5770337386164696886), REAL_C(0.3554369212704984873), REAL_C(0.06509515882878652455),
    REAL_C(0.003671142395836639166), REAL_C(-0.001112844743352632497),
    REAL_C(-0.0001607582991537807976), REAL_C(0.0000327803157417313706),
    REAL_C(5.442441645505016033e-6), REAL_C(-1.515466555317148162e-6),
    REAL_C(-1.429760818116986492e-7), REAL_C(8.234608827419493454e-8),
    REAL_C(-1.296284685230656702e-9), REAL_C(-4.154721631015198672e-9),
    REAL_C(6.347058278362869333e-10), REAL_C(1.432082271225445411e-10),
    REAL_C(-6.160390105204009768e-11), REAL_C(2.061213855633374853e-12),
    REAL_C(3.571493148199521383e-12), REAL_C(-8.586422836711489723e-13),
    REAL_C(-6.145599756865588964e-14), REAL_C(7.418723389685918479e-14),
    REAL_C(-1.289500829110808828e-14), REAL_C(-2.358586075636781027e-15),
    REAL_C(1.572044603639692079e-15), REAL_C(-2.262972082841491618e-16),
    REAL_C(-5.807349535771656882e-17)};
#if FM_BITS == 32
#define ERFC_TERMS 11
#else
#define ERFC_TERMS 26
#endif

/* The normal distribution: Phi(x), with exp(-x^2 / 2) in *bell_out. Absolute error below 2 ULP of 1;
 * the left tail keeps its relative accuracy to some 100 ULP. */
FM_INLINE real vnormal_cdf(real x, real *bell_out)
{
    const real bell = vexp(REAL_C(-0.5) * x * x);
    const real t = REAL_C(2.0) / (REAL_C(2.0) + REAL_C(0.70710678118654752440) * REAL_ABS(x));
    const real twice = REAL_C(4.0) * t - REAL_C(2.0);
    real b = 0, before = 0; /* Clenshaw's recurrence */
    FM_PRAGMA(GCC unroll 32)
    for (int i = ERFC_TERMS - 1; i > 0; i--) {
        const real next = twice * b - before + erfc_series[i];
        before = b;
        b = next;
    }
    const real tail = REAL_C(0.5) * t * bell * (REAL_C(0.5) * twice * b - before + erfc_series[0]);
    *bell_out = bell;
    return x < 0 ? tail : REAL_C(1.0) - tail;
}

/* softplus(x) = log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)). */
FM_INLINE real vsoftplus(real x)
{
    const real positive = x > 0 ? x : REAL_C(0.0);
    return positive + vlog1p_unit(vexp(-REAL_ABS(x)));
}

#endif
