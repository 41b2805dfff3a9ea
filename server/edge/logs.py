"""How the edge logs: JSON lines, or readable ones on a terminal. Never patient data, tokens, invites, paths or bodies.

Owns the set-up of structlog. Parts get a logger handed over; they log events by name with counts and reasons.
"""

import logging
import sys

import structlog


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
    return logger
