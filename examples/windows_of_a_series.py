"""
Windows of a time series: tomorrow's temperature
================================================

The highest temperature of a day in Seattle, predicted from the 14 days before and the season. The
last year is never seen in training, and "as today" is the guess to beat.
"""

import csv
import gzip
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPRegressor

DATA = Path(__file__).parent / "data" / "temperatures.csv.gz"
with gzip.open(DATA, "rt") as file:
    days = [row for row in csv.DictReader(file) if row["city"] == "Seattle"]
high = np.array([float(row["high"]) for row in days])
year = np.array([int(row["date"][:4]) for row in days])

# %%
# A window is a row: 14 days, then sine and cosine of the day to predict. What is learned is the
# change from today, so that the guess "as today" is a network that says 0.

WINDOW = 14
windows = sliding_window_view(high, WINDOW + 1)
angle = 2 * np.pi * np.arange(WINDOW, len(high)) / 365.25
X = np.column_stack([windows[:, :-1], np.sin(angle), np.cos(angle)])
today, change = windows[:, -2], windows[:, -1] - windows[:, -2]
test = year[WINDOW:] == year.max()

model = make_pipeline(
    StandardScaler(),
    MLPRegressor(
        hidden_layer_sizes="16",
        activation="silu",
        loss="huber",
        scale_target=True,
        alpha=1.0,
        learning_rate_init=0.003,
        early_stopping=True,
        monitor="val_loss",
        validation_fraction=TimeSeriesSplit(5),  # the last days before the test year
        random_state=0,
    ),
)
model.fit(X[~test], change[~test])
predicted = today + model.predict(X)


def error(guess: NDArray[np.float64]) -> float:
    """Mean absolute error in the test year, °C."""
    return float(np.mean(np.abs(guess - windows[:, -1])[test]))


season = np.array([high[:-365][i % 365 :: 365].mean() for i in range(WINDOW, len(high))])
errors = {"as today": error(today), "mean of the day": error(season), "network": error(predicted)}
for name, value in errors.items():
    print(f"{name}: wrong by {value:.2f} °C on average")

# %%
figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
spring = np.flatnonzero(test)[60:150]
ax.plot(windows[spring, -1], ".", color="0.2", label="highest temperature")
ax.plot(predicted[spring], color="#0072B2", label="predicted the day before")
ax.plot(today[spring], ":", color="#D55E00", lw=1, label="as the day before")
ax.set(xlabel=f"days from March {year.max()} on", ylabel="°C")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
