"""PyTorch on the CPU, step by step (variant "eager") or through torch.compile ("compile").

Tensors hold the whole data set and rows are taken by index, which is faster than a DataLoader. The
optimizer is the fused one, which updates all parameters in one native call. "compile" compiles
network and cost; the optimizer stays as it is. An ensemble is trained by Python threads, with one
thread of PyTorch each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from fastmlp._types import Array
from fastmlp.bench.adapters.contract import Ensembler
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.adapters.shared import (
    choose,
    initial_weights,
    on_threads,
    seconds_of_each,
    share_correct,
)

ACTIVATIONS: dict[str, Any] = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}
OUTPUTS: dict[str, Any] = {"sigmoid": nn.Sigmoid, "softmax": lambda: nn.Softmax(dim=1)}
COSTS: dict[tuple[str, str, str], Any] = {
    ("sigmoid", "log_loss", "sum"): (nn.BCEWithLogitsLoss, False),
    ("softmax", "cross_entropy", "mean"): (nn.CrossEntropyLoss, True),
}
"""Loss, and whether it takes class numbers in place of 0/1 columns."""

OPTIMIZERS: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


class Contestant(Ensembler):
    """A plain training loop over tensors in memory."""

    def versions(self) -> dict[str, str]:
        """Return the versions, with PyTorch's vector extension and threads."""
        return {
            "torch": torch.__version__,
            "torch_simd": torch.backends.cpu.get_cpu_capability(),
            "torch_mkl": str(torch.backends.mkl.is_available()),
            "torch_threads": str(torch.get_num_threads()),
        }

    def prepare(self, job: Job) -> None:
        """Create tensors that share the arrays' memory, the network and its optimizer."""
        torch.set_num_threads(self.n_threads)
        # A generator of its own: members of an ensemble draw on several threads.
        self._generator = torch.Generator().manual_seed(job.seed)
        self._batch_size = job.batch_size
        loss, takes_labels = choose(COSTS, job.cost, "cost")
        self._x = torch.from_numpy(self.data.x_train)
        y = torch.from_numpy(self.data.y_train)
        self._y = y.argmax(dim=1) if takes_labels else y
        self._network = _network(job)
        self._output = choose(OUTPUTS, job.output, "output function")()
        criterion = loss(reduction=job.reduction)
        self._optimizer = choose(OPTIMIZERS, job.optimizer, "optimizer")(
            self._network.parameters(), lr=job.learning_rate, fused=True
        )

        def cost(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return criterion(self._network(x), y)

        def outputs(x: torch.Tensor) -> torch.Tensor:
            return self._output(self._network(x))

        compiled = self.variant == "compile"
        self._cost = torch.compile(cost, dynamic=False) if compiled else cost
        self._outputs = torch.compile(outputs, dynamic=False) if compiled else outputs

    def train_epochs(self, n: int) -> list[float]:
        """Seconds of n passes through the loop."""
        return seconds_of_each(self._epoch, n)

    def _epoch(self) -> None:
        order = torch.randperm(len(self._x), generator=self._generator)
        for rows in order.split(self._batch_size):
            self._optimizer.zero_grad(set_to_none=True)
            self._cost(self._x.index_select(0, rows), self._y.index_select(0, rows)).backward()
            self._optimizer.step()

    def accuracy(self) -> float:
        """Compute the accuracy from the logits, which have the order of the outputs."""
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(self.data.x_test))
        return share_correct(outputs.numpy(), self.data.labels_test)

    def predict(self, x: Array) -> Array:
        """Predict in inference mode; tensor and array share memory."""
        with torch.inference_mode():
            outputs: Array = self._outputs(torch.from_numpy(x)).numpy()
        return outputs

    def train_ensemble(self, members: Sequence[Job]) -> list[Contestant]:
        """Train the networks on Python threads."""
        return on_threads(self._train_member, members, self.n_threads)

    def _train_member(self, job: Job) -> Contestant:
        member = Contestant(self.data, 1, self.variant)
        member.prepare(job)
        member.train_epochs(job.check_epochs)
        return member


def _network(job: Job) -> nn.Sequential:
    """Dense layers without the output function, which the cost contains."""
    activation = choose(ACTIVATIONS, job.hidden, "activation")
    layers: list[nn.Module] = []
    for (n_in, n_out), (weights, bias) in zip(
        pairwise(job.sizes), initial_weights(job), strict=True
    ):
        layer = nn.Linear(n_in, n_out, dtype=getattr(torch, job.dtype))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights).T)
            layer.bias.copy_(torch.from_numpy(bias))
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1])
