/* The mode of the thread's floating-point unit, in which subnormal numbers may count as 0.
 *
 * What an optimizer remembers of a node that is silent for good fades by a factor per step, arrives
 * at the smallest subnormal number and, rounded to nearest, stays there: 0.9 of it is itself. Many
 * processors take some hundred cycles for such a number. So a network is trained in a mode that
 * takes them for 0; Python's code never runs in it. Modes are the control bits alone, without the
 * flags of what has happened. */
#ifndef FASTMLP_FLOAT_MODE_H
#define FASTMLP_FLOAT_MODE_H

#include <stdint.h>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>

#define FM_FLAGS 0x3Fu
#define FM_SUBNORMALS_ARE_ZERO 0x8040u /* results (FTZ) and operands (DAZ) */

static inline uint64_t fm_float_mode(void)
{
    return _mm_getcsr() & ~FM_FLAGS;
}

static inline void fm_set_float_mode(uint64_t mode)
{
    const unsigned now = _mm_getcsr();
    if ((now & ~FM_FLAGS) != mode)
        _mm_setcsr((unsigned)mode | (now & FM_FLAGS));
}

#elif defined(__aarch64__)

#define FM_SUBNORMALS_ARE_ZERO (UINT64_C(1) << 24) /* FPCR.FZ */

static inline uint64_t fm_float_mode(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}

static inline void fm_set_float_mode(uint64_t mode)
{
    if (fm_float_mode() != mode)
        __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}

#else /* in plain C there is no mode, and they are computed with */

#define FM_SUBNORMALS_ARE_ZERO UINT64_C(0)

static inline uint64_t fm_float_mode(void)
{
    return 0;
}

static inline void fm_set_float_mode(uint64_t mode)
{
    (void)mode;
}

#endif

/* Returns the mode before. */
static inline uint64_t fm_flush_subnormals(void)
{
    const uint64_t mode = fm_float_mode();
    fm_set_float_mode(mode | FM_SUBNORMALS_ARE_ZERO);
    return mode;
}

#endif
