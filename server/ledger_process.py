"""The ledger as a child of this installation: its directory, address and signals. The log itself is `server.ledger`.

Owns the start and the end of the process only. Never sees an entry.
"""

import signal
import threading
from pathlib import Path

from server.config import Config
from server.datadir import DataError, forget_ready, open_data, tell_ready
from server.ledger import process
from server.ledger.start import StartError
from server.net.addresses import addresses


def run(config: Config) -> int:
    """Run the ledger until SIGTERM or SIGINT; 0 after a clean stop. Raises DataError with one line."""
    data = Path(config.data)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    lock = open_data(data, "ledger")
    try:
        process.run(
            data / "ledger", addresses(data).ledger, config.ledger_origin, ended.is_set,
            ready=lambda writer: tell_ready(data, "ledger", {"vkey": writer.vkey}),
            log=lambda line: print(f"ledger: {line}", flush=True),
        )  # fmt: skip
    except StartError as error:
        raise DataError(str(error)) from error
    finally:
        forget_ready(data, "ledger")
        lock.release()
    return 0
