"""One side of a comparison, in a process of its own: builds what is timed, then times it when told to.

    python -m regoal.benchmarks.peers.side MODULE FUNCTION '{"argument": 1}'

A line `time N` on standard input answers with the mean seconds of N calls; `value` with what one call
returns. Sides wait while another one is timed.
"""

import importlib
import json
import sys
import time


def main() -> None:
    """Answer until the input ends."""
    module, function, arguments = sys.argv[1:]
    answers = sys.stdout
    sys.stdout = sys.stderr  # libraries print what they like
    made = getattr(importlib.import_module(f"regoal.benchmarks.peers.{module}"), function)
    call = made(**json.loads(arguments))
    if not callable(call):
        print(json.dumps(call), file=answers, flush=True)
        return
    for line in sys.stdin:
        if line.strip() == "value":
            print(json.dumps(call()), file=answers, flush=True)
            continue
        n = int(line.split()[1])
        began = time.perf_counter()
        for _ in range(n):
            call()
        print((time.perf_counter() - began) / n, file=answers, flush=True)


if __name__ == "__main__":
    main()
