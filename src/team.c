/* The thread team: helpers that take pieces of the caller's work.
 *
 * The caller opens one share of pieces after the other (`fm_team_share`). Helpers that are awake
 * take pieces, and so does the caller, until none is left. It then waits for those that a helper has
 * begun, and for nothing else: a helper that sleeps, or has lost its processor to another program,
 * delays nobody. One that loses it in the middle of a piece does; where that has cost time, the
 * caller works alone for BAN times as long, so that it never loses more than a small part. So it
 * does, for longer every time, where helpers come too late: waking up and spinning takes time from
 * a processor that others want.
 *
 * One team per process, because two teams that spin for the same cores are slower than one. Whoever
 * finds it taken works alone: results do not depend on who computes what. A forked child forgets
 * the parent's threads (`after_fork`) and starts its own.
 */
#include "fastmlp.h"
#include "float_mode.h"
#include "system.h"

#include <stdatomic.h>

#define MAX_WORKERS 256
#define MAX_CLAIMS 4096
#define CLAIM_BITS 16 /* 2^48 shares, one each microsecond, take nine years */

/* Spinning hides a wake-up of some 50 microseconds, but only while every worker has a processor of
 * its own; beyond that it takes time from the worker that is waited for. Between the shares of a
 * run it pays to be patient. Nanoseconds, because a pause takes 10 to 50, depending on the
 * processor, and the clock as long as a few of them. */
#define SPIN_TIME 60000
#define PATIENT_SPIN_TIME 600000
#define PAUSES_PER_LOOK 32

/* Waiting for the last pieces takes as long as pieces do. What is longer than this many times the
 * caller's own part, and LEAST_LOSS nanoseconds, is lost. */
#define USUAL_WAIT 2
#define LEAST_LOSS 200000
#define BAN 20

/* Helpers that have taken nothing in this many nanoseconds of shared work come too late: the caller
 * works alone for the first, and at last for the second time. */
#define UNHELPED 1000000
#define SHORT_BREAK 20000000
#define LONG_BREAK 320000000

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__) /* where "yield" is nothing, and this takes about as long as x86's pause */
#define PAUSE() __asm__ volatile("isb" ::: "memory")
#else
#define PAUSE() atomic_signal_fence(memory_order_seq_cst)
#endif

static struct {
    fm_lock owner;         /* held for the length of a run */
    int n_threads;         /* started threads, without the caller */
    int64_t alone_until;   /* nanoseconds, as the next two */
    int64_t unhelped;      /* spent on shares since a helper has taken something */
    int64_t next_break;
    int patience;          /* spin time of helpers, while something is shared */

    /* What is shared: written by the caller while nobody has a piece, read by who has one. */
    fm_piece task;
    void *context;
    ptrdiff_t n_pieces, pieces_per_claim;
    uint64_t float_mode; /* the caller's */

    fm_lock lock;               /* for sleeping and waking up */
    fm_condition opened;        /* for helpers of the run: something is shared */
    fm_condition joined;        /* for all others: a run has more workers */
    fm_condition finished;      /* for the caller: helpers have finished their pieces */
    atomic_int n_workers;       /* of the last run */
    atomic_int spin_time;       /* of who waits */
    atomic_int sleepers;        /* helpers that wait for `opened` */
    atomic_int caller_sleeps;

    /* Number of the share << CLAIM_BITS | its claims. On cache lines of their own, as other threads
     * write them at other times. */
    _Alignas(64) atomic_ullong share;
    _Alignas(64) atomic_long done; /* claims of the share that are finished */
    /* Number of the last share in which each claim was taken. */
    _Alignas(64) atomic_ullong claimed[MAX_CLAIMS];
} team = {
    .owner = FM_UNLOCKED,
    .lock = FM_UNLOCKED,
    .opened = FM_NO_SLEEPERS,
    .joined = FM_NO_SLEEPERS,
    .finished = FM_NO_SLEEPERS,
    .next_break = SHORT_BREAK,
};

typedef struct {
    int64_t begin; /* 0 before the first look at the clock */
    int pauses;
} fm_spin;

/* Pauses once; 0 when the time for spinning is over, which may change meanwhile. */
static int spin_on(fm_spin *spin)
{
    const int time = atomic_load_explicit(&team.spin_time, memory_order_relaxed);
    if (time == 0)
        return 0;
    PAUSE();
    if (++spin->pauses % PAUSES_PER_LOOK != 0)
        return 1;
    const int64_t now = fm_nanoseconds();
    if (spin->begin == 0)
        spin->begin = now;
    return now - spin->begin < time;
}

static unsigned long long number_of(unsigned long long share)
{
    return share >> CLAIM_BITS;
}

static long claims_of(unsigned long long share)
{
    return (long)(share & ((1u << CLAIM_BITS) - 1));
}

/* Whether the caller is the first to take claim i of a share. Numbers only grow: a helper that comes
 * late finds its share's claims taken, at the latest in the compare and exchange. */
static int take(ptrdiff_t i, unsigned long long number)
{
    unsigned long long last = atomic_load_explicit(&team.claimed[i], memory_order_relaxed);
    return last < number && atomic_compare_exchange_strong(&team.claimed[i], &last, number);
}

/* Takes claims of a share, its own part of them first, so that what a worker wrote in one share is
 * in its cache in the next. Returns how many it has taken and finished. */
static long take_pieces(unsigned long long share, int worker, int n_workers)
{
    const unsigned long long number = number_of(share);
    const ptrdiff_t n_claims = claims_of(share);
    const ptrdiff_t first = n_claims * worker / n_workers;
    long taken = 0;
    for (ptrdiff_t k = 0; k < n_claims; k++) {
        const ptrdiff_t i = first + k < n_claims ? first + k : first + k - n_claims;
        if (!take(i, number))
            continue;
        fm_set_float_mode(team.float_mode);
        const ptrdiff_t begin = i * team.pieces_per_claim, next = begin + team.pieces_per_claim;
        const ptrdiff_t end = next < team.n_pieces ? next : team.n_pieces;
        for (ptrdiff_t piece = begin; piece < end; piece++)
            team.task(team.context, piece, worker);
        taken++;
    }
    return taken;
}

/* Both sides are sequentially consistent: either a sleeper sees the change before it sleeps, or the
 * one who made it sees the sleeper and, holding the lock, wakes it. */
static void wake(fm_condition *condition)
{
    fm_acquire(&team.lock);
    fm_wake_all(condition);
    fm_release(&team.lock);
}

/* Waits for another share than the last that was seen, for a worker of the run; returns it. */
static unsigned long long next_share(unsigned long long seen, int worker)
{
    fm_spin spin = {0};
    do {
        const unsigned long long share = atomic_load(&team.share);
        if (share != seen)
            return share;
    } while (worker < atomic_load_explicit(&team.n_workers, memory_order_relaxed) && spin_on(&spin));
    fm_acquire(&team.lock);
    while (worker >= atomic_load(&team.n_workers))
        fm_sleep_until_woken(&team.joined, &team.lock);
    atomic_fetch_add(&team.sleepers, 1);
    while (atomic_load(&team.share) == seen && worker < atomic_load(&team.n_workers))
        fm_sleep_until_woken(&team.opened, &team.lock);
    atomic_fetch_sub(&team.sleepers, 1);
    fm_release(&team.lock);
    return atomic_load(&team.share);
}

FM_THREAD_MAIN(helper_main, argument)
{
    const int worker = (int)(intptr_t)argument;
    unsigned long long share = 0;
    for (;;) {
        share = next_share(share, worker);
        /* Read after the share: a claim of it proves that this is its number of workers. */
        const int n_workers = atomic_load(&team.n_workers);
        if (worker >= n_workers)
            continue;
        const long taken = take_pieces(share, worker, n_workers);
        if (taken > 0 && atomic_fetch_add(&team.done, taken) + taken == claims_of(share)
            && atomic_load(&team.caller_sleeps))
            wake(&team.finished);
    }
    return FM_THREAD_END;
}

static void after_fork(void)
{
    team.owner = team.lock = (fm_lock)FM_UNLOCKED;
    team.opened = team.joined = team.finished = (fm_condition)FM_NO_SLEEPERS;
    team.n_threads = 0;
    atomic_store(&team.n_workers, 0);
    atomic_store(&team.sleepers, 0);
}

/* Starts threads until there are `n_wanted`, or as many as the system gives. */
static void grow(int n_wanted)
{
    static int registered = 0;
    if (!registered)
        registered = fm_at_fork(NULL, NULL, after_fork);
    if (!registered)
        return;
    while (team.n_threads < n_wanted && team.n_threads + 1 < MAX_WORKERS) {
        const intptr_t worker = team.n_threads + 1;
        if (!fm_start_thread(helper_main, (void *)worker))
            break;
        team.n_threads++;
    }
}

int fm_team_enter(int n_wanted)
{
    if (n_wanted <= 1 || !fm_try_acquire(&team.owner))
        return 1;
    grow(n_wanted - 1);
    const int n_workers = n_wanted - 1 < team.n_threads ? n_wanted : team.n_threads + 1;
    if (n_workers == 1) {
        fm_release(&team.owner);
        return 1;
    }
    team.patience = n_workers <= fm_n_processors() ? PATIENT_SPIN_TIME : 0;
    if (atomic_load(&team.n_workers) != n_workers) {
        atomic_store(&team.n_workers, n_workers);
        wake(&team.joined);
        wake(&team.opened); /* who is no longer one of the run's helpers waits elsewhere */
    }
    return n_workers;
}

static void stop_spinning(void)
{
    if (atomic_load(&team.spin_time) > SPIN_TIME)
        atomic_store(&team.spin_time, SPIN_TIME);
}

void fm_team_leave(int n_workers)
{
    if (n_workers == 1)
        return;
    stop_spinning();
    fm_release(&team.owner);
}

static void work_alone(int64_t from, int64_t duration)
{
    team.alone_until = from + duration;
    stop_spinning();
}

/* Notes a share of which helpers have taken nothing. */
static void note_unhelped(int64_t begin, int64_t end)
{
    team.unhelped += end - begin;
    if (team.unhelped < UNHELPED)
        return;
    work_alone(end, team.next_break);
    team.unhelped = 0;
    if (team.next_break < LONG_BREAK)
        team.next_break *= 2;
}

static void open_share(fm_piece task, void *context, ptrdiff_t n_pieces)
{
    const unsigned long long number = number_of(atomic_load(&team.share)) + 1;
    team.task = task;
    team.context = context;
    team.n_pieces = n_pieces;
    team.float_mode = fm_float_mode();
    team.pieces_per_claim = (n_pieces + MAX_CLAIMS - 1) / MAX_CLAIMS;
    const ptrdiff_t n_claims = (n_pieces + team.pieces_per_claim - 1) / team.pieces_per_claim;
    atomic_store_explicit(&team.done, 0, memory_order_relaxed);
    if (atomic_load_explicit(&team.spin_time, memory_order_relaxed) != team.patience)
        atomic_store(&team.spin_time, team.patience);
    atomic_store(&team.share, number << CLAIM_BITS | (unsigned long long)n_claims);
    if (atomic_load(&team.sleepers) > 0)
        wake(&team.opened);
}

/* Waits for the pieces that helpers have begun. */
static void await_helpers(long n_claims)
{
    fm_spin spin = {0};
    do {
        if (atomic_load(&team.done) >= n_claims)
            return;
    } while (spin_on(&spin));
    fm_acquire(&team.lock);
    atomic_store(&team.caller_sleeps, 1);
    while (atomic_load(&team.done) < n_claims)
        fm_sleep_until_woken(&team.finished, &team.lock);
    atomic_store(&team.caller_sleeps, 0);
    fm_release(&team.lock);
}

void fm_team_share(int n_workers, fm_piece task, void *context, ptrdiff_t n_pieces)
{
    const int64_t begin = n_workers == 1 || n_pieces <= 1 ? 0 : fm_nanoseconds();
    if (begin == 0 || begin < team.alone_until) {
        for (ptrdiff_t piece = 0; piece < n_pieces; piece++)
            task(context, piece, 0);
        return;
    }
    open_share(task, context, n_pieces);
    const unsigned long long share = atomic_load(&team.share);
    const long taken = take_pieces(share, 0, n_workers);
    const long n_claims = claims_of(share);
    const int64_t end_of_own = fm_nanoseconds();
    if (taken == n_claims) {
        note_unhelped(begin, end_of_own);
        return;
    }
    team.unhelped = 0;
    team.next_break = SHORT_BREAK;
    if (atomic_fetch_add(&team.done, taken) + taken == n_claims)
        return;
    await_helpers(n_claims);
    const int64_t end = fm_nanoseconds();
    const int64_t lost = end - end_of_own - USUAL_WAIT * (end_of_own - begin);
    if (lost > LEAST_LOSS)
        work_alone(end, BAN * lost);
}
