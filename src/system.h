/* What the operating system gives: threads, locks, conditions, a clock, the number of processors,
 * aligned memory. POSIX and Win32; nothing else in src/ and fastmlp/engine names either. Locks and
 * conditions are ready when they are FM_UNLOCKED and FM_NO_SLEEPERS, and are never destroyed. */
#ifndef FASTMLP_SYSTEM_H
#define FASTMLP_SYSTEM_H

#include <stdint.h>
#include <stdlib.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <malloc.h>
#include <windows.h>

typedef SRWLOCK fm_lock;
typedef CONDITION_VARIABLE fm_condition;
#define FM_UNLOCKED SRWLOCK_INIT
#define FM_NO_SLEEPERS CONDITION_VARIABLE_INIT

static inline void fm_acquire(fm_lock *lock)
{
    AcquireSRWLockExclusive(lock);
}

static inline int fm_try_acquire(fm_lock *lock)
{
    return TryAcquireSRWLockExclusive(lock);
}

static inline void fm_release(fm_lock *lock)
{
    ReleaseSRWLockExclusive(lock);
}

static inline void fm_sleep_until_woken(fm_condition *condition, fm_lock *lock)
{
    SleepConditionVariableSRW(condition, lock, INFINITE, 0);
}

static inline void fm_wake_all(fm_condition *condition)
{
    WakeAllConditionVariable(condition);
}

static inline int64_t fm_nanoseconds(void)
{
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    const int64_t whole = ticks.QuadPart / per_second.QuadPart;
    const int64_t rest = ticks.QuadPart % per_second.QuadPart;
    return whole * 1000000000 + rest * 1000000000 / per_second.QuadPart;
}

static inline int fm_n_processors(void)
{
    return (int)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
}

/* Runs main(argument) in a thread of its own, which nobody joins; 0 if there can be none. */
static inline int fm_start_thread(DWORD(WINAPI *main)(void *), void *argument)
{
    const HANDLE thread = CreateThread(NULL, 0, main, argument, 0, NULL);
    if (thread == NULL)
        return 0;
    CloseHandle(thread);
    return 1;
}
#define FM_THREAD_MAIN(name, argument) static DWORD WINAPI name(void *argument)
#define FM_THREAD_END 0

/* NULL if there is no memory. `size` is a multiple of `alignment`; for fm_deallocate. */
static inline void *fm_allocate(size_t alignment, size_t size)
{
    return _aligned_malloc(size, alignment);
}

static inline void fm_deallocate(void *memory)
{
    _aligned_free(memory);
}

/* There is no fork. */
static inline int fm_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    (void)before, (void)in_parent, (void)in_child;
    return 1;
}

#else
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* glibc 2.32 and 2.34 gave these a second version when it moved them from libpthread to libc. The
 * first one, which is the same function, is there too: what is compiled on a new system runs on old
 * ones, whose Python has libpthread loaded. */
#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))
#ifdef __x86_64__
#define FM_FIRST_VERSION "GLIBC_2.2.5"
#else
#define FM_FIRST_VERSION "GLIBC_2.17"
#endif
__asm__(".symver pthread_create,pthread_create@" FM_FIRST_VERSION "\n"
        ".symver pthread_detach,pthread_detach@" FM_FIRST_VERSION "\n"
        ".symver pthread_mutex_trylock,pthread_mutex_trylock@" FM_FIRST_VERSION "\n"
        ".symver pthread_sigmask,pthread_sigmask@" FM_FIRST_VERSION);
#endif

typedef pthread_mutex_t fm_lock;
typedef pthread_cond_t fm_condition;
#define FM_UNLOCKED PTHREAD_MUTEX_INITIALIZER
#define FM_NO_SLEEPERS PTHREAD_COND_INITIALIZER

static inline void fm_acquire(fm_lock *lock)
{
    pthread_mutex_lock(lock);
}

static inline int fm_try_acquire(fm_lock *lock)
{
    return pthread_mutex_trylock(lock) == 0;
}

static inline void fm_release(fm_lock *lock)
{
    pthread_mutex_unlock(lock);
}

static inline void fm_sleep_until_woken(fm_condition *condition, fm_lock *lock)
{
    pthread_cond_wait(condition, lock);
}

static inline void fm_wake_all(fm_condition *condition)
{
    pthread_cond_broadcast(condition);
}

static inline int64_t fm_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

static inline int fm_n_processors(void)
{
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* Runs main(argument) in a thread of its own, which nobody joins and which leaves signals to the
 * threads of the program; 0 if there can be none. */
static inline int fm_start_thread(void *(*main)(void *), void *argument)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int started = pthread_create(&thread, NULL, main, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_detach(thread);
    return started;
}
#define FM_THREAD_MAIN(name, argument) static void *name(void *argument)
#define FM_THREAD_END NULL

/* NULL if there is no memory. `size` is a multiple of `alignment`; for fm_deallocate. */
static inline void *fm_allocate(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

static inline void fm_deallocate(void *memory)
{
    free(memory);
}

/* Functions that fork() calls; 0 if there is no memory for them. Each may be NULL. */
static inline int fm_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    return pthread_atfork(before, in_parent, in_child) == 0;
}

#endif
#endif
