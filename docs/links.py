"""Where the repository is: `repository` in pyproject.toml, from which every link is made.

Hatch calls the hook when it builds a distribution; `docs.make_tables` writes the link of the site.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

SERVICE = {
    "Model Studio": "https://www.alibabacloud.com/help/en/model-studio/",
    "DeepSeek on Model Studio": "https://www.alibabacloud.com/help/en/model-studio/deepseek-api",
    "LangChain": "https://docs.langchain.com/oss/python/langchain/models",
}


class LinksHook(MetadataHookInterface):
    """Fills in the URLs and the README of a distribution."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set what `pyproject.toml` declares as dynamic."""
        repository = self.config["repository"]
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["urls"] = urls(repository)
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": standalone(text, repository),
        }


def urls(repository: str) -> dict[str, str]:
    """Return the URLs of the project."""
    if not repository:
        return SERVICE
    ours = {
        "Source": repository,
        "Issues": f"{repository}/issues",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
    }
    return {**ours, **SERVICE}


def standalone(readme: str, repository: str) -> str:
    """Rewrite the links to files, for a page such as PyPI's that has none of them."""
    link = rf"[\1]({repository}/blob/main/\2)" if repository else r"\1 (`\2`)"
    return re.sub(r"\[([^\]]+)\]\((?!https://|#)([^)]+)\)", link, readme)


def site(settings: str, repository: str) -> str:
    """Return mkdocs.yml with the link to the repository, or without one."""
    lines = [line for line in settings.splitlines() if not line.startswith("repo_url:")]
    if repository:
        lines.insert(lines.index("docs_dir: docs"), f"repo_url: {repository}")
    return "\n".join(lines) + "\n"
