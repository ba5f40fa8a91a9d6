"""What the benchmarks train."""

from __future__ import annotations

from adapters import Job

N_MNIST = 60_000
HEADLINE_RATES = {32: 0.5 / 32, 500: 0.001, 20_000: 0.0001}
HEADLINE_CHECK_EPOCHS = {32: 3, 500: 5, 20_000: 35}
DEFAULT_RATE_PER_ROW = 0.5
DEFAULT_CHECK_EPOCHS = 5


def headline(batch_size: int, n_rows: int = N_MNIST) -> Job:
    """784-70-30-10 on MNIST, all sigmoid, ten binary cross-entropies, plain SGD.

    Batches of 500 and 20000 use the rates of the published runs, 0.001 and 0.0001 for sums: 0.5
    and 2 for means. Any other batch size gets 0.5 for means. With three updates an epoch the
    largest batch needs the published 35 epochs before its accuracy says anything.
    """
    return Job(
        name=f"headline-{batch_size}",
        sizes=(784, 70, 30, 10),
        hidden="sigmoid",
        output="sigmoid",
        loss="log_loss",
        optimiser="sgd",
        learning_rate=HEADLINE_RATES.get(batch_size, DEFAULT_RATE_PER_ROW / batch_size),
        batch_size=batch_size,
        n_rows=n_rows,
        check_epochs=HEADLINE_CHECK_EPOCHS.get(batch_size, DEFAULT_CHECK_EPOCHS),
    )
