"""From MiniLM's weights to one ONNX file with int8 weights."""

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel

OPSET = 17
SMALLEST = 4096
_CONTRIBUTED = "com.microsoft"
_CONSTANTS: dict[str, NDArray[np.generic]] = {
    "row.scale": np.array(1 / 127, dtype=np.float32),
    "row.zero": np.array(128, dtype=np.uint8),
    "row.least": np.array(1e-12, dtype=np.float32),
}
FIELDS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")


class Sentence(nn.Module):  # type: ignore[misc]
    """rows x tokens -> rows x width: the mean of the tokens, of length 1."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.encoder = BertModel(BertConfig(**{name: config[name] for name in FIELDS}), add_pooling_layer=False)
        missing = self.encoder.load_state_dict(load_file(folder / "model.safetensors"), strict=False).missing_keys
        if missing:
            raise ValueError(f"model.safetensors lacks {', '.join(missing)}")

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Mean pooling and normalisation, as the model's card says."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def export_float(model: Sentence, path: Path) -> None:
    """The fp32 ONNX file; rows and tokens are free."""
    model.eval()
    example = (torch.ones((2, 8), dtype=torch.int64), torch.ones((2, 8), dtype=torch.int64))
    axes = {name: {0: "rows", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    torch.onnx.export(
        model,
        example,
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["vectors"],
        dynamic_axes={**axes, "vectors": {0: "rows"}},
        opset_version=OPSET,
        dynamo=False,
    )


def quantise(source: Path, target: Path) -> None:
    """Matrix products in int8 with a scale for each row of activations, and embeddings as int8.

    With one scale for all activations, as onnxruntime's own quantisation has it, a name's vector would depend on its
    neighbours in a batch. Here each token's activations are divided by their largest one, rounded, multiplied, and
    multiplied by it again: exact in every batch.
    """
    model = onnx.load(str(source))
    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    for constant, value in _CONSTANTS.items():
        _add(graph, constant, value)
    nodes: list[onnx.NodeProto] = []
    rounded: set[str] = set()
    for node in graph.node:
        place = {"MatMul": 1, "Gather": 0}.get(node.op_type)
        name = None if place is None else node.input[place]
        values = np.asarray(numpy_helper.to_array(weights[name]) if name in weights else np.float32(0))
        if values.ndim != 2 or values.size < SMALLEST or values.dtype != np.float32:
            nodes.append(node)
            continue
        graph.initializer.remove(weights.pop(name))
        if node.op_type == "Gather":
            nodes += _gather(graph, node, values)
            continue
        if node.input[0] not in rounded:  # queries, keys and values read the same
            rounded.add(node.input[0])
            nodes += _rows(node.input[0])
        nodes += _matmul(graph, node, values)
    del graph.node[:]
    graph.node.extend(nodes)
    model.opset_import.append(helper.make_opsetid(_CONTRIBUTED, 1))
    onnx.save(model, str(target))


def _rounded(values: NDArray[np.float32], axis: int, most: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True) / most, np.float32(1e-12)).astype(np.float32)
    return np.round(values / scale).astype(np.int8), scale


def _add(graph: onnx.GraphProto, name: str, values: NDArray[np.generic]) -> str:
    graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _rows(source: str) -> list[onnx.NodeProto]:
    """Activations over their row's largest, in eight bits around 128."""
    return [
        helper.make_node("Abs", [source], [f"{source}.abs"]),
        helper.make_node("ReduceMax", [f"{source}.abs"], [f"{source}.max"], axes=[-1], keepdims=1),
        helper.make_node("Max", [f"{source}.max", "row.least"], [f"{source}.largest"]),
        helper.make_node("Div", [source, f"{source}.largest"], [f"{source}.unit"]),
        helper.make_node("QuantizeLinear", [f"{source}.unit", "row.scale", "row.zero"], [f"{source}.uint8"]),
    ]


def _matmul(graph: onnx.GraphProto, node: onnx.NodeProto, values: NDArray[np.float32]) -> list[onnx.NodeProto]:
    """Weights keep seven bits: processors without VNNI would overflow and answer differently."""
    (source, name), (made,) = node.input, node.output
    small, scale = _rounded(values, axis=0, most=63)
    columns = [_add(graph, f"{name}.int8", small), _add(graph, f"{name}.scale", scale.reshape(-1))]
    inputs = [f"{source}.uint8", columns[0], "row.scale", columns[1], "row.zero"]
    return [
        helper.make_node("MatMulIntegerToFloat", inputs, [f"{made}.unit"], domain=_CONTRIBUTED),
        helper.make_node("Mul", [f"{made}.unit", f"{source}.largest"], [made], node.name),
    ]


def _gather(graph: onnx.GraphProto, node: onnx.NodeProto, values: NDArray[np.float32]) -> list[onnx.NodeProto]:
    name, rows, made = node.input[0], node.input[1], node.output[0]
    small, scale = _rounded(values, axis=1, most=127)
    _add(graph, f"{name}.int8", small)
    _add(graph, f"{name}.scale", scale)
    return [
        helper.make_node("Gather", [f"{name}.int8", rows], [f"{made}.int8"], f"{name}.rows", axis=0),
        helper.make_node("Cast", [f"{made}.int8"], [f"{made}.cast"], f"{name}.cast", to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{name}.scale", rows], [f"{made}.scale"], f"{name}.scales", axis=0),
        helper.make_node("Mul", [f"{made}.cast", f"{made}.scale"], [made], f"{name}.scaled"),
    ]
