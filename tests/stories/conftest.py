"""The stories' stack."""

from fixtures import (
    gateway,
    idp,
    pytest_addoption,
    pytest_runtest_makereport,
    run_dir,
    workspace,
    world,
)

__all__ = ["gateway", "idp", "pytest_addoption", "pytest_runtest_makereport", "run_dir", "workspace", "world"]
