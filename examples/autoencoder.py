"""
An autoencoder: digits on a plane
=================================

A network that has to reproduce its input through two numbers keeps what matters most. The two
numbers of every image are a map of the digits.
"""

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from fastmlp import Network, Trainer

digits = load_digits()
X = (digits.data / 16).astype(np.float32)

# %%
# 64 pixels, 64 nodes, two numbers, and back. The two have no activation function.

network = Network(
    (64, 64, 32, 2, 32, 64, 64),
    activation=("silu", "silu", "identity", "silu", "silu"),
    output="sigmoid",
    initializer="glorot",
    random_state=0,
)
trainer = Trainer(
    network,
    loss="squared_error",
    optimizer="adam",
    learning_rate=0.003,
    schedule="cosine",
    reduction="mean",
    batch_size=50,
    random_state=0,
)
trainer.fit(X, X, n_epochs=60)
restored = network.predict(X)
code = network.transform(X, layer=3)

pca = PCA(2).fit(X)
linear = pca.inverse_transform(pca.transform(X))
lost = {
    name: np.mean((X - Z) ** 2) / X.var(axis=0).mean()
    for name, Z in (("network", restored), ("two principal components", linear))
}
for name, part in lost.items():
    print(f"{name}: {part:.0%} of the variance is lost")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
for ax, plane, name in (
    (left, code, "network"),
    (right, pca.transform(X), "two principal components"),
):
    points = ax.scatter(*plane.T, c=digits.target, cmap="tab10", s=6, vmin=-0.5, vmax=9.5)
    ax.set(title=f"{name}: {lost[name]:.0%} lost", xticks=[], yticks=[])
figure.colorbar(points, ax=right, ticks=range(10), label="digit")

# %%
# Originals, and what is left of them after two numbers:

figure, axes = plt.subplots(2, 10, figsize=(10, 2.2), layout="constrained")
for digit in range(10):
    for row, images in enumerate((X, restored)):
        axes[row, digit].imshow(images[digit].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axes[row, digit].set_axis_off()
