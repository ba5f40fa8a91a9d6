/* The function pointers of one precision and level. */
#include "real.h"

#define KERNEL(result, name, ...) .name = FM_NAME(name),

const FM_TABLE_TYPE FM_NAME(table) = {
#include "kernels.h"
};
