"""What fits where, worked out by hand."""

from typing import Any

import pytest

from cluster.preflight import GIB, Node, check_fits, num_placeable, spread_over
from configs.errors import ClusterError
from configs.run_sections import Cluster


def nodes(*cpus: float, **more: float) -> list[Node]:
    return [
        Node(f"id{i}", f"10.0.0.{i}", {"CPU": count, "memory": 8 * GIB, **more})
        for i, count in enumerate(cpus)
    ]


def asked(**values: Any) -> Cluster:
    return Cluster(**values)


@pytest.mark.parametrize(
    ("cluster", "machines", "expected"),
    [
        (asked(), nodes(4, 4), 8),
        (asked(cpus_per_worker=3), nodes(4, 4), 2),  # one each, a CPU left over on both
        (asked(cpus_per_worker=0.1), nodes(0.3), 3),  # 0.3 / 0.1 is 2.9999...
        (asked(memory_gib_per_worker=3), nodes(4, 4), 4),
        (asked(gpus_per_worker=1), nodes(4, 4), 0),
        (asked(gpus_per_worker=0.5), nodes(4, 4, GPU=1), 4),
        (asked(placement="STRICT_PACK"), nodes(4, 6), 6),
        (asked(placement="STRICT_SPREAD"), nodes(4, 6, 0), 2),
        (asked(resources_per_worker={"ssd": 1}), nodes(4, ssd=2), 2),
        (asked(), [], 0),
    ],
)
def test_workers_that_fit(cluster: Cluster, machines: list[Node], expected: int) -> None:
    assert num_placeable(cluster, machines) == expected


def test_what_fits_is_let_through() -> None:
    check_fits(asked(num_workers=8), nodes(4, 4))


def test_refusal_names_what_was_asked_what_is_there_and_the_way_out() -> None:
    with pytest.raises(ClusterError) as refused:
        check_fits(asked(num_workers=9, memory_gib_per_worker=1), nodes(4, 4))
    assert str(refused.value) == (
        "cluster.num_workers (9), each with 1 CPUs, 1 GiB of memory, cannot be placed: 2 nodes "
        "have 10.0.0.0 4 CPUs, 8 GiB of memory; 10.0.0.1 4 CPUs, 8 GiB of memory. "
        "Use at most 8 workers, or add machines to the cluster"
    )


def test_refusal_where_no_node_can_give_what_one_worker_needs() -> None:
    with pytest.raises(ClusterError, match=r"Ask for less per worker"):
        check_fits(asked(num_workers=1, gpus_per_worker=1), nodes(4, 4))


def test_strict_placement_is_named() -> None:
    with pytest.raises(ClusterError, match=r"with placement STRICT_SPREAD.*at most 2 workers"):
        check_fits(asked(num_workers=3, placement="STRICT_SPREAD"), nodes(4, 4))


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        (asked(num_workers=3), [2, 1]),
        (asked(num_workers=6), [4, 2]),  # the smaller node is full at two
        (asked(num_workers=3, placement="PACK"), [3, 0]),
        (asked(num_workers=5, placement="PACK"), [4, 1]),
        (asked(num_workers=9), [4, 2]),
    ],
)
def test_guess_of_the_placement(cluster: Cluster, expected: list[int]) -> None:
    assert spread_over(cluster, nodes(4, 2)) == expected
