"""Convert layers.json and layers.bin of a folder to model.tflite, with the TensorFlow that webgpu_peers.py installs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf


def main(folder: Path) -> None:
    made = json.loads((folder / "layers.json").read_text())
    data, at = np.fromfile(folder / "layers.bin", np.float32), 0

    def taken(*shape: int) -> np.ndarray:
        nonlocal at
        at += int(np.prod(shape))
        return data[at - int(np.prod(shape)) : at].reshape(shape)

    rows = []
    for layer in made["layers"]:
        shape = layer["shape"]
        outputs = shape[2] if layer["kind"] == "depthwise" else shape[-1] if shape else 0
        rows.append((layer, taken(*shape), taken(outputs)) if shape else (layer, None, None))

    @tf.function(input_signature=[tf.TensorSpec(made["shape"], tf.float32)])
    def model(x: tf.Tensor) -> tf.Tensor:
        outputs = []
        for layer, weight, bias in rows:
            if layer["kind"] == "mean":
                x = tf.reduce_mean(x, [1, 2])
            elif layer["kind"] == "dense":
                x = tf.matmul(x, weight) + bias
            else:
                convolve = tf.nn.depthwise_conv2d if layer["kind"] == "depthwise" else tf.nn.conv2d
                x = convolve(x, weight, [1, layer["stride"], layer["stride"], 1], "SAME") + bias
            x = {"": lambda v: v, "relu": tf.nn.relu, "relu6": tf.nn.relu6}[layer["activation"]](x)
            if layer["add"] is not None:
                x = x + outputs[layer["add"]]
            outputs.append(x)
        return x

    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.get_concrete_function()])
    (folder / "model.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
