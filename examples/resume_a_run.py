"""
Resume a run that was cut off
=============================

A run writes checkpoints, is ended in the middle, and continues in another process as if nothing had
happened: the weights are the same, bit for bit.
"""

import tempfile

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

from fastmlp import Checkpoint, Network, Trainer
from fastmlp.callbacks import Training

digits = load_digits()
X = (digits.data / 16).astype(np.float32)
Y = np.eye(10, dtype=np.float32)[digits.target]
EPOCHS = 40


def make_trainer() -> Trainer:
    """Everything that is random comes from the seeds: weights, order of the rows, dropout."""
    network = Network((64, 64, 10), activation="relu", output="softmax", random_state=0)
    return Trainer(
        network,
        optimizer="adam",
        learning_rate=0.003,
        schedule="cosine",
        reduction="mean",
        batch_size=50,
        dropout=0.2,
        random_state=0,
    )


# %%
# The run that nothing happens to:

undisturbed = make_trainer()
undisturbed.fit(X, Y, n_epochs=EPOCHS)

# %%
# The run that is cut off. A power cut would do; here a callback raises what Ctrl-C raises.


def power_cut(training: Training) -> None:
    """Interrupt the run after 17 epochs."""
    if training.epochs_done == 17:
        raise KeyboardInterrupt


folder = tempfile.TemporaryDirectory()
first = make_trainer()
try:
    first.fit(X, Y, n_epochs=EPOCHS, callbacks=[Checkpoint(folder.name, every=5), power_cut])
except KeyboardInterrupt:
    print("cut off after", first.epochs_done, "epochs")

# %%
# Another process makes the same trainer and resumes. Weights, optimizer, random numbers and history
# come from the newest checkpoint in the folder.

second = make_trainer()
second.fit(X, Y, n_epochs=EPOCHS, callbacks=[Checkpoint(folder.name, every=5)], resume=folder.name)
same = np.array_equal(second.network.parameters, undisturbed.network.parameters)
print("the same weights, to the last bit:", same)
folder.cleanup()

# %%
costs = {"undisturbed": undisturbed.history, "resumed": second.history}
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
epochs = np.arange(1, EPOCHS + 1)
for (name, history), style in zip(costs.items(), ("-", ":"), strict=True):
    ax.semilogy(epochs, np.mean(history["costs"], axis=1), style, lw=3, label=name)
ax.axvline(17.5, color="#D55E00", lw=1, label="cut off")
ax.set(xlabel="epoch", ylabel="mean cost of the batches")
ax.legend(frameon=False)
ax.set_title("The two runs are one", loc="left")
ax.spines[["top", "right"]].set_visible(False)
