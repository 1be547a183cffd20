"""From the taught network to one int8 ONNX file."""

from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from proguard_core.training.embedded.network import GuardNetwork

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OPSET = 17


def export_float(model: GuardNetwork, path: Path) -> None:
    """The fp32 ONNX file; rows and tokens are free."""
    model.eval()
    example = tuple(torch.ones((2, 8), dtype=torch.int64) for _ in INPUTS)
    axes = {name: {0: "rows", 1: "tokens"} for name in INPUTS}
    torch.onnx.export(
        model,
        example,
        str(path),
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_axes={**axes, "logits": {0: "rows"}},
        opset_version=OPSET,
        dynamo=False,
    )


def quantise(source: Path, target: Path) -> None:
    """Weights of matrix products and embeddings to int8, activations at run time.

    reduce_range keeps weights to 7 bits: processors without VNNI would overflow and answer differently.
    """
    prepared = source.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(
        str(prepared),
        str(target),
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )
    prepared.unlink()
