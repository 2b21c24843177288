"""Aion beside DBOS: the same work on both, each in processes of its own, taking turns."""
