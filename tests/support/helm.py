"""
Helm, built from its Go module.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.go_modules import build


def find_helm() -> Path:
    """
    Return Helm, built when nobody did before.

    Raises:
        CannotBuildError: Says what to install.
    """
    return build("helm", package="helm.sh/helm/v3/cmd/helm") / "helm"
