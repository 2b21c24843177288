"""Distributions that are really there, for plugins found by entry point."""

from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path


def distribution(folder: Path, module: str, source: str) -> EntryPoint:
    """Put a distribution of one module into a folder; gives its entry point."""
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[aion]\n{module} = {module}\n")
    (point,) = PathDistribution(info).entry_points
    return point
