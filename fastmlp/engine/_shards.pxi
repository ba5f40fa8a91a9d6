# Gradients of shards, which are added in a fixed binary tree (shards.py); part of _core.pyx.

cdef enum: ADDED_NUMBERS = 4096   # of each slot, by one piece: two slots stay in L1


cdef Lane lane_of_shard(Job *job, Py_ssize_t batch, Py_ssize_t own) noexcept nogil:
    """The rows of an own shard in a batch."""
    cdef Py_ssize_t *entry = job.shards.lanes + 3 * (batch * job.shards.n_own + own)
    cdef Lane lane
    lane.begin, lane.end = entry[0], entry[0] + entry[1]
    lane.mask_shift = entry[2] - entry[0]
    lane.totals = &job.scratch.totals[job.shards.first + own]
    return lane


cdef void add_slots(Job *job, real *slots, Py_ssize_t piece) noexcept nogil:
    """The additions that are under way, of a piece of every slot."""
    cdef Py_ssize_t begin = piece * ADDED_NUMBERS, i, k
    cdef Py_ssize_t end = min(begin + ADDED_NUMBERS, job.network.n_padded)
    cdef real *to
    cdef real *source
    for k in range(job.shards.n_additions):
        to = slots + job.shards.additions[2 * k] * job.scratch.lane_stride
        source = slots + job.shards.additions[2 * k + 1] * job.scratch.lane_stride
        for i in range(begin, end):
            to[i] += source[i]


cdef void share_additions(Job *job, int n_workers, Py_ssize_t *additions, Py_ssize_t n) noexcept nogil:
    """Additions between slots, shared with the team; each number is added in the same order."""
    if n > 0:
        job.shards.additions, job.shards.n_additions = additions, n
        fm_team_share(n_workers, job.passes.add, job,
                      (job.network.n_padded + ADDED_NUMBERS - 1) // ADDED_NUMBERS)


cdef bint exchange_sums(Job *job) noexcept with gil:
    """Let Python send own sums and totals, and fill in those of other processes; returns whether it
    has added them up too."""
    cdef Engine engine = <Engine> job.run.engine
    cdef uint64_t mode = fm_float_mode()
    fm_set_float_mode(job.run.float_mode)
    try:
        return engine.exchange(engine.slots, engine.shard_totals)
    except BaseException as error:
        stop_with(job, error)
        return True
    finally:
        fm_set_float_mode(mode)


cdef fm_totals sum_shards(Job *job, int n_workers) noexcept nogil:
    """The gradient of all shards into the first slot; returns their totals, added in their order."""
    share_additions(job, n_workers, job.shards.before, job.shards.n_before)
    if job.shards.exchanges:
        if not exchange_sums(job):
            share_additions(job, n_workers, job.shards.after, job.shards.n_after)
    return add_totals(job.scratch.totals, job.shards.n_shards)
