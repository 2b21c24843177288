"""The deterministic heart of Aion: it decides what happens next and does no I/O."""
