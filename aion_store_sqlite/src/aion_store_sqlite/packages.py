"""Packages of code, and which of them new runs go by. What is in one is not looked at."""

from __future__ import annotations

import sqlite3

from aion_core.codec import from_micros, to_micros
from aion_core.contracts import Package, PackageRoute
from aion_core.errors import StoreError
from aion_core.ids import PackageVersion

__all__ = [
    "delete_package",
    "list_package_routes",
    "list_packages",
    "put_package",
    "put_package_route",
]


def put_package(cursor: sqlite3.Cursor, package: Package) -> None:
    """Keep a package and route to it."""
    cursor.execute(
        "INSERT OR REPLACE INTO packages (workflow_type, version, deployed_at, archive) "
        "VALUES (?, ?, ?, ?)",
        (
            package.workflow_type,
            package.version,
            to_micros(package.deployed_at),
            bytes(memoryview(package.archive)),
        ),
    )
    _route(cursor, package.workflow_type, package.version)


def put_package_route(cursor: sqlite3.Cursor, route: PackageRoute) -> None:
    """Route to a package.

    Raises:
        StoreError: there is no such package.
    """
    found = cursor.execute(
        "SELECT 1 FROM packages WHERE workflow_type = ? AND version = ?",
        (route.workflow_type, route.version),
    ).fetchone()
    if found is None:
        raise StoreError(
            f"there is no package of workflow {route.workflow_type!r} with version "
            f"{route.version!r} to route to; put it first"
        )
    _route(cursor, route.workflow_type, route.version)


def delete_package(cursor: sqlite3.Cursor, workflow_type: str, version: PackageVersion) -> None:
    """Forget a package and the route to it."""
    for table in ("packages", "package_routes"):
        cursor.execute(
            f"DELETE FROM {table} WHERE workflow_type = ? AND version = ?",
            (workflow_type, version),
        )


def list_packages(connection: sqlite3.Connection) -> list[Package]:
    """All packages, by type, then by deployment, then by version."""
    rows = connection.execute(
        "SELECT workflow_type, version, deployed_at, archive FROM packages "
        "ORDER BY workflow_type, deployed_at, version"
    ).fetchall()
    return [
        Package(
            workflow_type=workflow_type,
            version=PackageVersion(version),
            archive=archive,
            deployed_at=from_micros(deployed_at),
        )
        for workflow_type, version, deployed_at, archive in rows
    ]


def list_package_routes(connection: sqlite3.Connection) -> list[PackageRoute]:
    """All routes, by type."""
    rows = connection.execute(
        "SELECT workflow_type, version FROM package_routes ORDER BY workflow_type"
    ).fetchall()
    return [PackageRoute(workflow_type, PackageVersion(version)) for workflow_type, version in rows]


def _route(cursor: sqlite3.Cursor, workflow_type: str, version: PackageVersion) -> None:
    cursor.execute(
        "INSERT OR REPLACE INTO package_routes (workflow_type, version) VALUES (?, ?)",
        (workflow_type, version),
    )
