"""SQLite event store: durable histories in one file."""

__all__: list[str] = []
