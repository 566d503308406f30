"""A Ray cluster of several nodes on this machine, in a process of its own.

Prints its address; a line on the standard input takes a node away, its end ends the cluster.
"""

from __future__ import annotations

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

NODES = 2
"""Beside the head, on which there is room for nobody who asks."""


def main() -> None:
    """Serve."""
    small = {"object_store_memory": 100 * 1024**2, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **small})
    nodes = [cluster.add_node(num_cpus=2, **small) for _ in range(NODES)]
    print(cluster.address, flush=True)
    for _ in sys.stdin:
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        print("lost", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
