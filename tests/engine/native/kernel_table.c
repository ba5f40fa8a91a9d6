/* The kernels for ctypes: a table of function pointers in the order of kernels.h. */
#include "fastmlp.h"

const void *kernel_table(int level, int bits);

const void *kernel_table(int level, int bits)
{
    if (!fm_select_level(level))
        return NULL;
    return bits == 32 ? (const void *)fm_f32 : (const void *)fm_f64;
}
