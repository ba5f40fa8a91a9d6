"""
A custom loss: too little costs more than too much
==================================================

How many rolls should a bakery bake? One too few costs three times as much as one too many. Any
function of targets and outputs can be a loss, if it also returns the derivative.
"""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from fastmlp import MLPRegressor

# %%
# Demand over the week: more at the weekend, and never quite the same.

rng = np.random.default_rng(0)
day = rng.integers(0, 7, 3000)
demand = 200 + 60 * (day >= 5) + 20 * np.sin(day) + rng.normal(0, 25, len(day))
X = np.column_stack([np.sin(2 * np.pi * day / 7), np.cos(2 * np.pi * day / 7)])

# %%
# The loss gets targets and outputs of a chunk of rows, both of shape (n, 1), and returns the losses
# of the rows (n,) and the derivatives by the outputs (n, 1).

SHORTAGE, SURPLUS = 3.0, 1.0
Array = NDArray[Any]


def cost_of_rolls(y: Array, a: Array) -> tuple[Array, Array]:
    """Costs of too few and of too many, smooth around zero so that the gradient is no step."""
    excess = a - y
    rate = np.where(excess < 0, SHORTAGE, SURPLUS)
    near = np.abs(excess) < 0.1  # of a standard deviation of the demand
    losses = np.where(near, rate * excess**2 / 0.2, rate * (np.abs(excess) - 0.05))
    return losses.sum(axis=1), np.where(near, rate * excess / 0.1, rate * np.sign(excess))


settings: dict[str, Any] = {
    "hidden_layer_sizes": "32",
    "scale_target": True,
    "learning_rate": "cosine",
    "learning_rate_init": 0.01,
    "max_iter": 40,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}
mean = MLPRegressor(**settings).fit(X, demand)
careful = MLPRegressor(cost_of_rolls, **settings).fit(X, demand)

# %%
# The same costs for new days, in the units of the bakery:


def mean_cost(model: MLPRegressor, X: Array, y: Array) -> float:
    """Mean cost of a day."""
    excess = model.predict(X) - y
    return float(np.mean(np.where(excess < 0, -SHORTAGE * excess, SURPLUS * excess)))


new_day = rng.integers(0, 7, 3000)
new_demand = 200 + 60 * (new_day >= 5) + 20 * np.sin(new_day) + rng.normal(0, 25, len(new_day))
X_new = np.column_stack([np.sin(2 * np.pi * new_day / 7), np.cos(2 * np.pi * new_day / 7)])
costs = {
    "mean demand": mean_cost(mean, X_new, new_demand),
    "custom loss": mean_cost(careful, X_new, new_demand),
}
for name, cost in costs.items():
    print(f"{name}: {cost:.1f} per day")

# %%
# The custom loss bakes more: it learns the quantile 3 / (3 + 1), without having been told so.

week = np.arange(7)
X_week = np.column_stack([np.sin(2 * np.pi * week / 7), np.cos(2 * np.pi * week / 7)])
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(new_day + rng.uniform(-0.2, 0.2, len(new_day)), new_demand, ".", color="0.75", ms=2)
ax.plot(week, mean.predict(X_week), "o-", color="#0072B2", label="squared error: the mean")
ax.plot(week, careful.predict(X_week), "s--", color="#D55E00", label="custom loss")
ax.set_xticks(week, ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
ax.set_ylabel("rolls")
ax.set_title("Shortage costs three times as much, so more are baked", loc="left")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
