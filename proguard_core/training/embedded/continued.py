"""Go on from an artefact: its int8 weights, made floating point again, are where the teaching starts."""

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from proguard_core.training.embedded.network import GuardNetwork

QUANTISED = "_quantized"
HEADS = "heads"


def restore(network: GuardNetwork, path: Path) -> None:
    """Put the weights of model.onnx into the network. ValueError where one is missing or has another shape.

    A weight w of the file stands for scale x (w - zero point), a scale each column. What the rounding took is gone: the
    restored network answers as the artefact does, up to the rounding of activations.
    """
    graph = onnx.load(str(path)).graph
    stored = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    found = {name: torch.from_numpy(array.copy()) for name, array in stored.items() if array.dtype == np.float32}
    for name in [name.removesuffix(QUANTISED) for name in stored if name.endswith(QUANTISED)]:
        found[name] = _floating(stored, name)
    for node in graph.node:
        if node.op_type == "MatMulInteger" and node.input[1].endswith(QUANTISED):
            matrix = found[node.input[1].removesuffix(QUANTISED)]
            found[_module(node.name) + ".weight"] = matrix.T.contiguous()
    wanted = network.state_dict()
    state = {name: found[name] for name in wanted if name in found and found[name].shape == wanted[name].shape}
    missing = [name for name in wanted if name not in state and "position_ids" not in name]
    if missing:
        raise ValueError(f"{path.name} lacks {', '.join(missing)}")
    network.load_state_dict(state, strict=False)


def _floating(stored: dict[str, NDArray[np.generic]], name: str) -> Tensor:
    weight = stored[name + QUANTISED].astype(np.float32)
    scale, zero = (stored[name + part].astype(np.float32) for part in ("_scale", "_zero_point"))
    return torch.from_numpy((weight - zero) * scale)


def _module(node: str) -> str:
    """The module's name from that of its node: /encoder/encoder/layer.0/output/dense/MatMul_quant."""
    return node.strip("/").rpartition("/")[0].replace("/", ".")
