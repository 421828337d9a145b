"""A user's class as a network: its parameters in one flat vector, its gradient by TensorFlow's tape.

Every value of the class's own axes is part of the key, so that its methods see plain numbers; one that is drawn from
reals makes a key for each trial. What it returns is checked before the first step of a trial, with a few rows outside
any graph: errors then name the method and the fix.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from engine.data.parts import Parts
from engine.errors import ModelError
from engine.models.custom import CHANCE, Shape, length_of, own_params
from engine.space import Value
from engine.training.network import Data, Graph, Rows, Table, counter, sample
from engine.training.windows import ROWS, WINDOWS, draw, spread, text_tables, weights

TABLE_ROWS = 2000
"""Rows of a table that are measured at once."""
TRIED_ROWS = 3
"""Rows that the methods are tried with."""
CHANCE_STREAM = 8
"""The sequence of numbers that `forward` gets its chance from; mini-batches use the lower ones."""


class CustomNetwork:
    """A user's *model* at a point of the search space; its rows are (x, y), and the step's seed where it wants one.

    Args:
        name: how the configuration calls the class.
        texts: whether x is windows of tokens [batch, length] and y a class, or features [batch, inputs] and a target.
        length: the tokens of a window, where the class has no axis for them.
    """

    lasting = False
    arguments: tuple[NDArray[Any], ...] = ()
    specs: list[tf.TensorSpec] = []  # noqa: RUF012 - the protocol's

    def __init__(
        self, name: str, model: type[Any], params: Mapping[str, Value], shape: Shape, texts: bool, length: int
    ) -> None:
        self._model = model()
        self._params = own_params(params)
        self._shape = shape
        self._texts = texts
        self._length = length_of(params, length)
        self._chance = CHANCE in inspect.signature(model.forward).parameters
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.units: Mapping[str, int] = dict(getattr(self._model, "units", {}))
        self.key: Hashable = (name, *sorted(self._params.items()), shape.inputs, shape.outputs, self._length)

    def tables(self, data: Data, part: str) -> Sequence[Table]:
        """(features, target) of a table; of texts as `text_tables`."""
        if self._texts:
            return text_tables(data, part)
        assert isinstance(data, Parts)  # noqa: S101 - `accept` sees to it
        x, y = data.part(part)
        return [x, y[:, 0]]

    def rows(self, tables: Sequence[Graph], batch: Graph, key: Graph, step: Graph, arguments: Sequence[Graph]) -> Rows:
        """A mini-batch, and, for a class that wants it, a number of chance for each row."""
        drawn = draw(tables, batch, key, step, self._length) if self._texts else sample(tables, batch, key, step)
        return [*drawn, _numbers(batch, key, step)] if self._chance else drawn

    def initial(self, seed: int) -> NDArray[np.float32]:
        """What `build` gives, flat, in the order in which it names them.

        Raises:
            ModelError: the class does not keep to its protocol.
        """
        arrays = _built(self._model.build(dict(self._params), self._shape, np.random.default_rng(seed)))
        self._shapes = {name: array.shape for name, array in arrays.items()}
        flat = np.concatenate([array.ravel() for array in arrays.values()])
        self._try(flat)
        return flat

    def gradient(self, flat: Graph, arguments: Sequence[Graph], rows: Rows, of: Graph = None) -> tuple[Graph, Graph]:
        x, y = rows[:2]
        with tf.GradientTape() as tape:
            tape.watch(flat)
            losses = self._losses(self._outputs(flat, x, _seed(rows[2]) if self._chance else None), y)
            loss = tf.reduce_sum(losses) / tf.cast(tf.shape(losses)[0] if of is None else of, flat.dtype)
        slope = tape.gradient(loss, flat)
        if slope is None:
            raise ModelError("loss does not depend on the variables, so there is nothing to train")
        return loss, tf.convert_to_tensor(slope)

    def measure(self, flat: Graph, arguments: Sequence[Graph], tables: Sequence[Graph]) -> dict[str, Graph]:
        """The mean loss and the class's metrics; of texts error rate and confusion [true, predicted] too, every class
        weighing the same. The outputs are computed part by part, and judged as a whole."""
        total = tf.shape(tables[1])[0] * (WINDOWS if self._texts else 1)
        at_once = ROWS if self._texts else TABLE_ROWS
        count = -(-total // at_once)

        def body(number: Graph, found: Graph) -> tuple[Graph, Graph]:
            first = number * at_once
            index = tf.range(first, tf.minimum(first + at_once, total))
            x = spread(tables, index, self._length)[0] if self._texts else tf.gather(tables[0], index)
            return number + 1, found.write(number, self._outputs(flat, x, None))

        gathered = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=[None, *self._output_shape])
        _, gathered = tf.while_loop(
            lambda number, _: number < count, body, (tf.constant(0), gathered), parallel_iterations=1
        )
        outputs = tf.ensure_shape(gathered.concat(), [None, *self._output_shape])
        if not self._texts:
            return {"loss": tf.reduce_mean(self._losses(outputs, tables[1])), **self._metrics(outputs, tables[1])}
        file = tf.range(total) // WINDOWS
        truth, weight = tf.gather(tables[3], file), tf.gather(weights(tables), file)
        loss = tf.reduce_sum(self._losses(outputs, truth) * weight)
        return {"loss": loss, **self._judged(outputs, truth, weight), **self._metrics(outputs, truth)}

    def _judged(self, outputs: Graph, truth: Graph, weight: Graph) -> dict[str, Graph]:
        """Error rate and confusion of scores [rows, classes]; nothing of other outputs."""
        classes = self._shape.outputs
        if list(self._output_shape) != [classes]:
            return {}
        found = tf.argmax(outputs, axis=1, output_type=tf.int32)
        cells = tf.math.unsorted_segment_sum(weight, truth * classes + found, classes**2)
        confusion = tf.reshape(cells, [classes, classes])
        return {"error": 1.0 - tf.linalg.trace(confusion), "confusion": confusion}

    def _outputs(self, flat: Graph, x: Graph, seed: Graph | None) -> Graph:
        pieces = tf.split(flat, [int(np.prod(shape)) for shape in self._shapes.values()])
        variables = {
            name: tf.reshape(piece, shape) for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }
        width = self._length if self._texts else self._shape.inputs
        chance = {CHANCE: seed} if self._chance else {}
        given = self._model.forward(variables, tf.ensure_shape(x, [None, width]), dict(self._params), **chance)
        return _tensor(given, "forward must return a tensor [batch, …] of float32")

    def _losses(self, outputs: Graph, y: Graph) -> Graph:
        losses = _tensor(self._model.loss(outputs, y), "loss must return a tensor [batch] of float32")
        if losses.shape.rank != 1:
            raise ModelError(f"loss must return one number for each row, [batch], got the shape {losses.shape}")
        return losses

    def _metrics(self, outputs: Graph, y: Graph) -> dict[str, Graph]:
        if not hasattr(self._model, "metrics"):
            return {}
        given = self._model.metrics(outputs, y)
        if not isinstance(given, Mapping):
            raise ModelError(f"metrics must return a dictionary of numbers by name, got {type(given).__name__}")
        found = {}
        for name, value in given.items():
            if not isinstance(name, str) or name == "loss":
                raise ModelError(f"metrics: a figure cannot be called {name!r}")
            tensor = tf.cast(tf.convert_to_tensor(value), tf.float32)
            if tensor.shape.rank != 0:
                raise ModelError(f"metrics must return single numbers, and {name} has the shape {tensor.shape}")
            found[name] = tf.debugging.check_numerics(tensor, f"metrics: {name} is not a finite number")
        return found

    def _try(self, flat: NDArray[np.float32]) -> None:
        """Call each method with a few rows outside any graph, so that what is wrong is found at the line that is."""
        if self._texts:
            x = tf.ones([TRIED_ROWS, self._length], tf.int32)
            y = tf.range(TRIED_ROWS, dtype=tf.int32) % self._shape.outputs
        else:
            x, y = tf.random.stateless_normal([TRIED_ROWS, self._shape.inputs], [1, 2]), tf.range(float(TRIED_ROWS))
        outputs = self._outputs(tf.constant(flat), x, tf.constant([1, 2]) if self._chance else None)
        if outputs.shape.rank == 0 or outputs.shape[0] != TRIED_ROWS:
            raise ModelError(
                f"forward must return outputs for each row, [batch, …]; of {TRIED_ROWS} rows its have the shape "
                f"{outputs.shape}"
            )
        losses = self._losses(outputs, y)
        if losses.shape[0] != TRIED_ROWS:
            raise ModelError(
                f"loss must return one number for each row, [batch]; of {TRIED_ROWS} rows it has {losses.shape[0]}"
            )
        self._output_shape = tuple(outputs.shape[1:])


def _built(given: Any) -> dict[str, NDArray[np.float32]]:
    """What `build` returned, as arrays.

    Raises:
        ModelError: it is something else.
    """
    if not isinstance(given, Mapping) or not given:
        raise ModelError(f"build must return a dictionary of numpy arrays by name, got {type(given).__name__}")
    arrays = {}
    for name, value in given.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise ModelError(f"build: {name!r} must be a numpy array of numbers, got {array.dtype}")
        if array.size == 0:
            raise ModelError(f"build: {name!r} has the shape {list(array.shape)}, which holds no number")
        if not np.isfinite(array).all():
            raise ModelError(f"build: {name!r} holds something that is not a finite number")
        arrays[str(name)] = array.astype(np.float32)
    return arrays


def _tensor(given: Any, otherwise: str) -> Graph:
    """
    Raises:
        ModelError: *given* is no tensor of reals; *otherwise* says what is wanted.
    """
    try:
        tensor = tf.convert_to_tensor(given)
    except (TypeError, ValueError):
        raise ModelError(f"{otherwise}, got {type(given).__name__}") from None
    if tensor.dtype != tf.float32:
        raise ModelError(f"{otherwise}, got {tensor.dtype.name}")
    return tensor


def _numbers(batch: Graph, key: Graph, step: Graph) -> Graph:
    """A whole number of chance for each row of a mini-batch, [batch]."""
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=tf.reshape(batch, [1]), key=key, counter=counter(step, CHANCE_STREAM), alg=1, dtype=tf.int32
    )


def _seed(numbers: Graph) -> Graph:
    """A seed [2] made of the numbers of a worker's share of the rows."""
    return tf.stack([tf.reduce_sum(numbers), tf.size(numbers)])
