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
    names : list of str
        Names of these columns; X0, X1, ... if they have none.
    """

    steps: list[tuple[str, Any]]
    n_inputs: int
    names: list[str]

    def texts(self) -> Any:
        """Find the columns of strings among the inputs, see `pipelines.texts.Texts`.

        Raises
        ------
        TypeError
            For encoders of other values than numbers and strings, by name.
        """
        from fastmlp.exchange.pipelines import find_texts

        return find_texts(self.steps, self.n_inputs)

    def added(self, x: Any, operations: Any, codes: Any = None) -> Any:
        """Apply them to the columns x by the operations of another library.

        Strings in x are replaced by their numbers in `codes`.

        Raises
        ------
        TypeError
            For steps that are not supported, by name.
        """
        from fastmlp.exchange.pipelines import add_steps

        return add_steps(self.steps, x, operations, codes)


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
    from fastmlp.exchange.pipelines import input_names, split_pipeline

    steps, estimator = split_pipeline(model)
    names = input_names(model)
    return Steps(steps, len(names), names), estimator
