/* The C library's allocators, of which the n-th call fails; for LD_PRELOAD (glibc).
 *
 * Until fail_allocation is called, and after the call that failed, all of them work. Only calls from
 * code between two addresses count, if they are given: the extension's own, for example.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static atomic_long left; /* calls until the one that fails; 0: none does */
static uintptr_t first, last;

void fail_allocation(long n, uintptr_t from, uintptr_t to)
{
    first = from;
    last = to;
    atomic_store(&left, n);
}

/* Returns how many calls were left, 0 if one has failed. */
long fail_no_more(void)
{
    return atomic_exchange(&left, 0);
}

static int fails(void *caller)
{
    const uintptr_t address = (uintptr_t)caller;
    if (atomic_load(&left) <= 0 || (last && (address < first || address >= last)))
        return 0;
    if (atomic_fetch_sub(&left, 1) != 1)
        return 0;
    errno = ENOMEM;
    return 1;
}

#define FAILS fails(__builtin_return_address(0))

void *malloc(size_t size)
{
    return FAILS ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return FAILS ? NULL : __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
    return FAILS ? NULL : __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size)
{
    return FAILS ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return FAILS ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    if (FAILS)
        return ENOMEM;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
