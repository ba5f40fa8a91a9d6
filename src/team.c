/* The thread team: started on first use, asleep between runs, its barrier spins briefly. Which rows
 * a thread gets is decided in engine/plan.py.
 *
 * One team per process, because two teams that spin for the same cores are slower than one. Whoever
 * finds it busy works alone: results do not depend on the number of workers. A forked child
 * forgets the parent's threads (`after_fork`) and starts its own.
 */
#include "fastmlp.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define MAX_WORKERS 256

/* Spinning hides a wake-up of some 50 microseconds, but only while every worker has a processor of
 * its own; beyond that it takes time from the worker that is waited for. Within a run it pays to be
 * patient: who sleeps at a barrier may wake up on the processor of a worker. */
#define SPINS 4000
#define PATIENT_SPINS 40000

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() atomic_signal_fence(memory_order_seq_cst)
#endif

/* A place to wait for a counter to move on: spin, then sleep. */
typedef struct {
    atomic_uint phase;
    atomic_int sleepers;
    pthread_mutex_t lock;
    pthread_cond_t moved;
} gate_t;

static struct {
    pthread_mutex_t owner; /* held for the length of a run */
    int n_threads;         /* started threads, without the caller */
    int n_workers;         /* of the current run */
    int spins;
    unsigned first_phase[MAX_WORKERS]; /* start.phase when each thread was created */
    fm_task task;
    void *context;
    gate_t start;   /* moves when a run begins */
    gate_t barrier; /* moves when all workers have arrived */
    atomic_int arrived;
    atomic_int finished;
    gate_t done; /* moves when the last worker has finished */
} team = {
    .owner = PTHREAD_MUTEX_INITIALIZER,
    .start = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER},
    .barrier = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER},
    .done = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER},
};

/* Returns whether it slept. */
static int gate_wait(gate_t *gate, unsigned seen, int spins)
{
    for (int i = 0; i < spins; i++) {
        if (atomic_load_explicit(&gate->phase, memory_order_acquire) != seen)
            return 0;
        PAUSE();
    }
    pthread_mutex_lock(&gate->lock);
    atomic_fetch_add(&gate->sleepers, 1);
    while (atomic_load(&gate->phase) == seen)
        pthread_cond_wait(&gate->moved, &gate->lock);
    atomic_fetch_sub(&gate->sleepers, 1);
    pthread_mutex_unlock(&gate->lock);
    return 1;
}

/* Sequentially consistent on both sides: either a waiter sees the new phase before it sleeps, or it
 * is counted among the sleepers here and, holding the lock, is already waiting for the signal. */
static void gate_move(gate_t *gate)
{
    atomic_fetch_add(&gate->phase, 1);
    if (atomic_load(&gate->sleepers) > 0) {
        pthread_mutex_lock(&gate->lock);
        pthread_cond_broadcast(&gate->moved);
        pthread_mutex_unlock(&gate->lock);
    }
}

int fm_team_barrier(int n_workers)
{
    if (n_workers == 1)
        return 0;
    const unsigned seen = atomic_load(&team.barrier.phase);
    if (atomic_fetch_add(&team.arrived, 1) + 1 == n_workers) {
        atomic_store(&team.arrived, 0);
        gate_move(&team.barrier);
        return 0;
    }
    return gate_wait(&team.barrier, seen, team.spins);
}

static void *worker_main(void *argument)
{
    const int worker = (int)(intptr_t)argument;
    unsigned seen = team.first_phase[worker];
    for (;;) {
        gate_wait(&team.start, seen, SPINS);
        seen = atomic_load(&team.start.phase);
        if (worker < team.n_workers)
            team.task(team.context, worker, team.n_workers);
        /* Read first: once all have finished, the next caller may start more. */
        const int n_threads = team.n_threads;
        if (atomic_fetch_add(&team.finished, 1) + 1 == n_threads)
            gate_move(&team.done);
    }
    return NULL;
}

static void after_fork(void)
{
    static const gate_t fresh = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                 .moved = PTHREAD_COND_INITIALIZER};
    team.start = team.barrier = team.done = fresh;
    team.owner = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    team.n_threads = 0;
    atomic_store(&team.arrived, 0);
    atomic_store(&team.finished, 0);
}

/* Starts threads until there are `n_wanted`, or as many as the system gives. Workers leave signals
 * to the threads of the program. */
static void grow(int n_wanted)
{
    static int registered = 0;
    sigset_t all, before;
    if (!registered)
        registered = pthread_atfork(NULL, NULL, after_fork) == 0;
    if (!registered || n_wanted <= team.n_threads)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (team.n_threads < n_wanted && team.n_threads + 1 < MAX_WORKERS) {
        pthread_t thread;
        const intptr_t worker = team.n_threads + 1;
        team.first_phase[worker] = atomic_load(&team.start.phase);
        if (pthread_create(&thread, NULL, worker_main, (void *)worker) != 0)
            break;
        pthread_detach(thread);
        team.n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int fm_team_run(fm_task task, void *context, int n_wanted)
{
    if (n_wanted <= 1 || pthread_mutex_trylock(&team.owner) != 0) {
        task(context, 0, 1);
        return 1;
    }
    grow(n_wanted - 1);
    const int n_workers = n_wanted - 1 < team.n_threads ? n_wanted : team.n_threads + 1;
    if (n_workers > 1) {
        team.task = task;
        team.context = context;
        team.n_workers = n_workers;
        team.spins = n_workers <= sysconf(_SC_NPROCESSORS_ONLN) ? PATIENT_SPINS : 0;
        atomic_store(&team.finished, 0);
        const unsigned seen = atomic_load(&team.done.phase);
        gate_move(&team.start);
        task(context, 0, n_workers);
        gate_wait(&team.done, seen, team.spins);
    } else {
        task(context, 0, 1);
    }
    pthread_mutex_unlock(&team.owner);
    return n_workers;
}
