"""Files of settings: JSON that a person wrote, or a run's config.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drit.bounded import read_json
from drit.errors import UsageError


def read_settings(path: Path) -> tuple[dict[str, Any], bool]:
    """The settings of a JSON file (a run's config.json serves), and whether a version wrote it that recorded those of
    all methods. Raises UsageError for what cannot be read."""
    try:
        content = read_json(path)
    except OSError as error:
        raise UsageError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"The settings file {path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("settings", {}), dict):
        raise UsageError(f"The settings file {path} must hold a JSON object of settings.")
    recorded = "settings" in content and "versions" in content
    return content.get("settings", content), recorded and "format" not in content
