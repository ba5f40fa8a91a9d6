/* The thread team: every worker runs once, barriers hold, busy teams and forks are survived. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastmlp.h"

#define ROUNDS 2000

typedef struct {
    atomic_int ran[16];
    int values[16];
    atomic_int wrong;
} shared_t;

static void check_barriers(void *context, int worker, int n_workers)
{
    shared_t *shared = context;
    atomic_fetch_add(&shared->ran[worker], 1);
    for (int round = 1; round <= ROUNDS; round++) {
        shared->values[worker] = round;
        fm_team_barrier(n_workers);
        for (int other = 0; other < n_workers; other++)
            if (shared->values[other] != round)
                atomic_fetch_add(&shared->wrong, 1);
        fm_team_barrier(n_workers);
    }
}

static int run_team(int n_wanted)
{
    shared_t shared = {0};
    const int n_workers = fm_team_run(check_barriers, &shared, n_wanted);
    int wrong = atomic_load(&shared.wrong);
    for (int worker = 0; worker < 16; worker++)
        wrong += atomic_load(&shared.ran[worker]) != (worker < n_workers);
    if (wrong || n_workers < 1 || n_workers > n_wanted)
        fprintf(stderr, "wanted %d, ran %d, %d wrong\n", n_wanted, n_workers, wrong);
    return wrong == 0 && n_workers >= 1 && n_workers <= n_wanted;
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

int main(void)
{
    const int wanted[] = {1, 2, 4, 3, 2, 8, 1, 2};
    for (int i = 0; i < 8; i++)
        if (!run_team(wanted[i]))
            return 1;
    if (!several_callers() || !forked_child() || !run_team(4))
        return 2;
    puts("team: all good");
    return 0;
}
