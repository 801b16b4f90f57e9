"""The examination of one step: layers, activations, losses and inputs, read off its tape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...core.large import rule
from ...core.value import Node, Value
from .evidence import (
    ActivationLog,
    Broadcast,
    Evidence,
    Inputs,
    LayerLog,
    LossCall,
    ParameterLog,
    Severed,
)
from .flow import Flow, LossFrame, Record
from .places import Place
from .reading import (
    LAYERS,
    MOVEMENT,
    Leaves,
    activation_kind,
    all_but_features,
    cut_of,
    from_convolution,
    head_of,
    is_parameter,
    is_widened,
    origin_of,
    record_node,
    rows_of,
    through_movement,
    views_of,
)
from .recurrence import recurrences

_MOST_ROWS = 512
_OF_RECURRENCES = 4
"""Sampled steps whose recurrences are followed."""


class Examination:
    """Adds what one step shows to the evidence."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def sample(
        self,
        flow: Flow,
        order: Sequence[Node],
        roots: Sequence[Node],
        visited: Iterable[Record],
        update: int,
    ) -> None:
        """Read a step off its tape; gradients arrive by hooks while backward walks."""
        number = self.evidence.samples
        self.evidence.samples += 1
        forward = [n for n in reversed(order) if n in flow.by_node]
        leaves = Leaves()
        head = head_of(flow, roots, leaves)
        counts: Counter[tuple[Any, ...]] = Counter()
        keys: list[tuple[Any, ...]] = []
        leaves_of = [id(n.variable()) for n in order if n.op is None and n.variable is not None]
        optimizer = self.evidence.owner(leaves_of)
        first = True
        for node in forward:
            record = flow.by_node[node]
            base = record.key
            if record.op.name in LAYERS and (weight := leaves.weight(node)) is not None:
                if node is not record_node(record):
                    continue
                counts[base] += 1
                key = (*base, counts[base])
                keys.append(key)
                self._layer(key, record, node, weight, number, len(keys))
                if first and record.op.name != "embedding":
                    self._inputs(record, key, update)
                    first = False
            elif (kind := activation_kind(record)) is not None:
                counts[base] += 1
                self._activation((*base, counts[base]), kind, record, flow, node in head, update)
        self.evidence.orders.append((leaves_of, keys))
        if number < _OF_RECURRENCES:
            self._recurrences(flow, visited, leaves)
        self._losses(flow, head, visited, order, update, optimizer)

    # Layers ---------------------------------------------------------------------------------------

    def _layer(
        self, key: Any, record: Record, node: Node, weight: Any, number: int, position: int
    ) -> None:
        layer = self.evidence.layers.get(key)
        if layer is None:
            layer = LayerLog(key, record.place, record.op.name, id(weight))
            self.evidence.layers[key] = layer
        log = self.evidence.parameters.get(id(weight))
        if log is not None:
            log.order = min(log.order, position)
        data = [
            x for x in record.inputs
            if isinstance(x, np.ndarray) and x is not weight.array and x.dtype.kind == "f"
        ]  # fmt: skip
        if data:
            layer.inputs[number] = _rms(data[0])
        layer.outputs[number] = _rms(record.outputs[0])
        target = layer

        def arrived(ct: Any) -> None:
            target.gradient[number] = _norm(ct.array)

        if record.op.n_out is None:
            node.hooks = [*(node.hooks or []), arrived]
        else:
            for n in record.nodes:
                if n is not None:
                    n.hooks = [*(n.hooks or []), arrived]
        if record.op.name == "rnn":
            self._through_time(layer, record, node, number)

    def _through_time(self, layer: LayerLog, record: Record, node: Node, number: int) -> None:
        """For a recurrent layer: how a gradient at its last step fares on the way to the first."""
        z, h, w = record.inputs[:3]
        out = record.outputs[0]
        layer.steps = len(out)
        ct = np.zeros_like(out)
        ct[-1] = np.random.default_rng(0).standard_normal(out[-1].shape).astype(out.dtype)
        try:
            dz = rule(record.op, ct, [z, h, w], out, [True, None, None])[0]
        except Exception:  # noqa: BLE001  a probe of ours is not to stop the program
            return
        if len(out) > 1 and dz is not None:
            layer.through_time[number] = _norm(dz[0]) / max(_norm(dz[-1]), 1e-300)

    def _recurrences(self, flow: Flow, visited: Iterable[Record], leaves: Leaves) -> None:
        """Note weights that are used again and again on what they gave, and cut off each time."""
        for key, (_, links) in recurrences(flow, visited, leaves).items():
            if len(links) > 1 and all(link.is_cut for link in links):
                place = links[-1].place
                log = self.evidence.parameters.get(key)
                name = place.path if log is None else log.name
                found = self.evidence.severed.setdefault(place, Severed(name, place, len(links)))
                found.count += 1

    # Activations ----------------------------------------------------------------------------------

    def _activation(
        self, key: Any, kind: str, record: Record, flow: Flow, in_head: bool, update: int
    ) -> None:
        log = self.evidence.activations.get(key)
        if log is None:
            log = ActivationLog(key, record.place, kind, in_head)
            self.evidence.activations[key] = log
        y = record.outputs[0]
        if not y.size or not y.ndim or not np.isfinite(y).all():
            return
        log.when.append(update)
        if kind == "relu":
            axis = 1 if y.ndim > 2 and from_convolution(flow, record) else y.ndim - 1
            others = tuple(a for a in range(y.ndim) if a != axis)
            log.fired.append((y > 0).any(axis=others))
            log.counts.append(y.size // max(1, y.shape[axis]))
            return
        slope = 4.0 * y * (1.0 - y) if kind == "sigmoid" else 1.0 - y * y
        log.flat.append(float(np.mean(slope < 0.05)))
        log.slope.append(float(np.mean(slope)))

    # Inputs ---------------------------------------------------------------------------------------

    def _inputs(self, record: Record, key: Any, update: int) -> None:
        """Statistics of the data that the first layer is given."""
        data = next((x for x, want in zip(record.inputs, record.wants, strict=True)
                     if not want and isinstance(x, np.ndarray) and x.ndim >= 2), None)  # fmt: skip
        if data is None or data.dtype.kind != "f" or not data.size:
            return
        known = self.evidence.inputs.get(key)
        if known is None:
            known = self.evidence.inputs[key] = Inputs(record.place, key, shape=data.shape)
            known.then = record.op.name
        x = data.astype(np.float64)
        known.rms.append(_rms(x))
        known.mean.append(float(np.abs(x.mean())))
        known.rows += len(x)
        spread = x.std(axis=all_but_features(record.op, x.ndim))
        spread = spread[spread > 0]
        known.spread.append(float(spread.max() / spread.min()) if spread.size else 1.0)

    # Losses ---------------------------------------------------------------------------------------

    def _losses(
        self, flow: Flow, head: set[Node], visited: Iterable[Record], order: Sequence[Node],
        update: int, optimizer: int,
    ) -> None:  # fmt: skip
        """The comparisons of outputs with data between the last layer and the root."""
        seen: set[int] = set()
        for record in visited:
            if record.call is not None and record.call.number not in seen:
                seen.add(record.call.number)
                self._loss(flow, record, record.call, update, optimizer)
            elif record.call is None and record.op.name == "sub":
                self._difference(flow, record, head, update, optimizer)
        for record in visited:
            if record.call is not None or record_node(record) in head:
                self._broadcast(flow, record)

    def _loss(
        self, flow: Flow, record: Record, call: LossFrame, update: int, optimizer: int
    ) -> None:
        given, target = call.given, call.target
        if not isinstance(given, Value) or target is None:
            return
        feed = flow.maker.get(id(given.array))
        if feed is not None and feed.call is not None and feed.call.number == call.number:
            feed = None
        feed = through_movement(flow, feed)
        feeds = "" if feed is None else (activation_kind(feed) or "")
        if feed is not None and feeds == "log_softmax":
            inner = through_movement(flow, next(flow.sources(feed), None))
            if inner is not None and activation_kind(inner) == "softmax":
                feed, feeds = inner, "log_softmax(softmax)"
        wanted = target.array if isinstance(target, Value) else np.asarray(target)
        self.evidence.losses.append(
            LossCall(
                call.name, record.place, update, optimizer, given.array, wanted, feeds,
                Place() if feed is None else feed.place, () if feed is None else feed.key,
                _is_made(flow, wanted), _array_of(call.weight), call.ignored, _axis_of(feed),
            )
        )  # fmt: skip
        self._batch(flow, wanted, update)

    def _difference(
        self, flow: Flow, record: Record, head: set[Node], update: int, optimizer: int
    ) -> None:
        """A difference of an output and data, in the head of the network: a squared error."""
        a, b = record.inputs
        if record.nodes[0] not in head or not all(isinstance(x, np.ndarray) for x in (a, b)):
            return
        wants = record.wants
        if wants[0] == wants[1] or min(a.size, b.size) < 2:
            return
        given, wanted = (a, b) if wants[0] else (b, a)
        if id(wanted) in flow.maker and through_movement(flow, flow.maker[id(wanted)]) is not None:
            maker = through_movement(flow, flow.maker[id(wanted)])
            if maker is not None and maker.op.name not in MOVEMENT:
                return
        feed = through_movement(flow, flow.maker.get(id(given)))
        feeds = "" if feed is None else (activation_kind(feed) or "")
        self.evidence.losses.append(
            LossCall("difference", record.place, update, optimizer, given, wanted, feeds,
                     Place() if feed is None else feed.place, () if feed is None else feed.key,
                     _is_made(flow, wanted), axis=_axis_of(feed))
        )  # fmt: skip
        self._batch(flow, wanted, update)

    def _batch(self, flow: Flow, wanted: Any, update: int) -> None:
        """Keep the targets, and inputs of as many rows, for questions about the data."""
        rows = len(wanted) if wanted.ndim else 0
        data = None
        for record in flow.records:
            for x, want in zip(record.inputs, record.wants, strict=True):
                if want or x is wanted or record.op.name not in LAYERS:
                    continue
                found = next((r for z in views_of(flow, x) if (r := rows_of(z, rows)) is not None),
                             None)  # fmt: skip
                if found is not None and (found.dtype.kind == "f" or record.op.name == "embedding"):
                    data = found
                    break
            if data is not None:
                break
        self.evidence.batches.append(
            (update, None if data is None else data[:_MOST_ROWS], wanted[:_MOST_ROWS]
             if wanted.ndim else wanted)
        )  # fmt: skip

    def _broadcast(self, flow: Flow, record: Record) -> None:
        """Outputs and targets with as many elements each, and a result with more than both.

        Outside a loss function, pairs may be what is wanted, as in distances between two sets:
        then both have as many axes, or axes were put in, into both operands or into one of two
        outputs. A parameter is no output.
        """
        if len(record.inputs) != 2 or record.op.name not in ("sub", "mul", "add", "div", "where"):
            return
        a, b = record.inputs
        if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
            return
        out = record.outputs[0].shape
        if a.size != b.size or a.size < 2 or record.outputs[0].size <= a.size:
            return
        if origin_of(flow, a) is origin_of(flow, b) or a.ndim > 2 or b.ndim > 2:
            return
        computed = [id(x) in flow.maker and want and not is_parameter(flow, x)
                    for x, want in zip((a, b), record.wants, strict=True)]  # fmt: skip
        widened = [is_widened(flow, x) for x in (a, b)]
        wanted = a.ndim == b.ndim or all(widened) or (all(computed) and any(widened))
        if not any(computed) or (wanted and record.call is None):
            return
        key = record.key
        found = self.evidence.broadcasts.setdefault(
            key, Broadcast(record.place, (a.shape, b.shape, out), key)
        )
        found.count += 1

    # What gets no gradient ------------------------------------------------------------------------

    def unreached(
        self, flow: Flow, order: Sequence[Node], visited: Iterable[Record],
        left: Sequence[tuple[Any, str, Place]],
    ) -> None:  # fmt: skip
        """Note parameters that the loss was computed from, and that backward does not lead to."""
        reached = {id(n.variable()) for n in order if n.op is None and n.variable is not None}
        missing = {id(log.tensor.array): log for key, log in self.evidence.parameters.items()
                   if key not in reached and log.tensor.node is not None}  # fmt: skip
        if not missing:
            return
        self._note_missing(flow, missing, visited)
        known = {id(log.tensor.array) for log in self.evidence.parameters.values()}
        given = [x for record in visited for x in record.inputs if isinstance(x, np.ndarray)]
        leads_nowhere = not any(id(x) in known for x in given)
        fed = [x for record in visited if record.op.name in LAYERS
               for x, want in zip(record.inputs, record.wants, strict=True)
               if isinstance(x, np.ndarray) and not want]  # fmt: skip
        beneath = [x for record in flow.ancestors_of_arrays(fed) for x in record.inputs
                   if isinstance(x, np.ndarray) and id(x) not in flow.maker]  # fmt: skip
        fed = [x for x in fed if id(x) not in flow.maker]
        for array, how, place in left:  # numbers went out, and came back as data
            made_by = flow.ancestors_of_arrays([array])
            made_from = {id(x) for record in made_by for x in record.inputs}
            fresh = [x for x in beneath if x.shape == array.shape]
            if not (leads_nowhere or _came_back(array, given)
                    or _fed_on(array, [*fed, *fresh], made_from)):  # fmt: skip
                continue
            for record in made_by:
                for x in record.inputs:
                    log = missing.get(id(x))
                    if log is not None:
                        log.missed += 1
                        log.cut = log.cut or (place, how)

    def cut_off(self, flow: Flow, output: Any, visited: Iterable[Record]) -> None:
        """Note all parameters that an output without a graph was computed from."""
        missing = {id(log.tensor.array): log for log in self.evidence.parameters.values()
                   if log.tensor.node is not None}  # fmt: skip
        self._note_missing(flow, missing, visited)

    def _note_missing(
        self, flow: Flow, missing: dict[int, ParameterLog], visited: Iterable[Record]
    ) -> None:
        """For each such parameter, follow its numbers to where they stop wanting a gradient."""
        chosen = list(visited)
        users: dict[int, list[Record]] = {}
        for record in chosen:
            for x in record.inputs:
                if isinstance(x, np.ndarray):
                    users.setdefault(id(x), []).append(record)
        for array_id, log in missing.items():
            if array_id in users:
                log.missed += 1
                if log.cut is None:
                    log.cut = cut_of(users, users[array_id])


def _is_made(flow: Flow, array: Any) -> bool:
    """Whether a module took part in computing an array."""
    return any(record.scope is not None for record in flow.ancestors_of_arrays([array]))


def _array_of(x: Any) -> Any:
    return x.array if isinstance(x, Value) else x


def _axis_of(feed: Record | None) -> int | None:
    """The axis of a softmax that a loss is fed by, as it counts from the last: -1 and so on."""
    if feed is None or feed.op.name != "softmax":
        return None
    axis, ndim = feed.op.axis, feed.outputs[0].ndim  # type: ignore[attr-defined]  # a softmax's
    return int(axis - ndim if axis >= 0 else axis)


def _came_back(array: Any, given: Sequence[Any]) -> bool:
    """Whether one of these arrays is a copy of `array`, or a view of a copy."""
    if array.size < 2:
        return False
    flat = array.ravel()
    return any(
        x is not array and x.size == array.size and np.array_equal(x.ravel(), flat) for x in given
    )


def _fed_on(array: Any, fed: Sequence[Any], made_from: set[int]) -> bool:
    """Whether layers are fed data of as many rows as `array`, which was not made from them."""
    return array.ndim > 1 and any(
        x.ndim > 1 and len(x) == len(array) and x.dtype.kind == "f" and id(x) not in made_from
        for x in fed
    )


def _rms(x: Any) -> float:
    return _norm(x) / float(np.sqrt(max(1, x.size)))


def _norm(x: Any) -> float:
    if not x.size:
        return 0.0
    return float(np.linalg.norm(x.astype(np.float64).ravel()))
