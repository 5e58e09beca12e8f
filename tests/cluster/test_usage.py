"""What a rank took is measured, and read back from its log."""

import time

from cluster.usage import Meter, Usage, find_usage, usage_line


def test_line_is_read_back_and_the_last_one_counts() -> None:
    usage = Usage(
        peak_mib=812,
        gpu_peak_mib=None,
        node_free_mib=301,
        node_total_mib=7950,
        cpu_s=41.2,
        wall_s=60.0,
    )
    on_gpu = usage.model_copy(update={"gpu_peak_mib": 2048})
    assert find_usage(f"x {usage_line(usage)}\n") == usage
    assert find_usage(f"{usage_line(usage)}\n{usage_line(on_gpu)}\nrank 0 ended") == on_gpu
    assert find_usage("rank 0 ended") is None


def test_meter_counts_from_when_it_is_made() -> None:
    meter = Meter()
    held = bytearray(40 * 2**20)
    limit = time.process_time() + 0.2
    while time.process_time() < limit:
        held[0] += 1 if held[0] < 200 else -100
    usage = meter.read(3 * 2**20)
    assert usage.peak_mib >= 40
    assert usage.gpu_peak_mib == 3
    assert 0.1 <= usage.cpu_s <= usage.wall_s * 64
    assert 0 < usage.node_free_mib < usage.node_total_mib
