/* The thread team: every piece is done once, shares follow each other, busy teams, sleeping helpers
 * and forks are survived. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fastmlp.h"

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

static void *run_from_other_thread(void *result)
{
    *(int *)result = run_team(2) && run_team(3);
    return NULL;
}

static int several_callers(void)
{
    pthread_t threads[4];
    int results[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, run_from_other_thread, &results[i]);
    int good = run_team(2);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        good = good && results[i];
    }
    return good;
}

static int forked_child(void)
{
    int status;
    const pid_t child = fork();
    if (child == 0)
        _exit(run_team(2) && run_team(4) ? 0 : 1);
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

static void spin(void)
{
    const double begin = seconds();
    while (seconds() - begin < 1e-4) {
    }
}

/* As a helper that loses its processor in the middle of every piece. */
static void be_slow(void *context, ptrdiff_t piece, int worker)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    (void)piece;
    if (worker == 0) {
        spin();
    } else {
        atomic_fetch_add((atomic_int *)context, 1);
        nanosleep(&pause, NULL);
    }
}

/* It is waited for, and then the caller works alone for 20 times as long. */
static int slow_helper(void)
{
    atomic_int n_slow = 0;
    const int n_workers = fm_team_enter(2);
    const double begin = seconds();
    while (n_workers > 1 && seconds() - begin < (n_slow < 3 ? 20.0 : 0.35))
        fm_team_share(n_workers, be_slow, &n_slow, 2);
    fm_team_leave(n_workers);
    const double most = 1 + (seconds() - begin) / (20 * 0.0045);
    const int good = n_workers > 1 && n_slow >= 3 && n_slow <= most;
    if (!good)
        fprintf(stderr, "a slow helper was waited for %d times, at most %.1f\n", n_slow, most);
    return good;
}

int main(void)
{
    const int wanted[] = {1, 2, 4, 3, 2, 8, 1, 2};
    for (int i = 0; i < 8; i++)
        if (!run_team(wanted[i]))
            return 1;
    if (!several_callers() || !forked_child() || !run_team(4))
        return 2;
    if (!slow_helper() || !run_team(2))
        return 3;
    puts("team: all good");
    return 0;
}
