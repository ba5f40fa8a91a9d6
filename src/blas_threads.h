/* One thread in the process' BLAS libraries while products run.
 *
 * fastmlp splits the mini-batch itself; a product that BLAS splits again has other bits, and two
 * pools fight for the same processors. The setting belongs to the whole process, so it is lowered by
 * the first user and restored by the last one. Others change it meanwhile (threadpoolctl, or KMeans
 * and neighbors of scikit-learn in another thread): it is looked at again around each product. What
 * others set is what the last user restores; a setting that was already one is left alone.
 *
 * Nothing here runs Python code, so no signal handler can raise between taking and giving back.
 */
#ifndef BLAS_THREADS_H
#define BLAS_THREADS_H

typedef int (*fm_get_threads)(void);
/* OpenBLAS, MKL and OpenMP take an int and BLIS a 64-bit integer: by the calling conventions of the
 * platforms that are supported, a long is passed as either. */
typedef void (*fm_set_threads)(long);

/* Adds a library; `per_thread` says that each thread has a setting of its own (OpenMP). Returns 0, or
 * -1 when there are too many or the system refuses the handlers of fork(). Not for concurrent use. */
int fm_blas_add(fm_get_threads get, fm_set_threads set, int per_thread);

/* Takes and gives back, on the same thread; may be nested. */
void fm_blas_enter(void);
void fm_blas_leave(void);
/* Users at the moment, all threads together. */
int fm_blas_users(void);

/* To be called before each product, by any thread: sets libraries back to one thread while there is
 * a user. Costs one call per library. Returns a number for the next function. */
unsigned fm_blas_keep_single(void);
/* To be called after it, with what it returned: 0 if another has changed the setting meanwhile, so
 * that the product may have run on several threads and is to be repeated; else 1. */
int fm_blas_stayed_single(unsigned changes_before);
/* A product that adds to its result cannot be repeated alone: this thread's mark that whatever led
 * to it is to be repeated. fm_blas_was_disturbed returns the mark and removes it. */
void fm_blas_mark_disturbed(void);
int fm_blas_was_disturbed(void);

/* A forked child forgets the uses of threads that it does not have. When no use is left, this
 * restores the setting; to be called in the child. */
void fm_blas_after_fork(void);

#endif
