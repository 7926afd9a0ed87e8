"""A small convolutional network in numpy: three layers, a class map, and its global average; and the same as ONNX.

It learns from where the nodules are, cell by cell; the global average of the class map then says whether there is one.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Weights = dict[str, Array]

# name, kernel, channels in, channels out, stride
_WEIGHT = 12.0
LAYERS = (("first", 5, 1, 12, 2), ("second", 3, 12, 24, 2), ("third", 3, 24, 24, 1), ("map", 1, 24, 1, 1))


def fresh(seed: int) -> Weights:
    """Return weights to begin with."""
    rng, found = np.random.default_rng(seed), {}
    for name, kernel, into, out, _ in LAYERS:
        scale = np.sqrt(2 / (into * kernel * kernel))
        found[f"{name}.weight"] = rng.normal(0, scale, (out, into, kernel, kernel)).astype(np.float32)
        found[f"{name}.bias"] = np.zeros(out, np.float32)
    return found


def columns_of(x: Array, kernel: int, stride: int) -> Array:
    """Return (n, rows, columns, channels * kernel * kernel) windows of a padded input."""
    edge = kernel // 2
    padded = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
    n, channels, rows, columns = windows.shape[:4]
    return np.ascontiguousarray(windows.transpose(0, 2, 3, 1, 4, 5)).reshape(n, rows, columns, channels * kernel**2)


def forward(weights: Weights, x: Array) -> tuple[Array, list[tuple[Array, Array]]]:
    """Return the class map (n, 1, rows, columns) and what the way back needs of each layer."""
    kept = []
    for name, kernel, _, out, stride in LAYERS:
        windows = columns_of(x, kernel, stride)
        y = windows @ weights[f"{name}.weight"].reshape(out, -1).T + weights[f"{name}.bias"]
        if name != "map":
            y = np.maximum(y, 0)
        kept.append((windows, y))
        x = y.transpose(0, 3, 1, 2)
    return x, kept


def evidence(weights: Weights, x: Array) -> Array:
    """Return the global average of what speaks for a nodule (n)."""
    parts = [
        np.maximum(forward(weights, x[start : start + 64])[0], 0).mean((1, 2, 3)) for start in range(0, len(x), 64)
    ]
    return np.concatenate(parts)


def gradients(weights: Weights, x: Array, cells: Array) -> tuple[float, Weights]:
    """Return the mean cross-entropy of the cells of a batch and its gradients; cells with nodules weigh more."""
    mapped, kept = forward(weights, x)
    chance = 1 / (1 + np.exp(-np.clip(mapped[:, 0], -30, 30)))
    weight = 1 + (_WEIGHT - 1) * cells
    loss = float(-(weight * np.log(np.where(cells > 0, chance, 1 - chance) + 1e-9)).mean())
    back = (weight * (chance - cells) / cells.size)[..., None].astype(np.float32)
    found: Weights = {}
    for number in reversed(range(len(LAYERS))):
        name, kernel, into, out, stride = LAYERS[number]
        windows, y = kept[number]
        if name != "map":
            back = back * (y > 0)
        flat = back.reshape(-1, out)
        found[f"{name}.weight"] = (flat.T @ windows.reshape(-1, windows.shape[-1])).reshape(out, into, kernel, kernel)
        found[f"{name}.bias"] = flat.sum(0)
        if number:
            back = _back(back @ weights[f"{name}.weight"].reshape(out, -1), into, kernel, stride)
    return loss, found


def _back(windows: Array, channels: int, kernel: int, stride: int) -> Array:
    """Sum windows back to where they came from: (n, rows, columns, channels) of the layer below."""
    n, rows, columns = windows.shape[:3]
    edge = kernel // 2
    parts = windows.reshape(n, rows, columns, channels, kernel, kernel)
    whole = np.zeros((n, rows * stride + 2 * edge, columns * stride + 2 * edge, channels), np.float32)
    for down in range(kernel):
        for across in range(kernel):
            place = whole[:, down : down + rows * stride : stride, across : across + columns * stride : stride]
            place += parts[..., down, across]
    return whole[:, edge : edge + rows * stride, edge : edge + columns * stride]


def trained(x: Array, cells: Array, seed: int, rounds: int) -> Iterator[tuple[float, Weights]]:
    """Train by Adam; yield loss and weights after each round."""
    rng, weights = np.random.default_rng(seed), fresh(seed)
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    step, size, steps = 0, 32, rounds * (len(x) // 32)
    for _ in range(rounds):
        order, losses = rng.permutation(len(x)), []
        for start in range(0, len(x) - size + 1, size):
            rows = order[start : start + size]
            loss, found = gradients(weights, x[rows], cells[rows])
            losses.append(loss)
            step += 1
            rate = 4e-3 * (1 - step / (steps + 1))
            for name, gradient in found.items():
                first[name] = 0.9 * first[name] + 0.1 * gradient
                second[name] = 0.999 * second[name] + 0.001 * gradient**2
                mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
                weights[name] = (weights[name] - rate * mean / (np.sqrt(square) + 1e-8)).astype(np.float32)
        yield float(np.mean(losses)), weights


def onnx_of(weights: Weights, head: tuple[float, float], temperature: float) -> bytes:
    """Return the network as ONNX: `picture` in; `probabilities`, `activation` (CAM) and `features` out."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, last = [], "picture"
    for name, kernel, _, _, stride in LAYERS:
        edge = [kernel // 2] * 4
        given = [last, f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", given, [name], kernel_shape=[kernel, kernel], pads=edge,
                                      strides=[stride, stride]))  # fmt: skip
        if name != "map":
            nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"]))
        last = f"{name}.relu"
    nodes += [
        helper.make_node("GlobalAveragePool", ["third.relu"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Relu", ["map"], ["activation"]),
        helper.make_node("GlobalAveragePool", ["activation"], ["averaged"]),
        helper.make_node("Flatten", ["averaged"], ["evidence"]),
        helper.make_node("Gemm", ["evidence", "head.weight", "head.bias"], ["logits"], transB=1),
        helper.make_node("Div", ["logits", "temperature"], ["tempered"]),
        helper.make_node("Softmax", ["tempered"], ["probabilities"], axis=1),
    ]
    held = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    slope, intercept = head
    for name, value in (
        ("head.weight", [[0.0], [slope]]),
        ("head.bias", [0.0, intercept]),
        ("temperature", temperature),
    ):
        held.append(numpy_helper.from_array(np.array(value, np.float32), name))
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "synthetic-nodules", [helper.make_tensor_value_info("picture", floats, ["n", 1, 128, 128])],
        [helper.make_tensor_value_info("probabilities", floats, ["n", 2]),
         helper.make_tensor_value_info("activation", floats, ["n", 1, 32, 32]),
         helper.make_tensor_value_info("features", floats, ["n", 24])], held,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return bytes(model.SerializeToString())
