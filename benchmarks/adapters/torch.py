"""PyTorch on the CPU, step by step (variant "eager") or through torch.compile ("compile").

Tensors hold the whole data set and rows are taken by index, which is faster than a DataLoader. The
cost is summed, so the rate is the job's. The optimiser is the fused one, which updates all
parameters in one native call. "compile" compiles network and cost; the optimiser stays as it is.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from . import Adapter, Job
from ._shared import choose, initial_weights, seconds_of_each, share_correct

ACTIVATIONS = {"sigmoid": nn.Sigmoid}
LOSSES = {("sigmoid", "log_loss"): nn.BCEWithLogitsLoss}
OPTIMISERS = {"sgd": torch.optim.SGD}


class Contestant(Adapter):
    """A plain training loop over tensors in memory."""

    def versions(self) -> dict[str, str]:
        return {
            "torch": torch.__version__,
            "torch_simd": torch.backends.cpu.get_cpu_capability(),
            "torch_mkl": str(torch.backends.mkl.is_available()),
            "torch_threads": str(torch.get_num_threads()),
        }

    def prepare(self, job: Job) -> None:
        torch.set_num_threads(self.n_threads)
        torch.manual_seed(job.seed)
        self._batch_size = job.batch_size
        self._x = torch.from_numpy(self.data.x_train)
        self._y = torch.from_numpy(self.data.y_train)
        self._network = _network(job)
        loss = choose(LOSSES, (job.output, job.loss), "output and loss")(reduction="sum")
        self._optimiser = choose(OPTIMISERS, job.optimiser, "optimiser")(
            self._network.parameters(), lr=job.learning_rate, fused=True
        )

        def cost(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return loss(self._network(x), y)

        self._cost = torch.compile(cost, dynamic=False) if self.variant == "compile" else cost

    def train_epochs(self, n: int) -> list[float]:
        return seconds_of_each(self._epoch, n)

    def _epoch(self) -> None:
        for rows in torch.randperm(len(self._x)).split(self._batch_size):
            self._optimiser.zero_grad(set_to_none=True)
            self._cost(self._x.index_select(0, rows), self._y.index_select(0, rows)).backward()
            self._optimiser.step()

    def accuracy(self) -> float:
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(self.data.x_test))
        return share_correct(outputs.numpy(), self.data.labels_test)


def _network(job: Job) -> nn.Sequential:
    """Dense layers without the output function, which the cost contains."""
    activation = choose(ACTIVATIONS, job.hidden, "activation")
    layers: list[nn.Module] = []
    for (n_in, n_out), (weights, bias) in zip(
        pairwise(job.sizes), initial_weights(job), strict=True
    ):
        layer = nn.Linear(n_in, n_out)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights).T)
            layer.bias.copy_(torch.from_numpy(bias))
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1])
