#include "blas_threads.h"
#include "system.h"

#include <stdatomic.h>

#define MAX_LIBRARIES 8

static struct library {
    fm_get_threads get;
    fm_set_threads set;
    int per_thread;
    int saved; /* what the last user restores */
} libraries[MAX_LIBRARIES];

static int n_libraries;
static atomic_int n_users; /* changed with the lock, as are the settings */
/* Goes up before and after a library is set to one thread: odd in between. */
static atomic_uint n_changes;
static fm_lock lock = FM_UNLOCKED;

static _Thread_local int disturbed;
static _Thread_local int own_uses;                  /* of this thread */
static _Thread_local int own_saved[MAX_LIBRARIES];  /* for libraries with a setting per thread */

static int lost_users; /* in a child: there were users, of threads that it may not have */

/* These are called by fork() itself. As Python's hooks they would wait for the lock with the GIL in
 * one thread, and for the GIL with the lock in another. */
static void before_fork(void)
{
    fm_acquire(&lock);
}

static void in_parent(void)
{
    fm_release(&lock);
}

static void in_child(void)
{
    lock = (fm_lock)FM_UNLOCKED;
    lost_users = n_users > own_uses;
    n_users = own_uses;
}

int fm_blas_add(fm_get_threads get, fm_set_threads set, int per_thread)
{
    static int registered = 0;
    if (!registered)
        registered = fm_at_fork(before_fork, in_parent, in_child);
    if (!registered || n_libraries == MAX_LIBRARIES)
        return -1;
    libraries[n_libraries] = (struct library){.get = get, .set = set, .per_thread = per_thread};
    n_libraries++;
    return 0;
}

/* Sets a library to one thread and remembers what it was; with the lock. */
static void lower(int i)
{
    struct library *library = &libraries[i];
    const int n_threads = library->get();
    if (n_threads == 1)
        return;
    if (library->per_thread)
        own_saved[i] = n_threads;
    else
        library->saved = n_threads;
    n_changes++;
    library->set(1);
    n_changes++;
}

/* Restores a library, unless somebody else has set it meanwhile; with the lock. */
static void restore(int i)
{
    struct library *library = &libraries[i];
    const int n_threads = library->per_thread ? own_saved[i] : library->saved;
    if (n_threads != 1 && library->get() == 1)
        library->set(n_threads);
}

static void begin_use(int i)
{
    struct library *library = &libraries[i];
    if (library->per_thread && own_uses == 0)
        own_saved[i] = 1;
    else if (!library->per_thread && n_users == 0)
        library->saved = 1;
    lower(i);
}

void fm_blas_enter(void)
{
    fm_acquire(&lock);
    for (int i = 0; i < n_libraries; i++)
        begin_use(i);
    own_uses++;
    n_users++;
    fm_release(&lock);
}

void fm_blas_leave(void)
{
    fm_acquire(&lock);
    own_uses--;
    n_users--;
    for (int i = 0; i < n_libraries; i++)
        if (libraries[i].per_thread ? own_uses == 0 : n_users == 0)
            restore(i);
    fm_release(&lock);
}

int fm_blas_users(void)
{
    return n_users;
}

unsigned fm_blas_keep_single(void)
{
    for (int i = 0; i < n_libraries; i++) {
        if (libraries[i].get() == 1)
            continue;
        fm_acquire(&lock);
        if (n_users > 0)
            lower(i);
        fm_release(&lock);
    }
    return n_changes;
}

int fm_blas_stayed_single(unsigned changes_before)
{
    const unsigned n = n_changes;
    if (n != changes_before || n % 2) /* another product's thread lowered what somebody had raised */
        return 0;
    for (int i = 0; i < n_libraries; i++)
        if (libraries[i].get() != 1 && n_users > 0)
            return 0;
    return 1;
}

void fm_blas_mark_disturbed(void)
{
    disturbed = 1;
}

int fm_blas_was_disturbed(void)
{
    const int was = disturbed;
    disturbed = 0;
    return was;
}

void fm_blas_after_fork(void)
{
    fm_acquire(&lock);
    for (int i = 0; i < n_libraries; i++)
        if (lost_users && n_users == 0 && !libraries[i].per_thread)
            restore(i);
    lost_users = 0;
    fm_release(&lock);
}
