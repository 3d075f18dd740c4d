"""The built-in engine: a small HTTP server that answers vLLM's requests for one base model.

    GENOME_ENGINE_KEY=… python -m genome.engine.server --model BASE --owner HOST:PID:STARTTIME:TOKEN --state FILE

`/v1/completions` accepts lists of token ids and decodes greedily, or returns the prompts' log-probabilities;
`/v1/continuations` returns the log-probabilities of given continuations of each prompt;
`/v1/fused` decodes by the weighted sum of the logits of several adapters;
`/v1/load_lora_adapter` and `/v1/unload_lora_adapter` add and remove adapters; `/health` and `/v1/models` return the
state. The server ends with its owner, or when its state file has been removed or replaced.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from genome.engine import lifetime, machine
from genome.engine.answering import Engine
from genome.engine.connections import Server, handler
from genome.engine.owner import POLL_SECONDS
from genome.engine.program import KEY_VARIABLE
from genome.engine.state import write_state
from genome.errors import GenomeError


def watch(dismissed: Callable[[bool], bool], published: threading.Event) -> None:
    """End this process when `dismissed` returns True."""
    while not dismissed(published.is_set()):
        time.sleep(POLL_SECONDS)
    os._exit(0)


def main() -> None:
    """Serve until the owner ends."""
    parser = lifetime.engine_parser(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch threads of each worker")
    parser.add_argument("--workers", type=int, default=1, help="copies of the model that answer in parallel")
    parser.add_argument("--dtype", help="type of the weights in memory (default: as stored)")
    parser.add_argument("--batch-tokens", type=int, help="most tokens of a batch, with padding and answers")
    arguments = parser.parse_args()
    key = os.environ[KEY_VARIABLE]

    # Started before the slow imports, so that a server never outlives its owner.
    published = threading.Event()
    threading.Thread(target=watch, args=(lifetime.dismissal(arguments), published), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

    try:
        options = {"dtype": arguments.dtype, "batch_tokens": arguments.batch_tokens}
        given = {name: value for name, value in options.items() if value is not None}
        engine = Engine(arguments.model, arguments.threads, arguments.workers, **given)
    except GenomeError as error:
        sys.exit(f"error: {error}")
    with Server((lifetime.interface(arguments)[0], 0), handler(engine, key)) as server:
        state = lifetime.announce(arguments, server.server_port, key, machine.processors(), engine.fingerprint)
        write_state(arguments.state, state)
        published.set()
        print(f"engine {state.pid} serves {state.base} at {state.url}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
