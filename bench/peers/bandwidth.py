"""How fast the machine reads memory: answers one line of JSON for each line it reads."""
import json
import sys
import time

import torch

torch.set_num_threads(json.loads(sys.argv[1])['threads'])
memory = torch.ones(2**29)  # 2 GiB, far more than any cache
for line in sys.stdin:
    start = time.perf_counter()
    memory.sum()
    print(json.dumps({'gigabytes_per_second': memory.nbytes / 1e9 / (time.perf_counter() - start)}), flush=True)
