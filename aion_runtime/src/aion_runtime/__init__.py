"""The engine: runs workflows on trio, records what happens, brings runs back after a crash."""
