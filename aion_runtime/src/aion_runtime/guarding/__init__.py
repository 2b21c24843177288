"""Strict activations: what differs from one replay to the next is refused where it is called.

For development and tests; what is seen is listed in `names`, and nothing can be seen of the rest.
"""

__all__: list[str] = []
