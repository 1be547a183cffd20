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


def quantise_weights(source: Path, target: Path) -> None:
    """Matrices and embeddings as int8, one scale a column or a row; they become fp32 again before they are used.

    Only the file gets smaller: with activations in int8 a name's vector would depend on its neighbours in a batch.
    """
    model = onnx.load(str(source))
    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        place = {"MatMul": 1, "Gather": 0}.get(node.op_type)
        name = None if place is None else node.input[place]
        values = np.asarray(numpy_helper.to_array(weights[name]) if name in weights else np.float32(0))
        if values.ndim != 2 or values.size < SMALLEST or values.dtype != np.float32:
            nodes.append(node)
            continue
        graph.initializer.remove(weights.pop(name))
        nodes += _matmul(graph, node, values) if node.op_type == "MatMul" else _gather(graph, node, values)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def _rounded(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True) / 127, np.float32(1e-12)).astype(np.float32)
    return np.round(values / scale).astype(np.int8), scale


def _add(graph: onnx.GraphProto, name: str, values: NDArray[np.generic]) -> str:
    graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _matmul(graph: onnx.GraphProto, node: onnx.NodeProto, values: NDArray[np.float32]) -> list[onnx.NodeProto]:
    name = node.input[1]
    small, scale = _rounded(values, axis=0)
    inputs = [_add(graph, f"{name}.int8", small), _add(graph, f"{name}.scale", scale.reshape(-1))]
    node.input[1] = f"{name}.fp32"
    return [helper.make_node("DequantizeLinear", inputs, [f"{name}.fp32"], f"{name}.dequantise", axis=1), node]


def _gather(graph: onnx.GraphProto, node: onnx.NodeProto, values: NDArray[np.float32]) -> list[onnx.NodeProto]:
    name, rows, made = node.input[0], node.input[1], node.output[0]
    small, scale = _rounded(values, axis=1)
    _add(graph, f"{name}.int8", small)
    _add(graph, f"{name}.scale", scale)
    return [
        helper.make_node("Gather", [f"{name}.int8", rows], [f"{made}.int8"], f"{name}.rows", axis=0),
        helper.make_node("Cast", [f"{made}.int8"], [f"{made}.cast"], f"{name}.cast", to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{name}.scale", rows], [f"{made}.scale"], f"{name}.scales", axis=0),
        helper.make_node("Mul", [f"{made}.cast", f"{made}.scale"], [made], f"{name}.scaled"),
    ]
