"""A process that asks every graphics adapter for a small answer, since a driver may abort the process that asks.

It is run as a file, not imported, and needs the package `wgpu` only. It writes lines of JSON: first the list of all
adapters, then, from the place that its argument gives, each one's place before it is asked and its answer after. A
place without an answer is the adapter that brought the process down.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COUNT = 200
SHADER = """
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&x)) {
    y[id.x] = x[id.x] * 2.0 + 1.0;
  }
}
"""


def say(**record: Any) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def problem(adapter: Any) -> str | None:
    """Return why an adapter's answer to a small kernel is not right, or None when it is."""
    import wgpu

    try:
        device = adapter.request_device_sync()
        values = memoryview(bytearray(4 * COUNT)).cast("f")
        for i in range(COUNT):
            values[i] = i - 7.5
        usage = wgpu.BufferUsage
        x = device.create_buffer_with_data(data=values, usage=usage.STORAGE)
        y = device.create_buffer(size=4 * COUNT, usage=usage.STORAGE | usage.COPY_SRC)
        pipeline = device.create_compute_pipeline(
            layout="auto", compute={"module": device.create_shader_module(code=SHADER), "entry_point": "main"}
        )
        entries = [{"binding": i, "resource": {"buffer": b, "offset": 0, "size": b.size}} for i, b in enumerate((x, y))]
        group = device.create_bind_group(layout=pipeline.get_bind_group_layout(0), entries=entries)
        encoder = device.create_command_encoder()
        work = encoder.begin_compute_pass()
        work.set_pipeline(pipeline)
        work.set_bind_group(0, group)
        work.dispatch_workgroups(-(-COUNT // 64))
        work.end()
        device.queue.submit([encoder.finish()])
        answer = device.queue.read_buffer(y).cast("f").tolist()
    except (wgpu.GPUError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return "it gave up on a small kernel: " + " ".join(lines)[:300]
    if answer != [v * 2 + 1 for v in values.tolist()]:
        return "it answers a small kernel wrongly"
    return None


def main(start: int) -> None:
    import wgpu

    adapters = wgpu.gpu.enumerate_adapters_sync()
    listed = []
    for adapter in adapters:
        info = {k: v for k, v in dict(adapter.info).items() if isinstance(v, (str, int))}
        listed.append({"info": info, "limits": dict(adapter.limits), "features": sorted(adapter.features)})
    say(adapters=listed)
    for place in range(start, len(adapters)):
        say(asking=place)
        say(answer=place, problem=problem(adapters[place]))


if __name__ == "__main__":
    # A script's folder is searched first: none of its neighbours is meant by what wgpu imports.
    sys.path[:] = [p for p in sys.path if Path(p) != Path(__file__).parent]
    main(int(sys.argv[1]))
