"""How the edge logs: JSON lines, or readable ones on a terminal. Never patient data, tokens, invites, paths or bodies.

Owns the set-up of structlog. Parts get a logger handed over; they log events by name with counts and reasons.
"""

import logging
import sys

import structlog


class Terse(logging.Handler):
    """What libraries log, cut down to where it happened: their texts may quote a request."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log the library, the place and the kind of error."""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        self.log.warning("library", name=record.name, place=f"{record.module}:{record.lineno}", error=error)


def set_up(level: str) -> structlog.typing.FilteringBoundLogger:
    """A logger for this process writing to standard output."""
    render: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if sys.stdout.isatty():
        render = structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(),
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(part="edge")
    logging.basicConfig(handlers=[Terse(logger)], level=logging.WARNING, force=True)
    return logger
