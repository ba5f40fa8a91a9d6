"""
An average of networks
======================

Five networks that differ in their seeds make different mistakes. The mean of their probabilities is
better than nearly each of them, and says more honestly how sure it is.
"""

import numpy as np
from joblib import Parallel, delayed
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from fastmlp import MLPClassifier

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)

# %%
# Training releases the GIL, so threads train the members side by side.


def member(seed: int) -> MLPClassifier:
    """Fit one network."""
    network = MLPClassifier(
        "64x32",
        learning_rate="cosine",
        learning_rate_init=0.01,
        max_iter=25,
        n_iter_no_change=np.inf,
        n_threads=1,
        random_state=seed,
    )
    network.fit(X_train, y_train)
    return network


members = Parallel(n_jobs=2, prefer="threads")(delayed(member)(seed) for seed in range(10))

# %%
# The first network, the mean of the first two, of the first three, and so on:

single = np.array([m.predict_proba(X_test) for m in members], float)
single /= single.sum(axis=2, keepdims=True)  # float32 sums are 1 to 7 digits, log_loss wants more
losses = [log_loss(y_test, p) for p in single]
means = np.cumsum(single, axis=0) / np.arange(1, 11)[:, None, None]
ensembles = [log_loss(y_test, p) for p in means]
accuracy = np.mean(means[-1].argmax(1) == y_test)
print(
    f"log loss of single networks: {np.mean(losses):.3f}, of the mean of ten: {ensembles[-1]:.3f}"
)
print(
    f"accuracy of single networks: {np.mean([m.score(X_test, y_test) for m in members]):.3f}, "
    f"of the mean of ten: {accuracy:.3f}"
)

# %%
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
number = np.arange(1, 11)
ax.plot(number, losses, "o", color="0.6", label="each network alone")
ax.plot(number, ensembles, "s-", color="#0072B2", label="mean of the first n")
ax.set(xlabel="n", ylabel="log loss of test images (nats)", ylim=(0, None), xticks=number)
ax.set_title("Most is won with three to five networks", loc="left")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

# %%
# scikit-learn's ``VotingClassifier(voting="soft")`` and ``BaggingClassifier`` do the same;
# ``TabularClassifier`` does it for tables, with members that hold out different rows.
