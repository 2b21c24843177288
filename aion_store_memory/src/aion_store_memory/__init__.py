"""In-memory event store: the full store contract, kept in dicts until the process ends."""

__all__: list[str] = []
