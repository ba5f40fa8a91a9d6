"""How does a classifier cut the plane in two? The articles' moons, and figures of surfaces.

Two half moons of points; LinearSVC on polynomial features (3000 iterations, as published), SVC
with a kernel, and MyANN; and the demonstration of contours and surfaces. The article prints
Z = -0.5 X^2 + 4 Y^2 and speaks of ellipses; that is a saddle, and the ellipses are those of
Z = 0.5 X^2 + 4 Y^2: both are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import datasets
from fastmlp.studies.lab.packed import pack
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table
from fastmlp.studies.moons.figures import (
    draw_classifiers,
    draw_demo,
    draw_epochs,
    draw_points,
    draw_surface,
    mesh,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points = NDArray[np.float64]

CUT = 2.0
"""Decision values of the support vector machines are drawn from -CUT to CUT."""

PUBLISHED = {
    "LinearSVC, degree 2": "no reasonable surface",
    "LinearSVC, degree 3": "reasonable",
}
"""What the articles say, in words; numbers are not known."""


@dataclass(frozen=True)
class Config:
    """Points, classifiers, and the mesh on which their surfaces are evaluated."""

    n_train: int | None = None
    resolution: float = 0.02
    stored_resolution: float = 0.06
    degrees: tuple[int, ...] = (2, 3)
    svc_iterations: int = 3000
    svc_cost: float = 1.0
    hidden: tuple[int, ...] = (10,)
    n_epochs: int = 300
    shown_epochs: tuple[int, ...] = (0, 1, 3, 10, 20, 50, 100, 300)
    batch_size: int = 50
    learning_rate: float = 0.05
    lambda2: float = 0.001
    seed: int = 0
    saddle: tuple[float, float] = (-0.5, 4.0)
    ellipse: tuple[float, float] = (0.5, 4.0)


def configure(data: str, quick: bool) -> Config:
    """The same for all: moons need no file and little time."""
    return Config(resolution=0.05) if quick else Config()


def run(config: Config, session: Session) -> dict[str, Any]:
    """Fit every classifier, and evaluate it on the mesh."""
    data = datasets.load("moons")
    X, y = data.X_train[: config.n_train], data.y_train[: config.n_train]

    def fit_one(case: Case, tick: Tick) -> dict[str, Any]:
        name = case["classifier"]
        if name == "MyANN":
            return _fit_ann(config, X, y, data.X_test, data.y_test, tick)
        model = _support_vectors(config, name)
        model.fit(X, y)
        return {
            "train_accuracy": rounded(model.score(X, y)),
            "test_accuracy": rounded(model.score(data.X_test, data.y_test)),
            "surface": _surface(model.decision_function, X, config.stored_resolution, CUT),
            "share": _share_of_second(model.decision_function, X, config.resolution, 0.0),
        }

    names = [f"LinearSVC, degree {degree}" for degree in config.degrees]
    cases = [{"classifier": name} for name in (*names, "SVC, RBF kernel", "MyANN")]
    runs = session.map(fit_one, cases, config=config, n_ticks=config.n_epochs)
    extent = [*X.min(axis=0) - 1, *X.max(axis=0) + 1]
    return session.record(
        config,
        n_train=len(X),
        n_test=len(data.X_test),
        extent=rounded(extent),
        runs=runs,
        points=pack(_relative(X, extent), 0.0, 1.0),
        labels="".join(map(str, y)),
    )


def _support_vectors(config: Config, name: str) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler
    from sklearn.svm import SVC, LinearSVC

    if name.startswith("SVC"):
        return make_pipeline(StandardScaler(), SVC(C=config.svc_cost, gamma="scale"))
    degree = int(name.rsplit(" ", 1)[1])
    linear = LinearSVC(C=config.svc_cost, max_iter=config.svc_iterations, random_state=config.seed)
    return make_pipeline(PolynomialFeatures(degree), StandardScaler(), linear)


def _fit_ann(
    config: Config, X: Points, y: Any, X_test: Points, y_test: Any, tick: Tick
) -> dict[str, Any]:
    """MyANN, with its surface after chosen epochs."""
    from fastmlp.myann.myann import MyANN

    course: list[dict[str, Any]] = []

    def measure(ann: MyANN) -> None:
        epoch = ann.trainer.epochs_done
        if epoch in config.shown_epochs:
            course.append(
                {
                    "epoch": epoch,
                    "train_accuracy": rounded(ann.score(X, y)),
                    "test_accuracy": rounded(ann.score(X_test, y_test)),
                    "surface": _surface(
                        lambda x: ann.predict_proba(x)[:, 1], X, config.stored_resolution, None
                    ),
                }
            )

    ann = MyANN(
        (X, y, X_test, y_test), len(config.hidden), [0, *config.hidden, 0], n_nodes_layer_out=2,
        n_size_mini_batch=config.batch_size, n_epochs=config.n_epochs,
        learn_rate=config.learning_rate, decrease_const=0.0, lambda2_reg=config.lambda2,
        my_out_function="softmax", my_loss_function="CrossEntropy", my_initializer="glorot",
        my_activation_function="tanh", b_standardize=True, b_train_on_init=False, b_verbose=False,
        b_measure_accuracy=False, random_state=config.seed, n_threads=1, dtype="float64",
    )  # fmt: skip
    measure(ann)
    ann.fit(callbacks=[measure, lambda ann: tick()])
    return {
        **{key: course[-1][key] for key in ("train_accuracy", "test_accuracy", "surface")},
        "share": _share_of_second(lambda x: ann.predict_proba(x)[:, 1], X, config.resolution, 0.5),
        "course": course,
    }


def _evaluate(function: Any, X: Points, resolution: float) -> Points:
    extent = [*X.min(axis=0) - 1, *X.max(axis=0) + 1]
    xx, yy = mesh(rounded(extent), resolution)
    values: Points = np.asarray(function(np.c_[xx.ravel(), yy.ravel()]), float).reshape(xx.shape)
    return values


def _surface(function: Any, X: Points, resolution: float, cut: float | None) -> dict[str, Any]:
    """Values on the mesh: in [-cut, cut], or in [0, 1] if `cut` is None."""
    values = _evaluate(function, X, resolution)
    return pack(values, 0.0, 1.0) if cut is None else pack(values, -cut, cut)


def _share_of_second(function: Any, X: Points, resolution: float, level: float) -> float:
    """Part of the published mesh that is given to the second class."""
    return float(rounded((_evaluate(function, X, resolution) > level).mean()))


def _relative(X: Points, extent: Sequence[float]) -> Points:
    low, high = np.array(extent[:2]), np.array(extent[2:])
    relative: Points = (X - low) / (high - low)
    return relative


def tables(result: Result) -> list[Table]:
    """Accuracy by classifier."""
    rows = tuple(
        (
            run["classifier"],
            PUBLISHED.get(run["classifier"], ""),
            f"{run['train_accuracy']:.4f}",
            f"{run['test_accuracy']:.4f}",
            f"{run['share']:.1%}",
        )
        for run in result["runs"]
    )
    columns = ("classifier", "published", "train", "test", "mesh given to class 1")
    return [Table("Accuracy on the moons", columns, rows)]


def draw(result: Result) -> dict[str, Figure]:
    """Points; contours and surfaces of the demonstration; classifiers; MyANN by epochs."""
    return {
        "points": draw_points(result),
        "demo": draw_demo(result),
        "classifiers": draw_classifiers(result),
        "surface": draw_surface(result),
        "epochs": draw_epochs(result),
    }


STUDY = Study(
    "moons",
    "How do classifiers cut the plane, and how do contours and surfaces show it?",
    configure,
    run,
    tables,
    draw,
)
