"""
Serve predictions: how long does a row take?
============================================

A server answers one row, or a few, at a time, from several threads. What a prediction costs is then
mostly what stands around the products: checks, copies, Pipelines. docs/guide/serving.md has the
web service; here the layers are timed.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from fastmlp import MLPClassifier

X, y = load_digits(return_X_y=True)
X = X.astype(np.float32)
model = make_pipeline(
    MinMaxScaler(clip=True),
    MLPClassifier("128x64", learning_rate_init=0.005, n_threads=1, random_state=0),
).fit(X, y)
network = model[-1].network_
predictor = network.predictor()  # frozen: weights packed once, any number of threads

# %%
# The same row by four ways. Medians of many calls, in microseconds:


def microseconds(function: Callable[[], object], n: int = 300) -> float:
    """Median time of a call."""
    times = []
    for _ in range(n):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return 1e6 * float(np.median(times))


row = X[:1]
scaled = model[0].transform(row)
out = np.empty((1, 10), np.float32)
times = {
    "Pipeline": microseconds(lambda: model.predict_proba(row)),
    "estimator": microseconds(lambda: model[-1].predict_proba(scaled)),
    "network": microseconds(lambda: network.predict(scaled)),
    "predictor, into an array": microseconds(lambda: predictor.predict(scaled, out=out)),
}
for name, time in times.items():
    print(f"{name:25} {time:8.1f} µs")

# %%
# Rows of many requests, from four threads at once: all are answered correctly, without a lock.

rows = model[0].transform(X)
expected = network.predict(rows)
with ThreadPoolExecutor(4) as threads:
    answers = list(threads.map(lambda i: predictor.predict(rows[i : i + 1]), range(len(rows))))
difference = np.abs(np.concatenate(answers) - expected).max()
print(f"{len(rows)} answers from four threads, largest difference {difference:.0e}")

# %%
figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
bars = ax.barh(list(times), list(times.values()), color="#0072B2")
ax.bar_label(bars, fmt="%.0f µs", padding=3)
ax.set(xlabel="microseconds for one row, log scale", xscale="log")
ax.invert_yaxis()
ax.spines[["top", "right"]].set_visible(False)
ax.set_title("The network is the smallest part", loc="left")
