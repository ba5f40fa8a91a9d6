/* The thread team: every piece is done once, shares follow each other, busy teams, sleeping helpers
 * and forks are survived. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#ifndef _WIN32
#include <sys/wait.h>
#endif

#include "fastmlp.h"
#include "system.h"

#define SHARES 2000
#define MOST_PIECES 10000
#define WORKERS 16

typedef struct {
    int values[MOST_PIECES]; /* plain: whoever wrote one in a share is seen by all in the next */
    atomic_int in_use[WORKERS];
    atomic_int wrong;
    int n_pieces;
} shared_t;

static void add_to_value(void *context, ptrdiff_t piece, int worker)
{
    shared_t *shared = context;
    if (worker < 0 || worker >= WORKERS || atomic_fetch_add(&shared->in_use[worker], 1) != 0)
        atomic_fetch_add(&shared->wrong, 1);
    shared->values[piece] += 1;
    atomic_fetch_sub(&shared->in_use[worker], 1);
}

/* Every value becomes its neighbor's of the share before. */
static void copy_neighbour(void *context, ptrdiff_t piece, int worker)
{
    shared_t *shared = context;
    const int half = shared->n_pieces / 2;
    (void)worker;
    if (piece < half)
        shared->values[piece] = shared->values[half + piece];
}

static int run_shares(int n_wanted, int n_pieces, int n_shares)
{
    shared_t *shared = calloc(1, sizeof *shared);
    const int n_workers = fm_team_enter(n_wanted);
    int good = n_workers >= 1 && n_workers <= n_wanted;
    shared->n_pieces = n_pieces;
    for (int i = 0; i < n_shares; i++) {
        fm_team_share(n_workers, add_to_value, shared, n_pieces);
        fm_team_share(n_workers, copy_neighbour, shared, n_pieces);
    }
    fm_team_leave(n_workers);
    for (int i = 0; i < n_pieces; i++)
        good = good && shared->values[i] == n_shares;
    good = good && atomic_load(&shared->wrong) == 0;
    if (!good)
        fprintf(stderr, "wanted %d, got %d workers for %d pieces\n", n_wanted, n_workers, n_pieces);
    free(shared);
    return good;
}

static int run_team(int n_wanted)
{
    return run_shares(n_wanted, 1, 10) && run_shares(n_wanted, 2, SHARES)
           && run_shares(n_wanted, 31, SHARES) && run_shares(n_wanted, MOST_PIECES, 3);
}

static double seconds(void)
{
    return 1e-9 * fm_nanoseconds();
}

static void sleep_milliseconds(long n)
{
#ifdef _WIN32
    Sleep((DWORD)n);
#else
    const struct timespec pause = {.tv_nsec = n * 1000000};
    nanosleep(&pause, NULL);
#endif
}

enum { RUNNING, GOOD, BAD };

FM_THREAD_MAIN(run_from_other_thread, argument)
{
    atomic_int *result = argument;
    atomic_store(result, run_team(2) && run_team(3) ? GOOD : BAD);
    return FM_THREAD_END;
}

static int several_callers(void)
{
    static atomic_int results[4]; /* RUNNING */
    int good = 1;
    for (int i = 0; i < 4; i++)
        good = good && fm_start_thread(run_from_other_thread, &results[i]);
    good = good && run_team(2);
    for (int i = 0; good && i < 4; i++) {
        while (atomic_load(&results[i]) == RUNNING)
            sleep_milliseconds(1);
        good = atomic_load(&results[i]) == GOOD;
    }
    return good;
}

/* The caller's piece ends when a helper has taken one, or after a fifth of a second. */
static void await_helper(void *context, ptrdiff_t piece, int worker)
{
    atomic_int *helped = context;
    const double begin = seconds();
    (void)piece;
    if (worker > 0)
        atomic_store(helped, 1);
    while (!atomic_load(helped) && seconds() - begin < 0.2)
        sleep_milliseconds(1);
}

/* Whether helpers come; a caller that had lost time before works alone for a while. */
static int has_helpers(void)
{
    atomic_int helped = 0;
    for (int attempt = 0; attempt < 30 && !atomic_load(&helped); attempt++) {
        const int n_workers = fm_team_enter(2);
        fm_team_share(n_workers, await_helper, &helped, 2);
        fm_team_leave(n_workers);
    }
    return atomic_load(&helped);
}

#ifdef _WIN32 /* where nothing forks */
#define forked_child() has_helpers()
#else
static int forked_child(void)
{
    int status;
    const pid_t child = fork();
    if (child == 0)
        _exit(run_team(2) && run_team(4) && has_helpers() ? 0 : 1);
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
#endif

static void spin(void)
{
    const double begin = seconds();
    while (seconds() - begin < 1e-4) {
    }
}

typedef struct {
    atomic_int n_helped; /* pieces that helpers have taken */
    double end_of_own;   /* of the caller's last piece */
} slow_t;

/* As a helper that loses its processor in the middle of every piece. */
static void be_slow(void *context, ptrdiff_t piece, int worker)
{
    slow_t *slow = context;
    (void)piece;
    if (worker == 0) {
        spin();
        slow->end_of_own = seconds();
    } else {
        atomic_fetch_add(&slow->n_helped, 1);
        sleep_milliseconds(5);
    }
}

/* Time lost by waiting for it is followed by 20 times as long in which the caller works alone. Both
 * are measured share by share, because caller and helper may lose their processors to other programs
 * too. Where that happens between the team's look at the clock and this one, a time alone seems too
 * short: two of the eight may. */
static int slow_helper(int fewest_times)
{
    slow_t slow = {.n_helped = 0};
    const int n_workers = fm_team_enter(2);
    const double first = seconds();
    double alone_until = 0;
    int n_times = 0, n_early = 0;
    while (n_workers > 1 && n_times < 8 && seconds() - first < 60) {
        const int n_helped = slow.n_helped;
        const double begin = slow.end_of_own = seconds();
        fm_team_share(n_workers, be_slow, &slow, 2);
        const double end = seconds(), own = slow.end_of_own - begin;
        const double lost = end - slow.end_of_own - 2 * own;
        if (slow.n_helped == n_helped)
            continue;
        n_early += begin < alone_until;
        if (lost > 0.0005) {
            n_times++;
            alone_until = end + 0.75 * 20 * lost;
        }
    }
    fm_team_leave(n_workers);
    const int good = n_workers > 1 && n_times >= fewest_times && n_early <= 2;
    if (!good)
        fprintf(stderr, "a slow helper cost time %d times; %d times it was asked too early\n", n_times,
                n_early);
    return good;
}

/* With an argument threads may run one at a time, as under valgrind, where no helper costs time. */
int main(int argc, char **argv)
{
    (void)argv;
    const int wanted[] = {1, 2, 4, 3, 2, 8, 1, 2};
    for (int i = 0; i < 8; i++)
        if (!run_team(wanted[i]))
            return 1;
    if (!several_callers() || !forked_child() || !run_team(4))
        return 2;
    if (!slow_helper(argc > 1 ? 0 : 3) || !run_team(2))
        return 3;
    puts("team: all good");
    return 0;
}
