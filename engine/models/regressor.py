"""The regressor: a feed-forward network that predicts one number.

All weights and biases of a network lie in one flat vector, layer by layer, W [out, in] before b [out, 1]: one
optimizer step is then a handful of operations whatever the depth, and the vector is the whole checkpoint.
Matrices are feature-major ([units, batch]), which is twice as fast here as batch-major.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.space import Value, hidden_units


@dataclass(frozen=True, slots=True)
class Architecture:
    """Nodes of every layer, input and output included, and the activation of the hidden ones."""

    nodes: tuple[int, ...]
    activation: str

    @staticmethod
    def of(params: Mapping[str, Value], inputs: int, outputs: int) -> Architecture:
        """The network of a point of the search space."""
        return Architecture((inputs, *hidden_units(params), outputs), str(params["activation"]))

    @property
    def layers(self) -> int:
        """Matrices in the network: the hidden layers and the linear last one."""
        return len(self.nodes) - 1

    @property
    def shapes(self) -> NDArray[np.int32]:
        """[out, in] of each matrix, [layers, 2]."""
        return np.array([(out, into) for into, out in zip(self.nodes, self.nodes[1:], strict=False)], dtype=np.int32)

    @property
    def sizes(self) -> NDArray[np.int32]:
        """How many numbers each part of the flat vector has: W, b, W, b, …; [2 · layers]."""
        return np.array([size for out, into in self.shapes for size in (out * into, out)], dtype=np.int32)

    def initial(self, seed: int, weight_init: str) -> NDArray[np.float32]:
        """Fresh parameters, flat; biases are zero.

        Args:
            weight_init: "normal", weights N(0, 1); "scaled", N(0, gain / inputs of the layer), with gain 2 for relu
                (He et al., 2015) and 1 for tanh (LeCun et al., 1998).
        """
        rng = np.random.default_rng(seed)
        gain = 2.0 if self.activation == "relu" else 1.0
        parts = []
        for out, into in self.shapes:
            scale = np.sqrt(gain / into) if weight_init == "scaled" else 1.0
            parts += [rng.standard_normal(out * into) * scale, np.zeros(out)]
        return np.concatenate(parts).astype(np.float32)
