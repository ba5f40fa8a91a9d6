"""Steps before the estimator of a Pipeline; scikit-learn is imported for a Pipeline alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastmlp.exchange.parts import is_pipeline


@dataclass(frozen=True)
class Steps:
    """Fitted steps of scikit-learn.

    Attributes
    ----------
    steps : list of (str, estimator)
    n_inputs : int
        Number of columns that the first one is given.
    """

    steps: list[tuple[str, Any]]
    n_inputs: int

    def added(self, x: Any, operations: Any) -> Any:
        """Apply them to the columns x by the operations of another library.

        Raises
        ------
        TypeError
            For steps that do not map numbers to numbers, by name.
        """
        from fastmlp.exchange.pipelines import add_steps

        return add_steps(self.steps, x, operations)


def without_steps(model: Any) -> tuple[Steps | None, Any]:
    """Return the steps of a Pipeline and its estimator; of another model None and itself.

    Raises
    ------
    TypeError
        For a Pipeline that ends in another estimator.
    sklearn.exceptions.NotFittedError
    """
    if not is_pipeline(model):
        return None, model
    from fastmlp.exchange.pipelines import n_inputs, split_pipeline

    steps, estimator = split_pipeline(model)
    return Steps(steps, n_inputs(model)), estimator
